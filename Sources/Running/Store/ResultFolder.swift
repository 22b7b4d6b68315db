/// The folder of one run's results.
import Foundation
import Glibc
import Matrix
import Plan

package struct ResultFolder: Sendable {
    /// Where the folder is while the run goes on.
    package let path: String
    /// Where the folder is when the run has ended: `path`, but for a folder that is hidden until it is complete.
    package let finalPath: String
    /// Held while the run goes on, so that no other run removes the folder.
    private let lock: FolderLock
    private let record: RunRecord
    private let keepsAll: Bool
    /// What the record gets when the run ends.
    package var canary: RunRecord.Canary?
    package var notRun = SkippedCells()

    /// What a run leaves beside `run.json`.
    static let names = ["cells", "results.jsonl", "junit.xml", "summary.txt"]
    /// The most runs of one cell whose folders are kept.
    private static let mostKept = 100

    /// The name of the run.
    package var id: String { URL(fileURLWithPath: finalPath).lastPathComponent }
    package var log: String { path + "/results.jsonl" }
    package var junit: String { path + "/junit.xml" }
    package var summary: String { path + "/summary.txt" }
    private var cells: String { path + "/cells" }

    /// Makes the folder, which must not exist. Throws `Environment`.
    init(_ path: String, _ record: RunRecord, keepsAll: Bool, finalPath: String? = nil) throws {
        self.path = path
        self.finalPath = finalPath ?? path
        self.record = record
        self.keepsAll = keepsAll
        func unusable(_ reason: String) -> Environment {
            Environment("\(path): the results cannot be written: \(reason); name another folder with --results")
        }
        guard mkdir(path, 0o755) == 0 else { throw unusable(String(cString: strerror(errno))) }
        guard let lock = FolderLock(path) else { throw unusable("the folder cannot be locked: \(String(cString: strerror(errno)))") }
        self.lock = lock
        try record.write(path: path + "/run.json")
        guard mkdir(cells, 0o755) == 0 else { throw unusable(String(cString: strerror(errno))) }
    }

    /// Takes the folder of a run that goes on. Throws `Environment` where it is no run's, or where a process runs it.
    package init(resuming path: String, keepsAll: Bool) throws {
        guard var record = RunRecord(path: path + "/run.json") else {
            throw Environment("\(path): expected the folder of a run with its run.json, found none; see: ackmatrix results")
        }
        guard let lock = FolderLock(path) else {
            throw Environment("\(path): expected a run that has ended or was killed, found that a process runs it; wait until it has ended")
        }
        record.goOn()
        (self.path, finalPath, self.lock, self.keepsAll) = (path, path, lock, keepsAll)
        self.record = record
        try record.write(path: path + "/run.json")
        guard mkdir(cells, 0o755) == 0 || errno == EEXIST else {
            throw Environment("\(cells): cannot be made: \(String(cString: strerror(errno)))")
        }
    }

    /// Writes the first line of the result log. Throws `Environment`.
    package func begin(_ header: RunHeader) throws {
        var header = header
        header.id = id
        try ResultLog(path: log).append(header.jsonLine())
    }

    /// Copies the kept cells of another run. Throws `Environment`.
    package func copyCells(ofRunIn other: String) throws {
        let from = other + "/cells"
        guard FileManager.default.fileExists(atPath: from) else { return }
        do {
            for name in try FileManager.default.contentsOfDirectory(atPath: from).sorted() {
                try FileManager.default.copyItem(atPath: "\(from)/\(name)", toPath: "\(cells)/\(name)")
            }
        } catch {
            throw Environment("\(from): the kept cells cannot be copied to \(cells): \(systemReason(error))")
        }
    }

    /// Keeps the folder of a cell, with the command that runs the cell again, if the cell is a finding or every cell is kept.
    package func keep(_ line: ResultLine, folder: String) throws {
        guard keepsAll || line.finding, FileManager.default.fileExists(atPath: folder) else { return }
        let kept = cells + "/" + line.cell
        // A cell that runs several times keeps each of its runs, up to a number.
        let places = (1...Self.mostKept).lazy.map { $0 == 1 ? kept : "\(kept).\($0)" }
        guard let place = places.first(where: { !FileManager.default.fileExists(atPath: $0) }) else { return }
        do {
            try Data((line.reproduce + "\n").utf8).write(to: URL(fileURLWithPath: folder + "/reproduce"), options: .atomic)
            try FileManager.default.moveItem(atPath: folder, toPath: place)
        } catch {
            throw Environment("\(place): the cell cannot be kept: \(systemReason(error))")
        }
    }

    /// Writes the summary whole or not at all. Throws `Environment`.
    package func write(summary lines: [String]) throws {
        let text = lines.joined(separator: "\n") + "\n"
        do { try Data(text.utf8).write(to: URL(fileURLWithPath: summary), options: .atomic) } catch {
            throw Environment("\(summary): the summary cannot be written: \(systemReason(error))")
        }
    }

    /// Notes in `run.json` how the run ended, after so many seconds of each kind of side.
    package func end(_ state: RunRecord.State, done: Int, findings: Int, seconds: [SideKind: Double] = [:]) throws {
        var record = record
        record.canary = canary
        record.notRun = notRun.count > 0 ? notRun : nil
        record.seconds = seconds.isEmpty ? nil : Dictionary(uniqueKeysWithValues: seconds.map { ($0.key.rawValue, $0.value) })
        record.end(state, done: done, findings: findings)
        try record.write(path: path + "/run.json")
    }
}

