/// The two kinds of sides, and the cells that are the same migration on both.
import Plan

extension SideKind {
    /// The tier that has every cell of such sides.
    package var widestTier: Tier {
        switch self {
        case .qemu: .full
        case .engine: .engine
        }
    }
}

extension AckSupport {
    /// Why no side of this kind can have this support: a clause that follows the axis and the value.
    func absence(among kind: SideKind) -> String {
        let sides =
            switch kind {
            case .qemu: "available QEMU binary"
            case .engine: "engine generation"
            }
        return switch self {
        case .legacyOnly: "no \(sides) has the legacy mode alone"
        case .perDevice: "no \(sides) has the per-device mode"
        case .without: "every \(sides) has switchover-ack"
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

    /// The name that both cells share.
    package var name: String { engine.sharedName }
}

extension SharedCell {
    /// The cells that sides of both kinds have, in the order of the QEMU cells.
    package static func pairs(_ qemus: [Cell], _ engines: [Cell]) -> [SharedCell] {
        let engines = Dictionary(engines.map { ($0.sharedName, $0) }) { first, _ in first }
        return qemus.compactMap { cell in engines[cell.name].map { SharedCell(qemu: cell, engine: $0) } }
    }
}
