/// A line of `scripts/simpletrace.py`, which prints the records of the trace backend `simple`, as the log backend prints the event.
///
///     migrate_set_state 12.345 pid=4242 new_state=b'active'
///     NAME MICROSECONDS-SINCE-THE-LAST-RECORD pid=PID ARGUMENT=VALUE ...
///
/// The values come in the order of the event's format; numbers are hexadecimal, of 64 bits, and texts may be those of Python.

enum SimpleTraceLine {
    /// By name: the parts between the values of each form, and how each value is printed.
    private static let formats: [String: [[(literal: [UInt8], kind: UInt8?)]]] = {
        var formats: [String: [[(literal: [UInt8], kind: UInt8?)]]] = [:]
        for form in Event.vocabulary { formats[form.name, default: []].append(parts(form.format)) }
        return formats
    }()

    /// `kind` is the letter behind `%`; nil at the end of the format.
    private static func parts(_ format: String) -> [(literal: [UInt8], kind: UInt8?)] {
        var parts: [(literal: [UInt8], kind: UInt8?)] = []
        var literal: [UInt8] = []
        var bytes = format.utf8.makeIterator()
        while let byte = bytes.next() {
            if byte == UInt8(ascii: "%"), let kind = bytes.next() {
                parts.append((literal, kind))
                literal = []
            } else {
                literal.append(byte)
            }
        }
        parts.append((literal, nil))
        return parts
    }

    /// The line as the log backend prints each form of the event that has as many values; empty for any other line. The process tells which
    /// QEMU it was.
    static func lines(_ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>) -> (lines: [[UInt8]], process: UInt64) {
        let line = UnsafeBufferPointer(start: start, count: end - start)
        var words = line.split(separator: 0x20, maxSplits: 3, omittingEmptySubsequences: false)[...]
        let pid = Array("pid=".utf8)
        guard words.count >= 3, words[2].starts(with: pid), words[1].contains(UInt8(ascii: ".")),
            words[1].allSatisfy({ $0 &- 0x30 <= 9 || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-") })
        else { return ([], 0) }
        let name = Array(words[0])
        let process = contentHash(line.baseAddress! + words[2].startIndex, words[2].count)
        words = words.dropFirst(3)
        guard let values = values(words.first.map(Array.init) ?? []) else { return ([], process) }
        let forms = formats[String(decoding: name, as: UTF8.self)] ?? []
        return (forms.compactMap { printed(name, $0, values) }, process)
    }

    /// The values of `NAME=VALUE NAME=VALUE`; nil if the text has another form.
    private static func values(_ text: [UInt8]) -> [[UInt8]]? {
        var values: [[UInt8]] = []
        var rest = text[...]
        while !rest.isEmpty {
            guard let equals = rest.firstIndex(of: UInt8(ascii: "=")), equals > rest.startIndex else { return nil }
            rest = rest[(equals + 1)...]
            if rest.starts(with: [UInt8(ascii: "b"), UInt8(ascii: "'")]) || rest.starts(with: [UInt8(ascii: "b"), UInt8(ascii: "\"")]) {
                let quote = rest[rest.startIndex + 1]
                let value = rest.dropFirst(2)
                guard let last = value.indices.first(where: { value[$0] == quote && ($0 + 1 == value.endIndex || value[$0 + 1] == 0x20) })
                else { return nil }
                values.append(Array(value[..<last]))
                rest = value[(last + 1)...].dropFirst()
            } else {
                // A text without quotes may have spaces: it goes on to the next name.
                var last = rest.firstIndex(of: 0x20) ?? rest.endIndex
                while last < rest.endIndex, !beginsName(rest[(last + 1)...]) {
                    last = rest[(last + 1)...].firstIndex(of: 0x20) ?? rest.endIndex
                }
                values.append(Array(rest[..<last]))
                rest = rest[last...].dropFirst()
            }
        }
        return values
    }

    private static func beginsName(_ text: ArraySlice<UInt8>) -> Bool {
        let name = text.prefix { ($0 | 0x20) &- 0x61 < 26 || $0 &- 0x30 <= 9 || $0 == UInt8(ascii: "_") }
        return !name.isEmpty && name.endIndex < text.endIndex && text[name.endIndex] == UInt8(ascii: "=")
    }

    private static func printed(_ name: [UInt8], _ format: [(literal: [UInt8], kind: UInt8?)], _ values: [[UInt8]]) -> [UInt8]? {
        guard format.count == values.count + 1 else { return nil }
        var line = name + [0x20]
        for (place, part) in format.enumerated() {
            line += part.literal
            guard let kind = part.kind else { break }
            let value = values[place]
            guard kind != UInt8(ascii: "s") else {
                line += value
                continue
            }
            guard value.starts(with: [UInt8(ascii: "0"), UInt8(ascii: "x")]), value.count <= 18,
                let number = UInt64(String(decoding: value.dropFirst(2), as: UTF8.self), radix: 16)
            else { return nil }
            switch kind {
            case UInt8(ascii: "x"): line += Array(String(number, radix: 16).utf8)
            case UInt8(ascii: "d"): line += Array(String(Int64(bitPattern: number)).utf8)
            default: line += Array(String(number).utf8)
            }
        }
        return line
    }
}
