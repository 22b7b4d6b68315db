/// Compares the runs of a cell that runs several times: each run must show the same, except where the cell is a race. A cell that is a
/// finding each time fails; one that is a finding only sometimes, or that shows something else without being a race, is flaky.

package struct Repetition: Sendable {
    private struct Showing: Hashable {
        var ending: String
        var gating: Bool
        var counts: ResultLine.Counts

        var text: String { "'\(ending), \(gating ? "" : "not ")gating, \(counts.text)'" }
    }

    /// How often a cell ran, and how often that was a finding.
    package struct Tally: Hashable, Sendable {
        package let cell: String
        package var runs = 0
        package var findings = 0
        /// True if two runs differ although the cell is no race.
        package var varies = false

        package var isFailing: Bool { findings == runs }
        package var isFlaky: Bool { !isFailing && (findings > 0 || varies) }

        /// `CELL, a finding in 3 of 10 runs`.
        package var text: String { "\(cell), a finding in \(findings) of \(runs) runs" }
    }

    /// What the legs of each cell showed in its first run; nil for a leg that is a race.
    private var first: [String: [Showing?]] = [:]
    private var tallies: [String: Tally] = [:]

    package init() {}

    /// The cells that are flaky, sorted by name.
    package var flaky: [Tally] { tallies.values.filter(\.isFlaky).sorted { $0.cell < $1.cell } }
    /// The cells that are a finding in each of their runs, sorted by name.
    package var failing: [Tally] { tallies.values.filter(\.isFailing).sorted { $0.cell < $1.cell } }

    /// Counts a run of a cell. Returns what differs from the cell's first run, in one sentence; nil where nothing does. Legs that are races
    /// may differ.
    package mutating func add(_ line: ResultLine) -> String? {
        let difference = difference(line)
        var tally = tallies[line.cell] ?? Tally(cell: line.cell)
        tally.runs += 1
        if line.finding { tally.findings += 1 }
        if difference != nil { tally.varies = true }
        tallies[line.cell] = tally
        return difference
    }

    private mutating func difference(_ line: ResultLine) -> String? {
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
    package func keeping(_ names: [String]) -> Self {
        var kept = ResultLine.Counts()
        if names.contains("requests") { kept.requests = requests }
        if names.contains("countedIn") { (kept.countedIn, kept.countedInUnnamed) = (countedIn, countedInUnnamed) }
        if names.contains("approvals") { kept.approvals = approvals }
        if names.contains("acksSent") { kept.acksSent = acksSent }
        if names.contains("acksCounted") { kept.acksCounted = acksCounted }
        return kept
    }

    /// The sums over all devices.
    package var text: String {
        func sum(_ counts: [String: Int]) -> Int { counts.values.reduce(0, +) }
        return "\(sum(requests)) requests, \(sum(countedIn) + countedInUnnamed) counted in, \(sum(approvals)) approvals, "
            + "\(acksSent) ACKs sent, \(acksCounted) counted"
    }
}
