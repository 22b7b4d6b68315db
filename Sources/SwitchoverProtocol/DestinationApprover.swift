/// The destination's part of the handshake: it counts its users (legacy), or answers each marker (per-device).

package struct DestinationApprover: Hashable, Sendable {
    package let generation: Generation
    package let mode: AckMode
    package let capability: Bool
    /// Users whose marker has not come, in legacy mode.
    package private(set) var pending: UInt32 = 0

    package init(_ generation: Generation, mode: AckMode, capability: Bool) {
        self.generation = generation
        self.mode = mode
        self.capability = capability
    }

    /// Whether users are counted at all.
    package var counts: Bool { capability && mode == .legacy }

    /// A user counts itself in, while the load is set up.
    package mutating func countIn() { if counts { pending += 1 } }

    /// Whether OPEN_RETURN_PATH is answered by an ACK at once: nobody else will cause one.
    package var acknowledgesWithoutUsers: Bool { counts && pending == 0 }

    /// Accepts a marker. Whether an ACK is due for it now.
    package mutating func approve() throws(ProtocolError) -> Bool {
        guard mode == .legacy else { return true }
        guard pending > 0 else { throw ProtocolError("qemu_loadvm_approve_switchover failed, err=-22 (Invalid argument)") }
        pending -= 1
        return pending == 0
    }
}
