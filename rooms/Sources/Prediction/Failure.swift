/// Something breaks: a process dies, the channel is cut, a device call fails, or descriptors run out. What comes of it follows from the
/// moment, or from the call, and never from luck (confirmed on 10.0.13 and 11.1.3).

/// A moment of the handshake, in the order in which a migration comes to them. At each a gate holds what would go on.
package enum BreakMoment: String, CaseIterable, Hashable, Sendable {
    /// The last device's initial bytes are half written; its marker is not loaded.
    case initialData = "initial-data"
    /// Only the last ACK is missing, and the source goes on asking.
    case waiting
    /// Every ACK is counted; the source iterates.
    case acknowledged
    /// The source has decided, its guest is stopped, its devices go to PRE_COPY_P2P.
    case decided
    /// They are in STOP_COPY, and nothing of it is sent.
    case stopCopy = "stop-copy"
    /// Everything is sent; the destination writes the last device's final data.
    case finalData = "final-data"
    /// The destination has everything, and its first device is about to run.
    case starting

    var isAcknowledged: Bool { self >= .acknowledged }
    /// The stream is in the destination's hands to its end.
    var isAllSent: Bool { self >= .finalData }
}

extension BreakMoment: Comparable {
    package static func < (one: Self, other: Self) -> Bool { allCases.firstIndex(of: one)! < allCases.firstIndex(of: other)! }
}

/// A call on the last device, by the stage in which QEMU makes it; it fails each time it is made there.
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
    // It sets up the migration.
    case sourceDMALoggingStart = "source-dma-logging-start"
    case sourceDMALoggingReport = "source-dma-logging-report"
    case sourceFirstDataSize = "source-first-data-size"
    case sourcePreCopy = "source-pre-copy"
    case sourceFirstPrecopyInfo = "source-first-precopy-info"
    // It iterates.
    case sourceDataSize = "source-data-size"
    case sourcePrecopyInfo = "source-precopy-info"
    case sourceRead = "source-read"
    case sourceLaterRead = "source-later-read"
    // It stops the guest, sends the rest, and ends.
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

/// What breaks.
package enum Breakage: Hashable, Sendable {
    case destinationKilled(BreakMoment)
    case sourceKilled(BreakMoment)
    /// Both directions, by a side's `yank` or by nobody's doing.
    case channelCut(BreakMoment)
    /// The destination's messages no longer reach the source.
    case returnPathCut(BreakMoment)
    /// With this errno, by its name; where QEMU falls back on a reset of the device, that may fail, too.
    case call(FailingCall, errno: String, resetFails: Bool)
    /// The source may open so many files more.
    case sourceDescriptors(Int)
    /// The source's memory cgroup leaves it none for the migration, and the kernel kills it while it sets up.
    case sourceMemory
    /// The destination may; with none it may again later.
    case destinationDescriptors(Int)
    /// The source is told of more channels than it has, while only the last ACK is missing. It aborts.
    case channelsRaised
}

/// What a migration shows that something breaks, from what it would have shown.
func broken(by breakage: Breakage, _ healthy: Outcome, _ scenario: Scenario) -> Outcome {
    switch breakage {
    case .destinationKilled(let moment): return account(healthy, .failed, upTo: moment)
    case .channelsRaised: return broken(by: .sourceKilled(.waiting), healthy, scenario)
    case .sourceKilled(let moment):
        // What is in the socket is still read, and approved.
        var outcome = healthy.ending(moment.isAllSent ? .completed : .noGuest)
        outcome.acksCounted = account(healthy, .failed, upTo: moment).acksCounted
        return outcome
    case .channelCut(let moment):
        var outcome = healthy.ending(moment.isAllSent ? lostEnd(scenario) : .failed)
        outcome.acksCounted = account(healthy, .failed, upTo: moment).acksCounted
        return outcome
    case .returnPathCut(let moment):
        // The source looks at its return path at the end only.
        var outcome = healthy.ending(moment.isAcknowledged ? lostEnd(scenario) : .waitsForever)
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
        return free == 0 ? healthy : failing(.destinationResuming, "", resetFails: false, healthy, scenario)
    }
}

/// The destination has the guest, and the source does not hear of it.
private func lostEnd(_ scenario: Scenario) -> Ending { scenario.destination.startsPaused ? .wouldRunTwoGuests : .twoGuests }

