/// What each step of a schedule is to two processes of the engine: an attempt between two steps of their threads.
import MigrationEngine
import Plan
import VFIO

/// What came of an attempt to take a step.
enum StepAttempt {
    /// With the precopy queries that a wait for queries has seen, from its beginning to the one that met it.
    case done(queries: ClosedRange<UInt64>? = nil)
    /// The step is attempted again when the threads have gone on.
    case notYet

    init(_ isDone: Bool) { self = isDone ? .done() : .notYet }
}

extension EngineLegRun: StepInterpreter {
    func open(gate: String, at role: Role) -> StepAttempt {
        self[role].open(gate: gate)
        return .done()
    }

    func haltDestination() -> StepAttempt {
        // The destination has read what came before: from what is seen to the signal it takes a moment.
        let moment = began ?? simulation.clock.now + 1_000_000
        began = moment
        guard simulation.clock.now >= moment else { return .notYet }
        destination.halt(true)
        return .done()
    }

    func resumeDestination() -> StepAttempt {
        destination.halt(false)
        return .done()
    }

    func recover() -> StepAttempt {
        source.main.request(.resume)
        return .done()
    }

    func concludeJob(_ id: String, at role: Role) throws -> StepAttempt { throw UnmetNeed("the engine does not model jobs") }

    func execute(_ command: String, _ arguments: JSONValue?, at role: Role) throws -> StepAttempt {
        guard let request = try begin(command, arguments, at: role) else { return .done() }
        let main = self[role].main!
        pendingCommand = (self[role], main.taken)
        main.request(request)
        return .notYet
    }

    func request(_ command: String, _ arguments: JSONValue?, at role: Role) throws -> StepAttempt {
        if let request = try begin(command, arguments, at: role) { self[role].main.request(request) }
        return .done()
    }

    func expectRefusal(of command: String, _ arguments: JSONValue?, words: String, at role: Role) throws -> StepAttempt {
        // Any command is refused while a migration runs; the words are those of the command.
        let isBusy = self[role].main.source.map { !$0.isOver } ?? false
        guard isBusy else { throw SideError("\(role.rawValue): \(command) was not refused, expected '\(words)'") }
        return .done()
    }

    func kill(_ role: Role) -> StepAttempt {
        self[role].kill()
        closing = (role, simulation.clock.now + Self.lastMoments)
        return .done()
    }

    func yank(_ role: Role) -> StepAttempt {
        // What was written before still arrives.
        connection.current.closeSource()
        return .done()
    }

    func cut(_ part: ChannelPart) -> StepAttempt {
        switch part {
        case .whole: connection.current.cut()
        case .returnPath: connection.current.cutBack()
        }
        return .done()
    }

    func limitDescriptors(of role: Role, free: Int?) throws -> StepAttempt { throw UnmetNeed("the engine does not model descriptors") }

    func limitMemory(of role: Role) throws -> StepAttempt { throw UnmetNeed("the engine does not model a limit of memory") }

    func waitUntilHeld(_ device: String, at role: Role) throws -> StepAttempt {
        // The board of a source that is gone holds nothing.
        if source.host.isGone, device.isEmpty { return .notYet }
        return StepAttempt(try self[role].device(device).progress.held > 0)
    }

    func waitForFurtherQueries(_ count: UInt64, of device: String, at role: Role) throws -> StepAttempt {
        let progress = try self[role].device(device).progress
        let now = progress.queries
        let first = began ?? now
        began = first
        // A source that has decided queries no more, whatever the schedule waits for.
        return now >= first + count || progress.isOutOfPrecopy ? .done(queries: first...now) : .notYet
    }

    func waitForQueries(_ count: UInt64, of device: String, at role: Role) throws -> StepAttempt {
        let now = try self[role].device(device).progress.queries
        return now >= count ? .done(queries: 0...now) : .notYet
    }

    func waitUntilPrecopyIsLeft(by device: String, at role: Role) throws -> StepAttempt {
        StepAttempt(try !self[role].device(device).progress.isInPrecopy)
    }

    func waitForLogged(_ event: String, times: Int, at role: Role) -> StepAttempt { StepAttempt(leg.count(role, event) >= times) }

    func waitForFurtherLogged(_ event: String, times: Int, at role: Role) -> StepAttempt {
        let now = UInt64(leg.count(role, event))
        let first = began ?? now
        began = first
        return StepAttempt(now >= first + UInt64(times))
    }

    func waitForStatus(_ status: String, times: Int, at role: Role) -> StepAttempt {
        let statuses = role == .source ? leg.sourceStatuses : leg.destinationStatuses
        return StepAttempt(statuses.lazy.filter { $0 == status }.count >= times)
    }

    func waitForGuestWrite(to address: Int, at role: Role) throws -> StepAttempt {
        throw UnmetNeed("the engine does not model what its guest's processor writes")
    }

    /// Does what a command does at once; returns what the side's main thread has yet to do, if anything.
    private func begin(_ command: String, _ arguments: JSONValue?, at role: Role) throws -> MainThread.Command? {
        guard let known = EngineCommand(rawValue: command) else { throw UnmetNeed("the engine does not model command \(command)") }
        let process = self[role]
        switch known {
        case .cancel: return .cancel
        case .proceed: return .proceed
        case .stop: return .stop
        case .cont: return .cont
        case .reset: return .reset
        case .startPostcopy: return .startPostcopy
        case .pause:
            process.main.source?.store("Postcopy migration is paused by the user")
            process.main.source?.shutDown()
        case .setParameters:
            guard case .object(let parameters) = arguments else { return nil }
            for (name, value) in parameters where !process.host.settings.set(name, value) {
                throw UnmetNeed("the engine does not model parameter \(name)")
            }
        case .plug:
            guard let id = arguments?["id"]?.string, let device = process.configuration.devices.first(where: { $0.name == id }) else {
                return nil
            }
            try process.plug(device)
        }
        return nil
    }
}
