/// A cell: one migration with everything that decides its outcome, and what it is predicted to show.
import MigrationTrace
import Plan
import Prediction
import VFIO

/// What a leg of a cell is predicted to show.
package struct Forecast: Sendable {
    package var scenario: Scenario
    /// The ways in which the leg may go; several where it is a race.
    package var outcomes: [Outcome]

    package init(_ scenario: Scenario) { self.init(scenario: scenario, outcomes: predict(scenario)) }

    package init(scenario: Scenario, outcomes: [Outcome]) {
        self.scenario = scenario
        self.outcomes = outcomes
    }
}

/// A cell's name without the prefix of engines.
package func sharedCellName(_ name: String) -> String { name.replacing(SideImplementation.enginePrefix, with: "") }

package struct Cell: Sendable {
    /// The file of a cell's only or last trace, in the cell's folder.
    package static let traceFile = "cell.trace"

    /// `SOURCE-DESTINATION+WHAT+IT+SHOWS`, stable.
    package var name: String
    /// The value on each axis.
    package var selection: Selection
    /// The product of the matrix file that makes the cell.
    package var product: String
    package var plan: MigrationPlan
    /// The names of the devices, by the idstr of their section.
    package var devices: [String: String]
    /// The user of switchover-ack that is no VFIO device.
    package var requester: EngineModules.Requester?
    /// What each leg of the plan is predicted to show, in the plan's order.
    package var forecasts: [Forecast]
    /// The exact version of each side's binary.
    package var sourceVersion: String
    package var destinationVersion: String

    /// The kind of its sides: a cell never mixes two.
    package var kind: SideKind { plan.source.binary.kind }

    /// The name without the prefix of engines. A cell of QEMU sides and a cell of engines with the same shared name are the same migration.
    package var sharedName: String { sharedCellName(name) }

    /// The mode of the cell's source, which decides.
    package var mode: SwitchoverAckMode? { SwitchoverAckMode(rawValue: forecasts[0].scenario.source.mode.rawValue) }

    /// What the leg is predicted to show that the cell ends with.
    package var lastForecast: Forecast {
        get { forecasts[forecasts.count - 1] }
        set { forecasts[forecasts.count - 1] = newValue }
    }

    /// The name of each leg's trace, and its file in the cell's folder.
    package var traces: [(name: String, file: String)] {
        plan.legs.indices.map { index in
            let isLast = index == plan.legs.count - 1
            return isLast ? (name, Self.traceFile) : ("\(name).leg-\(index + 1)", "leg-\(index + 1).trace")
        }
    }

    /// True if nothing forces the order of what decides how the cell ends.
    package var isRace: Bool { lastForecast.outcomes.count > 1 }

    /// The names of all users of switchover-ack, by the idstr of their section, as the sides' logs have them.
    package var users: [String: String] {
        guard let requester else { return devices }
        return devices.merging([EngineModules.Requester.idstr: requester.name ?? EngineModules.Requester.idstr]) { first, _ in first }
    }

    /// Counts by section idstr as counts by the devices' names, the requester's by its section's, without those that are 0.
    package func named(_ counts: [String: Int]) -> [String: Int] {
        Dictionary(counts.map { (devices[$0.key] ?? $0.key, $0.value) }) { $0 + $1 }.filter { $0.value > 0 }
    }
}
