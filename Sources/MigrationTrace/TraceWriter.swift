/// Writes a trace in the text format of Traces/FORMAT.md, version 2.
extension Trace {
    /// Gives the text of the whole trace to `output`, in parts of about 64 KiB. Throws only the errors of `output`.
    package func write(_ output: ([UInt8]) throws -> Void) throws {
        try withoutActuallyEscaping(output) { output in
            var text = TraceText(output: output)
            try write(to: &text)
        }
    }

    private func write(to text: inout TraceText) throws {
        try text.line("ackmatrix-trace 2")
        try text.line("cell ", header.cell)
        try text.line("outcome ", header.outcome)
        try text.line("duration \(header.duration.map(String.init) ?? "-")")
        if !header.armed.isEmpty { try text.line("armed ", header.armed) }
        if !header.verdict.isEmpty { try text.line("verdict ", header.verdict) }
        for rule in header.broken { try text.line("broken ", rule) }
        try text.side("source", header.source)
        try text.side("destination", header.destination)
        for name in StreamName.allCases { try text.stream(name, self[name]) }
        try text.line("edges \(edges.count)")
        for edge in edges {
            let (from, to) = (edge.from, edge.to)
            try text.line("edge \(edge.kind.rawValue) \(from.stream.rawValue) \(from.ordinal) \(to.stream.rawValue) \(to.ordinal)")
        }
        let entries = StreamName.allCases.reduce(0) { $0 + self[$1].count }
        try text.line("end \(text.lines + 1) \(entries) \(edges.count)")
        try text.flush()
    }

    /// The whole trace in memory.
    package var bytes: [UInt8] {
        var bytes: [UInt8] = []
        // The output does not throw, so neither does `write`.
        try? write { bytes += $0 }
        return bytes
    }
}

private struct TraceText {
    let output: ([UInt8]) throws -> Void
    var lines = 0
    private var printer = FieldPrinter()

    init(output: @escaping ([UInt8]) throws -> Void) { self.output = output }

    mutating func flush() throws {
        try output(printer.bytes)
        printer.bytes.removeAll(keepingCapacity: true)
    }

    private mutating func endLine() throws {
        printer.bytes.append(0x0A)
        lines += 1
        if printer.bytes.count >= 64 * 1024 { try flush() }
    }

    /// Writes a keyword and its value; if the value is empty, the space between them is left out too.
    mutating func line(_ plain: String, _ value: String = "") throws {
        printer.bytes += value.isEmpty && plain.last == " " ? plain.utf8.dropLast() : plain.utf8[...]
        escape(value, spaces: false)
        try endLine()
    }

    private mutating func setting(_ keyword: String, _ setting: Setting) throws {
        printer.bytes += keyword.utf8
        escape(setting.name, spaces: true)
        try line(" ", setting.value)
    }

    private mutating func escape(_ value: String, spaces: Bool) {
        for scalar in value.unicodeScalars {
            let isEscaped = scalar == "\t" || scalar == " " ? spaces : isUnsafe(scalar)
            if scalar == "\\" {
                printer.bytes += "\\\\".utf8
            } else if isEscaped {
                for byte in String(scalar).utf8 {
                    printer.bytes += "\\x".utf8
                    printer.append(byte, radix: 16, width: 2)
                }
            } else {
                printer.bytes += String(scalar).utf8
            }
        }
    }

    mutating func side(_ keyword: String, _ side: TraceSide) throws {
        try line("side \(keyword)")
        try line("name ", side.name)
        try line("version ", side.version)
        try line("machine ", side.machine)
        for feature in side.features { try setting("feature ", feature) }
        for trait in SideTraits.Name.allCases {
            if let value = side.traits[trait] { try line("trait \(trait.rawValue) \(value)") }
        }
        for capability in side.capabilities { try setting("capability ", capability) }
        for property in side.properties { try setting("property ", property) }
        for argument in side.commandLine { try line("argument ", argument) }
        for device in side.devices {
            try setting("device ", Setting(device.name, device.idstr))
            for text in device.script { try line("script ", text) }
        }
        for kind in UnknownLine.allCases where side.unknown[kind] > 0 { try line("unknown \(kind.rawValue) \(side.unknown[kind])") }
    }