/// The counts up to a moment: before it is acknowledged the last device's last ACK is missing, and with it a legacy destination's only one.
private func account(_ healthy: Outcome, _ ending: Ending, upTo moment: BreakMoment) -> Outcome {
    var outcome = healthy.ending(ending)
    guard !moment.isAcknowledged else { return outcome }
    if let approvals = outcome.approvals, let last = approvals.lastIndex(where: { $0 > 0 }) { outcome.approvals?[last] -= 1 }
    outcome.acksSent = healthy.acksSent.map { $0 - 1 }
    outcome.acksCounted = healthy.acksCounted.map { $0 - 1 }
    return outcome
}

/// It fails before the source's first query.
private func nothingAsked(_ healthy: Outcome) -> Outcome {
    var outcome = healthy.ending(.failed)
    outcome.requests = outcome.requests.map { $0.map { _ in 0 } }
    outcome.approvals = outcome.approvals.map { $0.map { _ in 0 } }
    (outcome.acksSent, outcome.acksCounted) = (0, 0)
    // How far the destination came before it is told.
    outcome.countedIn = nil
    return outcome
}

/// It fails with the last device's first data; what comes of the other devices' markers depends on who is faster.
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

/// What comes of a call that fails: the errno matters for reads and for MIG_PRECOPY_INFOv2 only.
private func failing(_ call: FailingCall, _ errno: String, resetFails: Bool, _ healthy: Outcome, _ scenario: Scenario) -> Outcome {
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
        // The ACK frees the source before it has its line, which an abort of another thread may cut off.
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
        // ENOTTY is a kernel without it; up to 11.0 nobody asks.
        return source.knowsPerDevice && errno != "ENOTTY" ? refused("failed to set precopy info v2") : healthy
    // A message at most; where a state was refused, a reset.
    case .sourceIRQInfo, .sourceProbe, .sourceBootState, .sourceSavedConfig, .destinationLoadedConfig: return healthy
    // The size is taken for 100 GiB: once that is nothing.
    case .sourceFirstDataSize: return healthy
    case .sourceDataSize: return healthy.ending(.doesNotConverge)
    case .sourceDMALoggingStart, .sourceDMALoggingReport: return nothingAsked(healthy)
    case .sourcePreCopy:
        var outcome = nothingAsked(healthy)
        outcome.words = "Failed setting device state to PRE_COPY"
        return outcome
    case .sourceFirstPrecopyInfo:
        // Taken for 0 initial bytes: the marker comes with the first read, and its ACK holds nothing back.
        return healthy.ending(.completed)
    case .sourcePrecopyInfo:
        // Only a per-device source asks at the last check, and takes the failure for a request.
        guard source.mode == .perDevice else { return healthy }
        var outcome = failed("Switchover ACK was requested by 1 devices during switchover")
        if let last = outcome.requests?.indices.last { outcome.requests?[last] += 1 }
        return outcome
    case .sourceRead:
        // ENOMSG is no data yet, which ends the initial bytes.
        return errno == "ENOMSG" ? healthy.ending(.completed) : lastNeverLoaded(healthy, scenario)
    case .sourceLaterRead: return errno == "ENOMSG" ? healthy : failed()
    case .sourceFinalRead: return errno == "ENOMSG" ? healthy : failed()
    case .sourcePreCopyP2P:
        return resetFails ? aborted() : failed("Failed setting device state to PRE_COPY_P2P")
    case .sourceStopCopy: return resetFails ? aborted() : failed("Failed setting device state to STOP_COPY")
    // When all is over: the device is reset, or the process ends, at a source that has nothing more to do.
    case .sourceStop: return healthy
    case .destinationMigration:
        var outcome = healthy.ending(.failed)
        // It knows no such section. Without other users a legacy one has sent its ACK by then.
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
        // Whether the source has asked by then depends on who is faster.
        outcome.requests = nil
        return outcome
    case .destinationWrite: return lastNeverLoaded(healthy, scenario)
    case .destinationFinalWrite: return failed()
    // The device is reset, its loaded state with it, and the guest runs; only a reset that fails ends the destination.
    case .destinationRunningP2P, .destinationRunning: return resetFails ? failed() : healthy
    }
}

extension Outcome {
    /// The same counts with another end; what ends otherwise, or earlier, gates nothing that was decided.
    fileprivate func ending(_ ending: Ending) -> Outcome {
        var outcome = self
        outcome.ending = ending
        outcome.words = nil
        outcome.isGating = false
        return outcome
    }
}
