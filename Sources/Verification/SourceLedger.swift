/// The source's ledger of ACKs: the requests that its queries collected, the ACKs that it counted, and whether the numbers it prints agree.
///
/// Two threads change the counter and print it, so a line's number may differ from the lines before it in exactly four ways (11.1.3):
/// - A query's pending number is one less if the return-path thread has counted an ACK and prints its line only later.
/// - The number in that late line lacks the requests that the queries in between collected (seen on a busy machine).
/// - An ACK's number includes requests that a query has collected whose own line is printed later.
/// - A query read its number before ACKs whose lines are printed between the devices' lines and its own.
import MigrationTrace

struct SourceLedger: Sendable {
    /// How well `owed` is known.
    private enum Certainty {
        case exact
        /// Read from the first query after missing lines: the line of one ACK may still be printed late.
        case withinOne
        /// Lines are missing, and no query has been printed since.
        case lost
    }

    /// Given from outside, else concluded from the first query.
    private(set) var mode: SwitchoverAckMode?
    private let modeIsGiven: Bool
    /// True if the source counts requests and prints `qemu_savevm_query_pending` (11.1); nil before its first query.
    private(set) var counts: Bool?
    private(set) var queries = 0
    private(set) var acks = 0
    private(set) var collected = 0
    /// Collected requests that no `vfio_state_pending` line explains: those of the user that is no VFIO device.
    private(set) var ofRequester = 0
    private let hasRequester: Bool
    /// ACKs that the source waits for: requests collected (1 in legacy mode) minus ACK lines. Below 0 after an underflow.
    private(set) var owed = 0
    /// The ACK that took the counter below 0.
    private(set) var underflow: Spot?
    /// A further ACK without a number, before a query has told whether the source counts: of one that does, the line is cut.
    private var unnumbered: (acks: Int, spot: Spot)?

    private var certainty = Certainty.exact
    /// Lines are missing: the numbers of a query no longer tell how the counter began.
    private var hasLost = false
    /// True if the counter is known as exactly as the lines of two threads can tell.
    var isKnown: Bool { certainty != .lost || !hasLost }
    /// Requests that the devices' lines of the query in progress report.
    private var requestLines = 0
    private var printsRequests = false
    private var missesRequestLines = false
    /// A query that collected requests before any device's line was seen: only later lines show whether devices' lines are logged at all.
    private var unshown: (spot: Spot, collected: UInt32)?
    /// The first query since the last ACK line whose number is one less than expected: the line of another ACK must follow.
    private var lag: Spot?
    /// Requests that this query collected, before or after the ACK was counted, and that later queries collected, certainly after.
    private var lagCollected = (first: 0, later: 0)
    /// The return-path thread has printed another line since, so the late line can no longer be the one of that ACK.
    private var lagIsOver = false
    private var lastOffset = 0
    /// ACK lines since the last device's line of the query in progress; nil outside a query.
    private var acksInQuery: Int?

    /// `hasRequester`: a user that is no VFIO device requests ACKs, and has no lines of its own.
    init(mode: SwitchoverAckMode?, hasRequester: Bool = false) {
        self.mode = mode
        self.hasRequester = hasRequester
        modeIsGiven = mode != nil
        owed = mode == .legacy ? 1 : 0
    }

    /// ACKs that the source still waits for by the lines printed so far: up to 11.0 the one ACK, in 11.1 those owed.
    var missing: Int { counts == false ? max(1 - acks, 0) : owed }

    /// A device's part of a query.
    mutating func deviceReported(requestsAck: Bool, _ reporter: inout RuleReporter) {
        if let unshown {
            mismatch(unshown.collected, 0, at: unshown.spot, &reporter)
            self.unshown = nil
        }
        printsRequests = true
        acksInQuery = 0
        if requestsAck { requestLines += 1 }
    }

    private func mismatch(_ collected: UInt32, _ reported: Int, at spot: Spot, _ reporter: inout RuleReporter) {
        reporter.report(
            .collectedRequests, at: spot,
            found: "the query collected \(count(Int(collected), "request")), but its devices reported \(reported)",
            legal: "collected switchover ack pending=\(reported)")
    }

    /// A query up to 11.0.
    mutating func oldQueryEnded(_ reporter: inout RuleReporter) {
        counts = false
        mode = .legacy
        queries += 1
        if let unnumbered { isSurplus(unnumbered.acks, at: unnumbered.spot, &reporter) }
        unnumbered = nil
    }

    private func isSurplus(_ acks: Int, at spot: Spot, _ reporter: inout RuleReporter) {
        reporter.report(
            .surplusAck, at: spot, found: "the source counted ACK \(acks), but a source up to 11.0 waits for one ACK only",
            legal: "one ACK for all devices (further ACKs do no harm to a source up to 11.0)")
    }

    mutating func queryEnded(_ query: PendingQuery, _ reporter: inout RuleReporter) {
        counts = true
        unnumbered = nil
        queries += 1
        collected += Int(query.collectedAcks)
        let pending = Int(Int32(bitPattern: query.pendingAcks))
        if mode == nil { tellMode(pending, collected: query.collectedAcks) }
        if !missesRequestLines, Int(query.collectedAcks) != requestLines {
            if hasRequester, Int(query.collectedAcks) > requestLines {
                ofRequester += Int(query.collectedAcks) - requestLines
            } else if printsRequests {
                mismatch(query.collectedAcks, requestLines, at: reporter.spot, &reporter)
            } else {
                unshown = unshown ?? (reporter.spot, query.collectedAcks)
            }
        }
        requestLines = 0
        missesRequestLines = false
        if mode == .legacy, query.collectedAcks > 0 {
            reporter.report(
                .legacyRequests, found: "a query in legacy mode collected \(count(Int(query.collectedAcks), "request"))",
                legal: "collected switchover ack pending=0")
        }
        owed += Int(query.collectedAcks)
        if lag != nil { lagCollected.later += Int(query.collectedAcks) }
        check(pending, collected: Int(query.collectedAcks), &reporter)
        acksInQuery = nil
    }

