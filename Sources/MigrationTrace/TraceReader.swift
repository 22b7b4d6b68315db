/// Reads a trace, item by item, in bounded memory; and refuses one that is not whole.
///
/// The format is that of Traces/FORMAT.md. A trace that was cut, edited to another count, or is something else
/// altogether is an error with its place: a reader that took half a trace would pass what it never saw.

/// Why a file is not a trace.
package struct TraceError: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Kind: String, Hashable, Sendable {
        case empty
        case foreign
        case unknownVersion
        /// The end is missing.
        case truncated
        case malformed
        /// A count does not agree with what is there.
        case wrongCount
        /// More than a trace may hold.
        case oversized
        /// A fold within a fold.
        case nested
    }

    package var kind: Kind
    package var position: Position
    package var reason: String

    package var description: String { "\(position): \(reason)" }
}

package struct TraceReader: ~Copyable {
    package enum Item: Hashable, Sendable {
        case header(TraceHeader)
        case stream(StreamName, count: Int)
        case fold(Fold)
        case edge(ContentEdge)
    }

    /// The most repetitions of a block, and the most entries of a stream.
    package static let mostRepetitions = 1 << 40
    package static let mostEntries = 1 << 48
    /// The most lines before the first stream.
    package static let mostHeaderLines = 16 * 1024

    private enum Part {
        case start
        /// At the beginning of the stream of this index, and within it.
        case streamBegins(Int)
        case stream(Int)
        case edges(left: Int)
        case end
        case finished
    }

    private var lines: LineScanner
    private let table = EventTable()
    private let names = NameTable()
    private var part = Part.start
    private var position = Position(line: 1, offset: 0)
    private var counts = [Int](repeating: 0, count: StreamName.allCases.count)
    private var declared = 0
    private var epoch: Int64?
    private var edgeCount = 0
    private var fields = Fields(start: nil, length: 0)

    package init(_ input: @escaping LogReader.Input) {
        lines = LineScanner(longestLine: LogReader.longestLine, input)
    }

    package init(_ bytes: [UInt8]) {
        lines = LineScanner(longestLine: LogReader.longestLine, bytes)
    }

    /// The next item; nil when the trace was read to its end and is whole. Throws `TraceError`, and the input's errors.
    package mutating func next() throws -> Item? {
        switch part {
        case .start: return try .header(header())
        case .streamBegins(let index):
            try nextLine(expecting: "an entry, a stream or the edges")
            part = .stream(index)
            return .stream(StreamName.allCases[index], count: declared)
        case .stream(let index): return try streamItem(index)
        case .edges(let left):
            if left == 0 {
                part = .end
                return try next()
            }
            let edge = try edge()
            part = .edges(left: left - 1)
            return .edge(edge)
        case .end:
            try end()
            part = .finished
            return nil
        case .finished: return nil
        }
    }

    // MARK: Header

    private mutating func header() throws -> TraceHeader {
        guard let first = try lines.next() else {
            throw TraceError(kind: .empty, position: position, reason: "expected a trace, found an empty file; record it again")
        }
        position = first.position
        fields = Fields(start: first.start, length: first.length)
        guard !first.isOverlong, fields.skip("ackmatrix-trace ") else {
            throw error(.foreign, "expected the first line `ackmatrix-trace 1`, found \(fields.shown); a log of QEMU's is read as a log")
        }
        let version = fields.rest
        guard version == "1" else {
            throw error(
                .unknownVersion,
                "expected format version 1, found \(Fields.quoted(version ?? "")); read it with the ackmatrix that wrote it")
        }
        try check(first)

        var header = TraceHeader()
        try nextLine(expecting: "cell")
        header.cell = try value("cell")
        try nextHeaderLine()
        header.outcome = try value("outcome")
        try nextHeaderLine()
        let duration = try value("duration")
        if duration != "-" {
            guard let nanoseconds = UInt64(duration) else {
                throw error("expected a duration in nanoseconds or `-`, found \(Fields.quoted(duration))")
            }
            header.duration = nanoseconds
        }
        try nextHeaderLine()
        try judgement(into: &header)
        try expect("side source")
        try endOfLine()
        try nextLine(expecting: "name")
        header.source = try side(until: "side")
        try expect("side destination")
        try endOfLine()
        try nextLine(expecting: "name")
        header.destination = try side(until: "stream")
        try beginStream(0)
        return header
    }

    /// What is there only where something was still armed, or where the migration was judged.
    private mutating func judgement(into header: inout TraceHeader) throws {
        if fields.begins(with: "armed") {
            header.armed = try value("armed")
            try nextHeaderLine()
        }
        if fields.begins(with: "verdict") {
            header.verdict = try value("verdict")
            try nextHeaderLine()
        }
        while fields.begins(with: "broken") {
            let rule = try value("broken")
            guard !header.broken.contains(rule) else { throw error("expected each broken rule once, found \(Fields.quoted(rule)) again") }
            header.broken.append(rule)
            try nextHeaderLine()
        }
    }

    /// The value of a header line.
    private mutating func value(_ keyword: StaticString) throws -> String {
        try expect(keyword)
        guard fields.skip(" ") || fields.isAtEnd, let raw = fields.rest else {
            throw error("expected `\(keyword) TEXT`, found \(fields.shown)")
        }
        return try unescaped(raw)
    }

    private mutating func nextHeaderLine() throws {
        try nextLine(expecting: "the rest of the header")
        if position.line > Self.mostHeaderLines {
            throw error(
                .oversized, "expected the first stream within \(Self.mostHeaderLines) lines of header, found more; the file is damaged")
        }
    }

    private mutating func side(until next: StaticString) throws -> TraceSide {
        var side = TraceSide()
        side.name = try value("name")
        try nextHeaderLine()
        side.version = try value("version")
        try nextHeaderLine()
        side.machine = try value("machine")
        try nextHeaderLine()
        while !fields.begins(with: next) {
            guard let keyword = fields.word else { throw error("expected a line of a side, found \(fields.shown)") }
            switch keyword {
            case "feature": side.features.append(try setting())
            case "capability":
                let capability = try setting()
                guard capability.value == "on" || capability.value == "off" else {
                    throw error("expected a capability to be on or off, found \(Fields.quoted(capability.value))")
                }
                side.capabilities.append(capability)
            case "property": side.properties.append(try setting())
            case "argument": side.commandLine.append(try unescaped(fields.rest ?? ""))
            case "device":
                let device = try setting()
                side.devices.append(TraceDevice(name: device.name, idstr: device.value))
            case "script":
                guard !side.devices.isEmpty else { throw error("expected a device before its script") }
                side.devices[side.devices.count - 1].script.append(try unescaped(fields.rest ?? ""))
            case "unknown":
                guard let name = fields.word, let kind = UnknownLine(rawValue: name), side.unknown[kind] == 0 else {
                    throw error("expected a kind of unknown lines, once, found \(fields.shown)")
                }
                side.unknown[kind] = try number("a count of lines", atMost: Self.mostEntries)
                try endOfLine()
            default:
                throw error("expected a line of a side or `\(next)`, found \(fields.shown)")
            }
            try nextHeaderLine()
        }
        return side
    }

    private mutating func setting() throws -> Setting {
        guard let name = fields.word, !name.isEmpty, let value = fields.rest else {
            throw error("expected a name and a value, found \(fields.shown)")
        }
        return try Setting(unescaped(name), unescaped(value))
    }

    private func unescaped(_ text: String) throws -> String {
        guard text.utf8.contains(UInt8(ascii: "\\")) else { return text }
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "\\") else {
                bytes.append(byte)
                continue
            }
            if rest.first == UInt8(ascii: "\\") {
                bytes.append(rest.removeFirst())
            } else if rest.popFirst() == UInt8(ascii: "x"), rest.count >= 2, let code = UInt8(Substring(rest.prefix(2)), radix: 16) {
                bytes.append(code)
                rest = rest.dropFirst(2)
            } else {
                throw error("expected `\\\\` or `\\xHH` after a backslash, found \(Fields.quoted(text))")
            }
        }
        guard let value = String(validating: bytes, as: UTF8.self) else { throw error("expected UTF-8, found \(Fields.quoted(text))") }
        return value
    }

    // MARK: Streams

    private mutating func beginStream(_ index: Int) throws {
        let name = StreamName.allCases[index]
        try expect("stream")
        guard fields.skip(" "), fields.word == name.rawValue else {
            throw error("expected `stream \(name.rawValue) COUNT EPOCH`, found \(fields.shown)")
        }
        declared = try number("a count of entries", atMost: Self.mostEntries)
        epoch = nil
        epoch = try time(relative: false)
        try endOfLine()
        part = .streamBegins(index)
    }

    private mutating func streamItem(_ index: Int) throws -> Item? {
        if fields.begins(with: "stream ") || fields.begins(with: "edges ") {
            guard counts[index] == declared else {
                throw error(
                    .wrongCount,
                    "expected \(declared) entries of \(StreamName.allCases[index].rawValue), found \(counts[index]); entries are missing "
                        + "or were added"
                )
            }
            if index + 1 < StreamName.allCases.count { try beginStream(index + 1) } else { try beginEdges() }
            return try next()
        }
        let place = position
        let fold: Fold
        if fields.begins(with: "repeat ") {
            fold = try repeated()
        } else {
            fold = .once(try entry(repetitions: nil).first)
            try nextLine(expecting: "an entry, a stream or the edges")
        }
        counts[index] += fold.count
        guard counts[index] <= declared else {
            let reason = "expected \(declared) entries of \(StreamName.allCases[index].rawValue), found more; they end here"
            throw TraceError(kind: .wrongCount, position: place, reason: reason)
        }
        return .fold(fold)
    }

    private mutating func repeated() throws -> Fold {
        _ = fields.skip("repeat ")
        let count = try number("a count of repetitions", atMost: Self.mostRepetitions)
        let length = try number("a count of entries", atMost: Self.mostEntries)
        try endOfLine()
        guard count >= 2 else { throw error("expected 2 repetitions or more, found \(count)") }
        guard 1...Folder.longestBlock ~= length else {
            throw error(.oversized, "expected a block of 1 to \(Folder.longestBlock) entries, found \(length)")
        }
        var block: [FoldedEntry] = []
        for _ in 0..<length {
            try nextLine(expecting: "an entry of the repeated block")
            if fields.begins(with: "repeat ") {
                throw error(.nested, "expected an entry of the repeated block, found another fold; folds do not nest")
            }
            let entry = try entry(repetitions: count)
            if entry.step != .zero, count < 3 { throw error("expected 3 repetitions or more of a block with steps, found \(count)") }
            block.append(entry)
        }
        try nextLine(expecting: "an entry, a stream or the edges")
        return .times(count, block)
    }

    private mutating func entry(repetitions: Int?) throws -> FoldedEntry {
        guard let keyword = fields.word, keyword == "e" || keyword == "i" || keyword == "m" else {
            throw error("expected an entry (`e`, `i` or `m`), found \(fields.shown)")
        }
        let thread = try thread()
        let first = try time(relative: true)
        let last = repetitions == nil ? nil : try time(relative: true)
        let steps = repetitions == nil ? "=" : fields.word ?? ""
        let record: Record
        if keyword == "m" {
            guard let text = fields.rest, let message = Message(line: text) else {
                throw error("expected `PROGRAM: TEXT`, found \(fields.shown)")
            }
            record = .message(message)
        } else {
            let event = try event()
            guard event.isInjected == (keyword == "i") else {
                throw error(
                    "expected `\(event.isInjected ? "i" : "e")` before \(event.name), found `\(keyword)`; only what a device script did "
                        + "is injected"
                )
            }
            if case .role(let role) = thread, role != event.thread {
                throw error("expected thread \(event.thread.rawValue) for \(event.name), found \(role.rawValue)")
            }
            record = .event(event)
        }
        let entry = Entry(thread: thread, time: first, record: record)
        return try FoldedEntry(first: entry, lastTime: last, step: step(steps, of: record, repetitions: repetitions ?? 1))
    }

    /// `=`, or a step for each number of the event.
    private func step(_ text: String, of record: Record, repetitions: Int) throws -> EventNumbers {
        if text == "=" { return .zero }
        guard case .event(let event) = record else { throw error("expected the step `=` for a message, found \(Fields.quoted(text))") }
        let (values, count) = event.numbers
        let steps = text.utf8.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false).map { Int64(Substring($0)) }
        guard steps.count == count, !steps.contains(nil) else {
            throw error("expected `=` or a step for each of the \(count) numbers of \(event.name), found \(Fields.quoted(text))")
        }
        var step = EventNumbers.zero
        for (place, value) in steps.enumerated() { step[place] = value ?? 0 }
        let last = values &+ step &* EventNumbers(repeating: Int64(repetitions - 1))
        guard step != .zero, event.replacing(last).numbers.values == last else {
            throw error("expected steps that lead to numbers \(event.name) can hold, found \(Fields.quoted(text)) \(repetitions) times")
        }
        return step
    }

    private mutating func event() throws -> Event {
        let start = fields.cursor
        while fields.cursor < fields.end, fields.cursor.pointee != 0x20 { fields.cursor += 1 }
        let text = fields.isAtEnd ? fields.end : fields.cursor + 1
        switch table.read(name: start, length: fields.cursor - start, text: text, end: fields.end, names: names) {
        case .event(let event): return event
        case .unknownName: throw error("expected a known event, found \(fields.shown); was it written by a newer ackmatrix?")
        case .malformed: throw error("expected a text of this event as QEMU prints it, found \(fields.shown)")
        }
    }

    private mutating func thread() throws -> EntryThread {
        guard let word = fields.word else { throw error("expected a thread, found \(fields.shown)") }
        if word.utf8.count == 1, let role = ThreadRole(rawValue: word.first!) { return .role(role) }
        guard let id = UInt32(word) else { throw error("expected a thread id or one of M T R L Q *, found \(Fields.quoted(word))") }
        return .id(id)
    }

    /// `-`, or seconds with nine digits behind the point.
    private mutating func time(relative: Bool) throws -> Int64? {
        guard let word = fields.word else { throw error("expected a time, found \(fields.shown)") }
        if word == "-" { return nil }
        let negative = word.hasPrefix("-")
        let parts = word.utf8.dropFirst(negative ? 1 : 0).split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        let allDigits = parts.allSatisfy { $0.allSatisfy { $0 &- 0x30 <= 9 } }
        guard allDigits, parts.count == 2, parts[1].count == 9, let seconds = Int64(Substring(parts[0])),
            let part = Int64(Substring(parts[1])),
            seconds < 9_223_372_036
        else { throw error("expected seconds with nine digits behind the point, found \(Fields.quoted(word))") }
        let time = (seconds * 1_000_000_000 + part) * (negative ? -1 : 1)
        guard relative else { return time }
        guard let epoch else { throw error("expected `-` for each time in a stream without an epoch, found \(Fields.quoted(word))") }
        let (sum, overflow) = epoch.addingReportingOverflow(time)
        guard !overflow else { throw error("expected a time within the centuries around 1970, found \(Fields.quoted(word))") }
        return sum
    }

    // MARK: Edges and end

    private mutating func beginEdges() throws {
        try expect("edges")
        edgeCount = try number("the count of edges", atMost: Self.mostEntries)
        try endOfLine()
        try nextLine(expecting: "edge or end")
        part = .edges(left: edgeCount)
    }

    private mutating func edge() throws -> ContentEdge {
        try expect("edge")
        guard fields.skip(" "), let name = fields.word, let kind = ContentEdge.Kind(rawValue: name) else {
            throw error("expected an edge, found \(fields.shown)")
        }
        let from = try reference()
        let to = try reference()
        try endOfLine()
        guard (from.stream, to.stream) == kind.streams else {
            throw error(
                "expected a \(kind.rawValue) from \(kind.streams.0.rawValue) to \(kind.streams.1.rawValue), found "
                    + "\(from.stream.rawValue) to \(to.stream.rawValue)"
            )
        }
        try nextLine(expecting: "edge or end")
        return ContentEdge(kind, from: from, to: to)
    }

    private mutating func reference() throws -> EntryReference {
        guard let word = fields.word, let stream = StreamName(rawValue: word) else {
            throw error("expected a stream, found \(fields.shown)")
        }
        let count = counts[StreamName.allCases.firstIndex(of: stream)!]
        let ordinal = try number("an entry's number", atMost: Self.mostEntries)
        guard 1...max(count, 1) ~= ordinal, ordinal <= count else {
            throw error(.wrongCount, "expected an entry of the \(count) in \(stream.rawValue), found number \(ordinal)")
        }
        return EntryReference(stream, ordinal)
    }

    private mutating func end() throws {
        if fields.begins(with: "edge ") { throw error(.wrongCount, "expected \(edgeCount) edges, found more") }
        try expect("end")
        guard fields.skip(" ") else { throw error("expected `end LINES ENTRIES EDGES`, found \(fields.shown)") }
        let found = [position.line, counts.reduce(0, +), edgeCount]
        for (what, count) in zip(["lines", "entries", "edges"], found) {
            let declared = try number("a count of \(what)", atMost: 4 * Self.mostEntries)
            guard declared == count else {
                throw error(.wrongCount, "expected \(declared) \(what), found \(count); the trace was cut or edited")
            }
        }
        try endOfLine()
        if let more = try lines.next() {
            position = more.position
            throw error("expected nothing after the end, found more")
        }
    }

    // MARK: Lines

    private mutating func nextLine(expecting what: String) throws {
        guard let line = try lines.next() else {
            let end = Position(line: position.line + 1, offset: lines.bytesRead)
            throw TraceError(kind: .truncated, position: end, reason: "expected \(what), found the end of the file; the trace was cut")
        }
        position = line.position
        fields = Fields(start: line.start, length: line.length)
        try check(line)
    }

    private func check(_ line: LineScanner.Line) throws {
        if line.isOverlong { throw error(.oversized, "expected lines of at most \(LogReader.longestLine) bytes, found a longer one") }
        if !line.isTerminated { throw error(.truncated, "expected a line end, found the end of the file; the trace was cut") }
    }

    private mutating func expect(_ keyword: StaticString) throws {
        guard fields.skip(keyword), fields.isAtEnd || fields.cursor.pointee == 0x20 else {
            throw error("expected `\(keyword)`, found \(fields.shown)")
        }
    }

    private mutating func number(_ what: String, atMost limit: Int) throws -> Int {
        if fields.cursor < fields.end, fields.cursor.pointee == 0x20 { fields.cursor += 1 }
        guard let word = fields.word, word.utf8.allSatisfy({ $0 &- 0x30 <= 9 }), let number = Int(word) else {
            throw error("expected \(what), found \(fields.shown)")
        }
        guard number <= limit else { throw error(.oversized, "expected \(what) of at most \(limit), found \(number)") }
        return number
    }

    private func endOfLine() throws {
        guard fields.isAtEnd else { throw error("expected the end of the line, found \(fields.shown)") }
    }

    private func error(_ kind: TraceError.Kind = .malformed, _ reason: String) -> TraceError {
        TraceError(kind: kind, position: position, reason: reason)
    }

    private func error(_ reason: String) -> TraceError { error(.malformed, reason) }
}

