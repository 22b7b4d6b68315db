/// Whether the guest of a side runs: from the run states it prints, else from what its devices were told, else from the state it saved or
/// loaded.
import MigrationTrace

struct GuestAccount: Sendable {
    /// nil: nothing has been said yet.
    private(set) var runs: Bool?
    /// The line that last said so.
    private(set) var place: Place?
    /// `runstate_set` or `vm_state_notify` is in this log: each change is said before anything follows from it.
    private(set) var isTraced = false
    /// It was stopped, not by the migration: it may stay so.
    private(set) var isPausedByChoice = false
    /// It did not run when the migration began.
    private(set) var wasPausedBefore = false
    /// The run state in the stream: what the source saved, or the destination loaded.
    private(set) var globalState: String?
    /// The program is being quit: what stops now was running at the end.
    private(set) var isQuitting = false

    mutating func handle(_ event: Event, at place: Place) {
        switch event {
        case .runstateSet(_, let from, _, let to):
            isTraced = true
            if runs == nil { runs = from == .running }
            set(to == .running, to, place)
        case .vmStateNotify(let running, _, let reason):
            isTraced = true
            set(running, reason, place)
        case .vfioVMStateChange(_, let running, let reason, _): set(running, reason, place)
        case .migrateGlobalStatePreSave(let state), .migrateGlobalStatePostLoad(let state): globalState = state
        default: break
        }
    }

    private mutating func set(_ running: Bool, _ reason: RunState, _ place: Place) {
        if reason == .shutdown && !running { isQuitting = true }
        guard !isQuitting else { return }
        if runs == running {
            self.place = self.place ?? place
        } else {
            runs = running
            self.place = place
        }
        isPausedByChoice = !running && (reason == .paused || reason == .prelaunch || (isPausedByChoice && reason == .finishMigrate))
    }

    /// A migration begins; what the guest did so far stays.
    mutating func begin() {
        wasPausedBefore = runs == false
        globalState = nil
    }

    /// Another process writes from here on.
    mutating func restart() { self = GuestAccount() }
}
