/// The decision of a step of the source's loop, from the pending bytes, the threshold, and the ledger.

/// The bytes that modules have left, and the ACKs that they request.
package struct PendingBytes: Hashable, Sendable {
    package var precopy: UInt64 = 0
    /// The bytes that can only be sent with the guest stopped.
    package var stopCopy: UInt64 = 0
    package var postcopy: UInt64 = 0
    /// How many ACKs the modules request.
    package var requests: UInt32 = 0

    package init() {}

    package var total: UInt64 { precopy &+ stopCopy &+ postcopy }
}

/// The bytes that may be pending when the guest stops: what the link carries in the allowed downtime.
package struct SwitchoverThreshold: Hashable, Sendable {
    /// 0 until the first window has ended (confirmed on 10.0.13 and 11.1.3).
    package private(set) var bytes: UInt64 = 0
    private let keepsFraction: Bool

    /// The threshold of 11.1.
    package init() { self.init(.v11_1) }

    package init(_ generation: Generation) { keepsFraction = generation.has(.fractionalBandwidth) }

    /// Ends a window of at least 100 ms. `available` is `avail-switchover-bandwidth` in bytes per second, 0 if it is not set; `downtime` is
    /// in milliseconds.
    ///
    /// The measured bandwidth keeps its fraction of a byte per millisecond in all versions; the user's loses it in 10.0.13 (1 GiB/s for 300
    /// ms is 322122300 there, and 322122547 on 11.1.3). QEMU computes in double precision, and so does this function.
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

    /// True if a step asks the ledger before its queries, so that an ACK or a request in between counts one step later (up to 11.0; assumed
    /// of v1, for which it is not known).
    package var asksLedgerBeforeQueries: Bool { !generation.has(.queryPending) || generation.isWrong(.ledgerBeforeQueries) }

    /// True if an exact query follows an estimate.
    package func needsExactQuery(_ estimate: PendingBytes, threshold: UInt64, inPostcopy: Bool) -> Bool {
        if generation.isWrong(.decidesOnEstimate) { return false }
        if generation.has(.queryPending) { return !inPostcopy && (estimate.total <= threshold || estimate.precopy == 0) }
        return estimate.total < threshold && !(inPostcopy && generation.has(.savesInOneCallback))
    }

    /// The decision in precopy. `maySwitchOver` is the ledger's answer, up to 11.0 from before the queries, since 11.1 from after them.
    package func decide(_ pending: PendingBytes, threshold: UInt64, maySwitchOver: Bool, postcopyIsAsked: Bool) -> StepDecision {
        let completes = fits(pending, threshold) && maySwitchOver
        let mayStart = maySwitchOver || generation.isWrong(.postcopyIgnoresLedger)
        let postcopy = postcopyIsAsked && mayStart && pending.precopy &+ pending.stopCopy <= threshold
        if !generation.has(.savesInOneCallback), completes { return .complete }
        if postcopy { return .startPostcopy }
        return completes ? .complete : .iterate
    }

    /// The decision in postcopy: 10.0 completes when the check of precopy allows it, later releases when nothing is pending.
    package func decideInPostcopy(_ pending: PendingBytes, threshold: UInt64, maySwitchOver: Bool) -> StepDecision {
        if generation.isWrong(.postcopyCompletesEarly) { return .complete }
        let completes = generation.has(.savesInOneCallback) ? pending.total == 0 : fits(pending, threshold) && maySwitchOver
        return completes ? .complete : .iterate
    }

    private func fits(_ pending: PendingBytes, _ threshold: UInt64) -> Bool {
        if generation.isWrong(.pendingIgnored) { return true }
        let total = generation.isWrong(.stopCopyUncounted) ? pending.precopy &+ pending.postcopy : pending.total
        let threshold = generation.isWrong(.decidesAboveThreshold) ? threshold.multipliedReportingOverflow(by: 2).partialValue : threshold
        return total == 0 || total < threshold || generation.has(.decidesAtThreshold) && total == threshold
    }

    /// True if a source in postcopy-device waits in this step until the package is loaded, instead of iterating; then it leaves the status.
    /// In the first form the return-path thread leaves the status, and the source waits for that.
    package func awaitsPackage(isLoaded: Bool, _ pending: PendingBytes) -> Bool {
        generation.has(.postcopyDevice) && (isLoaded || pending.total == 0)
    }

    /// The part of the final query's report that counts: in v2, where modules return early, their requests alone.
    package func finalReport(_ pending: PendingBytes) -> PendingBytes {
        guard generation.has(.finalReturnsEarly) else { return pending }
        var report = PendingBytes()
        report.requests = pending.requests
        return report
    }
}
