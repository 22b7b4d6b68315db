/// Prefixes that no row of `LogForm.all` describes: of a line with a known event behind one, the form is concluded from the prefix itself.

extension LogForm {
    /// In bytes; a longer text is no prefix.
    private static let longestPrefix = 256

    /// The form of the bytes before a line: as many words, and the same character right before the line. nil if they cannot be a prefix.
    static func learned(_ start: UnsafePointer<UInt8>, _ line: UnsafePointer<UInt8>) -> LogForm? {
        guard 2...longestPrefix ~= line - start else { return nil }
        var parts: [Part] = []
        var cursor = start
        while cursor < line {
            if cursor.pointee == 0x20 || cursor.pointee == 0x09 {
                while cursor < line, cursor.pointee == 0x20 || cursor.pointee == 0x09 { cursor += 1 }
                parts.append(.spaces)
                continue
            }
            let word = cursor
            while cursor < line, cursor.pointee > 0x20, cursor.pointee != 0x7F { cursor += 1 }
            guard cursor > word else { return nil }
            if cursor < line {
                parts.append(.word(isProcess: parts.isEmpty && tellsProcess(word, cursor, line), until: 0x20))
                continue
            }
            // The line begins right behind the word, so the word ends with a mark of its own.
            let mark = line[-1]
            guard !isNameByte(mark), mark < 0x80 else { return nil }
            guard append(word, line, mark, &parts) else { return nil }
        }
        let shown = String(decoding: UnsafeBufferPointer(start: start, count: min(line - start, 40)), as: UTF8.self)
        return LogForm("a prefix such as '\(escaped(shown))'", parts: parts)
    }

    /// The parts of a word with the mark at its end, and perhaps in it.
    private static func append(
        _ word: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>, _ mark: UInt8, _ parts: inout [Part]
    ) -> Bool {
        var cursor = word
        while cursor < end {
            let piece = cursor
            while cursor < end, cursor.pointee != mark { cursor += 1 }
            if cursor > piece { parts.append(.word(isProcess: parts.isEmpty && piece.pointee == UInt8(ascii: "["), until: mark)) }
            guard cursor < end else { return false }
            parts.append(.byte(mark))
            cursor += 1
        }
        return true
    }

    /// True if the prefix's first word names the log or the process that the line is of, as a tag in brackets, the name of a file, or the
    /// pod of `POD CONTAINER ` (stern) do: lines of several are told apart by it.
    private static func tellsProcess(
        _ word: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>, _ line: UnsafePointer<UInt8>
    ) -> Bool {
        let text = String(decoding: UnsafeBufferPointer(start: word, count: end - word), as: UTF8.self)
        if text.hasPrefix("["), text.hasSuffix("]") { return text.contains { $0.isLetter } }
        if text.hasSuffix(".log") || text.hasSuffix(".log:") { return true }
        let whole = String(decoding: UnsafeBufferPointer(start: word, count: line - word), as: UTF8.self)
        let words = whole.split(separator: " ")
        return words.count == 2 && text.contains("-")
            && words.allSatisfy { word in
                word.allSatisfy { $0.isASCII && ($0.isLowercase || $0.isNumber || $0 == "-" || $0 == ".") } && word.first!.isLetter
            }
    }
}

/// What an unknown prefix was found to be, until it is seen to be one.
struct PrefixCandidate {
    private var form: LogForm?
    private var count = 0
    /// A log whose first events are behind a prefix has them all behind it; in the middle of a log, as many lines in a row show one.
    private static let enough = 3

    /// True if the form is taken for that of the log's lines.
    mutating func add(_ found: LogForm, isFirst: Bool) -> Bool {
        count = form?.parts == found.parts ? count + 1 : 1
        form = found
        return isFirst || count >= Self.enough
    }

    /// A line without the prefix was read.
    mutating func forget() { if form != nil { (form, count) = (nil, 0) } }
}

@inline(__always)
func isNameByte(_ byte: UInt8) -> Bool {
    (byte | 0x20) &- 0x61 < 26 || byte &- 0x30 <= 9 || byte == UInt8(ascii: "_")
}
