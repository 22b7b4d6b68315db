/// What changed from one run to another: new failures, cells that are fixed, and handshakes that changed although both runs passed.
import Matrix
import Plan
import Running

package struct Regressions: Sendable {
    package struct Change: Hashable, Sendable {
        /// The cell's names in the two runs; the same, unless the sides were renamed.
        package let before: String
        package let after: String
        /// What changed, in one sentence.
        package let what: String
    }

    package private(set) var newFailures: [Change] = []
    package private(set) var fixed: [Change] = []
    package private(set) var stillFailing: [Change] = []
    /// Both passed, and the handshake or its ending is another one.
    package private(set) var changed: [Change] = []
    /// Cells that only one of the runs has, by its own name, sorted.
    package private(set) var onlyBefore: [String] = []
    package private(set) var onlyAfter: [String] = []
    /// The number of cells that both runs have.
    package private(set) var compared = 0
    /// The sides of the first run by their names, as the second run names them.
    package let renamed: [String: String]

    /// Compares two runs. A side of the first run that `renamed` names is taken for the side of that name in the second run, and its
    /// machine types for that one's.
    package init(from before: RunOutcomes, to after: RunOutcomes, renamed: [String: String]) {
        self.renamed = renamed
        var rest = after.cells
        for outcome in before.cells.values.sorted(by: { $0.cell < $1.cell }) {
            guard let other = rest.removeValue(forKey: outcome.name(renamed)) else {
                onlyBefore.append(outcome.cell)
                continue
            }
            compared += 1
            compare(outcome, other)
        }
        onlyAfter = rest.keys.sorted()
    }

    private mutating func compare(_ before: CellOutcome, _ after: CellOutcome) {
        func change(_ what: String) -> Change { Change(before: before.cell, after: after.cell, what: what) }
        switch (before.passed, after.passed) {
        case (true, false): newFailures.append(change("\(after.verdict): \(after.reason ?? "no reason was given")"))
        case (false, true): fixed.append(change("was \(before.verdict): \(before.reason ?? "no reason was given")"))
        case (false, false): stillFailing.append(change("\(after.verdict): \(after.reason ?? "no reason was given")"))
        case (true, true):
            var changes: [String] = []
            if before.legs.count != after.legs.count { changes.append("legs: \(before.legs.count) -> \(after.legs.count)") }
            for (number, legs) in zip(before.legs, after.legs).enumerated() {
                let label = before.legs.count > 1 ? "leg \(number + 1): " : ""
                changes += legs.0.changes(to: legs.1).map { label + $0 }
            }
            let lost = before.deviations.filter { !after.deviations.contains($0) }
            let new = after.deviations.filter { !before.deviations.contains($0) }
            changes += lost.map { "no longer the known deviation \($0)" } + new.map { "now the known deviation \($0)" }
            if !changes.isEmpty { changed.append(change(changes.joined(separator: "; "))) }
        }
    }
}

extension Regressions {
    /// What the sides of the first run are called in the second one, where the runs have no cell in common and each has one side of a kind:
    /// a run of 10.0 alone beside one of 11.1 alone.
    package static func renamed(from before: RunOutcomes, to after: RunOutcomes) -> [String: String] {
        guard Set(before.cells.keys).isDisjoint(with: after.cells.keys) else { return [:] }
        var renamed: [String: String] = [:]
        for isOfEngine in [false, true] {
            func names(_ run: RunOutcomes) -> [String] {
                run.sides.map(\.name).filter { $0.hasPrefix(SideImplementation.enginePrefix) == isOfEngine }
            }
            let (old, new) = (names(before), names(after))
            if old.count == 1, new.count == 1, old != new { renamed[old[0]] = new[0] }
        }
        return renamed
    }

    /// Changes with the same words, the most frequent first.
    package static func groups(_ changes: [Change]) -> [(what: String, cells: [String])] {
        Dictionary(grouping: changes, by: \.what).map { ($0.key, $0.value.map(\.after).sorted()) }
            .sorted { ($1.1.count, $0.0) < ($0.1.count, $1.0) }
    }
}

extension CellOutcome {
    /// The cell's name after its sides were renamed.
    func name(_ renamed: [String: String]) -> String {
        let sides = "\(source.binary)-\(destination.binary)+"
        guard cell.hasPrefix(sides), renamed[source.binary] != nil || renamed[destination.binary] != nil else { return cell }
        var words = cell.dropFirst(sides.count).split(separator: "+", omittingEmptySubsequences: false).map(String.init)
        // The first word is the machine, `q35-10.0`; a type that is named after neither side stays.
        for name in [source.binary, destination.binary] {
            guard let new = renamed[name], let machine = words.first else { continue }
            let (old, wanted) = (sharedCellName(name), sharedCellName(new))
            if machine.hasSuffix("-" + old) {
                words[0] = machine.dropLast(old.count) + wanted
                break
            }
        }
        let (from, to) = (renamed[source.binary] ?? source.binary, renamed[destination.binary] ?? destination.binary)
        return "\(from)-\(to)+" + words.joined(separator: "+")
    }
}
