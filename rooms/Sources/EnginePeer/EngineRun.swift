/// Drives a plan with both sides in this process, in virtual time.
import MigrationEngine
import MigrationTrace
import Plan
import SwitchoverProtocol
import VFIO

/// Why the engine cannot run a plan: something in it is nothing that the engine models. Nothing has run.
package struct EngineRefusal: Error, Hashable, Sendable, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
}

/// Takes what the sides and their devices log, in each stream's order.
package protocol EngineLog: AnyObject {
    /// Another leg begins, from 0 on: what comes next is of its streams.
    func begin(leg: Int)
    func take(_ event: Event, from stream: StreamName)
    /// The proof that the leg will never end by itself; nil while it may. `armed` says what the schedule still has in store.
    func endlessProof(armed: String?) -> String?
}

/// A record for each leg that was driven. `isRough`: threads are kept waiting for a processor often, and long. Throws `EngineRefusal` before
/// anything runs, or `SideRefusal` as a QEMU does.
package func migrateInEngine(
    _ plan: MigrationPlan, seed: UInt64, isRough: Bool = false, log: some EngineLog
) throws -> [MigrationRecord] {
    if let refusal = EngineRefusal(plan) { throw refusal }
    let simulation = Simulation(seed: seed, isRough ? .rough : .calm)
    var records: [MigrationRecord] = []
    // Until the end, since what a process leaves behind goes on by itself.
    var processes: [EngineProcess] = []
    for (index, planned) in plan.legs.enumerated() {
        log.begin(leg: index)
        let leg = EngineLeg(planned, log: log)
        try checkCapabilities(of: [(planned.destination, .destination)] + (index == 0 ? [(plan.source, .source)] : []))
        if index == 0 { processes.append(try EngineProcess(plan.source, role: .source, leg: leg, simulation)) }
        let from = planned.origin == .source ? processes[0] : processes[index]
        let to = try EngineProcess(planned.destination, role: .destination, leg: leg, simulation)
        processes.append(to)
        let run = EngineLegRun(leg: leg, source: from, destination: to, simulation)
        let record = try run.drive()
        records.append(record)
        guard record.outcome.isEnd else { break }
    }
    return records
}

/// What `migrate-set-capabilities` refuses.
private func checkCapabilities(of sides: [(configuration: SideConfiguration, role: Role)]) throws {
    for side in sides {
        guard let generation = side.configuration.binary.engineGeneration.flatMap({ Generation(named: $0) }) else { continue }
        let on = Set(side.configuration.capabilities.filter(\.value).keys.compactMap(MigrationCapability.init))
        do { try CapabilityRules(generation).check(on) } catch {
            throw SideRefusal(
                role: side.role, binary: side.configuration.binary.name, command: "migrate-set-capabilities", text: error.text)
        }
    }
}

extension EngineRefusal {
    /// nil: the engine models everything in the plan.
    package init?(_ plan: MigrationPlan) {
        func refusal() -> EngineRefusal? {
            for side in [plan.source] + plan.legs.map(\.destination) {
                if !side.binary.isEngine { return EngineRefusal("\(side.binary.name) is no engine") }
                if side.firmware != .halting { return .unmodelled("a guest with firmware of its own") }
                if !side.extraArguments.isEmpty { return .unmodelled("QEMU's own arguments \(side.extraArguments.joined(separator: " "))") }
                if !side.deviceProperties.isEmpty { return .unmodelled("properties of QEMU's devices") }
                if side.capabilities["x-colo"] == true { return EngineRefusal(Status.coloRefusal.text) }
                if let name = side.capabilities.first(where: { $0.value && Capability(rawValue: $0.key) == nil })?.key {
                    return .unmodelled("capability \(name)")
                }
                var settings = HostSettings(generation: .v11_1, mode: .perDevice)
                if let name = side.parameters.first(where: { !settings.set($0.key, $0.value) })?.key {
                    return .unmodelled("parameter \(name)")
                }
                for device in side.devices {
                    if let call = unmodelledCalls.first(where: device.script.calls.contains) {
                        let rule = device.script.text.split(separator: "\n").first { $0.contains("call \(call)") }
                        return .unmodelled("the calls of '\(rule ?? "call \(call)")'")
                    }
                }
            }
            for leg in plan.legs {
                switch leg.channel {
                case .tcp, .relayed, .file, .pipe: break
                default: return .unmodelled("a snapshot")
                }
                for step in leg.steps {
                    switch step {
                    case .concludeJob, .limitDescriptors, .limitMemory, .wait(.guestWrote): return .unmodelled("'\(step)'")
                    case .execute(_, let command, _), .request(_, let command, _):
                        if !EngineLegRun.commands.contains(command) { return .unmodelled("command \(command)") }
                    default: break
                    }
                }
            }
            return nil
        }
        guard let refusal = refusal() else { return nil }
        self = refusal
    }

