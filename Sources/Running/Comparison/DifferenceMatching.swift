/// What differs between two runs of a cell, and which of the differences the list excuses.
import Matrix
import MigrationTrace
import Verification

/// A difference between two runs of a cell.
package struct LocatedDifference: Hashable, Sendable {
    /// From 1; nil in a cell of one leg, and for what is of the cell as a whole.
    package let leg: Int?
    package let difference: Difference
}

/// A difference that an entry of the list excuses.
package struct ExcusedDifference: Hashable, Sendable {
    package let entry: ListedDifference
    package let located: LocatedDifference
}

/// All differences between two runs of a cell.
package struct DifferenceAccount: Hashable, Sendable {
    /// Differences that no entry excuses.
    package var unlisted: [LocatedDifference] = []
    /// A difference whose steps several entries match is here once for each of the entries.
    package var excused: [ExcusedDifference] = []

    package var isEqual: Bool { unlisted.isEmpty && excused.isEmpty }
    package func hasExcused(_ kind: ListedDifference.Kind) -> Bool { excused.contains { $0.entry.kind == kind } }
}

extension DifferenceList {
    /// Compares what was `found` with what is `expected`, leg by leg. `cell` is QEMU's.
    package func account(of found: ComparedRun, against expected: ComparedRun, in cell: Cell) -> DifferenceAccount {
        var account = DifferenceAccount()
        let isSeveral = max(found.legs.count, expected.legs.count, cell.forecasts.count) > 1
        let ofCell = all.filter { $0.concerns(cell) }
        for difference in differencesOfTheWhole(found, expected) { account.add(difference, leg: nil, ofCell) }
        for (index, (ours, theirs)) in zip(found.legs, expected.legs).enumerated() {
            let leg = isSeveral ? index + 1 : nil
            let entries = ofCell.filter {
                $0.scope.concerns(cell, leg: index) && $0.scope.isSeen(in: ours.sequence, or: theirs.sequence)
            }
            for difference in ours.judgement.differences(from: theirs.judgement) { account.add(difference, leg: leg, entries) }
            account.addSteps(ours.sequence, theirs.sequence, leg: leg, entries)
        }
        return account
    }
}

private func differencesOfTheWhole(_ found: ComparedRun, _ expected: ComparedRun) -> [Difference] {
    var all: [Difference] = []
    if found.legs.count != expected.legs.count || found.legs.isEmpty {
        func text(_ run: ComparedRun) -> String { run.ending + (run.words.map { " (\($0))" } ?? "") }
        let differs = found.ending != expected.ending || found.words != nil && expected.words != nil && found.words != expected.words
        if differs { all.append(.ending(expected: text(expected), found: text(found))) }
    }
    if found.legs.count != expected.legs.count {
        all.append(.extent("legs: expected \(expected.legs.count), found \(found.legs.count)"))
    }
    return all
}

extension ListedDifference.Scope {
    fileprivate func isSeen(in one: ProtocolSequence, or other: ProtocolSequence) -> Bool {
        seen.isEmpty
            || [one, other].contains { sequence in
                sequence.threads.values.contains { steps in steps.contains { step in seen.contains { matches(step.text, $0) } } }
            }
    }
}

extension DifferenceAccount {
    /// Adds a difference in ending, counts, rules or extent.
    fileprivate mutating func add(_ difference: Difference, leg: Int?, _ entries: [ListedDifference]) {
        guard case .rules(let onlyExpected, let onlyFound) = difference else {
            let located = LocatedDifference(leg: leg, difference: difference)
            guard let entry = entries.first(where: { $0.pattern.matches(difference) }) else { return unlisted.append(located) }
            return excused.append(ExcusedDifference(entry: entry, located: located))
        }
        // Each broken rule is a difference.
        var unexplained: (expected: [String], found: [String]) = ([], [])
        for (rule, isExpected) in onlyExpected.map({ ($0, true) }) + onlyFound.map({ ($0, false) }) {
            let one = Difference.rules(onlyExpected: isExpected ? [rule] : [], onlyFound: isExpected ? [] : [rule])
            if let entry = entries.first(where: { $0.pattern.matches(one) }) {
                excused.append(ExcusedDifference(entry: entry, located: LocatedDifference(leg: leg, difference: one)))
            } else if isExpected {
                unexplained.expected.append(rule)
            } else {
                unexplained.found.append(rule)
            }
        }
        guard !unexplained.expected.isEmpty || !unexplained.found.isEmpty else { return }
        unlisted.append(
            LocatedDifference(leg: leg, difference: .rules(onlyExpected: unexplained.expected, onlyFound: unexplained.found)))
    }

