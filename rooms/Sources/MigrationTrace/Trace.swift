/// A recorded migration: what each side was, what it printed, and which content connects the sides.

/// A name with a value, as probed or read back.
package struct Setting: Hashable, Sendable {
    package var name: String
    package var value: String

    package init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

/// A device of one side.
package struct TraceDevice: Hashable, Sendable {
    package var name: String
    /// The idstr of its section, which pairs it with the other side's; empty when unknown.
    package var idstr: String
    /// The device script's lines; empty for a device that is no mock.
    package var script: [String]

    package init(name: String, idstr: String, script: [String] = []) {
        self.name = name
        self.idstr = idstr
        self.script = script
    }
}

/// What is known of one side.
package struct TraceSide: Hashable, Sendable {
    package var name = ""
    /// The exact version, as the binary says it: a label, never a reason.
    package var version = ""
    package var machine = ""
    /// What was probed of the binary.
    package var features: [Setting] = []
    /// As read back, `on` or `off`.
    package var capabilities: [Setting] = []
    package var properties: [Setting] = []
    package var commandLine: [String] = []
    package var devices: [TraceDevice] = []
    /// Lines of its logs that are no events or messages.
    package var unknown = UnknownLineCounts()

    package init() {}
}

/// How the source's process ended before its migration did, in the words of the header's outcome.
package enum SourceProcessEnd: String, Hashable, Sendable {
    case byItself = "source-process-ended"
    /// From outside.
    case killed = "source-process-killed"
}

/// All of a trace but its entries.
package struct TraceHeader: Hashable, Sendable {
    package var cell = ""
    /// How driving it ended.
    package var outcome = ""
    /// Nanoseconds of the whole cell; nil when not measured.
    package var duration: UInt64?
    /// What was still to happen by itself when the recording ended, in words; empty: nothing.
    package var armed = ""
    /// The verifier's verdict when it was recorded; empty where it was not judged.
    package var verdict = ""
    /// Identifiers of the rules that were broken then, each once.
    package var broken: [String] = []
    package var source = TraceSide()
    package var destination = TraceSide()

    package init() {}
}

package struct Trace: Hashable, Sendable {
    package var header = TraceHeader()
    package var source = FoldedStream()
    package var sourceDevices = FoldedStream()
    package var destination = FoldedStream()
    package var destinationDevices = FoldedStream()
    package var edges: [ContentEdge] = []

    package init() {}

    /// Joins what was logged on the two sides. Each stream keeps its own order; between them are the content edges only.
    package init(
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

    package subscript(stream: StreamName) -> FoldedStream {
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
