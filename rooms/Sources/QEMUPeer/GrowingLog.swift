/// Following a log, as typed events, while a side writes it.
import Glibc
import MigrationTrace
import Plan

/// The whole lines of a log that have been written so far; asked again, those that have come since. A log that is not there yet has none.
final class GrowingLog {
    let stream: StreamName
    private let slice: LogSlice
    private var descriptor: Int32 = -1
    private var reader: LogReader?
    /// Bytes of which the line is known to have been read.
    private var place = 0

    init(_ stream: StreamName, _ slice: LogSlice) {
        self.stream = stream
        self.slice = slice
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// Bytes written so far.
    var size: Int { slice.size }

    /// Reads on, up to the line that begins before so many bytes, or to the last whole one: a log may grow faster than it is read. Stops
    /// when `isOver`.
    func read(upTo end: Int, unless isOver: () -> Bool, _ body: (Event, _ line: Int) -> Void) throws {
        if reader == nil {
            descriptor = open(slice.path, O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else {
                if errno == ENOENT { return }
                throw unreadable(slice.path)
            }
            guard lseek(descriptor, off_t(slice.start), SEEK_SET) >= 0 else { throw unreadable(slice.path) }
            let (descriptor, path) = (descriptor, slice.path)
            reader = LogReader(isGrowing: true) { part in
                let count = Glibc.read(descriptor, part.baseAddress, part.count)
                guard count >= 0 else { throw unreadable(path) }
                return count
            }
        }
        while place < end, !isOver(), let line = try reader?.next() {
            place = line.position.offset + 1
            if let event = line.event { body(event, line.position.line) }
        }
    }
}

private func unreadable(_ path: String) -> SideError { SideError("\(path): cannot be read: \(String(cString: strerror(errno)))") }
