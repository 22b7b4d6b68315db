/// The migration thread of a source: set-up, iterations, the decision, the switchover, and the end.
///
/// What it has to do next lies on a stack, so that a step may stop anywhere: behind a device's call, for the host's lock, for the other end.
import MigrationStream
import MigrationTrace
import SwitchoverProtocol

final class MigrationThread: EngineThread {
    enum Query: Hashable { case estimate, exact, final }

    /// A module's call inside a section.
    enum SectionCall: Hashable { case setup, iterate, postcopyPrepare, complete, state }

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
        case lookForError
        case wake
        // Switchover
        case transition(VMTransition)
        case guestStopped
        case awaitManager
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
    /// What the query at hand has come to.
    var pending = PendingBytes()
    /// Up to 11.0 the right to switch over is looked up before the queries.
    var mayHaveSwitched = false
    var payload: [SectionRecord] = []
    /// Requests that were collected and that the destination is still to be told of, by module, where the core does that.
    private var unannounced: [Int: UInt32] = [:]
    /// Elements of the package in the making, in a postcopy's switchover.
    var package: [StreamElement]?
    let decision: SwitchoverDecision
    /// SWITCHOVER_START was sent, or would have been: the destination may complete.
    private(set) var hasHandedOver = false
    /// Modules whose END was sent at the start of the postcopy.
    var completed: Set<Int> = []
    /// The wait for the package is the last of the postcopy.
    var awaitedCompletely = false
    private var windowStart: UInt64
    private var windowBytes: UInt64 = 0
    private var isAwakeUntil: UInt64?

    init(_ source: Source, _ main: MainThread) {
        self.source = source
        self.main = main
        decision = SwitchoverDecision(source.generation)
        windowStart = source.clock.now
        super.init(source.host, source.clock)
    }

    var generation: Generation { source.generation }

    override var inputArrival: UInt64? {
        switch ops.last {
        case .lock?: return mayLock ? 0 : nil
        case .awaitManager?: return source.isContinued || source.status != .preSwitchover ? 0 : nil
        case .joinReturnPath?, .pauseJoin?: return source.returnPath?.isOver ?? true ? 0 : nil
        case .awaitPackage?:
            let isOver = source.packageIsLoaded || source.status != .postcopyDevice || source.returnPath?.isOver != false
            return isOver || source.fileError && generation.has(.failsWithPackageOnItsWay) ? 0 : nil
        case .awaitRecovery?: return source.status == .postcopyPaused || source.status == .postcopyRecoverSetup ? nil : 0
        case .awaitBitmaps?:
            return host.memory?.awaitsBitmaps != true || source.returnPath?.isOver != false ? 0 : nil
        case .awaitResumeAck?: return source.resumeIsAcknowledged || source.returnPath?.isOver != false ? 0 : nil
        default: return source.channel.isFull ? (source.hasFailed ? 0 : nil) : 0
        }
    }

    override var stepName: String { "migration " + caseName(ops.last) }

    override func step() {
        spend(Pace.step)
        guard let op = ops.popLast() else { return end() }
        do { try perform(op) } catch let error as ModuleError { failed(error.text) } catch let error as ProtocolError {
            failed(error.text)
        } catch { failed("\(error)") }
    }

    /// The migration fails here: what was planned is not done any more.
    private func failed(_ text: String) {
        // A process that ends itself says nothing more.
        guard host.abortion == nil else { return }
        source.store(text)
        if source.status == .postcopyRecover { return handshakeFailed() }
        // The guest is the destination's: what is left can still be had, over another channel.
        if source.status == .postcopyActive, source.fileError, !generation.has(.failsAtPostcopyEnd) {
            unlock()
            return pause()
        }
        source.fail()
        leave()
    }

