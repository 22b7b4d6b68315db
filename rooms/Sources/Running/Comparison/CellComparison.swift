/// Two runs of one cell against each other, and what the list of known differences makes of it.
import Matrix
import MigrationTrace
import Prediction
import Verification

/// A difference, and the entry of the list that explains it.
package struct ComparedDifference: Hashable, Sendable {
    package let difference: Difference
    /// From 1; nil in a cell of one leg, and where it is of the cell as a whole.
    package let leg: Int?
    /// The id of a known difference; nil: nothing explains it.
    package let known: String?
}

package struct CellComparison: Sendable {
    package enum Outcome: Hashable, Sendable {
        case equal
        /// What was observed, in ending and counts, is one of the ways that the other run may take: after so many of them. `isWhole`: and so is
        /// the order of its events.
        case reached(runs: Int, isWhole: Bool)
        /// A race between two sides that no seed can be given to.
        case notComparable
        /// None of so many runs went the way that was observed; the ways that they went.
        case notReached(observed: String, ways: [String])
        case differs([ComparedDifference])
    }

    package let cell: SharedCell
    package let outcome: Outcome
    /// Of the run that is taken for right.
    package let ending: String

    package init(cell: SharedCell, outcome: Outcome, ending: String) {
        self.cell = cell
        self.outcome = outcome
        self.ending = ending
    }

    package var isFinding: Bool {
        switch outcome {
        case .equal, .reached, .notComparable: false
        case .notReached: true
        case .differs(let differences): differences.contains { $0.known == nil }
        }
    }

    /// Ids of the known differences that showed.
    package var shown: Set<String> {
        if case .differs(let differences) = outcome { Set(differences.compactMap(\.known)) } else { [] }
    }

    /// One branch of a race, forced.
    package var isForced: Bool { cell.qemu.scenario.race != .natural }
}

extension SharedCell {
    /// A cell that runs on sides of one kind, to be compared with itself.
    package init(both cell: Cell) { self.init(qemu: cell, engine: cell) }
}

/// What differs between what was `found` and what is `expected`, leg by leg.
package func differences(of found: ComparedRun, from expected: ComparedRun, in cell: Cell) -> [(leg: Int?, difference: Difference)] {
    var all: [(leg: Int?, difference: Difference)] = []
    let isSeveral = max(found.legs.count, expected.legs.count, cell.forecasts.count) > 1
    if found.legs.count != expected.legs.count || found.legs.isEmpty {
        func text(_ run: ComparedRun) -> String { run.ending + (run.words.map { " (\($0))" } ?? "") }
        let differs = found.ending != expected.ending || found.words != nil && expected.words != nil && found.words != expected.words
        if differs { all.append((nil, .ending(expected: text(expected), found: text(found)))) }
    }
    if found.legs.count != expected.legs.count {
        all.append((nil, .extent("legs: expected \(expected.legs.count), found \(found.legs.count)")))
    }
    for (index, (ours, theirs)) in zip(found.legs, expected.legs).enumerated() {
        let forecast = cell.forecasts[index]
        let counts = forecast.comparedCounts
        var differences = ours.judgement.differences(from: theirs.judgement, counts: counts)
        // What may be counted or not has no place in the order either; and a destination of another machine refuses the first that it
        // reads, however far the source has come by then.
        let iterates = !forecast.scenario.machinesDiffer
        let found = ours.sequence.comparing(counts, iterates: iterates)
        let expected = theirs.sequence.comparing(counts, iterates: iterates)
        differences += found.differences(from: expected, isOpenEnded: forecast.scenario.requestsForever)
        all += differences.map { (isSeveral ? index + 1 : nil, $0) }
    }
    return all
}

extension Forecast {
    /// The counts that do not depend on who is faster.
    var comparedCounts: Set<String> {
        func isNamed<Value>(_ count: KeyPath<Outcome, Value?>) -> Bool { outcomes.allSatisfy { $0[keyPath: count] != nil } }
        var names: Set<String> = []
        if isNamed(\.requests) { names.insert("requests") }
        if isNamed(\.countedIn) { names.insert("counted-in") }
        if isNamed(\.approvals) { names.insert("approvals") }
        if isNamed(\.acksSent) { names.insert("acks-sent") }
        if isNamed(\.acksCounted) { names.insert("acks-counted") }
        return names
    }
}

extension ComparedRun {
    /// Which way a race went: the ending and the counts of each leg, as far as they are compared.
    func way(of cell: Cell) -> String {
        let counts = zip(legs, cell.forecasts).map { leg, forecast in
            leg.judgement.handshake.counts.filter { cell.isRace || forecast.comparedCounts.contains($0.name) }
                .map { "\($0.name) \($0.value)" }.joined(separator: "; ")
        }
        return ([ending] + (legs.count > 1 ? legs.map(\.judgement.verdict.rawValue) : []) + counts).joined(separator: "; ")
    }
}

extension KnownDifferences {
    /// Each difference with the entry that explains all of it.
    func explain(_ differences: [(leg: Int?, difference: Difference)], in cell: Cell) -> [ComparedDifference] {
        let entries = all.filter { $0.concerns(cell) }
        return differences.map { leg, difference in
            ComparedDifference(
                difference: difference, leg: leg, known: entries.first { $0.subjects.isSuperset(of: difference.subjects) }?.id)
        }
    }
}
