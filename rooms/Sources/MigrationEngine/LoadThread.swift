/// The thread that loads a stream: the main thread's coroutine, which holds the host's lock while it works and not while it waits for input; and,
/// from POSTCOPY_LISTEN on, the listen thread, which does without.
import Glibc
import MigrationStream
import MigrationTrace
import SwitchoverProtocol

final class LoadThread: EngineThread {
    private enum Op {
        case read
        case loadSetup(module: Int, stage: Int)
        case record(Section, Int, module: Int, stage: Int)
        case command(MigrationCommand)
        case commandDone(Int64)
        case switchoverStart(module: Int, stage: Int)
        case package([StreamElement], Int)
        case element(StreamElement)
        case description
        case loaded
        case start(VMTransition)
        case started
        case sayAndRun
        case sayAndRest
        case completed
        /// The channel is broken, and the package still loading.
        case awaitRun(ModuleError)
        case cleanup(module: Int, stage: Int)
        case shut(UInt32)
        case gone
        case recover
    }

    private unowned let incoming: Incoming
    private let isListening: Bool
    private var ops: [Op] = []
    /// Modules by the id that the stream gives their sections.
    private var started: [UInt32: Int] = [:]
    /// Elements are read from the package: its end ends only that.
    private var isInPackage = false
    private var hasFailed = false
    /// The header was read, and sections may come.
    private var hasBegun = true

    init(_ incoming: Incoming, isListening: Bool, started: [UInt32: Int] = [:]) {
        self.incoming = incoming
        self.isListening = isListening
        self.started = started
        super.init(incoming.host, incoming.clock)
        ops = [.read]
        if isListening { host.emit(.postcopyRAMListenThreadStart) }
    }

    override var inputArrival: UInt64? {
        if !isListening, !mayLock { return nil }
        switch ops.last {
        case .read?, .description?: return incoming.channel.forwardArrival
        case .completed? where isListening: return incoming.packageIsLoaded ? 0 : nil
        case .awaitRun?: return incoming.phase == .listening && incoming.status != .failed ? nil : 0
        case .recover?: return incoming.status == .postcopyRecover ? 0 : nil
        default: return 0
        }
    }

    override var stepName: String { (isListening ? "listen " : "load ") + caseName(ops.last) }

    override func step() {
        if !isListening { lock() }
        spend(Pace.step)
        guard let op = ops.popLast() else { return end() }
        do { try perform(op) } catch let error as ModuleError { failed(error) } catch { failed(ModuleError("\(error)")) }
        switch ops.last {
        case .read?, .description?, nil: unlock()
        default: break
        }
        if ops.isEmpty { end() }
    }

    private func perform(_ op: Op) throws {
        switch op {
        case .read: try read()
        case .loadSetup(let module, let stage): try loadSetup(module, stage)
        case .record(let section, let record, let module, let stage): try load(section, record, module, stage)
        case .command(let command):
            do { try take(command) } catch let error as ModuleError {
                host.emit(.qemuLoadvmStateSectionCommand(result: error.result))
                throw error
            }
        case .commandDone(let result): host.emit(.qemuLoadvmStateSectionCommand(result: result))
        case .switchoverStart(let module, let stage): try switchoverStart(module, stage)
        case .package(let elements, let next): package(elements, next)
        case .element(let element): try take(element)
        case .description: description()
        case .loaded: loaded()
        case .start(var transition): try start(&transition)
        case .started: try hasStarted()
        case .sayAndRun: try sayAndRun()
        case .sayAndRest: try sayShut()
        case .completed: completed()
        case .awaitRun(let error): failed(error)
        case .cleanup(let module, let stage): cleanup(module, stage)
        case .shut(let value): shut(value)
        case .gone: gone()
        case .recover: recover()
        }
    }

    // MARK: Elements

    private func read() throws {
        guard let element = incoming.channel.readForward() else { throw endOfStream }
        ops.append(.read)
        try take(element)
    }

