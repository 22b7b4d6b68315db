/// The end of a load: the stream is complete, the guest starts, and the thread cleans up; or the load fails, or pauses.
import Glibc
import MigrationStream
import MigrationTrace
import SwitchoverProtocol

extension LoadThread {
    // MARK: Completion

    func readDescription() {
        _ = incoming.channel.readForward()
        ops.append(.loaded)
    }

    func streamLoaded() {
        host.emit(.qemuLoadvmStatePostMain(result: 0))
        host.emit(.vmstateDowntimeCheckpoint("dst-precopy-loadvm-completed"))
        host.emit(.processIncomingMigrationCoEnd(result: 0, postcopyState: host.generation.has(.postcopyDevice) ? nil : 0))
        host.emit(.vmstateDowntimeCheckpoint("dst-precopy-bh-enter"))
        host.emit(.vmstateDowntimeCheckpoint("dst-precopy-bh-announced"))
        guard startsGuest else {
            ops += host.generation.has(.startsBeforeShut) ? [.completed] : [.completed, .sendShut]
            return enterStateWithoutStart()
        }
        host.emit(.migrationBlockActivation(.active))
        if host.generation.has(.startsBeforeShut) {
            ops += [.completed, .started, .start(VMTransition(runs: true, reason: .running))]
        } else {
            ops += [.completed, .sendShutThenStartGuest, .start(VMTransition(runs: true, reason: .running, isOfDevices: true))]
        }
    }

    /// The run state that the source's guest was in.
    private var guestState: RunState { host.globalState?.target ?? .running }
    var startsGuest: Bool {
        if host.generation.isWrong(.startsPausedGuest) { return true }
        return !host.settings.startsPaused && [.running, .suspended].contains(guestState)
    }

    func enterStateWithoutStart() {
        host.enter([.running, .suspended].contains(guestState) ? .paused : guestState)
    }

    func start(_ transition: inout VMTransition) throws {
        guard transition.advance(host, self) else { return ops.append(.start(transition)) }
        if let failure = transition.failure { throw failure }
    }

    func logGuestStart() { host.emit(.vmstateDowntimeCheckpoint("dst-precopy-bh-vm-started")) }

    /// Tells the source before the guest runs here: if that fails, the source has the guest.
    func sendShutThenStartGuest() throws {
        try sendShut()
        host.enter(.running)
        host.emit(.vmStateNotify(running: true, reason: RunState.running.number, .running))
        logGuestStart()
    }

    func sendShut() throws {
        guard incoming.hasReturnPath, !hasSentShut else { return }
        guard incoming.send(.shut(0)) else { throw ModuleError("Could not send SHUT RP MSG", result: -5) }
        hasSentShut = true
    }

    func completed() {
        if isListening {
            if !host.generation.has(.failsAtPostcopyEnd), incoming.hasReturnPath {
                // A source that receives no SHUT keeps its state, and recovers.
                guard incoming.send(.shut(0)) else { return pause() }
                hasSentShut = true
            }
            host.emit(.postcopyRAMListenThreadExit)
            incoming.phase = .end
        }
        incoming.change(incoming.status, to: .completed)
        host.emit(.loadvmStateCleanup)
        ops += [.close(0), .cleanup(module: 0, stage: 0)]
    }

    func cleanup(_ module: Int, _ stage: Int) {
        guard module < host.modules.count else { return }
        var call = Call(host: host, stage: stage)
        let progress = host.modules[module].loadCleanup(&call)
        settle(call)
        ops.append(progress == .again ? .cleanup(module: module, stage: stage + 1) : .cleanup(module: module + 1, stage: 0))
    }

    /// Sends SHUT with this value, if it was not sent, and closes the channel.
    func close(shut value: UInt32) {
        let told = host.generation.isWrong(.failedLoadSucceeds) ? 0 : value
        if incoming.hasReturnPath, !hasSentShut { _ = incoming.send(.shut(told)) }
        incoming.channel.closeDestination()
        incoming.isClean = true
        if hasFailed, !incoming.survivesFailure { ops.append(.endProcess) }
    }

    // MARK: Failure

    func failed(_ error: ModuleError) {
        // A process that ends itself logs nothing more.
        guard host.abortion == nil else {
            ops = []
            return
        }
        let hasGuest = incoming.phase.pausesOnChannelError(postcopyRAM: host.has(.postcopyRAM))
        if isListening, incoming.pauses(on: .channel, guestHandedOver: hasGuest) { return pause() }
        // The load of the package does not depend on the channel, and its PONG may have told the source already that the package is loaded.
        if isListening, incoming.phase == .listening, incoming.status != .failed, !host.generation.has(.failsWithPackageOnItsWay) {
            ops = [.awaitPackage(error)]
            return
        }
        // The other thread has failed the migration already.
        guard incoming.status != .failed else {
            ops = []
            return
        }
        // Up to 10.1 the listen thread goes on when the package has failed.
        if !isListening, incoming.listen != nil, !hasFailed, !host.generation.has(.postcopyDevice) {
            hasFailed = true
            ops = [.awaitListen(error)]
            return
        }
        end(with: error)
    }

    /// The listen thread has loaded what there was. At the end of the stream it completes the migration, whatever became of the package
    /// (10.1.0).
    func listenAwaited(_ error: ModuleError) {
        if case .completed? = incoming.listen?.ops.last { incoming.change(incoming.status, to: .completed) }
        end(with: error)
    }

    private func end(with error: ModuleError) {
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
        if incoming.status != .completed { incoming.fail() }
        incoming.store(text(of: error))
        host.emit(.loadvmStateCleanup)
        ops += [.close(1), .cleanup(module: 0, stage: 0)]
    }

    /// The error that the migration stores: up to 10.1 the errno alone.
    private func text(of error: ModuleError) -> String {
        if error.text.hasPrefix("load of") { return error.text }
        let words = "load of migration failed: " + String(cString: strerror(Int32(clamping: -error.result)))
        return host.generation.has(.storesLoadErrors) ? words + ": " + error.text : words
    }

    private func pause() {
        incoming.channel.closeDestination()
        // A recovery is paused, too.
        incoming.change(incoming.status, to: .postcopyPaused)
        ops = [.recover]
    }
}

extension Incoming {
    /// Continues a paused postcopy over a new channel: the manager has given an address, and the source has connected to it.
    package func recover(over channel: Channel) {
        self.channel = channel
        change(.postcopyPaused, to: .postcopyRecover)
    }
}