extension ContentEdge.Kind {
    /// Where the edge begins and ends.
    var streams: (StreamName, StreamName) {
        switch self {
        case .marker, .ping: (.source, .destination)
        case .approval, .ack: (.destination, .destination)
        case .counted, .pong: (.destination, .source)
        }
    }
}

extension Message {
    /// The message of `PROGRAM: TEXT`; nil when the line is none.
    init?(line: String) {
        guard let colon = line.utf8.firstIndex(of: UInt8(ascii: ":")) else { return nil }
        let rest = line.utf8[line.utf8.index(after: colon)...]
        guard colon > line.startIndex, rest.first == 0x20, !line.utf8[..<colon].contains(0x20) else { return nil }
        let text = rest.dropFirst()
        severity = [.warning, .info].first { text.starts(with: $0.rawValue.utf8) } ?? .error
        program = String(line[..<colon])
        self.text = String(Substring(text.dropFirst(severity.rawValue.utf8.count)))
    }
}

/// A line being taken apart at its spaces.
private struct Fields {
    var cursor: UnsafePointer<UInt8>
    let end: UnsafePointer<UInt8>
    private let start: UnsafePointer<UInt8>

    init(start: UnsafePointer<UInt8>?, length: Int) {
        // Without a line there is nothing to read; any address will do.
        self.start = start ?? UnsafePointer(bitPattern: 8)!
        cursor = self.start
        end = self.start + length
    }

