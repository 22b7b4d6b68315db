/// Takes the lines of a trace apart at their spaces.

/// A line whose fields are read one after the other.
struct TraceFields {
    var cursor: UnsafePointer<UInt8>
    let end: UnsafePointer<UInt8>
    private let start: UnsafePointer<UInt8>

    init(start: UnsafePointer<UInt8>?, length: Int) {
        // Without a line the address is never read.
        self.start = start ?? UnsafePointer(bitPattern: 8)!
        cursor = self.start
        end = self.start + length
    }

    var isAtEnd: Bool { cursor == end }

    /// The first 120 bytes of the line, as an error shows them.
    var shown: String {
        "`\(escaped(bytes: UnsafeBufferPointer(start: start, count: min(end - start, 120))))`"
    }

    static func quoted(_ text: String) -> String { "`\(escaped(String(String.UnicodeScalarView(text.unicodeScalars.prefix(120)))))`" }

    func begins(with text: StaticString) -> Bool {
        end - cursor >= text.utf8CodeUnitCount && equalBytes(cursor, text.utf8Start, text.utf8CodeUnitCount)
    }

    mutating func skip(_ text: StaticString) -> Bool {
        guard begins(with: text) else { return false }
        cursor += text.utf8CodeUnitCount
        return true
    }

    /// The text before the next space, which is skipped too; nil at the end of the line, and for text that is not UTF-8.
    var word: String? {
        mutating get {
            guard cursor < end else { return nil }
            let begin = cursor
            while cursor < end, cursor.pointee != 0x20 { cursor += 1 }
            let word = String(validating: UnsafeBufferPointer(start: begin, count: cursor - begin), as: UTF8.self)
            if cursor < end { cursor += 1 }
            return word
        }
    }

    /// The rest of the line; nil if it is not UTF-8.
    var rest: String? { String(validating: UnsafeBufferPointer(start: cursor, count: end - cursor), as: UTF8.self) }
}

extension TraceReader {
    mutating func nextLine(expecting what: String) throws {
        guard let line = try lines.next() else {
            let end = Position(line: position.line + 1, offset: lines.bytesRead)
            throw TraceError(kind: .truncated, position: end, reason: "expected \(what), found the end of the file; the trace was cut")
        }
        position = line.position
        fields = TraceFields(start: line.start, length: line.length)
        try check(line)
    }

    func check(_ line: LineScanner.Line) throws {
        if line.isOverlong { throw error(.oversized, "expected lines of at most \(LogReader.longestLine) bytes, found a longer one") }
        if line.hasCarriageReturn {
            throw error("expected LF alone at the end of the line, found CR LF; convert the file back (dos2unix)")
        }
        if let raw = firstControl(UnsafeBufferPointer(start: line.start, count: line.length)) {
            throw error("expected no raw control character but tab, found one at byte \(raw + 1) of \(fields.shown)")
        }
        if !line.isTerminated { throw error(.truncated, "expected a line end, found the end of the file; the trace was cut") }
    }

    mutating func expect(_ keyword: StaticString) throws {
        guard fields.skip(keyword), fields.isAtEnd || fields.cursor.pointee == 0x20 else {
            throw error("expected `\(keyword)`, found \(fields.shown)")
        }
    }

    mutating func number(_ what: String, atMost limit: Int) throws -> Int {
        if fields.cursor < fields.end, fields.cursor.pointee == 0x20 { fields.cursor += 1 }
        guard let word = fields.word, word.utf8.allSatisfy({ $0 &- 0x30 <= 9 }), let number = Int(word) else {
            throw error("expected \(what), found \(fields.shown)")
        }
        guard number <= limit else { throw error(.oversized, "expected \(what) of at most \(limit), found \(number)") }
        return number
    }

    func endOfLine() throws {
        guard fields.isAtEnd else { throw error("expected the end of the line, found \(fields.shown)") }
    }

    func error(_ kind: TraceError.Kind = .malformed, _ reason: String) -> TraceError {
        TraceError(kind: kind, position: position, reason: reason)
    }

    func error(_ reason: String) -> TraceError { error(.malformed, reason) }
}

/// The place of the first control character other than tab (C0, DEL, or C1 in UTF-8); nil if there is none.
func firstControl(_ bytes: UnsafeBufferPointer<UInt8>) -> Int? {
    var previous: UInt8 = 0
    for (place, byte) in bytes.enumerated() {
        if byte < 0x20 && byte != 0x09 || byte == 0x7F { return place }
        if previous == 0xC2 && byte < 0xA0 && byte >= 0x80 { return place - 1 }
        previous = byte
    }
    return nil
}
