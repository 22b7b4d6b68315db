/// The source's account of ACKs: what was requested, what was acknowledged, and whether it may switch over.

/// How a side counts ACKs.
package enum AckMode: String, Hashable, Sendable {
    case legacy
    case perDevice = "per-device"
}

/// What the handshake makes a migration fail with; `text` is QEMU's own.
package struct ProtocolError: Error, Hashable, Sendable {
    package let text: String
    package init(_ text: String) { self.text = text }
}

package struct SourceLedger: Hashable, Sendable {
    package let generation: Generation
    package let mode: AckMode
    package let capability: Bool
    /// ACKs that are awaited; below 0 it is 4294967295. Up to 11.0 there is no number: 1 before the ACK, 0 after it.
    package private(set) var pending: UInt32

    /// As a migration begins (confirmed on 11.1.3: whatever the capability). A generation without per-device ACKs is legacy, whatever `mode`.
    package init(_ generation: Generation, mode: AckMode, capability: Bool) {
        self.generation = generation
        self.mode = generation.has(.perDeviceAcks) ? mode : .legacy
        self.capability = capability
        pending = self.mode == .legacy ? 1 : 0
    }

    /// Whether what modules request is counted.
    package var collects: Bool { capability && mode == .perDevice && generation.has(.perDeviceAcks) }

    /// Counts what a query has collected, or what one module requests of the handler (v1).
    ///
    /// - Parameter requester: the module; v1 names it in its error.
    /// - Throws: in v1, the counter would pass its range; it is left as it was. 11.1 does not check.
    package mutating func collect(_ requests: UInt32, by requester: String = "") throws(ProtocolError) {
        guard collects, requests > 0 else { return }
        let (sum, overflow) = pending.addingReportingOverflow(requests)
        if overflow, generation.has(.overflowError) { throw ProtocolError("Switchover ack pending num overflowed by \(requester)") }
        pending = sum
    }

    /// Counts an ACK, whatever the capability. The number that the trace shows is `pending`; up to 11.0 there is none.
    ///
    /// - Throws: more ACKs than were awaited, which ends the return path's thread. On 11.1.3 the counter stays at 4294967295; without that
    ///   quirk it stays at 0. Up to 11.0 a surplus ACK does no harm.
    package mutating func acknowledge() throws(ProtocolError) {
        guard generation.has(.perDeviceAcks) else {
            pending = 0
            return
        }
        guard pending > 0 else {
            if generation.has(.endlessAfterUnderflow) { pending = .max }
            throw ProtocolError("Switchover ack pending num underflowed")
        }
        pending -= 1
    }

    /// Whether the handshake lets the guest be stopped. `SwitchoverDecision.asksLedgerFirst` tells when a step asks.
    package func maySwitchOver(guestRuns: Bool) -> Bool { !capability || !guestRuns || pending == 0 }

    /// Whether what the final query has collected lets the migration go on. What is pending from before does not count: it can only be more
    /// than 0 with a guest that does not run, or behind a surplus ACK (11.1.3).
    /// - Throws: in v1, too, the text of 11.1: what v1 said there is not known.
    package func checkFinal(collected: UInt32) throws(ProtocolError) {
        guard collects, generation.has(.finalQuery), collected > 0 else { return }
        throw ProtocolError("Switchover ACK was requested by \(collected) devices during switchover")
    }
}
