/// A condition on cells: `source = 11.1 & reinits > 0 & !driver(colo)`.
import MigrationTrace
import Plan
import Prediction

package struct CellFilter: Hashable, Sendable {
    indirect enum Node: Hashable, Sendable {
        case and(Node, Node)
        case or(Node, Node)
        case not(Node)
        case test(Test)
    }

    enum Comparison: String, Hashable, Sendable {
        case equal = "="
        case less = "<"
        case atMost = "<="
        case greater = ">"
        case atLeast = ">="
        /// The value contains the text.
        case contains = "~"
    }

    struct Test: Hashable, Sendable {
        let subject: Subject
        let comparison: Comparison
        /// Any of these.
        let values: [String]
        /// The folder of the results that are asked; nil: the cell itself.
        let folder: String?
    }

    /// What a test is about.
    enum Subject: Hashable, Sendable {
        case axis(String)
        case field(FilterField)
        /// A cell of a run: it is there, it is a finding, or it is none.
        case ran, failed, passed
    }

    let root: Node

    /// The folders of results that the filter asks, in the order of their first mention.
    package var folders: [String] {
        var folders: [String] = []
        func visit(_ node: Node) {
            switch node {
            case .and(let one, let other), .or(let one, let other):
                visit(one)
                visit(other)
            case .not(let node): visit(node)
            case .test(let test): if let folder = test.folder, !folders.contains(folder) { folders.append(folder) }
            }
        }
        visit(root)
        return folders
    }
}

/// What can be asked of a cell beside its axes.
package enum FilterField: String, CaseIterable, Hashable, Sendable {
    case name, machine, mode, kind, product, legs, racy, verdict, rule

    package var about: String {
        switch self {
        case .name: "the name of the cell"
        case .machine: "the machine type of the source"
        case .mode: "the mode of the source: legacy, per-device or none"
        case .kind: "the kind of its sides: qemu or engine"
        case .product: "the product of the matrix file that makes it"
        case .legs: "the number of migrations"
        case .racy: "yes where nothing forces how the cell ends, else no"
        case .verdict: "an ending that is predicted, or, with `in FOLDER`, the one that a run has found"
        case .rule: "a rule that a known deviation of the cell breaks, or, with `in FOLDER`, one that broke in a run"
        }
    }
}

/// The words that a filter may use, for messages that name the nearest ones.
package struct FilterVocabulary: Sendable {
    let axes: [Axis]
    /// The names of the sides; the axes `source` and `destination` take them as values.
    let sides: [String]
    let products: [String]
    let rules: [String]
    let verdicts: [String]

    package init(axes: [Axis], sides: [String], products: [String], rules: [String], verdicts: [String]) {
        self.axes = axes
        self.sides = sides
        self.products = products
        self.rules = rules
        self.verdicts = verdicts
    }

    var subjects: [String] { axes.map(\.name) + FilterField.allCases.map(\.rawValue) + ["failed", "passed", "ran"] }

    /// The values that a subject may be equal to; nil: any text.
    func values(of subject: CellFilter.Subject) -> [String]? {
        switch subject {
        case .axis(let name):
            let values = axes.first { $0.name == name }?.values ?? []
            return CellAxis(rawValue: name)?.isSide == true ? values + sides : values
        case .field(let field):
            switch field {
            case .name, .machine, .legs: return nil
            case .mode: return SwitchoverAckMode.allCases.map(\.rawValue) + ["none"]
            case .kind: return SideKind.allCases.map(\.rawValue)
            case .product: return products
            case .racy: return ["yes", "no"]
            case .verdict: return verdicts
            case .rule: return rules
            }
        case .ran, .failed, .passed: return []
        }
    }
}

extension CellAxis {
    fileprivate var isSide: Bool { self == .source || self == .destination }
}

/// What a run has found of a cell.
package struct CellOutcome: Hashable, Sendable {
    package var isFinding: Bool
    package var verdicts: Set<String>
    package var rules: Set<String>

    package init(isFinding: Bool, verdicts: Set<String>, rules: Set<String>) {
        self.isFinding = isFinding
        self.verdicts = verdicts
        self.rules = rules
    }
}

