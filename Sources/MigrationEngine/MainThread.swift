/// The main thread of a host: it executes the manager's commands one by one, with the host's lock, and cleans up after migrations.
import MigrationStream
import MigrationTrace
import SwitchoverProtocol

package final class MainThread: EngineThread {
    package enum Command: Hashable, Sendable {
        case migrate
        case cancel
        case proceed
        case stop
        case cont
        case reset
        case startPostcopy
        case resume
    }

    /// The steps to take; the next one is the last element.
    private enum Op {
        case command(Command)
        case connect
        case notify(MigrationReason, module: Int, stage: Int)
        case start(ReturnPathOpening)
        case transition(VMTransition)
        case reset(module: Int, stage: Int)
        case cleanup
        case cleanModule(Int, stage: Int)
        case joinReturnPath
        case cleaned
        case cancelled
    }

    private var ops: [Op] = []
    /// False until the machine has started its guest by itself, without a command.
    package var isBooted = false
    /// True while a command is being executed.
    private var isCommanded = false
    private var queue: [Op] = []
    /// The outgoing migration of this host: the one that runs, or the last one.
    package private(set) var source: Source?
    /// Connects a new migration to its destination; returns nil if nobody listens.
    package var destination: (() -> Channel?)?
    /// A gate that holds a connection.
    package var connectGate: String?
    /// Receives each status that a migration enters.
    package var entered: (MigrationStatus) -> Void = { _ in }
    /// How many commands were executed, and why the last one was refused.
    package private(set) var taken = 0
    package private(set) var refusal: String?

    package override init(_ host: Host, _ clock: Clock) { super.init(host, clock) }

    /// True if nothing is left to do.
    package var isIdle: Bool { ops.isEmpty && queue.isEmpty }

    /// Queues a command; `taken` counts it when it has been executed.
    package func request(_ command: Command) { queue.append(.command(command)) }

    /// Schedules the bottom half that cleans up after the migration thread.
    func cleanUp() { queue.append(.cleanup) }

    package override var inputArrival: UInt64? {
        guard mayLock else { return nil }
        switch ops.last {
        case .connect?: return mayConnect || !queue.isEmpty ? 0 : nil
        case .joinReturnPath?: return source?.returnPath?.isOver ?? true ? 0 : nil
        case nil: return queue.isEmpty ? nil : 0
        default: return 0
        }
    }

    private var mayConnect: Bool { connectGate.map { host.isOpen($0) } ?? true }

    package override var stepName: String { "main " + caseName(ops.last ?? queue.first) }

    package override func step() {
        lock()
        spend(Pace.step)
        // A connection that has not been made keeps no command from being executed.
        if case .connect = ops.last, !mayConnect { ops.append(queue.removeFirst()) }
        if ops.isEmpty { ops.append(queue.removeFirst()) }
        perform(ops.removeLast())
        // No wait for the other end holds the lock, except the join of the return path, as in QEMU.
        if ops.isEmpty { unlock() } else if case .connect = ops.last { unlock() }
        guard isCommanded else { return }
        // `migrate` counts as executed when the migration connects, every other command when its last step is done.
        if case .connect = ops.last { taken += 1 } else if ops.isEmpty { taken += 1 } else { return }
        isCommanded = false
    }

    private func perform(_ op: Op) {
        switch op {
        case .command(let command): execute(command)
        case .connect: connect()
        case .notify(let reason, let module, let stage): notify(reason, module, stage)
        case .start(let opening): start(opening)
        case .transition(var transition):
            if !transition.advance(host, self) { return ops.append(.transition(transition)) }
            if let failure = transition.failure { source?.deviceRefused(failure) }
        case .reset(let module, let stage): reset(module, stage)
        case .cleanup:
            host.emit(.migrationCleanup)
            host.emit(.savevmStateCleanup)
            for module in host.modules { module.precopyNotified(.cleanup, host) }
            ops += [.cleaned, .joinReturnPath, .cleanModule(0, stage: 0)]
        case .cleanModule(let module, let stage): clean(module, stage)
        case .joinReturnPath: if source?.returnPath != nil { host.emit(.migrationReturnPathEndAfter) }
        case .cleaned: cleaned()
        case .cancelled: if source?.migration != nil { source?.shutDown() }
        }
    }

    // MARK: Commands

    private func execute(_ command: Command) {
        refusal = nil
        isCommanded = true
        switch command {
        case .migrate: migrate()
        case .cancel: cancel()
        case .proceed:
            if source?.status == .preSwitchover {
                source?.isContinued = true
            } else {
                refusal = "Migration not in expected state: pre-switchover"
            }
        case .stop: if host.guestRuns { ops.append(.transition(VMTransition(runs: false, reason: .paused))) }
        case .cont:
            if [.paused, .prelaunch, .postmigrate].contains(host.runState) {
                if isBooted { host.emit(.migrationBlockActivation(.active)) }
                isBooted = true
                ops.append(.transition(VMTransition(runs: true, reason: .running)))
            }
        case .reset: ops.append(.reset(module: 0, stage: 0))
        case .startPostcopy: source?.postcopyIsAsked = true
        case .resume: resume()
        }
    }

    private func migrate() {
        if let source, !source.isOver {
            refusal = "There's a migration process in progress"
            return
        }
        if host.has(.colo) {
            refusal = Status.coloRefusal.text
            return
        }
        do {
            for module in host.modules where module.isActive(host) { try module.savePrepare(host) }
        } catch {
            refusal = error.text
            return
        }
        let source = Source(host, Channel(), clock, entered: entered)
        self.source = source
        source.change(.none, to: .setup)
        ops.append(.connect)
    }

    private func connect() {
        guard let source, source.connects else { return endBeforeStart() }
        guard let channel = destination?() else {
            source.store("Failed to connect: Connection refused")
            source.fail()
            return endBeforeStart()
        }
        source.channel = channel
        let opening = returnPath(of: source, over: channel)
        if case .refused(let error) = opening {
            source.store(error.text)
            source.fail()
            return endBeforeStart()
        }
        if host.generation.has(.failing) { host.emit(.migrationCallNotifiers(type: MigrationReason.setup.rawValue)) }
        ops += [.start(opening), .notify(.setup, module: host.modules.count - 1, stage: 0)]
    }

    /// What happens when the return path is opened on the channel.
    private func returnPath(of source: Source, over channel: Channel) -> ReturnPathOpening {
        let transport: Transport =
            switch channel.kind {
            case .socket: .socket
            case .file: .file
            case .pipe: .pipe
            }
        return ReturnPathRules(host.generation).opening(
            transport, in: source.ruledStatus, returnPath: host.has(.returnPath), postcopyRAM: host.has(.postcopyRAM))
    }

    /// Ends a migration that opened nothing: only its last status is left to be logged.
    private func endBeforeStart() { queue.append(.cleanup) }

    private func start(_ opening: ReturnPathOpening) {
        guard let source else { return }
        open(opening, of: source)
        source.migration = MigrationThread(source, self)
    }

    private func open(_ opening: ReturnPathOpening, of source: Source) {
        let readError: ProtocolError
        switch opening {
        case .none: return
        // The caller ends the command at a refusal: a migration that went on without its return path would lose each ACK.
        case .refused(let error): preconditionFailure("the return path is opened although it was refused: \(error.text)")
        case .opens, .silent: readError = ReturnPathRules.channelEnded
        case .broken(let error): readError = error
        }
        host.emit(.openReturnPathOnSource)
        source.returnPath = ReturnPathThread(source, readError: readError)
        host.emit(.openReturnPathOnSourceContinue)
    }

    private func cancel() {
        host.emit(.migrationCancel)
        guard let source else { return }
        switch source.cancelDecision {
        case .nothing: return
        case .refused(let error):
            refusal = error.text
            return
        case .cancels: break
        }
        source.returnPath?.shutDown()
        source.change(source.status, to: .cancelling)
        if case .connect = ops.last {
            if host.generation.has(.connectsThoughCancelled) { source.change(.cancelling, to: .cancelled) }
            if source.connects { return }
            ops.removeLast()
            return endBeforeStart()
        }
        ops.append(.cancelled)
    }

    private func resume() {
        guard let source, source.status == .postcopyPaused else {
            refusal = "Cannot resume if there is no paused migration"
            return
        }
        // Before postcopy-recover-setup existed, a connection that failed changed no status.
        let hasSetup = source.generation.has(.postcopyRecoverSetup)
        if hasSetup { source.change(.postcopyPaused, to: .postcopyRecoverSetup) }
        guard let channel = destination?() else {
            if hasSetup { source.change(.postcopyRecoverSetup, to: .postcopyPaused) }
            refusal = "Failed to connect: Connection refused"
            return
        }
        let opening = returnPath(of: source, over: channel)
        if case .refused(let error) = opening {
            if hasSetup { source.change(.postcopyRecoverSetup, to: .postcopyPaused) }
            refusal = error.text
            return
        }
        source.channel = channel
        source.fileError = false
        source.forgetError()
        open(opening, of: source)
        source.change(hasSetup ? .postcopyRecoverSetup : .postcopyPaused, to: .postcopyRecover)
    }

    /// Resets one device after the other, as a reset of the guest does.
    private func reset(_ module: Int, _ stage: Int) {
        guard module < host.devices.count else { return }
        _ = host.devices[module].reset()
        settle(Call(host: host, stage: stage))
        ops.append(.reset(module: module + 1, stage: 0))
    }

    // MARK: Notifiers and clean-up

    private func notify(_ reason: MigrationReason, _ module: Int, _ stage: Int) {
        guard module >= 0 else { return }
        var call = Call(host: host, stage: stage)
        let progress = host.modules[module].migrationNotified(reason, &call)
        settle(call)
        ops.append(progress == .again ? .notify(reason, module: module, stage: stage + 1) : .notify(reason, module: module - 1, stage: 0))
    }

    private func clean(_ module: Int, _ stage: Int) {
        guard module < host.modules.count else {
            if let path = source?.returnPath {
                host.emit(.migrationReturnPathEndBefore)
                if source?.error != nil { path.shutDown() }
            }
            return
        }
        var call = Call(host: host, stage: stage)
        let progress = host.modules[module].saveCleanup(&call)
        settle(call)
        ops.append(progress == .again ? .cleanModule(module, stage: stage + 1) : .cleanModule(module + 1, stage: 0))
    }

    private func cleaned() {
        guard let source else { return }
        source.channel.closeSource()
        source.change(.failing, to: .failed)
        source.change(.cancelling, to: .cancelled)
        source.isClean = true
        let isDone = source.status == .completed
        if host.generation.has(.failing) {
            guard isDone else { return }
            host.emit(.migrationCallNotifiers(type: MigrationReason.done.rawValue))
        }
        ops.append(.notify(isDone ? .done : .failed, module: host.modules.count - 1, stage: 0))
    }
}
