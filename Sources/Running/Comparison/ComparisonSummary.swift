/// What a comparison of many cells found, in numbers: how many cells are equal, and what each entry of the list excused.
import Matrix

package struct ComparisonSummary: Sendable {
    /// What an entry excused.
    package struct Excuses: Hashable, Sendable {
        package var differences = 0
        package var cells = 0
    }

    package private(set) var compared = 0
    package private(set) var equal = 0
    /// Cells in which the list excuses every difference, all of them as chance; and how many of them equal the engine's run with another
    /// seed.
    package private(set) var chance = 0
    package private(set) var chanceWhole = 0
    /// Cells in which the list excuses every difference, one of them at least as a difference of the engine.
    package private(set) var listed = 0
    package private(set) var races = 0
    package private(set) var reached = 0
    /// Those of them that were reached event by event.
    package private(set) var reachedWhole = 0
    package private(set) var forced = 0
    /// Cells with differences that no entry excuses, or whose observed way was not reached.
    package private(set) var findings = 0
    /// Differences of the engine that the list excuses, and differences that no entry excuses.
    package private(set) var listedDifferences = 0
    package private(set) var unlistedDifferences = 0
    /// Reasons why cells were left out, with how many there were of each.
    package private(set) var leftOut: [String: Int] = [:]
    private var excuses: [String: Excuses] = [:]
    private var concerned: Set<String> = []
    private let list: DifferenceList

    package init(list: DifferenceList) { self.list = list }

    package mutating func leaveOut(_ reason: String) { leftOut[reason, default: 0] += 1 }

    package mutating func add(_ comparison: CellComparison) {
        compared += 1
        if comparison.isForced { forced += 1 }
        if comparison.isFinding { findings += 1 }
        for entry in list.all where entry.concerns(comparison.cell.qemu) { concerned.insert(entry.id) }
        let excused = comparison.excused
        for excuse in excused { excuses[excuse.entry.id, default: Excuses()].differences += 1 }
        for id in Set(excused.map(\.entry.id)) { excuses[id]!.cells += 1 }
        listedDifferences += excused.count { $0.entry.kind == .difference }
        switch comparison.outcome {
        case .equal: equal += 1
        case .excused(let account, let seed):
            if account.hasExcused(.difference) {
                listed += 1
            } else {
                chance += 1
                if seed != nil { chanceWhole += 1 }
            }
        case .reached(_, let account):
            races += 1
            reached += 1
            if account.isEqual { reachedWhole += 1 }
        case .notComparable: races += 1
        case .notReached:
            races += 1
            unlistedDifferences += 1
        case .differs(let account): unlistedDifferences += account.unlisted.count
        }
    }

    /// What each entry excused, in the order of the list; entries that concern no cell that was compared are left out.
    package var excusedByEntry: [(entry: ListedDifference, excuses: Excuses)] {
        list.all.filter { concerned.contains($0.id) }.map { ($0, excuses[$0.id] ?? Excuses()) }
    }

    /// Entries that concern a cell that was compared, excused nothing, and give no reason why they may.
    package var absent: [ListedDifference] { list.all.filter { concerned.contains($0.id) && excuses[$0.id] == nil && $0.sometimes == nil } }
    /// Entries that concern no cell that was compared.
    package var idle: [ListedDifference] { list.all.filter { !concerned.contains($0.id) } }

    /// `found`: what the examined side is called.
    package func closingLine(found: String) -> String {
        var parts = ["\(equal) equal"]
        parts.append("\(chance) equal but for chance" + (chanceWhole > 0 ? " (\(chanceWhole) equal with another seed)" : ""))
        if listed > 0 { parts.append("\(listed) equal but for listed differences") }
        let all = reached == races ? "all" : "\(reached)"
        parts.append(counted(races, "race") + (reached > 0 ? " (observed way reached by the \(found) in \(all))" : ""))
        parts += [counted(listedDifferences, "listed difference"), counted(unlistedDifferences, "unlisted difference")]
        return "\(counted(compared, "cell")) compared: " + parts.joined(separator: ", ")
    }
}