    /// To the end of the thread, whatever it was about.
    func leave() {
        payload = []
        ops = [.afterLoop, .lock]
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
        case .lookForError: try lookForError()
        case .wake: host.emit(.migrationRateLimitPost(urgent: host.memory?.hasRequests == true ? 1 : 0))
        case .transition(var transition):
            if transition.advance(host, self) {
                if let failure = transition.failure { source.deviceRefused(failure) }
            } else {
                ops.append(.transition(transition))
            }
        case .guestStopped: guestStopped()
        case .awaitManager: managerHasCome()
        case .finalQuery: try finalQuery()
        case .handOver: handOver()
        case .complete(let module, let stage): try complete(module, stage)
        case .saveState(let module, let stage): try saveState(module, stage)
        case .endStream: endStream()
        case .joinReturnPath: break
        case .joined: joined()
        case .afterLoop: afterLoop()
        case .notifyFailure(let module, let stage): notifyFailure(module, stage)
        case .resumeGuest: resumeGuest()
        case .finish: finish()
        default: try performPostcopy(op)
        }
    }

    // MARK: Sections

    /// Makes the module's call and, when it is over, writes its section; what it returned, nil while it goes on. An empty payload where
    /// `isOptional` is no section at all.
    func section(
        _ kind: Section.Kind, _ module: Int, _ stage: Int, _ body: (any SaveVMHandlers, inout Call) throws -> Progress
    ) throws -> Int64? {
        let handlers = host.modules[module]
        let id = host.sections[module]
        if stage == 0 {
            payload = []
            if kind != .start { host.emit(.savevmSectionStart(idstr: handlers.idstr, section: id)) }
        }
        var call = Call(host: host, stage: stage)
        let progress: Progress
        do { progress = try body(handlers, &call) } catch {
            let failure = error as? ModuleError ?? ModuleError("\(error)")
            if kind != .start { host.emit(.savevmSectionEnd(idstr: handlers.idstr, section: id, result: failure.result)) }
            throw failure
        }
        payload += call.payload
        settle(call)
        guard case .done(var result) = progress else { return nil }
        let isMemory = handlers === host.memory && package == nil
        let section = Section(
            kind: kind, id: id, idstr: handlers.idstr, instance: handlers.instance, version: handlers.version, payload: payload)
        payload = []
        // RAM hands what it wrote to the channel, and finds out (10.0.13, 11.1.3).
        write(.section(section), flushes: isMemory)
        if isMemory, source.fileError, !source.isShutDown { result = source.fileErrno }
        if kind != .start { host.emit(.savevmSectionEnd(idstr: handlers.idstr, section: id, result: result)) }
        guard !isMemory || !source.fileError else { throw ModuleError(source.fileErrorText, result: source.fileErrno) }
        return result
    }

    /// Writes an element, into the package while there is one.
    func write(_ element: StreamElement, flushes: Bool = true) {
        if package != nil {
            package!.append(element)
        } else {
            source.write(element, flushes: flushes)
            spend(Pace.call + UInt64(element.wireSize) &* Pace.byte >> 10)
        }
    }

    func command(_ command: MigrationCommand) {
        host.emit(.savevmCommandSend(StreamCommand(rawValue: command.number) ?? .openReturnPath, length: Int64(command.length)))
        write(.command(command))
    }

    func ping(_ value: UInt32) {
        host.emit(.savevmSendPing(UInt64(value)))
        command(.ping(value))
    }

    // MARK: Set-up

    private func open() {
        guard source.connects else { return leave() }
        host.emit(.savevmStateHeader)
        write(.header, flushes: false)
        write(.configuration(machine: host.settings.machine), flushes: source.returnPath == nil)
        if source.returnPath != nil {
            host.emit(.savevmSendOpenReturnPath)
            command(.openReturnPath)
            ping(1)
        }
        if host.has(.postcopyRAM) || host.has(.dirtyBitmaps) {
            host.emit(.qemuSavevmSendPostcopyAdvise)
            command(.postcopyAdvise(withRAM: host.has(.postcopyRAM)))
        }
        host.emit(.savevmStateSetup)
        ops += [.activate, .setUp(module: 0, stage: 0), .lock]
    }

    private func setUp(_ module: Int, _ stage: Int) throws {
        guard module < host.modules.count else {
            for module in host.modules { module.precopyNotified(.setup, host) }
            return
        }
        guard host.modules[module].isIterable, host.modules[module].isActive(host) else {
            return ops.append(.setUp(module: module + 1, stage: 0))
        }
        do {
            let result = try section(.start, module, stage) { try $0.saveSetup(&$1) }
            ops.append(result == nil ? .setUp(module: module, stage: stage + 1) : .setUp(module: module + 1, stage: 0))
        } catch let error as ModuleError {
            // Looked at when the status is `active`.
            source.store(error.text)
            setupHasFailed = true
        }
    }

    private var setupHasFailed = false

    private func activate() {
        unlock()
        guard unplugIsPending else { return beginIterating(from: .setup) }
        source.change(.setup, to: .waitUnplug)
        ops.append(.awaitUnplug)
    }

    /// Devices that a guest must give up before it is moved.
    private var unplugIsPending: Bool { host.modules.contains { $0.unplugIsPending(at: clock.now) } }

    private func awaitUnplug() {
        guard source.status == .waitUnplug, unplugIsPending else { return beginIterating(from: .waitUnplug) }
        ops.append(.awaitUnplug)
        sleep(until: clock.now + Pace.unplugPoll)
    }

    private func beginIterating(from status: MigrationStatus) {
        source.change(status, to: .active)
        if setupHasFailed {
            source.fail()
            return leave()
        }
        host.emit(.migrationThreadSetupComplete)
        windowStart = clock.now
        windowBytes = source.bytesSent
        ops.append(.loop)
    }

    // MARK: Iteration

    private func loop() throws {
        guard source.isActive else { return leave() }
        mayHaveSwitched = source.ledger.maySwitchOver(guestRuns: host.guestRuns)
        ops.append(.lookForError)
        try query(.estimate, 0, 0)
    }

    private func query(_ query: Query, _ module: Int, _ stage: Int) throws {
        if module == 0, stage == 0 { pending = PendingBytes() }
        var module = module
        var stage = stage
        while module < host.modules.count {
            let handlers = host.modules[module]
            if handlers.isIterable, handlers.isActive(host) {
                var call = Call(host: host, stage: stage)
                let requested = pending.requests
                let progress = try handlers.saveQueryPending(&pending, exact: query != .estimate, final: query == .final, &call)
                settle(call)
                if pending.requests != requested, generation.has(.requestHandler), source.ledger.collects {
                    try source.ledger.collect(pending.requests - requested, by: handlers.idstr)
                    let stage = RequestStage(exact: query != .estimate, final: query == .final)
                    host.emit(
                        .savevmRequestSwitchoverAck(
                            stage: stage.rawValue, requester: handlers.idstr, pending: source.ledger.pending))
                }
                if host.announcesRequests, pending.requests != requested { unannounced[module, default: 0] += pending.requests - requested }
                if case .again = progress { return ops.append(.query(query, module: module, stage: stage + 1)) }
            }
            (module, stage) = (module + 1, 0)
        }
        try queried(query)
    }

    private func queried(_ query: Query) throws {
        if !generation.has(.requestHandler) { try source.ledger.collect(pending.requests) }
        if query == .final { pending = decision.finalReport(pending) }
        report(query)
        spend(Pace.query)
        switch query {
        case .estimate:
            // There it asks for no more (10.1).
            if source.isInPostcopy, generation.has(.savesInOneCallback) { return decide() }
            let asks = decision.asksExactly(pending, threshold: source.threshold.bytes, inPostcopy: source.isInPostcopy)
            ops.append(asks ? .query(.exact, module: 0, stage: 0) : .decide)
        case .exact: ops.append(.decide)
        case .final:
            try source.ledger.checkFinal(collected: pending.requests)
            ops.append(.handOver)
        }
    }

    private func report(_ query: Query) {
        guard generation.has(.queryPending) else {
            guard query != .final else { return }
            let precopy = pending.precopy &+ pending.stopCopy
            return host.emit(
                query == .estimate
                    ? .migratePendingEstimate(size: pending.total, precopy: precopy, postcopy: pending.postcopy)
                    : .migratePendingExact(size: pending.total, precopy: precopy, postcopy: pending.postcopy))
        }
        var event = PendingQuery()
        event.exact = query != .estimate
        event.final = query == .final
        event.precopy = pending.precopy
        event.stopCopy = pending.stopCopy
        event.postcopy = pending.postcopy
        event.total = pending.total
        event.collectedAcks = pending.requests
        event.pendingAcks = source.ledger.pending
        host.emit(.qemuSavevmQueryPending(event))
    }

    private func decide() {
        let may = decision.asksLedgerFirst ? mayHaveSwitched : source.ledger.maySwitchOver(guestRuns: host.guestRuns)
        if source.isInPostcopy { return decideInPostcopy(maySwitchOver: may) }
        let threshold = source.threshold.bytes
        switch decision.decide(pending, threshold: threshold, maySwitchOver: may, postcopyIsAsked: source.postcopyIsAsked) {
        case .iterate: iterate()
        case .complete: completePrecopy()
        case .startPostcopy: startPostcopy()
        }
    }

    func iterate() {
        host.emit(.savevmStateIterate)
        ops.append(.iterate(module: 0, stage: 0))
    }

    /// Bytes the window has left; 0 is none.
    private var budget: UInt64 {
        let rate = source.isInPostcopy ? host.settings.maxPostcopyBandwidth : host.settings.maxBandwidth
        guard rate > 0 else { return .max }
        let used = source.bytesSent - windowBytes
        return rate / 10 > used ? rate / 10 - used : 0
    }

    func iterate(_ module: Int, _ stage: Int) throws {
        guard module < host.modules.count else { return }
        let handlers = host.modules[module]
        if stage == 0 {
            let takesPart =
                handlers.isIterable && handlers.isActive(host) && (!source.isInPostcopy || handlers.hasPostcopy(host))
                && handlers.isActiveIterate(host)
            guard takesPart else { return ops.append(.iterate(module: module + 1, stage: 0)) }
            // Who comes later gets nothing this time.
            guard budget > 0 else { return }
        }
        let result: Int64?
        do {
            let budget = Int(clamping: budget)
            result = try section(.part, module, stage) { try $0.saveLiveIterate(budget: budget, &$1) }
        } catch let error as ModuleError {
            return source.failFile(error)
        }
        if result != nil, !unannounced.isEmpty { announce(module) }
        ops.append(result == nil ? .iterate(module: module, stage: stage + 1) : .iterate(module: module + 1, stage: 0))
    }

    /// The message discussed for the series: behind the initial data that a module's requests are for, the core names its section and how
    /// many ACKs it waits for. No module then needs a marker of its own.
    private func announce(_ module: Int) {
        guard let count = unannounced[module], host.modules[module].initialDataIsSent else { return }
        unannounced[module] = nil
        command(.requestSwitchoverAck(section: host.sections[module], count: count))
    }

    /// The end of a step: an error of the channel, a cancel, the window.
    private func lookForError() throws {
        if source.status == .cancelling || source.hasFailed { return leave() }
        if !generation.has(.returnPathErrorsUnwatched), source.returnPath?.hasFailed == true, !source.isInPostcopy {
            source.fileError = true
        }
        if source.fileError {
            source.store(source.fileErrorText)
            if source.status == .postcopyActive { return pause() }
            // Whose the guest is, only the rest of the return path tells.
            if source.status == .postcopyDevice, !generation.has(.failsWithPackageOnItsWay) {
                awaitedCompletely = false
                ops += [.lookForError, .awaitPackage]
                return
            }
            source.fail()
            host.emit(.migrationThreadFileErr)
            return leave()
        }
        let spent = clock.now - windowStart
        if spent >= 100_000_000 { endWindow(milliseconds: spent / 1_000_000) }
        let wait = windowStart + 100_000_000
        guard budget == 0, host.memory?.hasRequests != true, wait > clock.now else { return try loop() }
        host.emit(.migrationRateLimitPre(milliseconds: Int64((wait - clock.now) / 1_000_000)))
        ops += [.loop, .wake]
        sleep(until: wait)
    }

    private func endWindow(milliseconds: UInt64) {
        let sent = source.bytesSent - windowBytes
        let settings = host.settings
        source.threshold.windowEnded(
            sent: sent, milliseconds: milliseconds, available: settings.availableBandwidth, downtime: settings.downtimeLimit)
        var window = TransferWindow()
        window.transferred = sent
        window.timeSpent = milliseconds
        let perMillisecond = sent / max(milliseconds, 1)
        window.bandwidth = generation.has(.queryPending) ? perMillisecond * 8 / 1000 : perMillisecond
        window.switchoverBandwidth =
            settings.availableBandwidth > 0 ? settings.availableBandwidth / 1000 : generation.has(.queryPending) ? perMillisecond : 0
        window.maxSize = Int64(clamping: source.threshold.bytes)
        host.emit(.migrateTransferred(window))
        windowStart = clock.now
        windowBytes = source.bytesSent
    }

    func restartWindow() {
        windowStart = clock.now
        windowBytes = source.bytesSent
    }

    // MARK: Switchover

    private func completePrecopy() {
        host.emit(.migrationThreadLowPending(size: pending.total))
        ops.append(.guestStopped)
        stopGuest()
    }

    func stopGuest() {
        ops.append(.transition(VMTransition(runs: false, reason: .finishMigrate)))
        ops.append(.lock)
        host.emit(.vmstateDowntimeCheckpoint("src-downtime-start"))
        source.stoppedAt = clock.now
        // A guest that does not run is not stopped, but its state is entered all the same.
        if !host.guestRuns {
            ops.removeLast(2)
            ops += [.lock]
            stateBefore = host.runState
        }
        host.globalState?.store(host.runState)
    }

    private var stateBefore: RunState?

    func guestStopped() {
        if stateBefore != nil { host.enter(.finishMigrate) }
        host.emit(.vmstateDowntimeCheckpoint("src-vm-stopped"))
        host.emit(.migrationCompletionVMStop(result: 0))
        prepareSwitchover()
    }

    /// To `device`, by way of the manager's leave if it is to be asked.
    private func prepareSwitchover() {
        if source.status == .cancelling { return interrupted() }
        guard host.has(.pauseBeforeSwitchover) else {
            if generation.has(.switchoverInDevice) { source.change(.active, to: .device) }
            return ops.append(.finalQuery)
        }
        source.change(.active, to: .preSwitchover)
        unlock()
        ops.append(.awaitManager)
    }

    private func managerHasCome() {
        source.isContinued = false
        // In 8.x a postcopy begins without the status device.
        if generation.has(.switchoverInDevice) || !source.postcopyIsStarting { source.change(.preSwitchover, to: .device) }
        guard !source.hasFailed else {
            return interrupted()
        }
        ops += [.finalQuery, .lock]
    }

    /// Up to 10.2 the text of it is lost.
    private func interrupted() {
        if generation.has(.failing) { source.store(StatusMachine.interrupted.text) }
        leave()
    }

    private func finalQuery() throws {
        guard generation.has(.finalQuery) else { return ops.append(.handOver) }
        ops.append(.query(.final, module: 0, stage: 0))
    }

    /// From here on the destination may complete.
    private func handOver() {
        if source.status == .cancelling { return interrupted() }
        host.emit(.migrationBlockActivation(.inactive))
        for module in host.modules { module.precopyNotified(.complete, host) }
        host.emit(.migrationPrecopyComplete)
        if host.settings.sendsSwitchoverStart {
            host.emit(.savevmSendSwitchoverStart)
            command(.switchoverStart)
        }
        if source.postcopyIsStarting {
            ops += [.package, .completeWithoutPostcopy(module: 0, stage: 0)]
        } else {
            ops += [.endStream, .saveState(module: 0, stage: 0), .complete(module: 0, stage: 0)]
        }
    }

    private func complete(_ module: Int, _ stage: Int) throws {
        guard module < host.modules.count else { return host.emit(.vmstateDowntimeCheckpoint("src-iterable-saved")) }
        guard host.modules[module].isIterable, host.modules[module].isActive(host) else {
            return ops.append(.complete(module: module + 1, stage: 0))
        }
        do {
            let result = try section(.end, module, stage) { try $0.saveComplete(&$1) }
            ops.append(result == nil ? .complete(module: module, stage: stage + 1) : .complete(module: module + 1, stage: 0))
        } catch let error as ModuleError {
            source.failFile(error)
            source.store((generation.has(.failing) ? "Failed to save iterable device state: " : "") + source.fileErrorText)
            source.fail()
            leave()
        }
    }

    private func saveState(_ module: Int, _ stage: Int) throws {
        guard module < host.modules.count else { return host.emit(.vmstateDowntimeCheckpoint("src-non-iterable-saved")) }
        guard host.modules[module].hasState else { return ops.append(.saveState(module: module + 1, stage: 0)) }
        let result = try section(.full, module, stage) { try $0.saveState(&$1) }
        ops.append(result == nil ? .saveState(module: module, stage: stage + 1) : .saveState(module: module + 1, stage: 0))
    }

    private func endStream() {
        write(.endOfFile, flushes: false)
        write(.vmDescription(length: 2))
        hasHandedOver = true
        unlock()
        if source.fileError {
            host.emit(.migrationCompletionFileErr)
            source.store(source.fileErrorText)
        }
        ops.append(.joined)
        join()
    }

    func join() {
        guard let path = source.returnPath else { return }
        host.emit(.migrationReturnPathEndBefore)
        // Who knows of an error does not wait for a last word.
        if source.error != nil { path.shutDown() }
        ops.append(.joinReturnPath)
    }

    private func joined() {
        if source.returnPath != nil {
            host.emit(.migrationReturnPathEndAfter)
            if source.returnPath?.hasFailed == true { source.fileError = true }
            source.returnPath = nil
        }
        if source.status == .cancelling { return leave() }
        if source.fileError || source.error != nil {
            if source.status == .postcopyActive, !generation.has(.failsAtPostcopyEnd) { return pauseAtEnd() }
            source.fail()
            return leave()
        }
        host.emit(.vmstateDowntimeCheckpoint("src-downtime-end"))
        source.downtime = source.downtime ?? (clock.now - source.stoppedAt) / 1_000_000
        source.change(source.status, to: .completed)
        leave()
    }

    // MARK: End

    private func afterLoop() {
        package = nil
        host.emit(.migrationThreadAfterLoop)
        ops.append(.finish)
        guard source.status != .completed else { return host.enter(.postmigrate) }
        ops.append(.resumeGuest)
        host.emit(.migrationBlockActivation(.active))
        if generation.has(.failing) {
            host.emit(.migrationCallNotifiers(type: 3))
            ops.append(.notifyFailure(module: host.modules.count - 1, stage: 0))
        }
    }

    private func notifyFailure(_ module: Int, _ stage: Int) {
        guard module >= 0 else { return }
        var call = Call(host: host, stage: stage)
        let progress = host.modules[module].migrationNotified(.failed, &call)
        settle(call)
        ops.append(progress == .again ? .notifyFailure(module: module, stage: stage + 1) : .notifyFailure(module: module - 1, stage: 0))
    }

    private func resumeGuest() {
        guard host.runState == .finishMigrate else { return }
        if let stateBefore {
            host.enter(stateBefore)
        } else {
            ops.append(.transition(VMTransition(runs: true, reason: .running)))
        }
    }

    private func finish() {
        end()
        main.cleanUp()
    }
}
