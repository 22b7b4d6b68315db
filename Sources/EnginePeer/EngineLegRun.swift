/// Drives one leg in the engine: takes the steps of the schedule between the steps of the threads, until both sides have ended.
import MigrationEngine
import MigrationTrace
import Plan
import SwitchoverProtocol
import VFIO

final class EngineLegRun {
    let leg: EngineLeg
    let source: EngineProcess
    let destination: EngineProcess
    let simulation: Simulation
    private var marks: [ScheduleMark] = []
    private var steps: ArraySlice<ScheduleStep>
    /// The count at the beginning of a wait for further events or queries, or the time of a pending halt in nanoseconds.
    var began: UInt64?
    /// The command that the schedule awaits, with the number of commands that the main thread had taken before.
    var pendingCommand: (process: EngineProcess, taken: Int)?
    private var isMigrating = false
    private let start: UInt64
    let connection: EngineConnection
    private var channel: Channel { connection.first }

    init(leg: EngineLeg, source: EngineProcess, destination: EngineProcess, _ simulation: Simulation) {
        self.leg = leg
        self.source = source
        self.destination = destination
        self.simulation = simulation
        steps = leg.plan.before[...]
        start = simulation.clock.now
        let channel =
            switch leg.plan.channel {
            case .file: Channel(.file)
            case .pipe: Channel(.pipe)
            case .tcp, .relayed, .snapshot: Channel()
            }
        connection = EngineConnection(source, destination, over: channel, simulation)
        (source.log.leg, source.log.isSource) = (leg, true)
        (destination.log.leg, destination.log.isSource) = (leg, false)
    }

    func drive() throws -> MigrationRecord {
        // Guests start before anything else is asked of them.
        while simulation.step() {}
        if channel.kind != .file { listen() }
        try followToEnd()
        steps = leg.plan.schedule[...]
        if leg.plan.haltsDestination { destination.host.isHalted = true }
        let taken = source.main.taken
        source.main.request(.migrate)
        isMigrating = true
        while source.main.taken == taken, simulation.step() {}
        if let refusal = source.main.refusal { throw source.refused("migrate", refusal) }
        let outcome = try watch()
        if outcome.isEnd { try finish() }
        for process in [source, destination] {
            guard let arc = process.host.illegalArcs.first else { continue }
            throw SideError(
                "the engine as \(process.role.rawValue) would have gone from \(arc.from.rawValue) to \(arc.to.rawValue), "
                    + "which \(process.host.generation.name) does not")
        }
        if outcome.isEnd { try checkModules() }
        return record(outcome)
    }

    /// Checks what no trace shows: that the state of all modules has arrived at the destination.
    private func checkModules() throws {
        guard !destination.configuration.modules.isEmpty, leg.destinationStatuses.last == "completed" else { return }
        if let loss = destination.others.loss(from: source.others) {
            throw SideError("the destination has completed, but the guest has not \(loss) as at the source")
        }
        if leg.destinationStatuses.contains("postcopy-active"), destination.others.lacksFaults {
            throw SideError("the guest was to touch missing pages in postcopy, and has touched none")
        }
    }

    private func listen() { destination.incoming = Incoming(destination.host, channel, simulation.clock) }

    // MARK: Watching

    private func watch() throws -> MigrationOutcome {
        let limit = simulation.clock.now + UInt64(leg.plan.limit * 1e9)
        let schedule = leg.plan.before + leg.plan.schedule
        var sinceProof = 0
        while true {
            try follow()
            if let end = end { return end }
            let canStep = step()
            sinceProof += 1
            if !canStep || sinceProof >= 2000 {
                sinceProof = 0
                let armed = schedule.armed(after: marks.count)
                // Where nobody moves, no window ends any more.
                let pending = canStep ? leg.threshold.pending(after: marks.count) : nil
                if let proof = leg.proof(armed: armed ?? pending) { return .endless(proof) }
            }
            if !canStep, try !follow() { return end ?? .limitReached(status: leg.sourceStatuses.last ?? "none") }
            if simulation.clock.now > limit { return .limitReached(status: leg.sourceStatuses.last ?? "none") }
        }
    }

