/// Breakages: a process dies, the channel is cut, a device call fails, or descriptors run out. The moment or the call decides the outcome,
/// and never chance (confirmed on 10.0.13 and 11.1.3).

/// A moment of the handshake; the cases are in the order in which a migration passes them. At each a gate holds what would go on.
package enum BreakMoment: String, CaseIterable, Hashable, Sendable {
    /// The last device's initial bytes are half written; its marker is not loaded.
    case initialData = "initial-data"
    /// Only the last ACK is missing, and the source goes on iterating.
    case waiting
    /// Every ACK is counted; the source iterates.
    case acknowledged
    /// The source has decided, its guest is stopped, and its devices are on the way to PRE_COPY_P2P.
    case decided
    /// The devices are on the way to STOP_COPY, and nothing of their final data is sent.
    case stopCopy = "stop-copy"
    /// Everything is sent; the destination writes the last device's final data.
    case finalData = "final-data"
    /// The destination has everything, and its first device is about to run.
    case starting

    var isAcknowledged: Bool { self >= .acknowledged }
    /// True if the destination has the whole stream.
    var isAllSent: Bool { self >= .finalData }
}

extension BreakMoment: Comparable {
    package static func < (one: Self, other: Self) -> Bool { allCases.firstIndex(of: one)! < allCases.firstIndex(of: other)! }
}

/// A call on the last device that fails whenever QEMU makes it in this stage.
package enum FailingCall: String, CaseIterable, Hashable, Sendable {
    // The source starts.
    case sourceBind = "source-bind"
    case sourceInfo = "source-info"
    case sourceConfigSpace = "source-config-space"
    case sourceIRQInfo = "source-irq-info"
    case sourceMigration = "source-migration"
    case sourcePrecopyInfoV2 = "source-precopy-info-v2"
    case sourceProbe = "source-feature-probe"
    case sourceBootState = "source-boot-state"
    // The source sets up the migration.
    case sourceDMALoggingStart = "source-dma-logging-start"
    case sourceDMALoggingReport = "source-dma-logging-report"
    case sourceFirstDataSize = "source-first-data-size"
    case sourcePreCopy = "source-pre-copy"
    case sourceFirstPrecopyInfo = "source-first-precopy-info"
    // The source iterates.
    case sourceDataSize = "source-data-size"
    case sourcePrecopyInfo = "source-precopy-info"
    case sourceRead = "source-read"
    case sourceLaterRead = "source-later-read"
    // The source stops the guest, sends the rest, and ends.
    case sourcePreCopyP2P = "source-pre-copy-p2p"
    case sourceStopCopy = "source-stop-copy"
    case sourceFinalRead = "source-final-read"
    case sourceSavedConfig = "source-saved-config"
    case sourceStop = "source-stop"
    // The destination starts, loads, and runs the guest.
    case destinationMigration = "destination-migration"
    case destinationResuming = "destination-resuming"
    case destinationWrite = "destination-write"
    case destinationFinalWrite = "destination-final-write"
    case destinationLoadedConfig = "destination-loaded-config"
    case destinationRunningP2P = "destination-running-p2p"
    case destinationRunning = "destination-running"
}

/// The error with which a failing device call returns.
package enum CallErrno: String, CaseIterable, Hashable, Sendable {
    case eio = "EIO"
    case einval = "EINVAL"
    case enomem = "ENOMEM"
    case enotty = "ENOTTY"
    case ebusy = "EBUSY"
    case eagain = "EAGAIN"
    case eintr = "EINTR"
    case enodev = "ENODEV"
    case enomsg = "ENOMSG"
}

/// What breaks.
package enum Breakage: Hashable, Sendable {
    case destinationKilled(BreakMoment)
    case sourceKilled(BreakMoment)
    /// Both directions of the channel, by a side's `yank` or by the network.
    case channelCut(BreakMoment)
    /// The destination's messages no longer reach the source.
    case returnPathCut(BreakMoment)
    /// A device call fails with this error; where QEMU falls back on a reset of the device, that reset may fail as well.
    case call(FailingCall, errno: CallErrno, resetFails: Bool)
    /// The source may open only so many descriptors more.
    case sourceDescriptors(Int)
    /// The source's memory cgroup leaves no memory for the migration, and the kernel kills the source while it sets up.
    case sourceMemory
    /// The destination may open only so many descriptors more; if none, the limit is lifted later.
    case destinationDescriptors(Int)
    /// The manager raises the number of channels while only the last ACK is missing, and the source aborts.
    case channelsRaised
}

