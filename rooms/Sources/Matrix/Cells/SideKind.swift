import EnginePeer
/// The two kinds of sides, and the cells that are the same migration on both.
import Plan

package enum SideKind: String, CaseIterable, Hashable, Sendable {
    /// Processes that are QEMU.
    case qemu
    /// The engine in this process, of one generation or another.
    case engine

    /// One that is at hand, in words.
    var sideAtHand: String {
        switch self {
        case .qemu: "binary at hand"
        case .engine: "generation of the engine"
        }
    }
}

extension QEMUBinary {
    package var kind: SideKind { isEngine ? .engine : .qemu }
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
        let engines = Dictionary(cells.filter(\.isEngine).map { ($0.sharedName, $0) }) { first, _ in first }
        return cells.compactMap { cell in
            guard !cell.isEngine, let engine = engines[cell.name] else { return nil }
            return SharedCell(qemu: cell, engine: engine)
        }
    }

    /// Those of one selection, whose engines are of the generations that the binaries were probed to be and are named by.
    package static func cells(of planned: PlannedSelection, binaries: [ProbedBinary]) throws -> (
        shared: [SharedCell], missing: [Unavailable]
    ) {
        let qemus = binaries.filter { !$0.binary.isEngine }
        let made = try Recipe.cells(of: planned.selection, product: planned.product, binaries: qemus + qemus.compactMap(\.counterpart))
        return (pairs(in: made.cells), made.missing)
    }
}

extension ProbedBinary {
    /// The engine that does what this binary does: of the generation that was probed, where that is also the binary's name. A build of
    /// one's own is called otherwise, and may do otherwise.
    package var counterpart: ProbedBinary? {
        guard !binary.isEngine, features.generation == binary.name else { return nil }
        return .engine(binary.name)
    }
}
