/// What a side of a migration is started with.
import VFIO

package enum Role: String, Hashable, Sendable {
    case source, destination
}

/// A mock device of a side.
package struct MockDevice: Hashable, Sendable {
    /// QEMU's `id=`, and the name in the device log.
    package let name: String
    package var script: DeviceScript
    /// The slot of the root bus, which makes the section's idstr: the same on both sides, whatever the order of plugging.
    package let slot: Int
    /// Not there when QEMU starts: the slot holds a PCIe root port, and a step plugs the device behind it. The root bus itself takes no
    /// hot-plugged device (q35 of 10.0.13 and 11.1.3).
    package var isPluggedLater = false

    package init(name: String, script: DeviceScript, slot: Int = 0x10) {
        self.name = name
        self.script = script
        self.slot = slot
    }

    /// The idstr of its section, `0000:00:10.0/vfio`; behind a root port `0000:00:10.0:00.0/vfio`.
    package var idstr: String { "0000:00:\(slot < 16 ? "0" : "")\(String(slot, radix: 16)).0\(isPluggedLater ? ":00.0" : "")/vfio" }

    /// The root port in its slot.
    package var port: String { "port-\(name)" }
}

/// Everything a QEMU side is started with.
package struct SideConfiguration: Sendable {
    package var binary: QEMUBinary
    /// The machine type as `-M` takes it, with its options.
    package var machine: String
    package var memoryMiB = 64
    package var firmware = Firmware.halting
    /// Of these so many, from 4 MiB up, hold bytes that are not 0 from the start: memory that takes more than a few bytes a page to send.
    package var filledMiB = 0
    /// In the order of plugging.
    package var devices: [MockDevice] = []
    /// Properties of each device, beside those that make it a mock.
    package var deviceProperties: [String: String] = [:]
    /// `-S`: the guest does not start by itself.
    package var startsPaused = false
    /// A gate that every connection it makes over IP waits for, as on a slow network; only on a side with devices.
    package var connectGate: String?
    /// `-global migration.switchover-ack-legacy=`; nil leaves the machine type's default. QEMU 11.1 and later only.
    package var legacyProperty: Bool?
    package var capabilities: [String: Bool] = [:]
    /// As `migrate-set-parameters` takes them.
    package var parameters: [String: JSONValue] = [:]
    /// The trace events to log, by exact name; those the binary lacks must not be here.
    package var traceEvents: [String] = []
    /// What an engine's guest has beside; nothing where the side is a QEMU.
    package var modules = EngineModules()
    /// What else QEMU is started with.
    package var extraArguments: [String] = []

    package init(binary: QEMUBinary, machine: String) {
        self.binary = binary
        self.machine = machine
    }
}

extension SideConfiguration {
    /// The commands that set its capabilities and parameters.
    package var settingCommands: [(command: String, arguments: JSONValue)] {
        let asked: [JSONValue] = capabilities.sorted { $0.key < $1.key }.map { ["capability": .string($0.key), "state": .bool($0.value)] }
        return (asked.isEmpty ? [] : [("migrate-set-capabilities", ["capabilities": .array(asked)])])
            + (parameters.isEmpty ? [] : [("migrate-set-parameters", .object(parameters))])
    }

    /// What makes a device a mock, and the properties that all have.
    package func options(ofDevice index: Int) -> [(key: String, value: String)] {
        [("iommufd", "iommufd0"), ("fd", "\(firstDeviceDescriptor + index)")] + deviceProperties.sorted { $0.key < $1.key }
    }

    /// The arguments of `device_add` for a device that is plugged later.
    package func plugging(_ index: Int) -> JSONValue {
        var arguments: [String: JSONValue] = [
            "driver": "vfio-pci", "id": .string(devices[index].name), "bus": .string(devices[index].port),
        ]
        for (key, value) in options(ofDevice: index) { arguments[key] = .string(value) }
        return .object(arguments)
    }
}

/// The number of the descriptor that a side's first device has; the others follow.
package let firstDeviceDescriptor = 100
