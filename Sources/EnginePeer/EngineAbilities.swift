/// A process of the engine as a side, and what the engine does not model.
import MigrationEngine
import Plan
import SwitchoverProtocol
import VFIO

extension EngineProcess: Plan.Side {
    /// Sides of another kind are refused, too.
    package static func obstacle(of configuration: SideConfiguration, to need: SideNeed) -> String? {
        guard case .engine = configuration.binary else { return "\(configuration.binary.name) is no engine" }
        return obstacle(to: need)
    }

    package static func obstacle(to need: SideNeed) -> String? {
        if case .capability("x-colo") = need.ability { return Status.coloRefusal.text }
        let isModelled =
            switch need.ability {
            case .customFirmware, .extraArguments, .deviceProperties, .jobs, .descriptorLimit, .memoryLimit, .guestMemoryReads: false
            case .guestModules, .filledMemory, .gateBoard, .halting, .killing: true
            case .capability(let name): Capability(rawValue: name) != nil
            case .parameter(let name, let value): HostSettings.models(name, value)
            case .deviceCall(let call, _): !callsOfQEMUAlone.contains(call)
            case .command(let name): EngineCommand(rawValue: name) != nil
            case .channel(let channel):
                switch channel {
                case .tcp, .relayed, .file, .pipe: true
                case .snapshot: false
                }
            }
        return isModelled ? nil : "the engine does not model \(need)"
    }

    package func open(gate: String) { host.open(gate) }

    package func openAllGates() { host.openAllGates() }

    /// A device that a step plugs later has no progress before that step.
    package func progress(of device: String) throws -> DeviceProgress? {
        if configuration.devices.contains(where: { $0.name == device && $0.isPluggedLater }),
            !scripted.contains(where: { $0.name == device })
        {
            return nil
        }
        return try self.device(device).progress
    }

    package func halt(_ isHalted: Bool) { host.isHalted = isHalted }

    package func kill() {
        wasKilled = true
        host.end()
    }
}

/// The QMP commands that the engine takes.
enum EngineCommand: String {
    case cancel = "migrate_cancel"
    case proceed = "migrate-continue"
    case stop, cont
    case reset = "system_reset"
    case setParameters = "migrate-set-parameters"
    case startPostcopy = "migrate-start-postcopy"
    case pause = "migrate-pause"
    case plug = "device_add"
}

/// Device calls that QEMU makes and the engine does not.
private let callsOfQEMUAlone: Set = [
    "bind", "attach", "info", "irq-info", "region-info", "config-read", "config-write", "dma-logging-start", "dma-logging-report",
]

extension HostSettings {
    /// Where a migration parameter is kept, by its QMP name; nil if the engine has none of that name.
    private static func parameter(_ name: String) -> WritableKeyPath<HostSettings, UInt64>? {
        switch name {
        case "max-bandwidth": \.maxBandwidth
        case "avail-switchover-bandwidth": \.availableBandwidth
        case "max-postcopy-bandwidth": \.maxPostcopyBandwidth
        case "downtime-limit": \.downtimeLimit
        default: nil
        }
    }

    /// True if the engine has the migration parameter and takes the value.
    static func models(_ name: String, _ value: JSONValue) -> Bool { parameter(name) != nil && value.integer.map { $0 >= 0 } == true }

    /// Sets a migration parameter by its QMP name; false if the engine has none like it.
    mutating func set(_ name: String, _ value: JSONValue) -> Bool {
        guard let parameter = Self.parameter(name), let number = value.integer, number >= 0 else { return false }
        self[keyPath: parameter] = UInt64(number)
        return true
    }
}

extension SideConfiguration {
    /// The generation of a side that is an engine or a variant of one. Throws for a QEMU, and for a name that no generation has.
    package var generation: Generation {
        get throws {
            guard case .engine(let name) = binary,
                let generation = Generation(named: String(name.prefix { $0 != SideImplementation.variantMark }))
            else {
                throw UnmetNeed("\(binary.name) is no engine")
            }
            return generation
        }
    }
}
