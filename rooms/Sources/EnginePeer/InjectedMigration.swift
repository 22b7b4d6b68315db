/// Drives one migration in the engine, as a manager does, until nothing moves any more; counts the places it passes, and makes one of them fail.
import Glibc
import MigrationEngine
import MigrationStream
import MigrationTrace
import Plan
import SwitchoverProtocol
import VFIO

/// What is migrated. The manager goes on where the source pauses before the switchover, and recovers a paused postcopy, twice.
package struct InjectedPlan: Sendable {
    package var source: SideConfiguration
    package var destination: SideConfiguration
    /// Postcopy is asked for as soon as the migration is active.
    package var startsPostcopy = false
    /// The channel breaks once when both sides are in postcopy-active, whatever else is injected.
    package var breaksInPostcopy = false
    /// In place of the generations of the sides' names: a set of features without a name.
    var generation: Generation?

    package init(source: SideConfiguration, destination: SideConfiguration) {
        self.source = source
        self.destination = destination
    }

    /// Both sides are this generation, whatever they are called.
    package func with(_ generation: Generation) -> InjectedPlan {
        var plan = self
        plan.generation = generation
        return plan
    }
}

/// What a side came to.
package struct InjectedSide: Hashable, Sendable {
    /// Its process has ended.
    package var isGone = false
    /// The last status it entered; nil: it has no migration.
    package var status: String?
    /// Its migration has nothing left to do.
    package var isOver = true
    /// Its run state, also the last one of a process that is gone.
    package var runState = ""
    /// The states that its devices are really in.
    package var devices: [String: VFIOState] = [:]

    /// The guest runs here.
    package var runs: Bool { !isGone && runState == RunState.running.rawValue }
}

package struct InjectedRecord: Sendable {
    package var source = InjectedSide()
    package var destination = InjectedSide()
    /// Why `migrate` was not taken, or a side did not start.
    package var refusal: String?
    /// How often the failure was injected: a call that fails with its recovery, twice.
    package var injected = 0
    /// In the order they were passed.
    package var places: [PassedPlace] = []
    /// Recoveries of a paused postcopy that the manager asked for.
    package var recoveries = 0
    /// The destination was killed; `killedWithGuest`: when the guest was its own already, by what it had said or done.
    package var destinationWasKilled = false
    package var killedWithGuest = false
    /// Both guests ran at once, whatever came of it.
    package var bothRan = false
    /// Threads still moved when so many steps were taken that nobody waits for more.
    package var isEndless = false
    /// Steps in all.
    package var steps = 0
}

/// Drives the plan with this failure, or none, counting places if asked to. Seed 0 leaves nothing to chance.
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
    /// A step was taken while the failed call's recovery may still come.
    private var failedInStep: Int?
    private var killsAfterStep = false
    private var hasBroken = false
    /// The source was told that the guest is the destination's.
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

    /// Counts the place; whether the failure is to be injected here.
    private func passes(_ point: FaultPlace.Point, kind: @autoclosure () -> String) -> Bool {
        let number = passed[point, default: 0] + 1
        passed[point] = number
        if counts { record.places.append(PassedPlace(place: FaultPlace(point, number), kind: kind())) }
        guard let place = injection?.place, place.number == number, place.point == point else { return false }
        record.injected += 1
        return true
    }

    private var statuses: String { "\(sourceStatus?.rawValue ?? "none") to \(destinationStatus?.rawValue ?? "none")" }

    private func refuses(_ role: Role, _ device: MockMigrationDevice, _ call: DeviceCallName) -> Int32? {
        // The recovery is in the same step as the call that failed, right behind it.
        if let step = failedInStep {
            failedInStep = nil
            if step == simulation.steps, call == .setState {
                record.injected += 1
                return EIO
            }
        }
        let point = FaultPlace.Point.call(role, device: device.name, name: call.rawValue)
        guard passes(point, kind: "\(role.rawValue) \(device.name) \(call.rawValue) in \(device.state.rawValue), \(statuses)") else {
            return nil
        }
        if injection?.fault == .eioRecovery { failedInStep = simulation.steps }
        return EIO
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
        let source = try EngineProcess(plan.source, role: .source, leg: leg, simulation, generation: plan.generation) {
            [unowned self] in refuses(.source, $0, $1)
        }
        self.source = source
        let destination = try EngineProcess(plan.destination, role: .destination, leg: leg, simulation, generation: plan.generation) {
            [unowned self] in refuses(.destination, $0, $1)
        }
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

    /// What the step has brought about outside the threads; whether anything was.
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

    /// One that breaks where it is to.
    private func channel() -> Channel {
        let channel = Channel()
        channel.breaks = { [unowned self] in breaks($0) }
        return channel
    }

    /// The manager takes a paused postcopy up again.
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
            devices: process.devices.mapValues(\.state))
    }
}

extension MockMigrationDevice {
    /// The state it is in.
    fileprivate var state: VFIOState {
        let number = progress.state
        let known: [VFIOState] = [.error, .stop, .running, .stopCopy, .resuming, .runningP2P, .preCopy, .preCopyP2P]
        return known.first { UInt64($0.number) == number } ?? .unknown
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
