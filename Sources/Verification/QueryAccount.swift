/// What the source's queries add up, and whether the decision follows from them.
import MigrationTrace

struct QueryAccount: Sendable {
    /// What the devices' lines of the query in progress add up to.
    private var precopy: UInt64 = 0
    private var stopCopy: UInt64 = 0
    /// The last query; nil before the first.
    private var last: (place: Place, exact: Bool)?
    /// The query after which the source must decide in the same step.
    private var due: (spot: Spot, total: UInt64)?
    /// The line that gives the threshold; nil before the first window of 100 ms ended, when the threshold is 0.
    private var window: Place?
    /// False after missing lines, until the next window ends.
    private var knowsThreshold = true
    /// True if an ACK was missing when the step began: up to 11.0 a source asks its ledger, and whether its guest runs, before its queries.
    private(set) var wasWaitingAtStep = true

    // MARK: Queries of 11.1

    /// A device's part of a query.
    mutating func deviceReported(_ pending: DevicePending) {
        let bytes = pending.initial.addingReportingOverflow(pending.dirty).partialValue
        precopy = precopy.addingReportingOverflow(bytes).partialValue
        stopCopy = stopCopy.addingReportingOverflow(pending.stopCopy > bytes ? pending.stopCopy - bytes : 0).partialValue
    }

    mutating func queryEnded(_ query: PendingQuery, _ reporter: inout RuleReporter) {
        defer { (precopy, stopCopy) = (0, 0) }
        // The final query is about requests: in the second posting of the per-device series it reports nothing else.
        guard !query.final else { return }
        for (kind, sum, found) in [("precopy", precopy, query.precopy), ("stop-copy", stopCopy, query.stopCopy)] where sum > found {
            reporter.report(
                .querySums, with: [last?.place], found: "the query found \(found) \(kind) bytes, but its devices alone report \(sum)",
                legal: "\(sum) bytes or more")
        }
    }

    // MARK: The decision

    /// A query of any release has ended. `mustDecide`: it finds no more than the threshold, and nothing else holds the decision back.
    mutating func queryEnded(total: UInt64, exact: Bool, mustDecide: Bool, at spot: Spot) {
        last = (spot.place, exact)
        due = exact && mustDecide && knowsThreshold ? (spot, total) : nil
    }

    mutating func windowEnded(at place: Place) {
        window = place
        knowsThreshold = true
    }

    /// The next iteration begins.
    mutating func iterates(waits: Bool, _ reporter: inout RuleReporter) {
        wasWaitingAtStep = waits
        guard let due else { return }
        reporter.report(
            .decisionDue, at: due.spot, with: [reporter.spot.place, window],
            found: "the source iterates, although \(due.total) bytes are pending, within the threshold, and no ACK is missing",
            legal: "migration_thread_low_pending or postcopy_start after this query")
        self.due = nil
    }

    /// The source decides to complete with so many bytes pending. `isPrecopy`: the guest has not moved yet.
    mutating func decides(
        pending: UInt64, threshold: UInt64, decidesBelow: Bool?, isPrecopy: Bool, _ reporter: inout RuleReporter
    ) {
        due = nil
        let isTooMuch = pending > threshold || pending == threshold && pending > 0 && decidesBelow == true
        if isTooMuch, knowsThreshold {
            reporter.report(
                .decisionFits, with: [window],
                found: "the source decided to complete with \(pending) bytes pending, and the threshold is \(threshold)",
                legal: "a decision with \(decidesBelow == true ? "less" : "no more") than the threshold pending")
        }
        if isPrecopy, pending > 0, let last, !last.exact {
            reporter.report(
                .exactDecision, with: [last.place], found: "the source decided to complete after an estimate of what is pending",
                legal: "an exact query between the estimate and the decision")
        }
    }

    /// Another decision than to complete the precopy.
    mutating func startsPostcopy() { due = nil }

    /// Lines are missing here.
    mutating func lose() {
        (precopy, stopCopy) = (0, 0)
        last = nil
        due = nil
        knowsThreshold = false
    }
}
