/// What a cell showed in a run, as far as runs are compared with each other.
import Matrix
import Plan
import Running

/// What a leg showed of the handshake, without what depends on timing.
package struct LegShowing: Hashable, Sendable, Codable {
    package var ending: String
    package var gating: Bool
    /// True if the leg may end in several ways, so that a change of it means nothing.
    package var isRace: Bool
    /// The counts that the prediction names; the others are left out.
    package var counted: [String]
    package var counts: ResultLine.Counts

    init(_ leg: ResultLine.Leg) {
        (ending, gating, isRace, counted) = (leg.ending, leg.gating, leg.predicted.isRace, leg.predicted.counts)
        counts = leg.counts.keeping(leg.predicted.counts)
    }

    /// `completed, gating, 2 requests, 2 counted in, 2 approvals, 2 ACKs sent, 2 counted`.
    package var text: String { "\(ending), \(gating ? "" : "not ")gating, \(counts.text)" }

    /// What differs from another run, in a few words each; counts only where both predictions name them.
    func changes(to other: Self) -> [String] {
        guard !isRace, !other.isRace else { return [] }
        var changes: [String] = []
        if ending != other.ending { changes.append("ending: \(ending) -> \(other.ending)") }
        if gating != other.gating { changes.append("gating: \(gating ? "yes" : "no") -> \(other.gating ? "yes" : "no")") }
        func compare(_ name: String, _ what: String, _ text: (ResultLine.Counts) -> String) {
            guard counted.contains(name), other.counted.contains(name) else { return }
            let (before, after) = (text(counts), text(other.counts))
            if before != after { changes.append("\(what): \(before) -> \(after)") }
        }
        compare("requests", "requests") { Self.text($0.requests) }
        // Up to 11.0 a destination does not name the devices that it counts in.
        compare("countedIn", "counted in") { "\($0.countedIn.values.reduce($0.countedInUnnamed, +))" }
        compare("approvals", "approvals") { Self.text($0.approvals) }
        compare("acksSent", "ACKs sent") { "\($0.acksSent)" }
        compare("acksCounted", "ACKs counted") { "\($0.acksCounted)" }
        return changes
    }

    /// Counts by device: `3 (v0 2, v1 1)`, or `2 (1 each of v0, v1)`.
    private static func text(_ counts: [String: Int]) -> String {
        let sorted = counts.sorted { $0.key < $1.key }
        guard let first = sorted.first else { return "0" }
        let sum = sorted.reduce(0) { $0 + $1.value }
        guard sorted.count > 1 else { return "\(sum) (\(first.key))" }
        if sorted.allSatisfy({ $0.value == first.value }) {
            return "\(sum) (\(first.value) each of \(sorted.map(\.key).joined(separator: ", ")))"
        }
        return "\(sum) (\(sorted.map { "\($0.key) \($0.value)" }.joined(separator: ", ")))"
    }
}

package struct CellOutcome: Hashable, Sendable {
    package let cell: String
    package let source: ResultLine.Side
    package let destination: ResultLine.Side
    /// How often the cell ran, and how often that was a finding.
    package internal(set) var runs: Int
    package internal(set) var findings: Int
    /// Why it was a finding, the first time, in one sentence.
    package internal(set) var reason: String?
    /// Of its first run.
    package let legs: [LegShowing]
    /// The known deviations that it showed, sorted.
    package internal(set) var deviations: [String]
    /// The sum of its runs.
    package internal(set) var seconds: Double

    init(_ line: ResultLine) {
        (cell, source, destination) = (line.cell, line.source, line.destination)
        (runs, findings) = (1, line.finding ? 1 : 0)
        reason = line.findings.first
        legs = line.legs.map(LegShowing.init)
        deviations = Set(line.deviations.explained.map(\.id)).sorted()
        seconds = line.seconds
    }

    init(
        cell: String, source: ResultLine.Side, destination: ResultLine.Side, runs: Int, findings: Int, reason: String?, legs: [LegShowing],
        deviations: [String], seconds: Double
    ) {
        (self.cell, self.source, self.destination) = (cell, source, destination)
        (self.runs, self.findings, self.reason) = (runs, findings, reason)
        (self.legs, self.deviations, self.seconds) = (legs, deviations, seconds)
    }

    /// Adds another run of the cell.
    mutating func add(_ line: ResultLine) {
        runs += 1
        if line.finding { findings += 1 }
        reason = reason ?? line.findings.first
        deviations = Set(deviations + line.deviations.explained.map(\.id)).sorted()
        seconds += line.seconds
    }

    package var ending: String { legs.last?.ending ?? "no leg" }
    package var passed: Bool { findings == 0 }

    /// `as predicted`, `known deviation ID`, `FINDING`, or `flaky, a finding in 2 of 5 runs`.
    package var verdict: String {
        switch findings {
        case 0: deviations.isEmpty ? "as predicted" : "known deviation \(deviations.joined(separator: ", "))"
        case runs: "FINDING"
        default: "flaky, a finding in \(findings) of \(runs) runs"
        }
    }
}

/// The outcomes of a run, one for each cell.
package struct RunOutcomes: Sendable {
    /// The run in messages: its folder, or its id in a history.
    package let label: String
    package internal(set) var cells: [String: CellOutcome] = [:]

    init(label: String) { self.label = label }

    /// Reads the results in a run's folder. Throws as `ResultReader`.
    package init(ofRunIn folder: String) throws {
        self.init(label: folder)
        var reader = try ResultReader(path: folder + "/results.jsonl")
        try read(&reader)
    }

    mutating func read(_ reader: inout ResultReader) throws {
        while let line = try reader.next()?.line {
            if cells[line.cell]?.add(line) == nil { cells[line.cell] = CellOutcome(line) }
        }
    }

    /// The names of the sides and their versions, sorted by name.
    package var sides: [(name: String, version: String)] {
        var versions: [String: String] = [:]
        for cell in cells.values { for side in [cell.source, cell.destination] { versions[side.binary] = side.version } }
        return versions.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    /// `10.0 is 10.0.13, mine is 11.1.50`.
    package var sidesInWords: String {
        sides.map { $0.name == $0.version || $0.version.isEmpty ? $0.name : "\($0.name) is \($0.version)" }.joined(separator: ", ")
    }
}
