import EnginePeer
/// The two kinds of sides, and the cells that are the same migration on both.
import Plan

extension SideKind {
    /// One that is available, in words.
    var availableSide: String {
        switch self {
        case .qemu: "available binary"
        case .engine: "generation of the engine"
        }
    }
}

/// A migration that both kinds of sides can run: `11.1-11.1+WHAT` and `engine@11.1-engine@11.1+WHAT`.
package struct SharedCell: Sendable {
    package let qemu: Cell
    package let engine: Cell

    package init(qemu: Cell, engine: Cell) {
        self.qemu = qemu
        self.engine = engine
    }

    /// What both names have in common.
    package var name: String { engine.sharedName }
}

extension SharedCell {
    /// The cells, made for sides of both kinds, that are there on both, in the order of QEMU's.
    package static func pairs(in cells: [Cell]) -> [SharedCell] {
        let engines = Dictionary(cells.filter { $0.kind == .engine }.map { ($0.sharedName, $0) }) { first, _ in first }
        return cells.compactMap { cell in
            guard cell.kind == .qemu, let engine = engines[cell.name] else { return nil }
            return SharedCell(qemu: cell, engine: engine)
        }
    }

    /// Those of one selection, whose engines are of the generations that the binaries were probed to be and are named by.
    package static func cells(of planned: PlannedSelection, binaries: [ProbedBinary]) throws -> (
        shared: [SharedCell], missing: [Unavailable]
    ) {
        let qemus = binaries.filter { $0.binary.kind == .qemu }
        let made = try Recipe.cells(of: planned.selection, product: planned.product, binaries: qemus + qemus.compactMap(\.counterpart))
        return (pairs(in: made.cells), made.missing)
    }
}

extension ProbedBinary {
    /// The engine that does what this binary does: of the generation that was probed, where that is also the binary's name. A custom
    /// build has another name, and may behave differently.
    package var counterpart: ProbedBinary? {
        guard binary.kind == .qemu, features.generation == binary.name else { return nil }
        return .engine(binary.name)
    }
}
