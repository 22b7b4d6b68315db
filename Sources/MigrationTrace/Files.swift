/// Access to files: no other file of this module opens, reads, writes or renames.
import Glibc

/// An operation on a file that the system refused.
package struct FileError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The verb for the message: "open", "read", "write", "rename to", ...
    package var operation: String
    package var path: String
    /// The errno of the operation.
    package var code: Int32

    package var description: String { "cannot \(operation) \(path): \(String(cString: strerror(code)))" }
}

/// An open file, which is closed when its last owner releases it.
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

/// The bytes of the file at `path`, unpacked where it is compressed.
private func unpacked(_ path: String) throws -> LogReader.Input {
    let file = try OpenFile(reading: path)
    var head = [UInt8](repeating: 0, count: 8)
    // A pipe cannot be read twice, and nobody compresses into one.
    let count = pread(file.descriptor, &head, head.count, 0)
    guard count > 0, let command = UnpackedFile.program(for: Array(head.prefix(count))) else { return { try file.read(into: $0) } }
    let unpacked = try UnpackedFile(path, command)
    return { try unpacked.read(into: $0) }
}

extension LogReader {
    /// Reads the log at `path`, which may be compressed, in UTF-16, or with CR alone at the ends of its lines. Throws `FileError` if it
    /// cannot be opened, and `LogFileError` if it is no file that ends by itself.
    package init(path: String) throws {
        let input = try Self.input(path)
        self.init { try input.read(into: $0) }
    }

    /// Reads several logs of one process as one: the lines are put in the order of their times. A line without a time belongs to the one
    /// before it. Logs without times follow each other.
    package init(merging paths: [String]) throws {
        let merged = MergedInput(
            try paths.map { path in
                let input = try Self.input(path)
                return { try input.read(into: $0) }
            })
        self.init { try merged.read(into: $0) }
    }

    /// Reads a log in memory as a file is read, in whatever encoding.
    package static func decoding(_ bytes: [UInt8]) -> LogReader {
        var place = 0
        let input = DecodedInput { part in
            let count = min(part.count, bytes.count - place)
            part.copyBytes(from: bytes[place..<place + count])
            place += count
            return count
        }
        return LogReader { try input.read(into: $0) }
    }

    /// Reads the log on standard input, to its end.
    package static func standardInput() -> LogReader {
        let input = DecodedInput { try readFully(STDIN_FILENO, "standard input", $0) }
        return LogReader { try input.read(into: $0) }
    }

    static func input(_ path: String) throws -> DecodedInput {
        try expectLog(path)
        return DecodedInput(try unpacked(path))
    }

    /// Throws if opening the file may wait, or reading it never ends. Pipes that a shell opened, as `<(zcat LOG)`, are read.
    package static func expectLog(_ path: String) throws {
        var info = stat()
        guard stat(path, &info) == 0 else { throw FileError(operation: "open", path: path, code: errno) }
        let isOpen = path.hasPrefix("/dev/fd/") || path.hasPrefix("/proc/self/fd/")
        let what: String? =
            switch info.st_mode & S_IFMT {
            case S_IFREG, S_IFDIR: nil
            case S_IFIFO: isOpen ? nil : "a named pipe"
            case S_IFCHR: path == "/dev/null" || isOpen ? nil : "a device"
            case S_IFBLK: "a block device"
            case S_IFSOCK: "a socket"
            default: "something else"
            }
        guard let what else { return }
        throw LogFileError(path: path, reason: "expected a file, found \(what); give a file, or - for standard input")
    }

    /// Reads a log from a descriptor, which the caller closes.
    package init(descriptor: Int32) {
        self.init { try readFully(descriptor, "descriptor \(descriptor)", $0) }
    }
}

extension TraceReader {
    /// Reads the trace at `path`, which may be compressed. Throws `FileError` if it cannot be opened, and `LogFileError` if it is no file
    /// that ends by itself.
    package init(path: String) throws {
        try LogReader.expectLog(path)
        try self.init(unpacked(path))
    }
}

extension Trace {
    /// Reads the whole trace at `path`. Throws `FileError`, and `TraceError` for a file that is no whole trace.
    package init(path: String) throws {
        try self.init(TraceReader(path: path))
    }

    /// Writes the trace to `path`, all of it or nothing: to a temporary file in the same folder, which is then renamed. Throws `FileError`;
    /// the temporary file is then removed, and a file at `path` is left as it was.
    package func write(path: String) throws {
        let (file, temporary) = try temporaryFile(beside: path)
        do {
            try write { try writeFully(file, temporary, $0) }
            guard fsync(file) == 0 else { throw FileError(operation: "sync", path: temporary, code: errno) }
            guard rename(temporary, path) == 0 else { throw FileError(operation: "rename to", path: path, code: errno) }
        } catch {
            close(file)
            unlink(temporary)
            throw error
        }
        close(file)
        try syncFolder(of: path)
    }
}

private func folder(of path: String) -> String {
    guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
}

private func temporaryFile(beside path: String) throws -> (Int32, String) {
    for attempt in 0..<1000 {
        let name = "\(folder(of: path))/.ackmatrix-trace-\(getpid())-\(attempt)"
        let file = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        if file >= 0 { return (file, name) }
        if errno != EEXIST { break }
    }
    throw FileError(operation: "create a temporary file beside", path: path, code: errno)
}

private func writeFully(_ file: Int32, _ path: String, _ bytes: [UInt8]) throws {
    try bytes.withUnsafeBytes { whole in
        var rest = whole[...]
        while !rest.isEmpty {
            let count = Glibc.write(file, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
            if count > 0 {
                rest = rest.dropFirst(count)
            } else if count == 0 || errno != EINTR {
                throw FileError(operation: "write", path: path, code: count == 0 ? EIO : errno)
            }
        }
    }
}

/// Writes the folder to disk, so that the new name survives a crash.
private func syncFolder(of path: String) throws {
    let folder = folder(of: path)
    let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw FileError(operation: "open", path: folder, code: errno) }
    defer { close(descriptor) }
    // Some file systems cannot sync a folder; the contents of the file are on disk already.
    guard fsync(descriptor) == 0 || errno == EINVAL else { throw FileError(operation: "sync", path: folder, code: errno) }
}
