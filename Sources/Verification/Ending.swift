/// How the migration ended, concluded from the final statuses and from which guests run, and the findings about that end.
import MigrationTrace

struct Ending {
    let sides: Verifier.Sides
    let source: SourceSide
    let destination: DestinationSide
    let wait: Wait
    /// Set if the source's process is gone.
    let sourceProcess: SourceProcessEnd?
    let destinationWasKilled: Bool
    /// What was proved before something from outside ended the wait.
    let brokenOff: (verdict: Verdict, proof: String, at: Spot)?

    private(set) var verdict = Verdict.undecided
    private(set) var reason = ""
    private(set) var findings: [Finding] = []

    init(
        sides: Verifier.Sides, source: SourceSide, destination: DestinationSide, wait: Wait, sourceProcess: SourceProcessEnd?,
        destinationWasKilled: Bool,
        brokenOff: (verdict: Verdict, proof: String, at: Spot)?
    ) {
        self.sides = sides
        self.source = source
        self.destination = destination
        self.wait = wait
        self.sourceProcess = sourceProcess
        self.destinationWasKilled = destinationWasKilled
        self.brokenOff = brokenOff
        switch sides {
        case .destination: judgeDestination()
        case .source, .both: judgeSource()
        }
    }

    /// The place of missing lines that a finding about the end rests on; nil if there are none.
    func gapAtEnd(_ rule: Rule) -> Place? {
        let (from, to) = (source.last?.place, destination.last?.place)
        switch rule {
        case .aGuest, .resumesOnFailure:
            if source.guest.isUncertain { return source.guest.place ?? from }
            guard sides == .both, !destinationWasKilled else { return nil }
            // A destination whose end is not seen may run the guest.
            if destination.guest.isUncertain || destination.status.final == nil { return destination.guest.place ?? to }
        case .oneGuest:
            if source.guest.isUncertain { return source.guest.place ?? from }
            if destination.guest.isUncertain { return destination.guest.place ?? to }
        case .ends, .converges:
            if source.hasGaps { return from }
            if sides == .both, destination.hasGaps { return to }
        default: break
        }
        return nil
    }

    // MARK: Guests

    /// True if the source's guest runs. If the log has no run states, this follows from what a failed source does (10.0 to 11.1): the guest
    /// keeps running unless it was stopped before, or its disks could not be activated again.
    private var sourceRuns: Bool {
        if let runs = source.guest.runs, source.guest.isTraced || source.status.final != .completed { return runs }
        guard source.status.final != .completed else { return false }
        if let state = source.guest.globalState { return state == RunState.running.rawValue && source.blocksActivated }
        return source.switchover.decision == nil || source.switchover.decision?.guestRan != false
    }

    /// True if the source's guest is stopped on request, or was stopped before the migration.
    private var sourceIsKept: Bool {
        source.guest.isPausedByChoice || source.guest.wasPausedBefore
            || source.guest.globalState.map { $0 != RunState.running.rawValue } == true
    }

    private var destinationRuns: Bool {
        if destinationWasKilled { return false }
        if let runs = destination.guest.runs { return runs }
        // The devices' callbacks would show it.
        guard destination.devices.isEmpty else { return false }
        return destination.status.final == .completed && destination.guest.globalState == RunState.running.rawValue
    }

    private var destinationLoadedAll: Bool {
        destination.status.final == .completed || destination.hasTakenOver || destination.status.status == .colo
    }

    // MARK: With the source's log

    private mutating func judgeSource() {
        // Only a destination that runs the guest has taken it over.
        if let runs = source.runsAfterHandover, sides == .source || destination.hasTakenOver {
            findings.append(
                Finding(
                    rule: .resumesOnFailure, found: "the source's guest runs again after the destination was told to run it",
                    places: [runs.place, source.runWasSent].compactMap { $0 }, lastGood: runs.lastGood, legal: "a stopped guest"))
        }
        if let brokenOff, source.status.final != nil {
            findings.append(
                Finding(
                    rule: brokenOff.verdict == .doesNotConverge ? .converges : .ends,
                    found: "until something from outside ended the wait: \(brokenOff.proof)",
                    places: [brokenOff.at.place, source.ending?.place].compactMap { $0 }, legal: "a migration that ends by itself"))
        }
        switch source.status.status {
        case .postcopyPaused?: return judgePaused()
        case .colo?:
            verdict = .replicates
            reason = "the source has entered COLO\(source.arrival.map { " at \($0.place)" } ?? "")"
            return
        default: break
        }
        guard let ending = source.ending, let final = source.status.final else {
            if let sourceProcess { return judgeGone(sourceProcess) }
            return judgeUnfinished()
        }
        let closing = "the source \(said(final)) at \(ending.place)"
        if let brokenOff, final != .completed, source.switchover.decision == nil {
            verdict = brokenOff.verdict
            reason = "\(brokenOff.proof); something from outside ended the wait: \(closing)"
        } else {
            final == .completed ? judgeCompleted(ending, closing) : judgeFailed(ending, closing)
        }
    }

