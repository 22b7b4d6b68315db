/// Which binaries migrate to each other at all, found out before their cells run.
import Foundation
import Matrix
import Plan
import QEMUPeer

/// What the control migrations of some cells' pairings showed.
package struct Pairings: Sendable {
    /// Why a pairing's cells cannot say anything about the ACK, by the control migration that failed.
    private let failures: [ControlMigration: Unavailable]

    /// Runs a control migration for each pairing of binaries and machine type that the cells of QEMU have. Machine types that differ
    /// between the sides are a cell's own subject, and are left out.
    package init(of cells: [Cell], binaries: [ProbedBinary], shim: String, jobs: Int, folder: RunFolder) async throws {
        let byName = Dictionary(binaries.map { ($0.binary.name, $0) }) { _, later in later }
        var wanted: [ControlMigration] = []
        var seen: Set<ControlMigration> = []
        for control in cells.flatMap(\.controls) where seen.insert(control).inserted { wanted.append(control) }
        var messages: [ControlMigration: String] = [:]
        try await withThrowingTaskGroup(of: (ControlMigration, String?).self) { group in
            var rest = wanted.enumerated().makeIterator()
            func start() {
                guard let (number, control) = rest.next(), let source = byName[control.source],
                    let destination = byName[control.destination]
                else { return }
                group.addTask {
                    let place = "\(folder.path)/control-\(number)"
                    defer { try? FileManager.default.removeItem(atPath: place) }
                    return (control, try await control.failure(from: source, to: destination, shim: shim, folder: place))
                }
            }
            for _ in 0..<max(jobs, 1) { start() }
            while let (control, message) = try await group.next() {
                start()
                messages[control] = message
            }
        }
        // One sentence for the two binaries, whatever the number of machine types.
        var failures: [ControlMigration: Unavailable] = [:]
        for (control, message) in messages {
            let machines = messages.keys.filter { ($0.source, $0.destination) == (control.source, control.destination) }.map(\.machine)
            let first = wanted.first { ($0.source, $0.destination) == (control.source, control.destination) && messages[$0] != nil }
            failures[control] = Unavailable(
                description: "environment: \(control.source) does not migrate to \(control.destination) with "
                    + machines.sorted().joined(separator: ", ") + ", even without devices and with switchover-ack off: "
                    + (first.flatMap { messages[$0] } ?? message))
        }
        self.failures = failures
    }

    /// Why the cell cannot say anything about the ACK; nil if it can.
    package func failure(of cell: Cell) -> Unavailable? { cell.controls.lazy.compactMap { failures[$0] }.first }

    /// The cells that can run, and those that cannot with their reasons.
    package func split(_ cells: [Cell]) -> Recipe.Made {
        var made = Recipe.Made()
        for cell in cells {
            if let failure = failure(of: cell) { made.skipped.insert(cell.name, failure) } else { made.cells.append(cell) }
        }
        return made
    }
}

extension Cell {
    /// The control migrations of its legs.
    fileprivate var controls: [ControlMigration] {
        guard kind == .qemu else { return [] }
        return plan.legs.indices.compactMap { index in
            let (source, destination) = (plan.source(ofLeg: index), plan.legs[index].destination)
            // An alias may stand for another type on each side.
            guard source.machine == destination.machine, !forecasts[index].scenario.machinesDiffer else { return nil }
            return ControlMigration(source: source.binary.name, destination: destination.binary.name, machine: source.machine)
        }
    }
}
