/// What a trace keeps of one log line: what was printed, by which thread, and when.

/// The thread of an entry: the host's thread id where the log says it, else the role that follows from the event.
package enum EntryThread: Hashable, Sendable {
    case role(ThreadRole)
    case id(UInt32)
}

package struct Entry: Hashable, Sendable {
    package var thread: EntryThread
    /// Nanoseconds since 1970 by that host's clock; nil where the log has no times.
    package var time: Int64?
    package var record: Record

    package init(thread: EntryThread, time: Int64? = nil, record: Record) {
        self.thread = thread
        self.time = time
        self.record = record
    }

    /// An event by the thread that prints it.
    package init(_ event: Event, time: Int64? = nil) {
        self.init(thread: .role(event.thread), time: time, record: .event(event))
    }

    /// What a trace keeps of a log line; nil for lines that are only counted.
    package init?(_ line: LogLine) {
        guard case .record(let record) = line.content else { return nil }
        self.record = record
        time = line.stamp?.realtime
        thread = line.stamp?.thread.map { .id($0) } ?? .role(record.event?.thread ?? .any)
    }

    package var event: Event? { record.event }
}
