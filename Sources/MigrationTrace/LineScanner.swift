/// Cuts an input of any size into lines, in one buffer of fixed size.
import Glibc

struct LineScanner: ~Copyable {
    /// A line; its bytes are valid until the next call of `next`.
    struct Line {
        var position: Position
        var start: UnsafePointer<UInt8>
        /// In bytes, without the line end (LF or CR LF).
        var length: Int
        /// True if the line is longer than `longestLine`; `start` and `length` are then those of its beginning.
        var isOverlong = false
        /// False if the input ended before a line end, so that the line may be cut.
        var isTerminated: Bool
        /// True if the line ends with CR LF.
        var hasCarriageReturn = false
    }

    private static let capacity = 256 * 1024

    private(set) var bytesRead = 0
    private(set) var lineCount = 0
    private let longestLine: Int
    /// True if the input may grow: `next` returns nil for a line without its end, and reads on when it is called again.
    private let isGrowing: Bool
    private let input: LogReader.Input
    private let buffer: UnsafeMutablePointer<UInt8>
    private var place = 0
    private var scanned = 0
    private var limit = 0
    private var consumed = 0
    private var atEnd = false

    /// `longestLine` is in bytes and at most half of the buffer.
    init(longestLine: Int, isGrowing: Bool = false, _ input: @escaping LogReader.Input) {
        precondition(longestLine <= Self.capacity / 2)
        self.longestLine = longestLine
        self.isGrowing = isGrowing
        self.input = input
        buffer = .allocate(capacity: Self.capacity)
    }

    init(longestLine: Int, _ bytes: [UInt8]) {
        var next = 0
        self.init(longestLine: longestLine) { part in
            let count = Swift.min(part.count, bytes.count - next)
            part.copyBytes(from: bytes[next..<next + count])
            next += count
            return count
        }
    }

    deinit { buffer.deallocate() }

    /// The next line; nil at the end of the input. Throws only the errors of the input.
    mutating func next() throws -> Line? {
        while true {
            if let end = lineEnd(from: scanned, to: limit) { return line(to: end, next: end + 1, isTerminated: true) }
            scanned = limit
            if atEnd && isGrowing {
                atEnd = false
                return nil
            }
            if atEnd { return place < limit ? line(to: limit, next: limit, isTerminated: false) : nil }
            if limit - place > longestLine { return try overlongLine() }
            try fill()
        }
    }

    private mutating func line(to end: Int, next: Int, isTerminated: Bool) -> Line {
        lineCount += 1
        let position = Position(line: lineCount, offset: consumed + place)
        let start = UnsafePointer(buffer + place)
        var length = end - place
        place = next
        scanned = next
        if length > longestLine {
            return Line(position: position, start: start, length: longestLine, isOverlong: true, isTerminated: isTerminated)
        }
        let hasCarriageReturn = length > 0 && start[length - 1] == 0x0D
        if hasCarriageReturn { length -= 1 }
        return Line(
            position: position, start: start, length: length, isTerminated: isTerminated, hasCarriageReturn: hasCarriageReturn)
    }

    /// Skips a line that is too long, and returns its first 256 bytes.
    private mutating func overlongLine() throws -> Line {
        lineCount += 1
        let position = Position(line: lineCount, offset: consumed + place)
        let kept = 256
        if place > 0 { try fill() }
        var isTerminated = false
        while true {
            if let end = lineEnd(from: scanned, to: limit) {
                place = end + 1
                isTerminated = true
                break
            }
            // Everything but the beginning makes room for the bytes that follow.
            consumed += limit - kept
            limit = kept
            scanned = kept
            if atEnd {
                place = limit
                break
            }
            try fill()
        }
        scanned = place
        return Line(position: position, start: UnsafePointer(buffer), length: kept, isOverlong: true, isTerminated: isTerminated)
    }

    private mutating func fill() throws {
        if place > 0 {
            buffer.update(from: buffer + place, count: limit - place)
            consumed += place
            limit -= place
            scanned -= place
            place = 0
        }
        let count = try input(UnsafeMutableRawBufferPointer(start: buffer + limit, count: Self.capacity - limit))
        if count == 0 { atEnd = true }
        limit += count
        bytesRead += count
    }

    @inline(__always)
    private func lineEnd(from start: Int, to end: Int) -> Int? {
        guard end > start, let found = memchr(buffer + start, 0x0A, end - start) else { return nil }
        return found - UnsafeMutableRawPointer(buffer)
    }
}
