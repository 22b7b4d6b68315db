/// Judges one migration from its typed events, which it is handed one by one; the judgement can be asked for at any time.
///
/// Each stream comes in its own order. The streams may come in any interleaving, a slice of each in turn or one after the other, and the
/// judgement is the same. The state is bounded, whatever the length of a log, so that an endless log of 20 MB/s can be followed live. The
/// status `setup` begins a new migration on its side, so the last migration is the one that is judged.
import MigrationTrace

package struct Verifier: Sendable {
    /// The sides that have a log.
    package enum Sides: String, CaseIterable, Hashable, Sendable {
        case source
        case destination
        case both
    }

    private var circumstances: Circumstances
    private let sides: Sides
    private var watched: WatchedSource
    private var destination: DestinationSide
    private var sourceDevices = DeviceStreams()
    private var destinationDevices = DeviceStreams()
    /// By stream: the names of the events in a log whose `-trace` patterns are not known. Without an entry all events were traced, as the
    /// harness does.
    private var traced: [StreamName: Set<String>] = [:]

    package init(_ circumstances: Circumstances = .init(), sides: Sides = .both) {
        self.circumstances = circumstances
        self.sides = sides
        watched = WatchedSource(circumstances)
        destination = DestinationSide(circumstances)
    }

    /// Joins two sides that were read each by itself; nil for a side without a log.
    init(_ circumstances: Circumstances, source: WatchedSource?, destination: DestinationSide?) {
        self.circumstances = circumstances
        sides = source == nil ? .destination : destination == nil ? .source : .both
        watched = source ?? WatchedSource(circumstances)
        self.destination = destination ?? DestinationSide(circumstances)
    }

    private var source: SourceSide { watched.side }
    private var brokenOff: SourceSide? { watched.brokenOff }

    /// Handles the next event of the place's stream.
    package mutating func handle(_ event: Event, at place: Place) {
        switch place.stream {
        case .source: watched.handle(event, at: place)
        case .destination: destination.handle(event, at: place)
        case .sourceDevices: sourceDevices.handle(event, at: place)
        case .destinationDevices: destinationDevices.handle(event, at: place)
        }
    }

    /// An unknown number of the stream's lines is missing here: ledgers that need each line begin anew.
    package mutating func gap(in stream: StreamName) {
        switch stream {
        case .source: watched.side.lose(isDeclared: true)
        case .destination: destination.lose(isDeclared: true)
        case .sourceDevices: sourceDevices.lose()
        case .destinationDevices: destinationDevices.lose()
        }
    }

    /// What has happened since `before` happens so many times more, and changes nothing but counters.
    mutating func repeatWhatHappened(_ times: Int, since before: Verifier) {
        watched.side.repeatWhatHappened(times, since: before.watched.side)
        destination.repeatWhatHappened(times, since: before.destination)
        sourceDevices.repeatWhatHappened(times, since: before.sourceDevices)
        destinationDevices.repeatWhatHappened(times, since: before.destinationDevices)
    }

    /// The stream's last line, at this place, is cut.
    package mutating func cut(at place: Place) {
        switch place.stream {
        case .source: watched.side.cut(at: place)
        case .destination: destination.cut(at: place)
        case .sourceDevices, .destinationDevices: gap(in: place.stream)
        }
    }

    /// Only events of these names can be expected in the stream, whose log somebody else has traced.
    package mutating func limit(_ stream: StreamName, to names: Set<String>) { traced[stream] = names }

    /// Adds what is known only after the migration has been driven to its end.
    package mutating func end(armed: String?, sourceProcess: SourceProcessEnd?, destinationWasKilled: Bool) {
        circumstances.armed = armed
        circumstances.sourceProcess = sourceProcess
        circumstances.destinationWasKilled = destinationWasKilled
    }

    /// A new process of this side writes the stream from here on.
    package mutating func restart(_ stream: StreamName) {
        switch stream {
        case .source: watched.side.restart()
        case .destination: destination.restart()
        case .sourceDevices, .destinationDevices: gap(in: stream)
        }
    }

    /// The judgement of the events so far.
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
            findings += failureFindings
            findings += source.devices.all.compactMap { device in
                sourceDevices.device(device.name).flatMap {
                    PrecopyAnswers.mismatch(of: device.name, printed: device.answers, answered: $0.answers)
                }
            }
        }
        if sides != .source { findings += loadFindings }
        if sides == .both {
            let isStuck = if case .proved = wait { true } else { false }
            let crossing = Crossing(
                source: source, destination: destination, capability: capability, requester: circumstances.requester, isStuck: isStuck)
            findings += crossing.findings
            findings += unloaded
            findings += unapproved
        }
        var unjudged = heldBack
        var (verdict, reason) = (ending.verdict, ending.reason)
        for finding in ending.findings {
            guard let cause = cause(against: finding, ending) else {
                findings.append(finding)
                continue
            }
            unjudged.add(cause, [finding.rule.id])
            verdict = .undecided
        }
        findings.removeAll { finding in
            guard let cause = missing(finding).first else { return false }
            unjudged.add(cause, [finding.rule.id])
            return true
        }
        for evidence in untraced(source, destination) {
            guard let stream = evidence.stream, let names = traced[stream], names.isDisjoint(with: evidence.names) else { continue }
            let rules = Rule.all.filter { $0.evidence.contains { !Set($0.names).isDisjoint(with: evidence.names) } }
            unjudged.add(.notTraced(stream, evidence.names[0]), rules.map(\.id))
        }
        unjudged.joinCauses()
        if verdict != ending.verdict { reason = "not enough of the logs to judge the end: \(ending.reason)" }
        return Judgement(
            verdict: verdict, reason: reason, findings: findings.map(named).sorted(by: precedes),
            handshake: Handshake(source: source, destination: destination), unjudged: unjudged.sorted(),
            omitted: omitted.filter { rule, _ in findings.contains { $0.rule.id == rule } })
    }

    /// The proof that the migration never ends by itself, confirmed by 200 iterations without progress; nil while something may still
    /// happen. `armed`: what the schedule or a device script will still do, in words; nil if nothing.
    package func endlessProof(armed: String?) -> (verdict: Verdict, proof: String)? {
        guard sides != .destination else { return nil }
        var proof = proof(of: source, armed: armed)
        proof.isLive = true
        guard case .proved(let verdict, let text) = proof.wait() else { return nil }
        return (verdict, text)
    }

    // MARK: What is known

    /// True if switchover-ack is known to be on: only then are there markers.
    private var capability: Bool? {
        if let known = source.showsCapability { return known }
        return destination.devices.contains { $0.loadCount > 0 } ? true : nil
    }

    private func proof(of source: SourceSide, armed: String?, wasCancelled: Bool = false) -> EndlessProof {
        var proof = EndlessProof(
            source: source, destination: sides == .source ? nil : destination, sourceDevices: sourceDevices,
            destinationDevices: destinationDevices, capability: capability, reinitsForever: circumstances.reinitsForever,
            decidesBelowThreshold: circumstances.decidesBelowThreshold == true, armed: armed, hasRequester: circumstances.requester != nil,
            isOneWay: circumstances.isOneWay,
            wasCancelled: wasCancelled)
        proof.isLive = circumstances.isLive
        return proof
    }

    /// What was proved when something from outside ended the wait. A call that a gate released only then would show in the other side's
    /// counts.
    private var provedBefore: (verdict: Verdict, proof: String, at: Spot)? {
        guard let brokenOff, let last = brokenOff.last, sides != .destination,
            case .proved(let verdict, let text) =
                proof(of: brokenOff, armed: circumstances.armed, wasCancelled: source.status.final == .cancelled).wait()
        else { return nil }
        return (verdict, text, last)
    }

    // MARK: What was not seen

    /// The events that were not traced and that the finding rests on.
    private func missing(_ finding: Finding) -> [Unjudged.Cause] {
        finding.evidence.compactMap { evidence in
            let stream = evidence.stream ?? finding.places.first?.stream ?? .source
            guard let names = traced[stream], names.isDisjoint(with: evidence.names) else { return nil }
            return .notSeen(stream, evidence.names[0])
        }
    }

    /// What keeps a finding about the end from being judged: an end that is not in the log, events that were not traced, or lines that are
    /// missing at the end.
    private func cause(against finding: Finding, _ ending: Ending) -> Unjudged.Cause? {
        guard !traced.isEmpty else { return nil }
        if finding.rule == .truncated { return .notEnded(finding.places[0].stream) }
        return missing(finding).first ?? ending.gapAtEnd(finding.rule).map { .linesMissing($0) }
    }

    private var heldBack: [Unjudged] {
        var found: [Unjudged] = []
        for reporter in [source.reporter, destination.reporter] {
            for (rule, gap) in reporter.heldBack.sorted(by: { $0.key.id < $1.key.id }) { found.add(.linesMissing(gap), [rule.id]) }
        }
        return found
    }

    /// By rule id: findings that were counted only.
    private var omitted: [String: Int] {
        [source.reporter, destination.reporter, sourceDevices.reporter, destinationDevices.reporter].reduce(into: [:]) { sums, reporter in
            for (rule, count) in reporter.omitted { sums[rule.id, default: 0] += count }
        }
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
            decision.missing != 0, decision.isKnown
        else { return [] }
        // The line of one ACK may be printed late, and be missing.
        if decision.missing == 1, decision.hasGapSince { return [] }
        // Up to 11.0 the one ACK may be among the missing lines.
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
                why = ", and the ACK never came"
            }
        }
        let pending = decision.missing < 0 ? "after its counter had underflowed" : "with \(count(decision.missing, "ACK")) pending"
        return [
            Finding(
                rule: .decisionAwaitsAcks, found: "the source decided to switch over \(pending)\(why)", places: places,
                lastGood: decision.spot.lastGood, legal: "iterations until every ACK is counted or the guest is stopped")
        ]
    }

    /// REINITs that no query reported (a rule of its own for devices without a last check), and last checks that failed because of a reset.
    private func unnoticed(_ capability: Bool?) -> [Finding] {
        var found: [Finding] = []
        if source.status.final == .completed, source.ledger.mode == .perDevice, capability == true {
            for device in sourceDevices.all {
                guard let reinit = device.unreportedReinit else { continue }
                let isUnchecked = lacksP2P(device) && source.devices.lastCheck(of: device.name) == nil
                let subject = isUnchecked ? "a device without a last check" : "the device"
                found.append(
                    Finding(
                        rule: isUnchecked ? .uncheckedDevice : .unnoticedReinit, device: device.name,
                        found: "\(subject) re-initialised and no query reported the REINIT, but the migration completed",
                        places: [reinit.place, source.ending?.place].compactMap { $0 }, lastGood: reinit.lastGood,
                        legal: "a query that reports the REINIT, and a new ACK, before the device stops"))
            }
        }
        for device in source.devices.all {
            guard let check = device.failedCheck, source.switchover.finalCollected > 0 || source.switchover.hasFinalError else { continue }
            let reset = sourceDevices.device(device.name)?.reset
            // Without a log of the device the errno tells: a device that was reset is in no PRE_COPY state, or has no session.
            guard reset != nil || (!sourceDevices.isPresent && meansNoSession(check.result)) else { continue }
            found.append(
                Finding(
                    rule: .resetWhileWaiting, device: device.name,
                    found:
                        "the last check failed (ret \(check.result)) because the device was reset, which counts as a request although "
                        + "there was no REINIT",
                    places: [check.spot.place, reset?.place].compactMap { $0 }, lastGood: check.spot.lastGood,
                    legal: "no reset between set-up and the last check"))
        }
        return found
    }

    /// By the abilities in the device's own log, else by those that QEMU logged.
    private func lacksP2P(_ device: DeviceStreams.Device) -> Bool {
        device.flags.map { $0 & 2 == 0 } ?? source.arcs.lacksP2P(device.name)
    }

    /// Devices whose data a completed destination did not write in full.
    private var unloaded: [Finding] {
        guard source.status.final == .completed, destination.status.final == .completed, let ending = destination.ending else { return [] }
        return destinationDevices.all.compactMap { device in
            guard let written = device.sessionBytes, let given = sourceDevices.device(device.name)?.sessionBytes, written != given else {
                return nil
            }
            return Finding(
                rule: .allLoaded, device: device.name,
                found: "\(given) bytes were read from the source's device, but \(written) were written to the destination's",
                places: [ending.place]
                    + [destinationDevices.reporter.last?.place].compactMap { $0 },
                lastGood: ending.lastGood, legal: "\(given) bytes written, or a failed load")
        }
    }

    /// A failed source whose guest keeps running must have its devices as they were.
    private var failureFindings: [Finding] {
        guard let final = source.status.final, final != .completed, source.guest.runs == true else { return [] }
        var found = resets(source.arcs, sourceDevices).map { device, reset in
            Finding(
                rule: .deviceKept, device: device, found: "the guest keeps running, but QEMU reset the device, which had refused a state",
                places: [reset.place, source.ending?.place].compactMap { $0 }, lastGood: reset.lastGood,
                legal: "the device's state from before the migration")
        }
        // Without run states, the log does not show which changes of state belong to the end of the program.
        for (device, state) in source.guest.isTraced ? source.devicesAtEnd.states : [] {
            guard let state, state != .running else { continue }
            found.append(
                Finding(
                    rule: .devicesRunOn, device: device, found: "the guest keeps running, but the device is in \(state.rawValue)",
                    places: [source.ending?.place].compactMap { $0 }, legal: "RUNNING"))
        }
        return found
    }

    /// The destination's devices must have the state that they were sent.
    private var loadFindings: [Finding] {
        var found: [Finding] = []
        if destination.status.final == .completed {
            found += resets(destination.arcs, destinationDevices).map { device, reset in
                Finding(
                    rule: .loadedStateKept, device: device,
                    found: "the destination completed, but QEMU reset the device, which had refused a state after its load",
                    places: [reset.place, destination.ending?.place].compactMap { $0 }, lastGood: reset.lastGood,
                    legal: "a failed load, with SHUT 1 on the return path")
            }
        }
        let names = destination.names
        for device in destinationDevices.all {
            let idstr = names.idstr(of: device.name)
            guard let loaded = destination.devices.first(where: { names.idstr(of: $0.name) == idstr }) else { continue }
            // Initial bytes of a REINIT that no query reported have no approval, which is the finding of another rule.
            let isUnnoticed = sourceDevices.device(device.name)?.unreportedReinit != nil
            let rounds = device.loadedInitial.dropLast(isUnnoticed ? 1 : 0)
            guard let early = Self.earlyApproval(loaded.approvals, rounds) else { continue }
            let (approval, initial) = (loaded.approvals[early.approval], device.loadedInitial[early.round])
            found.append(
                Finding(
                    rule: .approvalAfterInitial, device: device.name,
                    found:
                        "the destination approved marker \(early.approval + 1) after \(approval.bytes) bytes, but the initial bytes "
                        + "were complete only after \(initial.bytes)",
                    places: [approval.place, initial.place], legal: "the approval after \(initial.bytes) bytes"))
        }
        return found
    }

    /// The first approval that comes before the initial bytes of its round are complete.
    ///
    /// A device may re-initialise just when the last of its initial bytes has been read. The source then writes its marker, while the
    /// device regards the old round and the new one as one. That approval is early, but a later one, after the bytes, answers the REINIT.
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

    /// Markers that the destination read and never approved, while the source has gone on for long. The same thread approves a device as
    /// soon as it has read the marker. The end of somebody else's log may be cut.
    private var unapproved: [Finding] {
        guard traced.isEmpty, (brokenOff ?? source).progress.settled >= EndlessProof.confirmations else { return [] }
        return destination.devices.compactMap { device in
            guard let marker = device.marker else { return nil }
            return Finding(
                rule: .markerApproved, device: device.name,
                found: "the destination read marker \(device.loadCount) and never approved the device",
                places: [marker.place], lastGood: marker.lastGood, legal: "loadvm_approve_switchover right after the marker")
        }
    }

    /// Devices that QEMU reset in the migration, by the devices' log, else by QEMU's.
    private func resets(_ arcs: DeviceArcs, _ streams: DeviceStreams) -> [(device: String, spot: Spot)] {
        streams.isPresent ? streams.all.compactMap { device in device.lostByReset.map { (device.name, $0) } } : arcs.resets
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
        // A wrong sum says less than the line that makes it wrong, and the end of a log less than what broke before it.
        func rank(_ rule: Rule) -> Int { rule == .truncated ? 2 : Rule.ofSums.contains(rule) ? 1 : 0 }
        guard rank(a.rule) == rank(b.rule) else { return rank(a.rule) < rank(b.rule) }
        func key(_ finding: Finding) -> (Int, Int, String, String, String) {
            let place = finding.places.first ?? Place(stream: .source, line: 0)
            return (StreamName.allCases.firstIndex(of: place.stream)!, place.line, finding.rule.id, finding.device ?? "", finding.found)
        }
        return key(a) < key(b)
    }
}

/// EINVAL: the device is in no PRE_COPY state; ENODEV, EBADF, ENOTTY: it has no saving session.
private func meansNoSession(_ result: Int64) -> Bool { [-22, -19, -9, -25].contains(result) }