    /// Adds the differences of order: those that remain when the steps that entries match are set aside are unlisted.
    fileprivate mutating func addSteps(
        _ found: ProtocolSequence, _ expected: ProtocolSequence, leg: Int?, _ entries: [ListedDifference]
    ) {
        let differences = found.differences(from: expected)
        guard !differences.isEmpty else { return }
        let entries = entries.filter { $0.pattern.steps != nil }
        let (ours, theirs) = setAside(entries, found, expected)
        let remaining = ours.differences(from: theirs)
        unlisted += remaining.map { LocatedDifference(leg: leg, difference: $0) }
        let open = Set(remaining.compactMap(\.thread))
        for difference in differences {
            let located = LocatedDifference(leg: leg, difference: difference)
            var excuses: [ListedDifference]
            switch difference {
            case .order(let order):
                let steps = order.expected + order.found
                excuses = entries.filter { $0.pattern.matches(order.thread) && steps.contains(where: $0.pattern.matches) }
                // Two steps changed places, and either may be the one that the alignment left where it was.
                if excuses.isEmpty, !open.contains(order.thread) {
                    let all = (found.threads[order.thread] ?? []) + (expected.threads[order.thread] ?? [])
                    excuses = Array(
                        entries.filter { $0.pattern.matches(order.thread) && all.contains(where: $0.pattern.matches) }.prefix(1))
                }
            case .extent:
                excuses = Array(entries.filter { $0.pattern.isOfWholeThreads && !remaining.contains(difference) }.prefix(1))
            case .ending, .count, .rules: excuses = []
            }
            excused += excuses.map { ExcusedDifference(entry: $0, located: located) }
        }
    }
}

extension Difference {
    fileprivate var thread: ProtocolThread? { if case .order(let order) = self { order.thread } else { nil } }
}

extension DifferencePattern {
    /// No step of a thread that matches is compared to its end.
    fileprivate var isOfWholeThreads: Bool { (steps == .any || steps == .more) && events.isEmpty && texts.isEmpty }
}

/// Both sequences without what the entries say may differ.
private func setAside(_ entries: [ListedDifference], _ found: ProtocolSequence, _ expected: ProtocolSequence) -> (
    found: ProtocolSequence, expected: ProtocolSequence
) {
    var (ours, theirs) = (found.threads, expected.threads)
    var cut = found.cut.union(expected.cut)
    for thread in Set(ours.keys).union(theirs.keys) {
        let entries = entries.filter { $0.pattern.matches(thread) }
        if entries.isEmpty { continue }
        if entries.contains(where: \.pattern.isOfWholeThreads) { cut.remove(thread) }
        var (one, other) = (ours[thread] ?? [], theirs[thread] ?? [])
        for entry in entries where entry.pattern.steps != .more {
            (one, other) = (entry.without(one), entry.without(other))
        }
        for entry in entries where entry.pattern.steps == .more { entry.pattern.shorten(&one, &other) }
        (ours[thread], theirs[thread]) = (one, other)
    }
    return (
        ProtocolSequence(threads: ours, cut: found.cut.intersection(cut)),
        ProtocolSequence(threads: theirs, cut: expected.cut.intersection(cut))
    )
}

extension ListedDifference {
    /// The steps that are compared where the entry applies.
    fileprivate func without(_ steps: [ProtocolStep]) -> [ProtocolStep] {
        switch pattern.steps {
        case nil, .more: steps
        case .any: steps.filter { !pattern.matches($0) }
        case .alike:
            steps.map { pattern.matches($0) ? ProtocolStep(text: "\($0.event) (\(id))", event: $0.event, place: $0.place) : $0 }
        }
    }
}

extension DifferencePattern {
    /// Where one of two begins with all of the other, and goes on with steps that match and are of the kinds that both have: without those.
    fileprivate func shorten(_ one: inout [ProtocolStep], _ other: inout [ProtocolStep]) {
        let common = min(one.count, other.count)
        guard common > 0, one.prefix(common) == other.prefix(common) else { return }
        let kinds = Set(one.prefix(common))
        guard (one.dropFirst(common) + other.dropFirst(common)).allSatisfy({ kinds.contains($0) && matches($0) }) else { return }
        (one, other) = (Array(one.prefix(common)), Array(other.prefix(common)))
    }
}
