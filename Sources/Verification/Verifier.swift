/// Receives the typed events of one migration, one by one, and has its judgement at any time.
///
/// Each stream is taken in its own order; the streams may be fed in any interleaving, a slice of each in turn or one after the other,
/// and the judgement is the same. State is bounded whatever a log's length: a 20 MB/s endless log may be followed live. A new
/// `setup` status begins a new migration on its side, so what is judged is the last one.
import MigrationTrace

package struct Verifier: Sendable {
    /// Which sides' logs there are.
    package enum Sides: String, CaseIterable, Hashable, Sendable {
        case source
        case destination
        case both
    }

    private var circumstances: Circumstances
    private let sides: Sides
    private var source: SourceSide
    private var destination: DestinationSide
    private var sourceDevices = DeviceStreams()
    private var destinationDevices = DeviceStreams()
    /// The source as it was when a wait of many iterations was broken off, by a stop of the guest, a cancel, or the end of the channel.
    private var brokenOff: SourceSide?

    package init(_ circumstances: Circumstances = .init(), sides: Sides = .both) {
        self.circumstances = circumstances
        self.sides = sides
        source = SourceSide(circumstances)
        destination = DestinationSide(circumstances)
    }

    /// The next event of the place's stream.
    package mutating func handle(_ event: Event, at place: Place) {
        switch place.stream {
        case .source:
            if endsAWait(event) { brokenOff = source }
            source.handle(event, at: place)
        case .destination: destination.handle(event, at: place)
        case .sourceDevices: sourceDevices.handle(event, at: place)
        case .destinationDevices: destinationDevices.handle(event, at: place)
        }
    }

    private mutating func endsAWait(_ event: Event) -> Bool {
        switch event {
        case .migrateSetState(.setup): brokenOff = nil
        case .migrationThreadLowPending, .migrationCancel, .migrateSetState, .runstateSet, .vmStateNotify, .vfioVMStateChangePrepare,
            .sourceReturnPathThreadShut, .sourceReturnPathThreadBadEnd, .sourceReturnPathThreadEnd:
            return source.switchover.decision == nil && source.isLongUnchanged
        default: break
        }
        return false
    }

    /// Lines of the stream are missing here, nobody knows how many: accounts that need each line begin anew.
    package mutating func gap(in stream: StreamName) {
        switch stream {
        case .source: source.lose()
        case .destination: destination.lose()
        case .sourceDevices: sourceDevices.lose()
        case .destinationDevices: destinationDevices.lose()
        }
    }

    /// The stream's last line, at this place, is not whole.
    package mutating func cut(at place: Place) {
        switch place.stream {
        case .source: source.cut(at: place)
        case .destination: destination.cut(at: place)
        case .sourceDevices, .destinationDevices: gap(in: place.stream)
        }
    }

    /// What is known only when the driving has ended.
    package mutating func end(armed: String?, sourceProcess: SourceProcessEnd?, destinationWasKilled: Bool) {
        circumstances.armed = armed
        circumstances.sourceProcess = sourceProcess
        circumstances.destinationWasKilled = destinationWasKilled
    }

    /// A new process of this side writes the stream from here on.
    package mutating func restart(_ stream: StreamName) {
        switch stream {
        case .source: source.restart()
        case .destination: destination.restart()
        case .sourceDevices, .destinationDevices: gap(in: stream)
        }
    }

    /// The judgement of the events received so far.
    package func judgement() -> Judgement {
        let capability = capability
        let wait = proof(of: source, armed: circumstances.armed).wait()
        let ending = Ending(
            sides: sides, source: source, destination: destination, wait: wait, sourceProcess: circumstances.sourceProcess,
            destinationWasKilled: circumstances.destinationWasKilled, brokenOff: provedBefore)
        var findings = breaches(capability).map(\.finding)
        if sides != .destination {
            findings += decision(capability)
            findings += unnoticed(capability)
            findings += ofFailure
        }
        if sides != .source { findings += ofLoad }
        if sides == .both {
            let isStuck = if case .proved = wait { true } else { false }
            let crossing = Crossing(
                source: source, destination: destination, capability: capability, requester: circumstances.requester, isStuck: isStuck)
            findings += crossing.findings
            findings += unloaded
        }
        findings += ending.findings
        return Judgement(
            verdict: ending.verdict, reason: ending.reason, findings: findings.map(named).sorted(by: precedes),
            handshake: Handshake(source: source, destination: destination))
    }

    /// The proof that the migration can never end by itself, confirmed by 200 iterations after everything was settled; nil while it may
    /// still move. `armed`: what may still happen by itself, in words; nil: nothing.
    package func endlessProof(armed: String?) -> (verdict: Verdict, proof: String)? {
        guard sides != .destination else { return nil }
        var proof = proof(of: source, armed: armed)
        proof.isLive = true
        guard case .proved(let verdict, let text) = proof.wait() else { return nil }
        return (verdict, text)
    }

    // MARK: What is known

    /// Markers can only come of a capability that is on.
    private var capability: Bool? {
        if let known = source.showsCapability { return known }
        return destination.devices.contains { $0.loadCount > 0 } ? true : nil
    }

    private func proof(of source: SourceSide, armed: String?, wasCancelled: Bool = false) -> EndlessProof {
        EndlessProof(
            source: source, destination: sides == .source ? nil : destination, sourceDevices: sourceDevices,
            destinationDevices: destinationDevices, capability: capability, reinitsForever: circumstances.reinitsForever,
            decidesBelowThreshold: circumstances.decidesBelowThreshold == true, armed: armed, hasRequester: circumstances.requester != nil,
            isOneWay: circumstances.isOneWay,
            wasCancelled: wasCancelled)
    }

    /// What was proved when the wait was broken off. What a gate released only then would show in the other side's counts.
    private var provedBefore: (verdict: Verdict, proof: String, at: Spot)? {
        guard let brokenOff, let last = brokenOff.last, sides != .destination,
            case .proved(let verdict, let text) =
                proof(of: brokenOff, armed: circumstances.armed, wasCancelled: source.status.final == .cancelled).wait()
        else { return nil }
        return (verdict, text, last)
    }

    // MARK: Findings

    private func breaches(_ capability: Bool?) -> [Breach] {
        var all = sourceDevices.reporter.breaches + destinationDevices.reporter.breaches
        if sides != .destination { all += source.reporter.breaches }
        if sides != .source { all += destination.reporter.breaches }
        return all.filter { breach in
            let isSource = breach.finding.places[0].stream == .source
            return switch breach.condition {
            case .always: true
            case .capabilityOn: capability == true
            case .capabilityOff: (isSource ? circumstances.sourceCapability : circumstances.destinationCapability) == false
            }
        }
    }

    private func decision(_ capability: Bool?) -> [Finding] {
        guard let decision = source.switchover.decision, capability == true, decision.guestRan == true, decision.guestIsCertain,
            decision.missing != 0
        else { return [] }
        // Up to 11.0 the one ACK may be among missing lines.
        if source.ledger.counts != true, source.hasGaps { return [] }
        var places = [decision.spot.place]
        var why = ""
        if decision.missing == 1 {
            if let refuted = decision.refuted {
                places.append(refuted.place)
                why = ": \(refuted.why) (line \(refuted.place.line))"
            } else if decision.acksAfter > 0 || source.status.final == nil {
                return []
            } else {
                why = ", and it never came"
            }
        }
        let pending = decision.missing < 0 ? "after the counter underflowed" : "with \(count(decision.missing, "ACK")) pending"
        return [
            Finding(
                rule: .decisionAwaitsAcks, found: "the source decided to switch over \(pending)\(why)", places: places,
                lastGood: decision.spot.lastGood, legal: "to iterate until every ACK is counted, or the guest is stopped")
        ]
    }

    /// REINITs no query saw, of devices without a last check apart, and last checks that failed because the device was reset.
    private func unnoticed(_ capability: Bool?) -> [Finding] {
        var found: [Finding] = []
        if source.status.final == .completed, source.ledger.mode == .perDevice, capability == true {
            for device in sourceDevices.all {
                guard let reinit = device.unreportedReinit else { continue }
                let isUnchecked = lacksP2P(device) && source.devices.lastCheck(of: device.name) == nil
                let why = isUnchecked ? "an unchecked device" : "the device"
                found.append(
                    Finding(
                        rule: isUnchecked ? .uncheckedDevice : .unnoticedReinit, device: device.name,
                        found: "\(why) re-initialised, no query reported it, and the migration completed",
                        places: [reinit.place, source.ending?.place].compactMap { $0 }, lastGood: reinit.lastGood,
                        legal: "a query that reports the REINIT, and a new ACK, before the device stops"))
            }
        }
        for device in source.devices.all {
            guard let check = device.failedCheck, source.switchover.finalCollected > 0 || source.switchover.saysFinalError else { continue }
            let reset = sourceDevices.device(device.name)?.reset
            // Without the device's own stream the errno tells: a device that was reset is in no PRE_COPY state, or has no session.
            guard reset != nil || (!sourceDevices.isPresent && meansNoSession(check.result)) else { continue }
            found.append(
                Finding(
                    rule: .resetWhileWaiting, device: device.name,
                    found:
                        "the last check failed (ret \(check.result)) because the device was reset, and counts as a request that no "
                        + "REINIT made",
                    places: [check.spot.place, reset?.place].compactMap { $0 }, lastGood: check.spot.lastGood,
                    legal: "no reset between set-up and the last check"))
        }
        return found
    }

    /// By the device's own abilities, or by what QEMU found them to be.
    private func lacksP2P(_ device: DeviceStreams.Device) -> Bool {
        device.flags.map { $0 & 2 == 0 } ?? source.arcs.lacksP2P(device.name)
    }

    /// Devices whose data the destination did not write, though it completed.
    private var unloaded: [Finding] {
        guard source.status.final == .completed, destination.status.final == .completed, let ending = destination.ending else { return [] }
        return destinationDevices.all.compactMap { device in
            guard let written = device.sessionBytes, let given = sourceDevices.device(device.name)?.sessionBytes, written != given else {
                return nil
            }
            return Finding(
                rule: .allLoaded, device: device.name, found: "the source's device gave \(given) bytes, \(written) were written",
                places: [ending.place]
                    + [destinationDevices.reporter.last?.place].compactMap { $0 },
                lastGood: ending.lastGood, legal: "\(given) bytes written, or a load that fails")
        }
    }

    /// Whether the source's guest runs on with what it had.
    private var ofFailure: [Finding] {
        guard let final = source.status.final, final != .completed, source.guest.runs == true else { return [] }
        var found = resets(source.arcs, sourceDevices).map { device, reset in
            Finding(
                rule: .deviceKept, device: device, found: "the guest runs on, with a device that was reset when it refused a state",
                places: [reset.place, source.ending?.place].compactMap { $0 }, lastGood: reset.lastGood,
                legal: "the state the device had, or another way back to it")
        }
        // Without run states the log does not tell what is done to the devices when the program is taken down.
        for (device, state) in source.guest.isTraced ? source.devicesAtEnd.states : [] {
            guard let state, state != .running else { continue }
            found.append(
                Finding(
                    rule: .devicesRunOn, device: device, found: "the guest runs on, with a device in \(state.rawValue)",
                    places: [source.ending?.place].compactMap { $0 }, legal: "RUNNING"))
        }
        return found
    }

    /// Whether the destination's devices have what they were sent.
    private var ofLoad: [Finding] {
        var found: [Finding] = []
        if destination.status.final == .completed {
            found += resets(destination.arcs, destinationDevices).map { device, reset in
                Finding(
                    rule: .loadedStateKept, device: device,
                    found: "the destination completed, with a device that was reset when it refused a state after its load",
                    places: [reset.place, destination.ending?.place].compactMap { $0 }, lastGood: reset.lastGood,
                    legal: "a failed load, with SHUT 1 on the return path")
            }
        }
        let names = destination.names
        for device in destinationDevices.all {
            let idstr = names.idstr(of: device.name)
            guard let loaded = destination.devices.first(where: { names.idstr(of: $0.name) == idstr }) else { continue }
            // Initial bytes that nobody knew of have no approval: that is another rule's finding.
            let isUnnoticed = sourceDevices.device(device.name)?.unreportedReinit != nil
            let rounds = device.loadedInitial.dropLast(isUnnoticed ? 1 : 0)
            guard let early = Self.earlyApproval(loaded.approvals, rounds) else { continue }
            let (approval, initial) = (loaded.approvals[early.approval], device.loadedInitial[early.round])
            found.append(
                Finding(
                    rule: .approvalAfterInitial, device: device.name,
                    found:
                        "approval \(early.approval + 1) came after \(approval.bytes) bytes, the initial bytes were complete after "
                        + "\(initial.bytes)",
                    places: [approval.place, initial.place], legal: "the approval behind \(initial.bytes) bytes"))
        }
        return found
    }

    /// An approval ahead of the initial bytes of its round.
    ///
    /// Where a device re-initialises just when it has given the last of its initial bytes, the source has them and writes its marker, while
    /// to the device the old round and the new one are one: that approval is ahead, but the REINIT is answered by another, behind the
    /// bytes.
    static func earlyApproval(
        _ approvals: [MarkerPoint], _ rounds: ArraySlice<(bytes: UInt64, place: Place)>
    ) -> (approval: Int, round: Int)? {
        var round = 0
        for (number, approval) in approvals.enumerated() {
            let first = round
            while round < rounds.count, rounds[round].bytes <= approval.bytes { round += 1 }
            guard round == first, round < rounds.count, approvals.last!.bytes < rounds[round].bytes else { continue }
            return (number, round)
        }
        return nil
    }

    /// Devices that QEMU reset in the migration, by its own log or by the devices'.
    private func resets(_ arcs: DeviceArcs, _ streams: DeviceStreams) -> [(device: String, spot: Spot)] {
        streams.isPresent ? streams.all.compactMap { device in device.resetForRefusal.map { (device.name, $0) } } : arcs.resets
    }

    private func named(_ finding: Finding) -> Finding {
        guard let device = finding.device else { return finding }
        var finding = finding
        switch finding.places[0].stream {
        case .source, .sourceDevices: finding.device = source.names.idstr(of: device)
        case .destination, .destinationDevices: finding.device = destination.names.idstr(of: device)
        }
        return finding
    }

    private func precedes(_ a: Finding, _ b: Finding) -> Bool {
        // Sums that do not come out say less than the lines that make them so.
        let (first, second) = (Rule.ofSums.contains(a.rule), Rule.ofSums.contains(b.rule))
        guard first == second else { return second }
        func key(_ finding: Finding) -> (Int, Int, String, String, String) {
            let place = finding.places.first ?? Place(stream: .source, line: 0)
            return (StreamName.allCases.firstIndex(of: place.stream)!, place.line, finding.rule.id, finding.device ?? "", finding.found)
        }
        return key(a) < key(b)
    }
}

/// EINVAL: in no PRE_COPY state; ENODEV, EBADF, ENOTTY: no saving session.
private func meansNoSession(_ result: Int64) -> Bool { [-22, -19, -9, -25].contains(result) }
