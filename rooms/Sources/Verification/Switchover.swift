/// From the decision to the end of the source: what it waited for, the final query, and that nothing iterates in between.
import MigrationTrace

struct Switchover: Sendable {
    struct Decision: Sendable {
        var spot: Spot
        /// What was missing by the lines printed before: 11.1 the ledger, up to 11.0 the one ACK.
        var missing: Int
        var acksBefore: Int
        var acksAfter = 0
        /// Where it shows that the missing ACK was not merely printed late.
        var refuted: (place: Place, why: String)?
        /// Whether the guest ran. A stop of the guest is announced late to the devices, so the first that follows says which it was.
        var guestRan: Bool?
        /// The first stop after it has told.
        var guestIsCertain = false
        var collectedSince = 0
        /// How many ACKs were counted when the source's status became `device`.
        var acksAtDevice: Int?
    }

    private(set) var decision: Decision?
    private(set) var isPostcopy = false
    private(set) var finalQuery: Spot?
    private(set) var finalCollected: UInt32 = 0
    /// The error of the final query was said.
    private(set) var saysFinalError = false
    private var wasAtDevice = false
    private var isFailing = false
    private var iterated = false
    private var hasGap = false
    private var isQueried = false
    /// Lines of the decision's kind are in the log.
    private var isThreadTraced = false

    mutating func decide(
        missing: Int, acks: Int, guest: GuestAccount, isPostcopy: Bool, at spot: Spot, _ breaches: inout Breaches
    ) {
        let wasPostcopy = self.isPostcopy
        self.isPostcopy = wasPostcopy || isPostcopy
        if let decision {
            if !wasPostcopy {
                breaches.report(
                    .oneDecision, at: spot, with: [decision.spot.place], found: "the source decided to switch over a second time",
                    legal: "the stop of the guest, and the completion")
            }
            return
        }
        // What is missing before the decision matters to it alone.
        hasGap = !isQueried
        decision = Decision(
            spot: spot, missing: missing, acksBefore: acks, guestRan: guest.runs, guestIsCertain: guest.isTraced || guest.runs == false)
    }

    // MARK: What follows the decision

    /// The guest stops, or its run state changes.
    mutating func stopped(_ reason: RunState, ran: Bool) {
        guard decision?.guestIsCertain == false, reason != .shutdown else { return }
        decision!.guestRan = ran
        decision!.guestIsCertain = true
    }

    mutating func saved(_ state: String) {
        guard decision?.guestIsCertain == false else { return }
        decision!.guestRan = state == RunState.running.rawValue
        decision!.guestIsCertain = true
    }

    mutating func threadBegins() { isThreadTraced = true }

    mutating func acked() { decision?.acksAfter += 1 }

    /// Every step begins with a query: a log without them is not whole.
    private mutating func step() {
        if !isQueried { hasGap = true }
        isQueried = false
    }

    mutating func iterates(at spot: Spot, _ breaches: inout Breaches) {
        step()
        isIterating(at: spot, &breaches)
    }

    /// A query before the final one, up to 11.0 any.
    mutating func queried(at spot: Spot, _ breaches: inout Breaches) {
        isQueried = true
        isIterating(at: spot, &breaches)
    }

    /// One thread decides and iterates: no line of it is printed late.
    private mutating func isIterating(at spot: Spot, _ breaches: inout Breaches) {
        guard let decision, !isPostcopy, !isFailing, !iterated else { return }
        iterated = true
        self.decision?.refuted = (spot.place, "the source iterated on after it")
        breaches.report(
            .iteratesUntilDecision, at: spot, with: [decision.spot.place], found: "the source iterated after it had decided to switch over",
            legal: "the stop of the guest, and the completion")
    }

    mutating func returnPathEnded(at place: Place) { refute(place, "the return-path thread ended without it") }

    private mutating func refute(_ place: Place, _ why: String) {
        guard decision?.refuted == nil, decision?.acksAfter == 0 else { return }
        decision?.refuted = (place, why)
    }

