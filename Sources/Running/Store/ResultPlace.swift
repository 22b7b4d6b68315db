/// The place that runs leave their results in: a folder with a folder for each run.
///
/// A run's folder is named by the time and a random id, `20261129T171033.123Z-1a2b3c`, so that names sort by time. `latest` is a symbolic
/// link to the newest one. Nothing is removed that no run has written.
import Foundation
import Glibc
import Plan

package struct ResultPlace: Sendable {
    /// The runs that a place keeps; a run that begins removes older ones.
    package static let mostRuns = 20
    /// The name of the link to the newest run.
    package static let latest = "latest"

    package let path: String

    /// Makes the folder. Throws `Environment` where that is not possible, or where the folder has files under the names of results that no
    /// run has written: an earlier version wrote its results there, and may be what the user has in mind.
    package init(_ path: String) throws {
        guard !path.isEmpty else { throw Environment("--results: expected the path of a folder, found an empty text") }
        self.path = URL(fileURLWithPath: path).path
        try makeFolder(self.path)
        let old = ResultFolder.names.filter { FileManager.default.fileExists(atPath: self.path + "/" + $0) }
        guard old.isEmpty || ResultFolder.isOfAnEarlierVersion(self.path) || RunRecord(path: self.path + "/run.json") != nil else {
            throw Environment(
                "\(path): expected an empty folder or the results of runs, found \(old.joined(separator: ", ")), which no run has written; "
                    + "move them away, or name another folder with --results")
        }
    }

    /// The place of runs that reproduce cells of the runs here, so that none of them removes what it reproduces.
    package static func reproductions(of path: String) -> String {
        let path = URL(fileURLWithPath: path).path
        return path.hasSuffix("/reproduced") ? path : path + "/reproduced"
    }

    /// Makes the folder of a run that begins, lets `latest` point to it, and removes the oldest runs.
    package func begin(_ record: RunRecord, keepsAll: Bool) throws -> ResultFolder {
        let folder = try ResultFolder(path + "/" + Self.newName(), record, keepsAll: keepsAll)
        pointLatest(to: folder.path)
        prune()
        return folder
    }

    /// Makes the folder of a run that is hidden until `publish`, so that it is there whole or not at all. What killed processes have
    /// left hidden is removed.
    package func beginHidden(_ record: RunRecord, keepsAll: Bool) throws -> ResultFolder {
        for name in (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? [] where name.hasPrefix(Self.hidden) {
            let left = "\(path)/\(name)"
            // Without the lock, another process makes it.
            guard RunRecord(path: left + "/run.json") != nil, let lock = FolderLock(left) else { continue }
            try? FileManager.default.removeItem(atPath: left)
            withExtendedLifetime(lock) {}
        }
        let name = Self.newName()
        return try ResultFolder("\(path)/\(Self.hidden)\(name)", record, keepsAll: keepsAll, finalPath: "\(path)/\(name)")
    }

    private static let hidden = ".new-"

    /// Shows a hidden folder under its name, lets `latest` point to it, and removes the oldest runs. Throws `Environment`.
    package func publish(_ folder: ResultFolder) throws {
        guard rename(folder.path, folder.finalPath) == 0 else {
            throw Environment("\(folder.finalPath): cannot be made: \(String(cString: strerror(errno)))")
        }
        pointLatest(to: folder.finalPath)
        prune()
    }

    private static func newName() -> String {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        var seconds = now.tv_sec
        var parts = tm()
        gmtime_r(&seconds, &parts)
        let numbers = [parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec].map(Int.init)
        func digits(_ number: Int, _ count: Int) -> String {
            let text = String(number)
            return String(repeating: "0", count: max(count - text.count, 0)) + text
        }
        let texts = numbers.map { digits($0, 2) }
        let id = String(UInt32.random(in: 0..<(1 << 24)) | 1 << 24, radix: 16).dropFirst()
        return "\(texts[..<3].joined())T\(texts[3...].joined()).\(digits(now.tv_nsec / 1_000_000, 3))Z-\(id)"
    }

    private static func isName(_ name: String) -> Bool { name.wholeMatch(of: /[0-9]{8}T[0-9]{6}\.[0-9]{3}Z-[0-9a-f]{6}/) != nil }

    /// Replaces the link, and nothing else that has its name.
    private func pointLatest(to folder: String) {
        let link = path + "/" + Self.latest
        var status = stat()
        if lstat(link, &status) == 0 {
            guard let target = try? FileManager.default.destinationOfSymbolicLink(atPath: link), Self.isName(target) else { return }
        }
        let name = URL(fileURLWithPath: folder).lastPathComponent
        let new = "\(path)/.\(Self.latest)-\(name)"
        // Without a link the results are there all the same.
        guard symlink(name, new) == 0 else { return }
        if rename(new, link) != 0 { unlink(new) }
    }
}

// MARK: The runs of a place

/// A run that has left results.
package struct KeptRun: Sendable {
    package let path: String
    package let record: RunRecord
    /// True if the run's process lives.
    package let isAlive: Bool

    /// nil where the folder is not one that a run has made.
    package init?(_ path: String) {
        guard let record = RunRecord(path: path + "/run.json") else { return nil }
        self.path = path
        self.record = record
        isAlive = FolderLock(path) == nil
    }

    package var name: String { URL(fileURLWithPath: path).lastPathComponent }

    /// `running`, `complete`, `interrupted`, or `killed`: it has not ended, and no process runs it.
    package var state: String { record.state == .running && !isAlive ? "killed" : record.state.rawValue }
}

extension ResultPlace {
    /// The runs that have left results in a folder, newest first.
    package static func runs(in path: String) -> [KeptRun] {
        names(in: path).compactMap { KeptRun("\(path)/\($0)") }
    }

    /// The folder of results that a path stands for: the newest run of a place, or the path itself, which may be the folder of a run.
    package static func run(at path: String) -> String {
        names(in: path).map { "\(path)/\($0)" }.first { RunRecord(path: $0 + "/run.json") != nil } ?? path
    }

    /// The folders that have the name of a run, newest first.
    private static func names(in path: String) -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).filter(isName).sorted(by: >)
    }

    /// Removes all runs but the newest, where nothing was added to them and no process runs them.
    private func prune() {
        for name in Self.names(in: path).dropFirst(Self.mostRuns) { ResultFolder.removeUnchanged("\(path)/\(name)") }
    }
}

/// Makes a folder and those above it. Throws `Environment` with the reason of the system.
private func makeFolder(_ path: String) throws {
    var status = stat()
    let exists = stat(path, &status) == 0
    let failure = errno
    if exists {
        guard status.st_mode & S_IFMT == S_IFDIR else {
            throw Environment("\(path): expected a folder for the results, found a file; name another folder with --results")
        }
        return
    }
    let parent = URL(fileURLWithPath: path).deletingLastPathComponent().path
    if parent != path, failure == ENOENT { try makeFolder(parent) }
    guard mkdir(path, 0o755) == 0 || errno == EEXIST else {
        throw Environment("\(path): the folder cannot be made: \(String(cString: strerror(errno))); name another folder with --results")
    }
}
