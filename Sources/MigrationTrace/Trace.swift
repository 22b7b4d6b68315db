/// A recorded migration: what each side was, what it printed, and which contents connect the two sides.

/// A name with a value, as it was probed or read back.
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
    /// The idstr of the device's section, which is that of the same device on the other side; empty if it is not known.
    package var idstr: String
    /// The lines of the device script; empty for a device that is no mock.
    package var script: [String]

    package init(name: String, idstr: String, script: [String] = []) {
        self.name = name
        self.idstr = idstr
        self.script = script
    }
}

/// What a trace tells of one side.
package struct TraceSide: Hashable, Sendable {
    package var name = ""
    /// The exact version that the binary reports. It labels the side and decides nothing.
    package var version = ""
    package var machine = ""
    /// What was probed of the binary, as labels for the reader of a report.
    package var features: [Setting] = []
    /// What was probed of the binary and matters to the verifier.
    package var traits = SideTraits()
    /// Each `on` or `off`, as read back from the side.
    package var capabilities: [Setting] = []
    package var properties: [Setting] = []
    package var commandLine: [String] = []
    package var devices: [TraceDevice] = []
    /// The lines of the side's logs that are neither events nor messages.
    package var unknown = UnknownLineCounts()

    package init() {}
}

/// How the process of the source ended before its migration did, in the words of the header's outcome.
package enum SourceProcessEnd: String, Hashable, Sendable {
    case byItself = "source-process-ended"
    /// It was killed from outside.
    case killed = "source-process-killed"
}

/// Everything in a trace except its streams and edges.
package struct TraceHeader: Hashable, Sendable {
    package var cell = ""
    /// How the run ended, in the words of the harness.
    package var outcome = ""
    /// Nanoseconds that the whole cell took; nil if they were not measured.
    package var duration: UInt64?
    /// What could still happen by itself when the recording ended, in words; empty if nothing could.
    package var armed = ""
    /// The verifier's verdict when the trace was recorded; empty if the trace was not judged.
    package var verdict = ""
    /// The identifiers of the rules that were broken then, each once.
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

    /// Joins the logs of the two sides and computes the content edges, which alone order entries of different streams.
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
