/// The status of a migration, and how it may change on each side.
///
/// A change is a compare-and-swap: one that does not find the status it expects does nothing, and says nothing.

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
    /// Modelled; the engine refuses it with `coloRefusal`.
    case colo
    case completed
    case cancelling
    case cancelled
    /// An error is known, and nothing cleaned up (11.0).
    case failing
    case failed

    /// What the engine says where x-colo is asked for.
    package static let coloRefusal = ProtocolError("COLO is not supported: this engine does not replicate a running guest")

    /// Whether a generation has it.
    package func exists(in generation: Generation) -> Bool {
        switch self {
        case .postcopyDevice: generation.has(.postcopyDevice)
        case .postcopyRecoverSetup: generation.has(.postcopyRecoverSetup)
        case .failing: generation.has(.failing)
        default: true
        }
    }

    /// A migration is on its way, or being cleaned up: the return-path thread reads on, and no other may begin.
    package var isRunning: Bool {
        switch self {
        case .none, .completed, .cancelled, .failed: false
        default: true
        }
    }

    /// A source in it goes on connecting, and opens its return path: also one that was cancelled meanwhile, where the generation overlooks
    /// it (10.0.13, 11.1.3), and a paused one up to 9.0, which has no status for that.
    package func connects(in generation: Generation) -> Bool {
        switch self {
        case .setup, .postcopyRecoverSetup, .postcopyRecover: true
        case .postcopyPaused: !generation.has(.postcopyRecoverSetup)
        case .cancelling: generation.has(.opensReturnPathWhenCancelled)
        case .cancelled: generation.has(.connectsThoughCancelled)
        default: false
        }
    }

    /// The migration thread's loop goes on.
    package var isActive: Bool { self == .active || self == .postcopyDevice || self == .postcopyActive }

    /// RAM takes no new look at what is dirty, and a cancel is refused.
    package var isInPostcopy: Bool {
        switch self {
        case .postcopyDevice, .postcopyActive, .postcopyPaused, .postcopyRecoverSetup, .postcopyRecover: true
        default: false
        }
    }

    /// On its way to a failure or a cancel, or there.
    package var hasFailed: Bool { self == .cancelling || self == .cancelled || self == .failing || self == .failed }

    /// Nothing comes after it but another migration.
    package var isFinal: Bool { self == .completed || self == .cancelled || self == .failed }
}

/// From one status to another.
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
    /// The first change that matched and is none of this generation's: a mistake of whoever made it, and not a thing that QEMU does.
    package private(set) var illegal: StatusArc?

    package init(_ generation: Generation, _ side: Side) {
        self.generation = generation
        self.side = side
    }

    /// Changes `from` to `to` and says so. False, and nothing changed: the status is not `from` (which happens, and is silent), or there is
    /// no such arc (which is kept in `illegal`).
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
