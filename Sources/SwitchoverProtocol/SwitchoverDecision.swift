/// What a step of the source's loop decides, from what is pending, the threshold, and the ledger.

/// Bytes that modules have left, and the ACKs they ask for.
package struct PendingBytes: Hashable, Sendable {
    package var precopy: UInt64 = 0
    /// Can only be sent with the guest stopped.
    package var stopCopy: UInt64 = 0
    package var postcopy: UInt64 = 0
    /// How many ACKs the modules request.
    package var requests: UInt32 = 0

    package init() {}

    package var total: UInt64 { precopy &+ stopCopy &+ postcopy }
}

/// Bytes that may be pending when the guest stops: what the link carries in the downtime allowed.
package struct SwitchoverThreshold: Hashable, Sendable {
    /// 0 until the first window has ended (confirmed on 10.0.13 and 11.1.3).
    package private(set) var bytes: UInt64 = 0

    package init() {}

    /// A window of at least 100 ms has ended. `available`: bytes per second that the user says there are, 0 for none said; `downtime` in ms.
    package mutating func windowEnded(sent: UInt64, milliseconds: UInt64, available: UInt64, downtime: UInt64) {
        let perMillisecond = available > 0 ? available / 1000 : sent / max(milliseconds, 1)
        bytes = perMillisecond &* downtime
    }
}

package enum StepDecision: Hashable, Sendable {
    case iterate
    case complete
    case startPostcopy
}

/// The rules of one step in precopy.
package struct SwitchoverDecision: Hashable, Sendable {
    package let generation: Generation
    package init(_ generation: Generation) { self.generation = generation }

    /// Whether an estimate calls for an exact query.
    package func asksExactly(_ estimate: PendingBytes, threshold: UInt64, inPostcopy: Bool) -> Bool {
        if generation.has(.queryPending) { return !inPostcopy && (estimate.total <= threshold || estimate.precopy == 0) }
        return estimate.total < threshold && !(inPostcopy && generation.has(.savesInOneCallback))
    }

    /// What is done, in precopy. `maySwitchOver`: what the ledger said, up to 11.0 before the queries, since then after them.
    package func decide(_ pending: PendingBytes, threshold: UInt64, maySwitchOver: Bool, postcopyIsAsked: Bool) -> StepDecision {
        let fits =
            generation.has(.decidesAtThreshold)
            ? pending.total <= threshold : pending.total == 0 || pending.total < threshold
        let postcopy = postcopyIsAsked && maySwitchOver && pending.precopy &+ pending.stopCopy <= threshold
        if !generation.has(.savesInOneCallback), fits, maySwitchOver { return .complete }
        if postcopy { return .startPostcopy }
        return fits && maySwitchOver ? .complete : .iterate
    }
}
