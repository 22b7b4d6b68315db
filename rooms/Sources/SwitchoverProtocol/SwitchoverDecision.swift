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
    private let keepsFraction: Bool

    /// As 11.1 is.
    package init() { self.init(.v11_1) }

    package init(_ generation: Generation) { keepsFraction = generation.has(.fractionalBandwidth) }

    /// A window of at least 100 ms has ended. `available`: bytes per second that the user says there are, 0 for none said; `downtime` in ms.
    ///
    /// What is measured keeps its fraction of a byte per millisecond in all versions; what the user says lost it in 10.0.13 (1 GiB/s for
    /// 300 ms is 322122300 there, and 322122547 on 11.1.3). QEMU reckons in double precision, and so does this.
    package mutating func windowEnded(sent: UInt64, milliseconds: UInt64, available: UInt64, downtime: UInt64) {
        let perMillisecond: Double
        if available == 0 {
            perMillisecond = Double(sent) / Double(max(milliseconds, 1))
        } else {
            perMillisecond = keepsFraction ? Double(available) / 1000 : Double(available / 1000)
        }
        let product = perMillisecond * Double(downtime)
        bytes = UInt64(exactly: product.rounded(.towardZero)) ?? .max
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

    /// Whether the ledger is asked before the queries of a step, so that an ACK or a request in between counts one step later (up to 11.0;
    /// taken to be so in v1, of which it is not known).
    package var asksLedgerFirst: Bool { !generation.has(.queryPending) }

    /// Whether an estimate calls for an exact query.
    package func asksExactly(_ estimate: PendingBytes, threshold: UInt64, inPostcopy: Bool) -> Bool {
        if generation.has(.queryPending) { return !inPostcopy && (estimate.total <= threshold || estimate.precopy == 0) }
        return estimate.total < threshold && !(inPostcopy && generation.has(.savesInOneCallback))
    }

    /// What is done, in precopy. `maySwitchOver`: what the ledger said, up to 11.0 before the queries, since then after them.
    package func decide(_ pending: PendingBytes, threshold: UInt64, maySwitchOver: Bool, postcopyIsAsked: Bool) -> StepDecision {
        let completes = fits(pending, threshold) && maySwitchOver
        let postcopy = postcopyIsAsked && maySwitchOver && pending.precopy &+ pending.stopCopy <= threshold
        if !generation.has(.savesInOneCallback), completes { return .complete }
        if postcopy { return .startPostcopy }
        return completes ? .complete : .iterate
    }

    /// What is done in postcopy: 10.0 ends it by the test of precopy, later releases when nothing is left.
    package func decideInPostcopy(_ pending: PendingBytes, threshold: UInt64, maySwitchOver: Bool) -> StepDecision {
        let completes = generation.has(.savesInOneCallback) ? pending.total == 0 : fits(pending, threshold) && maySwitchOver
        return completes ? .complete : .iterate
    }

    private func fits(_ pending: PendingBytes, _ threshold: UInt64) -> Bool {
        pending.total == 0 || pending.total < threshold || generation.has(.decidesAtThreshold) && pending.total == threshold
    }

    /// Whether a source in postcopy-device waits in this step for the word that the package is loaded, rather than iterate; when it is
    /// loaded it leaves the status. In its first form the return path's thread leaves it, and what is waited for is that it has.
    package func awaitsPackage(isLoaded: Bool, _ pending: PendingBytes) -> Bool {
        generation.has(.postcopyDevice) && (isLoaded || pending.total == 0)
    }

    /// What counts of what modules tell the final query: in v2, where they return from it early, their requests alone.
    package func finalReport(_ pending: PendingBytes) -> PendingBytes {
        guard generation.has(.finalReturnsEarly) else { return pending }
        var report = PendingBytes()
        report.requests = pending.requests
        return report
    }
}
