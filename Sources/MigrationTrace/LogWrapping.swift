/// What wraps the lines of one log, as far as it has been read: the forms of the last event, and texts inside JSON or with colours.
struct LogWrapping: ~Copyable {
    /// Forms inside each other that are tried.
    static let mostForms = 4

    /// The forms of the last event, from the outside in; empty for lines of QEMU itself.
    var usual: [LogForm] = []
    /// False if the last line was taken out of JSON.
    private(set) var isPlain = true
    private let scratch = UnsafeMutablePointer<UInt8>.allocate(capacity: LogReader.longestLine)

    deinit { scratch.deallocate() }

    /// True if the program that wraps the lines writes them whole.
    var keepsLinesWhole: Bool { !isPlain || usual.contains(where: \.keepsLinesWhole) }

    /// True if lines are mostly wrapped, so that it does not pay to try them as they stand.
    var isUsual: Bool { !usual.isEmpty || !isPlain }

    func skipUsual(
        _ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>
    ) -> (start: UnsafePointer<UInt8>, process: UInt64)? {
        var (place, process) = (start, UInt64(0))
        for form in usual {
            guard let next = form.skip(place, end) else { return nil }
            place = next.inner
            if process == 0 { process = next.process }
        }
        return (place, process)
    }

    /// The line without JSON around it, without terminal colours, and without NULs before it, which a truncated file has.
    mutating func plain(
        _ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>
    ) -> (UnsafePointer<UInt8>, UnsafePointer<UInt8>) {
        if start < end, start.pointee == UInt8(ascii: "{"), let text = textOfJSON(start, end) {
            isPlain = false
            return text
        }
        isPlain = true
        guard contains(0x1B, start, end) || contains(0x0D, start, end) else { return (start, end) }
        return withoutEscapes(start, end)
    }

    private func contains(_ byte: UInt8, _ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>) -> Bool {
        UnsafeBufferPointer(start: start, count: end - start).contains(byte)
    }

    /// ESC [ parameters letter, ESC ] text BEL, and ESC with one letter are left out; so are carriage returns.
    private func withoutEscapes(
        _ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>
    ) -> (UnsafePointer<UInt8>, UnsafePointer<UInt8>) {
        var (cursor, count) = (start, 0)
        while cursor < end {
            let byte = cursor.pointee
            cursor += 1
            if byte == 0x0D { continue }
            guard byte == 0x1B else {
                scratch[count] = byte
                count += 1
                continue
            }
            guard cursor < end else { break }
            let kind = cursor.pointee
            cursor += 1
            if kind == UInt8(ascii: "[") {
                while cursor < end, !(0x40...0x7E ~= cursor.pointee) { cursor += 1 }
                if cursor < end { cursor += 1 }
            } else if kind == UInt8(ascii: "]") {
                while cursor < end, cursor.pointee != 0x07 { cursor += 1 }
                if cursor < end { cursor += 1 }
            }
        }
        return (UnsafePointer(scratch), UnsafePointer(scratch + count))
    }

    // MARK: JSON

    /// Keys under which programs write the line: journald, Docker, KubeVirt and others.
    private static let keys: [StaticString] = ["\"MESSAGE\"", "\"log\"", "\"msg\"", "\"message\"", "\"line\""]

    /// The text of the line in an object of JSON; nil if it has none.
    private func textOfJSON(
        _ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>
    ) -> (UnsafePointer<UInt8>, UnsafePointer<UInt8>)? {
        for key in Self.keys {
            let length = key.utf8CodeUnitCount
            var cursor = start
            while end - cursor > length {
                defer { cursor += 1 }
                guard cursor.pointee == UInt8(ascii: "\""), equalBytes(cursor, key.utf8Start, length) else { continue }
                var value = cursor + length
                while value < end, value.pointee == 0x20 { value += 1 }
                guard value < end, value.pointee == UInt8(ascii: ":") else { continue }
                value += 1
                while value < end, value.pointee == 0x20 { value += 1 }
                guard value < end, value.pointee == UInt8(ascii: "\"") else { continue }
                return string(value + 1, end)
            }
        }
        return nil
    }

    private func string(
        _ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>
    ) -> (UnsafePointer<UInt8>, UnsafePointer<UInt8>) {
        var (cursor, count) = (start, 0)
        func put(_ byte: UInt8) {
            scratch[count] = byte
            count += 1
        }
        while cursor < end, cursor.pointee != UInt8(ascii: "\"") {
            let byte = cursor.pointee
            cursor += 1
            guard byte == UInt8(ascii: "\\"), cursor < end else {
                put(byte)
                continue
            }
            let escaped = cursor.pointee
            cursor += 1
            switch escaped {
            case UInt8(ascii: "n"), UInt8(ascii: "r"): break
            case UInt8(ascii: "t"): put(0x09)
            case UInt8(ascii: "u"):
                guard end - cursor >= 4 else { return (UnsafePointer(scratch), UnsafePointer(scratch + count)) }
                let digits = String(decoding: UnsafeBufferPointer(start: cursor, count: 4), as: UTF8.self)
                cursor += 4
                let scalar = UInt32(digits, radix: 16).flatMap(Unicode.Scalar.init) ?? "\u{FFFD}"
                // An escaped character takes six bytes in JSON and at most three here.
                for unit in String(scalar).utf8 { put(unit) }
            default: put(escaped)
            }
        }
        while count > 0, scratch[count - 1] == 0x0D { count -= 1 }
        return (UnsafePointer(scratch), UnsafePointer(scratch + count))
    }
}
