/// What a migration did, as far as it does not depend on how long anything took: the canonical form in which two runs of one cell are
/// equal.
///
/// A sequence has a part for each thread of QEMU's design and for each device. Within a part the order is that of the log. Between parts there
/// is none but by contents (marker, approval, ACK), which the verifier checks of each run by itself. That two threads have no common order is
/// no exemption: it is the order that QEMU's design gives. What two runs may do differently beside is no matter of this file: the list
/// harness/matrix/differences.yaml says it.
import MigrationTrace

/// A thread of a side whose order is its own.
package struct ProtocolThread: Hashable, Sendable, CustomStringConvertible {
    package enum Role: Hashable, Sendable {
        case main
        case migration
        case returnPath
        case listen
        /// By section idstr: what one device does in the migration thread while the source iterates. Which device comes first in a window,
        /// and in which window, depends on the bytes that went before.
        case iteration(String)
        /// By section idstr: the thread that sends or loads one device's state over channels of its own.
        case multifd(String)
        /// Messages on the return path that come from several threads, one kind each (postcopy).
        case messages(String)
        /// Statuses that one of several threads sets (postcopy of a destination).
        case statuses
        /// Errors that one of several threads stores.
        case errors
        /// The wait for the end of the return path: the migration thread waits where the last write to the channel succeeded, else the clean-up
        /// does, and no edge orders that write against the close by the other side.
        case join
        /// By section idstr: what the device itself saw.
        case device(String)
    }

    package let isSource: Bool
    package let role: Role

    package var description: String {
        let side = isSource ? "source" : "destination"
        return switch role {
        case .main: "\(side), main thread"
        case .migration: "\(side), migration thread"
        case .returnPath: "\(side), return path thread"
        case .listen: "\(side), listen thread"
        case .iteration(let device): "\(side), \(device) while iterating"
        case .multifd(let device): "\(side), channel thread of \(device)"
        case .messages(let kind): "\(side), \(kind)"
        case .statuses: "\(side), statuses in postcopy"
        case .errors: "\(side), errors"
        case .join: "\(side), end of the return path"
        case .device(let device): "\(side), device \(device)"
        }
    }
}

/// An event of the protocol, without what differs from run to run.
package struct ProtocolStep: Hashable, Sendable {
    /// What happened, devices by section idstr.
    package let text: String
    /// The name of the event.
    package let event: String
    /// Where it stands in its own log; plays no part in equality.
    package let place: Place

    package init(text: String, event: String, place: Place) {
        self.text = text
        self.event = event
        self.place = place
    }

    package static func == (a: ProtocolStep, b: ProtocolStep) -> Bool { a.text == b.text }
    package func hash(into hasher: inout Hasher) { hasher.combine(text) }
}

package struct ProtocolSequence: Hashable, Sendable {
    /// Steps of a thread that are kept; of a longer one the rest is only counted.
    package static let mostSteps = 1 << 14

    /// Threads that did anything.
    package internal(set) var threads: [ProtocolThread: [ProtocolStep]] = [:]

    /// Threads that did more than is kept, and so cannot be compared to their end.
    package internal(set) var cut: Set<ProtocolThread> = []

    package init(threads: [ProtocolThread: [ProtocolStep]] = [:], cut: Set<ProtocolThread> = []) {
        self.threads = threads
        self.cut = cut
    }

    /// All threads, in a fixed order.
    package var ordered: [(thread: ProtocolThread, steps: [ProtocolStep])] {
        threads.map { ($0.key, $0.value) }.sorted { $0.0.sortKey < $1.0.sortKey }
    }
}

extension ProtocolThread {
    /// Source first; within a side by how much a reader cares.
    var sortKey: String {
        let rank: Int =
            switch role {
            case .migration: 0
            case .iteration: 1
            case .returnPath: 2
            case .main: 3
            case .listen: 4
            case .statuses: 5
            case .messages: 6
            case .multifd: 7
            case .errors: 8
            case .join: 8
            case .device: 9
            }
        return "\(isSource ? 0 : 1)\(rank)\(description)"
    }
}