/// What a migration shows that `breakage` breaks; `healthy` is what it would show otherwise.
func broken(by breakage: Breakage, _ healthy: Outcome, _ scenario: Scenario) -> Outcome {
    switch breakage {
    case .destinationKilled(let moment): return account(healthy, .failed, upTo: moment)
    case .channelsRaised: return broken(by: .sourceKilled(.waiting), healthy, scenario)
    case .sourceKilled(let moment):
        // The destination still reads and approves what is in the socket.
        var outcome = healthy.ending(moment.isAllSent ? .completed : .noGuest)
        outcome.acksCounted = account(healthy, .failed, upTo: moment).acksCounted
        return outcome
    case .channelCut(let moment):
        var outcome = healthy.ending(moment.isAllSent ? lostEnd(scenario) : .failed)
        if moment.isAllSent { outcome.restsOn = ["starts-before-shut"] }
        outcome.acksCounted = account(healthy, .failed, upTo: moment).acksCounted
        return outcome
    case .returnPathCut(let moment):
        // The source looks at its return path only at the end.
        var outcome = healthy.ending(moment.isAcknowledged ? lostEnd(scenario) : .waitsForever)
        outcome.restsOn = ["return-path-errors-unwatched", "starts-before-shut"]
        outcome.acksCounted = account(healthy, .failed, upTo: moment).acksCounted
        return outcome
    case .call(let call, let errno, let resetFails):
        return failing(call, errno, resetFails: resetFails, healthy, scenario)
    case .sourceMemory: return nothingAsked(healthy).ending(.noGuest)
    case .sourceDescriptors:
        var outcome = nothingAsked(healthy)
        outcome.words = "Too many open files"
        return outcome
    case .destinationDescriptors(let free):
        return free == 0 ? healthy : failing(.destinationResuming, nil, resetFails: false, healthy, scenario)
    }
}

/// The ending where the destination has the guest and the source does not learn it.
private func lostEnd(_ scenario: Scenario) -> Ending { scenario.destination.startsPaused ? .wouldRunTwoGuests : .twoGuests }

/// The counts up to a moment. Before `acknowledged` the last device's last ACK is missing, or a legacy destination's only one.
private func account(_ healthy: Outcome, _ ending: Ending, upTo moment: BreakMoment) -> Outcome {
    var outcome = healthy.ending(ending)
    guard !moment.isAcknowledged else { return outcome }
    if let approvals = outcome.approvals, let last = approvals.lastIndex(where: { $0 > 0 }) { outcome.approvals?[last] -= 1 }
    outcome.acksSent = healthy.acksSent.map { $0 - 1 }
    outcome.acksCounted = healthy.acksCounted.map { $0 - 1 }
    return outcome
}

/// The counts of a migration that fails before the source's first query.
private func nothingAsked(_ healthy: Outcome) -> Outcome {
    var outcome = healthy.ending(.failed)
    outcome.requests = outcome.requests.map { $0.map { _ in 0 } }
    outcome.approvals = outcome.approvals.map { $0.map { _ in 0 } }
    (outcome.acksSent, outcome.acksCounted) = (0, 0)
    // How far the destination gets before it learns of the failure depends on which side is faster.
    outcome.countedIn = nil
    return outcome
}

/// The counts of a migration that fails at the last device's first data. The other devices' markers may or may not have been loaded.
private func lastNeverLoaded(_ healthy: Outcome, _ scenario: Scenario) -> Outcome {
    var outcome = healthy.ending(.failed)
    let isAlone = scenario.devices.count == 1
    outcome.approvals = isAlone ? [0] : nil
    // A legacy destination has one ACK for all.
    let isNobodyAcknowledged = isAlone || scenario.destination.mode == .legacy
    outcome.acksSent = isNobodyAcknowledged ? 0 : nil
    outcome.acksCounted = isNobodyAcknowledged ? 0 : nil
    return outcome
}

