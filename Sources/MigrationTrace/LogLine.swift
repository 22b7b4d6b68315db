/// What a log's lines turn out to be, and what a whole log turned out to hold.

/// Where a line begins.
public struct Position: Hashable, Sendable, CustomStringConvertible {
    /// From 1.
    public var line: Int
    /// Bytes from the beginning of the input.
    public var offset: Int

    public init(line: Int, offset: Int) {
        self.line = line
        self.offset = offset
    }

    public var description: String { "line \(line) (byte \(offset))" }
}

/// One of QEMU's own messages (`error_report`, `warn_report`), which go to stderr: `qemu-system-x86_64: TEXT`.
public struct Message: Hashable, Sendable {
    public enum Severity: String, CaseIterable, Hashable, Sendable {
        case error = ""
        case warning = "warning: "
        case info = "info: "
    }

    /// As printed, a path where QEMU was started by one.
    public var program: String
    public var severity: Severity
    public var text: String

    public init(program: String, severity: Severity = .error, text: String) {
        self.program = program
        self.severity = severity
        self.text = text
    }

    public var line: String { "\(program): \(severity.rawValue)\(text)" }
}

/// What a trace keeps of a log: an event, or a message of QEMU's.
public enum Record: Hashable, Sendable {
    case event(Event)
    case message(Message)

    public var event: Event? {
        if case .event(let event) = self { event } else { nil }
    }
}

/// Lines that are neither events nor messages: counted, never fatal.
public enum UnknownLine: String, CaseIterable, Hashable, Sendable {
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
public struct LogLine: Hashable, Sendable {
    public enum Content: Hashable, Sendable {
        case record(Record)
        case unknown(UnknownLine)
    }

    public var position: Position
    public var stamp: Stamp?
    public var content: Content
    /// Which migration of the log the line belongs to, from 1. An episode begins at `migrate_set_state new state setup`;
    /// 0 is what comes before the first, and after a new QEMU process began to write to the same file.
    public var episode: Int
    /// The input ended without a line end: the line may be cut.
    public var isUnterminated: Bool

    public init(position: Position, stamp: Stamp? = nil, content: Content, episode: Int = 0, isUnterminated: Bool = false) {
        self.position = position
        self.stamp = stamp
        self.content = content
        self.episode = episode
        self.isUnterminated = isUnterminated
    }

    public var event: Event? {
        if case .record(.event(let event)) = content { event } else { nil }
    }

    public var message: Message? {
        if case .record(.message(let message)) = content { message } else { nil }
    }
}

/// How many lines of each kind a log has.
public struct UnknownLineCounts: Hashable, Sendable {
    private var counts = [Int](repeating: 0, count: UnknownLine.allCases.count)

    public init() {}

    public subscript(kind: UnknownLine) -> Int {
        get { counts[UnknownLine.allCases.firstIndex(of: kind)!] }
        set { counts[UnknownLine.allCases.firstIndex(of: kind)!] = newValue }
    }

    public var total: Int { counts.reduce(0, +) }
}

/// What was read so far.
public struct LogSummary: Hashable, Sendable {
    /// A line that was not understood, as far as it can be shown.
    public struct Example: Hashable, Sendable {
        public var kind: UnknownLine
        public var position: Position
        /// At most 120 bytes; what cannot be shown is replaced.
        public var excerpt: String
    }

    /// How many examples of a kind are kept.
    public static let examplesOfEach = 4

    public var lines = 0
    public var bytes = 0
    public var events = 0
    public var messages = 0
    public var unknown = UnknownLineCounts()
    /// The first few lines of each unknown kind, in the order met.
    public var examples: [Example] = []
    public var episodes = 0
    /// How often the shim's line numbers were not consecutive: lines are missing.
    public var sequenceBreaks = 0
    /// The input ended without a line end.
    public var isUnterminated = false

    public init() {}

    public enum Verdict: Hashable, Sendable, CustomStringConvertible {
        /// There are migration events to look at.
        case usable
        /// Nothing was read.
        case empty
        /// No event at all: not a trace log of QEMU's. The first line that was not understood, if any.
        case foreign(Example?)

        public var description: String {
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
    public var verdict: Verdict {
        if events > 0 { return .usable }
        return bytes == 0 ? .empty : .foreign(examples.first)
    }
}
