/// What a log's lines turn out to be, and what a whole log turned out to hold.

/// Where a line begins.
package struct Position: Hashable, Sendable, CustomStringConvertible {
    /// From 1.
    package var line: Int
    /// Bytes from the beginning of the input.
    package var offset: Int

    package init(line: Int, offset: Int) {
        self.line = line
        self.offset = offset
    }

    package var description: String { "line \(line) (byte \(offset))" }
}

/// One of QEMU's own messages (`error_report`, `warn_report`), which go to stderr: `qemu-system-x86_64: TEXT`.
package struct Message: Hashable, Sendable {
    package enum Severity: String, CaseIterable, Hashable, Sendable {
        case error = ""
        case warning = "warning: "
        case info = "info: "
    }

    /// As printed, a path where QEMU was started by one.
    package var program: String
    package var severity: Severity
    package var text: String

    package init(program: String, severity: Severity = .error, text: String) {
        self.program = program
        self.severity = severity
        self.text = text
    }

    package var line: String { "\(program): \(severity.rawValue)\(text)" }
}

/// What a trace keeps of a log: an event, or a message of QEMU's.
package enum Record: Hashable, Sendable {
    case event(Event)
    case message(Message)

    package var event: Event? {
        if case .event(let event) = self { event } else { nil }
    }
}

/// Lines that are neither events nor messages: counted, never fatal.
package enum UnknownLine: String, CaseIterable, Hashable, Sendable {
    /// Looks like a trace event, but its name is not in the vocabulary.
    case unknownEvent = "unknown-event"
    /// A known event whose text fits none of its forms: cut, glued to another line, or of an unknown release.
    case malformedEvent = "malformed-event"
    /// libvirt's banners, and the environment and command lines it writes.
    case libvirt
    /// A line that begins with `#`.
    case comment
    case blank
    case otherText = "other-text"
    /// Longer than `LogReader.longestLine`.
    case overlong
    /// NUL or other control characters, or not UTF-8.
    case binary
}

/// One line of a log.
package struct LogLine: Hashable, Sendable {
    package enum Content: Hashable, Sendable {
        case record(Record)
        case unknown(UnknownLine)
    }

    package var position: Position
    package var stamp: Stamp?
    package var content: Content
    /// Which migration of the log the line belongs to, from 1. An episode begins at `migrate_set_state new state setup`;
    /// 0 is what comes before the first, and after a new QEMU process began to write to the same file.
    package var episode: Int
    /// The input ended without a line end: the line may be cut.
    package var isUnterminated: Bool

    package init(position: Position, stamp: Stamp? = nil, content: Content, episode: Int = 0, isUnterminated: Bool = false) {
        self.position = position
        self.stamp = stamp
        self.content = content
        self.episode = episode
        self.isUnterminated = isUnterminated
    }

    package var event: Event? {
        if case .record(.event(let event)) = content { event } else { nil }
    }

    package var message: Message? {
        if case .record(.message(let message)) = content { message } else { nil }
    }
}

/// How many lines of each kind a log has.
package struct UnknownLineCounts: Hashable, Sendable {
    private var counts = [Int](repeating: 0, count: UnknownLine.allCases.count)

    package init() {}

    package subscript(kind: UnknownLine) -> Int {
        get { counts[UnknownLine.allCases.firstIndex(of: kind)!] }
        set { counts[UnknownLine.allCases.firstIndex(of: kind)!] = newValue }
    }

    package var total: Int { counts.reduce(0, +) }
}

/// What was read so far.
package struct LogSummary: Hashable, Sendable {
    /// A line that was not understood, as far as it can be shown.
    package struct Example: Hashable, Sendable {
        package var kind: UnknownLine
        package var position: Position
        /// At most 120 bytes; what cannot be shown is replaced.
        package var excerpt: String
    }

    /// How many examples of a kind are kept.
    package static let examplesOfEach = 4

    package var lines = 0
    package var bytes = 0
    package var events = 0
    package var messages = 0
    package var unknown = UnknownLineCounts()
    /// The first few lines of each unknown kind, in the order met.
    package var examples: [Example] = []
    package var episodes = 0
    /// How often the shim's line numbers were not consecutive: lines are missing.
    package var sequenceBreaks = 0
    /// The input ended without a line end.
    package var isUnterminated = false

    package init() {}

    package enum Verdict: Hashable, Sendable, CustomStringConvertible {
        /// There are migration events to look at.
        case usable
        /// Nothing was read.
        case empty
        /// No event at all: not a trace log of QEMU's. The first line that was not understood, if any.
        case foreign(Example?)

        package var description: String {
            switch self {
            case .usable:
                return "usable"
            case .empty:
                return "expected trace events, found an empty input; was QEMU started with -trace, and its log kept?"
            case .foreign(let example):
                let found = example.map { ", but at \($0.position) \($0.kind.rawValue): \($0.excerpt)" } ?? ""
                return "expected trace events as QEMU's log backend prints them\(found); give the file of -D, or QEMU's stderr"
            }
        }
    }

    /// Whether the input, read to its end, is a log that says anything.
    package var verdict: Verdict {
        if events > 0 { return .usable }
        return bytes == 0 ? .empty : .foreign(examples.first)
    }
}
