/// Drives one migration in the engine, as a manager does, until nothing moves any more; counts the places it passes, and makes one of
/// them fail.
import Glibc
import MigrationEngine
import MigrationStream
import MigrationTrace
import Plan
import SwitchoverProtocol
import SystemPackage
import VFIO

/// The migration that failures are injected into. The driver continues a source that pauses before the switchover, and recovers a paused
/// postcopy migration up to two times.
package struct InjectedPlan: Sendable {
    package var source: SideConfiguration
    package var destination: SideConfiguration
    /// Postcopy is started as soon as the migration is active.
    package var startsPostcopy = false
    /// The channel breaks once while both sides are in postcopy-active, in addition to the injected failure.
    package var breaksInPostcopy = false
    /// Replaces the generations of both sides, so that a test can use a set of features that has no name.
    var generation: Generation?

    package init(source: SideConfiguration, destination: SideConfiguration) {
        self.source = source
        self.destination = destination
    }

    /// The plan with this generation on both sides, whatever their names are.
    package func with(_ generation: Generation) -> InjectedPlan {
        var plan = self
        plan.generation = generation
        return plan
    }
}

/// The state that a side ended in.
package struct InjectedSide: Hashable, Sendable {
    /// Its process has ended.
    package var isGone = false
    /// The last status that it entered; nil if it has no migration.
    package var status: String?
    /// Its migration has nothing left to do.
    package var isOver = true
    /// Its run state, or the last one of a process that has ended.
    package var runState = ""
    /// The actual states of its devices.
    package var devices: [String: VFIOState] = [:]

    /// The guest runs here.
    package var runs: Bool { !isGone && runState == RunState.running.rawValue }
}

package struct InjectedRecord: Sendable {
    package var source = InjectedSide()
    package var destination = InjectedSide()
    /// Why `migrate` was refused, or a side did not start.
    package var refusal: String?
    /// How many times the failure was injected: 2 for a call that fails together with its recovery.
    package var injected = 0
    /// The places, in the order in which they were passed.
    package var places: [PassedPlace] = []
    /// Recoveries of a paused postcopy migration that the driver has requested.
    package var recoveries = 0
    /// The destination was killed; `killedWithGuest`: after it had taken the guest over, by what it had sent or done.
    package var destinationWasKilled = false
    package var killedWithGuest = false
    /// Both guests ran at the same time at some moment.
    package var bothRan = false
    /// Threads still moved when the limit of steps was reached.
    package var isEndless = false
    /// The number of steps that all threads took.
    package var steps = 0
}

/// Drives the plan with this failure, or none. `counts`: records the places. Seed 0 leaves nothing to chance.
package func migrateInEngine(
    _ plan: InjectedPlan, injecting injection: Injection?, seed: UInt64, counts: Bool = false, mostSteps: Int = 1_000_000,
    log: some EngineLog
) throws -> InjectedRecord {
    let migration = InjectedMigration(plan, injection, seed: seed, counts: counts, log: log)
    do { try migration.drive(mostSteps: mostSteps) } catch let refusal as SideRefusal { migration.record.refusal = refusal.text }
    return migration.conclude()
}

private final class InjectedMigration {
    private let plan: InjectedPlan
    private let injection: Injection?
    private let counts: Bool
    private let simulation: Simulation
    private let leg: EngineLeg
    private var source: EngineProcess?
    private var destination: EngineProcess?
    fileprivate var record = InjectedRecord()

    private var passed: [FaultPlace.Point: Int] = [:]
    /// The step in which a call failed whose recovery may follow.
    private var failedInStep: Int?
    private var killsAfterStep = false
    private var hasBroken = false
    /// The destination has told the source that it has taken the guest over.
    private var hasSaidSo = false
    private var sourceStatus: MigrationStatus?
    private var destinationStatus: MigrationStatus?
    private var commands: [MainThread.Command] = []

    init(_ plan: InjectedPlan, _ injection: Injection?, seed: UInt64, counts: Bool, log: some EngineLog) {
        self.plan = plan
        self.injection = injection
        self.counts = counts
        simulation = Simulation(seed: seed)
        log.begin(leg: 0)
        leg = EngineLeg(MigrationLeg(destination: plan.destination), log: log)
    }

    // MARK: Places

    /// Counts the place; returns true if the failure is injected here.
    private func passes(_ point: FaultPlace.Point, kind: @autoclosure () -> String) -> Bool {
        let number = passed[point, default: 0] + 1
        passed[point] = number
        if counts { record.places.append(PassedPlace(place: FaultPlace(point, number), kind: kind())) }
        guard let place = injection?.place, place.number == number, place.point == point else { return false }
        record.injected += 1
        return true
    }

    private var statuses: String { "\(sourceStatus?.rawValue ?? "none") to \(destinationStatus?.rawValue ?? "none")" }

    /// Counts a call on a device as a place, and decides whether the call fails.
    private func fault(_ role: Role, _ device: String, _ call: DeviceCallName, in state: VFIOState) -> Errno? {
        // The recovery follows the failed call in the same step.
        if let step = failedInStep {
            failedInStep = nil
            if step == simulation.steps, call == .setState {
                record.injected += 1
                return .ioError
            }
        }
        let point = FaultPlace.Point.call(role, device: device, name: call.rawValue)
        guard passes(point, kind: "\(role.rawValue) \(device) \(call.rawValue) in \(state.rawValue), \(statuses)") else { return nil }
        if injection?.fault == .eioRecovery { failedInStep = simulation.steps }
        return .ioError
    }

    /// The faults of a side's devices: the model of each asks before every call.
    private func faults(_ role: Role) -> (String) -> DeviceFault {
        { [unowned self] device in { [unowned self] call, state in fault(role, device, call, in: state) } }
    }

