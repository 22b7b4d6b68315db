/// Whether a cell that is run several times shows the same each time, as far as nothing in it is left to chance.

package struct Repetition: Sendable {
    private struct Showing: Hashable {
        var ending: String
        var gating: Bool
        var counts: ResultLine.Counts

        var text: String { "'\(ending), \(gating ? "" : "not ")gating, \(counts.text)'" }
    }

    private var first: [String: Showing] = [:]

    package init() {}

    /// What differs from the cell's first run, in one sentence; nil where nothing does, or where it is a race.
    package mutating func difference(_ line: ResultLine) -> String? {
        guard !line.predicted.isRace else { return nil }
        let showing = Showing(ending: line.ending, gating: line.gating, counts: line.counts.keeping(line.predicted.counts))
        guard let before = first.updateValue(first[line.cell] ?? showing, forKey: line.cell), before != showing else { return nil }
        let what = before.ending != showing.ending ? "ending" : before.gating != showing.gating ? "gating" : "counts"
        return "\(line.cell): expected the same \(what) each time, found \(before.text) and \(showing.text)"
    }
}

extension ResultLine.Counts {
    /// Only those that the prediction names.
    fileprivate func keeping(_ names: [String]) -> Self {
        var kept = ResultLine.Counts()
        if names.contains("requests") { kept.requests = requests }
        if names.contains("countedIn") { (kept.countedIn, kept.countedInUnnamed) = (countedIn, countedInUnnamed) }
        if names.contains("approvals") { kept.approvals = approvals }
        if names.contains("acksSent") { kept.acksSent = acksSent }
        if names.contains("acksCounted") { kept.acksCounted = acksCounted }
        return kept
    }

    fileprivate var text: String {
        func sum(_ counts: [String: Int]) -> Int { counts.values.reduce(0, +) }
        return "\(sum(requests)) requests, \(sum(countedIn) + countedInUnnamed) counted in, \(sum(approvals)) approvals, "
            + "\(acksSent) ACKs sent, \(acksCounted) counted"
    }
}
