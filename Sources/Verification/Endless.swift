/// The proof that a migration never ends by itself: it follows from the state of both sides, and a bounded number of further iterations
/// confirms it.
///
/// A slow migration is not stuck. As long as something may still happen (a marker not loaded yet, an approval or an ACK on its way, a
/// device held at a gate, a schedule not at its end, pending bytes that still fall), the proof is open, and names the side that owes the
/// next step.
import MigrationTrace

/// How far the source has come since something last happened.
struct Progress: Sendable {
    /// Iterations of the whole migration.
    private(set) var iterations = 0
    /// Iterations since something last happened in which the pending bytes did not fall.
    private(set) var settled = 0
    /// PART and END sections begun so far, and begun when something last happened.
    private(set) var sections = 0
    private(set) var sectionsThen = 0
    /// The fewest bytes pending at the end of a step since something last happened.
    private(set) var least: UInt64?
    /// Bytes pending by the latest query.
    private(set) var latest: UInt64?
    /// The latest and the lowest number of pending bytes, for each kind of query.
    private var seen: (estimate: (latest: UInt64, least: UInt64), exact: (latest: UInt64, least: UInt64)) = ((0, .max), (0, .max))
    /// The pending bytes fell in the step in progress.
    private var fell = false
    /// Windows since something last happened in which the source made an exact query, because its estimate fitted the threshold, and did
    /// not find fewer bytes pending than before: the guest had dirtied as many again. A guest that is faster than the link can go on like
    /// this.
    private(set) var rounds = 0
    /// The longest run of such windows. One later window with fewer bytes does not reset it, since a guest that gets no CPU dirties
    /// nothing.
    private(set) var roundsShown = 0
    private var hasFoundLess = (inWindow: false, before: false)
    private var hasExactQueryInWindow = false
    /// Requests after a REINIT since there is a threshold.
    private(set) var reinits = 0
    private var hasThreshold = false
    /// False after missing lines: the numbers of sections cannot be compared with the other side's.
    private(set) var isComparable = true

    mutating func happened() {
        settled = 0
        rounds = 0
        roundsShown = 0
        sectionsThen = sections
        least = nil
    }

    mutating func windowEnded() {
        hasThreshold = true
        if hasExactQueryInWindow { rounds += 1 }
        hasExactQueryInWindow = false
        hasFoundLess.before = hasFoundLess.before || hasFoundLess.inWindow
        hasFoundLess.inWindow = false
        guard rounds >= max(roundsShown, 1) else { return }
        roundsShown = rounds
        hasFoundLess.before = false
    }
    mutating func reinitialised() { if hasThreshold { reinits += 1 } }

    mutating func wroteSection() { sections += 1 }

    /// A step is over. Its last query is the one that counts.
    mutating func iterated() {
        iterations += 1
        if !fell { settled += 1 }
        fell = false
        if let latest { least = min(least ?? .max, latest) }
    }

    mutating func query(_ total: UInt64, exact: Bool) {
        latest = total
        let before = exact ? seen.exact : seen.estimate
        if total < before.latest { fell = true }
        if total < before.least {
            // A lower estimate only shows that something was sent.
            let (rounds, shown) = (exact ? 0 : rounds, exact && hasFoundLess.before ? 0 : roundsShown)
            happened()
            (self.rounds, roundsShown) = (rounds, shown)
            if exact { hasFoundLess.inWindow = true }
        }
        hasExactQueryInWindow = hasExactQueryInWindow || exact
        let now = (latest: total, least: min(total, before.least))
        if exact { seen.exact = now } else { seen.estimate = now }
    }

    /// Counts what has happened since `before` so many times more.
    mutating func repeatWhatHappened(_ times: Int, since before: Progress) {
        iterations += (iterations - before.iterations) * times
        settled += (settled - before.settled) * times
        sections += (sections - before.sections) * times
        rounds += (rounds - before.rounds) * times
        roundsShown += (roundsShown - before.roundsShown) * times
    }

    mutating func lose() { isComparable = false }
}

enum Wait: Hashable, Sendable {
    case proved(Verdict, String)
    /// What may still happen, or which side owes the next step.
    case open(String)
}

