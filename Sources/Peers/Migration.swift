/// One migration between two QEMU sides, driven from start to reaped processes.
import Foundation
import MigrationTrace
import Synchronization
import VFIO

/// A condition on a device's progress, seen on the board of its side.
public enum ProgressCondition: Hashable, Sendable {
    /// A call on the device is held at a gate right now.
    case held(Role, device: String)
    /// The device has answered so many more precopy queries than when the wait for this condition began.
    case furtherQueries(Role, device: String, UInt64)
    /// QEMU has logged the trace event so often.
    case logged(Role, event: String, times: Int)
    /// QEMU has logged the trace event so often since the wait for this condition began.
    case furtherLogged(Role, event: String, times: Int)
}

/// A step of a cell's schedule; steps are taken in order while the migration runs.
public enum ScheduleStep: Hashable, Sendable {
    case wait(ProgressCondition)
    case open(Role, gate: String)
    /// Lets a destination go on whose process the plan has halted.
    case resumeDestination
    /// A QMP command that must not be refused.
    case execute(Role, command: String, JSONValue?)
}

extension ScheduleStep: CustomStringConvertible {
    public var description: String {
        switch self {
        case .wait(.held(let role, let device)): "wait until \(device) is held at the \(role.rawValue)"
        case .wait(.furtherQueries(let role, let device, let count)):
            "wait for \(count) further queries of \(device) at the \(role.rawValue)"
        case .wait(.logged(let role, let event, let times)):
            "wait until the \(role.rawValue) has logged \(event)" + (times > 1 ? " \(times) times" : "")
        case .wait(.furtherLogged(let role, let event, let times)):
            "wait until the \(role.rawValue) has logged \(event) \(times) times more"
        case .resumeDestination: "let the destination's process go on"
        case .open(let role, let gate): "open gate \(gate) at the \(role.rawValue)"
        case .execute(let role, let command, _): "\(command) at the \(role.rawValue)"
        }
    }
}

/// Watches a migration's events while it runs, and knows when it can never end.
public protocol MigrationWatcher: Sendable {
    mutating func take(_ event: Event, from stream: StreamName, line: Int)
    /// The proof that the migration will never end by itself; nil while it may. `armed` says what the schedule still has in store.
    func endlessProof(armed: String?) -> String?
}

public struct MigrationPlan: Sendable {
    public var source: SideConfiguration
    public var destination: SideConfiguration
    public var schedule: [ScheduleStep] = []
    /// The destination's process is halted when it listens, until the schedule lets it go on.
    public var haltsDestination = false
    /// Seconds from `migrate` until the source must have reached a final status.
    public var limit = 30.0
    /// Ends a migration that is proved endless; nil: only the limits do.
    public var watcher: (any MigrationWatcher)?
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
    /// The watcher has proved that it never ends; its proof.
    case endless(String)
    /// The limit passed first; the source was in this status.
    case limitReached(status: String)
    /// A log of this side outgrew the plan's limit.
    case logLimitReached(Role)
    /// The source's process ended by itself.
    case sourceEnded

