/// What the lines of a log are, and what a whole log holds.

/// Where a line begins.
package struct Position: Hashable, Sendable, CustomStringConvertible {
    /// Counted from 1.
    package var line: Int
    /// In bytes from the beginning of the input.
    package var offset: Int

    package init(line: Int, offset: Int) {
        self.line = line
        self.offset = offset
    }

    package var description: String { "line \(line) (byte \(offset))" }
}

/// A message that QEMU writes to stderr (`error_report`, `warn_report`): `qemu-system-x86_64: TEXT`.
package struct Message: Hashable, Sendable {
    package enum Severity: String, CaseIterable, Hashable, Sendable {
        case error = ""
        case warning = "warning: "
        case info = "info: "
    }

    /// The name of the program as printed: a path if QEMU was started by a path.
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

/// A line that a trace keeps: an event, or a message of QEMU.
package enum Record: Hashable, Sendable {
    case event(Event)
    case message(Message)

    package var event: Event? {
        if case .event(let event) = self { event } else { nil }
    }
}

/// The kinds of lines that are neither events nor messages. Such lines are counted; they are never an error.
package enum UnknownLine: String, CaseIterable, Hashable, Sendable {
    /// The line looks like a trace event, but its name is not in the vocabulary.
    case unknownEvent = "unknown-event"
    /// The line has the name of a known event, but its text fits none of the event's forms: it is cut, joined with another line, or printed
    /// by an unknown release.
    case malformedEvent = "malformed-event"
    /// A banner of libvirt, or the environment and command line that libvirt writes.
    case libvirt
    /// A line that begins with `#`.
    case comment
    case blank
    /// The line is a part of an event's line: its name is the beginning or the end of a known event's name.
    case piece
    /// A known event stands behind a prefix of an unknown form.
    case prefixed
    case otherText = "other-text"
    /// The line is longer than `LogReader.longestLine`.
    case overlong
    /// The line has NUL or another control character, or is not UTF-8.
    case binary
}

/// One line of a log.
package struct LogLine: Hashable, Sendable {
    package enum Content: Hashable, Sendable {
        case record(Record)
        case unknown(UnknownLine)
    }

    /// What printed the event.
    package enum Origin: Hashable, Sendable {
        case trace
        /// An event of the monitor, which stands for a trace event.
        case monitorEvent
        /// A reply of the monitor: what it tells was reached some time before, and statuses before it may be missing.
        case monitorReply
    }

    package var position: Position
    package var stamp: Stamp?
    package var content: Content
    package var origin = Origin.trace
    /// The number of the migration in the log, from 1. A migration begins at `migrate_set_state new state setup`. The number is 0 before
    /// the first migration, and after a new QEMU process has begun to write to the same file.
    package var episode: Int
    /// True if the input ended without a line end, so that the line may be cut.
    package var isUnterminated: Bool
    /// A number for the process or container that the wrapper of the line names; 0 if none does.
    package var process: UInt64 = 0
    /// True if the program that wrapped the line writes whole lines: then text that is no event is no part of one either.
    package var isWrappedWhole = false
    /// True if the line has the time of another one before its own: the other line's text follows elsewhere.
    package var hasTwoStamps = false

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

/// The number of lines of each kind that are neither events nor messages.
package struct UnknownLineCounts: Hashable, Sendable {
    private var counts = [Int](repeating: 0, count: UnknownLine.allCases.count)

    package init() {}

    package subscript(kind: UnknownLine) -> Int {
        get { counts[UnknownLine.allCases.firstIndex(of: kind)!] }
        set { counts[UnknownLine.allCases.firstIndex(of: kind)!] = newValue }
    }

    package var total: Int { counts.reduce(0, +) }
}

/// What a reader has read so far.
package struct LogSummary: Hashable, Sendable {
    /// A line that is neither an event nor a message.
    package struct Example: Hashable, Sendable {
        package var kind: UnknownLine
        package var position: Position
        /// The first 120 bytes of the line, escaped.
        package var excerpt: String
    }

    /// The most examples of one kind that are kept.
    package static let examplesOfEach = 4

    /// The events of one name that could not be read.
    package struct Unread: Hashable, Sendable {
        package var count: Int
        package var first: Example
    }

    package var lines = 0
    package var bytes = 0
    package var events = 0
    package var messages = 0
    package var unknown = UnknownLineCounts()
    /// The first lines of each unknown kind, in the order of the log.
    package var examples: [Example] = []
    package var episodes = 0
    /// The number of gaps in the shim's line numbers; at each gap lines are missing.
    package var sequenceBreaks = 0
    /// True if the input ended without a line end.
    package var isUnterminated = false
    /// By name: events of the vocabulary whose text fits none of their forms.
    package var unread: [String: Unread] = [:]
    /// The forms in which events were read, such as `journalctl -o short`; empty for QEMU's own.
    package var forms: Set<String> = []

    package init() {}

    package enum Verdict: Hashable, Sendable, CustomStringConvertible {
        /// The log has at least one event.
        case usable
        /// The input has no bytes.
        case empty
        /// The input has no event, so it is no trace log of QEMU. The example is its first line that is neither an event nor a message.
        case foreign(Example?)

        package var description: String {
            switch self {
            case .usable:
                return "usable"
            case .empty:
                return "expected trace events, found an empty input; was QEMU started with -trace, and its log kept?"
            case .foreign(let example):
                if let example, example.kind == .prefixed {
                    return
                        "expected trace events at the beginning of the lines, found them behind a prefix of an unknown form, at "
                        + "\(example.position): \(example.excerpt); remove the prefix from each line"
                }
                let found = example.map { ", but at \($0.position) \($0.kind.rawValue): \($0.excerpt)" } ?? ""
                return "expected trace events as QEMU's log backend prints them\(found); give the file of -D, or the stderr of QEMU"
            }
        }
    }

    /// What the input is, once it was read to its end.
    package var verdict: Verdict {
        if events > 0 { return .usable }
        return bytes == 0 ? .empty : .foreign(examples.first { $0.kind == .prefixed } ?? examples.first)
    }
}