/// What a migration shows in which a call fails. The errno matters only for reads and for MIG_PRECOPY_INFOv2.
private func failing(_ call: FailingCall, _ errno: CallErrno?, resetFails: Bool, _ healthy: Outcome, _ scenario: Scenario) -> Outcome {
    func refused(_ words: String) -> Outcome {
        var outcome = Outcome(.refused)
        outcome.words = words
        return outcome
    }
    func failed(_ words: String? = nil) -> Outcome {
        var outcome = healthy.ending(.failed)
        outcome.words = words
        return outcome
    }
    func aborted() -> Outcome {
        var outcome = healthy.ending(.noGuest)
        // The source may decide before the return path's thread has logged the ACK, and an abort of another thread may cut that line off.
        outcome.acksCounted = nil
        return outcome
    }
    let source = scenario.source
    switch call {
    case .sourceBind: return refused("error bind device")
    case .sourceInfo: return refused("error getting device info")
    case .sourceConfigSpace: return refused("failed to read device config space")
    case .sourceMigration: return refused(source.knowsPerDevice ? "VFIO migration init failed" : "VFIO")
    case .sourcePrecopyInfoV2:
        // ENOTTY means a kernel without the feature; QEMU up to 11.0 does not ask for it.
        return source.knowsPerDevice && errno != .enotty ? refused("failed to set precopy info v2") : healthy
    // QEMU prints a message at most, or resets the device where it refused a state.
    case .sourceIRQInfo, .sourceProbe, .sourceBootState, .sourceSavedConfig, .destinationLoadedConfig: return healthy
    // QEMU then assumes 100 GiB, which one query alone does not make matter.
    case .sourceFirstDataSize: return healthy
    case .sourceDataSize: return healthy.ending(.doesNotConverge)
    case .sourceDMALoggingStart, .sourceDMALoggingReport: return nothingAsked(healthy)
    case .sourcePreCopy:
        var outcome = nothingAsked(healthy)
        outcome.words = "Failed setting device state to PRE_COPY"
        return outcome
    case .sourceFirstPrecopyInfo:
        // QEMU assumes 0 initial bytes: the marker comes with the first read, and its ACK holds nothing back.
        return healthy.ending(.completed)
    case .sourcePrecopyInfo:
        // Only a per-device source queries at the last check, and counts the failure as a request.
        guard source.mode == .perDevice else { return healthy }
        var outcome = failed("Switchover ACK was requested by 1 devices during switchover")
        if let last = outcome.requests?.indices.last { outcome.requests?[last] += 1 }
        return outcome
    case .sourceRead:
        // ENOMSG means that there is no data yet, which ends the initial bytes.
        return errno == .enomsg ? healthy.ending(.completed) : lastNeverLoaded(healthy, scenario)
    case .sourceLaterRead: return errno == .enomsg ? healthy : failed()
    case .sourceFinalRead: return errno == .enomsg ? healthy.resting(on: "ends-state-at-enomsg") : failed()
    case .sourcePreCopyP2P:
        return resetFails ? aborted() : failed("Failed setting device state to PRE_COPY_P2P")
    case .sourceStopCopy: return resetFails ? aborted() : failed("Failed setting device state to STOP_COPY")
    // The migration is over: the device is reset, or the process of a source ends that has nothing more to do.
    case .sourceStop: return healthy
    case .destinationMigration:
        var outcome = healthy.ending(.failed)
        // The destination has no such section. A legacy one without other users has sent its ACK before.
        outcome.requests = nil
        let isAlone = scenario.devices.count == 1
        let isLegacy = scenario.destination.mode == .legacy
        outcome.countedIn = nil
        outcome.approvals = scenario.devices.map { _ in 0 }
        outcome.acksSent = isLegacy && isAlone ? 1 : 0
        outcome.acksCounted = isLegacy && isAlone ? nil : 0
        return outcome
    case .destinationResuming:
        var outcome = nothingAsked(healthy)
        // The source may or may not have made its first query before.
        outcome.requests = nil
        return outcome
    case .destinationWrite: return lastNeverLoaded(healthy, scenario)
    case .destinationFinalWrite: return failed()
    // QEMU resets the device, which loses its loaded state, and runs the guest; only a reset that fails ends the destination.
    case .destinationRunningP2P, .destinationRunning:
        return (resetFails ? failed() : healthy).resting(on: "resets-loaded-device", "starts-before-shut")
    }
}

extension Outcome {
    fileprivate func resting(on names: String...) -> Outcome {
        var outcome = self
        outcome.restsOn += names
        return outcome
    }

    /// The same counts with another ending. No ACK is expected to hold a decision back then.
    fileprivate func ending(_ ending: Ending) -> Outcome {
        var outcome = self
        outcome.ending = ending
        outcome.words = nil
        outcome.isGating = false
        return outcome
    }
}