    /// A source hands its stream to the channel behind RAM's payload, so what ends early ends before the footer of that section (10.0.13, 11.1.3).
    private var endOfStream: ModuleError {
        guard !isListening, let memory = host.memory, let module = host.modules.firstIndex(where: { $0 === memory }),
            let id = started.first(where: { $0.value == module })?.key
        else { return ModuleError("load of migration failed: Input/output error", result: -5) }
        return ModuleError("Section footer error, section_id: \(id)", result: -22)
    }

    private func take(_ element: StreamElement) throws {
        switch element {
        case .header: break
        case .configuration(let machine):
            guard machine == host.settings.machine else {
                hasBegun = false
                throw ModuleError(
                    "post load hook failed for: configuration, version_id: 1, minimum_version: 0: Machine type received is '\(machine)' "
                        + "and local is '\(host.settings.machine)'", result: -22)
            }
            hasBegun = true
            host.emit(.loadvmStateSetup)
            ops.append(.loadSetup(module: 0, stage: 0))
        case .section(let section): try begin(section)
        case .command(let command):
            host.emit(.qemuLoadvmStateSection(.command))
            ops.append(.command(command))
        case .endOfFile:
            host.emit(.qemuLoadvmStateSection(.eof))
            ops.removeAll { if case .read = $0 { true } else { false } }
            ops.append(isListening ? .completed : .description)
        case .vmDescription: break
        }
    }

    private func loadSetup(_ module: Int, _ stage: Int) throws {
        guard module < host.modules.count else {
            guard !host.generation.has(.perDeviceAcks), host.has(.switchoverAck) else { return }
            for module in host.modules where module.switchoverAckNeeded { host.approver.countIn() }
            return host.emit(.loadvmStateSwitchoverAckNeeded(pending: host.approver.pending))
        }
        var call = Call(host: host, stage: stage)
        let progress: Progress
        do { progress = try host.modules[module].loadSetup(&call) } catch {
            hasBegun = false
            throw ModuleError("Load state of device \(host.modules[module].idstr) failed: \(error.text)", result: -22)
        }
        settle(call)
        ops.append(progress == .again ? .loadSetup(module: module, stage: stage + 1) : .loadSetup(module: module + 1, stage: 0))
    }

    private func begin(_ section: Section) throws {
        let module: Int
        switch section.kind {
        case .start, .full:
            host.emit(.qemuLoadvmStateSection(section.kind == .start ? .start : .full))
            host.emit(
                .qemuLoadvmStateSectionStartFull(
                    section: section.id, idstr: section.idstr, instance: section.instance, version: section.version))
            guard let found = host.modules.firstIndex(where: { $0.idstr == section.idstr && $0.instance == section.instance }) else {
                throw ModuleError(
                    "Unknown section or instance '\(section.idstr)' \(section.instance). Make sure that your current VM setup matches your saved VM setup, including any hotplugged devices",
                    result: -22)
            }
            guard section.version <= host.modules[found].version else {
                throw ModuleError(
                    "unsupported version \(section.version) for '\(section.idstr)' v\(host.modules[found].version)", result: -22)
            }
            started[section.id] = found
            module = found
        case .part, .end:
            host.emit(.qemuLoadvmStateSection(section.kind == .part ? .part : .end))
            host.emit(.qemuLoadvmStateSectionPartEnd(section: section.id))
            guard let found = started[section.id] else { throw ModuleError("Unknown section \(section.id)", result: -22) }
            module = found
        }
        if !section.payload.isEmpty { ops.append(.record(section, 0, module: module, stage: 0)) }
    }

    private func load(_ section: Section, _ record: Int, _ module: Int, _ stage: Int) throws {
        var call = Call(host: host, stage: stage)
        let progress: Progress
        do { progress = try host.modules[module].loadState(section.payload[record], &call) } catch {
            // What the module says of it goes to the user alone.
            throw ModuleError(
                "Failed to load vmstate version_id: \(host.modules[module].version), ret: \(error.result)", result: error.result)
        }
        settle(call)
        if progress == .again {
            ops.append(.record(section, record, module: module, stage: stage + 1))
        } else if record + 1 < section.payload.count {
            ops.append(.record(section, record + 1, module: module, stage: 0))
        }
    }