    mutating func stream(_ name: StreamName, _ stream: FoldedStream) throws {
        let epoch = stream.folds.lazy.compactMap { $0.firstTime }.first
        printer.bytes += "stream \(name.rawValue) \(stream.count) ".utf8
        time(epoch, since: 0)
        try endLine()
        for fold in stream.folds { try self.fold(fold, since: epoch) }
    }

    mutating func fold(_ fold: Fold, since epoch: Int64?) throws {
        switch fold {
        case .once(let entry):
            try self.entry(entry, since: epoch)
        case .times(let count, let block):
            try line("repeat \(count) \(block.count)")
            for folded in block { try entry(folded.first, since: epoch, folded: folded) }
        }
    }

    private mutating func entry(_ entry: Entry, since epoch: Int64?, folded: FoldedEntry? = nil) throws {
        switch entry.record {
        case .event(let event): printer.bytes += (event.isInjected ? "i " : "e ").utf8
        case .message: printer.bytes += "m ".utf8
        }
        switch entry.thread {
        case .role(let role): printer.bytes.append(role.rawValue.asciiValue!)
        case .id(let id): printer.append(id, radix: 10)
        }
        printer.bytes.append(0x20)
        time(entry.time, since: epoch ?? 0)
        printer.bytes.append(0x20)
        if let folded {
            time(folded.lastTime, since: epoch ?? 0)
            printer.bytes.append(0x20)
            step(folded)
            printer.bytes.append(0x20)
        }
        let start = printer.bytes.count
        switch entry.record {
        case .event(let event): event.print(to: &printer)
        case .message(let message): printer.text(message.line)
        }
        // Editors remove the space after the name of an event without text, so it is not written.
        if printer.bytes[start...].firstIndex(of: 0x20) == printer.bytes.count - 1 { printer.bytes.removeLast() }
        try endLine()
    }

    /// Writes `=` if all repetitions are equal, or else the step of each number.
    private mutating func step(_ folded: FoldedEntry) {
        guard folded.step != .zero, let event = folded.first.event else {
            printer.bytes.append(UInt8(ascii: "="))
            return
        }
        for place in 0..<event.numbers.count {
            if place > 0 { printer.bytes.append(UInt8(ascii: ",")) }
            printer.append(folded.step[place], radix: 10)
        }
    }

    /// Writes seconds with nine digits after the point, or `-` if there is no time.
    private mutating func time(_ time: Int64?, since epoch: Int64) {
        guard let time else {
            printer.bytes.append(UInt8(ascii: "-"))
            return
        }
        let (difference, overflow) = time.subtractingReportingOverflow(epoch)
        guard !overflow else {
            printer.bytes.append(UInt8(ascii: "-"))
            return
        }
        if difference < 0 { printer.bytes.append(UInt8(ascii: "-")) }
        printer.append(difference.magnitude / 1_000_000_000, radix: 10)
        printer.bytes.append(UInt8(ascii: "."))
        printer.append(difference.magnitude % 1_000_000_000, radix: 10, width: 9)
    }
}

/// The bytes that folds take in a stream of a trace, counted as they come.
package struct FoldedSize {
    private var epoch: Int64?
    package private(set) var bytes = 0

    package init() {}

    package mutating func add(_ fold: Fold) {
        epoch = epoch ?? fold.firstTime
        var size = 0
        // The output does not throw, so neither does the text.
        try? withoutActuallyEscaping({ size += $0.count }) { (output: @escaping ([UInt8]) throws -> Void) in
            var text = TraceText(output: output)
            try text.fold(fold, since: epoch)
            try text.flush()
        }
        bytes += size
    }
}

extension FieldPrinter {
    /// Prints free text; a line end in it is printed as a space.
    mutating func text(_ text: String) {
        var text = text
        self.text(&text, upTo: "")
    }
}

extension Fold {
    fileprivate var firstTime: Int64? {
        switch self {
        case .once(let entry): entry.time
        case .times(_, let block): block.lazy.compactMap { $0.first.time }.first
        }
    }
}
