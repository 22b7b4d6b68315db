/// Following a trace log while QEMU writes it, for one event.
import Glibc
import Plan

/// Counts the lines of one event in a log that is still being written, at the speed of `strstr`: a source that waits logs
/// some 20 MB a second.
struct LogTail: ~Copyable {
    private let descriptor: Int32
    /// The name and the blank after it, or all of the line; before it stands a prefix's last byte, or the line's beginning.
    private let needle: [CChar]
    private var buffer = [CChar](repeating: 0, count: (256 << 10) + 1)
    /// Bytes at the buffer's start that may be the beginning of a name.
    private var kept = 0
    private var found = 0
    private var atFileStart = true

    /// Lines of the event; with this text alone, if one is given.
    init(_ slice: LogSlice, event: String, text: String? = nil) throws {
        descriptor = open(slice.path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0, lseek(descriptor, off_t(slice.start), SEEK_SET) >= 0 else {
            throw SideError("\(slice.path): cannot be read: \(String(cString: strerror(errno)))")
        }
        needle = Array((event + " " + (text.map { $0 + "\n" } ?? "")).utf8CString)
    }

    deinit { close(descriptor) }

    mutating func count() throws -> Int {
        while true {
            let (kept, room) = (kept, buffer.count - 1 - kept)
            let length = buffer.withUnsafeMutableBytes { read(descriptor, $0.baseAddress! + kept, room) }
            guard length >= 0 else { throw SideError("a log cannot be read: \(String(cString: strerror(errno)))") }
            guard length > 0 else { return found }
            search(kept + length)
        }
    }

    private mutating func search(_ filled: Int) {
        buffer[filled] = 0
        let separators: [CChar] = [0x20, 0x3a, 0x0a]
        let (needle, atFileStart) = (self.needle, self.atFileStart)
        found += buffer.withUnsafeBufferPointer { bytes in
            var (count, place) = (0, 0)
            while place < filled {
                guard let match = strstr(bytes.baseAddress! + place, needle) else {
                    // A NUL in the log ends the search early: go on behind it.
                    place += strlen(bytes.baseAddress! + place) + 1
                    continue
                }
                let start = match - UnsafeMutablePointer(mutating: bytes.baseAddress!)
                // At the start of a later read stands what the read before has judged, or a name's preceding byte.
                if start == 0 ? atFileStart : separators.contains(bytes[start - 1]) { count += 1 }
                place = start + needle.count - 1
            }
            return count
        }
        // A name that is cut, with the byte before it.
        let tail = min(needle.count - 1, filled)
        if filled >= needle.count - 1 { self.atFileStart = false }
        buffer.withUnsafeMutableBytes { $0.baseAddress!.copyMemory(from: $0.baseAddress! + filled - tail, byteCount: tail) }
        kept = tail
    }
}
