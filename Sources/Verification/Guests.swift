/// Tells if the guest of a side runs: from the run states in the log, else from the devices' callbacks, else from the run state in the
/// stream.
import MigrationTrace

struct GuestAccount: Sendable {
    /// nil before the first line about it.
    private(set) var runs: Bool?
    /// The line of the last change.
    private(set) var place: Place?
    /// True if the log has `runstate_set` or `vm_state_notify`, so each change is logged before anything that follows from it.
    private(set) var isTraced = false
    /// True if a request stopped the guest, not the migration: the guest may stay stopped.
    private(set) var isPausedByChoice = false
    /// True if the guest did not run when the migration began.
    private(set) var wasPausedBefore = false
    /// True if lines are missing since the last change, so that the guest may have started or stopped since.
    private(set) var isUncertain = false
    /// The run state in the stream, which the source saved or the destination loaded.
    private(set) var globalState: String?
    /// True once the program is told to quit: a guest that stops after that was running at the end.
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
        isUncertain = false
        if runs == running {
            self.place = self.place ?? place
        } else {
            runs = running
            self.place = place
        }
        isPausedByChoice = !running && (reason == .paused || reason == .prelaunch || (isPausedByChoice && reason == .finishMigrate))
    }

    /// A migration begins. What is known of the guest stays.
    mutating func begin() {
        wasPausedBefore = runs == false
        globalState = nil
    }

    /// Lines are missing here.
    mutating func lose() { isUncertain = !isQuitting }

    /// Another process writes the log from here on.
    mutating func restart() { self = GuestAccount() }
}
