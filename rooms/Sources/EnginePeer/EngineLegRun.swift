/// One leg in the engine: its schedule is followed between the steps of the threads, until source and destination have come to their ends.
import MigrationEngine
import MigrationTrace
import Plan
import SwitchoverProtocol
import VFIO

final class EngineLegRun {
    /// QMP commands the engine takes.
    static let commands: Set = [
        "migrate_cancel", "migrate-continue", "stop", "cont", "system_reset", "migrate-set-parameters", "migrate-start-postcopy",
        "migrate-pause", "device_add",
    ]

    private let leg: EngineLeg
    private let source: EngineProcess
    private let destination: EngineProcess
    private let simulation: Simulation
    private var marks: [ScheduleMark] = []
    private var steps: ArraySlice<ScheduleStep>
    /// What a wait for further events or queries began with.
    private var began: UInt64?
    /// A command that has not been carried out, by how many were before it.
    private var pendingCommand: (process: EngineProcess, taken: Int)?
    private var isMigrating = false
    private var wasKilled = (source: false, destination: false)
    private let start: UInt64
    private let connection: EngineConnection
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
            default: Channel()
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

    /// What no trace shows: that all the guest had came to where it runs.
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
        if wasKilled.source { return .sourceKilled }
        if source.host.isGone { return .sourceEnded }
        if !leg.plan.alsoFinal.isEmpty, let status = leg.sourceStatuses.last, leg.plan.alsoFinal.contains(status) { return .ended(status) }
        guard let migration = source.main.source, isMigrating, [.completed, .failed, .cancelled].contains(migration.status) else {
            return nil
        }
        return .ended(migration.status.rawValue)
    }

    /// The destination comes to its own end, and what is to be done afterwards is.
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
        while !steps.isEmpty {
            if try follow() { continue }
            guard simulation.step() else { throw SideError("a step before the migration cannot be taken: \(steps.first!)") }
        }
    }

    /// Takes the steps that can be taken now; whether any was.
    @discardableResult
    private func follow() throws -> Bool {
        var hasTaken = false
        while let step = steps.first {
            // A wait changes nothing, and is looked at between all steps.
            let iterated: Bool? = if case .wait = step { nil } else { source.iterates }
            var queries: ClosedRange<UInt64>?
            guard try take(step, &queries) else { return hasTaken }
            steps.removeFirst()
            began = nil
            hasTaken = true
            marks.append(ScheduleMark(step: step, queries: queries, sourceIterated: iterated ?? source.iterates))
        }
        return hasTaken
    }

    private subscript(role: Role) -> EngineProcess { role == .source ? source : destination }

    /// Whether the step is done.
    private func take(_ step: ScheduleStep, _ queries: inout ClosedRange<UInt64>?) throws -> Bool {
        if let pending = pendingCommand {
            guard pending.process.main.taken > pending.taken || pending.process.host.isGone else { return false }
            pendingCommand = nil
            if let refusal = pending.process.main.refusal { throw pending.process.refused("\(step)", refusal) }
            return true
        }
        switch step {
        case .open(let role, let gate): self[role].host.open(gate)
        case .haltDestination:
            // It has read what came before: from what is seen to the signal it takes a moment.
            let moment = began ?? simulation.clock.now + 1_000_000
            began = moment
            guard simulation.clock.now >= moment else { return false }
            destination.host.isHalted = true
        case .resumeDestination: destination.host.isHalted = false
        case .kill(let role): kill(role)
        // What was written before still arrives.
        case .yank: connection.current.closeSource()
        case .cut(let part): cut(part)
        case .recover: source.main.request(.resume)
        case .request(let role, let command, let arguments): return try execute(role, command, arguments, waits: false)
        case .execute(let role, let command, let arguments): return try execute(role, command, arguments, waits: true)
        case .refused(let role, let command, _, let words):
            // Whatever is asked for in a migration is refused; the words are those of the command.
            let isBusy = self[role].main.source.map { !$0.isOver } ?? false
            guard isBusy else { throw SideError("\(role.rawValue): \(command) was not refused, expected '\(words)'") }
        case .wait(.held(_, let device)) where source.host.isGone && device.isEmpty: return false
        case .wait(.held(let role, let device)): return try self[role].device(device).progress.held > 0
        case .wait(.furtherQueries(let role, let device, let count)):
            let now = try self[role].device(device).progress.queries
            let first = began ?? now
            began = first
            guard now >= first + count else { return false }
            queries = first...now
        case .wait(.queries(let role, let device, let count)):
            let now = try self[role].device(device).progress.queries
            guard now >= count else { return false }
            queries = 0...now
        case .wait(.leftPrecopy(let role, let device)): return try !self[role].device(device).progress.isInPrecopy
        case .wait(.logged(let role, let event, let times)): return leg.count(role, event) >= times
        case .wait(.furtherLogged(let role, let event, let times)):
            let now = UInt64(leg.count(role, event))
            let first = began ?? now
            began = first
            return now >= first + UInt64(times)
        case .wait(.status(let role, let status, let times)):
            let all = role == .source ? leg.sourceStatuses : leg.destinationStatuses
            return all.lazy.filter { $0 == status }.count >= times
        case .wait(.guestWrote), .concludeJob, .limitDescriptors, .limitMemory:
            throw EngineRefusal.unmodelled("'\(step)'")
        }
        return true
    }

    private func execute(_ role: Role, _ command: String, _ arguments: JSONValue?, waits: Bool) throws -> Bool {
        let process = self[role]
        let main = process.main!
        let request: MainThread.Command
        switch command {
        case "migrate_cancel": request = .cancel
        case "migrate-continue": request = .proceed
        case "stop": request = .stop
        case "cont": request = .cont
        case "system_reset": request = .reset
        case "migrate-start-postcopy": request = .startPostcopy
        case "migrate-pause":
            process.main.source?.store("Postcopy migration is paused by the user")
            process.main.source?.shutDown()
            return true
        case "migrate-set-parameters":
            guard case .object(let parameters) = arguments else { return true }
            for (name, value) in parameters where !process.host.settings.set(name, value) {
                throw EngineRefusal.unmodelled("parameter \(name)")
            }
            return true
        case "device_add":
            guard let id = arguments?["id"]?.string, let device = process.configuration.devices.first(where: { $0.name == id }) else {
                return true
            }
            try process.plug(device)
            return true
        default: throw EngineRefusal.unmodelled("command \(command)")
        }
        if waits { pendingCommand = (process, main.taken) }
        main.request(request)
        return !waits
    }

    private func kill(_ role: Role) {
        if role == .source { wasKilled.source = true } else { wasKilled.destination = true }
        self[role].host.end()
        closing = (role, simulation.clock.now + Self.lastMoments)
    }

    /// Nanoseconds from SIGKILL until the kernel closes the sockets of a process that has memory to give back (some ms with QEMU).
    private static let lastMoments: UInt64 = 2_000_000
    private var closing: (role: Role, at: UInt64)?

    /// Takes the next step of whoever is due; false if nobody is.
    private func step() -> Bool {
        let canStep = simulation.step()
        guard let closing, simulation.clock.now >= closing.at || !canStep else { return canStep }
        self.closing = nil
        simulation.clock.now = max(simulation.clock.now, closing.at)
        connection.close(closing.role)
        return true
    }

    private func cut(_ part: ChannelPart) {
        switch part {
        case .whole: connection.current.cut()
        case .returnPath: connection.current.cutBack()
        }
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
