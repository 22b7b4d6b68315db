/// The destination's part of the handshake: it counts its users (legacy), or answers each marker (per-device).

package struct DestinationApprover: Hashable, Sendable {
    package let generation: Generation
    package let mode: AckMode
    package let capability: Bool
    /// How many users' markers have not arrived, in legacy mode.
    package private(set) var pending: UInt32 = 0

    /// A generation without per-device ACKs is in legacy mode, whatever `mode` says.
    package init(_ generation: Generation, mode: AckMode, capability: Bool) {
        self.generation = generation
        self.mode = generation.has(.perDeviceAcks) ? mode : .legacy
        self.capability = capability
    }

    /// True if users are counted at all.
    package var countsUsers: Bool { capability && mode == .legacy }

    /// Counts a user, while the load is set up.
    package mutating func countUser() {
        guard countsUsers, !generation.isWrong(.legacyUsersUncounted) else { return }
        pending += generation.isWrong(.legacyUsersCountedTwice) ? 2 : 1
    }

    /// True if OPEN_RETURN_PATH is answered by an ACK at once, since no user will cause one.
    package var acknowledgesWithoutUsers: Bool {
        if generation.isWrong(.ackAtOpening) { return capability }
        return countsUsers && pending == 0 && !generation.isWrong(.noAckWithoutUsers)
    }

    /// The error of a load that cannot send the ACK on OPEN_RETURN_PATH. 10.0 adds the errno after it.
    package static let notSent = ProtocolError("Could not send switchover ack RP MSG")

    /// Checks that a module may receive a marker at all.
    /// - Throws: the module is no user, or the capability is off; the load fails.
    package func checkMarker(device: String, isUser: Bool) throws(ProtocolError) {
        guard capability && isUser || generation.isWrong(.markerUnchecked) else {
            throw ProtocolError("\(device): Received INIT_DATA_SENT but switchover ack is not used")
        }
    }

    /// Approves the switchover for a marker. Returns true if an ACK is due for it now.
    ///
    /// - Throws: in legacy mode there are more markers than users (10.0.13, 11.1.3); the load fails.
    package mutating func approve() throws(ProtocolError) -> Bool {
        guard mode == .legacy else { return !generation.isWrong(.ackNotSent) }
        guard pending > 0 else {
            if generation.isWrong(.surplusMarkerAccepted) || generation.isWrong(.legacyUsersUncounted) { return false }
            throw ProtocolError("qemu_loadvm_approve_switchover failed, err=-22 (Invalid argument)")
        }
        pending -= 1
        if generation.isWrong(.ackNotSent) { return false }
        if generation.isWrong(.legacyAckPerMarker) { return true }
        return pending == (generation.isWrong(.legacyAckEarly) ? 1 : 0)
    }
}