    // MARK: Commands

    private func take(_ command: MigrationCommand) throws {
        host.emit(
            .loadvmProcessCommand(StreamCommand(rawValue: command.number), length: Int64(command.length)))
        ops.append(.commandDone(0))
        switch command {
        case .openReturnPath:
            incoming.hasReturnPath = true
            if host.approver.acknowledgesWithoutUsers, !incoming.send(.switchoverAck) {
                throw ModuleError(DestinationApprover.notSent.text, result: -5)
            }
        case .ping(let value):
            host.emit(.loadvmProcessCommandPing(UInt64(value)))
            guard incoming.hasReturnPath else {
                throw ModuleError("CMD_PING (0x\(String(value, radix: 16))) received with no return path", result: -1)
            }
            let isHeard = incoming.send(.pong(value))
            // The source goes by this word: where it cannot be said, the guest must not run here.
            if !isHeard, value == ReturnPathRules.packageLoaded, !host.generation.has(.startsBeforeShut) {
                throw ModuleError("Could not send PONG 0x42 RP MSG", result: -5)
            }
        case .switchoverStart: ops.append(.switchoverStart(module: 0, stage: 0))
        case .postcopyAdvise:
            host.emit(.loadvmPostcopyHandleAdvise)
            try enterPhase(.advise)
        case .discard(let block, let pages):
            host.emit(.loadvmPostcopyRAMHandleDiscard)
            try enterPhase(.discard)
            try host.memory?.discard(block: block, pages)
        case .packaged(let elements):
            host.emit(.loadvmHandleCmdPackaged(length: UInt64(StreamElement.command(command).wireSize - 9)))
            host.emit(.loadvmHandleCmdPackagedReceived(length: Int64(StreamElement.command(command).wireSize - 9)))
            isInPackage = true
            ops.append(.package(elements, 0))
        case .postcopyListen: try listen()
        case .postcopyRun: try run()
        case .postcopyResume:
            host.emit(.loadvmPostcopyHandleResume)
            incoming.change(.postcopyRecover, to: .postcopyActive)
            _ = incoming.send(.resumeAck(1))
            for request in host.memory?.openRequests() ?? [] { _ = incoming.send(request) }
        case .recvBitmap(let block):
            host.emit(.loadvmHandleRecvBitmap(block: block))
            guard let bitmap = try host.memory?.receivedBitmap(block: block), case .recvBitmap(_, let bits) = bitmap else { return }
            host.emit(.migrateSendRPRecvBitmap(block: block, size: Int64(bits.count * 8)))
            _ = incoming.send(bitmap)
        case .requestSwitchoverAck(let section, let count): try answerRequests(section, count)
        }
    }

    /// The variant's message, behind the section's initial data: as all that came before it is loaded, each request is answered now.
    private func answerRequests(_ section: UInt32, _ count: UInt32) throws {
        guard let module = started[section] else { throw ModuleError("Unknown section \(section)", result: -22) }
        guard host.modules[module].switchoverAckNeeded, host.has(.switchoverAck) else {
            throw ModuleError("\(host.modules[module].approver): an ACK is requested, but switchover ack is not used", result: -22)
        }
        guard count > 0, count <= Self.mostRequests else {
            throw ModuleError("\(host.modules[module].approver): \(count) ACKs are requested at once", result: -22)
        }
        for _ in 0..<count { try host.approveSwitchover(host.modules[module].approver) }
    }

    /// ACKs that one message may ask for: a module has few outstanding, and a count beyond is no count.
    private static let mostRequests: UInt32 = 4096

    /// The phase after a command of postcopy, which may not be for the present one.
    private func enterPhase(_ command: PostcopyCommand) throws {
        do { incoming.phase = try incoming.phase.after(command, host.generation, postcopyRAM: host.has(.postcopyRAM)) } catch {
            throw ModuleError(error.text, result: -1)
        }
    }

