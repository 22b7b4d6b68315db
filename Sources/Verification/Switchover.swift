/// From the source's decision to its end: the ACKs that were missing, the final query, and that the source does not iterate in between.
import MigrationTrace

struct Switchover: Sendable {
    struct Decision: Sendable {
        var spot: Spot
        /// Bytes that were found pending.
        var pending: UInt64
        /// nil before the first window of 100 ms ended, when it is 0.
        var threshold: Int64?
        /// Pending queries before the decision.
        var queries: Int
        /// ACKs that were missing by the lines printed before.
        var missing: Int
        var acksBefore: Int
        var acksAfter = 0
        /// The line that shows that the missing ACK was not merely printed late.
        var refuted: (place: Place, why: String)?
        /// True if the guest ran. Devices learn late that the guest stops, so the first stop after the decision tells whether it ran.
        var guestRan: Bool?
        /// True once `guestRan` cannot change any more.
        var guestIsCertain = false
        /// True if the lines before tell the number of missing ACKs.
        var isKnown = true
        /// Requests that later queries collected.
        var collectedSince = 0
        /// Lines are missing since: the line of an ACK may be among them.
        var hasGapSince = false
        /// ACKs counted when the source's status became `device`.
        var acksAtDevice: Int?
    }

    private(set) var decision: Decision?
    private(set) var isPostcopy = false
    private(set) var finalQuery: Spot?
    private(set) var finalCollected: UInt32 = 0
    /// The error about requests of the final query was stored.
    private(set) var hasFinalError = false
    private var wasAtDevice = false
    private var isFailing = false
    private var iterated = false
    /// The switchover whose decision no line shows, until the next status tells the kind of the migration.
    private var undecided: Spot?
    private var hasGap = false
    /// The step in progress has a query.
    private var isQueried = false
    /// The log has lines of the migration thread's state, so a decision would be in it.
    private var isThreadTraced = false

