/// The account of one switchover-ACK handshake: which devices requested an ACK, which were approved, how often, and before which decision.
///
/// It holds what the ledgers of the two sides hold, by which the rules judge, and counts nothing itself. Each side's events are counted in
/// their own print order; nothing is concluded from the order of lines across sides. Devices are named by their section idstr, which is
/// equal on both sides; QEMU's own device names are not.
import MigrationTrace

package struct Handshake: Hashable, Sendable {
    /// The decision to switch over, as the source logged it.
    package struct Decision: Hashable, Sendable {
        /// Bytes that the last query before the decision found pending.
        package var pending: UInt64
        /// Bytes the threshold allowed; nil before the first window of 100 ms ended, when it is 0.
        package var threshold: Int64?
        /// Pending queries made before the decision.
        package var queries: Int
        /// ACKs whose lines were printed before the decision. The line of one ACK may be printed late, since another thread prints it.
        package var acksBefore: Int
        /// ACKs that the source still waited for, by the lines printed before the decision; below 0 after an underflow.
        package var acksMissing: Int
    }

    /// The mode that the source ran, as its header or its log tells; nil when neither does.
    package var mode: SwitchoverAckMode?

    /// By idstr: requests that a per-device source collected.
    package var requests: [String: Int] = [:]
    /// By idstr: how often a legacy destination counted the device in.
    package var countedIn: [String: Int] = [:]
    /// Up to 11.0: how many devices the destination counted in; their names are not logged.
    package var unnamedCountedIn = 0
    /// By idstr: approvals of the destination; `?` for approvals that no line gives a device for.
    package var approvals: [String: Int] = [:]
    package var acksSent = 0
    package var acksCounted = 0
    package var decision: Decision?
    /// Steps that only a missing ACK held back: see `HeldBackSteps`.
    package var gatedSteps = 0
    /// Windows of 100 ms in which RAM used up what the link may carry, and a device with initial bytes sent none.
    package var starvedWindows = 0

    /// True if an ACK held the decision back; without that a completed handshake proves nothing.
    package var isGating: Bool { gatedSteps > 0 }

    /// How many ACKs were asked for, on either side, by devices with or without a name.
    package var requestCount: Int { requests.values.reduce(0, +) + countedIn.values.reduce(unnamedCountedIn, +) }
}

extension Handshake {
    init(source: SourceSide, destination: DestinationSide) {
        self.init()
        mode = source.ledger.mode
        requests = source.names.byIdstr(source.devices.all.lazy.map { ($0.name, $0.requests) })
        if let requester = source.requester, source.ledger.ofRequester > 0 { requests[requester, default: 0] += source.ledger.ofRequester }
        acksCounted = source.ledger.acks
        decision = source.switchover.decision.map { decision in
            Decision(
                pending: decision.pending, threshold: decision.threshold, queries: decision.queries, acksBefore: decision.acksBefore,
                acksMissing: decision.missing)
        }
        gatedSteps = source.heldBack.count
        starvedWindows = source.starved.count

        countedIn = destination.names.byIdstr(destination.countedIn.lazy.map { ($0.key, $0.value) })
        unnamedCountedIn = destination.unnamedCountedIn
        approvals = destination.names.byIdstr(destination.devices.lazy.map { ($0.name, $0.approvalCount) })
        if let requester = source.requester, destination.requesterApprovalCount > 0 {
            approvals[requester, default: 0] += destination.requesterApprovalCount
        }
        if destination.unnamedApprovals > 0 { approvals["?"] = destination.unnamedApprovals }
        acksSent = destination.sent
    }

    /// The account of a recorded migration.
    package init(_ trace: Trace) { self = judge(trace).handshake }
}

extension Handshake {
    /// Names of the counts that two runs of a cell are compared by.
    package static let comparedCounts: Set<String> = ["requests", "counted-in", "approvals", "acks-sent", "acks-counted"]

    /// The compared counts as texts, which are equal where the counts are.
    package var counts: [(name: String, value: String)] {
        func text(_ counts: [String: Int], unnamed: Int = 0) -> String {
            let parts =
                counts.filter { $0.value > 0 }.map { "\($0.key) x\($0.value)" }.sorted() + (unnamed > 0 ? ["\(unnamed) unnamed"] : [])
            return parts.isEmpty ? "none" : parts.joined(separator: ", ")
        }
        return [
            ("requests", text(requests)), ("counted-in", text(countedIn, unnamed: unnamedCountedIn)), ("approvals", text(approvals)),
            ("acks-sent", "\(acksSent)"), ("acks-counted", "\(acksCounted)"),
        ]
    }
}