    private func switchoverStart(_ module: Int, _ stage: Int) throws {
        guard module < host.modules.count else { return }
        var call = Call(host: host, stage: stage)
        let progress = try host.modules[module].switchoverStart(&call)
        settle(call)
        ops.append(progress == .again ? .switchoverStart(module: module, stage: stage + 1) : .switchoverStart(module: module + 1, stage: 0))
    }

    private func package(_ elements: [StreamElement], _ next: Int) {
        guard next < elements.count else {
            isInPackage = false
            return
        }
        ops += [.package(elements, next + 1), .element(elements[next])]
    }

    private func listen() throws {
        host.emit(.loadvmPostcopyHandleListen(step: "enter"))
        try enterPhase(.listen)
        host.emit(.loadvmPostcopyHandleListen(step: "after discard"))
        host.memory?.phase = .postcopy
        host.emit(.loadvmPostcopyHandleListen(step: "after uffd"))
        incoming.change(.active, to: host.generation.has(.postcopyDevice) && incoming.hasReturnPath ? .postcopyDevice : .postcopyActive)
        incoming.listen = LoadThread(incoming, isListening: true, started: started)
        host.emit(.loadvmPostcopyHandleListen(step: "return"))
    }

    private func run() throws {
        host.emit(.loadvmPostcopyHandleRun)
        try enterPhase(.run)
        incoming.packageIsLoaded = true
        incoming.change(.postcopyDevice, to: .postcopyActive)
        // RUN ends every loop of the main coroutine; the listen thread reads on.
        host.emit(.qemuLoadvmStateSectionCommand(result: 1))
        host.emit(.loadvmHandleCmdPackagedMain(result: 1))
        host.emit(.qemuLoadvmStateSectionCommand(result: 1))
        host.emit(.qemuLoadvmStatePostMain(result: 1))
        host.emit(.processIncomingMigrationCoEnd(result: 1, postcopyState: host.generation.has(.postcopyDevice) ? nil : 4))
        host.emit(.processIncomingMigrationCoPostcopyEndMain)
        ops = [.start(VMTransition(runs: true, reason: .running))]
        guard startsGuest else {
            ops = []
            return restWithoutStart()
        }
        host.emit(.migrationBlockActivation(.active))
    }

    // MARK: The end of a load

    private func description() {
        _ = incoming.channel.readForward()
        ops.append(.loaded)
    }

    private func loaded() {
        host.emit(.qemuLoadvmStatePostMain(result: 0))
        host.emit(.vmstateDowntimeCheckpoint("dst-precopy-loadvm-completed"))
        host.emit(.processIncomingMigrationCoEnd(result: 0, postcopyState: host.generation.has(.postcopyDevice) ? nil : 0))
        host.emit(.vmstateDowntimeCheckpoint("dst-precopy-bh-enter"))
        host.emit(.vmstateDowntimeCheckpoint("dst-precopy-bh-announced"))
        guard startsGuest else {
            ops += host.generation.has(.startsBeforeShut) ? [.completed] : [.completed, .sayAndRest]
            return restWithoutStart()
        }
        host.emit(.migrationBlockActivation(.active))
        if host.generation.has(.startsBeforeShut) {
            ops += [.completed, .started, .start(VMTransition(runs: true, reason: .running))]
        } else {
            ops += [.completed, .sayAndRun, .start(VMTransition(runs: true, reason: .running, isOfDevices: true))]
        }
    }

    private var guestState: RunState { host.globalState?.target ?? .running }
    private var startsGuest: Bool { !host.settings.startsPaused && [.running, .suspended].contains(guestState) }

    private func restWithoutStart() {
        host.enter([.running, .suspended].contains(guestState) ? .paused : guestState)
    }

    private func start(_ transition: inout VMTransition) throws {
        guard transition.advance(host, self) else { return ops.append(.start(transition)) }
        if let failure = transition.failure { throw failure }
    }

    private func hasStarted() throws { host.emit(.vmstateDowntimeCheckpoint("dst-precopy-bh-vm-started")) }

    /// The source is told before the guest runs: if it cannot be, it has the guest.
    private func sayAndRun() throws {
        try sayShut()
        host.enter(.running)
        host.emit(.vmStateNotify(running: true, reason: RunState.running.number, .running))
        try hasStarted()
    }

