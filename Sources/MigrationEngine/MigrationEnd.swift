/// The end of the migration thread: how it fails, what it does after the loop in every case, and how the guest runs again where the source
/// still has it.
import MigrationTrace

extension MigrationThread {
    /// Fails the migration: no planned step is taken any more.
    func failed(_ text: String) {
        // A process that ends itself logs nothing more.
        guard host.abortion == nil else { return }
        source.store(text)
        if source.status == .postcopyRecover { return resumeFailed() }
        // The destination has the guest: the rest can still be sent, over another channel.
        if source.fileError, source.pauses(on: .channelAtPostcopyEnd) {
            unlock()
            return pause()
        }
        source.fail()
        leave()
    }

    /// Goes to the end of the thread, whatever was planned.
    func leave() {
        payload = []
        ops = [.afterLoop, .lock]
    }

    func afterLoop() {
        package = nil
        host.emit(.migrationThreadAfterLoop)
        ops.append(.finish)
        guard source.status != .completed else {
            guard generation.isWrong(.guestRunsOn) else { return host.enter(.postmigrate) }
            return ops.append(.resumeGuest)
        }
        ops.append(.resumeGuest)
        host.emit(.migrationBlockActivation(.active))
        if generation.has(.failing) {
            host.emit(.migrationCallNotifiers(type: MigrationReason.failed.rawValue))
            ops.append(.notifyFailure(module: host.modules.count - 1, stage: 0))
        }
    }

    func notifyFailure(_ module: Int, _ stage: Int) {
        guard module >= 0 else { return }
        var call = Call(host: host, stage: stage)
        let progress = host.modules[module].migrationNotified(.failed, &call)
        settle(call)
        ops.append(progress == .again ? .notifyFailure(module: module, stage: stage + 1) : .notifyFailure(module: module - 1, stage: 0))
    }

    func resumeGuest() {
        guard host.runState == .finishMigrate, !generation.isWrong(.guestStaysStopped) else { return }
        if let stateBefore {
            host.enter(stateBefore)
        } else {
            ops.append(.transition(VMTransition(runs: true, reason: .running)))
        }
    }

    func finish() {
        end()
        host.lastLedger = source.ledger
        main.cleanUp()
    }
}
