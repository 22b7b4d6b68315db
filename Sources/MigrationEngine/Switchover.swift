/// The migration thread's switchover: it stops the guest, waits for `migrate-continue` where the capability asks for it, makes the final
/// query, and sends the rest.
import MigrationStream
import MigrationTrace
import SwitchoverProtocol

extension MigrationThread {
    func completePrecopy() {
        host.emit(.migrationThreadLowPending(size: pending.total))
        ops.append(.guestStopped)
        stopGuest()
    }

    func stopGuest() {
        ops.append(.transition(VMTransition(runs: false, reason: .finishMigrate)))
        ops.append(.lock)
        host.emit(.vmstateDowntimeCheckpoint("src-downtime-start"))
        source.stoppedAt = clock.now
        // A guest that does not run is not stopped, but the host enters finish-migrate all the same.
        if !host.guestRuns {
            ops.removeLast(2)
            ops += [.lock]
            stateBefore = host.runState
        }
        host.globalState?.store(host.runState)
    }

    func guestStopped() {
        if stateBefore != nil { host.enter(.finishMigrate) }
        host.emit(.vmstateDowntimeCheckpoint("src-vm-stopped"))
        host.emit(.migrationCompletionVMStop(result: 0))
        prepareSwitchover()
    }

    /// Enters `device`, or first waits in `pre-switchover` for `migrate-continue`.
    private func prepareSwitchover() {
        if source.status == .cancelling { return interrupted() }
        guard host.has(.pauseBeforeSwitchover), !generation.isWrong(.continueUnawaited) else {
            if generation.has(.switchoverInDevice) { source.change(.active, to: .device) }
            return ops.append(.finalQuery)
        }
        source.change(.active, to: .preSwitchover)
        unlock()
        ops.append(.awaitMigrateContinue)
    }

    func migrateContinueReceived() {
        source.isContinued = false
        // In 8.x a postcopy begins without the status device.
        if generation.has(.switchoverInDevice) || !source.postcopyIsStarting { source.change(.preSwitchover, to: .device) }
        guard !source.hasFailed else {
            return interrupted()
        }
        ops += [.finalQuery, .lock]
    }

    /// Leaves a switchover that finds itself cancelled. Up to 11.0 the error is not stored.
    private func interrupted() {
        if generation.has(.storesSwitchoverErrors) { source.store(StatusMachine.interrupted.text) }
        leave()
    }

    func finalQuery() {
        guard generation.has(.finalQuery) else { return ops.append(.handOver) }
        ops.append(.query(.final, module: 0, stage: 0))
    }

    /// Hands the guest over: from here on the destination may complete.
    func handOver() {
        if source.status == .cancelling, !generation.isWrong(.cancelUnnoticed) { return interrupted() }
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

    func complete(_ module: Int, _ stage: Int) throws {
        guard module < host.modules.count else { return host.emit(.vmstateDowntimeCheckpoint("src-iterable-saved")) }
        guard host.modules[module].isIterable, host.modules[module].isActive(host) else {
            return ops.append(.complete(module: module + 1, stage: 0))
        }
        do {
            let result = try section(.end, module, stage) { try $0.saveComplete(&$1) }
            ops.append(result == nil ? .complete(module: module, stage: stage + 1) : .complete(module: module + 1, stage: 0))
        } catch let error as ModuleError {
            source.failFile(error)
            source.store((generation.has(.storesSwitchoverErrors) ? "Failed to save iterable device state: " : "") + source.fileErrorText)
            source.fail()
            leave()
        }
    }

    func saveState(_ module: Int, _ stage: Int) throws {
        guard module < host.modules.count else { return host.emit(.vmstateDowntimeCheckpoint("src-non-iterable-saved")) }
        guard host.modules[module].hasState else { return ops.append(.saveState(module: module + 1, stage: 0)) }
        let result = try section(.full, module, stage) { try $0.saveState(&$1) }
        ops.append(result == nil ? .saveState(module: module, stage: stage + 1) : .saveState(module: module + 1, stage: 0))
    }

    func endStream() {
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
        guard let path = source.returnPath, !generation.isWrong(.shutUnawaited) else { return }
        host.emit(.migrationReturnPathEndBefore)
        // A source that knows of an error does not wait for SHUT.
        if source.error != nil { path.shutDown() }
        ops.append(.joinReturnPath)
    }

    func returnPathJoined() {
        if source.returnPath != nil {
            host.emit(.migrationReturnPathEndAfter)
            if source.returnPath?.hasFailed == true { source.fileError = true }
            source.returnPath = nil
        }
        if source.status == .cancelling { return leave() }
        if source.fileError || source.error != nil, !generation.isWrong(.returnPathErrorIgnored) {
            if source.pauses(on: .channelAtPostcopyEnd) { return pauseAtEnd() }
            source.fail()
            return leave()
        }
        host.emit(.vmstateDowntimeCheckpoint("src-downtime-end"))
        source.downtime = source.downtime ?? (clock.now - source.stoppedAt) / 1_000_000
        source.change(source.status, to: .completed)
        leave()
    }
}
