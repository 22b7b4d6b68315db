/// From a cell's name to the cell, without making the rest of the matrix.
import Plan

extension Recipe {
    /// The cell with exactly this name, up to a tier or of any tier that its sides have. nil if there is none, with the reasons if a
    /// product makes the cell and these binaries cannot run it.
    package static func cell(named name: String, of file: MatrixFile, upTo tier: Tier? = nil, binaries: [ProbedBinary]) throws -> (
        cell: Cell?, skipped: SkippedCells
    ) {
        var skipped = SkippedCells()
        for source in binaries {
            for destination in binaries where source.binary.kind == destination.binary.kind {
                let sides = "\(source.binary.name)-\(destination.binary.name)+"
                guard name.hasPrefix(sides) else { continue }
                // The first word names the machine. All boards and types are tried, and the name decides.
                let words = name.dropFirst(sides.count).split(separator: "+", omittingEmptySubsequences: false).dropFirst()
                guard let changes = file.changes(tokens: words.map(String.init)) else { continue }
                for planned in file.planned(changes, upTo: tier, from: source, to: destination) {
                    let made = try cells(of: planned.selection, product: planned.product, binaries: [source, destination]) { $0 == name }
                    if let cell = made.cells.first { return (cell, SkippedCells()) }
                    skipped.formUnion(made.skipped)
                }
            }
        }
        return (nil, skipped)
    }
}

extension MatrixFile {
    /// The values that these tokens of a name stand for, by axis; nil if a token stands for none, or two stand for values of one axis.
    fileprivate func changes(tokens: [String]) -> [String: String]? {
        var changes: [String: String] = [:]
        for token in tokens {
            let meaning = axes.lazy.compactMap { axis in
                axis.values.dropFirst().first { axis.token(of: $0) == token }.map { (axis: axis.name, value: $0) }
            }.first
            guard let meaning, changes.updateValue(meaning.value, forKey: meaning.axis) == nil else { return nil }
        }
        return changes
    }

    /// The selections with these changes that a product makes for such sides, of any board and machine type, in the order of the products.
    fileprivate func planned(
        _ changes: [String: String], upTo most: Tier?, from source: ProbedBinary, to destination: ProbedBinary
    ) -> [PlannedSelection] {
        guard let from = AckSupport(source.features), let to = AckSupport(destination.features) else { return [] }
        let sides = [CellAxis.source.rawValue: from.word, CellAxis.destination.rawValue: to.word]
        let selections = MachineBoard.allCases.flatMap { board in
            MachineKind.allCases.map { type in [CellAxis.board.rawValue: board.word, CellAxis.type.rawValue: type.word] }
        }.compactMap { machine in Selection(axes, changes.merging(sides) { $1 }.merging(machine) { $1 }) }
        let widest = source.binary.kind.widestTier
        let tier = min(most ?? widest, widest)
        return selections.compactMap { plan(of: $0, upTo: tier) }.sorted { $0.position < $1.position }.map(\.planned)
    }
}

extension AckSupport {
    fileprivate init?(_ features: ProbedFeatures) {
        guard let support = Self.allCases.first(where: { $0.fits(features) }) else { return nil }
        self = support
    }
}
