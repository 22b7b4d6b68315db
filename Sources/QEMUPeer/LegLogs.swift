/// Finds and reads the part of a process's logs that one leg has written.
import Glibc
import MigrationTrace
import Plan

extension LogSlice {
    /// Bytes written so far, from the start of the slice.
    var size: Int { fileSize(path) - start }
}

extension LegLogs {
    /// The logs from their present end on, or from their beginning if this is the process's first migration.
    init(_ files: SideFiles, isFirst: Bool) {
        self.init(
            qemu: LogSlice(path: files.log, start: isFirst ? 0 : fileSize(files.log)),
            devices: LogSlice(path: files.deviceLog, start: isFirst ? 0 : fileSize(files.deviceLog)))
    }

    /// Bytes written so far.
    var size: Int { qemu.size + devices.size }

    /// Ends the logs where the next leg of the same process begins.
    fileprivate mutating func end(at next: LegLogs) {
        guard qemu.end == nil, qemu.path == next.qemu.path else { return }
        qemu.end = next.qemu.start
        devices.end = next.devices.start
    }
}

extension [MigrationRecord] {
    /// The records, with the logs of each leg ending where the logs of a later leg begin.
    func closed() -> [MigrationRecord] {
        indices.map { index in
            var record = self[index]
            for later in self[(index + 1)...] {
                for next in [later.sourceLogs, later.destinationLogs].compactMap({ $0 }) {
                    record.sourceLogs?.end(at: next)
                    record.destinationLogs?.end(at: next)
                }
            }
            return record
        }
    }
}

extension LogReader {
    /// Reads the lines of a slice.
    package init(_ slice: LogSlice) throws {
        let file = try SlicedFile(slice)
        self.init { try file.read(into: $0) }
    }
}

/// An open file, read between two offsets. Its deinit closes the file.
private final class SlicedFile {
    private let descriptor: Int32
    private let slice: LogSlice
    private var place: Int

    init(_ slice: LogSlice) throws {
        self.slice = slice
        place = slice.start
        descriptor = open(slice.path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Environment("\(slice.path): cannot be read: \(String(cString: strerror(errno)))") }
    }

    deinit { close(descriptor) }

    func read(into part: UnsafeMutableRawBufferPointer) throws -> Int {
        let most = min(part.count, (slice.end ?? .max) - place)
        guard most > 0 else { return 0 }
        let count = pread(descriptor, part.baseAddress, most, off_t(place))
        guard count >= 0 else { throw Environment("\(slice.path): cannot be read: \(String(cString: strerror(errno)))") }
        place += count
        return count
    }
}
