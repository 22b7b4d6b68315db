/// What a matrix names and the available sides cannot run.

/// Why a selection makes no cell with the available binaries, or a side cannot run one. The cell is left out, and the report gives this
/// reason.
package struct Unavailable: Error, Hashable, Sendable, CustomStringConvertible {
    package let description: String

    package init(description: String) { self.description = description }
}

/// The cells that the available sides cannot run, by reason. A selection that makes no cell counts as one.
package struct SkippedCells: Hashable, Sendable {
    /// In the order in which the reasons were met.
    package private(set) var reasons: [Unavailable] = []
    /// The names of each reason's cells, or the changes of selections that make none. A cell that two products make counts once.
    private var names: [Unavailable: Set<String>] = [:]

    package init() {}

    /// The number of cells and selections, of all reasons.
    package var count: Int { names.values.reduce(0) { $0 + $1.count } }

    /// A sentence for each reason, the most frequent one first, with the number of its cells where there are several.
    package var lines: [String] {
        let counts = reasons.enumerated().map { (order: $0, reason: $1, count: names[$1]?.count ?? 0) }
        return counts.sorted { ($1.count, $0.order) < ($0.count, $1.order) }.map { row in
            "skipped: " + (row.count > 1 ? "\(counted(row.count, "cell")): " : "") + row.reason.description
        }
    }

    /// The names of all cells, sorted; a cell that is skipped for two reasons is named once.
    package var allNames: [String] { Set(names.values.joined()).sorted() }

    /// The reason why each cell is skipped, by the name that cells of both kinds of sides share.
    package var reasonBySharedName: [String: Unavailable] {
        Dictionary(names.flatMap { reason, names in names.map { (sharedCellName($0), reason) } }) { first, _ in first }
    }

    package mutating func insert(_ name: String, _ reason: Unavailable) {
        if names[reason] == nil { reasons.append(reason) }
        names[reason, default: []].insert(name)
    }

    package mutating func formUnion(_ other: SkippedCells) {
        for reason in other.reasons {
            for name in other.names[reason] ?? [] { insert(name, reason) }
        }
    }
}

extension SkippedCells: Codable {
    private struct Row: Codable {
        let reason: String
        /// Sorted.
        let cells: [String]
    }

    package init(from decoder: any Decoder) throws {
        self.init()
        for row in try [Row](from: decoder) {
            for cell in row.cells { insert(cell, Unavailable(description: row.reason)) }
        }
    }

    package func encode(to encoder: any Encoder) throws {
        try reasons.map { Row(reason: $0.description, cells: names[$0, default: []].sorted()) }.encode(to: encoder)
    }
}
