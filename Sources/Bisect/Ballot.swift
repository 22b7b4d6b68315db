/// How many runs of a cell make a verdict on a revision.
///
/// A single run tells little of a cell that is racy, or of a revision that is flaky. Runs are repeated until one verdict leads by a number
/// of votes; the first verdict of a stable revision takes just as many runs. Where three in ten runs of a good revision fail by chance, a
/// lead of 5 is wrong in 1.4 of 100 revisions, a lead of 8 in 0.1 (ruin of the gambler: 1 / (1 + (7/3)^lead)).

/// What one run says of the failure that is looked for.
package enum Vote: Hashable, Sendable {
    case bad
    case good
    /// With the reason why the run says nothing.
    case none(String)
}

package enum Judgment: Hashable, Sendable {
    case good, bad
    /// With the reason why the revision cannot be told.
    case skip(String)
}

package struct Ballot: Hashable, Sendable {
    /// Votes by which a verdict must lead.
    package let lead: Int
    /// The failure is a rare one: the first run that shows it decides, and only so many runs without it are good.
    package let isRare: Bool
    package private(set) var good = 0
    package private(set) var bad = 0
    package private(set) var silent = 0
    private var reason: String?

    /// Runs after which a revision that has no verdict is skipped.
    package var most: Int { isRare ? 2 * lead : 8 * lead }

    package init(lead: Int, isRare: Bool = false) {
        self.lead = max(lead, 1)
        self.isRare = isRare
    }

    package mutating func add(_ vote: Vote) {
        switch vote {
        case .good: good += 1
        case .bad: bad += 1
        case .none(let why):
            silent += 1
            reason = reason ?? why
        }
    }

    package var runs: Int { good + bad + silent }

    /// nil: another run is needed.
    package var verdict: Judgment? {
        if isRare {
            if bad > 0 { return .bad }
            if good >= lead { return .good }
        } else {
            if bad - good >= lead { return .bad }
            if good - bad >= lead { return .good }
        }
        if good + bad == 0, silent >= lead, let reason { return .skip(reason) }
        guard runs >= most else { return nil }
        return .skip(
            silent > good + bad
                ? reason ?? "no run tells anything"
                : "flaky: \(bad) of \(good + bad) runs show the failure, and neither verdict leads by \(lead)")
    }

    package var counts: String {
        let told = bad > 0 ? "\(bad) of \(runs) runs show the failure" : "none of \(runs) runs shows the failure"
        return told + (silent > 0 ? ", \(silent) tell nothing" : "")
    }
}