    mutating func decide(
        _ ledger: SourceLedger, pending: UInt64, threshold: Int64?, guest: GuestAccount, isPostcopy: Bool,
        _ reporter: inout RuleReporter
    ) {
        let wasPostcopy = self.isPostcopy
        self.isPostcopy = wasPostcopy || isPostcopy
        if let decision {
            if !wasPostcopy {
                reporter.report(
                    .oneDecision, with: [decision.spot.place], found: "the source decided to switch over a second time",
                    legal: "stopping the guest and completing the migration")
            }
            return
        }
        // Missing lines before the decision matter to the decision alone.
        hasGap = !isQueried
        decision = Decision(
            spot: reporter.spot, pending: pending, threshold: threshold, queries: ledger.queries, missing: ledger.missing,
            acksBefore: ledger.acks, guestRan: guest.isUncertain ? nil : guest.runs,
            guestIsCertain: !guest.isUncertain && (guest.isTraced || guest.runs == false), isKnown: ledger.isKnown)
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

    mutating func countedAck() { decision?.acksAfter += 1 }

    /// Every step begins with a query, so a log without one is incomplete.
    private mutating func step() {
        if !isQueried { hasGap = true }
        isQueried = false
    }

    mutating func iterates(_ reporter: inout RuleReporter) {
        step()
        isIterating(&reporter)
    }

    /// A query other than the final one; up to 11.0 any query.
    mutating func queried(_ reporter: inout RuleReporter) {
        isQueried = true
        isIterating(&reporter)
    }

    /// The migration thread both decides and iterates, so none of these lines is printed late.
    private mutating func isIterating(_ reporter: inout RuleReporter) {
        guard let decision, !isPostcopy, !isFailing, !iterated else { return }
        iterated = true
        self.decision?.refuted = (reporter.spot.place, "the source iterated after the decision")
        reporter.report(
            .iteratesUntilDecision, with: [decision.spot.place], found: "the source iterated after it had decided to switch over",
            legal: "stopping the guest and completing the migration")
    }

    mutating func returnPathEnded(at place: Place) { refute(place, "the return-path thread ended without the ACK") }

    private mutating func refute(_ place: Place, _ why: String) {
        guard decision?.refuted == nil, decision?.acksAfter == 0 else { return }
        decision?.refuted = (place, why)
    }

    mutating func query(_ query: PendingQuery, isColo: Bool, _ reporter: inout RuleReporter) {
        isQueried = true
        if decision != nil {
            decision!.collectedSince += Int(query.collectedAcks)
            let pending = Int(Int32(bitPattern: query.pendingAcks)) - decision!.collectedSince
            if pending > 0 { refute(reporter.spot.place, "a later query still printed \(count(Int(query.pendingAcks), "pending ACK"))") }
        }
        guard query.final else { return isColo ? () : isIterating(&reporter) }
        if let first = finalQuery, !isColo {
            reporter.report(.finalQuery, with: [first.place], found: "the source made a second final query", legal: "one final query")
        } else if !wasAtDevice, !hasGap, decision != nil {
            reporter.report(
                .finalQuery, found: "the source made the final query before its status became device",
                legal: "migrate_set_state new state device before the final query")
        }
        finalQuery = reporter.spot
        finalCollected = query.collectedAcks
    }

    mutating func precopyCompletes(counts: Bool, _ reporter: inout RuleReporter) {
        if counts, finalQuery == nil, !hasGap {
            reporter.report(
                .finalQuery, found: "the source saves the final state of its devices without a final query",
                legal: "qemu_savevm_query_pending with final=1")
        }
        goesOn(&reporter)
    }

    /// SWITCHOVER_START, or another line of a switchover without late requests.
    mutating func goesOn(_ reporter: inout RuleReporter) {
        guard let finalQuery, finalCollected > 0 else { return }
        reporter.report(
            .finalRequestFails, with: [finalQuery.place],
            found: "the final query collected \(count(Int(finalCollected), "request")), but the source continued to switch over",
            legal: "the error 'Switchover ACK was requested by \(finalCollected) devices during switchover', and a failed migration")
        finalCollected = 0
    }

    mutating func storedError(_ text: String, _ reporter: inout RuleReporter) {
        guard let number = requestedDuringSwitchover(text) else { return }
        hasFinalError = true
        if hasGap, finalQuery == nil { return }
        guard number != UInt64(finalCollected) else { return }
        reporter.report(
            .finalRequestFails, with: [finalQuery?.place],
            found: "the error gives \(number) devices, but the final query collected \(count(Int(finalCollected), "request"))",
            legal: finalCollected == 0 ? "no such error" : "the error with \(finalCollected) devices")
    }

    mutating func status(_ status: MigrationStatus, counts: Bool?, acks: Int, _ reporter: inout RuleReporter) {
        if let undecided {
            let isPostcopy = status == .postcopyActive || status == .postcopyDevice
            reporter.report(
                .oneDecision, at: undecided, found: "the source switches over, but its log has no decision",
                legal: "migration_thread_low_pending or postcopy_start before the guest is stopped",
                on: [isPostcopy ? "postcopy_start" : "migration_thread_low_pending"])
            self.undecided = nil
        }
        switch status {
        case .device:
            wasAtDevice = true
            if decision == nil, isThreadTraced, !hasGap { undecided = reporter.spot }
            decision?.acksAtDevice = acks
        case .failing, .failed, .cancelling:
            if status != .cancelling, !isFailing, finalCollected > 0, !hasFinalError, !hasGap {
                reporter.report(
                    .finalRequestFails, with: [finalQuery?.place],
                    found:
                        "the final query collected \(count(Int(finalCollected), "request")), but the migration fails without the error "
                        + "for it",
                    legal: "the error 'Switchover ACK was requested by \(finalCollected) devices during switchover'")
            }
            isFailing = true
        case .completed:
            if counts == true, finalQuery == nil, wasAtDevice, !hasGap,
                !reporter.hasReported(.finalQuery)
            {
                reporter.report(.finalQuery, found: "the migration completed without a final query", legal: "one final query")
            }
            goesOn(&reporter)
        default: break
        }
    }

    /// Lines are missing here.
    mutating func lose(isDeclared: Bool) {
        hasGap = true
        // The step that follows may be another one than that of the last query.
        isQueried = false
        // What was refuted before stays so.
        if !isDeclared, decision?.refuted == nil { decision?.hasGapSince = true }
    }
}

/// The number in the error of the final query.
private func requestedDuringSwitchover(_ text: String) -> UInt64? {
    let before = "Switchover ACK was requested by "
    let after = " devices during switchover"
    guard text.hasPrefix(before), text.hasSuffix(after), text.utf8.count > before.utf8.count + after.utf8.count else { return nil }
    return UInt64(text.dropFirst(before.count).dropLast(after.count))
}
