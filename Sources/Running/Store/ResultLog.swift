/// The file that grows by a line with each finished cell, and can be read whatever ended the run.
import Foundation
import Glibc
import MigrationTrace
import Plan

/// A result log that cannot be taken for what it is.
package struct ResultLogError: Error, Hashable, Sendable, CustomStringConvertible {
    package var path: String
    /// From 1.
    package var line: Int
    package var reason: String

    package var description: String { "\(path):\(line): \(reason)" }
}

/// JSON Lines, open for appending. Each line is one `write` on a descriptor that appends, so that a killed run leaves whole lines, but for
/// the last of a full file system.
package final class ResultLog: Sendable {
    /// Bytes of the longest line, and of the largest log that is read.
    static let longestLine = 4 << 20
    static let largestLog = 256 << 20

    private let path: String
    private let descriptor: Int32

    /// Opens the log, or creates it. Removes an incomplete last line, so that the next line stands alone; where another writer has the log
    /// open, such a line may be in the middle of its write, and stays. Throws `Environment`.
    package init(path: String) throws {
        self.path = path
        descriptor = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw failure("opened", path) }
        do {
            // A writer holds the shared lock for as long as it has the log open.
            if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { try dropCutLine() }
            while flock(descriptor, LOCK_SH) != 0 { guard errno == EINTR else { throw failure("locked", path) } }
        } catch {
            close(descriptor)
            throw error
        }
    }

    deinit { close(descriptor) }

    /// Throws `Environment` where the line could not be written whole.
    package func append(_ line: ResultLine) throws { try append(line.jsonLine()) }

    /// Appends a line as `jsonLine` makes it.
    package func append(_ bytes: Data) throws {
        let count = try bytes.withUnsafeBytes { bytes in
            while true {
                let count = write(descriptor, bytes.baseAddress, bytes.count)
                if count >= 0 { return count }
                if errno != EINTR { throw failure("written", path) }
            }
        }
        guard count == bytes.count else {
            throw Environment("\(path): cannot be written: expected room for \(bytes.count) bytes, found \(count); make room and run again")
        }
    }

    /// The log's results, without its header. A last line without its end was cut and is left out. Throws `Environment`, or
    /// `ResultLogError` at the first other line that is no result. What is too large to be held is read line by line: `ResultReader`.
    package static func read(path: String) throws -> [ResultLine] {
        guard let size = (try? FileManager.default.attributesOfItem(atPath: path))?[.size] as? Int else {
            throw ResultReader.unreadable(path)
        }
        guard size <= largestLog else {
            throw Environment("\(path): expected a result log of at most \(largestLog) bytes, found \(size)")
        }
        return try lines(ResultReader(path: path))
    }

    static func lines(_ data: Data, path: String) throws -> [ResultLine] { try lines(ResultReader(data, path: path)) }

    private static func lines(_ reader: ResultReader) throws -> [ResultLine] {
        var reader = reader
        var lines: [ResultLine] = []
        while let result = try reader.next() { lines.append(result.line) }
        return lines
    }

    private func dropCutLine() throws {
        let size = lseek(descriptor, 0, SEEK_END)
        guard size >= 0 else { throw failure("read", path) }
        var tail = [UInt8](repeating: 0, count: min(Int(size), Self.longestLine + 1))
        guard pread(descriptor, &tail, tail.count, size - off_t(tail.count)) == tail.count else { throw failure("read", path) }
        let cut = tail.count - (tail.lastIndex(of: newline).map { $0 + 1 } ?? 0)
        guard cut <= Self.longestLine else {
            throw Environment("\(path): expected a result log, found a last line of more than \(Self.longestLine) bytes; name another file")
        }
        guard cut == 0 || ftruncate(descriptor, size - off_t(cut)) == 0 else { throw failure("cut", path) }
    }
}

private let newline = UInt8(ascii: "\n")

private func failure(_ what: String, _ path: String) -> Environment {
    Environment("\(path): cannot be \(what): \(String(cString: strerror(errno)))")
}

extension ResultLine {
    /// The object with its line end: keys sorted, the same bytes for the same result.
    package func jsonLine() throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return try encoder.encode(self) + [newline]
    }
}
