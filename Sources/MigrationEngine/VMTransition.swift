/// A stop or start of the guest: the run state changes, then two passes over the devices follow, `prepare` and `change`; a stop goes from
/// the last device to the first (confirmed on 10.0.13 and 11.1.3).
import MigrationTrace

struct VMTransition {
    let runs: Bool
    let reason: RunState
    private var pass = 0
    private var index = 0
    private var stage = 0
    /// The first refusal of a device; the passes go on after it.
    private(set) var failure: ModuleError?

    /// True if the caller changes the run state itself, after the devices.
    let isOfDevices: Bool

    init(runs: Bool, reason: RunState, isOfDevices: Bool = false) {
        self.runs = runs
        self.reason = reason
        self.isOfDevices = isOfDevices
    }

    /// Takes the next step. Returns true if it was the last.
    mutating func advance(_ host: Host, _ thread: EngineThread) -> Bool {
        if pass == 0 {
            if !isOfDevices {
                host.enter(reason)
                host.emit(.vmStateNotify(running: runs, reason: reason.number, reason))
            }
            pass = 1
            thread.spend(Pace.step)
            return false
        }
        while pass < 3 {
            while index < host.modules.count {
                let module = host.modules[runs ? index : host.modules.count - 1 - index]
                guard pass == 2 || module.hasVMStatePrepare else {
                    index += 1
                    continue
                }
                var call = Call(host: host, stage: stage)
                do {
                    let progress =
                        pass == 1
                        ? try module.vmStatePrepare(running: runs, reason, &call) : try module.vmStateChange(running: runs, reason, &call)
                    if case .again = progress { stage += 1 } else { (index, stage) = (index + 1, 0) }
                } catch {
                    if failure == nil { failure = error }
                    // The process ends itself here.
                    if host.abortion != nil { return true }
                    (index, stage) = (index + 1, 0)
                }
                let waits = call.cost > 0 || !host.delay.isNone
                thread.settle(call)
                if waits { return false }
            }
            (pass, index) = (pass + 1, 0)
        }
        return true
    }
}

extension RunState {
    /// Its number in QEMU's enumeration.
    package var number: Int64 {
        switch self {
        case .debug: 0
        case .inmigrate: 1
        case .internalError: 2
        case .ioError: 3
        case .paused: 4
        case .postmigrate: 5
        case .prelaunch: 6
        case .finishMigrate: 7
        case .restoreVM: 8
        case .running: 9
        case .saveVM: 10
        case .shutdown: 11
        case .suspended: 12
        case .watchdog: 13
        case .guestPanicked: 14
        case .colo: 15
        }
    }
}