/// Looks for the proof in the state of both sides.
struct EndlessProof {
    /// Iterations that confirm a proof.
    static let confirmations = 200
    /// Windows of 100 ms with an exact query that confirm a proof if the link is the limit.
    static let roundConfirmations = 10
    /// Windows of 100 ms that confirm that a device cannot send its initial bytes.
    static let windowConfirmations = 20
    /// REINITs that confirm that a device's script re-initialises it without end.
    static let reinitConfirmations = 50

    let source: SourceSide
    /// nil without a log of the destination.
    let destination: DestinationSide?
    let sourceDevices: DeviceStreams
    let destinationDevices: DeviceStreams
    let capability: Bool?
    /// See `Circumstances` for these four.
    var reinitsForever = false
    var decidesBelowThreshold = false
    let armed: String?
    /// The migration is still running, so pending bytes that fall may fall further. A finished log cannot show more.
    var isLive = false
    /// True if a user that is no VFIO device takes part: its markers have no lines in the log.
    var hasRequester = false
    /// Nothing that the destination sends arrives.
    var isOneWay = false
    /// The migration was cancelled later, which explains the destination's end.
    var wasCancelled = false

    func wait() -> Wait {
        guard source.hasBegun || source.last != nil else { return .open("the source's log is empty") }
        if let status = source.status.final { return .open("the source is \(status.rawValue)") }
        if let end = destinationEnd { return .open(end) }
        if let late = source.lateReturnPath, let joined = source.joinsReturnPath, source.returnPathEnd == nil {
            return waitToJoin(late.cancelled, late.opened, joined)
        }
        if let underflow = source.ledger.underflow, capability != false, guestRuns, source.switchover.decision == nil {
            // Nothing that may still happen changes the counter.
            return confirmed(
                .endlessAfterUnderflow,
                "the source's counter underflowed to 4294967295 at \(underflow.place), and never becomes 0 again while the guest runs",
                by: source.progress.iterations - source.iterationsAtUnderflow)
        }
        if source.status.status == .postcopyActive { return postcopyConvergence() }
        if isOneWay, let join = source.joinsReturnPath { return waitForShut(join) }
        guard source.switchover.decision == nil else { return .open(afterDecision) }
        guard source.status.status == nil || source.status.status == .active else {
            return .open("the source is in \(source.status.status!.rawValue) and owes the next status")
        }
        if reinitsForever, capability == true, guestRuns, source.ledger.counts == true, source.ledger.mode == .perDevice, armed == nil {
            let proof = "a device re-initialises forever, each time before the source may decide"
            let reinits = source.progress.reinits
            guard reinits >= Self.reinitConfirmations else {
                return .open("\(proof); \(reinits) of \(Self.reinitConfirmations) REINITs since there is a threshold confirm it")
            }
            return .proved(.doesNotConverge, "\(proof) (\(reinits) REINITs since there is a threshold)")
        }
        return isMissingAnAck ? waitForAck() : convergence()
    }

    /// A destination that has failed closes the channel, which ends the source's migration, too.
    private var destinationEnd: String? {
        if wasCancelled { return nil }
        if let destination, let ending = destination.ending, let final = destination.status.final, final != .completed {
            return "the destination's status became \(final.rawValue) at \(ending.place), so the source's next write fails"
        }
        guard let shut = source.shut, shut.value != 0, destination?.status.final == nil else { return nil }
        return
            "the destination sent SHUT \(shut.value) (\(shut.place)) because its load failed; the destination owes its final status, "
            + "and then the source's next write fails"
    }

    /// Three threads wait for each other in a circle: no iteration can confirm that, and none needs to.
    private func waitToJoin(_ cancelled: Place, _ opened: Place, _ joined: Place) -> Wait {
        guard let destination else { return .open("the destination, which has no log here, owes the end of the return path") }
        // The destination has read the PING. Whatever follows may still be in the source's buffer, and is a correct beginning of a stream.
        guard destination.pongs > 0 else { return .open("the destination has not answered the PING yet") }
        if let armed { return .open(armed) }
        return .proved(
            .waitsForever,
            "the migration was cancelled at \(cancelled), before the return path was opened at \(opened), so nothing shuts the return path "
                + "down: since \(joined) the source's main thread waits for the return-path thread, the return-path thread for the "
                + "destination, and the destination for more of the stream")
    }