// MARK: Folders of earlier runs

extension ResultFolder {
    /// True if a version of this program that had one folder for all runs has made it: it has its marker, or the first line of its
    /// results.jsonl is a result.
    static func isOfAnEarlierVersion(_ path: String) -> Bool {
        struct Head: Decodable {
            let format: Int
            let cell: String
        }
        if FileManager.default.fileExists(atPath: path + "/.ackmatrix-results") { return true }
        guard let file = FileHandle(forReadingAtPath: path + "/results.jsonl") else { return false }
        defer { try? file.close() }
        guard let beginning = try? file.read(upToCount: ResultLog.longestLine), let end = beginning.firstIndex(of: UInt8(ascii: "\n"))
        else { return false }
        return (try? JSONDecoder().decode(Head.self, from: beginning[..<end])) != nil
    }

    /// Removes the folder of a run that has ended, unless something was added to it or changed since, which may be the user's.
    static func removeUnchanged(_ path: String) {
        let files = FileManager.default
        guard let record = RunRecord(path: path + "/run.json"), let lock = FolderLock(path),
            let names = try? files.contentsOfDirectory(atPath: path), Set(names).isSubset(of: Self.names + ["run.json"])
        else { return }
        defer { withExtendedLifetime(lock) {} }
        // The last file that a run writes is its record; a killed run's is its result log, beside which a cell's folder was being kept.
        let last = record.ended != nil ? modified(path + "/run.json") : modified(path + "/results.jsonl").map { $0 + 60 }
        guard let last, let below = files.enumerator(atPath: path) else { return }
        for case let name as String in below {
            guard let time = modified("\(path)/\(name)"), time <= last else { return }
        }
        try? files.removeItem(atPath: path)
    }

    /// When the file itself, not what a link points to, was last changed, in seconds.
    private static func modified(_ path: String) -> Double? {
        var status = stat()
        guard lstat(path, &status) == 0 else { return nil }
        return Double(status.st_mtim.tv_sec) + Double(status.st_mtim.tv_nsec) / 1e9
    }
}

/// A lock on a folder, held until this is released or the process ends.
package final class FolderLock: Sendable {
    private let descriptor: Int32

    /// nil where another process holds the lock.
    package init?(_ path: String) {
        descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0, flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            if descriptor >= 0 { close(descriptor) }
            return nil
        }
    }

    deinit { close(descriptor) }
}
