/// What a trace keeps of one log line: what was printed, by which thread, and when.

/// The thread of an entry: the host's thread id where the log says it, else the role that follows from the event.
public enum EntryThread: Hashable, Sendable {
    case role(ThreadRole)
    case id(UInt32)
}

public struct Entry: Hashable, Sendable {
    public var thread: EntryThread
    /// Nanoseconds since 1970 by that host's clock; nil where the log has no times.
    public var time: Int64?
    public var record: Record

    public init(thread: EntryThread, time: Int64? = nil, record: Record) {
        self.thread = thread
        self.time = time
        self.record = record
    }

    /// An event by the thread that prints it.
    public init(_ event: Event, time: Int64? = nil) {
        self.init(thread: .role(event.thread), time: time, record: .event(event))
    }

    /// What a trace keeps of a log line; nil for lines that are only counted.
    public init?(_ line: LogLine) {
        guard case .record(let record) = line.content else { return nil }
        self.record = record
        time = line.stamp?.realtime
        thread = line.stamp?.thread.map { .id($0) } ?? .role(record.event?.thread ?? .any)
    }

    public var event: Event? { record.event }
}
