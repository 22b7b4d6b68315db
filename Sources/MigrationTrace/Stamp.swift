/// The prefix of a log line: the time when the line was printed, and the thread that printed it, if the line tells them.
///
///     TID@SEC.USEC:                      10.0, -msg timestamp=on
///     YYYY-MM-DDTHH:MM:SS[.ffffff]Z      10.1 and later; no thread; the fraction is left out when it is 0
///     TID#SEQ@SEC.NSEC+SEC.NSEC:         the preload shim: sequence number, CLOCK_REALTIME, CLOCK_MONOTONIC
package struct Stamp: Hashable, Sendable {
    /// In nanoseconds since 1970, by the clock of the host. The clocks of two hosts may differ by any amount.
    package var realtime: Int64
    /// The host's thread id.
    package var thread: UInt32?
    /// The number of the line in the shim's log, from 1 without gaps.
    package var sequence: UInt64?
    /// In nanoseconds of the host's CLOCK_MONOTONIC.
    package var monotonic: Int64?

    package init(realtime: Int64, thread: UInt32? = nil, sequence: UInt64? = nil, monotonic: Int64? = nil) {
        self.realtime = realtime
        self.thread = thread
        self.sequence = sequence
        self.monotonic = monotonic
    }
}

/// The minute of the last time that was read, with its bytes: most lines have the same one.
struct LastMinute {
    /// `YYYY-MM-DDTHH:MM`
    private var bytes: (UInt64, UInt64) = (0, 0)
    /// In seconds since 1970.
    private(set) var seconds: Int64 = 0

    static let length = 16

    @inline(__always)
    private static func bytes(_ start: UnsafePointer<UInt8>) -> (UInt64, UInt64) {
        let raw = UnsafeRawPointer(start)
        return (raw.loadUnaligned(as: UInt64.self), raw.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
    }

    @inline(__always)
    func begins(_ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>) -> Bool {
        end - start > Self.length && Self.bytes(start) == bytes
    }

    mutating func keep(_ start: UnsafePointer<UInt8>, _ seconds: Int64) { (bytes, self.seconds) = (Self.bytes(start), seconds) }
}

/// Reads the prefix of a line.
struct StampReader {
    var cursor: UnsafePointer<UInt8>
    let end: UnsafePointer<UInt8>

    /// Reads the prefix and moves `cursor` past it. Returns nil and leaves `cursor` if the line has no prefix.
    mutating func read() -> Stamp? {
        var minute = LastMinute()
        return read(&minute)
    }

    /// The same, with the minute of the line before.
    @inline(__always)
    mutating func read(_ minute: inout LastMinute) -> Stamp? {
        let start = cursor
        guard cursor < end, cursor.pointee &- 0x30 <= 9 else { return nil }
        if let stamp = end - cursor > 4 && cursor[4] == UInt8(ascii: "-") ? calendar(&minute) : counted() { return stamp }
        cursor = start
        return nil
    }

    /// True if a time of QEMU's begins within a word between the places, or at the second one: a line was torn there.
    static func hasTimeWithinText(_ start: UnsafePointer<UInt8>, _ place: UnsafePointer<UInt8>) -> Bool {
        // What stands behind the digits of the year.
        let shape: StaticString = "dddd-dd-ddTdd:dd:dd."
        var cursor = start
        while cursor < place {
            cursor += 1
            let before = cursor[-1]
            guard before &- 0x30 <= 9 || (before | 0x20) &- 0x61 < 26 || [0x5F, 0x2D, 0x2E, 0x28, 0x29].contains(before) else { continue }
            var length = 0
            while length < shape.utf8CodeUnitCount {
                let wanted = shape.utf8Start[length]
                guard wanted == UInt8(ascii: "d") ? cursor[length] &- 0x30 <= 9 : cursor[length] == wanted else { break }
                length += 1
            }
            if length == shape.utf8CodeUnitCount { return true }
        }
        return false
    }

