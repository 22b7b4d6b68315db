/// When a migration can never end by itself, proved from its state and then confirmed by a bounded number of further iterations.
///
/// Slow is not stuck: whatever may still happen (a marker not loaded, an approval or an ACK on its way, a device held at a gate, a
/// schedule not at its end, pending bytes that still fall) leaves it open, and says who owes the next step.
import MigrationTrace

/// How far the source has come since something last happened.
struct Progress: Sendable {
    /// All iterations.
    private(set) var iterations = 0
    /// Iterations since then, at which what is pending did not fall.
    private(set) var settled = 0
    /// PART and END sections begun so far, and how many by then.
    private(set) var sections = 0
    private(set) var sectionsThen = 0
    /// The least that was pending at the end of a step since then.
    private(set) var least: UInt64?
    private(set) var latest: UInt64?
    /// Of each kind of query the latest number and the least of all.
    private var seen: (estimate: (latest: UInt64, least: UInt64), exact: (latest: UInt64, least: UInt64)) = ((0, .max), (0, .max))
    private var fell = false
    /// Windows since something last happened in which the source asked exactly, having sent what the threshold asks of it, and found no
    /// less pending than ever before: as much had come up meanwhile. A guest that is faster than the link keeps that up.
    private(set) var rounds = 0
    /// The most of them in a row. They stand where less was found in one window since: a guest without a processor writes nothing.
    private(set) var roundsShown = 0
    private var hasFoundLess = (inWindow: false, before: false)
    private var askedInWindow = false
    /// Requests for an ACK of devices that re-initialised, since there is a threshold.
    private(set) var reinits = 0
    private var hasThreshold = false
    /// Lines are missing: sections cannot be compared with the other side's.
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
        if askedInWindow { rounds += 1 }
        askedInWindow = false
        hasFoundLess.before = hasFoundLess.before || hasFoundLess.inWindow
        hasFoundLess.inWindow = false
        guard rounds >= max(roundsShown, 1) else { return }
        roundsShown = rounds
        hasFoundLess.before = false
    }
    mutating func reinitialised() { if hasThreshold { reinits += 1 } }

    mutating func wroteSection() { sections += 1 }

    /// A step is over; its last query is the one that counts.
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
            // Of an estimate it is no more than that something was sent.
            let (rounds, shown) = (exact ? 0 : rounds, exact && hasFoundLess.before ? 0 : roundsShown)
            happened()
            (self.rounds, roundsShown) = (rounds, shown)
            if exact { hasFoundLess.inWindow = true }
        }
        askedInWindow = askedInWindow || exact
        let now = (latest: total, least: min(total, before.least))
        if exact { seen.exact = now } else { seen.estimate = now }
    }

    mutating func lose() { isComparable = false }
}

enum Wait: Hashable, Sendable {
    case proved(Verdict, String)
    /// What may still happen, or who owes the next step.
    case open(String)
}

/// The state of both sides, as far as they were fed.
struct EndlessProof {
    /// Iterations that confirm it.
    static let confirmations = 200
    /// Windows of 100 ms with an exact query that confirm it, where the link is the limit.
    static let roundConfirmations = 10
    /// Windows of 100 ms that confirm that a device gets no part of the link.
    static let windowConfirmations = 20
    /// REINITs that confirm that their stream ends no sooner than its script.
    static let reinitConfirmations = 50

    let source: SourceSide
    /// nil: its log is not there.
    let destination: DestinationSide?
    let sourceDevices: DeviceStreams
    let destinationDevices: DeviceStreams
    let capability: Bool?
    /// What is known from outside: see `Circumstances`.
    var reinitsForever = false
    var decidesBelowThreshold = false
    let armed: String?
    /// The migration goes on: what comes down is waited for. A log that is whole tells no more than it does.
    var isLive = false
    /// A user that is no VFIO device sends markers that have no lines.
    var hasRequester = false
    /// Nothing that the destination says arrives.
    var isOneWay = false
    /// The migration was cancelled afterwards: the destination's end follows from that.
    var wasCancelled = false

