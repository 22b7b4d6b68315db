/// The migration thread's part in postcopy: its start, its end, and the recovery from a channel that breaks in between.
import MigrationStream
import MigrationTrace
import SwitchoverProtocol

extension MigrationThread {
    // MARK: Start

    func startPostcopy() {
        host.emit(.postcopyStart)
        source.postcopyIsAsked = false
        source.postcopyIsStarting = true
        ops.append(.postcopyStop)
        if generation.has(.savesInOneCallback) { ops.append(.postcopyPrepare(module: 0, stage: 0)) }
        host.emit(.postcopyStartSetRun)
    }

    func preparePostcopy(_ module: Int, _ stage: Int) throws {
        guard module < host.modules.count else { return }
        let handlers = host.modules[module]
        guard handlers.isIterable, handlers.isActive(host), handlers.preparesPostcopy else {
            return ops.append(.postcopyPrepare(module: module + 1, stage: 0))
        }
        let result = try section(.part, module, stage) { try $0.savePostcopyPrepare(&$1) }
        ops.append(result == nil ? .postcopyPrepare(module: module, stage: stage + 1) : .postcopyPrepare(module: module + 1, stage: 0))
    }

    func completeWithoutPostcopy(_ module: Int, _ stage: Int) throws {
        guard module < host.modules.count else { return }
        let handlers = host.modules[module]
        guard handlers.isIterable, handlers.isActive(host), !handlers.hasPostcopy(host) else {
            return ops.append(.completeWithoutPostcopy(module: module + 1, stage: 0))
        }
        completed.insert(module)
        let result = try section(.end, module, stage) { try $0.saveComplete(&$1) }
        ops.append(
            result == nil
                ? .completeWithoutPostcopy(module: module, stage: stage + 1) : .completeWithoutPostcopy(module: module + 1, stage: 0))
    }

    func beginPackage() {
        if host.has(.postcopyRAM), let memory = host.memory {
            var call = Call(host: host, stage: 0)
            for discard in memory.discardCommands(&call) { command(discard) }
            settle(call)
            ping(2)
        }
        package = []
        host.emit(.savevmSendPostcopyListen)
        command(.postcopyListen)
        ops += [.sendPackage, .packageState(module: 0, stage: 0)]
    }

    func packageState(_ module: Int, _ stage: Int) throws {
        guard module < host.modules.count else { return }
        guard host.modules[module].hasState else { return ops.append(.packageState(module: module + 1, stage: 0)) }
        let result = try section(.full, module, stage) { try $0.saveState(&$1) }
        ops.append(result == nil ? .packageState(module: module, stage: stage + 1) : .packageState(module: module + 1, stage: 0))
    }

    func sendPackage() throws {
        if host.has(.postcopyRAM) { ping(3) }
        if generation.has(.postcopyDevice), source.returnPath != nil { ping(ReturnPathRules.packageLoaded) }
        host.emit(.savevmSendPostcopyRun)
        command(.postcopyRun)
        let elements = package ?? []
        package = nil
        host.emit(.qemuSavevmSendPackaged)
        command(.packaged(elements))
        // The destination loads no package that was not written.
        if source.fileError, !generation.has(.failsWithPackageOnItsWay) { throw ModuleError(source.fileErrorText) }
        ops.append(.packageSent)
    }

    /// The package is sent: from here on the destination may load it and run the guest, and PONG 0x42 may arrive before this thread has
    /// done the rest.
    func packageSent() {
        if generation.has(.failing) { host.emit(.migrationCallNotifiers(type: MigrationReason.postcopyStart.rawValue)) }
        host.emit(.vmstateDowntimeCheckpoint("src-downtime-end"))
        source.downtime = (clock.now - source.stoppedAt) / 1_000_000
        if host.has(.postcopyRAM) { ping(4) }
        host.emit(.postcopyPreemptEnabled(0))
        host.memory?.phase = .postcopy
        restartWindow()
        ops.append(.enterPostcopy)
    }

    /// Enters the status that says that the package is on its way.
    ///
    /// In the first form (postcopy-device-v1) PONG 0x42 made the return-path thread itself change postcopy-device to postcopy-active. But
    /// the PONG may arrive before this step: the thread then finds the status device, and its compare-and-swap does not match, silently.
    /// The status becomes postcopy-device here, no thread changes it any more, and the source waits forever for a PONG that has arrived.
    /// The flag of 10.2 removes the race: the return-path thread only sets it, whenever the PONG arrives, and the migration loop, which
    /// alone changes the status, reads it in postcopy-device.
    func enterPostcopy() {
        let awaits = generation.has(.postcopyDevice) && source.returnPath != nil
        let before: MigrationStatus = generation.has(.switchoverInDevice) ? .device : source.status
        source.change(before, to: awaits ? .postcopyDevice : .postcopyActive)
        source.postcopyIsStarting = false
        unlock()
    }

