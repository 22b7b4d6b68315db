/// A process of the engine as a side: a host in virtual time, configured as a QEMU would be started.
import MigrationEngine
import MigrationTrace
import Plan
import SwitchoverProtocol
import VFIO

/// Passes what a process logs to the current leg, as one of its two sides.
final class ProcessLog: HostLog {
    var leg: EngineLeg
    var isSource: Bool

    init(_ leg: EngineLeg, isSource: Bool) {
        self.leg = leg
        self.isSource = isSource
    }

    func append(_ event: Event) { leg.take(event, isSource: isSource, isDevice: false) }
    func appendDevice(_ event: Event) { leg.take(event, isSource: isSource, isDevice: true) }
}

package final class EngineProcess {
    package let configuration: SideConfiguration
    package let role: Role
    let log: ProcessLog
    private(set) var host: Host!
    private(set) var main: MainThread!
    /// Its devices that follow scripts, in the order they were plugged.
    private(set) var scripted: [any ScriptedDevice] = []
    private(set) var modules: [VFIOModule] = []
    /// The modules in addition to memory and VFIO devices.
    private(set) var others: EngineProcessModules!
    var incoming: Incoming?
    /// Decides, for a device by its name, which of its calls fail.
    private let fault: ((String) -> DeviceFault)?
    /// Devices that take the place of those of the plan.
    private let devices: (any DeviceSupply)?
    package var wasKilled = false

    /// Starts the process: plugs and resets its devices, and starts the guest unless it starts paused. `generation` replaces that of the
    /// configuration.
    init(
        _ configuration: SideConfiguration, role: Role, leg: EngineLeg, _ simulation: Simulation, generation: Generation? = nil,
        devices: (any DeviceSupply)? = nil, fault: ((String) -> DeviceFault)? = nil
    ) throws {
        self.fault = fault
        self.devices = devices
        self.configuration = configuration
        self.role = role
        log = ProcessLog(leg, isSource: role == .source)
        host = Host(try settings(generation ?? configuration.generation), log: log, firstSection: 0)
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
        // A migration blocker refuses the source's command line only.
        if role == .source, let refusal = VFIOModule.refusal(of: modules) { throw refused("its command line", refusal) }
        main = MainThread(host, simulation.clock)
        main.connectGate = configuration.connectGate
        for module in modules.reversed() { _ = module.device.reset() }
        if role == .source { host.emit(.migrationBlockActivation(.active)) }
        let starts = role == .source && !configuration.startsPaused
        main.isBooted = !starts
        if starts { main.request(.cont) }
        others.startGuest(simulation)
    }

    /// The settings that the machine type, the capabilities and the parameters amount to.
    private func settings(_ generation: Generation) throws -> HostSettings {
        let features = ProbedBinary.engine(generation.name)?.features ?? ProbedFeatures(generation)
        var isLegacy = configuration.legacyProperty ?? (features.mode(machine: configuration.machine) != .perDevice)
        if generation.isWrong(.compatEntryLost), configuration.legacyProperty == nil { isLegacy = false }
        if generation.isWrong(.compatEntrySurplus) { isLegacy = true }
        var settings = HostSettings(generation: generation, mode: isLegacy ? .legacy : .perDevice)
        let machine = String(configuration.machine.prefix { $0 != "," })
        settings.machine = features.aliases[machine] ?? machine
        settings.capabilities = []
        for (name, isOn) in configuration.capabilities where isOn {
            guard let capability = Capability(rawValue: name) else { throw UnmetNeed("the engine does not model capability \(name)") }
            settings.capabilities.insert(capability)
        }
        for (name, value) in configuration.parameters {
            guard settings.set(name, value) else { throw UnmetNeed("the engine does not model parameter \(name)") }
        }
        settings.startsPaused = configuration.startsPaused
        return settings
    }

    func plug(_ planned: PlannedDevice) throws {
        let supplied = try backend(of: planned)
        let (device, script) = (supplied.device, supplied.scripted)
        let name = host.generation.has(.namesDevicesByID) ? planned.name : "VFIO_FD\(100 + modules.count)"
        let module = VFIOModule(device: device, name: name, idstr: planned.idstr)
        // A device that does not migrate has no section.
        if module.plug(host) { host.register(module, device: device, scripted: script) }
        modules.append(module)
        guard let script else { return }
        let place = scripted.count
        scripted.append(script)
        script.entered = { [unowned self] state in
            for other in scripted.indices where other != place { scripted[other].peerEntered(planned.name, state) }
        }
    }

    private func backend(of planned: PlannedDevice) throws -> SuppliedDevice {
        let append: (Event) -> Void = { [log] in log.appendDevice($0) }
        if let devices { return try devices.supply(planned, delay: host.delay, log: append) }
        return SuppliedDevice(planned, delay: host.delay, fault: fault?(planned.name), log: append)
    }

    func refused(_ command: String, _ text: String) -> SideRefusal {
        SideRefusal(role: role, binary: configuration.binary.name, command: command, text: text)
    }

    func device(_ name: String) throws -> any ScriptedDevice {
        guard let device = scripted.first(where: { $0.name == name }) else { throw SideError("the \(role.rawValue) has no device \(name)") }
        return device
    }
}
