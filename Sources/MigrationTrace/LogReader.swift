/// Reads a log, of QEMU or of the preload shim, line by line as typed events.
///
/// The reader works on bytes in one buffer of fixed size. A line costs no allocation once its names are known. A line that is neither an
/// event nor a message is counted by its kind and returned with its position.
///
///     var reader = try LogReader(path: "source.log")
///     while let line = try reader.next() {
///         if let event = line.event { verifier.handle(event, at: line.position) }
///     }
package struct LogReader: ~Copyable {
    /// True once an event was read that fits its form only without the blanks at its end, as a terminal's selection has them: from then on
    /// they belong to no event. Before, they belong to a text, such as that of an error.
    private var endsInBlanks = false

    /// In bytes; a longer line is counted as `.overlong` and skipped.
    package static let longestLine = 64 * 1024

    /// Fills a part of the buffer and returns the number of bytes, 0 at the end of the input.
    package typealias Input = (UnsafeMutableRawBufferPointer) throws -> Int

    package private(set) var summary = LogSummary()

    private var lines: LineScanner
    private let table = EventTable()
    private let recent = RecentEvents()
    private var minute = LastMinute()
    private let names = NameTable()
    private var episode = 0
    private var inCommandLine = false
    /// The start of the process that wrote the current line of a libvirt per-domain log; nil before the first banner, and in other logs.
    package private(set) var start: DomainStart?
    package var startNumber: Int? { start?.number }
    private var lastSequence: UInt64?
    private var wrapping = LogWrapping()
    private var candidate = PrefixCandidate()
    private var isTable = false
    /// What the monitor's commands and replies told last, with the line.
    package private(set) var settings = (line: 0, told: MigrationSettings())
    /// The file whose lines follow, by the last header of `tail`; 0 before one.
    private var tailed: UInt64 = 0

    private var monitor = MonitorReader()
    /// Names of the events that lines of the monitor stand for.
    private var monitorNames: Set<String> = []
    /// Further events of the last line.
    private var queued: [LogLine] = []
    private var hasTraceEvents = false

    /// The names of the events that were read in the current start of QEMU, or in the whole log where it has one.
    package var namesSeen: Set<String> { table.seen.union(monitorNames) }

    package init(_ input: @escaping Input) {
        lines = LineScanner(longestLine: Self.longestLine, input)
    }

    /// Reads a log that may still be written. With `isGrowing`, `next` returns nil if the next line has no end yet, and reads on when it is
    /// called again.
    package init(isGrowing: Bool, _ input: @escaping Input) {
        lines = LineScanner(longestLine: Self.longestLine, isGrowing: isGrowing, input)
    }

    /// Reads a log that is in memory.
    package init(_ bytes: [UInt8]) {
        lines = LineScanner(longestLine: Self.longestLine, bytes)
    }

    /// The next line of any kind; nil at the end of the input. Throws only the errors of the input.
    package mutating func next() throws -> LogLine? {
        if !queued.isEmpty { return queued.removeFirst() }
        let line = try lines.next()
        summary.bytes = lines.bytesRead
        guard let line else { return nil }
        return typed(line)
    }

    /// The next line that is an event; other lines are counted and skipped.
    package mutating func nextEvent() throws -> LogLine? {
        while let line = try next() {
            if line.event != nil { return line }
        }
        return nil
    }

    private mutating func typed(_ line: LineScanner.Line) -> LogLine {
        let end = line.start + line.length
        if line.isOverlong {
            note(.overlong, line.position, line.start, line.length)
            return finish(line, nil, .unknown(.overlong))
        }
        if !wrapping.isUsual, case .event(let event, let stamp) = attempt(line.start, end) {
            candidate.forget()
            return finish(line, stamp, event, tailed)
        }
        var result = unwrapped(line)
        if result.process == 0 { result.process = wrapping.process == 0 ? tailed : wrapping.process }
        return result
    }

    /// What stands at a place of a line.
    private enum Attempt {
        case event(Event, Stamp?)
        /// A known name with a text that fits none of its forms.
        case malformed(name: UnsafePointer<UInt8>, length: Int, Stamp?)
        case other(text: UnsafePointer<UInt8>, Stamp?)
    }

    private func withoutBlanks(_ text: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>) -> UnsafePointer<UInt8> {
        var end = end
        while end > text, end[-1] == 0x20 || end[-1] == 0x09 { end -= 1 }
        return end
    }

    /// Reads the event at `start`, behind the prefix that QEMU itself writes.
    @inline(__always)
    private mutating func attempt(_ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>) -> Attempt {
        var prefix = StampReader(cursor: start, end: end)
        let stamp = prefix.read(&minute)
        let name = prefix.cursor
        let hash = RecentEvents.hash(name, end - name)
        if let event = recent.event(name, end - name, hash) { return .event(event, stamp) }
        var cursor = name
        while cursor < end, isNameByte(cursor.pointee) { cursor += 1 }
        guard cursor > name, cursor == end || cursor.pointee == 0x20 else { return .other(text: name, stamp) }
        // Editors remove the space after the name of an event without text.
        let text = cursor == end ? cursor : cursor + 1
        let hasBlanks = end > text && (end[-1] == 0x20 || end[-1] == 0x09)
        var read = table.read(
            name: name, length: cursor - name, text: text, end: hasBlanks && endsInBlanks ? withoutBlanks(text, end) : end, names: names)
        if hasBlanks, !endsInBlanks, case .malformed = read {
            read = table.read(name: name, length: cursor - name, text: text, end: withoutBlanks(text, end), names: names)
            if case .event = read {
                endsInBlanks = true
                summary.forms.insert("blanks at the end of the lines")
            }
        }
        switch read {
        case .event(let event):
            if !hasBlanks { recent.add(event, name, end - name, hash) }
            return .event(event, stamp)
        case .malformed: return .malformed(name: name, length: cursor - name, stamp)
        case .unknownName: return .other(text: name, stamp)
        }
    }

    /// A line that is no event as it stands: one that another program wrapped, or something else.
    private mutating func unwrapped(_ line: LineScanner.Line) -> LogLine {
        let (start, end) = wrapping.plain(line.start, line.start + line.length)
        if let result = monitored(line, start, end) ?? simple(line, start, end) ?? header(line, start, end) { return result }
        // The forms of the last event come first, since a log mostly has one form.
        if !wrapping.usual.isEmpty, let inner = wrapping.skipUsual(start, end) {
            switch attempt(inner.start, end) {
            case .event(let event, let stamp):
                return finish(line, stamp, event, inner.process, isWrapped: wrapping.keepsLinesWhole)
            case .malformed(let name, let length, let stamp): return malformed(line, name, length, stamp)
            case .other(let text, let stamp):
                if let found = search(start, end, 0, false) { return wrapped(line, found, from: start) }
                if let result = row(line, start, end) { return result }
                return other(line, start, text, end, stamp, inner: inner.start, inner.process)
            }
        }
        switch attempt(start, end) {
        case .event(let event, let stamp):
            if !wrapping.isPlain { summary.forms.insert("JSON") }
            return finish(line, stamp, event, isWrapped: !wrapping.isPlain)
        case .malformed(let name, let length, let stamp):
            if let found = search(start, end, 0, false) { return wrapped(line, found, from: start) }
            return malformed(line, name, length, stamp)
        case .other(let text, let stamp):
            if !isUnknownEvent(text, end), let found = search(start, end, 0, false) { return wrapped(line, found, from: start) }
            if let result = row(line, start, end) { return result }
            if let found = behindAnyPrefix(start, end) { return wrapped(line, found, from: start) }
            return other(line, start, text, end, stamp, inner: start, 0)
        }
    }

    /// `==> FILE <==`: what follows is of that file.
    private mutating func header(_ line: LineScanner.Line, _ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>) -> LogLine? {
        let (before, after): (StaticString, StaticString) = ("==> ", " <==")
        guard end - start > 8, equalBytes(start, before.utf8Start, 4), equalBytes(end - 4, after.utf8Start, 4) else { return nil }
        tailed = contentHash(start, end - start)
        summary.forms.insert("tail")
        note(.blank, line.position, line.start, line.length)
        var result = finish(line, nil, .unknown(.blank))
        result.process = tailed
        return result
    }

    /// A row of a table with an event in one of its fields; of a table that has had one, any row.
    private mutating func row(_ line: LineScanner.Line, _ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>) -> LogLine? {
        guard CSVLine.isLikely(start, end), let fields = CSVLine.fields(start, end) else { return nil }
        for field in fields {
            let read: (Event, Stamp?)? = field.withUnsafeBufferPointer {
                guard let base = $0.baseAddress, case .event(let event, let stamp) = attempt(base, base + $0.count) else { return nil }
                return (event, stamp)
            }
            guard let (event, stamp) = read else { continue }
            isTable = true
            summary.forms.insert("CSV")
            return finish(line, stamp, event, isWrapped: true)
        }
        guard isTable else { return nil }
        note(.unknownEvent, line.position, line.start, line.length)
        var result = finish(line, nil, .unknown(.unknownEvent))
        result.isWrappedWhole = true
        return result
    }

    /// An event behind a prefix that no form describes, once it is seen to be a prefix and no part of another line.
    private mutating func behindAnyPrefix(_ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>) -> Found? {
        guard let name = behindPrefix(start, end), case .event(let event, _) = attempt(name, end) else { return nil }
        // QEMU's own time belongs to the line.
        var (place, stamp, word) = (name, Stamp?.none, name)
        if word > start, word[-1] == 0x20 { word -= 1 }
        while word > start, word[-1] > 0x20 { word -= 1 }
        var prefix = StampReader(cursor: word, end: end)
        if let read = prefix.read(), prefix.cursor == name { (place, stamp) = (word, read) }
        guard !isPartOfATime(start, place), !isTorn(start, place), let form = LogForm.learned(start, place),
            let skipped = form.skip(start, end), skipped.inner == place, candidate.add(form, isFirst: summary.events == 0)
        else { return nil }
        return Found(event: event, stamp: stamp, forms: [form], process: skipped.process, place: place)
    }

    /// True for a time that is damaged, such as the rest of one whose beginning was cut off at the head of a rotated log.
    private func isPartOfATime(_ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>) -> Bool {
        UnsafeBufferPointer(start: start, count: end - start).allSatisfy { $0 &- 0x30 <= 9 || "-:.TZ @#+".utf8.contains($0) }
    }

    /// A line of the monitor. In a log with trace events it tells nothing new.
    private mutating func monitored(_ line: LineScanner.Line, _ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>) -> LogLine? {
        guard !hasTraceEvents, let told = MonitorLine(start, end) else { return nil }
        let (events, isSampled) = monitor.read(told)
        let stamp = told.time.map { Stamp(realtime: $0) }
        var results: [LogLine] = []
        for event in events {
            monitorNames.insert(event.name)
            var result = finish(line, stamp, event, told.process, isWrapped: true)
            result.origin = isSampled ? .monitorReply : .monitorEvent
            results.append(result)
        }
        // Further events are no further lines.
        if results.count > 1 { summary.lines -= results.count - 1 }
        summary.forms.insert("QMP")
        hasTraceEvents = false
        guard let first = results.first else {
            var result = finish(line, stamp, .unknown(.unknownEvent))
            (result.process, result.isWrappedWhole) = (told.process, true)
            note(.unknownEvent, line.position, line.start, line.length)
            return result
        }
        queued = Array(results.dropFirst())
        return first
    }

    /// A line of `simpletrace.py`.
    private mutating func simple(_ line: LineScanner.Line, _ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>) -> LogLine? {
        let (texts, process) = SimpleTraceLine.lines(start, end)
        guard process != 0 else { return nil }
        summary.forms.insert("simpletrace")
        for text in texts {
            let read: Event? = text.withUnsafeBufferPointer {
                guard let base = $0.baseAddress, case .event(let event, _) = attempt(base, base + $0.count) else { return nil }
                return event
            }
            if let read { return finish(line, nil, read, process, isWrapped: true) }
        }
        // `dropped` stands for records that were lost.
        var name = start
        while name < end, isNameByte(name.pointee) { name += 1 }
        if table.knows(start, name - start) { return malformed(line, start, name - start, nil) }
        let isDropped = UnsafeBufferPointer(start: start, count: name - start).elementsEqual("dropped".utf8)
        let kind: UnknownLine = isDropped ? .piece : .unknownEvent
        note(kind, line.position, line.start, line.length)
        var result = finish(line, nil, .unknown(kind))
        result.process = process
        return result
    }

    /// True if an event of another name stands there, which is no prefix.
    private func isUnknownEvent(_ text: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>) -> Bool {
        var (cursor, hasUnderscore) = (text, false)
        while cursor < end, isNameByte(cursor.pointee) {
            hasUnderscore = hasUnderscore || cursor.pointee == UInt8(ascii: "_")
            cursor += 1
        }
        return hasUnderscore && (cursor == end || cursor.pointee == 0x20)
    }

    /// An event behind one form or several, one inside the other.
    private struct Found {
        var event: Event
        var stamp: Stamp?
        var forms: [LogForm]
        var process: UInt64
        var hasTwoStamps = false
        /// Where the event's own time begins, or its name if it has none.
        var place: UnsafePointer<UInt8>
    }

    /// Looks for an event behind known forms.
    private mutating func search(
        _ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>, _ depth: Int, _ isBehindStamp: Bool
    ) -> Found? {
        guard depth < LogWrapping.mostForms, end > start else { return nil }
        var prefix = StampReader(cursor: start, end: end)
        if prefix.read() != nil {
            // Two stamps: a message's own, and that of the line which came before its text.
            if case .event(let event, let stamp) = attempt(prefix.cursor, end) {
                return Found(event: event, stamp: stamp, forms: [], process: 0, hasTwoStamps: stamp != nil, place: prefix.cursor)
            }
        }
        for form in LogForm.all where isBehindStamp || !form.isBehindStamp {
            guard let inner = form.skip(start, end), inner.inner < end else { continue }
            if case .event(let event, let stamp) = attempt(inner.inner, end) {
                return Found(event: event, stamp: stamp, forms: [form], process: inner.process, place: inner.inner)
            }
            // Another form is between the time and the text: QEMU's own forms stand right behind the time.
            guard var found = search(inner.inner, end, depth + 1, false) else { continue }
            found.forms.insert(form, at: 0)
            if found.process == 0 { found.process = inner.process }
            return found
        }
        // The forms that QEMU itself writes are behind its time.
        return prefix.cursor > start ? search(prefix.cursor, end, depth + 1, true) : nil
    }

    private mutating func wrapped(_ line: LineScanner.Line, _ found: Found, from start: UnsafePointer<UInt8>) -> LogLine {
        var found = found
        let isTorn = isTorn(start, found.place)
        // What looks like a form is the beginning of another line.
        if isTorn { (found.forms, found.hasTwoStamps) = ([], true) }
        if found.forms.contains(where: \.keepsLinesWhole) { wrapping.usual = found.forms }
        // A log that begins with two times on a line has them on each, and none of its lines is torn.
        if found.hasTwoStamps, !isTorn, summary.events == 0 {
            (found.forms, found.hasTwoStamps) = ([.zonedTime], false)
            wrapping.usual = found.forms
        }
        for form in found.forms { summary.forms.insert(form.name) }
        var result = finish(line, found.stamp, found.event, found.process, isWrapped: found.forms.contains(where: \.keepsLinesWhole))
        result.hasTwoStamps = found.hasTwoStamps && !result.isWrappedWhole
        return result
    }

    /// True if the text before an event is a part of another line: it has the name of an event, or a time that runs into other text.
    private func isTorn(_ start: UnsafePointer<UInt8>, _ place: UnsafePointer<UInt8>) -> Bool {
        var cursor = start
        while cursor < place {
            let word = cursor
            while cursor < place, isNameByte(cursor.pointee) { cursor += 1 }
            if cursor - word >= 8, cursor < place, cursor.pointee == 0x20, table.knows(word, cursor - word) { return true }
            cursor = max(cursor, word + 1)
        }
        return StampReader.hasTimeWithinText(start, place)
    }

    private mutating func malformed(
        _ line: LineScanner.Line, _ name: UnsafePointer<UInt8>, _ length: Int, _ stamp: Stamp?
    ) -> LogLine {
        note(.malformedEvent, line.position, line.start, line.length)
        let text = String(decoding: UnsafeBufferPointer(start: name, count: length), as: UTF8.self)
        if summary.unread[text] != nil {
            summary.unread[text]!.count += 1
        } else {
            summary.unread[text] = .init(count: 1, first: example(.malformedEvent, line.position, line.start, line.length))
        }
        return finish(line, stamp, .unknown(.malformedEvent))
    }

    private mutating func other(
        _ line: LineScanner.Line, _ start: UnsafePointer<UInt8>, _ text: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>,
        _ stamp: Stamp?, inner: UnsafePointer<UInt8>, _ process: UInt64
    ) -> LogLine {
        var content = otherLine(start: inner, text: text, end: end, hasStamp: stamp != nil)
        var told = MigrationSettings()
        told.read(UnsafeBufferPointer(start: start, count: end - start))
        if !told.values.isEmpty { (settings, content) = ((line.position.line, told), .unknown(.unknownEvent)) }
        switch content {
        case .record: summary.messages += 1
        case .unknown(let kind): note(kind, line.position, line.start, line.length)
        }
        var result = finish(line, stamp, content)
        result.process = process
        result.isWrappedWhole = wrapping.keepsLinesWhole || settings.line == line.position.line
        return result
    }

    private mutating func finish(
        _ line: LineScanner.Line, _ stamp: Stamp?, _ event: Event, _ process: UInt64 = 0, isWrapped: Bool = false
    ) -> LogLine {
        if let sequence = stamp?.sequence {
            if let last = lastSequence, sequence != last &+ 1 { summary.sequenceBreaks += 1 }
            lastSequence = sequence
        }
        if case .migrateSetState(.setup) = event {
            summary.episodes += 1
            episode = summary.episodes
        }
        summary.events += 1
        hasTraceEvents = true
        inCommandLine = false
        var result = finish(line, stamp, .record(.event(event)))
        result.process = process
        result.isWrappedWhole = isWrapped
        return result
    }

    @inline(__always)
    private mutating func finish(_ line: LineScanner.Line, _ stamp: Stamp?, _ content: LogLine.Content) -> LogLine {
        summary.lines += 1
        if !line.isTerminated { summary.isUnterminated = true }
        return LogLine(
            position: line.position, stamp: stamp, content: content, episode: episode, isUnterminated: !line.isTerminated)
    }

    /// The kind of a line that is no known event.
    private mutating func otherLine(
        start: UnsafePointer<UInt8>, text: UnsafePointer<UInt8>, end: UnsafePointer<UInt8>, hasStamp: Bool
    ) -> LogLine.Content {
        guard let whole = names.text(start, end - start) else {
            return .unknown(behindPrefix(start, end) == nil ? .binary : .prefixed)
        }
        if whole.isEmpty { return .unknown(.blank) }
        // `whole` is cut if the line is long, so the end is looked at in the bytes.
        let continues = end - start >= 2 && end[-1] == UInt8(ascii: "\\") && end[-2] == 0x20
        if inCommandLine || (continues && !hasStamp) {
            inCommandLine = continues
            self.start?.append(whole, isBanner: false)
            return .unknown(.libvirt)
        }
        if whole.hasPrefix("#") { return .unknown(.comment) }
        if isLibvirtBanner(whole) {
            // A new process writes to the same file; the next lines belong to its set-up.
            if whole.utf8.dropFirst(28).starts(with: ": starting up ".utf8) {
                episode = 0
                table.forgetSeen()
                recent.forget()
                self.start = DomainStart(line: lines.lineCount, number: (self.start?.number ?? 0) + 1)
            } else {
                self.start?.append(whole, isBanner: true)
            }
            return .unknown(.libvirt)
        }
        let line = whole.utf8.dropFirst(text - start)
        if let message = message(line) { return .record(.message(message)) }
        let name = line.prefix { isNameByte($0) }
        // Other events than those of the vocabulary follow the monitor's prompt, too.
        if let inner = LogForm.prompt.skip(start, end)?.inner, isUnknownEvent(inner, end) { return .unknown(.unknownEvent) }
        var cursor = text
        while cursor < end, isNameByte(cursor.pointee) { cursor += 1 }
        let looksLikeName = name.contains(UInt8(ascii: "_")) && !(name.first! &- 0x30 <= 9)
        if looksLikeName, cursor == end || cursor.pointee == 0x20 {
            let isCut = cursor == end && table.isBeginningOfAName(text, cursor - text)
            return .unknown(isCut || table.isPartOfALine(text, cursor - text) ? .piece : .unknownEvent)
        }
        return .unknown(behindPrefix(start, end) == nil ? .otherText : .prefixed)
    }

    /// The known event's name in the middle of a line, if there is one whose text can be read.
    private func behindPrefix(_ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>) -> UnsafePointer<UInt8>? {
        var cursor = start
        while cursor < end {
            let name = cursor
            while cursor < end, isNameByte(cursor.pointee) { cursor += 1 }
            if name > start, cursor - name >= 8, cursor == end || cursor.pointee == 0x20, table.knows(name, cursor - name) { return name }
            cursor = max(cursor, name + 1)
        }
        return nil
    }

    /// `2026-11-21 03:34:14.612+0000: `
    private func isLibvirtBanner(_ line: String) -> Bool {
        let shape = "dddd-dd-dd dd:dd:dd.ddd+dddd: ".utf8
        guard line.utf8.count >= shape.count else { return false }
        return zip(line.utf8, shape).allSatisfy { byte, wanted in
            wanted == UInt8(ascii: "d") ? byte &- 0x30 <= 9 : byte == wanted
        }
    }

    /// A line that begins with the name of a QEMU program and a colon.
    private func message(_ line: Substring.UTF8View) -> Message? {
        guard let message = Message(line: String(Substring(line))) else { return nil }
        let base = message.program.utf8.split(separator: UInt8(ascii: "/")).last ?? message.program.utf8[...]
        return base.starts(with: "qemu".utf8) || base.elementsEqual("kvm".utf8) ? message : nil
    }

    private mutating func note(_ kind: UnknownLine, _ position: Position, _ start: UnsafePointer<UInt8>, _ length: Int) {
        summary.unknown[kind] += 1
        guard summary.unknown[kind] <= LogSummary.examplesOfEach else { return }
        summary.examples.append(example(kind, position, start, length))
    }

    private func example(
        _ kind: UnknownLine, _ position: Position, _ start: UnsafePointer<UInt8>, _ length: Int
    ) -> LogSummary.Example {
        let shown = escaped(bytes: UnsafeBufferPointer(start: start, count: Swift.min(length, 120)))
        return .init(kind: kind, position: position, excerpt: shown)
    }
}
