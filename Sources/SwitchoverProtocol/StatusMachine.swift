/// The status of a migration, and its changes on each side.
///
/// A change is a compare-and-swap: a change that does not find the expected status has no effect, and no event.

/// Every status of 11.1, by QEMU's name.
package enum Status: String, CaseIterable, Hashable, Sendable {
    case none
    case setup
    case waitUnplug = "wait-unplug"
    case active
    case preSwitchover = "pre-switchover"
    case device
    /// The package is sent, and not yet known to be loaded (10.2).
    case postcopyDevice = "postcopy-device"
    case postcopyActive = "postcopy-active"
    case postcopyPaused = "postcopy-paused"
    /// The new connection is being made (9.1).
    case postcopyRecoverSetup = "postcopy-recover-setup"
    case postcopyRecover = "postcopy-recover"
    /// COLO; the engine refuses it with `coloRefusal`.
    case colo
    case completed
    case cancelling
    case cancelled
    /// An error is known, and the clean-up has not begun (11.0).
    case failing
    case failed

    /// The engine's refusal of x-colo.
    package static let coloRefusal = ProtocolError("COLO is not supported: this engine does not replicate a running guest")

    /// True if a generation has the status.
    package func exists(in generation: Generation) -> Bool {
        switch self {
        case .postcopyDevice: generation.has(.postcopyDevice)
        case .postcopyRecoverSetup: generation.has(.postcopyRecoverSetup)
        case .failing: generation.has(.failing)
        default: true
        }
    }

    /// True while a migration runs or is being cleaned up: the return-path thread reads on, and no other migration may begin.
    package var isRunning: Bool {
        switch self {
        case .none, .completed, .cancelled, .failed: false
        default: true
        }
    }

    /// True if a source goes on connecting and opens its return path: also one that was cancelled meanwhile, if the generation overlooks
    /// that (10.0.13, 11.1.3), and a paused one up to 9.0, which has no status for it.
    package func connects(in generation: Generation) -> Bool {
        switch self {
        case .setup, .postcopyRecoverSetup, .postcopyRecover: true
        case .postcopyPaused: !generation.has(.postcopyRecoverSetup)
        case .cancelling: generation.has(.opensReturnPathWhenCancelled)
        case .cancelled: generation.has(.connectsThoughCancelled)
        default: false
        }
    }

    /// True while the migration thread's loop goes on.
    package var isActive: Bool { self == .active || self == .postcopyDevice || self == .postcopyActive }

    /// True in postcopy: RAM is not synced any more, and a cancel is refused.
    package var isInPostcopy: Bool {
        switch self {
        case .postcopyDevice, .postcopyActive, .postcopyPaused, .postcopyRecoverSetup, .postcopyRecover: true
        default: false
        }
    }

    /// True if the migration has failed or was cancelled, or is about to.
    package var hasFailed: Bool { self == .cancelling || self == .cancelled || self == .failing || self == .failed }

    /// True if only another migration follows.
    package var isFinal: Bool { self == .completed || self == .cancelled || self == .failed }
}

/// A change from one status to another.
package struct StatusArc: Hashable, Sendable {
    package let from: Status
    package let to: Status
    package init(_ from: Status, _ to: Status) {
        self.from = from
        self.to = to
    }
}

package enum Side: Hashable, Sendable {
    case source
    case destination
}

package struct StatusMachine: Hashable, Sendable {
    package let generation: Generation
    package let side: Side
    package private(set) var status = Status.none
    /// The first change that found its status, but that the generation does not have: a defect of the engine, which QEMU does not show.
    package private(set) var illegal: StatusArc?

    package init(_ generation: Generation, _ side: Side) {
        self.generation = generation
        self.side = side
    }

    /// Changes `from` to `to`. Returns false, without a change, if the status is not `from` (which happens, and is silent), or if there is
    /// no such arc (which `illegal` keeps).
    @discardableResult package mutating func change(from: Status, to: Status) -> Bool {
        guard status == from else { return false }
        guard StatusArcs.legal(from, to, generation, side) else {
            if illegal == nil { illegal = StatusArc(from, to) }
            return false
        }
        status = to
        return true
    }
}
