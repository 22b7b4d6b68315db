/// The closed form: from sides, abilities and schedule to outcome and counts.
///
/// It knows what released binaries do where the modes of the sides differ (confirmed on 10.0.13 and 11.1.3), since a prediction must
/// meet what is measured; that it is a defect is said by the list of known deviations. Where who is faster decides, all outcomes are named.

/// All the ways the scenario may go, one of them where nothing is left to chance.
package func predict(_ scenario: Scenario) -> [Outcome] {
    if let refusal = refusal(scenario) { return [refusal] }
    if let failure = failureWithoutHandshake(scenario) { return [failure] }
    let handshake = Acknowledgements(scenario)
    let outcomes = handshake.outcomes(scenario).map { handshake.complete($0, scenario) }
    return outcomes.flatMap { scenario.sendsStateUnexpected ? lostOnChannels($0) : [$0] }.map { done(to: $0, scenario) }
}

/// What it comes to after all that is done to the migration.
private func done(to outcome: Outcome, _ scenario: Scenario) -> Outcome {
    var outcome = outcome
    if let failure = scenario.failureAfterPause { outcome = ended(by: failure, outcome) }
    if let interruption = scenario.interruption { outcome = interrupted(interruption, outcome) }
    if let breakage = scenario.breakage { outcome = broken(by: breakage, outcome, scenario) }
    if let cancel = scenario.cancel { outcome = cancelled(cancel, scenario, outcome) }
    if let postcopy = scenario.postcopy { outcome = switched(to: postcopy, outcome, scenario) }
    if let sink = scenario.sink { outcome = sent(to: sink, outcome, scenario) }
    if let purpose = scenario.purpose { outcome = serving(purpose, outcome, scenario) }
    return outcome
}

/// What a side does not even begin.
private func refusal(_ scenario: Scenario) -> Outcome? {
    var refused = Outcome(.refused)
    for side in [scenario.destination, scenario.source] where side.capability && !side.hasSwitchoverAck {
        refused.words = "switchover-ack"
        return refused
    }
    // One device may lack P2P, several may not.
    if scenario.devices.count > 1, scenario.devices.contains(where: { !$0.hasP2P }) {
        refused.words = "Multiple VFIO devices migration is supported only if all of them support P2P migration"
        return refused
    }
    return nil
}

/// What fails whatever is acknowledged.
private func failureWithoutHandshake(_ scenario: Scenario) -> Outcome? {
    var failed = Outcome(.failed)
    if scenario.machinesDiffer {
        // The destination reads no further than the name of the machine.
        let nobody = scenario.users.map { _ in 0 }
        failed.requests = scenario.firstRequests
        (failed.countedIn, failed.approvals, failed.acksSent, failed.acksCounted) = (nobody, nobody, 0, 0)
        return failed
    }
    if scenario.estimate == .zero, !scenario.devices.isEmpty {
        failed.words = "Failed to allocate migration data buffer"
        return failed
    }
    return nil
}

/// How many ACKs there are, by the modes and the devices alone.
private struct Acknowledgements {
    /// By device: what the source collects, in per-device mode.
    let collected: [Int]
    /// By device: markers in the stream.
    let markers: [Int]
    /// Devices a legacy destination counts in.
    let counted: [Int]
    let approvals: [Int]
    let sent: Int
    /// The destination refuses a marker and ends.
    let isMarkerRefused: Bool
    /// It is of a device that cannot have one there.
    let isMarkerUnwanted: Bool

    init(_ scenario: Scenario) {
        let (source, destination) = (scenario.source, scenario.destination)
        let isPerDevice = source.mode == .perDevice
        let markers = scenario.users.map { user -> Int in
            guard source.capability, user.marks else { return 0 }
            return isPerDevice ? user.requests : 1
        }
        self.markers = markers
        collected = isPerDevice ? markers : markers.map { _ in 0 }
        let users = scenario.users.map { destination.capability && $0.isMarked ? 1 : 0 }
        let unwanted = zip(markers, users).contains { $0 > 0 && $1 == 0 }
        isMarkerUnwanted = unwanted
        guard destination.capability else {
            let nobody = users.map { _ in 0 }
            (counted, approvals, sent, isMarkerRefused) = (nobody, nobody, 0, unwanted)
            return
        }
        switch destination.mode {
        case .perDevice:
            counted = users.map { _ in 0 }
            approvals = zip(markers, users).map { $0 * $1 }
            sent = approvals.reduce(0, +)
            isMarkerRefused = unwanted
        case .legacy:
            counted = users
            let expected = users.reduce(0, +)
            let total = markers.reduce(0, +)
            // Its counter is at 0 when a marker too many comes.
            isMarkerRefused = unwanted || total > expected
            approvals = zip(markers, users).map { min($0, $1) }
            // Without users the one ACK answers OPEN_RETURN_PATH.
            sent = total >= expected || expected == 0 ? 1 : 0
        }
    }