    static func unmodelled(_ what: String) -> EngineRefusal { EngineRefusal("the engine does not model \(what)") }
}

/// Calls that QEMU makes and the engine does not.
private let unmodelledCalls = [
    "bind", "attach", "info", "irq-info", "region-info", "config-read", "config-write", "dma-logging-start", "dma-logging-report",
]

/// What one leg has logged, as far as its schedule waits for it.
final class EngineLeg {
    let plan: MigrationLeg
    private let log: any EngineLog
    /// How often each awaited event was logged, by its place among them.
    private(set) var counts: [Int]
    private let awaited: [AwaitedEvent]
    var sourceStatuses: [String] = []
    var destinationStatuses: [String] = []
    var threshold: ThresholdInForce

    init(_ plan: MigrationLeg, log: any EngineLog) {
        self.plan = plan
        threshold = ThresholdInForce(steps: plan.before + plan.schedule)
        self.log = log
        awaited = plan.steps.compactMap { AwaitedEvent($0) }.reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
        counts = awaited.map { _ in 0 }
    }

    func take(_ event: Event, isSource: Bool, isDevice: Bool) {
        log.take(event, from: isDevice ? (isSource ? .sourceDevices : .destinationDevices) : (isSource ? .source : .destination))
        guard !isDevice else { return }
        if isSource, case .migrateTransferred = event { threshold.windowEnded() }
        if case .migrateSetState(let status) = event {
            if isSource { sourceStatuses.append(status.rawValue) } else { destinationStatuses.append(status.rawValue) }
        }
        for (index, awaited) in awaited.enumerated() where (awaited.role == .source) == isSource && awaited.isMet(event) {
            counts[index] += 1
        }
    }

    func count(_ role: Role, _ event: String) -> Int {
        awaited.firstIndex { $0.role == role && $0.name == event }.map { counts[$0] } ?? 0
    }

    func proof(armed: String?) -> String? { log.endlessProof(armed: armed) }
}

/// An event that a schedule waits for.
struct AwaitedEvent: Equatable {
    let role: Role
    let name: String
    private let test: @Sendable (Event) -> Bool

    init(role: Role, name: String) {
        self.role = role
        self.name = name
        test = tests[name] ?? { $0.name == name }
    }

    init?(_ step: ScheduleStep) {
        switch step {
        case .wait(.logged(let role, let event, _)), .wait(.furtherLogged(let role, let event, _)): self.init(role: role, name: event)
        default: return nil
        }
    }

    func isMet(_ event: Event) -> Bool { test(event) }

    static func == (one: AwaitedEvent, other: AwaitedEvent) -> Bool { one.role == other.role && one.name == other.name }
}

/// The events that schedules wait for most, told without their names being made.
private let tests: [String: @Sendable (Event) -> Bool] = [
    "source_return_path_thread_switchover_acked": { if case .sourceReturnPathThreadSwitchoverAcked = $0 { true } else { false } },
    "migrate_transferred": { if case .migrateTransferred = $0 { true } else { false } },
    "savevm_state_iterate": { $0 == .savevmStateIterate },
    "migration_thread_low_pending": { if case .migrationThreadLowPending = $0 { true } else { false } },
    "migration_precopy_complete": { $0 == .migrationPrecopyComplete },
    "migrate_send_rp_message": { if case .migrateSendRPMessage = $0 { true } else { false } },
    "migration_return_path_end_before": { $0 == .migrationReturnPathEndBefore },
    "migration_return_path_end_after": { $0 == .migrationReturnPathEndAfter },
    "process_incoming_migration_co_end": { if case .processIncomingMigrationCoEnd = $0 { true } else { false } },
    "source_return_path_thread_end": { $0 == .sourceReturnPathThreadEnd },
    "migration_thread_setup_complete": { $0 == .migrationThreadSetupComplete },
    "vm_state_notify": { if case .vmStateNotify = $0 { true } else { false } },
    "qemu_loadvm_state_post_main": { if case .qemuLoadvmStatePostMain = $0 { true } else { false } },
]
