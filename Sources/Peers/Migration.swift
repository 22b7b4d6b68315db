/// One migration between two QEMU sides, driven from start to reaped processes.
import Foundation
import VFIO

/// A condition on a device's progress, seen on the board of its side.
public enum ProgressCondition: Hashable, Sendable {
    /// A call on the device is held at a gate right now.
    case held(Role, device: String)
    /// The device has answered so many more precopy queries than when the wait for this condition began.
    case furtherQueries(Role, device: String, UInt64)
    /// QEMU has logged the trace event so often.
    case logged(Role, event: String, times: Int)
}

/// A step of a cell's schedule; steps are taken in order while the migration runs.
public enum ScheduleStep: Hashable, Sendable {
    case wait(ProgressCondition)
    case open(Role, gate: String)
}

public struct MigrationPlan: Sendable {
    public var source: SideConfiguration
    public var destination: SideConfiguration
    public var schedule: [ScheduleStep] = []
    /// Seconds from `migrate` until the source must have reached a final status.
    public var limit = 30.0
    /// At the limit, QMP `stop` the source's guest and watch for as long again: a stopped guest waits for no ACK.
    public var stopsAtLimit = false
    /// Bytes a side's logs may grow to: an endless migration writes some 20 MB a second.
    public var logLimit = 64 << 20

    public init(source: SideConfiguration, destination: SideConfiguration) {
        self.source = source
        self.destination = destination
    }
}

/// How driving ended. What it means is for the verifier to say.
public enum MigrationOutcome: Hashable, Sendable {
    /// The source reported this final status: `completed`, `failed` or `cancelled`.
    case ended(String)
    /// The limit passed first; the source was in this status.
    case limitReached(status: String)
    /// A log of this side outgrew the plan's limit.
    case logLimitReached(Role)
    /// The source's process ended by itself.
    case sourceEnded

    public var description: String {
        switch self {
        case .ended(let status): status
        case .limitReached(let status): "limit-reached in \(status)"
        case .logLimitReached(let role): "log-limit-reached at the \(role.rawValue)"
        case .sourceEnded: "source-process-ended"
        }
    }
}

/// What a schedule step saw when it was done.
public struct ScheduleMark: Hashable, Sendable {
    public let step: ScheduleStep
    /// Precopy queries that the device of a `furtherQueries` step had answered when the wait began and when it was met.
    public let queries: ClosedRange<UInt64>?
    /// Whether every source device was still in PRE_COPY, read from the board when the step was done and, for a gate, before it opened.
    public let sourceIterated: Bool
}

public struct MigrationRecord: Sendable {
    public let outcome: MigrationOutcome
    /// Statuses in the order of their MIGRATION events.
    public let sourceStatuses: [String]
    public let destinationStatuses: [String]
    /// Run states at the end; nil when the process had ended.
    public let sourceRunState: String?
    public let destinationRunState: String?
    /// All capabilities, as read back before the start.
    public let sourceCapabilities: [String: Bool]
    public let destinationCapabilities: [String: Bool]
    /// The source's error text, as `query-migrate` has it.
    public let sourceError: String?
    public let marks: [ScheduleMark]
    /// From `migrate` to the source's final status.
    public let seconds: Double
    public let sourceFiles: SideFiles
    public let destinationFiles: SideFiles
}

/// Runs the plan in `folder`, which must be fresh. Both processes have ended and are reaped when this returns or throws.
public func migrate(_ plan: MigrationPlan, shim: String, folder: String) async throws -> MigrationRecord {
    let folders = (source: folder + "/source", destination: folder + "/destination")
    for path in [folder, folders.source, folders.destination] {
        guard mkdir(path, 0o700) == 0 else { throw Environment("\(path): cannot be made: \(String(cString: strerror(errno)))") }
    }
    return try await withQEMU(.destination, plan.destination, shim: shim, folder: folders.destination) { destination in
        try await withQEMU(.source, plan.source, shim: shim, folder: folders.source) { source in
            try await drive(plan, source: source, destination: destination)
        }
    }
}

private let finalStatuses: Set = ["completed", "failed", "cancelled"]

