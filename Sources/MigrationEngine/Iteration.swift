/// The migration thread's iterations: each makes an estimate, an exact query where the estimate calls for one, and the decision, sends a
/// PART of each module, and checks for errors.
import MigrationStream
import MigrationTrace
import SwitchoverProtocol

extension MigrationThread {
    func loop() throws {
        guard source.isActive else { return leave() }
        couldSwitchOverBeforeQueries = source.ledger.maySwitchOver(guestRuns: host.guestRuns)
        ops.append(.checkForErrors)
        try query(.estimate, 0, 0)
    }

    func query(_ query: Query, _ module: Int, _ stage: Int) throws {
        if module == 0, stage == 0 { pending = PendingBytes() }
        var module = module
        var stage = stage
        while module < host.modules.count {
            let handlers = host.modules[module]
            if handlers.isIterable, handlers.isActive(host) {
                var call = Call(host: host, stage: stage)
                let requested = pending.requests
                let progress = try handlers.saveQueryPending(&pending, exact: query.isExact, final: query.isFinal, &call)
                settle(call)
                if pending.requests != requested, generation.has(.requestHandler), source.ledger.countsRequests {
                    try source.ledger.collect(pending.requests - requested, by: handlers.idstr)
                    let stage = RequestStage(exact: query.isExact, final: query.isFinal)
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
        if query.isFinal { pending = decision.finalReport(pending) }
        report(query)
        spend(Pace.query)
        switch query {
        case .estimate:
            // In postcopy no exact query follows (10.1).
            if source.isInPostcopy, generation.has(.savesInOneCallback) { return decide() }
            let asks = decision.needsExactQuery(pending, threshold: source.threshold.bytes, inPostcopy: source.isInPostcopy)
            ops.append(asks ? .query(.exact, module: 0, stage: 0) : .decide)
        case .exact: ops.append(.decide)
        case .final:
            try source.ledger.checkFinal(collected: pending.requests)
            ops.append(.handOver)
        }
    }

    private func report(_ query: Query) {
        guard generation.has(.queryPending) else {
            guard !query.isFinal else { return }
            let precopy = pending.precopy &+ pending.stopCopy
            return host.emit(
                query == .estimate
                    ? .migratePendingEstimate(size: pending.total, precopy: precopy, postcopy: pending.postcopy)
                    : .migratePendingExact(size: pending.total, precopy: precopy, postcopy: pending.postcopy))
        }
        var event = PendingQuery()
        event.exact = query.isExact
        event.final = query.isFinal
        event.precopy = pending.precopy
        event.stopCopy = pending.stopCopy
        event.postcopy = pending.postcopy
        event.total = pending.total
        event.collectedAcks = pending.requests
        event.pendingAcks = source.ledger.pending
        host.emit(.qemuSavevmQueryPending(event))
    }

    func decide() {
        let may = decision.asksLedgerBeforeQueries ? couldSwitchOverBeforeQueries : source.ledger.maySwitchOver(guestRuns: host.guestRuns)
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

    func iterate(_ module: Int, _ stage: Int) throws {
        guard module < host.modules.count else { return }
        let handlers = host.modules[module]
        if stage == 0 {
            let takesPart =
                handlers.isIterable && handlers.isActive(host) && (!source.isInPostcopy || handlers.hasPostcopy(host))
                && handlers.isActiveIterate(host)
            guard takesPart else { return ops.append(.iterate(module: module + 1, stage: 0)) }
            // The modules after this one get nothing in this step.
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

    /// Sends the message that was discussed for the series: after the initial data that a module's requests are for, the core names the
    /// module's section and the number of ACKs. No module then sends a marker.
    private func announce(_ module: Int) {
        guard let count = unannounced[module], host.modules[module].initialDataIsSent else { return }
        unannounced[module] = nil
        command(.requestSwitchoverAck(section: host.sections[module], count: count))
    }

    /// Ends a step: checks for an error of the channel, a cancel, and the end of the window.
    func checkForErrors() throws {
        if source.status == .cancelling || source.hasFailed { return leave() }
        if !generation.has(.returnPathErrorsUnwatched), source.returnPath?.hasFailed == true, !source.isInPostcopy {
            source.fileError = true
        }
        if source.fileError, !generation.isWrong(.channelErrorIgnored) {
            source.store(source.fileErrorText)
            if source.pauses(on: .channel) { return pause() }
            // Only the rest of the return path tells which side has the guest.
            if source.status == .postcopyDevice, !generation.has(.failsWithPackageOnItsWay) {
                completesAfterPackage = false
                ops += [.checkForErrors, .awaitPackage]
                return
            }
            source.fail()
            host.emit(.migrationThreadFileErr)
            return leave()
        }
        if window.end <= clock.now { endWindow() }
        guard budget == 0, host.memory?.hasRequests != true, window.end > clock.now else { return try loop() }
        host.emit(.migrationRateLimitPre(milliseconds: Int64((window.end - clock.now) / 1_000_000)))
        ops += [.loop, .wake]
        sleep(until: window.end)
    }
}
