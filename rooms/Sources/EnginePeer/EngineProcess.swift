/// A side of a migration that is the engine: a host in this process, made of what a QEMU would be started with.
import MigrationEngine
import MigrationTrace
import Plan
import SwitchoverProtocol
import VFIO

/// Where a process logs to: the leg at hand, as one of its sides.
final class ProcessLog: HostLog {
    var leg: EngineLeg
    var isSource: Bool

    init(_ leg: EngineLeg, isSource: Bool) {
        self.leg = leg
        self.isSource = isSource
    }

    func take(_ event: Event) { leg.take(event, isSource: isSource, isDevice: false) }
    func takeDevice(_ event: Event) { leg.take(event, isSource: isSource, isDevice: true) }
}

final class EngineProcess {
    let configuration: SideConfiguration
    let role: Role
    let log: ProcessLog
    private(set) var host: Host!
    private(set) var main: MainThread!
    private(set) var devices: [String: MockMigrationDevice] = [:]
    private(set) var modules: [VFIOModule] = []
    /// Those beside memory and VFIO devices.
    private(set) var others: EngineProcessModules!
    var incoming: Incoming?
    /// Asked before each call on a device, from the first on, as `MockMigrationDevice.refuse` is.
    private let refuses: ((MockMigrationDevice, DeviceCallName) -> Int32?)?

    /// Starts it: devices are plugged and reset, and a guest that is not to wait runs. `generation`: in place of the binary's own.
    init(
        _ configuration: SideConfiguration, role: Role, leg: EngineLeg, _ simulation: Simulation, generation: Generation? = nil,
        refuses: ((MockMigrationDevice, DeviceCallName) -> Int32?)? = nil
    ) throws {
        self.refuses = refuses
        self.configuration = configuration
        self.role = role
        log = ProcessLog(leg, isSource: role == .source)
        guard let name = configuration.binary.engineGeneration, let generation = generation ?? Generation(named: name) else {
            throw EngineRefusal("\(configuration.binary.name) is no engine")
        }
        host = Host(try settings(generation), log: log, firstSection: 0)
        simulation.add(host)
        var memory = GuestMemory.q35(mebibytes: configuration.memoryMiB)
        if configuration.filledMiB > 0, let block = memory.block("pc.ram") {
            let page = [UInt8](repeating: 0xa5, count: GuestMemory.pageSize)
            for number in 1024..<1024 + configuration.filledMiB << 8 { memory.write(block: block, page: number, page) }
        }
        host.register(TimerState())
        host.register(RAM(memory))
        others = EngineProcessModules(configuration.modules, host)
        others.register(isFirstHost: role == .source)
        for device in configuration.devices where !device.isPluggedLater { try plug(device) }
        host.register(GlobalState())
        // What blocks a migration blocks it where it would go out.
        if role == .source, let refusal = VFIOModule.refusal(of: modules) { throw refused("its command line", refusal) }
        main = MainThread(host, simulation.clock)
        main.connectGate = configuration.connectGate
        for device in configuration.devices.reversed() { _ = devices[device.name]?.reset() }
        if role == .source { host.emit(.migrationBlockActivation(.active)) }
        let starts = role == .source && !configuration.startsPaused
        main.isBooted = !starts
        if starts { main.request(.cont) }
        others.startGuest(simulation)
    }

    /// The commands that `migrate-set-capabilities` and the machine type come to.
    private func settings(_ generation: Generation) throws -> HostSettings {
        let features = ProbedBinary.engine(generation.name)?.features ?? ProbedFeatures(generation)
        let isLegacy = configuration.legacyProperty ?? (features.mode(machine: configuration.machine) != .perDevice)
        var settings = HostSettings(generation: generation, mode: isLegacy ? .legacy : .perDevice)
        let machine = String(configuration.machine.prefix { $0 != "," })
        settings.machine = features.aliases[machine] ?? machine
        settings.capabilities = []
        for (name, isOn) in configuration.capabilities where isOn {
            guard let capability = Capability(rawValue: name) else { throw EngineRefusal.unmodelled("capability \(name)") }
            settings.capabilities.insert(capability)
        }
        for (name, value) in configuration.parameters {
            guard settings.set(name, value) else { throw EngineRefusal.unmodelled("parameter \(name)") }
        }
        settings.startsPaused = configuration.startsPaused
        return settings
    }

    func plug(_ device: MockDevice) throws {
        let mock = MockMigrationDevice(name: device.name, script: device.script) { [log] in log.takeDevice($0) }
        if let refuses { mock.refuse = { [unowned mock] in refuses(mock, $0) } }
        let name = host.generation.has(.perDeviceAcks) ? device.name : "VFIO_FD\(100 + modules.count)"
        let module = VFIOModule(device: mock, name: name, idstr: device.idstr)
        devices[device.name] = mock
        // A device that does not migrate is there all the same, without a section.
        if module.plug(host) { host.register(module, device: mock) }
        // Neither the device nor its module is kept by what the device tells.
        let place = modules.count
        modules.append(module)
        mock.entered = { [unowned self] state in
            for other in modules.indices where other != place { modules[other].device.peerEntered(device.name, state) }
        }
    }

    func refused(_ command: String, _ text: String) -> SideRefusal {
        SideRefusal(role: role, binary: configuration.binary.name, command: command, text: text)
    }

    func device(_ name: String) throws -> MockMigrationDevice {
        guard let device = devices[name] else { throw SideError("the \(role.rawValue) has no device \(name)") }
        return device
    }

    /// Every source device that can be in PRE_COPY is.
    var iterates: Bool {
        !configuration.devices.isEmpty
            && configuration.devices.allSatisfy { !$0.script.hasPrecopy || devices[$0.name]?.progress.isInPrecopy == true }
    }
}

extension HostSettings {
    /// Sets a migration parameter by its QMP name; false if the engine has none like it.
    mutating func set(_ name: String, _ value: JSONValue) -> Bool {
        guard let number = value.integer, number >= 0 else { return false }
        switch name {
        case "max-bandwidth": maxBandwidth = UInt64(number)
        case "avail-switchover-bandwidth": availableBandwidth = UInt64(number)
        case "max-postcopy-bandwidth": maxPostcopyBandwidth = UInt64(number)
        case "downtime-limit": downtimeLimit = UInt64(number)
        default: return false
        }
        return true
    }
}
