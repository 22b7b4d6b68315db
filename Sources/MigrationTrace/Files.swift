/// The rim: the only file that opens, reads, writes and renames.
import Glibc

/// A file that could not be opened, read or written.
public struct FileError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What was tried: "open", "read", "write", "rename", ...
    public var operation: String
    public var path: String
    /// The errno.
    public var code: Int32

    public var description: String { "cannot \(operation) \(path): \(String(cString: strerror(code)))" }
}

/// An open file; closed with its last use.
final class OpenFile {
    let descriptor: Int32
    let path: String

    init(reading path: String) throws {
        self.path = path
        descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileError(operation: "open", path: path, code: errno) }
    }

    deinit { close(descriptor) }

    func read(into part: UnsafeMutableRawBufferPointer) throws -> Int {
        try readFully(descriptor, path, part)
    }
}

private func readFully(_ descriptor: Int32, _ path: String, _ part: UnsafeMutableRawBufferPointer) throws -> Int {
    while true {
        let count = Glibc.read(descriptor, part.baseAddress, part.count)
        if count >= 0 { return count }
        if errno != EINTR { throw FileError(operation: "read", path: path, code: errno) }
    }
}

extension LogReader {
    /// Reads a file.
    public init(path: String) throws {
        let file = try OpenFile(reading: path)
        self.init { try file.read(into: $0) }
    }

    /// Reads a descriptor, which stays the caller's to close.
    public init(descriptor: Int32) {
        self.init { try readFully(descriptor, "descriptor \(descriptor)", $0) }
    }
}
