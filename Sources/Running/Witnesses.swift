/// The endings of QEMU's cells, which judge the engine's cells of the same names.
import Matrix
import Plan
import Verification

/// A cell is a witness if it is no race and ends the same way each time that it runs.
struct Witnesses {
    private let names: Set<String>
    /// Endings by the name of the cell.
    private(set) var endings: [String: String] = [:]
    private var contradicted: Set<String> = []

    /// Only a binary that has an engine of its generation is a witness.
    init(_ binaries: [ProbedBinary]) { names = Set(binaries.filter { $0.counterpart != nil }.map(\.binary.name)) }

    /// `ending` is a result's text for how the cell ended.
    mutating func append(_ cell: Cell, ending: String) {
        guard !cell.isRace, names.contains(cell.plan.source.binary.name), names.contains(cell.plan.leg.destination.binary.name),
            !contradicted.contains(cell.name)
        else { return }
        // A cell without a known end is no witness.
        guard ending != CellResult.brokenEnding, ending != Verdict.undecided.rawValue else { return }
        guard let before = endings.updateValue(ending, forKey: cell.name), before != ending else { return }
        endings[cell.name] = nil
        contradicted.insert(cell.name)
    }
}
