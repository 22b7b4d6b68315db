/// One side of a migration, as its threads share it: the channel, the status, which changes by the rules of its generation, and the first
/// error.
import MigrationTrace
import SwitchoverProtocol

package class MigrationSide {
    package final let host: Host
    package final let clock: Clock
    package internal(set) final var channel: Channel
    private final var kept: KeptStatus
    /// The first that was stored.
    package private(set) final var error: String?
    /// The clean-up has been made.
    package internal(set) final var isClean = false
    /// Told of each status it enters.
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
    /// The same as the rules know it.
    final var machine: StatusMachine { kept.machine }
    final var ruledStatus: Status { kept.machine.status }
    /// Everything about it is over.
    package final var isOver: Bool { ruledStatus.isFinal && isClean }

    /// Changes the status if it is `from`; a change that does not match is silent. One that its generation does not know is not made, and
    /// the host keeps it as a mistake of the engine.
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

    /// It fails, if nothing has ended it yet: a source by way of `failing` since 11.0; one that is being recovered is paused again.
    final func fail() {
        guard let next = kept.failure(.other) else { return }
        change(status, to: next)
    }

    /// Whether an error takes it to postcopy-paused; `guestHandedOver` as the rules want to know it of a destination.
    final func pauses(on cause: FailureCause, guestHandedOver: Bool = false) -> Bool {
        kept.machine.failure(cause, guestHandedOver: guestHandedOver).first == .postcopyPaused
    }

    /// Stores an error; the first one is kept.
    package final func store(_ text: String) {
        host.emit(.migrateError(text))
        if error == nil { error = text }
    }

    /// A paused migration is taken up again: what paused it is no error of it any more.
    final func forgetError() { error = nil }
}