/// What a filter looks up beside the cell itself.
package struct FilterSources: Sendable {
    /// The outcomes of the cells of each run, by the folder as the filter names it and by the name of the cell.
    var runs: [String: [String: CellOutcome]]
    /// The rules that known deviations of a cell break.
    let rules: @Sendable (Cell) -> [String]

    package init(runs: [String: [String: CellOutcome]] = [:], rules: @escaping @Sendable (Cell) -> [String] = { _ in [] }) {
        self.runs = runs
        self.rules = rules
    }
}

// MARK: Evaluation

extension CellFilter {
    package func accepts(_ cell: Cell, _ sources: FilterSources = FilterSources()) -> Bool { accepts(root, cell, sources) }

    private func accepts(_ node: Node, _ cell: Cell, _ sources: FilterSources) -> Bool {
        switch node {
        case .and(let one, let other): accepts(one, cell, sources) && accepts(other, cell, sources)
        case .or(let one, let other): accepts(one, cell, sources) || accepts(other, cell, sources)
        case .not(let node): !accepts(node, cell, sources)
        case .test(let test): test.holds(of: cell, sources)
        }
    }
}

extension CellFilter.Test {
    fileprivate func holds(of cell: Cell, _ sources: FilterSources) -> Bool {
        let found: [String]
        switch subject {
        case .axis(let name): found = cell.values(onAxis: name)
        case .field(let field):
            if let folder {
                guard let outcome = sources.runs[folder]?[cell.name] else { return false }
                found = Array(field == .rule ? outcome.rules : outcome.verdicts)
            } else {
                found = field == .rule ? sources.rules(cell) : cell.values(of: field)
            }
        case .ran, .failed, .passed:
            guard let folder, let outcome = sources.runs[folder]?[cell.name] else { return false }
            return subject == .ran || outcome.isFinding == (subject == .failed)
        }
        return values.contains { wanted in found.contains { comparison.holds($0, wanted) } }
    }
}

extension CellFilter.Comparison {
    func holds(_ found: String, _ wanted: String) -> Bool {
        if self == .equal { return found == wanted }
        if self == .contains { return found.contains(wanted) }
        guard let one = filterRank(found), let other = filterRank(wanted) else { return false }
        return switch self {
        case .less: one.lexicographicallyPrecedes(other)
        case .atMost: !other.lexicographicallyPrecedes(one)
        case .greater: other.lexicographicallyPrecedes(one)
        case .atLeast: !one.lexicographicallyPrecedes(other)
        case .equal, .contains: false
        }
    }
}

/// The numbers of a value that has an order: those of a count, of a release, or of the release of a machine type. What never ends is above
/// every number. nil: the value has no order.
func filterRank(_ value: String) -> [Int]? {
    if value == Reinits.forever.word { return [.max] }
    var digits = value[...]
    for prefix in [SideImplementation.enginePrefix, "pc-", "q35-", "i440fx-"] where digits.hasPrefix(prefix) {
        digits = digits.dropFirst(prefix.count)
    }
    let numbers = digits.split(separator: ".", omittingEmptySubsequences: false).map { Int($0) }
    guard !numbers.isEmpty, numbers.count <= 4, numbers.allSatisfy({ $0 != nil && $0! >= 0 }) else { return nil }
    return numbers.compactMap { $0 }
}

extension Cell {
    /// The value on an axis; of a side its name, with and without the prefix of engines, too.
    fileprivate func values(onAxis name: String) -> [String] {
        let value = selection.value(on: name).map { [$0] } ?? []
        let side: String
        switch CellAxis(rawValue: name) {
        case .source: side = plan.source.binary.name
        case .destination: side = plan.leg.destination.binary.name
        default: return value
        }
        return [side, sharedCellName(side)] + value
    }

    fileprivate func values(of field: FilterField) -> [String] {
        switch field {
        case .name: [name]
        case .machine: [plan.source.machine, plan.source.machine.replacing("pc-", with: "")]
        case .mode: [mode?.rawValue ?? "none"]
        case .kind: [kind.rawValue]
        case .product: [product]
        case .legs: ["\(plan.legs.count)"]
        case .racy: [isRace ? "yes" : "no"]
        case .verdict: Array(Set(lastForecast.outcomes.map(\.ending.rawValue)))
        case .rule: []
        }
    }
}
