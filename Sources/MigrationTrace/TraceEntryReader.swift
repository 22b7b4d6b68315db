/// Reads one entry of a stream.

extension TraceReader {
    mutating func entry(repetitions: Int?) throws -> FoldedEntry {
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
                    "expected `\(event.isInjected ? "i" : "e")` before \(event.name), found `\(keyword)`; "
                        + "only an action of a device script is injected")
            }
            if case .role(let role) = thread, role != event.thread {
                throw error("expected thread \(event.thread.rawValue) for \(event.name), found \(role.rawValue)")
            }
            record = .event(event)
        }
        let entry = Entry(thread: thread, time: first, record: record)
        return try FoldedEntry(first: entry, lastTime: last, step: step(steps, of: record, repetitions: repetitions ?? 1))
    }

    /// Reads `=`, or a step for each number of the event.
    func step(_ text: String, of record: Record, repetitions: Int) throws -> EventNumbers {
        if text == "=" { return .zero }
        guard case .event(let event) = record else { throw error("expected the step `=` for a message, found \(TraceFields.quoted(text))") }
        let count = event.numbers.count
        let steps = text.utf8.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false).map { Int64(Substring($0)) }
        guard steps.count == count, !steps.contains(nil) else {
            throw error("expected `=` or a step for each of the \(count) numbers of \(event.name), found \(TraceFields.quoted(text))")
        }
        var step = EventNumbers.zero
        for (place, value) in steps.enumerated() { step[place] = value ?? 0 }
        guard step != .zero, event.staysInRange(step, repetitions: repetitions) else {
            throw error(
                "expected steps that lead to numbers \(event.name) can hold, found \(TraceFields.quoted(text)) \(repetitions) times")
        }
        return step
    }

    mutating func event() throws -> Event {
        let start = fields.cursor
        while fields.cursor < fields.end, fields.cursor.pointee != 0x20 { fields.cursor += 1 }
        let text = fields.isAtEnd ? fields.end : fields.cursor + 1
        switch table.read(name: start, length: fields.cursor - start, text: text, end: fields.end, names: names) {
        case .event(let event): return event
        case .unknownName: throw error("expected a known event, found \(fields.shown); was it written by a newer ackmatrix?")
        case .malformed: throw error("expected a text of this event as QEMU prints it, found \(fields.shown)")
        }
    }

    mutating func thread() throws -> EntryThread {
        guard let word = fields.word else { throw error("expected a thread, found \(fields.shown)") }
        if word.utf8.count == 1, let role = ThreadRole(rawValue: word.first!) { return .role(role) }
        guard let id = UInt32(word) else { throw error("expected a thread id or one of M T R L Q *, found \(TraceFields.quoted(word))") }
        return .id(id)
    }

    /// Reads `-`, or seconds with nine digits after the point.
    mutating func time(relative: Bool) throws -> Int64? {
        guard let word = fields.word else { throw error("expected a time, found \(fields.shown)") }
        if word == "-" { return nil }
        let negative = word.hasPrefix("-")
        let parts = word.utf8.dropFirst(negative ? 1 : 0).split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        let isTime =
            parts.count == 2 && parts[1].count == 9 && !parts[0].isEmpty && parts.allSatisfy { $0.allSatisfy { $0 &- 0x30 <= 9 } }
        guard isTime else { throw error("expected seconds with nine digits after the point, found \(TraceFields.quoted(word))") }
        // A time in nanoseconds has 63 bits.
        guard let seconds = Int64(Substring(parts[0])), let part = Int64(Substring(parts[1])), seconds < 9_223_372_036 else {
            throw error(.oversized, "expected a time of less than 9223372036 seconds, found \(TraceFields.quoted(word))")
        }
        let time = (seconds * 1_000_000_000 + part) * (negative ? -1 : 1)
        guard relative else { return time }
        guard let epoch else { throw error("expected `-` for each time in a stream without an epoch, found \(TraceFields.quoted(word))") }
        let (sum, overflow) = epoch.addingReportingOverflow(time)
        guard !overflow else { throw error("expected a time within the centuries around 1970, found \(TraceFields.quoted(word))") }
        return sum
    }
}

extension Message {
    /// The message of a line `PROGRAM: TEXT`; nil for any other line.
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