    public var description: String {
        switch self {
        case .ended(let status): status
        case .endless(let proof): "endless: \(proof)"
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
    // Both start at once: most of a short cell is their start.
    let meeting = Meeting()
    return try await withThrowingTaskGroup(of: MigrationRecord?.self) { group in
        group.addTask {
            try await withQEMU(.destination, plan.destination, shim: shim, folder: folders.destination) { destination in
                try await meeting.attend(destination)
            }
            return nil
        }
        group.addTask {
            let record = try await withQEMU(.source, plan.source, shim: shim, folder: folders.source) { source in
                let record = try await drive(plan, source: source, destination: meeting.host())
                // Said while the source lives: both are taken down at once, too.
                await meeting.end()
                return record
            }
            return record
        }
        var record: MigrationRecord?
        do {
            while let part = try await group.next() { record = part ?? record }
        } catch {
            // Whoever waits for the other side waits no longer.
            group.cancelAll()
            await meeting.cancel()
            while (try? await group.next()) != nil {}
            throw error
        }
        guard let record else { throw SideError("the migration left no record") }
        return record
    }
}

/// Where the two sides, started apart, come together: the destination waits there for the migration's end, the source for the destination.
private actor Meeting {
    private var side: QEMUSide?
    private var isOver = false
    private var isCancelled = false
    private var waiting: [CheckedContinuation<Void, Never>] = []

    /// The destination is there; returns when the migration is over.
    func attend(_ destination: QEMUSide) async throws {
        side = destination
        wake()
        while !isOver { try await wait() }
    }

    /// The destination, once it is there.
    func host() async throws -> QEMUSide {
        while true {
            if let side { return side }
            try await wait()
        }
    }

    func end() {
        isOver = true
        wake()
    }

    func cancel() {
        isCancelled = true
        wake()
    }

    private func wait() async throws {
        if isCancelled { throw CancellationError() }
        await withTaskCancellationHandler {
            await withCheckedContinuation { waiting.append($0) }
        } onCancel: {
            Task { await self.cancel() }
        }
        if isCancelled { throw CancellationError() }
    }

    private func wake() {
        for continuation in waiting { continuation.resume() }
        waiting = []
    }
}

private let finalStatuses: Set = ["completed", "failed", "cancelled"]

private func drive(_ plan: MigrationPlan, source: QEMUSide, destination: QEMUSide) async throws -> MigrationRecord {
    let destinationCapabilities = try await destination.configure()
    let sourceCapabilities = try await source.configure()
    let uri = try await listen(destination)
    let began = Deadline.now
    if plan.haltsDestination { destination.halt(true) }
    try await source.execute("migrate", ["uri": .string(uri)])

    let statuses = StatusList()
    let diary = Diary(steps: plan.schedule.count)
    let outcome = try await withThrowingTaskGroup(of: MigrationOutcome?.self) { group in
        group.addTask { try await watch(source, statuses: statuses, plan: plan, sides: [source, destination]) }
        group.addTask {
            try await follow(plan.schedule, source: source, destination: destination, diary: diary)
            return nil
        }
        if let watcher = plan.watcher {
            group.addTask { try await prove(watcher, source: source, destination: destination, diary: diary, schedule: plan.schedule) }
        }
        while let outcome = try await group.next() {
            guard let outcome else { continue }
            // Whatever is still scheduled or watched for belongs to a migration that is over.
            group.cancelAll()
            while !group.isEmpty {
                do { _ = try await group.next() } catch is CancellationError { if Task.isCancelled { throw CancellationError() } }
            }
            return outcome
        }
        throw SideError("the source was not watched to its end")
    }
    let marks = diary.marks
    let seconds = Double(Deadline.now.nanoseconds - began.nanoseconds) / 1e9
    let hasEnded = if case .ended = outcome { true } else { false }
    if hasEnded {
        // The destination must come to its own end, and may still be held.
        source.board?.openAll()
        destination.board?.openAll()
        if plan.haltsDestination { destination.halt(false) }
    }
    let error = try? await source.monitor.execute("query-migrate")["error-desc"]?.string
    let destinationStatuses = await drainStatuses(destination, settled: hasEnded)
    let runStates = (source: await runState(source, settled: hasEnded), destination: await runState(destination, settled: hasEnded))
    // What is still held or waiting must stay so to the end of the logs. Both are stopped before either is killed.
    if !hasEnded {
        source.abandon()
        destination.abandon()
    }
    return MigrationRecord(
        outcome: outcome, sourceStatuses: await statuses.all, destinationStatuses: destinationStatuses,
        sourceRunState: runStates.source, destinationRunState: runStates.destination,
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

/// What the schedule has seen so far. Its lock guards an array that grows by a step.
private final class Diary: Sendable {
    private let entries = Mutex<[ScheduleMark]>([])
    private let steps: Int

    init(steps: Int) { self.steps = steps }

    var marks: [ScheduleMark] { entries.withLock { $0 } }
    func add(_ mark: ScheduleMark) { entries.withLock { $0.append(mark) } }

    /// What is still to be done, in words; nil when nothing is.
    func armed(_ schedule: [ScheduleStep]) -> String? {
        let done = marks.count
        return done < steps ? "schedule step \(done + 1) of \(steps): \(schedule[done])" : nil
    }
}

private actor StatusList {
    private(set) var all: [String] = []
    func append(_ status: String) { all.append(status) }
}

/// Reads the source's events up to its final status, its end, or a limit.
private func watch(_ source: QEMUSide, statuses: StatusList, plan: MigrationPlan, sides: [QEMUSide]) async throws -> MigrationOutcome {
    let deadline = Deadline.after(seconds: plan.limit)
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
        if deadline.remaining == 0 { return .limitReached(status: await statuses.all.last ?? "none") }
    }
}

/// Healthy migrations are over by then: the logs of the others are followed from here on.
private let proofBegins = 0.3

/// Follows all four logs until the watcher has its proof; nil when cancelled first, because the migration is over.
private func prove(_ watcher: any MigrationWatcher, source: QEMUSide, destination: QEMUSide, diary: Diary, schedule: [ScheduleStep])
    async throws -> MigrationOutcome?
{
    do { try await Task.sleep(for: .seconds(proofBegins)) } catch { return nil }
    let isOver = Flag()
    let (from, to) = (source.files, destination.files)
    return try await withTaskCancellationHandler {
        try await blocking {
            var watcher = watcher
            let logs = [
                GrowingLog(.source, path: from.log), GrowingLog(.sourceDevices, path: from.deviceLog),
                GrowingLog(.destination, path: to.log), GrowingLog(.destinationDevices, path: to.deviceLog),
            ]
            while !isOver.isSet {
                // What is armed is asked before the logs are read: what it did is in them then.
                let armed = diary.armed(schedule)
                for log in logs { try log.read { watcher.take($0, from: log.stream, line: $1) } }
                if let proof = watcher.endlessProof(armed: armed) { return .endless(proof) }
                // A log has no way to wake anybody.
                usleep(20_000)
            }
            return nil
        }
    } onCancel: {
        isOver.set()
    }
}

/// Set once, by whoever ends a wait.
private final class Flag: Sendable {
    private let value = Atomic(false)
    var isSet: Bool { value.load(ordering: .acquiring) }
    func set() { value.store(true, ordering: .releasing) }
}

/// Takes the steps in order and notes each in the diary. Cancelled when the migration is over.
private func follow(_ schedule: [ScheduleStep], source: QEMUSide, destination: QEMUSide, diary: Diary) async throws {
    func side(_ role: Role) -> QEMUSide { role == .source ? source : destination }
    func board(_ role: Role) throws -> GateBoard {
        guard let board = side(role).board else { throw SideError("the schedule names the \(role.rawValue), which has no device") }
        return board
    }
    func sourceIterates() throws -> Bool {
        guard let board = source.board else { return false }
        return try source.configuration.devices.allSatisfy {
            try !$0.script.hasPrecopy || board.progress(of: $0.name)?.isInPrecopy == true
        }
    }
    for step in schedule {
        var queries: ClosedRange<UInt64>?
        var iterated = true
        switch step {
        case .open(let role, let gate):
            iterated = try sourceIterates()
            try board(role).open(gate)
        case .resumeDestination:
            iterated = try sourceIterates()
            destination.halt(false)
        case .execute(let role, let command, let arguments):
            iterated = try sourceIterates()
            try await side(role).execute(command, arguments)
        case .wait(.held(let role, let device)):
            guard try await board(role).wait(for: device, until: { $0.held > 0 }) != nil else { return }
        case .wait(.furtherQueries(let role, let device, let count)):
            let began = try await board(role).wait(for: device, until: { _ in true })
            guard let first = began?.queries else { return }
            guard let met = try await board(role).wait(for: device, until: { $0.queries >= first + count }) else { return }
            queries = first...met.queries
        case .wait(.logged(let role, let event, let times)):
            guard try await side(role).waitForLogged(event, times: times, isFurther: false) else { return }
        case .wait(.furtherLogged(let role, let event, let times)):
            guard try await side(role).waitForLogged(event, times: times, isFurther: true) else { return }
        }
        if case .wait = step { iterated = try sourceIterates() }
        diary.add(ScheduleMark(step: step, queries: queries, sourceIterated: iterated))
    }
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
    fileprivate func waitForLogged(_ event: String, times: Int, isFurther: Bool) async throws -> Bool {
        var tail = try LogTail(path: files.log, event: event)
        let wanted = isFurther ? try tail.count() + times : times
        while !Task.isCancelled {
            if try tail.count() >= wanted { return true }
            // The log has no way to wake anybody; a device that is being queried does, and is the clock where there is one.
            if let board {
                try await blocking { board.waitForChange(since: board.changes, nanoseconds: 5_000_000) }
            } else {
                try? await Task.sleep(for: .milliseconds(2))
            }
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
        try? await Task.sleep(for: .milliseconds(2))
    }
}

private func size(of path: String) -> Int {
    var status = stat()
    return stat(path, &status) == 0 ? Int(status.st_size) : 0
}
