/// The VFIO module, driven by hand stage by stage; the expected lines are those of real runs (10.0.13 and 11.1.3).
import MigrationStream
import MigrationTrace
import SwitchoverProtocol
import SystemPackage
import Testing
import VFIO

@testable import MigrationEngine

private final class Recording: HostLog {
    var lines: [String] = []
    var deviceLines: [String] = []
    func append(_ event: Event) { lines.append(event.line) }
    func appendDevice(_ event: Event) { deviceLines.append(event.line) }
}

extension Generation {
    fileprivate func without(_ quirk: Features) -> Generation { Generation(name: name, features: features.subtracting(quirk)) }
    fileprivate func with(_ quirk: Features) -> Generation { Generation(name: name, features: features.union(quirk)) }
}

private let able = "has precopy p2p reinit\ninitial 16K\nstop-copy 32K\n"

/// A process with mock devices.
private final class Machine {
    let host: Host
    let log = Recording()
    var modules: [VFIOModule] = []
    var devices: [MockMigrationDevice] = []
    var acks = 0
    /// Gates that held a call, and what calls cost.
    var held: [UInt32] = []
    var cost: UInt64 = 0

    init(
        _ generation: Generation = .v11_1, mode: AckMode? = nil, capabilities: Set<Capability> = [.returnPath, .switchoverAck],
        _ scripts: [String] = [able]
    ) throws {
        let isNew = generation.has(.perDeviceAcks)
        var settings = HostSettings(generation: generation, mode: mode ?? (isNew ? .perDevice : .legacy))
        settings.capabilities = capabilities
        host = Host(settings, log: log)
        host.begin(in: .running)
        for (index, script) in scripts.enumerated() {
            let log = log
            let device = MockMigrationDevice(
                name: "v\(index)", script: try DeviceScript("ackmatrix-device 1\n" + script, file: "v\(index)"), delay: host.delay
            ) { log.appendDevice($0) }
            devices.append(device)
            modules.append(
                VFIOModule(device: device, name: isNew ? "v\(index)" : "VFIO_FD10\(index)", idstr: "0000:00:1\(index).0/vfio"))
        }
        host.sendReturnPath = { [unowned self] message in
            if message == .switchoverAck { acks += 1 }
            return true
        }
        for module in modules where module.plug(host) { host.register(module, device: module.device) }
    }

    /// A call, made whole.
    @discardableResult
    func whole(
        _ body: (inout Call) throws(ModuleError) -> MigrationEngine.Progress
    ) throws(ModuleError) -> (result: Int64, payload: [SectionRecord]) {
        var payload: [SectionRecord] = []
        var stage = 0
        while true {
            var call = Call(host: host, stage: stage)
            call.payload = payload
            let progress = try body(&call)
            payload = call.payload
            cost += call.cost + host.delay.cost
            if let hold = host.delay.hold { held.append(hold.gates) }
            host.delay.clear()
            if case .done(let result) = progress { return (result, payload) }
            stage += 1
        }
    }

    func change(running: Bool, _ reason: RunState) throws(ModuleError) {
        var failure: ModuleError?
        for passes in [true, false] {
            for module in running ? modules : modules.reversed() where !passes || module.hasVMStatePrepare {
                do {
                    try whole { call throws(ModuleError) in
                        try passes
                            ? module.vmStatePrepare(running: running, reason, &call) : module.vmStateChange(running: running, reason, &call)
                    }
                } catch {
                    if failure == nil { failure = error }
                }
            }
        }
        if let failure { throw failure }
    }

    func setUp() throws(ModuleError) -> [[SectionRecord]] {
        var payloads: [[SectionRecord]] = []
        for module in modules {
            payloads.append(try whole { call throws(ModuleError) in try module.saveSetup(&call) }.payload)
        }
        return payloads
    }

    @discardableResult
    func query(exact: Bool = false, final: Bool = false) throws(ModuleError) -> PendingBytes {
        var pending = PendingBytes()
        for module in modules {
            try whole { call throws(ModuleError) in try module.saveQueryPending(&pending, exact: exact, final: final, &call) }
        }
        return pending
    }

    @discardableResult
    func iterate() throws(ModuleError) -> [[SectionRecord]] {
        var payloads: [[SectionRecord]] = []
        for module in modules where module.isActiveIterate(host) {
            payloads.append(try whole { call throws(ModuleError) in try module.saveLiveIterate(budget: 1, &call) }.payload)
        }
        return payloads
    }

    func complete() throws(ModuleError) -> [[SectionRecord]] {
        var payloads: [[SectionRecord]] = []
        for module in modules {
            payloads.append(try whole { call throws(ModuleError) in try module.saveComplete(&call) }.payload)
        }
        return payloads
    }

    func saveState() throws(ModuleError) -> [[SectionRecord]] {
        var payloads: [[SectionRecord]] = []
        for module in modules {
            payloads.append(try whole { call throws(ModuleError) in try module.saveState(&call) }.payload)
        }
        return payloads
    }

    func notify(_ reason: MigrationReason) {
        for module in modules.reversed() { _ = try? whole { call in module.migrationNotified(reason, &call) } }
    }

    func cleanUp() { for module in modules { _ = try? whole { call in module.saveCleanup(&call) } } }

    func loadSetup() throws(ModuleError) {
        for module in modules { try whole { call throws(ModuleError) in try module.loadSetup(&call) } }
    }

    func load(_ payloads: [[SectionRecord]]) throws(ModuleError) {
        for (module, payload) in zip(modules, payloads) {
            for record in payload { try whole { call throws(ModuleError) in try module.loadState(record, &call) } }
        }
    }

