/// What decides how a migration with switchover ACKs goes: both sides, the devices, and what is made to happen when.
///
/// This room imports nothing. It holds a closed form and no machinery: neither engine, protocol, stream nor device model.

/// How a side counts ACKs.
public enum AckMode: String, Hashable, Sendable {
    /// The destination counts its devices and sends one ACK (8.1 and later).
    case legacy
    /// The source counts requests, the destination answers each marker (11.1 and later).
    case perDevice = "per-device"
}

/// What a device can do on one side.
public enum Ability: String, Hashable, Sendable {
    case none, precopy, reinit

    public var hasPrecopy: Bool { self != .none }
}

public struct Scenario: Hashable, Sendable {
    public struct Side: Hashable, Sendable {
        /// Has the capability `switchover-ack` at all (8.1 and later).
        public var hasSwitchoverAck = true
        /// Knows both modes (11.1 and later): counts ACKs, notices a surplus one, makes a final query.
        public var knowsPerDevice: Bool
        public var mode: AckMode
        /// Decides when as much is pending as the threshold, not only when less is (10.1 and later).
        public var decidesAtThreshold = true
        /// Every switchover passes through the status device, not only one that pauses (10.0 and later): no ending turns on it, but what is
        /// legal on the way.
        public var switchesInDevice = true
        /// The capability is on.
        public var capability = true
        /// Started with `-S`.
        public var startsPaused = false

        public init(knowsPerDevice: Bool, mode: AckMode) {
            self.knowsPerDevice = knowsPerDevice
            self.mode = mode
        }
    }

    public struct Device: Hashable, Sendable {
        public var source: Ability
        public var destination: Ability
        public var hasP2P = true
        /// REINITs raised while the source iterates, each after the marker of the round before.
        public var reinits = 0

        public init(source: Ability, destination: Ability) {
            self.source = source
            self.destination = destination
        }
    }

    /// A REINIT around the decision.
    public enum LateReinit: String, Hashable, Sendable {
        /// Shown by the check that follows the decision, vCPUs stopped.
        case lastCheck = "last-check"
        /// Raised when that check has been made.
        case afterCheck = "after-check"
    }

    public enum Guest: String, Hashable, Sendable {
        case running
        /// The source is started with `-S`.
        case neverStarted = "never-started"
        /// QMP `stop` while only the ACK is missing.
        case stopped
        /// QMP `system_reset` while only the ACK is missing; then the ACK comes.
        case reset
    }

    public enum Estimate: String, Hashable, Sendable {
        case small, zero
        /// The stop-copy estimate stays above the threshold.
        case aboveThreshold = "above-threshold"
    }

    /// Which comes first where both may: the ACKs, or the decision.
    public enum Race: String, Hashable, Sendable {
        case natural
        case acksFirst = "ack-first"
        case decisionFirst = "decision-first"
    }

    public var source: Side
    public var destination: Side
    public var devices: [Device] = []
    /// nil: VFIO devices alone ask for ACKs.
    public var requester: Requester?
    /// The two sides' machine types are different versions.
    public var machinesDiffer = false
    public var late: LateReinit?
    public var guest = Guest.running
    public var estimate = Estimate.small
    public var race = Race.natural
    /// nil: far above.
    public var threshold: Threshold?
    /// nil: the guest writes no memory.
    public var dirtying: Dirtying?
    /// Every device that can re-initialise does so whenever its initial bytes were read, without end.
    public var reinitsForEver = false
    /// nil: precopy only.
    public var postcopy: Postcopy?
    /// nil: a socket.
    public var sink: Sink?
    /// nil: to move the guest.
    public var purpose: Purpose?
    /// The capability `return-path` is on at both sides.
    public var hasReturnPath = true
    /// nil: nobody cancels.
    public var cancel: Cancel?
    /// nil: what was paused before the switchover is continued, and completes.
    public var mishap: SwitchoverMishap?
    /// nil: guest and devices are left alone.
    public var interruption: Interruption?
    /// Stopped devices give their state to channels on which the destination takes memory alone.
    public var sendsStateUnexpected = false
    /// nil: nothing breaks.
    public var breakage: Breakage?
    /// A gate keeps the last ACK back until it is the only thing missing.
    public var isGated = false

    public init(source: Side, destination: Side) {
        self.source = source
        self.destination = destination
    }
}
