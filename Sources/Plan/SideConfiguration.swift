/// What a side of a migration is started with.
import VFIO

package enum Role: String, Hashable, Sendable {
    case source, destination
}

/// Everything a QEMU side is started with.
package struct SideConfiguration: Sendable {
    package var binary: SideImplementation
    /// The machine type as `-M` takes it, with its options.
    package var machine: String
    package var memoryMiB = 64
    package var firmware = Firmware.halting
    /// Of these so many, from 4 MiB up, hold bytes that are not 0 from the start: memory that takes more than a few bytes a page to send.
    package var filledMiB = 0
    /// In the order of plugging.
    package var devices: [PlannedDevice] = []
    /// Properties of each device, beside those that name its descriptors.
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

    package init(binary: SideImplementation, machine: String) {
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

    /// The options of a device: the descriptors that it is known by, and the properties that all devices have.
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
