/// Two hosts and what is between them: whole migrations in the engine, with whatever modules a test gives them.
import MigrationStream
import MigrationTrace
import SwitchoverProtocol
import Testing
import VFIO

@testable import MigrationEngine

final class EnginePair {
    let simulation: Simulation
    let source: Host
    let destination: Host
    let sourceLog = ModuleLog()
    let destinationLog = ModuleLog()
    let main: MainThread
    private let channel = Channel()
    private(set) var incoming: Incoming
    /// The destination takes no connection.
    var isDeaf = false

    /// `modules` makes those of either side, the source's first.
    init(
        _ generation: Generation = .v11_1, mode: AckMode = .perDevice, to other: Generation? = nil, mode otherMode: AckMode? = nil,
        _ capabilities: Set<Capability> = [.returnPath, .switchoverAck], seed: UInt64 = 0, memory mebibytes: Int = 1, filled: Int = 0,
        modules: (Role) -> [any SaveVMHandlers] = { _ in [] }
    ) {
        func host(_ generation: Generation, _ mode: AckMode, _ log: ModuleLog, _ role: Role) -> Host {
            var settings = HostSettings(generation: generation, mode: mode)
            settings.capabilities = capabilities
            settings.maxBandwidth = 1 << 30
            settings.availableBandwidth = 1 << 30
            let host = Host(settings, log: log)
            var memory = GuestMemory(mebibytes: mebibytes)
            if role == .source {
                let page = [UInt8](repeating: 0xa5, count: GuestMemory.pageSize)
                for number in 0..<filled { memory.write(block: 0, page: number, page) }
            }
            host.register(RAM(memory))
            for module in modules(role) { host.register(module) }
            host.register(GlobalState())
            return host
        }
        simulation = Simulation(seed: seed, .rough)
        source = host(generation, mode, sourceLog, .source)
        destination = host(other ?? generation, otherMode ?? mode, destinationLog, .destination)
        simulation.add(source)
        simulation.add(destination)
        main = MainThread(source, simulation.clock)
        main.request(.cont)
        while simulation.step() {}
        incoming = Incoming(destination, channel, simulation.clock)
        incoming.survivesFailure = true
        main.destination = { [unowned self] in
            guard !isDeaf else { return nil }
            if incoming.status == .setup {
                incoming.accept()
                return channel
            }
            guard incoming.status == .postcopyPaused else { return nil }
            let next = Channel()
            incoming.recover(over: next)
            return next
        }
    }

    enum Role { case source, destination }

    /// Begins to migrate, and goes on until `condition` holds, the migration is over, or nobody can do anything; whether it holds.
    @discardableResult
    func migrate(until condition: () -> Bool = { false }) -> Bool {
        main.request(.migrate)
        return run(until: condition)
    }

    /// Steps that no migration of a test needs.
    private static let most = 200_000

    @discardableResult
    func run(until condition: () -> Bool = { false }) -> Bool {
        for _ in 0..<Self.most {
            if condition() { return true }
            if main.source?.isOver == true, main.isIdle, incoming.isOver || incoming.status == .setup { return condition() }
            guard simulation.step() else { return condition() }
        }
        return condition()
    }

    var status: MigrationStatus { main.source?.status ?? .none }
    /// Statuses that a side has entered, in order.
    var sourceStatuses: [MigrationStatus] { sourceLog.statuses }
    var destinationStatuses: [MigrationStatus] { destinationLog.statuses }
    var illegalArcs: Set<StatusArc> { source.illegalArcs.union(destination.illegalArcs) }
    /// ACKs that the source has counted.
    var acks: Int { sourceLog.count { if case .sourceReturnPathThreadSwitchoverAcked = $0 { true } else { false } } }
    /// The approvers of the destination's approvals, in order.
    var approvers: [String] {
        destinationLog.events.compactMap { event in
            switch event {
            case .loadvmApproveSwitchover(let approver), .loadvmApproveSwitchoverLegacy(let approver, _): approver
            default: nil
            }
        }
    }
}

extension ModuleLog {
    var statuses: [MigrationStatus] {
        events.compactMap { if case .migrateSetState(let status) = $0 { status } else { nil } }
    }

    func count(_ isCounted: (Event) -> Bool) -> Int { events.lazy.filter(isCounted).count }
}

extension Host {
    /// Plugs a VFIO device in: abilities of all kinds, and these lines of a script.
    func plug(_ name: String, _ log: ModuleLog, _ lines: String = "") throws {
        let script = try DeviceScript("ackmatrix-device 1\nhas precopy p2p reinit\n" + lines + "\n", file: "test")
        let device = MockMigrationDevice(name: name, script: script, delay: delay) { log.appendDevice($0) }
        let module = VFIOModule(device: device, name: name, idstr: "0000:00:10.0/vfio")
        #expect(module.plug(self))
        register(module, device: device, scripted: device)
    }
}
