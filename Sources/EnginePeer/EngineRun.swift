/// Drives a plan with all sides in this process, in virtual time.
import MigrationEngine
import MigrationTrace
import Plan
import SwitchoverProtocol
import VFIO

/// Receives what the sides and their devices log, in the order of each stream.
package protocol EngineLog: AnyObject {
    /// The leg with this index, from 0, begins: later events are of its streams.
    func begin(leg: Int)
    func take(_ event: Event, from stream: StreamName)
    /// The proof that the leg will never end by itself; nil while it still may. `armed` describes the next step of the schedule, if any.
    func endlessProof(armed: String?) -> String?
}

/// The first thing in the plan that the engine does not model; nil: it can run the plan.
package func engineLacks(_ plan: MigrationPlan) -> UnmetNeed? { plan.unmetNeed(EngineProcess.obstacle(of:to:)) }

/// Drives the plan, and returns a record for each leg that was driven. `isRough`: threads often wait long for a processor. Throws
/// `UnmetNeed` before anything runs, or `SideRefusal` for what a QEMU would refuse. `mutant` takes the place of the engine of its name, and
/// supplied devices that of planned ones.
package func migrateInEngine(
    _ plan: MigrationPlan, seed: UInt64, isRough: Bool = false, mutant: Generation? = nil, devices: (any DeviceSupply)? = nil,
    log: some EngineLog
) throws -> [MigrationRecord] {
    func generation(_ configuration: SideConfiguration) throws -> Generation {
        if let mutant, configuration.binary == .engine(generation: mutant.name) { return mutant }
        return try configuration.generation
    }
    if let unmet = engineLacks(plan) ?? devices?.obstacle(of: plan) { throw unmet }
    devices?.begin()
    defer { devices?.begin() }
    let simulation = Simulation(seed: seed, isRough ? .rough : .calm)
    var records: [MigrationRecord] = []
    // Kept until the end, since a process that no leg drives any more still runs.
    var processes: [EngineProcess] = []
    for (index, planned) in plan.legs.enumerated() {
        log.begin(leg: index)
        let leg = EngineLeg(planned, log: log)
        for (side, role) in [(planned.destination, Role.destination)] + (index == 0 ? [(plan.source, .source)] : []) {
            try checkCapabilities(of: side, role, try generation(side))
        }
        if index == 0 {
            let source = try EngineProcess(
                plan.source, role: .source, leg: leg, simulation, generation: generation(plan.source), devices: devices)
            processes.append(source)
        }
        let from = planned.origin == .source ? processes[0] : processes[index]
        let to = try EngineProcess(
            planned.destination, role: .destination, leg: leg, simulation, generation: generation(planned.destination), devices: devices)
        processes.append(to)
        let run = EngineLegRun(leg: leg, source: from, destination: to, simulation)
        let record = try run.drive()
        records.append(record)
        guard record.outcome.isEnd else { break }
    }
    return records
}

/// Throws what `migrate-set-capabilities` refuses.
private func checkCapabilities(of side: SideConfiguration, _ role: Role, _ generation: Generation) throws {
    let on = Set(side.capabilities.filter(\.value).keys.compactMap(MigrationCapability.init))
    do { try CapabilityRules(generation).check(on) } catch {
        throw SideRefusal(role: role, binary: side.binary.name, command: "migrate-set-capabilities", text: error.text)
    }
}

/// What one leg has logged, as far as its schedule waits for it, and the statuses of its sides.
final class EngineLeg {
    let plan: MigrationLeg
    private let log: any EngineLog
    /// How often each awaited event was logged, by its index in `awaited`.
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

    /// nil: the step waits for no event.
    init?(_ step: ScheduleStep) {
        guard let (role, name) = step.condition?.countedEvent else { return nil }
        self.init(role: role, name: name)
    }

    func isMet(_ event: Event) -> Bool { test(event) }

    static func == (one: AwaitedEvent, other: AwaitedEvent) -> Bool { one.role == other.role && one.name == other.name }
}

/// Tests for the events that schedules wait for most, which avoid making the names of events.
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
