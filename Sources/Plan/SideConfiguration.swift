/// What a side of a migration is started with.
import VFIO

package enum Role: String, Hashable, Sendable {
    case source, destination
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
    package var devices: [PlannedDevice] = []
    /// Properties of each device, beside those that name its descriptors.
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
    /// Fewer lines that switch the same events on; nil: the names of the events.
    package private(set) var tracePatterns: [String]?
    /// What the guest has in addition to memory and devices; only the engine models it.
    package var modules = EngineModules()
    /// Further arguments of QEMU's command line.
    package var extraArguments: [String] = []

    package init(binary: SideImplementation, machine: String) {
        self.binary = binary
        self.machine = machine
    }

    /// Logs every event of the vocabulary that the binary has.
    package mutating func traceAll(of features: ProbedFeatures) {
        traceEvents = features.traceEvents
        tracePatterns = features.tracePatterns
    }
}

extension SideConfiguration {
    /// The commands that set the capabilities and parameters.
    package var settingCommands: [(command: String, arguments: JSONValue)] {
        let asked: [JSONValue] = capabilities.sorted { $0.key < $1.key }.map { ["capability": .string($0.key), "state": .bool($0.value)] }
        return (asked.isEmpty ? [] : [("migrate-set-capabilities", ["capabilities": .array(asked)])])
            + (parameters.isEmpty ? [] : [("migrate-set-parameters", .object(parameters))])
    }

    /// The options of a device: the descriptors that it is known by, and the properties that all devices have.
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
