/// The source's ledger of ACKs: what its queries collected, what it counted, and whether the numbers it prints agree.
///
/// Two threads count and print, so four tolerances are exact (11.1.3): a query's pending number may be smaller by one ACK whose own line
/// comes later, since the return-path thread counts first and prints then; that late line's number lacks what the queries in between
/// collected (seen on a busy machine); an ACK's number may be larger by what a query collected whose own line comes later; and a query's
/// number may have been read before ACKs whose lines came between the devices' lines and its own.
import MigrationTrace

struct SourceLedger: Sendable {
    private enum Footing {
        case exact
        /// Taken from one query after missing lines: an ACK's line may still come late.
        case withinOne
        case lost
    }

    /// Given, or as the first query tells it.
    private(set) var mode: Handshake.Mode?
    private let modeIsGiven: Bool
    /// The source prints `qemu_savevm_query_pending`: 11.1. nil before its first query.
    private(set) var counts: Bool?
    private(set) var queries = 0
    private(set) var acks = 0
    private(set) var collected = 0
    /// Of those, the requester's: all that no device's line is about.
    private(set) var ofRequester = 0
    private let hasRequester: Bool
    /// Requests collected (legacy mode: one) less ACK lines. Below 0 after an underflow.
    private(set) var owed = 0
    /// The counter went below 0.
    private(set) var underflow: Spot?

    private var footing = Footing.exact
    private var requestLines = 0
    private var printsRequests = false
    private var missesRequestLines = false
    /// A first query that collected something, before any device's line: whether these lines are logged at all shows later.
    private var unshown: (spot: Spot, collected: UInt32)?
    /// The first query since the last ACK whose number is smaller by one: that ACK's line must come.
    private var lag: Spot?
    /// What that query collected, before or after the count, and what the queries behind it collected, certainly after.
    private var lagCollected = (first: 0, later: 0)
    /// The return-path thread has printed something else since: it prints an ACK's line before that.
    private var lagIsOver = false
    private var lastOffset = 0
    /// ACKs whose lines came since the last device's line of the query in progress; nil before it.
    private var acksInQuery: Int?

    /// `hasRequester`: somebody requests ACKs who is no VFIO device and has no lines.
    init(mode: Handshake.Mode?, hasRequester: Bool = false) {
        self.mode = mode
        self.hasRequester = hasRequester
        modeIsGiven = mode != nil
        owed = mode == .legacy ? 1 : 0
    }

    /// What the source still waits for, as far as its printed lines go: up to 11.0 one ACK, in 11.1 what is owed.
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
            .collectedRequests, at: spot, found: "the query collected \(collected), but its devices reported \(reported)",
            legal: "collected switchover ack pending=\(reported)")
    }

    /// Up to 11.0.
    mutating func oldQueryEnded() {
        counts = false
        mode = .legacy
        queries += 1
    }

    mutating func queryEnded(_ query: PendingQuery, _ reporter: inout RuleReporter) {
        counts = true
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
                .legacyRequests, found: "a query in legacy mode collected \(query.collectedAcks)",
                legal: "collected switchover ack pending=0")
        }
        owed += Int(query.collectedAcks)
        if lag != nil { lagCollected.later += Int(query.collectedAcks) }
        check(pending, collected: Int(query.collectedAcks), &reporter)
        acksInQuery = nil
    }

    /// At the beginning the counter is 1 or 0, and only a per-device source collects. Any other number tells nothing.
    private mutating func tellMode(_ pending: Int, collected now: UInt32) {
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
        switch footing {
        case .lost:
            owed = pending
            footing = .withinOne
            return
        case .withinOne where offset == -1: footing = .exact
        default: break
        }
        switch pending - owed {
        case 0:
            lastOffset = 0
            guard let lag else { break }
            reporter.report(
                .pendingNumber, at: lag, with: [reporter.spot.place],
                found: "the query's pending number is smaller by one, though no ACK was counted: a later one is not",
                legal: "the ACK's line, and the smaller number in every query from there on")
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
                found: "the query's pending number is \(pending); \(account) make it \(owed)",
                legal: owed > 0
                    ? "total switchover ack pending=\(owed), or \(owed - 1) when an ACK's line comes late"
                    : "total switchover ack pending=\(owed)")
            // What two queries say is what the counter is.
            if offset == lastOffset { owed = pending }
            lastOffset = offset
        }
    }

    private var account: String {
        "\(mode == .legacy ? "legacy mode's 1" : "the \(collected) requested") less \(acks) counted"
    }

    mutating func countedAck(_ number: UInt32?, _ reporter: inout RuleReporter) {
        acks += 1
        acksInQuery = acksInQuery.map { $0 + 1 }
        let late = lag == nil || lagIsOver ? (first: 0, later: 0) : lagCollected
        lag = nil
        guard let number else {
            if acks > 1 {
                reporter.report(
                    .surplusAck, found: "ACK \(acks) was counted; a source up to 11.0 waits for one",
                    legal: "one ACK for all devices (a source up to 11.0 takes no harm of more)")
            }
            return
        }
        let value = Int(Int32(bitPattern: number))
        // The first query may have seen the counter already decremented, and so have been taken for one of the other mode.
        if !modeIsGiven, acks == 1, collected == 0, owed == 0, value == 0, mode == .perDevice {
            mode = .legacy
            owed = 1
        }
        // No query yet: a legacy counter begins at 1.
        if mode == nil, acks == 1, value == 0 {
            mode = .legacy
            owed = 1
        }
        let isExpected: Bool
        switch footing {
        case .exact:
            let counted = owed - 1 - late.later
            isExpected = value == counted || value == counted - late.first || (requestLines > 0 && value == owed - 1 + requestLines)
        case .withinOne: isExpected = value == owed - 1 || value == owed
        case .lost: isExpected = true
        }
        if footing == .exact, isExpected {
            owed -= 1
        } else {
            if !isExpected {
                reporter.report(
                    .ackNumber,
                    found:
                        "the counter was \(number) after this ACK; the lines before it make it "
                        + "\(UInt32(bitPattern: Int32(truncatingIfNeeded: owed - 1)))",
                    legal: owed > 0 ? "switchover_ack_pending_num \(owed - 1)" : "no ACK: none is pending")
            }
            owed = value
            footing = .exact
        }
        if number == .max, underflow == nil {
            underflow = reporter.spot
            reporter.report(
                .surplusAck, found: "ACK \(acks) was counted when none was pending, and the counter underflowed to \(number)",
                legal: "as many ACKs as the source waits for: \(acks - 1)")
        }
    }

    /// The return-path thread waits for its next message.
    mutating func returnPathWaits() { lagIsOver = true }

    /// The return-path thread has ended: no ACK line comes any more.
    mutating func returnPathEnded(_ reporter: inout RuleReporter) {
        guard let lag else { return }
        reporter.report(
            .pendingNumber, at: lag, with: [reporter.spot.place],
            found: "the query's pending number is smaller by one than the lines before it make it, and the ACK's own line never came",
            legal: "source_return_path_thread_switchover_acked, printed before the return-path thread ends")
        self.lag = nil
    }

    /// Lines are missing.
    mutating func lose() {
        footing = .lost
        missesRequestLines = true
        unshown = nil
        lag = nil
        lastOffset = 0
    }
}
