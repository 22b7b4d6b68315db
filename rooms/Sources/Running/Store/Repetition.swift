/// Compares the runs of a cell that runs several times: each run must show the same, except where the cell is a race.

package struct Repetition: Sendable {
    private struct Showing: Hashable {
        var ending: String
        var gating: Bool
        var counts: ResultLine.Counts

        var text: String { "'\(ending), \(gating ? "" : "not ")gating, \(counts.text)'" }
    }

    /// What the legs of each cell showed in its first run; nil for a leg that is a race.
    private var first: [String: [Showing?]] = [:]

    package init() {}

    /// What differs from the cell's first run, in one sentence; nil where nothing does. Legs that are races may differ.
    package mutating func difference(_ line: ResultLine) -> String? {
        let showings = line.legs.map { leg in
            leg.predicted.isRace
                ? nil : Showing(ending: leg.ending, gating: leg.gating, counts: leg.counts.keeping(leg.predicted.counts))
        }
        let before = first[line.cell, default: showings]
        first[line.cell] = before
        guard before.count == showings.count || before.contains(nil) else {
            return "\(line.cell): expected \(before.count) legs each time, found \(showings.count)"
        }
        for (number, legs) in zip(before, showings).enumerated() {
            guard case (let before?, let showing?) = legs, before != showing else { continue }
            let what = before.ending != showing.ending ? "ending" : before.gating != showing.gating ? "gating" : "counts"
            let leg = line.legs.count > 1 ? "leg \(number + 1): " : ""
            return "\(line.cell): \(leg)expected the same \(what) each time, found \(before.text) and \(showing.text)"
        }
        return nil
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
