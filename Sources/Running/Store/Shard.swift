/// The part of a run's cells that one of several machines runs.
import Matrix
import Plan

/// Shard K of N. Which shard a cell belongs to depends on its name and N alone: not on the machine, the order, or the other cells.
package struct Shard: Hashable, Sendable, Codable, CustomStringConvertible {
    package static let most = 10_000

    /// From 1.
    package let number: Int
    /// The number of shards, at most `most`.
    package let count: Int

    /// nil where the number is not one of 1 to `count`.
    package init?(number: Int, count: Int) {
        guard 1...Self.most ~= count, 1...count ~= number else { return nil }
        (self.number, self.count) = (number, count)
    }

    /// Reads `K/N`.
    package init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let number = Int(parts[0]), let count = Int(parts[1]) else { return nil }
        self.init(number: number, count: count)
    }

    package var description: String { "\(number)/\(count)" }

    /// True if the cell of this name belongs to the shard. Cells with the same shared name always belong to the same one, since a QEMU's
    /// cell is the witness that judges the engine's.
    package func contains(_ cell: String) -> Bool { nameHash(sharedCellName(cell)) % UInt64(count) == UInt64(number - 1) }
}

extension Shard {
    package init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        guard let shard = Shard(text) else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: "expected a shard K/N, K from 1 to N, N at most \(Shard.most)"))
        }
        self = shard
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

/// A set of cells as two numbers, so that runs can tell whether they have the same cells, and a merge whether one is missing, without a
/// list.
package struct CellTally: Hashable, Sendable, Codable {
    package private(set) var count = 0
    /// The sum of the hashes of the names, which does not depend on their order.
    private var sum: UInt64 = 0

    package init() {}

    package init(_ names: some Sequence<String>) {
        for name in names { add(name) }
    }

    package mutating func add(_ name: String) {
        count += 1
        sum &+= nameHash(name)
    }
}

/// With a final mix, so that the low bits depend on every byte.
private func nameHash(_ name: String) -> UInt64 {
    var hash = stableHash(name.utf8)
    hash = (hash ^ (hash >> 30)) &* 0xbf58_476d_1ce4_e5b9
    hash = (hash ^ (hash >> 27)) &* 0x94d0_49bb_1331_11eb
    return hash ^ (hash >> 31)
}
