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
    /// In bytes; a longer line is counted as `.overlong` and skipped.
    package static let longestLine = 64 * 1024

    /// Fills a part of the buffer and returns the number of bytes, 0 at the end of the input.
    package typealias Input = (UnsafeMutableRawBufferPointer) throws -> Int

    package private(set) var summary = LogSummary()

    private var lines: LineScanner
    private let table = EventTable()
    private let names = NameTable()
    private var episode = 0
    private var inCommandLine = false
    /// The start of the process that wrote the current line of a libvirt per-domain log; nil before the first banner, and in other logs.
    package private(set) var start: DomainStart?
    private var lastSequence: UInt64?

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
        let position = line.position
        let start = line.start
        let length = line.length
        let terminated = line.isTerminated
        if line.isOverlong {
            note(.overlong, position, start, length)
            return finish(position, nil, .unknown(.overlong), terminated)
        }
        let lineEnd = start + length

        var prefix = StampReader(cursor: start, end: lineEnd)
        let stamp = prefix.read()
        if let sequence = stamp?.sequence {
            if let last = lastSequence, sequence != last &+ 1 { summary.sequenceBreaks += 1 }
            lastSequence = sequence
        }
        let name = prefix.cursor
        var cursor = name
        while cursor < lineEnd, isNameByte(cursor.pointee) { cursor += 1 }
        if cursor > name, cursor == lineEnd || cursor.pointee == 0x20 {
            // Editors remove the space after the name of an event without text.
            let text = cursor == lineEnd ? cursor : cursor + 1
            switch table.read(name: name, length: cursor - name, text: text, end: lineEnd, names: names) {
            case .event(let event):
                if case .migrateSetState(.setup) = event {
                    summary.episodes += 1
                    episode = summary.episodes
                }
                summary.events += 1
                inCommandLine = false
                return finish(position, stamp, .record(.event(event)), terminated)
            case .malformed:
                note(.malformedEvent, position, start, length)
                return finish(position, stamp, .unknown(.malformedEvent), terminated)
            case .unknownName:
                break
            }
        }
        let content = otherLine(start: start, text: name, end: lineEnd, hasStamp: stamp != nil)
        switch content {
        case .record: summary.messages += 1
        case .unknown(let kind): note(kind, position, start, length)
        }
        return finish(position, stamp, content, terminated)
    }

    @inline(__always)
    private mutating func finish(_ position: Position, _ stamp: Stamp?, _ content: LogLine.Content, _ terminated: Bool) -> LogLine {
        summary.lines += 1
        if !terminated { summary.isUnterminated = true }
        return LogLine(position: position, stamp: stamp, content: content, episode: episode, isUnterminated: !terminated)
    }

    /// The kind of a line that is no known event.
    private mutating func otherLine(
        start: UnsafePointer<UInt8>, text: UnsafePointer<UInt8>, end: UnsafePointer<UInt8>, hasStamp: Bool
    ) -> LogLine.Content {
        guard let whole = names.text(start, end - start) else { return .unknown(.binary) }
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
                self.start = DomainStart(line: lines.lineCount, number: (self.start?.number ?? 0) + 1)
            } else {
                self.start?.append(whole, isBanner: true)
            }
            return .unknown(.libvirt)
        }
        let line = whole.utf8.dropFirst(text - start)
        if let message = message(line) { return .record(.message(message)) }
        let name = line.prefix { isNameByte($0) }
        let looksLikeName = name.contains(UInt8(ascii: "_")) && !(name.first! &- 0x30 <= 9)
        return .unknown(looksLikeName && (name.endIndex == line.endIndex || line[name.endIndex] == 0x20) ? .unknownEvent : .otherText)
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
        let shown = escaped(bytes: UnsafeBufferPointer(start: start, count: Swift.min(length, 120)))
        summary.examples.append(.init(kind: kind, position: position, excerpt: shown))
    }
}

@inline(__always)
private func isNameByte(_ byte: UInt8) -> Bool {
    (byte | 0x20) &- 0x61 < 26 || byte &- 0x30 <= 9 || byte == UInt8(ascii: "_")
}
