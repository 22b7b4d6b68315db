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

    func take(_ event: Event) { leg.take(event, isSource: isSource, isDevice: false) }
    func takeDevice(_ event: Event) { leg.take(event, isSource: isSource, isDevice: true) }
}

package final class EngineProcess {
    package let configuration: SideConfiguration
    package let role: Role
    let log: ProcessLog
    private(set) var host: Host!
    private(set) var main: MainThread!
    private(set) var devices: [String: MockMigrationDevice] = [:]
    private(set) var modules: [VFIOModule] = []
    /// The modules in addition to memory and VFIO devices.
    private(set) var others: EngineProcessModules!
    var incoming: Incoming?
    package var wasKilled = false
    /// Asked before each call on a device, from the first on, as `MockMigrationDevice.refuse` is.
    private let refuses: ((MockMigrationDevice, DeviceCallName) -> Int32?)?

    /// Starts the process: plugs and resets its devices, and starts the guest unless it starts paused. `generation` replaces that of the
    /// configuration.
    init(
        _ configuration: SideConfiguration, role: Role, leg: EngineLeg, _ simulation: Simulation, generation: Generation? = nil,
        refuses: ((MockMigrationDevice, DeviceCallName) -> Int32?)? = nil
    ) throws {
        self.refuses = refuses
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
        for device in configuration.devices.reversed() { _ = devices[device.name]?.reset() }
        if role == .source { host.emit(.migrationBlockActivation(.active)) }
        let starts = role == .source && !configuration.startsPaused
        main.isBooted = !starts
        if starts { main.request(.cont) }
        others.startGuest(simulation)
    }

    /// The settings that the machine type, the capabilities and the parameters amount to.
    private func settings(_ generation: Generation) throws -> HostSettings {
        let features = ProbedBinary.engine(generation.name)?.features ?? ProbedFeatures(generation)
        let isLegacy = configuration.legacyProperty ?? (features.mode(machine: configuration.machine) != .perDevice)
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

    func plug(_ device: MockDevice) throws {
        let mock = MockMigrationDevice(name: device.name, script: device.script) { [log] in log.takeDevice($0) }
        if let refuses { mock.refuse = { [unowned mock] in refuses(mock, $0) } }
        let name = host.generation.has(.perDeviceAcks) ? device.name : "VFIO_FD\(100 + modules.count)"
        let module = VFIOModule(device: mock, name: name, idstr: device.idstr)
        devices[device.name] = mock
        // A device that does not migrate has no section.
        if module.plug(host) { host.register(module, device: mock) }
        // The closure must keep neither the device nor its module alive.
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
}
