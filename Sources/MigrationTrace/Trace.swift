/// A recorded migration: what each side was, what it printed, and which content connects the sides.

/// A name with a value, as probed or read back.
public struct Setting: Hashable, Sendable {
    public var name: String
    public var value: String

    public init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

/// A device of one side.
public struct TraceDevice: Hashable, Sendable {
    public var name: String
    /// The idstr of its section, which pairs it with the other side's; empty when unknown.
    public var idstr: String
    /// The device script's lines; empty for a device that is no mock.
    public var script: [String]

    public init(name: String, idstr: String, script: [String] = []) {
        self.name = name
        self.idstr = idstr
        self.script = script
    }
}

/// What is known of one side.
public struct TraceSide: Hashable, Sendable {
    public var name = ""
    /// The exact version, as the binary says it: a label, never a reason.
    public var version = ""
    public var machine = ""
    /// What was probed of the binary.
    public var features: [Setting] = []
    /// As read back, `on` or `off`.
    public var capabilities: [Setting] = []
    public var properties: [Setting] = []
    public var commandLine: [String] = []
    public var devices: [TraceDevice] = []
    /// Lines of its logs that are no events or messages.
    public var unknown = UnknownLineCounts()

    public init() {}
}

/// How the source's process ended before its migration did, in the words of the header's outcome.
public enum SourceProcessEnd: String, Hashable, Sendable {
    case byItself = "source-process-ended"
    /// From outside.
    case killed = "source-process-killed"
}

/// All of a trace but its entries.
public struct TraceHeader: Hashable, Sendable {
    public var cell = ""
    /// How driving it ended.
    public var outcome = ""
    /// Nanoseconds of the whole cell; nil when not measured.
    public var duration: UInt64?
    /// What was still to happen by itself when the recording ended, in words; empty: nothing.
    public var armed = ""
    /// The verifier's verdict when it was recorded; empty where it was not judged.
    public var verdict = ""
    /// Identifiers of the rules that were broken then, each once.
    public var broken: [String] = []
    public var source = TraceSide()
    public var destination = TraceSide()

    public init() {}
}

public struct Trace: Hashable, Sendable {
    public var header = TraceHeader()
    public var source = FoldedStream()
    public var sourceDevices = FoldedStream()
    public var destination = FoldedStream()
    public var destinationDevices = FoldedStream()
    public var edges: [ContentEdge] = []

    public init() {}

    /// Joins what was logged on the two sides. Each stream keeps its own order; between them are the content edges only.
    public init(
        header: TraceHeader, source: FoldedStream, sourceDevices: FoldedStream = FoldedStream(),
        destination: FoldedStream, destinationDevices: FoldedStream = FoldedStream()
    ) {
        self.header = header
        self.source = source
        self.sourceDevices = sourceDevices
        self.destination = destination
        self.destinationDevices = destinationDevices
        edges = contentEdges(source: source, destination: destination)
    }

    public subscript(stream: StreamName) -> FoldedStream {
        get {
            switch stream {
            case .source: source
            case .sourceDevices: sourceDevices
            case .destination: destination
            case .destinationDevices: destinationDevices
            }
        }
        set {
            switch stream {
            case .source: source = newValue
            case .sourceDevices: sourceDevices = newValue
            case .destination: destination = newValue
            case .destinationDevices: destinationDevices = newValue
            }
        }
    }
}
