/// Reads a trace in the format of Traces/FORMAT.md, item by item, in bounded memory.
///
/// A trace that was cut, a count that does not agree, and a file that is no trace are errors with their place: a reader that accepts half a
/// trace would pass a migration that it has not seen.

package struct TraceReader: ~Copyable {
    package enum Item: Hashable, Sendable {
        case header(TraceHeader)
        case stream(StreamName, count: Int)
        case fold(Fold)
        case edge(ContentEdge)
    }

    /// The most repetitions of a block.
    package static let mostRepetitions = 1 << 40
    /// The most entries of a stream.
    package static let mostEntries = 1 << 48
    /// The most lines before the first stream.
    package static let mostHeaderLines = 16 * 1024

    enum Part {
        case start
        /// At the beginning of the stream with this index.
        case streamBegins(Int)
        /// Within that stream.
        case stream(Int)
        case edges(left: Int)
        case end
        case finished
    }

    var lines: LineScanner
    let table = EventTable()
    let names = NameTable()
    var part = Part.start
    var position = Position(line: 1, offset: 0)
    private var counts = [Int](repeating: 0, count: StreamName.allCases.count)
    private var declared = 0
    var epoch: Int64?
    private var edgeCount = 0
    var fields = TraceFields(start: nil, length: 0)
    /// True for a trace of format 2; a header of format 1 has no lines `trait`.
    var hasTraits = true

    package init(_ input: @escaping LogReader.Input) {
        lines = LineScanner(longestLine: LogReader.longestLine, input)
    }

    package init(_ bytes: [UInt8]) {
        lines = LineScanner(longestLine: LogReader.longestLine, bytes)
    }

    /// The next item; nil at the end of a whole trace. Throws `TraceError`, and the errors of the input.
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

    // MARK: Streams

    mutating func beginStream(_ index: Int) throws {
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
                    "expected \(declared) entries of \(StreamName.allCases[index].rawValue), found \(counts[index]); "
                        + "entries are missing or were added")
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
                "expected a \(kind.rawValue) from \(kind.streams.0.rawValue) to \(kind.streams.1.rawValue), "
                    + "found \(from.stream.rawValue) to \(to.stream.rawValue)")
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
}

extension Trace {
    /// Reads a whole trace. Throws `TraceError`, and the errors of the input.
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
