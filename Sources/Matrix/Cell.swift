/// A cell: one migration with everything that decides its outcome, and what it is predicted to show.
import Peers
import Prediction
import VFIO

/// What a leg of a cell is predicted to show.
public struct Forecast: Sendable {
    public var scenario: Scenario
    /// All the ways it may go; several where it is a race.
    public var outcomes: [Outcome]

    public init(_ scenario: Scenario) { self.init(scenario: scenario, outcomes: predict(scenario)) }

    init(scenario: Scenario, outcomes: [Outcome]) {
        self.scenario = scenario
        self.outcomes = outcomes
    }
}

public struct Cell: Sendable {
    /// `SOURCE-DESTINATION+WHAT+IT+SHOWS`, stable.
    public var name: String
    /// What was selected of each axis.
    public var selection: Selection
    /// The part of the matrix that it belongs to.
    public var product: String
    public var plan: MigrationPlan
    /// Names by section idstr.
    public var devices: [String: String]
    /// The user of switchover-ack that is no VFIO device.
    var requester: EngineModules.Requester?
    /// Of the last leg, or of the only one.
    public var scenario: Scenario
    /// All the ways it may go; several where it is a race.
    public var outcomes: [Outcome]
    /// Of the legs before the last.
    public var earlier: [Forecast] = []
    /// The exact versions of the two binaries.
    public var sourceVersion: String
    public var destinationVersion: String

    /// Both sides are engines; sides of two kinds are not paired.
    public var isEngine: Bool { plan.source.binary.isEngine }

    /// The name without what tells an engine from the QEMU of its release: a cell of QEMUs and one of engines that have it are the same
    /// migration.
    public var sharedName: String { name.replacing(QEMUBinary.enginePrefix, with: "") }

    /// What each leg is predicted to show.
    public var forecasts: [Forecast] { earlier + [Forecast(scenario: scenario, outcomes: outcomes)] }

    /// What the trace of each leg is called, and its file in the cell's folder.
    public var traces: [(name: String, file: String)] {
        plan.legs.indices.map { index in
            let isLast = index == plan.legs.count - 1
            return isLast ? (name, CellRunner.traceFile) : ("\(name).leg-\(index + 1)", "leg-\(index + 1).trace")
        }
    }

    /// Who is faster decides how it ends, and nothing forces it.
    public var isRace: Bool { outcomes.count > 1 }

    /// Names by section idstr, as the sides' logs have them, of all who take part in the handshake.
    var users: [String: String] {
        guard let requester else { return devices }
        return devices.merging([EngineModules.Requester.idstr: requester.name ?? EngineModules.Requester.idstr]) { first, _ in first }
    }

    /// Counts by section idstr as counts by the devices' names, the requester's by its section's, without those that are 0.
    func named(_ counts: [String: Int]) -> [String: Int] {
        Dictionary(counts.map { (devices[$0.key] ?? $0.key, $0.value) }) { $0 + $1 }.filter { $0.value > 0 }
    }
}
