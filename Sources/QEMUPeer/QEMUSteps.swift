/// What each step of a schedule is to two QEMU processes.
import Plan
import VFIO

/// A step as an action that takes its time.
struct StepAction: Sendable {
    enum End: Sendable {
        /// With the precopy queries that a wait for queries has seen, from its beginning to the one that met it.
        case done(queries: ClosedRange<UInt64>? = nil)
        /// The task was cancelled, or the deadline passed, before the condition was met.
        case unmet
    }

    /// The migration may be over before the step is answered, so the step counts as taken from its beginning.
    var mayEndMigration = false
    let take: @Sendable () async throws -> End

    init(mayEndMigration: Bool = false, _ take: @escaping @Sendable () async throws -> End) {
        self.mayEndMigration = mayEndMigration
        self.take = take
    }

    /// An action that is done when `body` returns.
    static func action(_ body: @escaping @Sendable () async throws -> Void) -> StepAction {
        StepAction {
            try await body()
            return .done()
        }
    }

    /// An action that is done if `body` returns true.
    static func wait(_ body: @escaping @Sendable () async throws -> Bool) -> StepAction {
        StepAction { try await body() ? .done() : .unmet }
    }
}

struct QEMUSteps: StepInterpreter {
    let sides: LegSides
    /// nil: the channel is not relayed.
    let relay: Relay?
    /// When waits end without being met.
    let deadline: Deadline

    func open(gate: String, at role: Role) -> StepAction { .action { try sides[role].open(gate: gate) } }

    func haltDestination() -> StepAction { .action { sides.destination.halt(true) } }

    func resumeDestination() -> StepAction { .action { sides.destination.halt(false) } }

    func recover() -> StepAction {
        .action {
            let (uri, _) = try await listen(sides.destination, .tcp, command: "migrate-recover")
            try await sides.source.execute("migrate", ["uri": .string(uri), "resume": true])
        }
    }

    func concludeJob(_ id: String, at role: Role) -> StepAction { .wait { try await sides[role].concludes(job: id, deadline: deadline) } }

    func execute(_ command: String, _ arguments: JSONValue?, at role: Role) -> StepAction {
        // A command that was sent is answered, though it may be what ends the migration.
        .action { _ = try await Task { try await sides[role].execute(command, arguments) }.value }
    }

    func request(_ command: String, _ arguments: JSONValue?, at role: Role) -> StepAction {
        .action { try await sides[role].request(command, arguments) }
    }

    func expectRefusal(of command: String, _ arguments: JSONValue?, words: String, at role: Role) -> StepAction {
        .action { try await sides[role].expectRefusal(of: command, arguments, words: words) }
    }

    func kill(_ role: Role) -> StepAction { .action { sides[role].kill() } }

    func yank(_ role: Role) -> StepAction {
        StepAction(mayEndMigration: true) {
            try await sides[role].execute("yank", ["instances": .array([["type": "migration"]])])
            return .done()
        }
    }

    func cut(_ part: ChannelPart) throws -> StepAction {
        guard let relay else { throw SideError("the schedule cuts \(part.rawValue), which is not relayed") }
        return .action { try relay.cut(part) }
    }

    func limitDescriptors(of role: Role, free: Int?) -> StepAction { .action { try await sides[role].limitDescriptors(free: free) } }

    func limitMemory(of role: Role) -> StepAction { .action { try sides[role].limitMemory() } }

    func waitUntilHeld(_ device: String, at role: Role) throws -> StepAction {
        let board = try sides[role].existingBoard()
        return .wait { try await board.wait(for: device, deadline) { $0.held > 0 } != nil }
    }

    func waitForFurtherQueries(_ count: UInt64, of device: String, at role: Role) throws -> StepAction {
        let board = try sides[role].existingBoard()
        return StepAction {
            guard let first = try await board.wait(for: device, deadline, until: { _ in true })?.queries,
                // A source that has decided queries no more, whatever the schedule waits for.
                let met = try await board.wait(for: device, deadline, until: { $0.queries >= first + count || $0.isOutOfPrecopy })
            else { return .unmet }
            return .done(queries: first...met.queries)
        }
    }

    func waitForQueries(_ count: UInt64, of device: String, at role: Role) throws -> StepAction {
        let board = try sides[role].existingBoard()
        return StepAction {
            guard let met = try await board.wait(for: device, deadline, until: { $0.queries >= count }) else { return .unmet }
            return .done(queries: 0...met.queries)
        }
    }

    func waitUntilPrecopyIsLeft(by device: String, at role: Role) throws -> StepAction {
        let board = try sides[role].existingBoard()
        return .wait { try await board.wait(for: device, deadline) { !$0.isInPrecopy } != nil }
    }

    func waitForLogged(_ event: String, times: Int, at role: Role) -> StepAction {
        .wait { try await sides.wait(role, event, times: times, deadline: deadline) }
    }

    func waitForFurtherLogged(_ event: String, times: Int, at role: Role) -> StepAction {
        .wait { try await sides.wait(role, event, times: times, isFurther: true, deadline: deadline) }
    }

    func waitForStatus(_ status: String, times: Int, at role: Role) -> StepAction {
        .wait { try await sides.wait(role, "migrate_set_state", text: "new state " + status, times: times, deadline: deadline) }
    }

    func waitForGuestWrite(to address: Int, at role: Role) -> StepAction {
        .wait { try await sides[role].waitForGuest(address, deadline: deadline) }
    }
}
