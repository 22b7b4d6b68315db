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
}
