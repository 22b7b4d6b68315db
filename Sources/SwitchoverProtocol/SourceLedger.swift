/// The source's account of ACKs: how many are awaited, and whether the source may switch over.

/// How a side counts ACKs. The rules have a type of their own for it: they import nothing, and share nothing with the verifier.
package enum AckMode: String, Hashable, Sendable {
    case legacy
    case perDevice = "per-device"
}

/// An error of the handshake, in QEMU's own words.
package struct ProtocolError: Error, Hashable, Sendable {
    package let text: String
    package init(_ text: String) { self.text = text }
}

package struct SourceLedger: Hashable, Sendable {
    package let generation: Generation
    package let mode: AckMode
    package let capability: Bool
    /// How many ACKs are awaited; 4294967295 after an underflow. Up to 11.0 there is no number: 1 before the ACK, 0 after it.
    package private(set) var pending: UInt32

    /// The ledger of a migration that begins (confirmed on 11.1.3: whatever the capability). A generation without per-device ACKs is in
    /// legacy mode, whatever `mode` says.
    package init(_ generation: Generation, mode: AckMode, capability: Bool) {
        self.generation = generation
        self.mode = generation.has(.perDeviceAcks) ? mode : .legacy
        self.capability = capability
        pending = self.mode == .legacy ? 1 : 0
        if generation.isWrong(.legacyStartsAtZero), self.mode == .legacy { pending = 0 }
        if generation.isWrong(.perDeviceStartsAtOne), self.mode == .perDevice { pending = 1 }
    }

    /// True if the modules' requests are counted.
    package var countsRequests: Bool { capability && mode == .perDevice && generation.has(.perDeviceAcks) }

    /// Counts the requests that a query has collected, or those of one module (v1).
    ///
    /// - Parameter requester: the module, which v1 names in its error.
    /// - Throws: in v1 the counter would overflow; it stays as it was. 11.1 does not check.
    package mutating func collect(_ requests: UInt32, by requester: String = "") throws(ProtocolError) {
        guard countsRequests, requests > 0, !generation.isWrong(.requestsUncounted) else { return }
        var requests = requests
        if generation.isWrong(.requestsCountedTwice) { requests *= 2 }
        if generation.isWrong(.requestsMerged) { requests = 1 }
        let (sum, overflow) = pending.addingReportingOverflow(requests)
        if overflow, generation.has(.overflowError) { throw ProtocolError("Switchover ack pending num overflowed by \(requester)") }
        pending = sum
    }

    /// Counts an ACK, whatever the capability. The trace shows `pending` after it; up to 11.0 it shows no number.
    ///
    /// - Throws: no ACK was awaited; the error ends the return-path thread. On 11.1.3 the counter stays at 4294967295, without that quirk
    ///   at 0. Up to 11.0 a surplus ACK does no harm.
    package mutating func acknowledge() throws(ProtocolError) {
        if generation.isWrong(.ackUncounted) { return }
        guard generation.has(.perDeviceAcks) else {
            pending = 0
            return
        }
        guard pending > 0 else {
            if generation.isWrong(.underflowAccepted) { return }
            if generation.has(.endlessAfterUnderflow) { pending = .max }
            throw ProtocolError("Switchover ack pending num underflowed")
        }
        pending -= 1
        if generation.isWrong(.ackCountedTwice), pending > 0 { pending -= 1 }
        if generation.isWrong(.ackClearsAll) { pending = 0 }
    }

    /// True if the handshake allows the source to stop the guest. `SwitchoverDecision.asksLedgerBeforeQueries` says when a step asks.
    package func maySwitchOver(guestRuns: Bool) -> Bool {
        if generation.isWrong(.ledgerIgnored) { return true }
        let asks = capability || generation.isWrong(.waitsWithoutCapability)
        let waits = guestRuns || generation.isWrong(.stoppedGuestWaits)
        return !asks || !waits || pending <= (generation.isWrong(.onePendingAllowed) ? 1 : 0)
    }

    /// Checks that the final query has collected no request. ACKs that were pending before do not count: they can only be more than 0 with
    /// a guest that does not run, or after a surplus ACK (11.1.3).
    /// - Throws: the query has collected a request. The text is that of 11.1, also in v1, whose text is not known.
    package func checkFinal(collected: UInt32) throws(ProtocolError) {
        let collected = generation.isWrong(.finalCountsPending) ? pending : collected
        guard countsRequests, generation.has(.finalQuery), collected > 0, !generation.isWrong(.finalRequestsIgnored) else { return }
        throw ProtocolError("Switchover ACK was requested by \(collected) devices during switchover")
    }
}
