/// One line of a log as a trace keeps it: the event or message, the thread that printed it, and the time.

/// The thread of an entry: its id on the host if the log has it, or else the role that follows from the event.
package enum EntryThread: Hashable, Sendable {
    case role(ThreadRole)
    case id(UInt32)
}

package struct Entry: Hashable, Sendable {
    package var thread: EntryThread
    /// In nanoseconds since 1970, by the clock of the host; nil if the log has no times.
    package var time: Int64?
    package var record: Record

    package init(thread: EntryThread, time: Int64? = nil, record: Record) {
        self.thread = thread
        self.time = time
        self.record = record
    }

    /// An event, printed by the thread of its role.
    package init(_ event: Event, time: Int64? = nil) {
        self.init(thread: .role(event.thread), time: time, record: .event(event))
    }

    /// The entry of a log line; nil for a line that is neither an event nor a message.
    package init?(_ line: LogLine) {
        guard case .record(let record) = line.content else { return nil }
        self.record = record
        time = line.stamp?.realtime
        thread = line.stamp?.thread.map { .id($0) } ?? .role(record.event?.thread ?? .any)
    }

    package var event: Event? { record.event }
}
