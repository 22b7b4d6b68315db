/// The folder that a run leaves its results in, one run at a time.
import Foundation
import Glibc
import Plan

package struct ResultFolder: Sendable {
    package let path: String
    private let lock: FolderLock
    private let keepsAll: Bool

    /// The file that says that a run made the folder.
    static let marker = ".ackmatrix-results"

    package var log: String { path + "/results.jsonl" }
    package var junit: String { path + "/junit.xml" }
    package var summary: String { path + "/summary.txt" }
    private var cells: String { path + "/cells" }

    /// Makes the folder and removes the results of an earlier run from it. Throws `Environment` where another run writes there, or where
    /// the folder holds files under the names of results that no run has made: nothing of the user's is removed.
    package init(_ path: String, keepsAll: Bool) throws {
        self.path = URL(fileURLWithPath: path).path
        self.keepsAll = keepsAll
        let files = FileManager.default
        func unusable(_ error: any Error) -> Environment {
            Environment("\(path): the results cannot be written: \(error.localizedDescription); name another folder with --results")
        }
        do { try files.createDirectory(atPath: self.path, withIntermediateDirectories: true) } catch { throw unusable(error) }
        guard let lock = FolderLock(self.path) else {
            throw Environment("\(path): another run writes its results there; name another folder with --results")
        }
        self.lock = lock
        let old = [self.path + "/cells", log, junit, summary].filter { files.fileExists(atPath: $0) }
        if !old.isEmpty, !Self.isOfARun(self.path) {
            let names = old.map { URL(fileURLWithPath: $0).lastPathComponent }.joined(separator: ", ")
            throw Environment(
                "\(path): expected an empty folder or the results of a run, found \(names) without \(Self.marker) or a results.jsonl of a "
                    + "run; move them away, or name another folder with --results")
        }
        do {
            for path in old { try files.removeItem(atPath: path) }
            try files.createDirectory(atPath: cells, withIntermediateDirectories: true)
            try Data("A run of ackmatrix made this folder; the next run replaces its results.\n".utf8).write(
                to: URL(fileURLWithPath: self.path + "/" + Self.marker), options: .atomic)
        } catch {
            throw unusable(error)
        }
    }

    /// True if a run made the folder: it has the marker, or the first line of its results.jsonl is a result.
    private static func isOfARun(_ path: String) -> Bool {
        struct Head: Decodable {
            let format: Int
            let cell: String
        }
        if FileManager.default.fileExists(atPath: path + "/" + marker) { return true }
        guard let file = FileHandle(forReadingAtPath: path + "/results.jsonl") else { return false }
        defer { try? file.close() }
        guard let beginning = try? file.read(upToCount: ResultLog.longestLine), let end = beginning.firstIndex(of: UInt8(ascii: "\n"))
        else { return false }
        return (try? JSONDecoder().decode(Head.self, from: beginning[..<end])) != nil
    }

    /// Keeps the folder of a cell, with the command that runs the cell again, if the cell is a finding or every cell is kept.
    package func keep(_ line: ResultLine, folder: String) throws {
        guard keepsAll || line.finding, FileManager.default.fileExists(atPath: folder) else { return }
        try Data((line.reproduce + "\n").utf8).write(to: URL(fileURLWithPath: folder + "/reproduce"), options: .atomic)
        // A cell that runs several times keeps each of its runs.
        let kept = cells + "/" + line.cell
        let place = (1...).lazy.map { $0 == 1 ? kept : "\(kept).\($0)" }.first { !FileManager.default.fileExists(atPath: $0) }!
        try FileManager.default.moveItem(atPath: folder, toPath: place)
    }

    /// Writes the summary whole or not at all. Throws `Environment`.
    package func write(summary lines: [String]) throws {
        let text = lines.joined(separator: "\n") + "\n"
        do { try Data(text.utf8).write(to: URL(fileURLWithPath: summary), options: .atomic) } catch {
            throw Environment("\(summary): the summary cannot be written: \(error.localizedDescription)")
        }
    }
}

/// A lock on a folder, held until this is released or the process ends.
private final class FolderLock: Sendable {
    private let descriptor: Int32

    /// nil where another process holds the lock.
    init?(_ path: String) {
        descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0, flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            if descriptor >= 0 { close(descriptor) }
            return nil
        }
    }

    deinit { close(descriptor) }
}
