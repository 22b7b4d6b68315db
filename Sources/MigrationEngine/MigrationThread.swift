/// The migration thread of a source: its state, and which step comes next. The steps themselves are in the files of the set-up, the
/// iteration, the switchover, postcopy and the end.
///
/// The next steps lie on a stack, so that the thread may stop anywhere: after a device's call, for the host's lock, for the other end.
import MigrationStream
import MigrationTrace
import SwitchoverProtocol

final class MigrationThread: EngineThread {
    enum Query: Hashable {
        case estimate, exact, final

        var isExact: Bool { self != .estimate }
        var isFinal: Bool { self == .final }
    }

    enum Op {
        case lock
        case unlock
        // Set-up
        case open
        case setUp(module: Int, stage: Int)
        case activate
        case awaitUnplug
        // Iteration
        case loop
        case query(Query, module: Int, stage: Int)
        case decide
        case iterate(module: Int, stage: Int)
        case checkForErrors
        case wake
        // Switchover
        case transition(VMTransition)
        case guestStopped
        case awaitMigrateContinue
        case finalQuery
        case handOver
        case complete(module: Int, stage: Int)
        case saveState(module: Int, stage: Int)
        case endStream
        case joinReturnPath
        case joined
        // End
        case afterLoop
        case notifyFailure(module: Int, stage: Int)
        case resumeGuest
        case finish
        // Postcopy
        case postcopyPrepare(module: Int, stage: Int)
        case postcopyStop
        case completeWithoutPostcopy(module: Int, stage: Int)
        case package
        case packageState(module: Int, stage: Int)
        case sendPackage
        case packageSent
        case enterPostcopy
        case awaitPackage
        case completePostcopy(module: Int, stage: Int)
        case pauseJoin
        case awaitRecovery
        case resumePrepare(module: Int, stage: Int)
        case awaitBitmaps
        case awaitResumeAck
    }

    unowned let source: Source
    unowned let main: MainThread
    var ops: [Op] = [.open]
    /// The bytes and requests that the present query has collected so far.
    var pending = PendingBytes()
    /// True if the ledger allowed the switchover before this step's queries, which is what decides up to 11.0.
    var couldSwitchOverBeforeQueries = false
    var payload: [SectionRecord] = []
    /// Collected requests that the core has not announced to the destination yet, by module (the request-message variant).
    var unannounced: [Int: UInt32] = [:]
    /// The elements of the package, while a postcopy's switchover makes it.
    var package: [StreamElement]?
    let decision: SwitchoverDecision
    /// True from the hand-over on, when SWITCHOVER_START is sent where the machine type sends it: the destination may complete.
    var hasHandedOver = false
    /// Modules whose END was sent at the start of the postcopy.
    var completed: Set<Int> = []
    /// True if the postcopy is complete when the package is loaded.
    var completesAfterPackage = false
    /// True if a module's set-up has failed; QEMU checks that when the status is `active`.
    var setupHasFailed = false
    /// The run state of a guest that did not run when the switchover began; nil for one that ran.
    var stateBefore: RunState?
    var window: RateWindow

    init(_ source: Source, _ main: MainThread) {
        self.source = source
        self.main = main
        decision = SwitchoverDecision(source.generation)
        window = RateWindow(at: source.clock.now, 0)
        super.init(source.host, source.clock)
    }

    var generation: Generation { source.generation }

    override var inputArrival: UInt64? {
        switch ops.last {
        case .lock?: return mayLock ? 0 : nil
        case .awaitMigrateContinue?: return source.isContinued || source.status != .preSwitchover ? 0 : nil
        case .joinReturnPath?, .pauseJoin?: return source.returnPath?.isOver ?? true ? 0 : nil
        case .awaitPackage?:
            let isOver = source.packageIsLoaded || source.status != .postcopyDevice || isWoken
            return isOver || source.fileError && generation.has(.failsWithPackageOnItsWay) ? 0 : nil
        case .awaitRecovery?: return source.status == .postcopyPaused || source.status == .postcopyRecoverSetup ? nil : 0
        case .awaitBitmaps?: return host.memory?.awaitsBitmaps != true || isWoken ? 0 : nil
        case .awaitResumeAck?: return source.resumeIsAcknowledged || isWoken ? 0 : nil
        default: return source.channel.isFull ? (source.hasFailed ? 0 : nil) : 0
        }
    }

    /// True if the end of the return path ends a wait for something that only the return path brings.
    private var isWoken: Bool { source.returnPath?.isOver != false && ReturnPathRules(generation).endWakes(source.ruledStatus) }

    override var stepName: String { "migration " + caseName(ops.last) }

    override func step() {
        spend(Pace.step)
        guard let op = ops.popLast() else { return end() }
        do { try perform(op) } catch let error as ModuleError { failed(error.text) } catch let error as ProtocolError {
            failed(error.text)
        } catch { failed("\(error)") }
    }

    private func perform(_ op: Op) throws {
        switch op {
        case .lock: lock()
        case .unlock: unlock()
        case .open: open()
        case .setUp(let module, let stage): try setUp(module, stage)
        case .activate: activate()
        case .awaitUnplug: awaitUnplug()
        case .loop: try loop()
        case .query(let query, let module, let stage): try self.query(query, module, stage)
        case .decide: decide()
        case .iterate(let module, let stage): try iterate(module, stage)
        case .checkForErrors: try checkForErrors()
        case .wake: host.emit(.migrationRateLimitPost(urgent: host.memory?.hasRequests == true ? 1 : 0))
        case .transition(var transition):
            if transition.advance(host, self) {
                if let failure = transition.failure { source.deviceRefused(failure) }
            } else {
                ops.append(.transition(transition))
            }
        case .guestStopped: guestStopped()
        case .awaitMigrateContinue: migrateContinueReceived()
        case .finalQuery: finalQuery()
        case .handOver: handOver()
        case .complete(let module, let stage): try complete(module, stage)
        case .saveState(let module, let stage): try saveState(module, stage)
        case .endStream: endStream()
        case .joinReturnPath: break
        case .joined: returnPathJoined()
        case .afterLoop: afterLoop()
        case .notifyFailure(let module, let stage): notifyFailure(module, stage)
        case .resumeGuest: resumeGuest()
        case .finish: finish()
        case .postcopyPrepare(let module, let stage): try preparePostcopy(module, stage)
        case .postcopyStop:
            ops.append(.guestStopped)
            stopGuest()
        case .completeWithoutPostcopy(let module, let stage): try completeWithoutPostcopy(module, stage)
        case .package: beginPackage()
        case .packageState(let module, let stage): try packageState(module, stage)
        case .sendPackage: try sendPackage()
        case .packageSent: packageSent()
        case .enterPostcopy: enterPostcopy()
        case .awaitPackage: packageWaitEnded()
        case .completePostcopy(let module, let stage): try completePostcopy(module, stage)
        case .pauseJoin: returnPathJoinedForPause()
        case .awaitRecovery: recoveryWaitEnded()
        case .resumePrepare(let module, let stage): try resumePrepare(module, stage)
        case .awaitBitmaps: bitmapWaitEnded()
        case .awaitResumeAck: resumeAckWaitEnded()
        }
    }
}