    private var guestRuns: Bool { source.guest.runs ?? true }
    private var isMissingAnAck: Bool { capability == true && guestRuns && source.ledger.missing > 0 && source.ledger.queries > 0 }

    private var afterDecision: String {
        switch source.status.status {
        case .device?, .preSwitchover?:
            "the source has decided to switch over, and owes the completion (status \(source.status.status!.rawValue))"
        case let status?: "the source has decided to switch over (status \(status.rawValue)), and owes the next step"
        case nil: "the source has decided to switch over, and owes the completion"
        }
    }

    private var rounds: Int { isLive ? source.progress.rounds : source.progress.roundsShown }

    // MARK: An ACK is missing

    private func waitForAck() -> Wait {
        let missing = source.ledger.missing
        let acks = count(missing, "ACK")
        let areMissing = "\(acks) \(missing == 1 ? "is" : "are") missing"
        if let end = source.returnPathEnd {
            return confirmed(
                .waitsForever, "\(areMissing), and the return path ended \(end.text.isEmpty ? "" : end.text + " ")at \(end.place)")
        }
        if let device = source.devices.all.first(where: { $0.markerIsWritten == false && $0.enteredPrecopyAtSetup && !$0.isInPrecopy }) {
            return confirmed(
                .waitsForever,
                "\(areMissing), and \(sourceName(device.name)) has left PRE_COPY, the only state in which its marker can be sent")
        }
        if let holder = holder { return .open(holder) }
        if let armed { return .open(armed) }
        if isOneWay { return confirmed(.waitsForever, "\(areMissing), and nothing comes back through a pipe") }
        if let starved = starvation(areMissing) { return starved }
        for device in source.devices.all where device.isInPrecopy {
            if source.ledger.counts == true ? device.markerIsWritten == false : device.initialAtSectionEnd != 0 {
                let left = device.initial.map { "it still has \($0) of them" } ?? "it has sent none"
                return .open("\(sourceName(device.name)) owes the rest of its initial bytes: \(left)")
            }
        }
        guard let destination else { return .open("the destination, which has no log here, owes \(acks)") }
        if let owes = destinationOwes(destination) { return .open(owes) }
        if destination.sent > source.ledger.acks {
            return .open("the source has counted \(source.ledger.acks) of the \(destination.sent) ACKs that the destination sent")
        }
        let markers = source.devices.all.reduce(0) { $0 + $1.markers }
        let approvals = destination.devices.reduce(0) { $0 + $1.approvalCount }
        let marked =
            source.ledger.counts == true
            ? "the destination approved all of \(count(markers, "marker"))"
            : "the destination approved all of \(count(approvals, "loaded marker"))"
        return confirmed(
            .waitsForever,
            "\(areMissing), but \(marked), and the source counted \(source.ledger.acks) of \(count(destination.sent, "ACK")) sent: no "
                + "further ACK can come"
        )
    }

    /// RAM is sent before the devices, and the guest dirties it in each window as fast as the link carries it.
    private func starvation(_ areMissing: String) -> Wait? {
        let windows = source.starved.inARow
        guard windows > 1, rounds > 1,
            let device = source.devices.all.first(where: { $0.isInPrecopy && $0.initialAtSectionEnd == nil })
        else { return nil }
        let proof =
            "\(areMissing), and \(sourceName(device.name)) cannot send its initial bytes, because RAM uses up the whole link"
        guard windows >= Self.windowConfirmations, rounds >= Self.roundConfirmations else {
            return .open("\(proof); \(windows) of \(Self.windowConfirmations) windows in a row confirm it")
        }
        return .proved(.waitsForever, "\(proof), and the guest has dirtied as much again by the next query (\(windows) windows in a row)")
    }