    func wait() -> Wait {
        guard source.hasBegun || source.last != nil else { return .open("the source's log is empty") }
        if let status = source.status.final { return .open("the source is \(status.rawValue)") }
        if let end = destinationEnd { return .open(end) }
        if let late = source.lateReturnPath, let joined = source.joinsReturnPath, source.returnPathEnd == nil {
            return waitToJoin(late.cancelled, late.opened, joined)
        }
        if let underflow = source.ledger.underflow, capability != false, guestRuns, source.switchover.decision == nil {
            // Whatever else happens: the counter stays.
            return confirmed(
                .endlessAfterUnderflow,
                "the source's counter underflowed to 4294967295 at \(underflow.place); it can never be 0 again while the guest runs",
                by: source.progress.iterations - source.iterationsAtUnderflow)
        }
        if source.status.status == .postcopyActive { return postcopyConvergence() }
        if isOneWay, let join = source.joinsReturnPath { return lastWord(join) }
        guard source.switchover.decision == nil else { return .open(afterDecision) }
        guard source.status.status == nil || source.status.status == .active else {
            return .open("the source is in \(source.status.status!.rawValue) and owes the next status")
        }
        if reinitsForever, capability == true, guestRuns, source.ledger.counts == true, source.ledger.mode == .perDevice, armed == nil {
            let proof = "a device re-initialises forever, each time before the source is free to decide"
            let reinits = source.progress.reinits
            guard reinits >= Self.reinitConfirmations else {
                return .open("\(proof); \(reinits) of \(Self.reinitConfirmations) REINITs since there is a threshold confirm it")
            }
            return .proved(.doesNotConverge, "\(proof) (\(reinits) REINITs since there is a threshold)")
        }
        return isMissingAnAck ? waitForAck() : convergence()
    }

    /// A destination that has failed closes the channel, which ends the source, too.
    private var destinationEnd: String? {
        if wasCancelled { return nil }
        if let destination, let ending = destination.ending, let final = destination.status.final, final != .completed {
            return "the destination \(final.rawValue) at \(ending.place); the source's next write fails"
        }
        guard let shut = source.shut, shut.value != 0, destination?.status.final == nil else { return nil }
        return "the destination said at \(shut.place) that it failed; it owes its end, and then the source's next write fails"
    }

    /// Each of three waits for the next: no iteration can confirm it, and none is needed.
    private func waitToJoin(_ cancelled: Place, _ opened: Place, _ joined: Place) -> Wait {
        guard let destination else { return .open("the destination, whose log is not there, owes the end of the return path") }
        // What the source wrote behind the PING may still be in its buffer: it is the beginning of a stream that has no fault.
        guard destination.pongs > 0 else { return .open("the destination has not answered the PING yet") }
        if let armed { return .open(armed) }
        return .proved(
            .waitsForever,
            "cancelled at \(cancelled), before the return path was opened at \(opened), so nobody shuts it down: since \(joined) the "
                + "source's "
                + "main thread waits for the return path's, that for the destination, and the destination for more of the stream")
    }

    private var guestRuns: Bool { source.guest.runs ?? true }
    private var isMissingAnAck: Bool { capability == true && guestRuns && source.ledger.missing > 0 && source.ledger.queries > 0 }

    private var afterDecision: String {
        switch source.status.status {
        case .device?, .preSwitchover?:
            "the source has decided to switch over, and owes its completion (status \(source.status.status!.rawValue))"
        case let status?: "the source has decided to switch over (status \(status.rawValue)), and owes the next step"
        case nil: "the source has decided to switch over, and owes its completion"
        }
    }

    private var rounds: Int { isLive ? source.progress.rounds : source.progress.roundsShown }

    // MARK: An ACK is missing

