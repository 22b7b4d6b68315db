/// What decides how a migration with switchover ACKs goes: both sides, the devices, and what is made to happen when.
///
/// This room imports nothing. It holds a closed form and no machinery: neither engine, protocol, stream nor device model.

/// How a side counts ACKs.
package enum AckMode: String, Hashable, Sendable {
    /// The destination counts its devices and sends one ACK (8.1 and later).
    case legacy
    /// The source counts requests, the destination answers each marker (11.1 and later).
    case perDevice = "per-device"
}

/// What a device can do on one side.
package enum Ability: String, CaseIterable, Hashable, Sendable {
    case none, precopy, reinit

    package var hasPrecopy: Bool { self != .none }
}

package struct Scenario: Hashable, Sendable {
    package struct Side: Hashable, Sendable {
        /// Has the capability `switchover-ack` at all (8.1 and later).
        package var hasSwitchoverAck = true
        /// Knows both modes (11.1 and later): counts ACKs, notices a surplus one, makes a final query.
        package var knowsPerDevice: Bool
        package var mode: AckMode
        /// Decides when as much is pending as the threshold, not only when less is (10.1 and later).
        package var decidesAtThreshold = true
        /// Every switchover passes through the status device, not only one that pauses (10.0 and later): no ending turns on it, but what is
        /// legal on the way.
        package var switchesInDevice = true
        /// The capability is on.
        package var capability = true
        /// Started with `-S`.
        package var startsPaused = false

        package init(knowsPerDevice: Bool, mode: AckMode) {
            self.knowsPerDevice = knowsPerDevice
            self.mode = mode
        }
    }

    package struct Device: Hashable, Sendable {
        package var source: Ability
        package var destination: Ability
        package var hasP2P = true
        /// REINITs raised while the source iterates, each after the marker of the round before.
        package var reinits = 0

        package init(source: Ability, destination: Ability) {
            self.source = source
            self.destination = destination
        }
    }

    /// A REINIT around the decision.
    package enum LateReinit: String, CaseIterable, Hashable, Sendable {
        /// Shown by the check that follows the decision, vCPUs stopped.
        case lastCheck = "last-check"
        /// Raised when that check has been made.
        case afterCheck = "after-check"
    }

    package enum Guest: String, CaseIterable, Hashable, Sendable {
        case running
        /// The source is started with `-S`.
        case neverStarted = "never-started"
        /// QMP `stop` while only the ACK is missing.
        case stopped
        /// QMP `system_reset` while only the ACK is missing; then the ACK comes.
        case reset
    }

    package enum Estimate: String, CaseIterable, Hashable, Sendable {
        case small, zero
        /// The stop-copy estimate stays above the threshold.
        case aboveThreshold = "above-threshold"
    }

    /// Which comes first where both may: the ACKs, or the decision.
    package enum Race: String, CaseIterable, Hashable, Sendable {
        case natural
        case acksFirst = "ack-first"
        case decisionFirst = "decision-first"
    }

    package var source: Side
    package var destination: Side
    package var devices: [Device] = []
    /// nil: VFIO devices alone ask for ACKs.
    package var requester: Requester?
    /// The two sides' machine types are different versions.
    package var machinesDiffer = false
    package var late: LateReinit?
    package var guest = Guest.running
    package var estimate = Estimate.small
    package var race = Race.natural
    /// nil: far above.
    package var threshold: Threshold?
    /// nil: the guest writes no memory.
    package var dirtying: Dirtying?
    /// Every device that can re-initialise does so whenever its initial bytes were read, without end.
    package var reinitsForever = false
    /// nil: precopy only.
    package var postcopy: Postcopy?
    /// nil: a socket.
    package var sink: Sink?
    /// nil: to move the guest.
    package var purpose: Purpose?
    /// The capability `return-path` is on at both sides.
    package var hasReturnPath = true
    /// nil: nobody cancels.
    package var cancel: Cancel?
    /// nil: what was paused before the switchover is continued, and completes.
    package var failureAfterPause: FailureAfterPause?
    /// nil: guest and devices are left alone.
    package var interruption: Interruption?
    /// Stopped devices give their state to channels on which the destination takes memory alone.
    package var sendsStateUnexpected = false
    /// nil: nothing breaks.
    package var breakage: Breakage?
    /// A gate keeps the last ACK back until it is the only thing missing.
    package var isGated = false

    package init(source: Side, destination: Side) {
        self.source = source
        self.destination = destination
    }
}
