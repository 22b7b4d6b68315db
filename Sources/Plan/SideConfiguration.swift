/// What a side of a migration is started with.
import VFIO

package enum Role: String, Hashable, Sendable {
    case source, destination
}

/// A mock device of a side.
package struct MockDevice: Hashable, Sendable {
    /// QEMU's `id=`, and the device's name in the device log.
    package let name: String
    package var script: DeviceScript
    /// The slot of the root bus, which decides the section's idstr; the same on both sides, in whatever order devices are plugged.
    package let slot: Int
    /// True if the device is hot-plugged: at start-up the slot holds a PCIe root port, and a step plugs the device behind it. The root bus
    /// of q35 itself accepts no hot-plugged device (10.0.13 and 11.1.3).
    package var isPluggedLater = false

    package init(name: String, script: DeviceScript, slot: Int = 0x10) {
        self.name = name
        self.script = script
        self.slot = slot
    }

    /// The idstr of its section, `0000:00:10.0/vfio`; behind a root port `0000:00:10.0:00.0/vfio`.
    package var idstr: String { "0000:00:\(slot < 16 ? "0" : "")\(String(slot, radix: 16)).0\(isPluggedLater ? ":00.0" : "")/vfio" }

    /// The id of the root port in the slot of a hot-plugged device.
    package var port: String { "port-\(name)" }
}

/// Everything a side is started with.
package struct SideConfiguration: Sendable {
    package var binary: SideImplementation
    /// The machine type as `-M` takes it, with its options.
    package var machine: String
    package var memoryMiB = 64
    package var firmware = Firmware.halting
    /// MiB from address 4 MiB up that hold nonzero bytes from the start, so that their pages cost more than a few bytes to send.
    package var filledMiB = 0
    /// The devices, in the order of plugging.
    package var devices: [MockDevice] = []
    /// QEMU properties of each device, in addition to those that make it a mock.
    package var deviceProperties: [String: String] = [:]
    /// `-S`: the guest starts when `cont` is executed.
    package var startsPaused = false
    /// A gate that each outgoing IP connection waits for, as on a slow network. Needs a side with devices.
    package var connectGate: String?
    /// `-global migration.switchover-ack-legacy=`; nil leaves the machine type's default. QEMU 11.1 and later only.
    package var legacyProperty: Bool?
    package var capabilities: [String: Bool] = [:]
    /// Migration parameters by their QMP names, as `migrate-set-parameters` takes them.
    package var parameters: [String: JSONValue] = [:]
    /// The trace events to log, by exact name. QEMU refuses to start with an event that it lacks.
    package var traceEvents: [String] = []
    /// What the guest has in addition to memory and devices; only the engine models it.
    package var modules = EngineModules()
    /// Further arguments of QEMU's command line.
    package var extraArguments: [String] = []

    package init(binary: SideImplementation, machine: String) {
        self.binary = binary
        self.machine = machine
    }
}

extension SideConfiguration {
    /// The commands that set the capabilities and parameters.
    package var settingCommands: [(command: String, arguments: JSONValue)] {
        let asked: [JSONValue] = capabilities.sorted { $0.key < $1.key }.map { ["capability": .string($0.key), "state": .bool($0.value)] }
        return (asked.isEmpty ? [] : [("migrate-set-capabilities", ["capabilities": .array(asked)])])
            + (parameters.isEmpty ? [] : [("migrate-set-parameters", .object(parameters))])
    }

    /// The options that make a device a mock, and the properties that all devices have.
    package func options(ofDevice index: Int) -> [(key: String, value: String)] {
        [("iommufd", "iommufd0"), ("fd", "\(firstDeviceDescriptor + index)")] + deviceProperties.sorted { $0.key < $1.key }
    }

    /// The arguments of `device_add` for a hot-plugged device.
    package func plugging(_ index: Int) -> JSONValue {
        var arguments: [String: JSONValue] = [
            "driver": "vfio-pci", "id": .string(devices[index].name), "bus": .string(devices[index].port),
        ]
        for (key, value) in options(ofDevice: index) { arguments[key] = .string(value) }
        return .object(arguments)
    }
}

/// The file-descriptor number of a side's first device; further devices have the numbers that follow.
package let firstDeviceDescriptor = 100
