/// A source's side, and what it was when something from outside ended a long wait.
import MigrationTrace

struct WatchedSource: Sendable {
    var side: SourceSide
    /// The source as it was when something from outside ended a long wait: a stop of the guest, a cancel, or the end of the channel.
    private(set) var brokenOff: SourceSide?

    init(_ circumstances: Circumstances) { side = SourceSide(circumstances) }

    mutating func handle(_ event: Event, at place: Place) {
        if endsAWait(event) { brokenOff = side }
        side.handle(event, at: place)
    }

    private mutating func endsAWait(_ event: Event) -> Bool {
        switch event {
        case .migrateSetState(.setup): brokenOff = nil
        case .migrationThreadLowPending, .migrationCancel, .migrateSetState, .runstateSet, .vmStateNotify, .vfioVMStateChangePrepare,
            .sourceReturnPathThreadShut, .sourceReturnPathThreadBadEnd, .sourceReturnPathThreadEnd:
            return side.switchover.decision == nil && side.isLongUnchanged
        default: break
        }
        return false
    }
}