    private func sayShut() throws {
        guard incoming.hasReturnPath, !hasSaidShut else { return }
        guard incoming.send(.shut(0)) else { throw ModuleError("Could not send SHUT RP MSG", result: -5) }
        hasSaidShut = true
    }

    private var hasSaidShut = false

    private func completed() {
        if isListening {
            if !host.generation.has(.failsAtPostcopyEnd), incoming.hasReturnPath {
                // A source that is not told keeps what it has, and comes back to ask.
                guard incoming.send(.shut(0)) else { return pause() }
                hasSaidShut = true
            }
            host.emit(.postcopyRAMListenThreadExit)
            incoming.phase = .end
        }
        incoming.change(incoming.status, to: .completed)
        host.emit(.loadvmStateCleanup)
        ops += [.shut(0), .cleanup(module: 0, stage: 0)]
    }

    private func cleanup(_ module: Int, _ stage: Int) {
        guard module < host.modules.count else { return }
        var call = Call(host: host, stage: stage)
        let progress = host.modules[module].loadCleanup(&call)
        settle(call)
        ops.append(progress == .again ? .cleanup(module: module, stage: stage + 1) : .cleanup(module: module + 1, stage: 0))
    }

    private func shut(_ value: UInt32) {
        if incoming.hasReturnPath, !hasSaidShut { _ = incoming.send(.shut(value)) }
        incoming.channel.closeDestination()
        incoming.isClean = true
        if hasFailed, !incoming.survivesFailure { ops.append(.gone) }
    }

    private func gone() { host.end() }

    // MARK: Failure

    private func failed(_ error: ModuleError) {
        // A process that ends itself says nothing more.
        guard host.abortion == nil else {
            ops = []
            return
        }
        let hasGuest = incoming.phase.pausesOnChannelError(postcopyRAM: host.has(.postcopyRAM))
        if isListening, incoming.pauses(on: .channel, guestHandedOver: hasGuest) { return pause() }
        // What the package comes to does not hang on the channel, and by its PONG the source may know already that it was loaded.
        if isListening, incoming.phase == .listening, incoming.status != .failed, !host.generation.has(.failsWithPackageOnItsWay) {
            ops = [.awaitRun(error)]
            return
        }
        // The other thread has found it failed already.
        guard incoming.status != .failed else {
            ops = []
            return
        }
        hasFailed = true
        ops = []
        if isInPackage {
            host.emit(.loadvmHandleCmdPackagedMain(result: error.result))
            host.emit(.qemuLoadvmStateSectionCommand(result: error.result))
        }
        if !isListening {
            if hasBegun { host.emit(.qemuLoadvmStatePostMain(result: error.result)) }
            host.emit(.vmstateDowntimeCheckpoint("dst-precopy-loadvm-completed"))
            host.emit(
                .processIncomingMigrationCoEnd(
                    result: error.result, postcopyState: host.generation.has(.postcopyDevice) ? nil : Int64(incoming.phase.rawValue)))
        } else {
            host.emit(.postcopyRAMListenThreadExit)
        }
        incoming.fail()
        incoming.store(text(of: error))
        host.emit(.loadvmStateCleanup)
        ops += [.shut(1), .cleanup(module: 0, stage: 0)]
    }

    /// Up to 11.0 the errno alone is stored.
    private func text(of error: ModuleError) -> String {
        if error.text.hasPrefix("load of") { return error.text }
        let words = "load of migration failed: " + String(cString: strerror(Int32(clamping: -error.result)))
        return host.generation.has(.perDeviceAcks) ? words + ": " + error.text : words
    }

    private func pause() {
        incoming.channel.closeDestination()
        // Also one that is being recovered.
        incoming.change(incoming.status, to: .postcopyPaused)
        ops = [.recover]
    }

    private func recover() { ops = [.read] }
}

extension Incoming {
    /// The manager has given a new address, and the source has come to it.
    package func recover(over channel: Channel) {
        self.channel = channel
        change(.postcopyPaused, to: .postcopyRecover)
    }
}
