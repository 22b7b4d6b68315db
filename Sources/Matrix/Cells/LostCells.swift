/// The cells that a pairing of binaries lacks because one of them is not as its release has it.
import Plan

/// A pairing with fewer cells than its generations have.
package struct PairingLoss: Hashable, Sendable, CustomStringConvertible {
    package let source: String
    package let destination: String
    package let lost: Int
    package let whole: Int

    package var description: String {
        "\(source)-\(destination): \(counted(lost, "cell")) of \(whole) cannot run, because of what a build lacks or runs in another mode; "
            + "see: ackmatrix qemu list"
    }
}

extension Recipe {
    /// The pairings of which more than a tenth of the cells of a tier is lost. `cells` are those that the binaries can run.
    package static func losses(of file: MatrixFile, tier: Tier, binaries: [ProbedBinary], cells: [Cell]) throws -> [PairingLoss] {
        let qemus = binaries.filter { $0.binary.kind == .qemu }
        let names = Set(cells.map(\.name))
        let whole = try Self.cells(of: file, tier: tier, binaries: qemus.map(\.asReleased)).cells
        let pairings = Dictionary(grouping: whole) { [$0.plan.source.binary.name, $0.plan.leg.destination.binary.name] }
        return pairings.compactMap { sides, cells in
            let lost = cells.count { !names.contains($0.name) }
            guard lost * 10 > cells.count else { return nil }
            return PairingLoss(source: sides[0], destination: sides[1], lost: lost, whole: cells.count)
        }.sorted { ($0.source, $0.destination) < ($1.source, $1.destination) }
    }
}