private func drive(_ plan: MigrationPlan, source: QEMUSide, destination: QEMUSide) async throws -> MigrationRecord {
    let destinationCapabilities = try await destination.configure()
    let sourceCapabilities = try await source.configure()
    let uri = try await listen(destination)
    let began = Deadline.now
    try await source.execute("migrate", ["uri": .string(uri)])

    let statuses = StatusList()
    let (outcome, marks) = try await withThrowingTaskGroup(of: Progress.self) { group in
        group.addTask {
            .ended(try await watch(source, statuses: statuses, plan: plan, sides: [source, destination]))
        }
        group.addTask {
            .scheduled(try await follow(plan.schedule, source: source, destination: destination))
        }
        var marks: [ScheduleMark] = []
        while let progress = try await group.next() {
            switch progress {
            case .scheduled(let done): marks = done
            case .ended(let outcome):
                // Whatever is still scheduled waits for a migration that is over.
                group.cancelAll()
                while let rest = try await group.next() { if case .scheduled(let done) = rest { marks = done } }
                return (outcome, marks)
            }
        }
        throw SideError("the source was not watched to its end")
    }
    let seconds = Double(Deadline.now.nanoseconds - began.nanoseconds) / 1e9
    let hasEnded = if case .ended = outcome { true } else { false }
    // What is still held or waiting must stay so to the end of the logs: so both sides end by a kill.
    if !hasEnded {
        source.abandon()
        destination.abandon()
    }

    let error = try? await source.monitor.execute("query-migrate")["error-desc"]?.string
    let destinationStatuses = await drainStatuses(destination, settled: outcome == .ended("completed"))
    return MigrationRecord(
        outcome: outcome, sourceStatuses: await statuses.all, destinationStatuses: destinationStatuses,
        sourceRunState: await runState(source, settled: hasEnded), destinationRunState: await runState(destination, settled: hasEnded),
        sourceCapabilities: sourceCapabilities, destinationCapabilities: destinationCapabilities, sourceError: error,
        marks: marks, seconds: seconds, sourceFiles: source.files, destinationFiles: destination.files)
}

/// Makes the destination listen on a free port, and returns the address for the source.
///
/// TCP, not a unix socket: while a device holds the destination up, the source's small writes must find room. The kernel joins
/// them in a TCP buffer, where a unix socket is full after some 280 of them and would stop the source instead of the ACK.
private func listen(_ destination: QEMUSide) async throws -> String {
    try await destination.execute("migrate-incoming", ["uri": "tcp:127.0.0.1:0"])
    guard let port = try await destination.monitor.execute("query-migrate")["socket-address"]?.array?.first?["port"]?.string else {
        throw SideError("the destination listens, but query-migrate names no socket-address with a port")
    }
    return "tcp:127.0.0.1:\(port)"
}

private enum Progress: Sendable {
    case ended(MigrationOutcome)
    case scheduled([ScheduleMark])
}

private actor StatusList {
    private(set) var all: [String] = []
    func append(_ status: String) { all.append(status) }
}

/// Reads the source's events up to its final status, its end, or a limit.
private func watch(_ source: QEMUSide, statuses: StatusList, plan: MigrationPlan, sides: [QEMUSide]) async throws -> MigrationOutcome {
    var deadline = Deadline.after(seconds: plan.limit)
    var mayStop = plan.stopsAtLimit
    while true {
        do {
            let event = try await source.monitor.event(deadline: min(deadline, .after(seconds: 0.25)))
            if event.name == "MIGRATION", let status = event.data["status"]?.string {
                await statuses.append(status)
                if finalStatuses.contains(status) { return .ended(status) }
            }
        } catch QMPError.silent {
            // No event in this slice: look at what else may end the watch.
        } catch QMPError.closed {
            return .sourceEnded
        }
        for side in sides where size(of: side.files.log) + size(of: side.files.deviceLog) > plan.logLimit {
            return .logLimitReached(side.role)
        }
        guard deadline.remaining == 0 else { continue }
        guard mayStop else { return .limitReached(status: await statuses.all.last ?? "none") }
        mayStop = false
        try await source.monitor.execute("stop")
        deadline = .after(seconds: plan.limit)
    }
}