    private func said(_ status: MigrationStatus) -> String {
        switch status {
        case .failed: source.error.map { "failed ('\($0.text)', \($0.place))" } ?? "failed"
        case .cancelled: "was cancelled"
        default: status.rawValue
        }
    }

    /// The source's process ended before its migration did, so the source does not run the guest any more.
    private mutating func judgeGone(_ end: SourceProcessEnd) {
        reason = "the source's process " + (end == .killed ? "was killed" : "ended by itself")
        if sides == .both, destination.status.final == .completed {
            verdict = .completed
            reason += ", and the destination completed at \(destination.ending!.place)" + (destinationRuns ? "" : ", paused")
            return
        }
        verdict = .noGuest
        reason += " and its guest with it, and no other side runs the guest"
        // A kill from outside ends the guest, too. A source that ends by itself takes a running guest down, which is its fault.
        guard end == .byItself, let last = source.last else { return }
        findings.append(
            Finding(
                rule: .aGuest, found: reason, places: [last.place], lastGood: last.asLastGood,
                legal: "a source whose guest keeps running"))
    }

    /// Postcopy is paused: the source waits for a recovery, and keeps the pages that the destination lacks.
    private mutating func judgePaused() {
        let arrival = source.arrival ?? source.last!
        let paused = "postcopy is paused at \(arrival.place)\(source.error.map { " ('\($0.text)', \($0.place))" } ?? "")"
        guard sides == .both else { return rest(.paused, paused) }
        switch (destination.status.final, destination.status.status) {
        case _ where destinationWasKilled:
            rest(
                .noGuest,
                paused + ", and the destination, which \(destination.hasTakenOver ? "ran" : "had not started") the guest, was killed")
            noGuest(arrival)
        case _ where destination.failedLoad != nil || destination.status.final == .failed:
            rest(.noGuest, paused + ", and the destination failed\(destination.error.map { " ('\($0.text)')" } ?? "")")
            noGuest(arrival)
        case (_, .postcopyPaused?): rest(.paused, paused + ", and the destination runs the guest and waits for the recovery")
        default:
            let owed = "the destination owes the status postcopy-paused"
            reason = paused + ", but \(owed)"
            stops(
                destination.last ?? Spot(place: Place(stream: .destination, line: 0), event: arrival.event), destination.isCut,
                [arrival.place], owed)
        }
    }

    private mutating func rest(_ verdict: Verdict, _ reason: String) {
        self.verdict = verdict
        self.reason = reason
    }

    private mutating func judgeUnfinished() {
        switch wait {
        case .proved(let verdict, let proof):
            self.verdict = verdict
            reason = proof
            findings.append(
                Finding(
                    rule: verdict == .doesNotConverge ? .converges : .ends, found: proof,
                    places: [source.last?.place, destinationPlace].compactMap { $0 },
                    legal: verdict == .doesNotConverge
                        ? "fewer pending bytes, or a larger threshold" : "the message that the source waits for"))
        case .open(let owed):
            reason =
                sides == .both && destination.status.final == .completed
                ? "the destination completed at \(destination.ending!.place), but the source's log ends before: \(owed)" : owed
            var others = [Place?]()
            if destination.status.final != nil { others.append(destination.ending?.place) }
            stops(source.last, source.isCut, others, owed)
        }
    }

    private var destinationPlace: Place? { sides == .both ? destination.last?.place : nil }

    private mutating func stops(_ last: Spot?, _ isCut: Bool, _ others: [Place?], _ owed: String) {
        let place = last?.place ?? Place(stream: sides == .destination ? .destination : .source, line: 0)
        findings.append(
            Finding(
                rule: .truncated, found: isCut ? "the log ends within a line, with no final status" : "the log ends with no final status",
                places: [place] + others.compactMap { $0 }, lastGood: last?.asLastGood,
                legal: "more of the log: \(owed)"))
    }