    /// The counter starts at 1 in legacy mode and at 0 in per-device mode, and only a per-device source collects requests. Any other number
    /// does not tell the mode.
    private mutating func tellMode(_ pending: Int, collected now: UInt32) {
        guard !hasLost else {
            if now > 0 { mode = .perDevice }
            return
        }
        switch pending - collected + acks {
        case 1 where now == 0:
            mode = .legacy
            owed += 1
        case -1, 0: mode = .perDevice
        default: if now > 0 { mode = .perDevice }
        }
    }

    private mutating func check(_ pending: Int, collected now: Int, _ reporter: inout RuleReporter) {
        let offset = pending - owed
        switch certainty {
        case .lost:
            owed = pending
            certainty = .withinOne
            return
        case .withinOne where offset == -1: certainty = .exact
        default: break
        }
        switch pending - owed {
        case 0:
            lastOffset = 0
            guard let lag else { break }
            reporter.report(
                .pendingNumber, at: lag, with: [reporter.spot.place],
                found:
                    "the query's pending number is one less than the ACKs owed, but no ACK line followed, and a later query prints the "
                    + "full number",
                legal: "the line of a counted ACK, and the lower number in every later query")
            self.lag = nil
        case -1:
            if lag == nil {
                lag = reporter.spot
                lagCollected = (now, 0)
                lagIsOver = false
            }
            lastOffset = 0
        case let offset where offset > 0 && offset <= acksInQuery ?? 0: lastOffset = 0
        case let offset:
            reporter.report(
                .pendingNumber,
                found: "the query's pending number is \(pending), but the lines before it give \(owed) (\(account))",
                legal: owed > 0
                    ? "total switchover ack pending=\(owed), or \(owed - 1) if an ACK's line is printed late"
                    : "total switchover ack pending=\(owed)")
            // Two queries that agree show the counter's real value.
            if offset == lastOffset { owed = pending }
            lastOffset = offset
        }
    }

    private var account: String {
        "\(mode == .legacy ? "1 in legacy mode" : "\(collected) requested") minus \(acks) counted"
    }

    mutating func countedAck(_ number: UInt32?, _ reporter: inout RuleReporter) {
        // Only sources up to 11.0 print no number: the line is cut.
        if number == nil, counts == true { return lose(isDeclared: false) }
        acks += 1
        acksInQuery = acksInQuery.map { $0 + 1 }
        let late = lag == nil || lagIsOver ? (first: 0, later: 0) : lagCollected
        lag = nil
        guard let number else {
            guard acks > 1 else { return }
            if counts == false { isSurplus(acks, at: reporter.spot, &reporter) } else { unnumbered = unnumbered ?? (acks, reporter.spot) }
            return
        }
        let value = Int(Int32(bitPattern: number))
        // The first query may have read the counter after this ACK was counted, which looks like per-device mode.
        if !modeIsGiven, !hasLost, acks == 1, collected == 0, owed == 0, value == 0, mode == .perDevice {
            mode = .legacy
            owed = 1
        }
        // Before the first query: a legacy counter starts at 1.
        if mode == nil, !hasLost, acks == 1, value == 0 {
            mode = .legacy
            owed = 1
        }
        let isExpected: Bool
        switch certainty {
        case .exact:
            let counted = owed - 1 - late.later
            isExpected = value == counted || value == counted - late.first || (requestLines > 0 && value == owed - 1 + requestLines)
        case .withinOne: isExpected = value == owed - 1 || value == owed
        case .lost: isExpected = true
        }
        if certainty == .exact, isExpected {
            owed -= 1
        } else {
            if !isExpected {
                reporter.report(
                    .ackNumber,
                    found:
                        "the counter was \(number) after this ACK, but the lines before it give "
                        + "\(UInt32(bitPattern: Int32(truncatingIfNeeded: owed - 1)))",
                    legal: owed > 0 ? "switchover_ack_pending_num \(owed - 1)" : "no ACK, because none is pending")
            }
            owed = value
            certainty = .exact
        }
        if number == .max, underflow == nil {
            underflow = reporter.spot
            reporter.report(
                .surplusAck, found: "the source counted ACK \(acks) when no ACK was pending, and its counter underflowed to \(number)",
                legal: "\(count(acks - 1, "ACK")), as many as the source waits for")
        }
    }

    /// The return-path thread has begun to wait for its next message.
    mutating func returnPathWaits() { lagIsOver = true }

    /// The return-path thread has ended, so no further ACK line can follow.
    mutating func returnPathEnded(_ reporter: inout RuleReporter) {
        guard let lag else { return }
        reporter.report(
            .pendingNumber, at: lag, with: [reporter.spot.place],
            found: "the query's pending number is one less than the lines before it give, and no line of a counted ACK followed",
            legal: "source_return_path_thread_switchover_acked, printed before the return-path thread ends")
        self.lag = nil
    }

    /// Lines are missing here.
    mutating func lose(isDeclared: Bool) {
        if !isDeclared { hasLost = true }
        certainty = .lost
        missesRequestLines = true
        unshown = nil
        lag = nil
        lastOffset = 0
    }
}

extension SourceLedger {
    /// Counts the queries since `before` so many times more.
    mutating func repeatWhatHappened(_ times: Int, since before: SourceLedger) { queries += (queries - before.queries) * times }
}