/// Takes the steps in order. Cancelled when the migration is over: the marks are those of the steps that were done.
private func follow(_ schedule: [ScheduleStep], source: QEMUSide, destination: QEMUSide) async throws -> [ScheduleMark] {
    func board(_ role: Role) throws -> GateBoard {
        let side = role == .source ? source : destination
        guard let board = side.board else { throw SideError("the schedule names the \(role.rawValue), which has no device") }
        return board
    }
    func sourceIterates() throws -> Bool {
        guard let board = source.board else { return false }
        return try source.configuration.devices.allSatisfy { try board.progress(of: $0.name)?.isInPrecopy == true }
    }
    var marks: [ScheduleMark] = []
    for step in schedule {
        var queries: ClosedRange<UInt64>?
        var iterated = true
        switch step {
        case .open(let role, let gate):
            iterated = try sourceIterates()
            try board(role).open(gate)
        case .wait(.held(let role, let device)):
            guard try await board(role).wait(for: device, until: { $0.held > 0 }) != nil else { return marks }
        case .wait(.furtherQueries(let role, let device, let count)):
            let began = try await board(role).wait(for: device, until: { _ in true })
            guard let first = began?.queries else { return marks }
            guard let met = try await board(role).wait(for: device, until: { $0.queries >= first + count }) else { return marks }
            queries = first...met.queries
        case .wait(.logged(let role, let event, let times)):
            let side = role == .source ? source : destination
            guard try await side.waitForLogged(event, times: times) else { return marks }
        }
        if case .wait = step { iterated = try sourceIterates() }
        marks.append(ScheduleMark(step: step, queries: queries, sourceIterated: iterated))
    }
    return marks
}

extension GateBoard {
    /// Waits until the device's progress meets `condition`; nil when the task was cancelled first.
    fileprivate func wait(for device: String, until condition: @escaping @Sendable (DeviceProgress) -> Bool) async throws -> DeviceProgress?
    {
        while !Task.isCancelled {
            let seen = changes
            if let progress = try progress(of: device), condition(progress) { return progress }
            try await blocking { self.waitForChange(since: seen, nanoseconds: 50_000_000) }
        }
        return nil
    }
}

extension QEMUSide {
    /// Follows the trace log until it holds `times` lines of the event; false when the task was cancelled first.
    fileprivate func waitForLogged(_ event: String, times: Int) async throws -> Bool {
        guard let board else { throw SideError("the schedule follows the log of the \(role.rawValue), which has no device") }
        var tail = try LogTail(path: files.log, event: event)
        while !Task.isCancelled {
            if try tail.count() >= times { return true }
            // The log has no way to wake anybody; a device that is being queried does, and is the clock here.
            try await blocking { board.waitForChange(since: board.changes, nanoseconds: 5_000_000) }
        }
        return false
    }
}

/// The destination's statuses; after a completed migration it is given time to come to its own end.
private func drainStatuses(_ destination: QEMUSide, settled: Bool) async -> [String] {
    var statuses: [String] = []
    let deadline = Deadline.after(seconds: settled ? 5 : 0.2)
    while !statuses.contains(where: finalStatuses.contains), let event = try? await destination.monitor.event(deadline: deadline) {
        if event.name == "MIGRATION", let status = event.data["status"]?.string { statuses.append(status) }
    }
    return statuses
}

/// The run state a side comes to rest in; nil when its process has ended. QEMU reports `completed` a moment before the source
/// leaves finish-migrate (10.0.13 and 11.1.3), so it is asked again while it is on the way; after the deadline the state on the
/// way is the answer.
private func runState(_ side: QEMUSide, settled: Bool) async -> String? {
    let deadline = Deadline.after(seconds: 5)
    while true {
        let state = try? await side.monitor.execute("query-status", deadline: .after(seconds: 2))["status"]?.string
        guard settled, let state, state == "finish-migrate" || state == "inmigrate", deadline.remaining > 0 else { return state }
    }
}

private func size(of path: String) -> Int {
    var status = stat()
    return stat(path, &status) == 0 ? Int(status.st_size) : 0
}