    /// One of the two forms that begin with a thread id.
    private mutating func counted() -> Stamp? {
        guard let thread = digits(atMost: 10), thread <= UInt64(UInt32.max) else { return nil }
        if skip("@") {
            guard let time = seconds(fraction: 6), skip(":") else { return nil }
            return Stamp(realtime: time, thread: UInt32(thread))
        }
        guard skip("#"), let sequence = digits(atMost: 18), skip("@"), let realtime = seconds(fraction: 9), skip("+"),
            let monotonic = seconds(fraction: 9), skip(":")
        else { return nil }
        return Stamp(realtime: realtime, thread: UInt32(thread), sequence: sequence, monotonic: monotonic)
    }

    private mutating func calendar(_ last: inout LastMinute) -> Stamp? {
        if last.begins(cursor, end) { cursor += LastMinute.length } else if !wholeMinute(&last) { return nil }
        guard skip(":"), let second = digits(exactly: 2), second <= 60 else { return nil }
        var nanoseconds: Int64 = 0
        if skip(".") {
            let start = cursor
            guard let fraction = digits(atMost: 9) else { return nil }
            nanoseconds = Int64(fraction)
            for _ in (cursor - start)..<9 { nanoseconds *= 10 }
        }
        guard skip("Z"), skip(" ") else { return nil }
        return Stamp(realtime: (last.seconds + second) * 1_000_000_000 + nanoseconds)
    }

    /// Reads `YYYY-MM-DDTHH:MM`.
    private mutating func wholeMinute(_ last: inout LastMinute) -> Bool {
        let start = cursor
        guard let year = digits(exactly: 4), skip("-"), let month = digits(exactly: 2), skip("-"), let day = digits(exactly: 2), skip("T"),
            let hour = digits(exactly: 2), skip(":"), let minute = digits(exactly: 2)
        else { return false }
        guard 1...12 ~= month, 1...31 ~= day, hour < 24, minute < 60, 1970...2200 ~= year else { return false }
        last.keep(start, daysSince1970(year, month, day) * 86400 + hour * 3600 + minute * 60)
        return true
    }

    /// Days of the Gregorian calendar, counted in years that begin in March.
    private func daysSince1970(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
        let shifted = month <= 2 ? year - 1 : year
        let monthFromMarch = (month + 9) % 12
        let dayOfYear = (153 * monthFromMarch + 2) / 5 + day - 1
        return shifted * 365 + shifted / 4 - shifted / 100 + shifted / 400 + dayOfYear - 719_468
    }

    private mutating func seconds(fraction: Int) -> Int64? {
        guard let seconds = digits(atMost: 10), seconds < 9_223_372_036, skip("."), let part = digits(exactly: fraction) else { return nil }
        return Int64(seconds) * 1_000_000_000 + (fraction == 6 ? part * 1000 : part)
    }

    @inline(__always)
    private mutating func skip(_ character: Unicode.Scalar) -> Bool {
        guard cursor < end, cursor.pointee == UInt8(ascii: character) else { return false }
        cursor += 1
        return true
    }

    @inline(__always)
    private mutating func digits(atMost limit: Int) -> UInt64? {
        var value: UInt64 = 0
        let start = cursor
        while cursor < end, cursor.pointee &- 0x30 <= 9 {
            if cursor - start == limit { return nil }
            value = value &* 10 &+ UInt64(cursor.pointee &- 0x30)
            cursor += 1
        }
        return cursor == start ? nil : value
    }

    @inline(__always)
    private mutating func digits(exactly count: Int) -> Int64? {
        guard end - cursor >= count else { return nil }
        var value: Int64 = 0
        for offset in 0..<count {
            let digit = cursor[offset] &- 0x30
            if digit > 9 { return nil }
            value = value &* 10 &+ Int64(digit)
        }
        cursor += count
        return value
    }
}