    var isAtEnd: Bool { cursor == end }

    /// The whole line, cut short, as an error shows it.
    var shown: String {
        Self.quoted(String(decoding: UnsafeBufferPointer(start: start, count: min(end - start, 120)), as: UTF8.self))
    }

    static func quoted(_ text: String) -> String {
        let scalars = text.unicodeScalars.prefix(120).map { $0.value < 0x20 || $0.value == 0x7F ? "?" : Character($0) }
        return "`\(String(scalars))`"
    }

    func begins(with text: StaticString) -> Bool {
        end - cursor >= text.utf8CodeUnitCount && equalBytes(cursor, text.utf8Start, text.utf8CodeUnitCount)
    }

    mutating func skip(_ text: StaticString) -> Bool {
        guard begins(with: text) else { return false }
        cursor += text.utf8CodeUnitCount
        return true
    }

    /// What stands before the next space, which is passed over too; nil at the end or when it is not UTF-8.
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

    /// All that is left; nil when it is not UTF-8.
    var rest: String? { String(validating: UnsafeBufferPointer(start: cursor, count: end - cursor), as: UTF8.self) }
}

extension Trace {
    /// Reads a whole trace.
    package init(_ reader: consuming TraceReader) throws {
        var name = StreamName.source
        var stream = FoldedStream()
        while let item = try reader.next() {
            switch item {
            case .header(let header): self.header = header
            case .stream(let next, _):
                self[name] = stream
                (name, stream) = (next, FoldedStream())
            case .fold(let fold): stream.append(fold)
            case .edge(let edge): edges.append(edge)
            }
        }
        self[name] = stream
    }
}