    // MARK: Iteration

    func decideInPostcopy(maySwitchOver: Bool) {
        let step = decision.decideInPostcopy(pending, threshold: source.threshold.bytes, maySwitchOver: maySwitchOver)
        if source.status == .postcopyDevice, decision.awaitsPackage(isLoaded: source.packageIsLoaded, pending) {
            completesAfterPackage = step == .complete
            return ops.append(.awaitPackage)
        }
        step == .complete ? completePostcopy() : iterate()
    }

    func packageWaitEnded() {
        // The return-path thread of the first posting has changed the status itself.
        if source.status == .postcopyActive { return completesAfterPackage ? completePostcopy() : iterate() }
        guard source.packageIsLoaded else {
            source.store(ReturnPathRules.channelEnded.text)
            source.fail()
            return leave()
        }
        source.change(.postcopyDevice, to: .postcopyActive)
        completesAfterPackage ? completePostcopy() : iterate()
    }

    // MARK: End

    func completePostcopy() {
        host.emit(.migrationThreadLowPending(size: pending.total))
        host.emit(.migrationCompletionPostcopyEnd)
        ops += [.completePostcopy(module: 0, stage: 0), .lock]
    }

    /// Writes END of every active module; RAM's is written a second time if only bitmaps took part in postcopy.
    func completePostcopy(_ module: Int, _ stage: Int) throws {
        guard module < host.modules.count else {
            host.emit(.migrationCompletionPostcopyEndAfterComplete)
            write(.endOfFile)
            unlock()
            ops.append(.joined)
            return join()
        }
        let handlers = host.modules[module]
        let hasEnded = completed.contains(module) && !handlers.endsTwice
        guard handlers.isIterable, handlers.isActive(host), !hasEnded else {
            return ops.append(.completePostcopy(module: module + 1, stage: 0))
        }
        let result = try section(.end, module, stage) { try $0.saveComplete(&$1) }
        ops.append(result == nil ? .completePostcopy(module: module, stage: stage + 1) : .completePostcopy(module: module + 1, stage: 0))
    }

    // MARK: A channel that breaks

    func pause() {
        host.emit(.migrationReturnPathEndBefore)
        source.returnPath?.shutDown()
        ops = [.awaitRecovery, .pauseJoin]
    }

    /// Pauses after everything was sent, when the destination has not confirmed it; the return path is joined.
    func pauseAtEnd() {
        source.channel.closeSource()
        source.change(source.status, to: .postcopyPaused)
        ops = [.awaitRecovery]
    }

    func returnPathJoinedForPause() {
        host.emit(.migrationReturnPathEndAfter)
        source.returnPath = nil
        source.channel.closeSource()
        source.change(source.status, to: .postcopyPaused)
    }

    func recoveryWaitEnded() {
        guard source.status == .postcopyRecover else { return leave() }
        source.resumeIsAcknowledged = false
        host.emit(.savevmStateResumePrepare)
        for recovery in host.memory?.recoveryCommands() ?? [] {
            if case .recvBitmap(let block) = recovery { host.emit(.savevmSendRecvBitmap(block: block)) }
            command(recovery)
        }
        ops.append(.awaitBitmaps)
    }

    func bitmapWaitEnded() {
        guard source.returnPath?.isOver == false else { return resumeFailed() }
        ops += [.awaitResumeAck, .resumePrepare(module: 0, stage: 0)]
        host.emit(.savevmSendPostcopyResume)
        command(.postcopyResume)
    }

    func resumePrepare(_ module: Int, _ stage: Int) throws {
        guard module < host.modules.count else { return }
        var call = Call(host: host, stage: stage)
        let progress = try host.modules[module].resumePrepare(&call)
        settle(call)
        ops.append(progress == .again ? .resumePrepare(module: module, stage: stage + 1) : .resumePrepare(module: module + 1, stage: 0))
    }

    func resumeAckWaitEnded() {
        guard source.resumeIsAcknowledged else { return resumeFailed() }
        source.change(.postcopyRecover, to: .postcopyActive)
        restartWindow()
        ops.append(.loop)
    }

    func resumeFailed() {
        source.returnPath?.shutDown()
        ops = [.awaitRecovery, .pauseJoin]
    }
}