    /// How it may end; counts come with `complete`.
    func outcomes(_ scenario: Scenario) -> [Outcome] {
        if isMarkerRefused { return [Outcome(.failed)] }
        // A source that fails may also reset the connection before the destination has read to the end.
        let split = Outcome(scenario.destination.startsPaused ? .wouldRunTwoGuests : .twoGuests)
        let source = scenario.source
        let awaited = source.mode == .legacy ? 1 : collected.reduce(0, +)
        // Only a source that counts notices that there was one too many.
        let underflows = source.knowsPerDevice && sent > awaited
        guard source.capability, scenario.guest == .running else {
            if scenario.guest == .reset { return [Outcome(.failed)] }
            if !scenario.converges { return [Outcome(.doesNotConverge)] }
            if isAskedLate(scenario) { return [Outcome(.failed)] }
            // It does not wait, and finds the error when all has been sent.
            return underflows ? [split, Outcome(.failed)] : [Outcome(.completed)]
        }
        if sent < awaited || scenario.starvesDevices { return [Outcome(.waitsForever)] }
        if underflows {
            switch scenario.race {
            case .natural: return [Outcome(.endlessAfterUnderflow), split, Outcome(.failed)]
            case .acksFirst: return [Outcome(.endlessAfterUnderflow)]
            case .decisionFirst: return [split]
            }
        }
        if !scenario.converges || scenario.requestsForever { return [Outcome(.doesNotConverge)] }
        if isAskedLate(scenario) { return [Outcome(.failed)] }
        return [Outcome(.completed)]
    }

    private func isAskedLate(_ scenario: Scenario) -> Bool { lateRequests(scenario).contains { $0 > 0 } }

    /// By device: the request of a REINIT that the check after the decision shows. Only a per-device source checks, and only devices
    /// with P2P (11.1.3). The requester's are those it makes in the final query.
    ///
    /// A device that was reset under the migration answers that check with an error, which counts as a request, too.
    private func lateRequests(_ scenario: Scenario) -> [Int] {
        guard scenario.source.mode == .perDevice, scenario.source.capability else { return collected.map { _ in 0 } }
        let devices = scenario.devices.indices.map { index in
            if scenario.guest == .reset { return min(collected[index], 1) }
            let device = scenario.devices[index]
            return scenario.late == .lastCheck && device.hasP2P && device.source == .reinit ? 1 : 0
        }
        return devices + (scenario.requester.map { [$0.late] } ?? [])
    }

    func complete(_ outcome: Outcome, _ scenario: Scenario) -> Outcome {
        var outcome = outcome
        // Who never decides, or is refused a marker before, makes no last check.
        let isChecked = outcome.ending == .failed && !isMarkerRefused
        let late = isChecked ? lateRequests(scenario) : collected.map { _ in 0 }
        if late.contains(where: { $0 > 0 }) {
            outcome.words = "Switchover ACK was requested by \(late.reduce(0, +)) devices during switchover"
        }
        // Whether a marker of a guest that never ran is still sent, and its ACK still read, depends on who is faster.
        if scenario.guest == .neverStarted { return outcome }
        // How many come is up to when it is broken off.
        if scenario.requestsForever { return outcome }
        if scenario.guest == .reset, scenario.source.mode == .legacy || !scenario.source.capability {
            outcome.words = "data_fd out of sync"
        }
        outcome.starves = scenario.starvesDevices
        outcome.requests = zip(collected, late).map { $0 + $1 }
        outcome.countedIn = counted
        if outcome.starves {
            outcome.approvals = counted.map { _ in 0 }
            (outcome.acksSent, outcome.acksCounted) = (0, 0)
            return outcome
        }
        // A refused marker, or a connection that was reset, ends the destination while others may be on their way.
        let awaited = scenario.source.mode == .legacy ? 1 : collected.reduce(0, +)
        let underflows = scenario.source.knowsPerDevice && sent > awaited
        // One of a REINIT is refused only after the ACK, which a gate keeps apart from it.
        let isApart = scenario.isGated && !isMarkerUnwanted
        if (isMarkerRefused && !isApart) || (underflows && outcome.ending == .failed) { return outcome }
        outcome.approvals = approvals
        outcome.acksSent = sent
        outcome.acksCounted = sent
        // The thread that reads the ACKs ends at the underflow.
        if underflows { outcome.acksCounted = awaited + 1 }
        outcome.isGating = scenario.isGated && scenario.source.capability && sent > 0 && outcome.ending == .completed
        return outcome
    }
}