    private mutating func judgeCompleted(_ ending: Spot, _ closing: String) {
        verdict = .completed
        reason = closing
        guard sides == .both, !source.isSnapshot else { return }
        switch destination.status.final {
        case .completed?:
            if source.guest.isTraced, sourceRuns, destinationRuns {
                twoGuests(closing + ", but its guest runs, and the destination runs it, too", ending)
            } else if !destinationRuns, destination.guest.globalState == RunState.running.rawValue {
                reason += ", and the destination has completed and is paused"
            }
        case .some:
            verdict = .noGuest
            reason = closing + ", but the destination failed\(destination.error.map { " ('\($0.text)')" } ?? "")"
            noGuest(ending)
        case nil:
            verdict = .undecided
            let owed = "the destination owes the end of its load"
            reason = closing + ", but \(owed)"
            stops(
                destination.last ?? Spot(place: Place(stream: .destination, line: 0), event: ending.event), destination.isCut,
                [ending.place], owed)
        }
    }

    private mutating func judgeFailed(_ ending: Spot, _ closing: String) {
        let isLoaded = sides == .both && destinationLoadedAll && !destinationWasKilled
        switch (sourceRuns, isLoaded) {
        case (true, true) where destinationRuns:
            twoGuests(closing + " and runs its guest, but the destination has completed and runs the guest, too", ending)
        case (true, true):
            verdict = .wouldRunTwoGuests
            reason = closing + " and runs its guest, while the destination has completed and is paused"
            oneGuest(ending)
        case (true, false):
            verdict = .failed
            reason = closing
        case (false, _) where isLoaded && destinationRuns:
            verdict = .completed
            reason = closing + " after the destination took over the guest, and the destination runs it"
        case (false, _) where sourceIsKept:
            verdict = .failed
            reason = closing + ", and keeps its guest, which was stopped before"
        case (false, _) where !source.isCleanedUp && ending.event == .migrateSetState(.failed) && !source.status.has(reached: .failing):
            // Up to 10.2 the status comes before the guest is started again.
            let owed = "the source owes the start of its guest"
            reason = closing + ", but \(owed)"
            stops(source.last, source.isCut, [], owed)
        case (false, _):
            verdict = .noGuest
            reason = closing + ", but the source does not run its guest, and neither does the destination"
            noGuest(ending)
            findings.append(
                Finding(
                    rule: .resumesOnFailure, found: "the source failed, but its guest, which ran before, does not run",
                    places: [ending.place, source.guest.place].compactMap { $0 }, lastGood: ending.lastGood,
                    legal: "vm_state_notify running 1"))
        }
    }

    private mutating func twoGuests(_ text: String, _ ending: Spot) {
        verdict = .twoGuests
        reason = text
        oneGuest(ending)
    }

    private mutating func oneGuest(_ ending: Spot) {
        findings.append(
            Finding(
                rule: .oneGuest, found: reason,
                places: [ending.place, destination.ending?.place, source.guest.place, destination.guest.place].compactMap { $0 },
                lastGood: ending.lastGood, legal: "one running guest: the source's after a failure, else the destination's"))
    }

    private mutating func noGuest(_ ending: Spot) {
        findings.append(
            Finding(
                rule: .aGuest, found: reason, places: [ending.place, sides == .both ? destination.ending?.place : nil].compactMap { $0 },
                lastGood: ending.lastGood, legal: "one running guest: the source's after a failure, else the destination's"))
    }

    // MARK: The destination alone

    private mutating func judgeDestination() {
        if destination.status.status == .postcopyPaused, let arrival = destination.arrival {
            return rest(.paused, "postcopy is paused at \(arrival.place), and the destination runs the guest")
        }
        guard let ending = destination.ending, let final = destination.status.final else {
            let owed = "the destination owes the end of its load"
            reason = owed
            return stops(destination.last, destination.isCut, [], owed)
        }
        if final == .completed {
            verdict = .completed
            reason = "the destination completed at \(ending.place)"
        } else {
            verdict = .failed
            reason =
                "the destination failed at \(ending.place)\(destination.error.map { " ('\($0.text)')" } ?? ""); there is no log of the "
                + "source"
        }
    }
}