    func loadCleanup() { for module in modules { _ = try? whole { call in module.loadCleanup(&call) } } }

    /// The last states of the devices, by their uAPI numbers.
    var states: [UInt64] { devices.map(\.progress.state) }
    /// What was logged since the last look.
    func news() -> [String] {
        defer { log.lines = [] }
        return log.lines
    }
}

/// Lines with the devices of a release: `{0}` and `{1}`.
private func lines(_ text: String, _ generation: Generation) -> [String] {
    let prefix = generation.has(.perDeviceAcks) ? "(v" : "(VFIO_FD10"
    return text.split(separator: "\n").map {
        String($0).replacing("{0}", with: prefix + "0)").replacing("{1}", with: prefix + "1)")
    }
}

@Suite struct VFIOModuleTests {
    private static let start = """
        vfio_migration_set_state  {0} new state RUNNING_P2P, recover state ERROR
        vfio_migration_set_device_state  {0} state RUNNING_P2P
        vfio_vmstate_change_prepare  {0} running 1 reason running device state RUNNING_P2P
        vfio_migration_set_state  {1} new state RUNNING_P2P, recover state ERROR
        vfio_migration_set_device_state  {1} state RUNNING_P2P
        vfio_vmstate_change_prepare  {1} running 1 reason running device state RUNNING_P2P
        vfio_migration_set_state  {0} new state RUNNING, recover state ERROR
        vfio_migration_set_device_state  {0} state RUNNING
        vfio_vmstate_change  {0} running 1 reason running device state RUNNING
        vfio_migration_set_state  {1} new state RUNNING, recover state ERROR
        vfio_migration_set_device_state  {1} state RUNNING
        vfio_vmstate_change  {1} running 1 reason running device state RUNNING
        """

    private static let end = """
        vfio_save_complete_precopy_start  {0}
        vfio_migration_set_state  {0} new state STOP_COPY, recover state STOP
        vfio_save_block  {0} data_size 32768
        vfio_save_complete_precopy  {0} ret 0
        vfio_save_complete_precopy_start  {1}
        vfio_migration_set_state  {1} new state STOP_COPY, recover state STOP
        vfio_save_block  {1} data_size 32768
        vfio_save_complete_precopy  {1} ret 0
        vfio_save_device_config_state  {0}
        vfio_save_device_config_state  {1}
        vfio_migration_set_state  {0} new state STOP, recover state ERROR
        vfio_migration_set_device_state  {0} state STOP
        vfio_save_cleanup  {0}
        vfio_migration_set_state  {1} new state STOP, recover state ERROR
        vfio_migration_set_device_state  {1} state STOP
        vfio_save_cleanup  {1}
        """

    @Test func aMigrationLogsAsElevenOneDoes() throws {
        let generation = Generation.v11_1
        let script = able + "on query 2 when=1..1 do reinit 8192\n"
        let (source, destination) = (try Machine(generation, [script, script]), try Machine(generation, [able, able]))
        #expect(
            source.news()
                == lines(
                    """
                    vfio_migration_init  {0} mig_flags 0x7, precopy_info_v2_used 1, dirty_pages_supported 1
                    vfio_migration_realize  {0}
                    vfio_migration_init  {1} mig_flags 0x7, precopy_info_v2_used 1, dirty_pages_supported 1
                    vfio_migration_realize  {1}
                    """, generation))
        _ = destination.news()
        try source.change(running: true, .running)
        #expect(source.news() == lines(Self.start, generation))

