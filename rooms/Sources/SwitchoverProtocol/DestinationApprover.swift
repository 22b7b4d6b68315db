/// The destination's part of the handshake: it counts its users (legacy), or answers each marker (per-device).

package struct DestinationApprover: Hashable, Sendable {
    package let generation: Generation
    package let mode: AckMode
    package let capability: Bool
    /// Users whose marker has not come, in legacy mode.
    package private(set) var pending: UInt32 = 0

    /// A generation without per-device ACKs is legacy, whatever `mode`.
    package init(_ generation: Generation, mode: AckMode, capability: Bool) {
        self.generation = generation
        self.mode = generation.has(.perDeviceAcks) ? mode : .legacy
        self.capability = capability
    }

    /// Whether users are counted at all.
    package var counts: Bool { capability && mode == .legacy }

    /// A user counts itself in, while the load is set up.
    package mutating func countIn() { if counts { pending += 1 } }

    /// Whether OPEN_RETURN_PATH is answered by an ACK at once: nobody else will cause one.
    package var acknowledgesWithoutUsers: Bool { counts && pending == 0 }

    /// The channel refuses the ACK that is due on OPEN_RETURN_PATH. 10.0 adds the errno behind it.
    package static let notSent = ProtocolError("Could not send switchover ack RP MSG")

    /// Whether a module may be sent a marker at all: by one that was not counted in, or with the capability off, it is an error of the load.
    package func checkMarker(device: String, isUser: Bool) throws(ProtocolError) {
        guard capability, isUser else { throw ProtocolError("\(device): Received INIT_DATA_SENT but switchover ack is not used") }
    }

    /// Accepts a marker. Whether an ACK is due for it now.
    ///
    /// - Throws: in legacy mode, a marker more than users were counted in (10.0.13, 11.1.3); the load fails.
    package mutating func approve() throws(ProtocolError) -> Bool {
        guard mode == .legacy else { return true }
        guard pending > 0 else { throw ProtocolError("qemu_loadvm_approve_switchover failed, err=-22 (Invalid argument)") }
        pending -= 1
        return pending == 0
    }
}
