/// Reads the header of a trace: everything before the first stream.

extension TraceReader {
    mutating func header() throws -> TraceHeader {
        guard let first = try lines.next() else {
            throw TraceError(kind: .empty, position: position, reason: "expected a trace, found an empty file; record it again")
        }
        position = first.position
        fields = TraceFields(start: first.start, length: first.length)
        guard !first.isOverlong, fields.skip("ackmatrix-trace ") else {
            throw error(.foreign, "expected the first line `ackmatrix-trace 2`, found \(fields.shown); a log of QEMU is read as a log")
        }
        let version = fields.rest ?? ""
        guard version == "1" || version == "2" else {
            throw error(
                .unknownVersion,
                "expected format version 1 or 2, found \(TraceFields.quoted(version)); read the trace with the ackmatrix that wrote it")
        }
        hasTraits = version == "2"
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
                throw error("expected a duration in nanoseconds or `-`, found \(TraceFields.quoted(duration))")
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
        if version == "1" { header.translateFromFormat1() }
        try beginStream(0)
        return header
    }

    /// Reads the lines that a header has only if something was still armed, or if the migration was judged.
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
            guard !header.broken.contains(rule) else {
                throw error("expected each broken rule once, found \(TraceFields.quoted(rule)) again")
            }
            header.broken.append(rule)
            try nextHeaderLine()
        }
    }

    /// Reads the value of a header line.
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
            case "trait" where hasTraits: try trait(of: &side)
            case "capability":
                let capability = try setting()
                guard capability.value == "on" || capability.value == "off" else {
                    throw error("expected a capability to be on or off, found \(TraceFields.quoted(capability.value))")
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

    private mutating func trait(of side: inout TraceSide) throws {
        let trait = try setting()
        guard let name = SideTraits.Name(rawValue: trait.name) else {
            let names = SideTraits.Name.allCases.map(\.rawValue).joined(separator: ", ")
            throw error(
                "expected a trait out of \(names), found \(TraceFields.quoted(trait.name)); was the trace written by a newer ackmatrix?")
        }
        guard side.traits[name] == nil else { throw error("expected each trait once, found \(TraceFields.quoted(trait.name)) again") }
        guard name.values.contains(trait.value) else {
            throw error(
                "expected \(name.rawValue) to be \(name.values.joined(separator: " or ")), found \(TraceFields.quoted(trait.value))")
        }
        side.traits[name] = trait.value
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
                throw error("expected `\\\\` or `\\xHH` after a backslash, found \(TraceFields.quoted(text))")
            }
        }
        guard let value = String(validating: bytes, as: UTF8.self) else { throw error("expected UTF-8, found \(TraceFields.quoted(text))") }
        return value
    }
}
