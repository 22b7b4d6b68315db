/// Reads a result log line by line, so that a log of any size takes the memory of one line. The log is input from outside: it may have been
/// cut, edited, or made up.
import Foundation
import Glibc
import MigrationTrace
import Plan

package struct ResultReader {
    /// The header; nil in a log of an earlier version, which has none, and before the first line of an empty log.
    package private(set) var header: RunHeader?
    /// The number of the line that was read last, from 1.
    package private(set) var lineNumber = 0

    private let path: String
    private let file: FileHandle?
    private var buffer: Data
    private var hasEnded: Bool
    /// The first line, where it was read to look for the header and is a result.
    private var first: Result?
    private let decoder = JSONDecoder()

    package struct Result: Hashable, Sendable {
        package let line: ResultLine
        /// The line as it stands in the log, with its end.
        package let json: Data
    }

    private static let chunk = 1 << 16
    private static let newline = UInt8(ascii: "\n")

    static func unreadable(_ path: String) -> Environment {
        Environment("\(path): cannot be read; expected the result log of a run")
    }

    /// Opens the log, and reads its header. Throws `Environment` where it cannot be read, or `ResultLogError` at a first line that is
    /// neither a header nor a result.
    package init(path: String) throws {
        var status = stat()
        // A pipe has no second reading, and a device may have no end.
        guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG, let file = FileHandle(forReadingAtPath: path) else {
            throw Self.unreadable(path)
        }
        (self.path, self.file) = (path, file)
        buffer = Data()
        hasEnded = false
        try readFirst()
    }

    /// Reads a log that is held in memory; `path` is for errors.
    init(_ data: Data, path: String) throws {
        (self.path, file) = (path, nil)
        buffer = data
        hasEnded = true
        try readFirst()
    }

    /// The header of the run in a folder; nil where the run has none. Throws as `init(path:)`.
    package static func header(ofRunIn folder: String) throws -> RunHeader? { try Self(path: folder + "/results.jsonl").header }

    /// The next result; nil at the end. A last line without its end was cut, and is left out. Throws `ResultLogError`, or `Environment`
    /// where the file can no longer be read.
    package mutating func next() throws -> Result? {
        if let result = first {
            first = nil
            return result
        }
        return try nextLine().map { Result(line: try result($0), json: $0 + [Self.newline]) }
    }

    /// An error about the line that was read last.
    package func error(_ reason: String) -> ResultLogError { ResultLogError(path: path, line: lineNumber, reason: reason) }

    private mutating func readFirst() throws {
        guard let bytes = try nextLine() else { return }
        guard (try? decoder.decode(Kind.self, from: bytes))?.isHeader == true else {
            first = Result(line: try result(bytes), json: bytes + [Self.newline])
            return
        }
        let header: RunHeader
        do { header = try decoder.decode(HeaderLine.self, from: bytes).header } catch let wrong {
            // A header of another format lacks keys; its format is what to tell.
            if let format = (try? decoder.decode(HeaderFormat.self, from: bytes))?.header.format, format != RunHeader.currentFormat {
                throw error(RunHeader.unreadable(format: format))
            }
            throw error("expected a run's header as JSON, found \(shown(bytes)): \(jsonReason(wrong))")
        }
        if let flaw = header.flaw { throw error(flaw) }
        self.header = header
    }

    private func result(_ bytes: Data) throws -> ResultLine {
        func otherFormat(_ format: Int) -> ResultLogError {
            error("expected format \(ResultLine.currentFormat), found \(format); read it with the ackmatrix that wrote it")
        }
        let line: ResultLine
        do {
            line = try decoder.decode(ResultLine.self, from: bytes)
        } catch let wrong {
            if (try? decoder.decode(Kind.self, from: bytes))?.isHeader == true {
                throw error("expected a result, found a header, which stands in the first line alone")
            }
            // A line of another format lacks keys; its format is what to tell.
            if let head = try? decoder.decode(LineFormat.self, from: bytes), head.format != ResultLine.currentFormat {
                throw otherFormat(head.format)
            }
            throw error("expected a result as JSON, found \(shown(bytes)): \(jsonReason(wrong))")
        }
        guard line.format == ResultLine.currentFormat else { throw otherFormat(line.format) }
        guard !line.legs.isEmpty else { throw error("expected a result with one leg or more, found none") }
        return line
    }

    /// The bytes of the next line without its end; nil at the end.
    private mutating func nextLine() throws -> Data? {
        var searched = 0
        while true {
            if let end = buffer[(buffer.startIndex + searched)...].firstIndex(of: Self.newline) {
                let line = buffer[..<end]
                lineNumber += 1
                buffer = buffer[(end + 1)...]
                guard line.count <= ResultLog.longestLine else { throw tooLong(line.count) }
                return Data(line)
            }
            searched = buffer.count
            guard searched <= ResultLog.longestLine else {
                lineNumber += 1
                throw tooLong(searched)
            }
            guard !hasEnded else { return nil }
            let more: Data?
            do { more = try file?.read(upToCount: Self.chunk) } catch {
                throw Environment("\(path): cannot be read: \(systemReason(error))")
            }
            // A copy of its own: a slice would keep everything that was read.
            buffer = Data(buffer) + (more ?? Data())
            hasEnded = more?.isEmpty != false
        }
    }

    private func tooLong(_ count: Int) -> ResultLogError {
        error("expected a line of at most \(ResultLog.longestLine) bytes, found \(count)")
    }
}

/// Tells a header from a result.
private struct Kind: Decodable {
    let isHeader: Bool

    private enum CodingKeys: CodingKey { case header }

    init(from decoder: any Decoder) throws {
        isHeader = try decoder.container(keyedBy: CodingKeys.self).contains(.header)
    }
}

private struct LineFormat: Decodable {
    let format: Int
}

private struct HeaderFormat: Decodable {
    let header: LineFormat
}

/// The beginning of a line.
private func shown(_ bytes: Data) -> String { "'" + escaped(bytes: bytes.prefix(60)) + "'" }
