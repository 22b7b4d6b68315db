/// The part of a process's logs that one leg wrote: a process may migrate more than once.
import Glibc
import MigrationTrace
import Plan

extension LogSlice {
    /// Bytes written so far, from its start on.
    var size: Int { fileSize(path) - start }
}

extension LegLogs {
    /// From here on; from their beginning, if it is the process's first migration.
    init(_ files: SideFiles, isFirst: Bool) {
        self.init(
            qemu: LogSlice(path: files.log, start: isFirst ? 0 : fileSize(files.log)),
            devices: LogSlice(path: files.deviceLog, start: isFirst ? 0 : fileSize(files.deviceLog)))
    }

    /// Bytes written so far.
    var size: Int { qemu.size + devices.size }

    /// They end where the next leg of the same process begins.
    fileprivate mutating func end(at next: LegLogs) {
        guard qemu.end == nil, qemu.path == next.qemu.path else { return }
        qemu.end = next.qemu.start
        devices.end = next.devices.start
    }
}

extension [MigrationRecord] {
    /// The records, with the logs of each leg ending where a later one's begin.
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

/// A file open between two places of it. Closed with its last owner.
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

private func fileSize(_ path: String) -> Int {
    var status = stat()
    return stat(path, &status) == 0 ? Int(status.st_size) : 0
}
