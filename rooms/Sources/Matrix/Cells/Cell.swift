/// A cell: one migration with everything that decides its outcome, and what it is predicted to show.
import Plan
import Prediction
import VFIO

/// What a leg of a cell is predicted to show.
package struct Forecast: Sendable {
    package var scenario: Scenario
    /// All the ways it may go; several where it is a race.
    package var outcomes: [Outcome]

    package init(_ scenario: Scenario) { self.init(scenario: scenario, outcomes: predict(scenario)) }

    package init(scenario: Scenario, outcomes: [Outcome]) {
        self.scenario = scenario
        self.outcomes = outcomes
    }
}

package struct Cell: Sendable {
    /// The file of a cell's only or last trace, in the cell's folder.
    package static let traceFile = "cell.trace"

    /// `SOURCE-DESTINATION+WHAT+IT+SHOWS`, stable.
    package var name: String
    /// What was selected of each axis.
    package var selection: Selection
    /// The part of the matrix that it belongs to.
    package var product: String
    package var plan: MigrationPlan
    /// Names by section idstr.
    package var devices: [String: String]
    /// The user of switchover-ack that is no VFIO device.
    package var requester: EngineModules.Requester?
    /// Of the last leg, or of the only one.
    package var scenario: Scenario
    /// All the ways it may go; several where it is a race.
    package var outcomes: [Outcome]
    /// Of the legs before the last.
    package var earlier: [Forecast] = []
    /// The exact versions of the two binaries.
    package var sourceVersion: String
    package var destinationVersion: String

    /// Both sides are engines; sides of two kinds are not paired.
    package var isEngine: Bool { plan.source.binary.isEngine }

    /// The name without what tells an engine from the QEMU of its release: a cell of QEMUs and one of engines that have it are the same
    /// migration.
    package var sharedName: String { name.replacing(QEMUBinary.enginePrefix, with: "") }

    /// What each leg is predicted to show.
    package var forecasts: [Forecast] { earlier + [Forecast(scenario: scenario, outcomes: outcomes)] }

    /// What the trace of each leg is called, and its file in the cell's folder.
    package var traces: [(name: String, file: String)] {
        plan.legs.indices.map { index in
            let isLast = index == plan.legs.count - 1
            return isLast ? (name, Self.traceFile) : ("\(name).leg-\(index + 1)", "leg-\(index + 1).trace")
        }
    }

    /// Who is faster decides how it ends, and nothing forces it.
    package var isRace: Bool { outcomes.count > 1 }

    /// Names by section idstr, as the sides' logs have them, of all who take part in the handshake.
    package var users: [String: String] {
        guard let requester else { return devices }
        return devices.merging([EngineModules.Requester.idstr: requester.name ?? EngineModules.Requester.idstr]) { first, _ in first }
    }

    /// Counts by section idstr as counts by the devices' names, the requester's by its section's, without those that are 0.
    package func named(_ counts: [String: Int]) -> [String: Int] {
        Dictionary(counts.map { (devices[$0.key] ?? $0.key, $0.value) }) { $0 + $1 }.filter { $0.value > 0 }
    }
}
