/// What wraps the lines of one log, as far as it has been read: the forms of the last event, and texts inside JSON or with colours.
struct LogWrapping: ~Copyable {
    /// Forms inside each other that are tried.
    static let mostForms = 4

    /// In bytes, before an object of JSON.
    private static let longestPrefix = 256

    /// The process that the wrapper of the last line tells; 0 if it tells none.
    private(set) var process: UInt64 = 0
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

    /// The line without JSON around it and what stands before that, without terminal colours, and without carriage returns.
    mutating func plain(
        _ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>
    ) -> (UnsafePointer<UInt8>, UnsafePointer<UInt8>) {
        process = 0
        isPlain = true
        var (start, end) = (start, end)
        // The text of a container's log may be JSON again.
        for _ in 0..<Self.mostForms {
            guard let object = beginningOfJSON(start, end), let text = textOfJSON(object, end) else { break }
            if process == 0 { process = LogForm.all.lazy.compactMap { $0.skip(start, object)?.process }.first { $0 != 0 } ?? 0 }
            if process == 0, let id = value(of: "\"_PID\"", object, end) { process = contentHash(id.start, id.end - id.start) }
            isPlain = false
            (start, end) = text
        }
        guard contains(0x1B, start, end) || contains(0x0D, start, end) else { return (start, end) }
        return withoutEscapes(start, end)
    }

    /// The brace of an object that ends with the line.
    private func beginningOfJSON(_ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>) -> UnsafePointer<UInt8>? {
        var last = end
        while last > start, last[-1] <= 0x20 { last -= 1 }
        guard last > start, last[-1] == UInt8(ascii: "}") else { return nil }
        var cursor = start
        while last - cursor > 2, cursor - start < Self.longestPrefix {
            if cursor.pointee == UInt8(ascii: "{"), cursor[1] == UInt8(ascii: "\"") { return cursor }
            cursor += 1
        }
        return nil
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
    private static let keys: [StaticString] = [
        "\"MESSAGE\"", "\"log\"", "\"msg\"", "\"message\"", "\"line\"", "\"@message\"", "\"textPayload\"", "\"_raw\"", "\"body\"",
        "\"full_message\"", "\"short_message\"",
    ]

    /// The text of the line in an object of JSON; nil if it has none.
    private func textOfJSON(
        _ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>
    ) -> (UnsafePointer<UInt8>, UnsafePointer<UInt8>)? {
        for key in Self.keys {
            guard let value = value(of: key, start, end) else { continue }
            // journald writes a text that is not all printable as an array of its bytes.
            return value.start.pointee == UInt8(ascii: "[") ? bytes(value.start + 1, end) : string(value.start, end)
        }
        return nil
    }

    /// Where the key's text begins, behind its quote, and where it ends; or where its array begins.
    private func value(
        of key: StaticString, _ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>
    ) -> (start: UnsafePointer<UInt8>, end: UnsafePointer<UInt8>)? {
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
            guard end - value > 1 else { continue }
            if value.pointee == UInt8(ascii: "[") { return (value, end) }
            guard value.pointee == UInt8(ascii: "\"") else { continue }
            var last = value + 1
            while last < end, last.pointee != UInt8(ascii: "\"") { last += 1 }
            return (value + 1, last)
        }
        return nil
    }

    private func bytes(
        _ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>
    ) -> (UnsafePointer<UInt8>, UnsafePointer<UInt8>)? {
        var (cursor, count, number, digits) = (start, 0, 0, 0)
        while cursor < end {
            let byte = cursor.pointee
            cursor += 1
            if byte &- 0x30 <= 9 {
                number = number * 10 + Int(byte &- 0x30)
                digits += 1
                guard digits <= 3, number <= 255 else { return nil }
            } else if byte == UInt8(ascii: ",") || byte == UInt8(ascii: "]") {
                if digits > 0 {
                    scratch[count] = UInt8(number)
                    count += 1
                }
                (number, digits) = (0, 0)
                if byte == UInt8(ascii: "]") { return (UnsafePointer(scratch), UnsafePointer(scratch + count)) }
            } else if byte != 0x20 {
                return nil
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
