/// Drivers: scripted sequences of QMP commands and gates around a migration, as managers, guests and failures cause them.
///
/// The axis `driver` names one. A driver takes the plain cell, and changes both what decides its outcome and the plan that brings it about.
import Plan
import Prediction
import VFIO

package struct Driver: Sendable {
    /// The value of the axis, and the word in a cell's name.
    package let name: String
    /// What the driver does to the migration, in a phrase.
    package let about: String
    let make: @Sendable (inout Draft) throws -> Void

    init(_ name: String, _ about: String, make: @escaping @Sendable (inout Draft) throws -> Void) {
        self.name = name
        self.about = about
        self.make = make
    }

    /// The values of the axis `driver`, beside the plain one, which is no driver.
    package static let all: [Driver] =
        cancelDrivers + interruptionDrivers + chainDrivers + failureDrivers + libvirtDrivers + multifdDrivers + changeDrivers
        + convergenceDrivers + postcopyDrivers + channelDrivers

}

extension Driver: AxisChoice {
    package static var allCases: [Driver] { all }

    package var word: String { name }

    package static func == (one: Driver, other: Driver) -> Bool { one.name == other.name }

    package func hash(into hasher: inout Hasher) { hasher.combine(name) }
}

/// A cell while it is made: what decides its outcome, and its plan. An effect on both is one operation, so that they cannot diverge.
struct Draft {
    let recipe: Recipe
    /// What decides the outcome of each leg of the plan, in the plan's order.
    var scenarios: [Scenario]
    var plan: MigrationPlan

    /// The scenario of the first leg, which most cells have alone.
    var scenario: Scenario {
        get { scenarios[0] }
        set { scenarios[0] = newValue }
    }

    /// The device whose load a gate holds until only its ACK is missing; nil if no load is held.
    var held: Int? { recipe.heldDevice(scenario) }

    /// The same device, for a driver that needs one; throws `Unavailable` where there is none.
    func heldByGate() throws -> Int {
        guard let held else { throw unavailable("needs a device whose load a gate can hold") }
        return held
    }

    /// Leaves the migration to itself: no gate keeps the last ACK back.
    mutating func gateNothing() {
        scenario.isGated = false
        plan.leg.schedule = []
    }

    /// Why the cell's driver makes no cell of this selection.
    func unavailable(_ reason: String) -> Unavailable {
        Unavailable(description: "driver \(recipe.choices.driver?.name ?? "plain") \(reason)")
    }

    /// Adds lines to a device's script, on a leg's destination or on the source.
    mutating func script(_ role: Role, leg: Int = 0, _ device: Int, add lines: String) throws {
        let replayed = unavailable("adds rules to the scripts of devices, and a device replays a recording")
        func extend(_ device: inout PlannedDevice) throws {
            switch device.backend {
            case .mock(let script):
                device.backend = .mock(try DeviceScript(script.text + lines + "\n", file: "\(device.name) \(role.rawValue)"))
            case .replay: throw replayed
            }
        }
        switch role {
        case .source: try extend(&plan.source.devices[device])
        case .destination: try extend(&plan.legs[leg].destination.devices[device])
        }
    }
}
