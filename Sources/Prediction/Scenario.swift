/// What decides how a migration with switchover ACKs goes: both sides, the devices, and what happens around the migration.
///
/// This room imports nothing. It holds a closed form and no machinery: neither engine, protocol, stream nor device model.

/// How a side counts ACKs. The closed form has a type of its own for it, as it imports nothing: it must not share anything with what it
/// judges.
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
        /// True if the binary has the capability `switchover-ack` (8.1 and later).
        package var hasSwitchoverAck = true
        /// True if the binary knows both modes (11.1 and later): its source counts ACKs, notices a surplus one, and makes a final query.
        package var knowsPerDevice: Bool
        package var mode: AckMode
        /// True if the source decides when as much is pending as the threshold, and not only when less is (10.1 and later).
        package var decidesAtThreshold = true
        /// True if every switchover passes through the status `device`, and not only one that pauses (10.0 and later). No ending depends on
        /// this, only which statuses are legal on the way.
        package var switchesInDevice = true
        /// True if the side has the status `postcopy-device`: a source waits in it until the destination reports that the package is
        /// loaded, and a destination whose package fails ends the load of the rest of the stream, too (10.2 and later).
        package var hasPostcopyDevice = true
        /// True if COLO has a channel's way back to itself, and no longer begins with a command (11.0 and later).
        package var replicates = true
        /// True if the migration mode cpr-exec exists (10.2 and later).
        package var hasCPRExec = true
        /// True if cpr-transfer names the memory that it cannot take over before it asks for its channel (11.0 and later).
        package var namesMemoryOfCPR = true
        /// True if the capability is switched on.
        package var capability = true
        /// True if the side is started with `-S`.
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
        /// The number of REINITs that the device raises while the source iterates, each after the marker of the round before.
        package var reinits = 0

        package init(source: Ability, destination: Ability) {
            self.source = source
            self.destination = destination
        }
    }

    /// When the last REINIT comes, if that is before the marker or around the decision.
    package enum LateReinit: String, CaseIterable, Hashable, Sendable {
        /// A query shows a REINIT of each device whose initial bytes, and with them its marker, are still to be sent. The outstanding
        /// request covers the new initial bytes.
        case beforeMarker = "before-marker"
        /// The query that would let the source decide shows the REINIT of the last device, so that the source goes on.
        case decidingQuery = "deciding-query"
        /// The check that follows the decision, with the vCPUs stopped, shows the REINIT.
        case lastCheck = "last-check"
        /// The device raises the REINIT after that check.
        case afterCheck = "after-check"
    }

    package enum Guest: String, CaseIterable, Hashable, Sendable {
        case running
        /// The source is started with `-S`, and its guest never runs.
        case neverStarted = "never-started"
        /// QMP `stop` stops the guest while only the ACK is missing.
        case stopped
        /// QMP `system_reset` resets the guest while only the ACK is missing; then the ACK comes.
        case reset
    }

    package enum Estimate: String, CaseIterable, Hashable, Sendable {
        case small, zero
        /// The stop-copy estimate stays above the threshold.
        case aboveThreshold = "above-threshold"
    }

    /// Which of the ACKs and the decision comes first, where either may.
    package enum Race: String, CaseIterable, Hashable, Sendable {
        case natural
        case acksFirst = "ack-first"
        case decisionFirst = "decision-first"
    }

    package var source: Side
    package var destination: Side
    package var devices: [Device] = []
    /// The user of switchover-ack that is no VFIO device; nil: VFIO devices alone request ACKs.
    package var requester: Requester?
    /// True if the machine types of the two sides are different versions.
    package var machinesDiffer = false
    package var late: LateReinit?
    package var guest = Guest.running
    package var estimate = Estimate.small
    package var race = Race.natural
    /// The threshold against what is pending when nothing is left to send; nil: far above it.
    package var threshold: Threshold?
    /// nil: the guest writes no memory.
    package var dirtying: Dirtying?
    /// True if every device that can re-initialise does so whenever its initial bytes were read, without end.
    package var reinitsForever = false
    /// How the migration goes on in postcopy; nil: the migration stays in precopy.
    package var postcopy: Postcopy?
    /// Where the stream goes; nil: to a destination, through a socket.
    package var sink: Sink?
    /// What the migration serves; nil: it moves the guest.
    package var purpose: Purpose?
    /// True if the capability `return-path` is on at both sides.
    package var hasReturnPath = true
    /// When the manager cancels the migration; nil: never.
    package var cancel: Cancel?
    /// Why a source that paused before the switchover does not complete; nil: the manager continues it, and it completes.
    package var switchoverFailure: SwitchoverFailure?
    /// What interrupts the guest or a device during the migration; nil: nothing.
    package var interruption: Interruption?
    /// True if stopped devices send their state on channels on which the destination takes memory alone.
    package var sendsStateUnexpected = false
    /// What breaks; nil: nothing.
    package var breakage: Breakage?
    /// True if a gate keeps the last ACK back until nothing else keeps the source from switching over.
    package var isGated = false

    package init(source: Side, destination: Side) {
        self.source = source
        self.destination = destination
    }
}