    private func waitForAck() -> Wait {
        let missing = source.ledger.missing
        let acks = count(missing, "ACK")
        if let end = source.returnPathEnd {
            return confirmed(
                .waitsForever, "\(acks) missing, and the return path ended \(end.text.isEmpty ? "" : end.text + " ")at \(end.place)")
        }
        if let device = source.devices.all.first(where: { $0.isSent == false && $0.enteredPrecopyAtSetup && !$0.isInPrecopy }) {
            return confirmed(
                .waitsForever, "\(acks) missing, and \(sourceName(device.name)) has left PRE_COPY, where alone its marker can be sent")
        }
        if let holder = holder { return .open(holder) }
        if let armed { return .open(armed) }
        if isOneWay { return confirmed(.waitsForever, "\(acks) missing, and nothing comes back through a pipe") }
        if let starved = starvation(acks) { return starved }
        for device in source.devices.all where device.isInPrecopy {
            if source.ledger.counts == true ? device.isSent == false : device.initialAtPartEnd != 0 {
                let left = device.initial.map { "\($0) left" } ?? "none of them sent"
                return .open("\(sourceName(device.name))'s initial bytes are not drained: \(left)")
            }
        }
        guard let destination else { return .open("the destination, whose log is not there, owes \(acks)") }
        if let owes = destinationOwes(destination) { return .open(owes) }
        if destination.sent > source.ledger.acks {
            return .open("the source has counted \(source.ledger.acks) of the \(destination.sent) ACKs sent")
        }
        let markers = source.devices.all.reduce(0) { $0 + $1.markers }
        let approvals = destination.devices.reduce(0) { $0 + $1.approvalCount }
        let marked =
            source.ledger.counts == true
            ? "\(markers) of \(count(markers, "marker")) approved" : "\(approvals) of \(count(approvals, "marker")) loaded approved"
        return confirmed(
            .waitsForever,
            "\(acks) missing, but \(marked), and \(source.ledger.acks) of \(count(destination.sent, "ACK")) sent counted: no further one "
                + "can come"
        )
    }

    /// RAM is sent first, and comes up again in each window as fast as the link carries it.
    private func starvation(_ acks: String) -> Wait? {
        let windows = source.starved.inARow
        guard windows > 1, rounds > 1,
            let device = source.devices.all.first(where: { $0.isInPrecopy && $0.initialAtPartEnd == nil })
        else { return nil }
        let proof =
            "\(acks) missing, and \(sourceName(device.name)) gets no part of the link for its initial bytes, since RAM uses up all of it"
        guard windows >= Self.windowConfirmations, rounds >= Self.roundConfirmations else {
            return .open("\(proof); \(windows) of \(Self.windowConfirmations) windows in a row confirm it")
        }
        return .proved(.waitsForever, "\(proof), and as much has come up again at the next query (\(windows) windows in a row)")
    }

    /// What the destination has yet to do with what was sent; nil: nothing.
    private func destinationOwes(_ destination: DestinationSide) -> String? {
        guard destination.pongs > 0, !destination.isOpeningReturnPath else {
            return "the destination has not opened the return path yet"
        }
        let markers = source.devices.all.reduce(0) { $0 + $1.markers }
        let loads = destination.devices.reduce(0) { $0 + $1.loadCount }
        if source.ledger.counts == true, markers > loads {
            return "the destination has loaded \(loads) of \(markers) markers, \(readSections(destination))"
        }
        // Up to 11.0 markers are not printed when they are written: all that was sent must have been read. A requester's never are, and may
        // be written some sections behind the query that collects its requests: half of the iterations that confirm it are their time.
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
            return .open("the source owes the end of its first window: there is no threshold yet")
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

    /// In postcopy only 0 is the end. The destination fetches what it needs, and the source sends the rest, as long as any is left.
    private func postcopyConvergence() -> Wait {
        guard let least = source.progress.least ?? source.progress.latest, least > 0 else { return .open(afterDecision) }
        if let holder { return .open(holder) }
        if let armed { return .open(armed) }
        return confirmed(
            .doesNotConverge, "the guest has been handed over, and at least \(least) bytes stay pending, where only 0 is the end")
    }

    /// The source, its guest stopped, has sent everything and waits for the destination's last word.
    private func lastWord(_ join: Place) -> Wait {
        if let armed { return .open(armed) }
        return .proved(.waitsForever, "all is sent, and the source waits for SHUT at \(join), but nothing comes back through a pipe")
    }

    // MARK: Words

    private func confirmed(_ verdict: Verdict, _ proof: String, by iterations: Int? = nil) -> Wait {
        let settled = iterations ?? source.progress.settled
        if settled >= Self.confirmations { return .proved(verdict, "\(proof) (\(settled) iterations since the last progress)") }
        if verdict == .doesNotConverge, rounds >= Self.roundConfirmations {
            return .proved(verdict, "\(proof), in each of \(rounds) windows in which the source sent what it could and asked anew")
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
                return "the \(side) holds device \(names?.idstr(of: device.name) ?? device.name) at gate \(hold.gate)"
            }
        }
        return nil
    }
}
