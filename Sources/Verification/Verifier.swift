/// Takes the typed events of one migration, one by one, and says at any time what is to be said of it.
///
/// Each stream is taken in its own order; the streams may be fed in any interleaving, a slice of each in turn or one after the other,
/// and the judgement is the same. State is bounded whatever a log's length: a 20 MB/s endless log may be followed live. A new
/// `setup` status begins a new migration on its side, so what is judged is the last one.
import MigrationTrace

public struct Verifier: Sendable {
    /// Which sides' logs there are.
    public enum Sides: String, CaseIterable, Hashable, Sendable {
        case source
        case destination
        case both
    }

    private let circumstances: Circumstances
    private let sides: Sides
    private var source: SourceSide
    private var destination: DestinationSide
    private var sourceDevices = DeviceStreams()
    private var destinationDevices = DeviceStreams()
    private var deviceBreaches = Breaches()
    private var destinationDeviceBreaches = Breaches()
    private var lastOfDevices: (source: (event: Event, line: Int)?, destination: (event: Event, line: Int)?)
    /// The source as it was when a wait of many iterations was broken off, by a stop of the guest, a cancel, or the end of the channel.
    private var brokenOff: SourceSide?

    public init(_ circumstances: Circumstances = .init(), sides: Sides = .both) {
        self.circumstances = circumstances
        self.sides = sides
        source = SourceSide(circumstances)
        destination = DestinationSide(circumstances)
    }

    /// The next event of the place's stream.
    public mutating func take(_ event: Event, at place: Place) {
        switch place.stream {
        case .source:
            if endsAWait(event) { brokenOff = source }
            source.take(event, at: place)
        case .destination: destination.take(event, at: place)
        case .sourceDevices:
            let spot = Spot(
                place: place, event: event, before: lastOfDevices.source?.event, beforeLine: lastOfDevices.source?.line ?? 0)
            sourceDevices.take(event, at: spot, &deviceBreaches)
            lastOfDevices.source = (event, place.line)
        case .destinationDevices:
            let spot = Spot(
                place: place, event: event, before: lastOfDevices.destination?.event, beforeLine: lastOfDevices.destination?.line ?? 0)
            destinationDevices.take(event, at: spot, &destinationDeviceBreaches)
            lastOfDevices.destination = (event, place.line)
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
    public mutating func gap(in stream: StreamName) {
        switch stream {
        case .source: source.lose()
        case .destination: destination.lose()
        case .sourceDevices: sourceDevices.lose()
        case .destinationDevices: destinationDevices.lose()
        }
    }

    /// The stream's last line, at this place, is not whole.
    public mutating func cut(at place: Place) {
        switch place.stream {
        case .source: source.cut(at: place)
        case .destination: destination.cut(at: place)
        case .sourceDevices, .destinationDevices: gap(in: place.stream)
        }
    }

    /// A new process of this side writes the stream from here on.
    public mutating func restart(_ stream: StreamName) {
        switch stream {
        case .source: source.restart()
        case .destination: destination.restart()
        case .sourceDevices, .destinationDevices: gap(in: stream)
        }
    }

    /// What is to be said of what was taken so far.
    public func judgement() -> Judgement {
        let capability = capability
        let wait = proof(of: source, armed: circumstances.armed).wait()
        let ending = Ending(
            sides: sides, source: source, destination: destination, wait: wait, destinationWasKilled: circumstances.destinationWasKilled,
            brokenOff: provedBefore)
        var findings = breaches(capability).map(\.finding)
        if sides != .destination {
            findings += decision(capability)
            findings += unnoticed(capability)
        }
        if sides == .both {
            let isStuck = if case .proved = wait { true } else { false }
            findings += Crossing(source: source, destination: destination, capability: capability, isStuck: isStuck).findings
        }
        findings += ending.findings
        return Judgement(
            verdict: ending.verdict, reason: ending.reason, findings: findings.map(named).sorted(by: precedes),
            handshake: Handshake(source: source.account, destination: destination.account))
    }

    /// The proof that the migration can never end by itself, confirmed by 200 iterations after everything was settled; nil while it may
    /// still move. `armed`: what may still happen by itself, in words; nil: nothing.
    public func endlessProof(armed: String?) -> (verdict: Verdict, proof: String)? {
        guard sides != .destination, case .proved(let verdict, let text) = proof(of: source, armed: armed).wait() else { return nil }
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
            destinationDevices: destinationDevices, capability: capability, armed: armed, isOneWay: circumstances.isOneWay,
            wasCancelled: wasCancelled)
    }

    /// What was proved when the wait was broken off. What a gate released only then would show in the other side's counts.
    private var provedBefore: (verdict: Verdict, proof: String, at: Spot)? {
        guard let brokenOff, let last = brokenOff.last, sides != .destination,
            case .proved(let verdict, let text) =
                proof(of: brokenOff, armed: circumstances.armed, wasCancelled: source.status.final == .cancelled).wait()
        else { return nil }
        return (verdict, text, Spot(place: last.place, event: last.event))
    }

    // MARK: Findings

    private func breaches(_ capability: Bool?) -> [Breach] {
        var all = deviceBreaches.all + destinationDeviceBreaches.all
        if sides != .destination { all += source.breaches.all }
        if sides != .source { all += destination.breaches.all }
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

    /// REINITs no query saw, and last checks that failed because the device was reset.
    private func unnoticed(_ capability: Bool?) -> [Finding] {
        var found: [Finding] = []
        if source.status.final == .completed, source.ledger.mode == .perDevice, capability == true {
            for device in sourceDevices.all {
                guard let reinit = device.unreportedReinit else { continue }
                found.append(
                    Finding(
                        rule: .unnoticedReinit, device: device.name,
                        found: "the device re-initialised, no query reported it, and the migration completed",
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
                        "the last check failed (ret \(check.result)) because the device was reset, and counts as a request that no REINIT made",
                    places: [check.spot.place, reset?.place].compactMap { $0 }, lastGood: check.spot.lastGood,
                    legal: "no reset between set-up and the last check"))
        }
        return found
    }

    private func named(_ finding: Finding) -> Finding {
        guard let device = finding.device else { return finding }
        var finding = finding
        switch finding.places[0].stream {
        case .source, .sourceDevices: finding.device = source.account.devices.idstr(of: device)
        case .destination, .destinationDevices: finding.device = destination.account.devices.idstr(of: device)
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
