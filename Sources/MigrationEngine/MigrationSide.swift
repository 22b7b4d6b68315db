/// One side of a migration, as its threads share it: the channel, the status, which changes by the rules of its generation, and the first
/// error.
import MigrationTrace
import SwitchoverProtocol

package class MigrationSide {
    package final let host: Host
    package final let clock: Clock
    package internal(set) final var channel: Channel
    private final var kept: KeptStatus
    /// The first error that was stored.
    package private(set) final var error: String?
    /// True when the clean-up is done.
    package internal(set) final var isClean = false
    /// Receives each status that the side enters.
    private let entered: (MigrationStatus) -> Void

    init(_ side: Side, _ host: Host, _ channel: Channel, _ clock: Clock, entered: @escaping (MigrationStatus) -> Void) {
        self.host = host
        self.channel = channel
        self.clock = clock
        self.entered = entered
        kept = KeptStatus(host.generation, side)
    }

    final var generation: Generation { host.generation }
    package final var status: MigrationStatus { kept.word }
    /// The status with its rules.
    final var machine: StatusMachine { kept.machine }
    final var ruledStatus: Status { kept.machine.status }
    /// True when the status is final and the clean-up is done.
    package final var isOver: Bool { ruledStatus.isFinal && isClean }

    /// Changes the status if it is `from`; a change that does not match is silent. A change that the generation does not know is not made,
    /// and the host keeps it as a defect of the engine.
    @discardableResult
    final func change(_ from: MigrationStatus, to next: MigrationStatus) -> Bool {
        guard kept.change(from, to: next) else {
            host.note(kept.machine.illegal)
            return false
        }
        host.emit(.migrateSetState(next))
        entered(next)
        return true
    }

    /// Fails the migration, if nothing has ended it yet: a source enters `failing` first (11.0); a recovery is paused again.
    final func fail() {
        guard let next = kept.failure(.other) else { return }
        change(status, to: next)
    }

    /// True if an error pauses the migration (postcopy-paused). `guestHandedOver` says of a destination that it has the guest.
    final func pauses(on cause: FailureCause, guestHandedOver: Bool = false) -> Bool {
        kept.machine.failure(cause, guestHandedOver: guestHandedOver).first == .postcopyPaused
    }

    /// Stores an error; the first one is kept.
    package final func store(_ text: String) {
        host.emit(.migrateError(text))
        if error == nil { error = text }
    }

    /// Forgets the error that paused the migration, when it is resumed.
    final func forgetError() { error = nil }
}