    private func entered(_ role: Role, _ status: MigrationStatus) {
        if role == .source { sourceStatus = status } else { destinationStatus = status }
        if role == .source {
            if status == .preSwitchover { commands.append(.proceed) }
            if status == .active, plan.startsPostcopy { commands.append(.startPostcopy) }
        }
        if passes(.status(role, status.rawValue), kind: "\(role.rawValue) \(status.rawValue)") { inject() }
    }

    private func willStep(_ thread: EngineThread) {
        let side = thread.host === source?.host ? "source" : "destination"
        if passes(.step, kind: "\(side) \(thread.stepName), \(statuses)") { inject() }
    }

    private func breaks(_ written: Channel.Written) -> Bool {
        switch written {
        case .forward(let element):
            let breaksNow = plan.breaksInPostcopy && !hasBroken && sourceStatus == .postcopyActive && destinationStatus == .postcopyActive
            if breaksNow { hasBroken = true }
            return passes(.element, kind: "\(element.kind), \(statuses)") || breaksNow
        case .back(let message):
            let fails = passes(.message, kind: "\(message.kind), \(statuses)")
            if !fails, message == .shut(0) || message == .pong(0x42) { hasSaidSo = true }
            return fails
        }
    }

    private func inject() {
        switch injection?.fault {
        case .breaks?: connection?.current.breakOff()
        case .cancel?: commands.append(.cancel)
        case .kill?: killsAfterStep = true
        case .eio?, .eioRecovery?, nil: break
        }
    }

    // MARK: Driving

    private var connection: EngineConnection?

    func drive(mostSteps: Int) throws {
        let source = try EngineProcess(
            plan.source, role: .source, leg: leg, simulation, generation: plan.generation, fault: faults(.source))
        self.source = source
        let destination = try EngineProcess(
            plan.destination, role: .destination, leg: leg, simulation, generation: plan.generation, fault: faults(.destination))
        self.destination = destination
        let first = channel()
        connection = EngineConnection(source, destination, over: first, another: { [unowned self] in channel() }, simulation)
        while simulation.step() {}
        simulation.willStep = { [unowned self] in willStep($0) }
        destination.incoming = Incoming(destination.host, first, simulation.clock) { [unowned self] in entered(.destination, $0) }
        source.main.entered = { [unowned self] in entered(.source, $0) }
        source.main.request(.migrate)
        repeat {
            while simulation.step() {
                afterStep()
                guard simulation.steps < mostSteps else {
                    record.isEndless = true
                    return
                }
            }
        } while afterStep() || recovers()
        record.refusal = source.main.source == nil ? source.main.refusal : nil
    }

    /// Does what the step has caused outside the threads; returns true if anything was done.
    @discardableResult
    private func afterStep() -> Bool {
        if let source, let destination, source.host.guestRuns, destination.host.guestRuns, !source.host.isGone, !destination.host.isGone {
            record.bothRan = true
        }
        var hasActed = false
        if killsAfterStep {
            killsAfterStep = false
            kill()
            hasActed = true
        }
        for command in commands {
            source?.main.request(command)
            hasActed = true
        }
        commands = []
        return hasActed
    }

    /// A channel that breaks at the injected place.
    private func channel() -> Channel {
        let channel = Channel()
        channel.breaks = { [unowned self] in breaks($0) }
        return channel
    }

    /// Recovers a paused postcopy migration; returns true if one was paused.
    private func recovers() -> Bool {
        guard sourceStatus == .postcopyPaused, destinationStatus == .postcopyPaused, destination?.host.isGone == false,
            record.recoveries < 2
        else { return false }
        record.recoveries += 1
        source?.main.request(.resume)
        return true
    }

    private func kill() {
        guard let destination, !destination.host.isGone else { return }
        record.destinationWasKilled = true
        record.killedWithGuest =
            hasSaidSo || destination.host.guestRuns || [.completed, .postcopyActive, .postcopyPaused].contains(destinationStatus)
        destination.host.end()
        destination.incoming?.channel.closeDestination()
    }

    // MARK: The end

    func conclude() -> InjectedRecord {
        record.steps = simulation.steps
        if let source {
            record.source = side(source, sourceStatus, isOver: source.main.source?.isOver ?? true)
        }
        if let destination {
            record.destination = side(destination, destinationStatus, isOver: destination.incoming?.isOver ?? true)
        }
        return record
    }

    private func side(_ process: EngineProcess, _ status: MigrationStatus?, isOver: Bool) -> InjectedSide {
        InjectedSide(
            isGone: process.host.isGone, status: status?.rawValue, isOver: isOver, runState: process.host.runState.rawValue,
            devices: Dictionary(uniqueKeysWithValues: process.scripted.map { ($0.name, VFIOState(number: $0.progress.state)) }))
    }
}

extension StreamElement {
    fileprivate var kind: String {
        switch self {
        case .header: "header"
        case .configuration: "configuration"
        case .section(let section): "\(section.kind) \(section.id)\(section.payload.contains(.initialDataSent) ? " with marker" : "")"
        case .command(.ping(let value)): "PING \(value)"
        case .command(let command): "command \(command.number)"
        case .endOfFile: "EOF"
        case .vmDescription: "VMDESCRIPTION"
        }
    }
}

extension ReturnMessage {
    fileprivate var kind: String {
        switch self {
        case .shut(let value): "SHUT \(value)"
        case .pong(let value): "PONG \(value)"
        case .switchoverAck: "SWITCHOVER_ACK"
        case .resumeAck: "RESUME_ACK"
        case .recvBitmap: "RECV_BITMAP"
        case .requestPages: "REQ_PAGES"
        }
    }
}
