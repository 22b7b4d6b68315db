/// The cells of a run that were findings, for another run of these.
import Matrix
import Plan

package struct FailedCells: Sendable {
    private var names: Set<String> = []
    /// Names of QEMU's cells that judge an engine's cell which was a finding.
    private var witnesses: Set<String> = []

    /// Reads the results in a folder; a cell that ran several times is a finding if one of its runs was. Throws as `ResultReader`.
    package init(ofRunIn folder: String) throws {
        var reader = try ResultReader(path: folder + "/results.jsonl")
        while let line = try reader.next()?.line {
            guard line.finding else { continue }
            names.insert(line.cell)
            if line.kind == .engine { witnesses.insert(sharedCellName(line.cell)) }
        }
    }

    package var count: Int { names.count }

    /// True if the cell was a finding, or judges one.
    package func wants(_ cell: Cell) -> Bool { names.contains(cell.name) || cell.kind == .qemu && witnesses.contains(cell.name) }

    /// The findings that are none of these cells, sorted.
    package func missing(among cells: [Cell]) -> [String] { names.subtracting(cells.map(\.name)).sorted() }
}