    private var end: MigrationOutcome? {
        if source.wasKilled { return .sourceKilled }
        if source.host.isGone { return .sourceEnded }
        if !leg.plan.alsoFinal.isEmpty, let status = leg.sourceStatuses.last, leg.plan.alsoFinal.contains(status) { return .ended(status) }
        guard let migration = source.main.source, isMigrating, [.completed, .failed, .cancelled].contains(migration.status) else {
            return nil
        }
        return .ended(migration.status.rawValue)
    }

    /// Lets the destination reach its end, and takes the steps afterwards.
    private func finish() throws {
        source.host.openAllGates()
        destination.host.openAllGates()
        destination.host.isHalted = false
        // A file is loaded when it is complete.
        if channel.kind == .file, leg.sourceStatuses.last == "completed" {
            listen()
            destination.incoming?.accept()
        }
        steps = leg.plan.afterwards[...]
        let rests = ["postcopy-paused", "colo"].contains(leg.sourceStatuses.last)
        for _ in 0..<1_000_000 {
            try follow()
            let isSettled = destination.host.isGone || destination.incoming?.isOver != false || rests
            let isClean = source.host.isGone || source.main.source?.isClean != false || rests
            if steps.isEmpty, isSettled, isClean, source.main.isIdle, destination.main.isIdle { return }
            if step() { continue }
            guard try follow() else { return }
        }
    }

    // MARK: Steps

    private func followToEnd() throws {
        while let step = steps.first {
            if try follow() { continue }
            guard simulation.step() else { throw SideError("a step before the migration cannot be taken: \(step)") }
        }
    }

    /// Takes the steps that can be taken now; true if any was.
    @discardableResult
    private func follow() throws -> Bool {
        var hasTaken = false
        while let step = steps.first {
            // A wait changes nothing, and is looked at between all steps.
            let isWait = step.condition != nil
            let iterated = try isWait ? false : source.isInPrecopy()
            guard case .done(let queries) = try attempt(step) else { return hasTaken }
            steps.removeFirst()
            began = nil
            hasTaken = true
            marks.append(ScheduleMark(step: step, queries: queries, sourceIterated: try isWait ? source.isInPrecopy() : iterated))
        }
        return hasTaken
    }

    subscript(role: Role) -> EngineProcess { role == .source ? source : destination }

    private func attempt(_ step: ScheduleStep) throws -> StepAttempt {
        guard let pending = pendingCommand else { return try step.meaning(to: self) }
        guard pending.process.main.taken > pending.taken || pending.process.host.isGone else { return .notYet }
        pendingCommand = nil
        if let refusal = pending.process.main.refusal { throw pending.process.refused("\(step)", refusal) }
        return .done()
    }

    /// Nanoseconds from SIGKILL until the kernel closes the sockets of a process, whose memory it frees first (some ms with QEMU).
    static let lastMoments: UInt64 = 2_000_000
    var closing: (role: Role, at: UInt64)?

    /// Takes the next step of the thread that is due; false if none is.
    private func step() -> Bool {
        let canStep = simulation.step()
        guard let closing, simulation.clock.now >= closing.at || !canStep else { return canStep }
        self.closing = nil
        simulation.clock.now = max(simulation.clock.now, closing.at)
        connection.close(closing.role)
        return true
    }

    // MARK: Record

    private func record(_ outcome: MigrationOutcome) -> MigrationRecord {
        func capabilities(_ process: EngineProcess) -> [String: Bool] {
            var all = Dictionary(uniqueKeysWithValues: Capability.allCases.map { ($0.rawValue, process.host.has($0)) })
            for (name, isOn) in process.configuration.capabilities { all[name] = isOn }
            return all
        }
        func runState(_ process: EngineProcess) -> String? { process.host.isGone ? nil : process.host.runState.rawValue }
        return MigrationRecord(
            outcome: outcome, sourceStatuses: leg.sourceStatuses, destinationStatuses: leg.destinationStatuses,
            sourceRunState: runState(source), destinationRunState: runState(destination), sourceCapabilities: capabilities(source),
            destinationCapabilities: capabilities(destination), sourceError: source.main.source?.error,
            downtime: source.main.source?.downtime.map(Double.init), marks: marks,
            seconds: Double(simulation.clock.now - start) / 1e9, sourceLogs: nil, destinationLogs: nil)
    }
}