        source.notify(.setup)
        try destination.loadSetup()
        let setUp = try source.setUp()
        #expect(setUp == [[.deviceSetup, .end], [.deviceSetup, .end]])
        try destination.load(setUp)
        #expect(
            source.news()
                == lines(
                    """
                    vfio_migration_state_notifier  {1} state 0
                    vfio_migration_state_notifier  {0} state 0
                    vfio_query_stop_copy_size  {0} stopcopy size 32768 ret 0
                    vfio_migration_set_state  {0} new state PRE_COPY, recover state RUNNING
                    vfio_migration_set_device_state  {0} state PRE_COPY
                    vfio_query_precopy_size  {0} init 16384, dirty 0, reinit 0, ret 0
                    vfio_save_setup  {0} data buffer size 32768
                    vfio_query_stop_copy_size  {1} stopcopy size 32768 ret 0
                    vfio_migration_set_state  {1} new state PRE_COPY, recover state RUNNING
                    vfio_migration_set_device_state  {1} state PRE_COPY
                    vfio_query_precopy_size  {1} init 16384, dirty 0, reinit 0, ret 0
                    vfio_save_setup  {1} data buffer size 32768
                    """, generation))

        let calls = source.log.deviceLines.count
        let first = try source.query()
        #expect(source.log.deviceLines.count == calls, "an estimate asks no device")
        #expect((first.precopy, first.stopCopy, first.requests) == (32768, 32768, 2))
        try destination.load(try source.iterate())
        try source.query()
        try source.query(exact: true)
        try destination.load(try source.iterate())
        try source.query()
        let renewed = try source.query(exact: true)
        #expect((renewed.precopy, renewed.stopCopy, renewed.requests) == (16384, 49152, 2))
        try destination.load(try source.iterate())
        try source.query()
        #expect(
            source.news()
                == lines(
                    """
                    vfio_state_pending  {0} stopcopy size 32768, precopy initial size 16384, precopy dirty size 0, request switchover ack 1, exact 0, final 0
                    vfio_state_pending  {1} stopcopy size 32768, precopy initial size 16384, precopy dirty size 0, request switchover ack 1, exact 0, final 0
                    vfio_save_iterate_start  {0}
                    vfio_save_block  {0} data_size 16384
                    vfio_send_init_data_flag  {0}
                    vfio_save_iterate  {0} precopy initial size 0 precopy dirty size 0
                    vfio_save_iterate_start  {1}
                    vfio_save_block  {1} data_size 16384
                    vfio_send_init_data_flag  {1}
                    vfio_save_iterate  {1} precopy initial size 0 precopy dirty size 0
                    vfio_state_pending  {0} stopcopy size 16384, precopy initial size 0, precopy dirty size 0, request switchover ack 0, exact 0, final 0
                    vfio_state_pending  {1} stopcopy size 16384, precopy initial size 0, precopy dirty size 0, request switchover ack 0, exact 0, final 0
                    vfio_query_stop_copy_size  {0} stopcopy size 32768 ret 0
                    vfio_query_precopy_size  {0} init 0, dirty 0, reinit 0, ret 0
                    vfio_state_pending  {0} stopcopy size 32768, precopy initial size 0, precopy dirty size 0, request switchover ack 0, exact 1, final 0
                    vfio_query_stop_copy_size  {1} stopcopy size 32768 ret 0
                    vfio_query_precopy_size  {1} init 0, dirty 0, reinit 0, ret 0
                    vfio_state_pending  {1} stopcopy size 32768, precopy initial size 0, precopy dirty size 0, request switchover ack 0, exact 1, final 0
                    vfio_save_block_precopy_empty_hit  {0}
                    vfio_save_iterate  {0} precopy initial size 0 precopy dirty size 0
                    vfio_save_block_precopy_empty_hit  {1}
                    vfio_save_iterate  {1} precopy initial size 0 precopy dirty size 0
                    vfio_state_pending  {0} stopcopy size 32768, precopy initial size 0, precopy dirty size 0, request switchover ack 0, exact 0, final 0
                    vfio_state_pending  {1} stopcopy size 32768, precopy initial size 0, precopy dirty size 0, request switchover ack 0, exact 0, final 0
                    vfio_query_stop_copy_size  {0} stopcopy size 32768 ret 0
                    vfio_query_precopy_size  {0} init 8192, dirty 0, reinit 1, ret 0
                    vfio_query_precopy_size_request_switchover_ack  {0}
                    vfio_state_pending  {0} stopcopy size 32768, precopy initial size 8192, precopy dirty size 0, request switchover ack 1, exact 1, final 0
                    vfio_query_stop_copy_size  {1} stopcopy size 32768 ret 0
                    vfio_query_precopy_size  {1} init 8192, dirty 0, reinit 1, ret 0
                    vfio_query_precopy_size_request_switchover_ack  {1}
                    vfio_state_pending  {1} stopcopy size 32768, precopy initial size 8192, precopy dirty size 0, request switchover ack 1, exact 1, final 0
                    vfio_save_block  {0} data_size 8192
                    vfio_send_init_data_flag  {0}
                    vfio_save_iterate  {0} precopy initial size 0 precopy dirty size 0
                    vfio_save_block  {1} data_size 8192
                    vfio_send_init_data_flag  {1}
                    vfio_save_iterate  {1} precopy initial size 0 precopy dirty size 0
                    vfio_state_pending  {0} stopcopy size 24576, precopy initial size 0, precopy dirty size 0, request switchover ack 0, exact 0, final 0
                    vfio_state_pending  {1} stopcopy size 24576, precopy initial size 0, precopy dirty size 0, request switchover ack 0, exact 0, final 0
                    """, generation))

        #expect(try source.iterate() == [[.end], [.end]])
        try source.query(exact: true)
        _ = source.news()
        try source.change(running: false, .finishMigrate)
        let final = try source.query(exact: true, final: true)
        #expect((final.precopy, final.stopCopy, final.requests) == (0, 65536, 0))
        #expect(
            source.news()
                == lines(
                    """
                    vfio_query_precopy_size  {1} init 0, dirty 0, reinit 0, ret 0
                    vfio_migration_set_state  {1} new state PRE_COPY_P2P, recover state ERROR
                    vfio_migration_set_device_state  {1} state PRE_COPY_P2P
                    vfio_vmstate_change_prepare  {1} running 0 reason finish-migrate device state PRE_COPY_P2P
                    vfio_query_precopy_size  {0} init 0, dirty 0, reinit 0, ret 0
                    vfio_migration_set_state  {0} new state PRE_COPY_P2P, recover state ERROR
                    vfio_migration_set_device_state  {0} state PRE_COPY_P2P
                    vfio_vmstate_change_prepare  {0} running 0 reason finish-migrate device state PRE_COPY_P2P
                    vfio_migration_set_state  {1} new state STOP_COPY, recover state ERROR
                    vfio_migration_set_device_state  {1} state STOP_COPY
                    vfio_vmstate_change  {1} running 0 reason finish-migrate device state STOP_COPY
                    vfio_migration_set_state  {0} new state STOP_COPY, recover state ERROR
                    vfio_migration_set_device_state  {0} state STOP_COPY
                    vfio_vmstate_change  {0} running 0 reason finish-migrate device state STOP_COPY
                    vfio_state_pending  {0} stopcopy size 32768, precopy initial size 0, precopy dirty size 0, request switchover ack 0, exact 1, final 1
                    vfio_state_pending  {1} stopcopy size 32768, precopy initial size 0, precopy dirty size 0, request switchover ack 0, exact 1, final 1
                    """, generation))

        try destination.load(try source.complete())
        let state = try source.saveState()
        #expect(state.map { if case .deviceConfig(let bytes) = $0.first { bytes.count } else { 0 } } == [4116, 4116])
        try destination.load(state)
        source.cleanUp()
        #expect(source.news() == lines(Self.end, generation))
        source.notify(.done)
        #expect(source.news().first == "vfio_migration_state_notifier  (v1) state 2")

        try destination.change(running: true, .running)
        destination.loadCleanup()
        #expect(destination.acks == 4)
        #expect(
            destination.news().filter { !$0.contains("{1}") && !$0.contains("(v1)") && !$0.hasSuffix("v1") }
                == lines(
                    """
                    vfio_migration_set_state  {0} new state RESUMING, recover state RUNNING
                    vfio_migration_set_device_state  {0} state RESUMING
                    vfio_load_state  {0} data 0xffffffffef100003
                    vfio_load_state  {0} data 0xffffffffef100004
                    vfio_load_state_device_data  {0} size 16384 ret 0
                    vfio_load_state  {0} data 0xffffffffef100005
                    loadvm_approve_switchover Approver v0
                    vfio_load_state  {0} data 0xffffffffef100004
                    vfio_load_state_device_data  {0} size 8192 ret 0
                    vfio_load_state  {0} data 0xffffffffef100005
                    loadvm_approve_switchover Approver v0
                    vfio_load_state  {0} data 0xffffffffef100004
                    vfio_load_state_device_data  {0} size 32768 ret 0
                    vfio_load_state  {0} data 0xffffffffef100002
                    vfio_load_device_config_state_start  {0}
                    vfio_load_device_config_state_end  {0}
                    vfio_migration_set_state  {0} new state RUNNING_P2P, recover state ERROR
                    vfio_migration_set_device_state  {0} state RUNNING_P2P
                    vfio_vmstate_change_prepare  {0} running 1 reason running device state RUNNING_P2P
                    vfio_migration_set_state  {0} new state RUNNING, recover state ERROR
                    vfio_migration_set_device_state  {0} state RUNNING
                    vfio_vmstate_change  {0} running 1 reason running device state RUNNING
                    vfio_load_cleanup  {0}
                    """, generation))
        #expect(source.states == [1, 1] && destination.states == [2, 2])
    }

    @Test(arguments: [Generation.v10_0, .v11_0])
    func aMigrationLogsAsTenZeroDoes(generation: Generation) throws {
        let (source, destination) = (try Machine(generation, [able, able]), try Machine(generation, [able, able]))
        #expect(source.news() == lines("vfio_migration_realize  {0}\nvfio_migration_realize  {1}", generation))
        try source.change(running: true, .running)
        #expect(source.news() == lines(Self.start, generation))
        try destination.loadSetup()
        #expect(destination.modules.filter(\.switchoverAckNeeded).count == 2)
        for _ in destination.modules { destination.host.approver.countUser() }
        try destination.load(try source.setUp())
        #expect(try source.query().precopy == 32768)
        let first = try source.iterate()
        #expect(first.map(\.last) == [.initialDataSent, .initialDataSent])
        try destination.load(first)
        try source.query()
        try source.iterate()
        try source.iterate()
        let exact = try source.query(exact: true)
        #expect((exact.precopy, exact.stopCopy, exact.requests) == (65536, 0, 0))
        try source.change(running: false, .finishMigrate)
        try source.query()
        #expect(
            source.news()
                == lines(
                    """
                    vfio_migration_set_state  {0} new state PRE_COPY, recover state RUNNING
                    vfio_migration_set_device_state  {0} state PRE_COPY
                    vfio_save_setup  {0} data buffer size 32768
                    vfio_migration_set_state  {1} new state PRE_COPY, recover state RUNNING
                    vfio_migration_set_device_state  {1} state PRE_COPY
                    vfio_save_setup  {1} data buffer size 32768
                    vfio_state_pending_estimate  {0} precopy 16384 postcopy 0 precopy initial size 16384 precopy dirty size 0
                    vfio_state_pending_estimate  {1} precopy 32768 postcopy 0 precopy initial size 16384 precopy dirty size 0
                    vfio_save_iterate_start  {0}
                    vfio_save_block  {0} data_size 16384
                    vfio_save_iterate  {0} precopy initial size 0 precopy dirty size 0
                    vfio_save_iterate_start  {1}
                    vfio_save_block  {1} data_size 16384
                    vfio_save_iterate  {1} precopy initial size 0 precopy dirty size 0
                    vfio_state_pending_estimate  {0} precopy 0 postcopy 0 precopy initial size 0 precopy dirty size 0
                    vfio_state_pending_estimate  {1} precopy 0 postcopy 0 precopy initial size 0 precopy dirty size 0
                    vfio_save_block_precopy_empty_hit  {0}
                    vfio_save_iterate  {0} precopy initial size 0 precopy dirty size 0
                    vfio_save_block_precopy_empty_hit  {1}
                    vfio_save_iterate  {1} precopy initial size 0 precopy dirty size 0
                    vfio_save_iterate  {0} precopy initial size 0 precopy dirty size 0
                    vfio_save_iterate  {1} precopy initial size 0 precopy dirty size 0
                    vfio_state_pending_exact  {0} precopy 32768 postcopy 0 stopcopy size 32768 precopy initial size 0 precopy dirty size 0
                    vfio_state_pending_exact  {1} precopy 65536 postcopy 0 stopcopy size 32768 precopy initial size 0 precopy dirty size 0
                    vfio_migration_set_state  {1} new state PRE_COPY_P2P, recover state ERROR
                    vfio_migration_set_device_state  {1} state PRE_COPY_P2P
                    vfio_vmstate_change_prepare  {1} running 0 reason finish-migrate device state PRE_COPY_P2P
                    vfio_migration_set_state  {0} new state PRE_COPY_P2P, recover state ERROR
                    vfio_migration_set_device_state  {0} state PRE_COPY_P2P
                    vfio_vmstate_change_prepare  {0} running 0 reason finish-migrate device state PRE_COPY_P2P
                    vfio_migration_set_state  {1} new state STOP_COPY, recover state ERROR
                    vfio_migration_set_device_state  {1} state STOP_COPY
                    vfio_vmstate_change  {1} running 0 reason finish-migrate device state STOP_COPY
                    vfio_migration_set_state  {0} new state STOP_COPY, recover state ERROR
                    vfio_migration_set_device_state  {0} state STOP_COPY
                    vfio_vmstate_change  {0} running 0 reason finish-migrate device state STOP_COPY
                    """, generation))
        try destination.load(try source.complete())
        try destination.load(try source.saveState())
        source.cleanUp()
        #expect(source.news() == lines(Self.end, generation))
        source.notify(.done)
        let number = generation.has(.failing) ? 2 : 1
        #expect(source.news().first == "vfio_migration_state_notifier  (VFIO_FD101) state \(number)")
        try destination.change(running: true, .running)
        #expect(destination.acks == 1)
        #expect(destination.news().contains("loadvm_approve_switchover Switchover ack pending num=0"))
        #expect(destination.states == [2, 2])
        #expect(!source.log.deviceLines.contains { $0.contains("precopy-info-v2") })
    }

    // MARK: REINIT

    struct Reinit: CustomTestStringConvertible, Sendable {
        let name: String
        var generation = Generation.v11_1
        var mode = AckMode.perDevice
        var capabilities: Set<Capability> = [.returnPath, .switchoverAck]
        var abilities = "has precopy p2p reinit\n"
        let rule: String
        /// What the final query collects, and how often the last check was asked for.
        let requests: UInt32
        let checks: Int
        var testDescription: String { name }
    }

    /// The marker was sent, and nothing is left; then the guest stops.
    @Test(arguments: [
        Reinit(name: "at the last check", rule: "on session-query 2 do reinit 4K", requests: 1, checks: 1),
        Reinit(name: "behind it", rule: "on state PRE_COPY_P2P do reinit 4K", requests: 0, checks: 1),
        Reinit(
            name: "behind it, guarded", generation: .v11_1.without(.unguardedAfterLastCheck),
            rule: "on state PRE_COPY_P2P do reinit 4K", requests: 1, checks: 2),
        Reinit(
            name: "at the last check, guarded: counted once", generation: .v11_1.without(.unguardedAfterLastCheck),
            rule: "on session-query 2 do reinit 4K", requests: 1, checks: 2),
        Reinit(
            name: "without P2P", abilities: "has precopy reinit\n", rule: "on session-query 2 do reinit 4K", requests: 0, checks: 0),
        Reinit(
            name: "without P2P, checked", generation: .v11_1.without(.noCheckWithoutP2P), abilities: "has precopy reinit\n",
            rule: "on session-query 2 do reinit 4K", requests: 1, checks: 1),
        Reinit(
            name: "without P2P, guarded", generation: .v11_1.without(.unguardedAfterLastCheck), abilities: "has precopy reinit\n",
            rule: "on session-query 2 do reinit 4K", requests: 1, checks: 1),
        Reinit(name: "legacy mode", mode: .legacy, rule: "on session-query 2 do reinit 4K", requests: 0, checks: 0),
        Reinit(
            name: "capability off", capabilities: [.returnPath], rule: "on session-query 2 do reinit 4K", requests: 0, checks: 0),
        Reinit(
            name: "no INFOv2", abilities: "has precopy p2p\ninfo-v2 no\n", rule: "on session-query 2 do dirty 4K", requests: 0, checks: 0),
        Reinit(name: "10.0", generation: .v10_0, mode: .legacy, rule: "on session-query 2 do reinit 4K", requests: 0, checks: 0),
        Reinit(name: "the check fails", rule: "on session-query 2 do fail EIO", requests: 1, checks: 1),
        Reinit(name: "v2", generation: .v2.with(.unguardedAfterLastCheck), rule: "on session-query 2 do reinit 4K", requests: 1, checks: 1),
    ])
    func aReinitAsTheGuestStops(_ now: Reinit) throws {
        let machine = try Machine(
            now.generation, mode: now.mode, capabilities: now.capabilities, [now.abilities + "initial 16K\n" + now.rule + "\n"])
        _ = try machine.setUp()
        try machine.query()
        let payload = try machine.iterate()[0]
        #expect(payload.last == (now.capabilities.contains(.switchoverAck) ? .initialDataSent : .end))
        let asked = machine.devices[0].progress.queries
        try machine.change(running: false, .finishMigrate)
        #expect(machine.states == [3])
        let checks = machine.log.deviceLines.filter { $0.hasPrefix("device_precopy_info") }.count - Int(asked)
        #expect(checks == now.checks)
        let final = try machine.query(exact: true, final: true)
        #expect(final.requests == now.requests)
        let isFailure = now.rule.contains("fail")
        #expect(machine.modules[0].messages == (isFailure ? ["v0: Final precopy reinit check failed (err: -5)"] : []))
        // A failed check makes its request without that line.
        let requestLines = machine.news().filter { $0.contains("request_switchover_ack") }.count
        #expect(requestLines == (isFailure || now.requests == 0 ? 0 : 1))
    }

    @Test func aReinitBeforeTheMarkerRequestsNothing() throws {
        let machine = try Machine(.v11_1, [able + "on session-query 2 do reinit 4K\non read 1 do short 1000\n"])
        _ = try machine.setUp()
        #expect(try machine.query().requests == 1)
        #expect(try machine.iterate()[0].last == .end)
        #expect(try machine.query(exact: true).requests == 0)
        #expect(try machine.iterate()[0].last == .initialDataSent)
    }

    // MARK: The source's other ways

    @Test func withoutPrecopyNothingIsRequestedOrIterated() throws {
        let machine = try Machine(.v11_1, ["has p2p\nstop-copy 32K\n"])
        let set = try machine.setUp()
        #expect(set == [[.deviceSetup, .end]])
        #expect(try machine.query().requests == 0)
        #expect(try machine.iterate().isEmpty)
        try machine.change(running: false, .finishMigrate)
        #expect(machine.states == [1])
        #expect(try machine.complete()[0].count == 2)
        #expect(machine.states == [3])
        machine.cleanUp()
        #expect(machine.states == [1])
    }

    @Test func aGuestThatWasStoppedBeforeHasNoPrecopy() throws {
        let machine = try Machine()
        try machine.change(running: false, .paused)
        #expect(machine.states == [1])
        _ = machine.news()
        _ = try machine.setUp()
        #expect(
            machine.news()
                == ["vfio_query_stop_copy_size  (v0) stopcopy size 32768 ret 0", "vfio_save_setup  (v0) data buffer size 32768"])
        #expect(try machine.query().requests == 0)
        let end = try machine.complete()[0]
        #expect(end.count == 2 && end.last == .end)
    }

    @Test func aStopInPrecopyGoesToStopCopyAndAStartLeavesIt() throws {
        let machine = try Machine()
        _ = try machine.setUp()
        try machine.change(running: false, .paused)
        #expect(machine.states == [3])
        #expect(try machine.iterate().isEmpty)
        try machine.change(running: true, .running)
        #expect(machine.states == [2])
        // The session has ended with PRE_COPY: there is nothing to read from it any more.
        let end = #expect(throws: ModuleError.self) { try machine.complete() }
        #expect(end?.text == "v0: data_fd out of sync")
    }

    @Test(arguments: [
        ("estimate stop-copy 0\n", "v0: Failed to allocate migration data buffer", Int64(-12)),
        (
            "on state PRE_COPY do fail EIO\n",
            "v0: Failed setting device state to PRE_COPY. Setting device in recover state RUNNING: Input/output error", -5
        ),
    ])
    func aSetUpFails(rule: String, text: String, result: Int64) throws {
        let machine = try Machine(.v11_1, [able + rule])
        #expect(throws: ModuleError(text, result: result)) { try machine.setUp() }
        machine.notify(.failed)
        machine.cleanUp()
        #expect(machine.states == [2])
        #expect(machine.news().last == "vfio_save_cleanup  (v0)")
    }

    @Test(arguments: [(Generation.v11_1, 1 << 20, UInt64(100 << 30)), (.v10_0, 1 << 20, 100 << 30)])
    func anUnknownSizeIsTakenForMuch(generation: Generation, buffer: Int, size: UInt64) throws {
        let machine = try Machine(generation, [able + "on call data-size do fail EIO\n"])
        _ = try machine.setUp()
        #expect(machine.news().last?.hasSuffix("data buffer size \(buffer)") == true)
        let pending = try machine.query(exact: true)
        #expect(pending.total == size)
    }

    @Test func aFailedPrecopyInfoIsTakenForNothing() throws {
        let machine = try Machine(.v11_1, [able + "on session-query 1 do fail EIO\non read 1 do short 4096\n"])
        _ = try machine.setUp()
        #expect(machine.news().contains("vfio_query_precopy_size  (v0) init 0, dirty 0, reinit 0, ret -5"))
        #expect(try machine.query().requests == 1)
        let part = try machine.iterate()[0]
        #expect(part.last == .initialDataSent)
        #expect(try machine.query(exact: true).precopy == 12288)
    }

    @Test(arguments: [
        ("on call read when=2 do fail EIO\n", Generation.v11_1, false), ("on call read when=2 do fail ENOMSG\n", .v11_1, true),
        ("drained 0\n", .v11_1, true), ("on call read when=2 do fail EAGAIN\n", .v10_0, false),
    ])
    func aReadThatGivesNothing(rule: String, generation: Generation, goesOn: Bool) throws {
        let machine = try Machine(generation, [able + rule])
        _ = try machine.setUp()
        try machine.iterate()
        _ = machine.news()
        if goesOn {
            #expect(try machine.iterate() == [[.end]])
            // A device that says 0 has no such line.
            #expect(machine.news().contains { $0.contains("empty_hit") } == !rule.hasPrefix("drained"))
        } else {
            #expect(throws: ModuleError.self) { try machine.iterate() }
        }
    }

    @Test func aFirstReadThatGivesNothingIsTold() throws {
        let machine = try Machine(.v11_1, [able + "on call read when=1 do fail ENOMSG\n"])
        _ = try machine.setUp()
        _ = machine.news()
        #expect(try machine.iterate() == [[.initialDataSent]])
        #expect(
            machine.news() == [
                "vfio_save_iterate_start  (v0)", "vfio_save_block_precopy_empty_hit  (v0)", "vfio_send_init_data_flag  (v0)",
                "vfio_save_iterate  (v0) precopy initial size 0 precopy dirty size 0",
            ])
    }

    @Test(arguments: [(Generation.v11_1, true), (.v11_1.without(.endsStateAtENOMSG), false)])
    func enomsgInStopCopy(generation: Generation, ends: Bool) throws {
        let machine = try Machine(generation, [able + "on call read when=2 do fail ENOMSG\n"])
        _ = try machine.setUp()
        try machine.iterate()
        try machine.change(running: false, .finishMigrate)
        if ends {
            #expect(try machine.complete() == [[.end]])
        } else {
            #expect(throws: ModuleError("No message of desired type", result: -42)) { try machine.complete() }
        }
    }

    // MARK: Refused states

    @Test func aRefusedStopIsToldWhileTheOthersGoOn() throws {
        let machine = try Machine(.v11_1, [able + "on state PRE_COPY_P2P do fail EIO\n", able])
        _ = try machine.setUp()
        _ = machine.news()
        let failure = #expect(throws: ModuleError.self) { try machine.change(running: false, .finishMigrate) }
        #expect(
            failure?.text == "v0: Failed setting device state to PRE_COPY_P2P. Recover state is ERROR. Resetting device: Input/output error"
        )
        let lines = machine.news().filter { $0.contains("(v0)") && !$0.contains("query_precopy") }
        #expect(
            lines == [
                "vfio_migration_set_state  (v0) new state PRE_COPY_P2P, recover state ERROR",
                "vfio_migration_set_device_state  (v0) state RUNNING",
                "vfio_vmstate_change_prepare  (v0) running 0 reason finish-migrate device state PRE_COPY_P2P",
                "vfio_migration_set_state  (v0) new state STOP, recover state ERROR",
                "vfio_migration_set_device_state  (v0) state STOP",
                "vfio_vmstate_change  (v0) running 0 reason finish-migrate device state STOP",
            ])
        machine.notify(.failed)
        try machine.change(running: true, .running)
        machine.cleanUp()
        #expect(machine.states == [2, 2])
        #expect(machine.log.deviceLines.suffix(2).filter { $0.contains("data-close") }.count == 2)
    }

    @Test func aDeviceThatCannotBeResetEndsTheProcess() throws {
        let machine = try Machine(.v11_1, [able + "on state STOP_COPY do fail EIO\non call reset do fail EIO\n"])
        _ = try machine.setUp()
        let failure = #expect(throws: ModuleError.self) { try machine.change(running: false, .finishMigrate) }
        #expect(failure?.text == "v0: Failed resetting device, err: Input/output error")
        #expect(machine.modules[0].abortion == failure?.text)
        #expect(machine.host.abortion == failure?.text)
        #expect(machine.news().last == "vfio_migration_set_state  (v0) new state STOP_COPY, recover state ERROR")
    }

    @Test func aFailedNotificationLeadsBackToRunning() throws {
        let machine = try Machine(.v11_1, [able, able])
        _ = try machine.setUp()
        try machine.change(running: false, .finishMigrate)
        _ = machine.news()
        machine.notify(.failed)
        #expect(machine.states == [2, 2])
        try machine.change(running: true, .running)
        machine.cleanUp()
        #expect(
            machine.news().prefix(3) == [
                "vfio_migration_state_notifier  (v1) state 3", "vfio_migration_set_state  (v1) new state RUNNING, recover state ERROR",
                "vfio_migration_set_device_state  (v1) state RUNNING",
            ])
        // Nothing is left over: the next migration begins as the first did.
        _ = try machine.setUp()
        #expect(try machine.query().requests == 2)
        #expect(try machine.iterate().map(\.last) == [.initialDataSent, .initialDataSent])
    }

    @Test func aResetBehindItIsOutOfSync() throws {
        let machine = try Machine()
        _ = try machine.setUp()
        try machine.iterate()
        _ = machine.devices[0].reset()
        let failure = #expect(throws: ModuleError.self) { try machine.change(running: false, .finishMigrate) }
        #expect(failure?.text == "v0: data_fd out of sync")
        #expect(try machine.query(exact: true, final: true).requests == 1)
    }

    // MARK: Destination

    @Test(
        arguments: [
            (Generation.v11_1, true), (.v11_1.without(.resetsLoadedDevice), false), (.v10_0, true),
            (.v10_0.without(.resetsLoadedDevice), false),
        ], ["on state RUNNING_P2P when=2 do fail EIO\n", "on call set-state when=3 do fail EIO\n"])
    func aLoadedDeviceThatRefusesToRun(_ now: (generation: Generation, starts: Bool), rule: String) throws {
        let (generation, starts) = now
        let (source, destination) = (try Machine(generation), try Machine(generation, [able + rule]))
        try destination.loadSetup()
        _ = try source.setUp()
        let part = try source.iterate()[0].filter { $0 != .initialDataSent }
        try source.change(running: false, .finishMigrate)
        try destination.load([part])
        try destination.load(try source.complete())
        // As where the guest is started later.
        destination.loadCleanup()
        if starts {
            try destination.change(running: true, .running)
            #expect(destination.states == [2])
            #expect(destination.modules[0].messages.count == 1)
            #expect(destination.news().contains { $0.hasPrefix("vfio_migration_set_device_state") && $0.hasSuffix("state RUNNING") })
        } else {
            #expect(throws: ModuleError.self) { try destination.change(running: true, .running) }
            // It is reset all the same, as nothing else leaves ERROR; but the guest is not started over it.
            #expect(destination.states == [2])
            #expect(destination.modules[0].messages.isEmpty)
        }
    }

    @Test func aLoadIsWrittenPieceByPieceAndHeld() throws {
        let (source, destination) = (
            try Machine(), try Machine(.v11_1, [able + "on written 4K do short 5000\non written 9K do hold load\n"])
        )
        try destination.loadSetup()
        _ = try source.setUp()
        try destination.load(try source.iterate())
        #expect(destination.held == [1])
        #expect(destination.devices[0].progress.bytesWritten == 16384)
        #expect(destination.log.deviceLines.contains("device_write  (v0) size 16384, ret 5000"))
        #expect(destination.acks == 1)
    }

    @Test func whatIsWrittenWronglyFailsTheLoad() throws {
        let machine = try Machine()
        try machine.loadSetup()
        #expect(throws: ModuleError("Invalid argument", result: -22)) {
            try machine.load([[.deviceData([UInt8](repeating: 7, count: 32))]])
        }
        #expect(machine.news().last == "vfio_load_state_device_data  (v0) size 32 ret -22")
    }

    @Test(arguments: [
        ("has p2p\n", Set<Capability>([.returnPath, .switchoverAck])), ("has precopy p2p\n", Set<Capability>([.returnPath])),
    ])
    func aMarkerForNobodyIsRefused(abilities: String, capabilities: Set<Capability>) throws {
        let machine = try Machine(capabilities: capabilities, [abilities])
        try machine.loadSetup()
        #expect(throws: ModuleError("v0: Received INIT_DATA_SENT but switchover ack is not used", result: -22)) {
            try machine.load([[.initialDataSent]])
        }
        #expect(machine.acks == 0)
    }

    @Test func legacyUsersCountThemselvesIn() throws {
        let machine = try Machine(mode: .legacy, [able, "has p2p\n", able])
        _ = machine.news()
        try machine.loadSetup()
        #expect(machine.host.approver.pending == 2)
        #expect(machine.news()[2] == "migration_request_switchover_ack_legacy Requester v0, switchover_ack_pending_num_legacy 1")
        try machine.load([[.initialDataSent], [], [.initialDataSent]])
        #expect(machine.acks == 1)
        #expect(throws: ModuleError.self) { try machine.load([[.initialDataSent]]) }
    }

    // MARK: Plugging

    @Test(
        arguments: [
            (
                Generation.v11_1, "", DeviceCallName.migration, Int32(25),
                "v0: VFIO migration init failed: migration is not supported in kernel: Inappropriate ioctl for device"
            ),
            (.v10_0, "", .migration, 25, "VFIO_FD100: VFIO migration is not supported in kernel"),
            (
                .v10_0, "", .migration, 5,
                "VFIO_FD100: Migration couldn't be initialized for VFIO device, err: -5 (Input/output error)"
            ),
            (
                .v11_1, "", .precopyInfoV2, 5, "v0: VFIO migration init failed: failed to set precopy info v2: Input/output error"
            ),
            (.v11_1, "", .precopyInfoV2, 25, nil), (.v10_0, "", .precopyInfoV2, 5, nil), (.v11_1, "", .featureProbe, 25, nil),
        ] as [(Generation, String, DeviceCallName, Int32, String?)])
    func aDeviceThatDoesNotMigrateIsBlocked(generation: Generation, _: String, call: DeviceCallName, errno: Int32, text: String?) throws {
        let machine = try Machine(generation, [])
        let device = MockMigrationDevice(
            name: "v0", script: try DeviceScript("ackmatrix-device 1\n" + able, file: "v0"),
            fault: { asked, _ in asked == call ? Errno(rawValue: errno) : nil }, log: { _ in })
        let module = VFIOModule(device: device, name: generation.has(.perDeviceAcks) ? "v0" : "VFIO_FD100", idstr: "0000:00:10.0/vfio")
        #expect(module.plug(machine.host) == (text == nil))
        #expect(module.blocker == text)
        #expect(VFIOModule.refusal(of: [module]) == text)
        #expect(machine.news().isEmpty == (text != nil))
    }

    @Test func severalDevicesNeedP2P() throws {
        let without = "has precopy reinit\n"
        let refusal = "Multiple VFIO devices migration is supported only if all of them support P2P migration"
        for (scripts, text) in [([able, able], nil), ([without], nil), ([able, without], refusal), ([], nil)] {
            #expect(VFIOModule.refusal(of: try Machine(.v11_1, scripts).modules) == text)
        }
    }

    @Test func postcopyOfMemoryIsRefused() throws {
        let machine = try Machine(capabilities: [.returnPath, .postcopyRAM])
        #expect(throws: ModuleError("v0: VFIO migration is not supported with postcopy migration", result: -95)) {
            try machine.modules[0].savePrepare(machine.host)
        }
    }

    @Test func everyCallCostsWhatTheDeviceTakes() throws {
        let machine = try Machine(
            .v11_1, [able + "cost set-state 5us\ncost data-size 7us\ncost precopy-info 11us\ncost read 13us\non call read do hold r\n"])
        _ = try machine.setUp()
        #expect(machine.cost == 23_000)
        try machine.query(exact: true)
        #expect(machine.cost == 41_000)
        try machine.iterate()
        #expect(machine.cost == 54_000 && machine.held == [1])
    }
}