    /// What the destination still has to do with the data that was sent; nil if nothing.
    private func destinationOwes(_ destination: DestinationSide) -> String? {
        guard destination.pongs > 0, !destination.isOpeningReturnPath else {
            return "the destination has not opened the return path yet"
        }
        let markers = source.devices.all.reduce(0) { $0 + $1.markers }
        let loads = destination.devices.reduce(0) { $0 + $1.loadCount }
        if source.ledger.counts == true, markers > loads {
            return "the destination has loaded \(loads) of \(markers) markers and has \(readSections(destination))"
        }
        // A source up to 11.0 does not print its markers, so the destination must have read everything that was sent. The markers of a user
        // that is no VFIO device are never printed, and may be written some sections after the query that collects the requests: half of
        // the confirming iterations must pass first.
        let isSettling = hasRequester && source.progress.settled < Self.confirmations / 2
        let needed = hasRequester ? source.sectionsHalfway : source.progress.sectionsThen
        let isRead = !isSettling && destination.sections.count > needed && source.progress.isComparable && !destination.hasGaps
        if source.ledger.counts != true && !source.devices.all.isEmpty || hasRequester, !isRead {
            return "the destination has \(readSections(destination))"
        }
        for device in destination.devices where device.loadCount > device.approvalCount {
            return "the destination owes the approval of \(destination.names.idstr(of: device.name))"
        }
        return destination.awaitingAck.map { "the destination owes the ACK for the approval at \($0.spot.place)" }
    }

    private func readSections(_ destination: DestinationSide) -> String {
        "read \(destination.sections.count) of \(source.progress.sections) sections"
    }

    // MARK: No ACK is missing

    private func convergence() -> Wait {
        guard let threshold = source.threshold else {
            return .open("the source owes the end of its first window of 100 ms: there is no threshold yet")
        }
        let limit = UInt64(max(threshold, 0))
        guard let least = source.progress.least ?? source.progress.latest else { return .open("the source owes its first query") }
        guard decidesBelowThreshold ? least > 0 && least >= limit : least > limit else {
            return .open("the source owes the decision: \(least) bytes are pending, within the threshold of \(threshold)")
        }
        if let holder { return .open(holder) }
        if let armed { return .open(armed) }
        return confirmed(
            .doesNotConverge,
            "no ACK is missing, and at least \(least) bytes stay pending, \(least == limit ? "not below" : "over") the threshold of "
                + "\(threshold)"
        )
    }

    /// In postcopy the migration ends when 0 bytes are pending: the destination fetches the pages that it needs, and the source sends the
    /// rest.
    private func postcopyConvergence() -> Wait {
        guard let least = source.progress.least ?? source.progress.latest, least > 0 else { return .open(afterDecision) }
        if let holder { return .open(holder) }
        if let armed { return .open(armed) }
        return confirmed(
            .doesNotConverge, "the destination runs the guest, but at least \(least) bytes stay pending, and postcopy ends only at 0")
    }

    /// The source has stopped its guest, sent everything, and waits for SHUT.
    private func waitForShut(_ join: Place) -> Wait {
        if let armed { return .open(armed) }
        return .proved(.waitsForever, "the source has sent everything and waits for SHUT at \(join), but nothing comes back through a pipe")
    }

    // MARK: Words

    private func confirmed(_ verdict: Verdict, _ proof: String, by iterations: Int? = nil) -> Wait {
        let settled = iterations ?? source.progress.settled
        if settled >= Self.confirmations { return .proved(verdict, "\(proof) (\(settled) iterations since the last progress)") }
        if verdict == .doesNotConverge, rounds >= Self.roundConfirmations {
            return .proved(verdict, "\(proof), in each of \(rounds) windows in which the source sent what it could and queried again")
        }
        return .open("\(proof); \(settled) of \(Self.confirmations) iterations confirm it")
    }

    private func sourceName(_ device: String) -> String { source.names.idstr(of: device) }

    /// A call that is being held, on either side.
    private var holder: String? {
        for (side, devices) in [("destination", destinationDevices), ("source", sourceDevices)] {
            for device in devices.all {
                guard let hold = device.holds.first else { continue }
                let names = side == "source" ? source.names : destination?.names
                return "a call of the \(side)'s device \(names?.idstr(of: device.name) ?? device.name) is held at gate \(hold.gate)"
            }
        }
        return nil
    }
}
