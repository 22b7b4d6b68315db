/// A log that is still written, or not yet there: its bytes as one input, whatever becomes of the file in between.
import Glibc

/// What has happened to a file that is followed, besides that it grew.
package enum FollowedFileChange: Hashable, Sendable {
    /// The file is there now.
    case appeared
    /// Another file has the name now: the log was rotated, and goes on in the new file.
    case replaced
    /// The file is shorter than what was read: it was truncated, and lines may be lost.
    case truncated
}

/// Reads a file as it grows. A file that was replaced is read to its end, then the new one follows; of one that was truncated, what was
/// written since follows behind a line of one NUL, which no reader takes for an event.
final class FollowedFile {
    private let path: String
    private var file: OpenFile?
    private var place: off_t = 0
    private var endsWithinLine = false
    /// Bytes that stand between the old contents and the new.
    private var between: [UInt8] = []
    /// Changes that were not told yet.
    private(set) var changes: [FollowedFileChange] = []

    init(_ path: String) { self.path = path }

    func takeChanges() -> [FollowedFileChange] {
        defer { changes = [] }
        return changes
    }

    /// Fills a part of the buffer; 0 if there is nothing more to read now.
    func read(into part: UnsafeMutableRawBufferPointer) throws -> Int {
        while true {
            if !between.isEmpty {
                let count = min(between.count, part.count)
                part.copyBytes(from: between[..<count])
                between.removeFirst(count)
                return count
            }
            guard let file = try current() else { return 0 }
            let count = try file.read(into: part)
            if count > 0 {
                place += off_t(count)
                endsWithinLine = part[count - 1] != 0x0A
                return count
            }
            guard try hasChanged(file) else { return 0 }
        }
    }

    private func current() throws -> OpenFile? {
        if let file { return file }
        var info = stat()
        guard stat(path, &info) == 0 else {
            if errno == ENOENT { return nil }
            throw FileError(operation: "open", path: path, code: errno)
        }
        try LogReader.expectLog(path)
        file = try OpenFile(reading: path)
        (place, endsWithinLine) = (0, false)
        changes.append(.appeared)
        return file
    }

    /// True if there is more to read at once. The file was read to its end.
    private func hasChanged(_ file: OpenFile) throws -> Bool {
        var (now, read) = (stat(), stat())
        guard fstat(file.descriptor, &read) == 0 else { throw FileError(operation: "read", path: path, code: errno) }
        if read.st_size < place {
            lseek(file.descriptor, 0, SEEK_SET)
            between = (endsWithinLine ? [0x0A] : []) + [0x00, 0x0A]
            (place, endsWithinLine) = (0, false)
            changes.append(.truncated)
            return true
        }
        // A file that was only moved away is read on until there is another one.
        guard stat(path, &now) == 0, now.st_ino != read.st_ino || now.st_dev != read.st_dev, read.st_size == place else { return false }
        if endsWithinLine { between = [0x0A] }
        self.file = try OpenFile(reading: path)
        (place, endsWithinLine) = (0, false)
        changes.append(.replaced)
        return true
    }
}

/// A log that is read line by line while it is written.
package struct GrowingLogReader: ~Copyable {
    private let file: FollowedFile
    package var reader: LogReader

    package init(path: String) {
        let file = FollowedFile(path)
        self.file = file
        reader = LogReader(isGrowing: true) { try file.read(into: $0) }
    }

    /// What has happened to the file since the last call.
    package func takeChanges() -> [FollowedFileChange] { file.takeChanges() }
}