    mutating func query(_ query: PendingQuery, isColo: Bool, at spot: Spot, _ breaches: inout Breaches) {
        isQueried = true
        if decision != nil {
            decision!.collectedSince += Int(query.collectedAcks)
            let pending = Int(Int32(bitPattern: query.pendingAcks)) - decision!.collectedSince
            if pending > 0 { refute(spot.place, "a later query still printed \(query.pendingAcks) pending") }
        }
        guard query.final else { return isColo ? () : isIterating(at: spot, &breaches) }
        if let first = finalQuery, !isColo {
            breaches.report(.finalQuery, at: spot, with: [first.place], found: "a second final query was made", legal: "one final query")
        } else if !wasAtDevice, !hasGap, decision != nil {
            breaches.report(
                .finalQuery, at: spot, found: "a final query was made before the status device",
                legal: "migrate_set_state new state device before it")
        }
        finalQuery = spot
        finalCollected = query.collectedAcks
    }

    mutating func precopyCompletes(counts: Bool, at spot: Spot, _ breaches: inout Breaches) {
        if counts, finalQuery == nil, !hasGap {
            breaches.report(
                .finalQuery, at: spot, found: "the devices complete without a final query", legal: "qemu_savevm_query_pending with final=1")
        }
        goesOn(at: spot, &breaches)
    }

    /// SWITCHOVER_START, or anything else that only a switchover without late requests does.
    mutating func goesOn(at spot: Spot, _ breaches: inout Breaches) {
        guard let finalQuery, finalCollected > 0 else { return }
        breaches.report(
            .finalRequestFails, at: spot, with: [finalQuery.place],
            found: "the source went on to switch over though the final query collected \(finalCollected)",
            legal: "the error 'Switchover ACK was requested by \(finalCollected) devices during switchover', and failing")
        finalCollected = 0
    }

    mutating func error(_ text: String, at spot: Spot, _ breaches: inout Breaches) {
        guard let count = requestedDuringSwitchover(text) else { return }
        saysFinalError = true
        guard count != UInt64(finalCollected) else { return }
        breaches.report(
            .finalRequestFails, at: spot, with: [finalQuery?.place],
            found: "the error speaks of \(count) devices; the final query collected \(finalCollected)",
            legal: finalCollected == 0 ? "no such error" : "the error with \(finalCollected)")
    }

    mutating func status(_ status: MigrationStatus, counts: Bool?, acks: Int, at spot: Spot, _ breaches: inout Breaches) {
        switch status {
        case .device:
            wasAtDevice = true
            if decision == nil, isThreadTraced, !hasGap {
                breaches.report(
                    .oneDecision, at: spot, found: "the source switches over without a decision",
                    legal: "migration_thread_low_pending, or postcopy_start, before the guest is stopped")
            }
            decision?.acksAtDevice = acks
        case .failing, .failed, .cancelling:
            if status != .cancelling, !isFailing, finalCollected > 0, !saysFinalError, !hasGap {
                breaches.report(
                    .finalRequestFails, at: spot, with: [finalQuery?.place],
                    found: "the migration fails without saying that the final query collected \(finalCollected)",
                    legal: "the error 'Switchover ACK was requested by \(finalCollected) devices during switchover'")
            }
            isFailing = true
        case .completed:
            if counts == true, finalQuery == nil, wasAtDevice, !hasGap,
                !breaches.all.contains(where: { $0.finding.rule == .finalQuery })
            {
                breaches.report(.finalQuery, at: spot, found: "the migration completed without a final query", legal: "one final query")
            }
            goesOn(at: spot, &breaches)
        default: break
        }
    }

    /// Lines are missing.
    mutating func lose() { hasGap = true }
}

/// The number in the error of the final query.
private func requestedDuringSwitchover(_ text: String) -> UInt64? {
    let before = "Switchover ACK was requested by "
    let after = " devices during switchover"
    guard text.hasPrefix(before), text.hasSuffix(after), text.utf8.count > before.utf8.count + after.utf8.count else { return nil }
    return UInt64(text.dropFirst(before.count).dropLast(after.count))
}
