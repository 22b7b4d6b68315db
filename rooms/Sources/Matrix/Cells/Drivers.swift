/// Drivers: scripted sequences of QMP commands and gates around a migration, as managers, guests and mishaps make them.
///
/// A cell names one on the axis `driver`. Each takes the plain cell and changes what decides its outcome, and the plan that brings it about.
import Plan
import Prediction
import VFIO

package struct Driver: Sendable {
    /// The value of the axis, and the word in a cell's name.
    package let name: String
    /// What it does to the migration, in a phrase.
    package let about: String
    /// nil: nothing but QEMU.
    let needs: Need?
    let make: @Sendable (inout Draft) throws -> Void

    init(_ name: String, _ about: String, needs: Need? = nil, make: @escaping @Sendable (inout Draft) throws -> Void) {
        self.name = name
        self.about = about
        self.needs = needs
        self.make = make
    }

    /// Every driver but the plain one, which changes nothing.
    package static let all: [Driver] =
        cancelDrivers + interruptionDrivers + chainDrivers + failureDrivers + libvirtDrivers + multifdDrivers + changeDrivers
        + convergenceDrivers + postcopyDrivers + channelDrivers

    static let plain = "plain"

    static subscript(name: String) -> Driver? { all.first { $0.name == name } }
}

/// A cell in the making.
struct Draft {
    let recipe: Recipe
    /// Of the last leg.
    var scenario: Scenario
    /// Of the legs before, in order.
    var earlier: [Scenario] = []
    var plan: MigrationPlan

    /// The device whose load a gate holds until only its ACK is missing; nil where nothing is held.
    var held: Int? { recipe.heldDevice(scenario) }

    /// The same where the driver cannot do without.
    func heldByGate() throws -> Int {
        guard let held else {
            throw Unavailable(description: "driver \(recipe.selection["driver"]) needs a device whose load a gate can hold")
        }
        return held
    }

    /// Adds lines to a device's script, on a leg's destination or on the source.
    mutating func script(_ role: Role, leg: Int = 0, _ device: Int, add lines: String) throws {
        func extend(_ device: inout MockDevice) throws {
            device.script = try DeviceScript(device.script.text + lines + "\n", file: "\(device.name) \(role.rawValue)")
        }
        switch role {
        case .source: try extend(&plan.source.devices[device])
        case .destination: try extend(&plan.legs[leg].destination.devices[device])
        }
    }
}
