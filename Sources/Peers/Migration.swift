/// One migration between two QEMU sides, driven from start to reaped processes.
import Foundation
import MigrationTrace
import Synchronization
import VFIO

/// A condition on the progress of a migration, seen on a side's board or in its log. Counts are of the leg that is driven.
public enum ProgressCondition: Hashable, Sendable {
    /// A call on the device is held at a gate right now.
    case held(Role, device: String)
    /// The device has answered so many more precopy queries than when the wait for this condition began.
    case furtherQueries(Role, device: String, UInt64)
    /// The device has answered so many precopy queries since it entered PRE_COPY.
    case queries(Role, device: String, UInt64)
    /// The device is in another state than PRE_COPY.
    case leftPrecopy(Role, device: String)
    /// QEMU has logged the trace event so often.
    case logged(Role, event: String, times: Int)
    /// QEMU has logged the trace event so often since the wait for this condition began.
    case furtherLogged(Role, event: String, times: Int)
    /// The side's migration has entered this status so often.
    case status(Role, String, times: Int)
    /// The word at this address of the side's guest is not 0.
    case guestWrote(Role, address: Int)
}

/// A step of a cell's schedule; steps are taken in order.
public enum ScheduleStep: Hashable, Sendable {
    case wait(ProgressCondition)
    case open(Role, gate: String)
    /// Halts the destination's process where it stands; at the migration's end it goes on.
    case haltDestination
    /// Lets a destination go on whose process is halted.
    case resumeDestination
    /// Takes a paused postcopy up again, over a new connection: `migrate-recover` at the destination, `migrate` with `resume` at the source.
    case recover
    /// Waits until the job has concluded, without an error, and dismisses it.
    case concludeJob(Role, id: String)
    /// A QMP command that must not be refused.
    case execute(Role, command: String, JSONValue?)
    /// A QMP command to a side that cannot answer before a call that is held goes on: nobody waits for the answer.
    case request(Role, command: String, JSONValue?)
    /// A QMP command that must be refused, in these words among others.
    case refused(Role, command: String, JSONValue?, words: String)
    /// Ends the side's process by SIGKILL.
    case kill(Role)
    /// Has the side give its channel up, by QMP `yank`.
    case yank(Role)
    /// Cuts a relayed channel, or a part of it.
    case cut(ChannelPart)
    /// Lets the side open so many descriptors more than it has, and no more; nil: as many as it may.
    case limitDescriptors(Role, free: Int?)
    /// Leaves the side next to no memory to take, by a cgroup: the kernel kills it as soon as it needs more.
    case limitMemory(Role)
}

extension ScheduleStep: CustomStringConvertible {
    public var description: String {
        switch self {
        case .wait(.held(let role, let device)): "wait until \(device) is held at the \(role.rawValue)"
        case .wait(.furtherQueries(let role, let device, let count)):
            "wait for \(count) further queries of \(device) at the \(role.rawValue)"
        case .wait(.queries(let role, let device, let count)): "wait until \(device) has answered \(count) queries at the \(role.rawValue)"
        case .wait(.leftPrecopy(let role, let device)): "wait until \(device) has left PRE_COPY at the \(role.rawValue)"
        case .wait(.logged(let role, let event, let times)):
            "wait until the \(role.rawValue) has logged \(event)" + (times > 1 ? " \(times) times" : "")
        case .wait(.furtherLogged(let role, let event, let times)):
            "wait until the \(role.rawValue) has logged \(event) \(times) times more"
        case .wait(.status(let role, let status, let times)):
            "wait until the \(role.rawValue) is \(status)" + (times > 1 ? " for the \(times)th time" : "")
        case .wait(.guestWrote(let role, let address)):
            "wait until the \(role.rawValue)'s guest has written 0x\(String(address, radix: 16))"
        case .haltDestination: "halt the destination's process"
        case .resumeDestination: "let the destination's process go on"
        case .recover: "recover the paused migration"
        case .concludeJob(let role, let id): "wait until job \(id) at the \(role.rawValue) has concluded"
        case .open(let role, let gate): "open gate \(gate) at the \(role.rawValue)"
        case .execute(let role, let command, _): "\(command) at the \(role.rawValue)"
        case .request(let role, let command, _): "\(command) at the \(role.rawValue), which cannot answer yet"
        case .refused(let role, let command, _, let words): "\(command) at the \(role.rawValue), to be refused with '\(words)'"
        case .kill(let role): "kill the \(role.rawValue)"
        case .yank(let role): "yank at the \(role.rawValue)"
        case .cut(let part): "cut \(part.rawValue)"
        case .limitDescriptors(let role, let free?): "leave the \(role.rawValue) \(free) free descriptors"
        case .limitMemory(let role): "leave the \(role.rawValue) next to no memory to take"
        case .limitDescriptors(let role, nil): "lift the \(role.rawValue)'s limit of descriptors"
        }
    }
}

/// Watches a migration's events while it runs, and knows when it can never end.
public protocol MigrationWatcher: Sendable {
    mutating func take(_ event: Event, from stream: StreamName, line: Int)
    /// The proof that the migration will never end by itself; nil while it may. `armed` says what the schedule still has in store.
    func endlessProof(armed: String?) -> String?
}

/// One migration of a plan: from a process that runs to one that waits for it.
public struct MigrationLeg: Sendable {
    /// Which process is the source.
    public enum Origin: Hashable, Sendable {
        /// The plan's source: its first migration, or another attempt.
        case source
        /// The destination of the leg before: the next hop of a chain.
        case lastDestination
    }

    /// How the two sides are connected.
    public enum Channel: Hashable, Sendable {
        /// TCP on loopback, the port chosen by the kernel.
        case tcp
        /// The same through a relay of ours, which a step may cut.
        case relayed
        /// A file, which the destination loads when the source has completed.
        case file
        /// A pipe between two `exec:` commands: bytes go one way only.
        case pipe
        /// A snapshot of the running guest inside this disk, by the job `snapshot`; there is no destination.
        case snapshot(node: String)
    }

    public var origin = Origin.source
    public var destination: SideConfiguration
    public var channel = Channel.tcp
    /// Steps taken before the `migrate` command.
    public var before: [ScheduleStep] = []
    /// Steps taken while the migration runs; those left when it is over are not taken.
    public var schedule: [ScheduleStep] = []
    /// Steps taken when the source has reached its final status, as a manager takes them.
    public var afterwards: [ScheduleStep] = []
    /// The destination's process is halted when it listens, until the schedule lets it go on.
    public var haltsDestination = false
    /// Statuses of the source that end the leg, beside completed, failed and cancelled.
    public var alsoFinal: Set<String> = []
    /// Seconds from `migrate` until the source must have reached a final status, and from there for the steps afterwards.
    public var limit = 30.0
    /// Ends a migration that is proved endless; nil: only the limits do.
    public var watcher: (any MigrationWatcher)?

    public init(destination: SideConfiguration, origin: Origin = .source) {
        self.destination = destination
        self.origin = origin
    }

    /// All steps, in the order in which they are taken.
    public var steps: [ScheduleStep] { before + schedule + afterwards }
}

public struct MigrationPlan: Sendable {
    public var source: SideConfiguration
    /// One migration after the other, each to a destination of its own; at least one.
    public var legs: [MigrationLeg]
    /// Bytes a side's logs may grow to: an endless migration writes some 20 MB a second.
    public var logLimit = 64 << 20

    public init(source: SideConfiguration, destination: SideConfiguration) {
        self.source = source
        legs = [MigrationLeg(destination: destination)]
    }

    /// The first leg, which most plans have alone.
    public var leg: MigrationLeg {
        get { legs[0] }
        set { legs[0] = newValue }
    }

    /// The folder of a leg's destination, in that of the cell.
    public static func destinationFolder(ofLeg index: Int) -> String { index == 0 ? "destination" : "destination-\(index + 1)" }

    /// What the source of a leg was started with.
    public func source(ofLeg index: Int) -> SideConfiguration {
        legs[index].origin == .source || index == 0 ? source : legs[index - 1].destination
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
    /// A step killed it.
    case sourceKilled

    /// Nothing of it goes on; otherwise it was broken off from outside.
    public var isEnd: Bool {
        switch self {
        case .ended, .sourceEnded, .sourceKilled: true
        case .endless, .limitReached, .logLimitReached: false
        }
    }

    public var description: String {
        switch self {
        case .ended(let status): status
        case .endless(let proof): "endless: \(proof)"
        case .limitReached(let status): "limit-reached in \(status)"
        case .logLimitReached(let role): "log-limit-reached at the \(role.rawValue)"
        case .sourceEnded: SourceProcessEnd.byItself.rawValue
        case .sourceKilled: SourceProcessEnd.killed.rawValue
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
    /// Milliseconds, as `query-migrate` has it; nil before a migration completed.
    public let downtime: Double?
    public let marks: [ScheduleMark]
    /// From `migrate` to the source's final status.
    public let seconds: Double
    public internal(set) var sourceLogs: LegLogs
    public internal(set) var destinationLogs: LegLogs
}

/// Runs the plan in `folder`, which must be fresh: a record for each leg that was driven, the last one of them perhaps not to its end.
/// All processes have ended and are reaped when this returns or throws.
public func migrate(_ plan: MigrationPlan, shim: String, folder: String) async throws -> [MigrationRecord] {
    let processes =
        [(role: Role.source, configuration: plan.source, name: "source")]
        + plan.legs.enumerated().map { (.destination, $1.destination, MigrationPlan.destinationFolder(ofLeg: $0)) }
    for path in [folder] + processes.map({ folder + "/" + $0.name }) {
        guard mkdir(path, 0o700) == 0 else { throw Environment("\(path): cannot be made: \(String(cString: strerror(errno)))") }
    }
    // All start at once: most of a short cell is their start.
    let meeting = Meeting()
    return try await withThrowingTaskGroup(of: [MigrationRecord]?.self) { group in
        for (index, process) in processes.enumerated() {
            group.addTask {
                try await withQEMU(process.role, process.configuration, shim: shim, folder: folder + "/" + process.name) { side in
                    try await meeting.attend(side, as: index)
                }
                return nil
            }
        }
        group.addTask {
            var records: [MigrationRecord] = []
            for (index, leg) in plan.legs.enumerated() {
                let sides = LegSides(
                    source: try await meeting.host(index == 0 || leg.origin == .source ? 0 : index), isSourceFirst: index == 0,
                    destination: try await meeting.host(index + 1))
                let record = try await drive(leg, sides, logLimit: plan.logLimit)
                records.append(record)
                guard record.outcome.isEnd else { break }
            }
            // Said while all live: they are taken down at once, too.
            await meeting.end()
            return records
        }
        var records: [MigrationRecord]?
        do {
            while let part = try await group.next() { records = part ?? records }
        } catch {
            // Whoever waits for another waits no longer.
            group.cancelAll()
            await meeting.cancel()
            while (try? await group.next()) != nil {}
            throw error
        }
        guard let records else { throw SideError("the migration left no record") }
        return records.closed()
    }
}

/// Where the sides, started apart, come together: each waits there for the end of all legs, and the legs wait for their sides.
private actor Meeting {
    private var sides: [Int: QEMUSide] = [:]
    private var isOver = false
    private var isCancelled = false
    private var waiting: [CheckedContinuation<Void, Never>] = []

    /// The side is there; returns when everything is over.
    func attend(_ side: QEMUSide, as index: Int) async throws {
        sides[index] = side
        wake()
        while !isOver { try await wait() }
    }

    /// A side, once it is there.
    func host(_ index: Int) async throws -> QEMUSide {
        while true {
            if let side = sides[index] { return side }
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

private func drive(_ leg: MigrationLeg, _ sides: LegSides, logLimit: Int) async throws -> MigrationRecord {
    let (source, destination) = (sides.source, sides.destination)
    let destinationCapabilities = try await destination.configure()
    let sourceCapabilities = try await source.configure()
    let (address, relay) = [.tcp, .relayed].contains(leg.channel) ? try await listen(destination, leg.channel) : ("", nil)
    defer { relay?.end() }
    let diary = Diary(leg.before + leg.schedule)
    try await follow(leg.before, sides, relay, diary: diary, deadline: .after(seconds: leg.limit))
    let began = Deadline.now
    do {
        try await begin(leg, at: address, source: source, destination: destination)
    } catch QMPError.closed where source.wasKilled {
        // It ends over the command, and the watch finds it gone.
    }

    let statuses = StatusList()
    let outcome = try await withThrowingTaskGroup(of: MigrationOutcome?.self) { group in
        group.addTask { try await watch(sides, statuses: statuses, leg, logLimit: logLimit) }
        group.addTask {
            try await follow(leg.schedule, sides, relay, diary: diary, deadline: .after(seconds: leg.limit))
            return nil
        }
        if let watcher = leg.watcher {
            group.addTask { try await prove(watcher, sides, diary: diary) }
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
    let seconds = Double(Deadline.now.nanoseconds - began.nanoseconds) / 1e9
    let hasEnded = outcome.isEnd
    if hasEnded {
        // The destination must come to its own end, and may still be held.
        source.board?.openAll()
        destination.board?.openAll()
        if leg.haltsDestination || leg.schedule.contains(.haltDestination) { destination.halt(false) }
        if case .file = leg.channel, outcome == .ended("completed") {
            try await destination.execute("migrate-incoming", ["uri": .string(uri(ofFile: "file:"))])
        }
        try await follow(leg.afterwards, sides, relay, diary: diary, deadline: .after(seconds: leg.limit))
    }
    // A source that is stuck may not answer any more.
    let migration = try? await source.monitor.execute("query-migrate", deadline: .after(seconds: hasEnded ? 10 : 1))
    // Nobody came to a destination whose source got no further than to connect, and nothing was sent to one that is still to load.
    let isFed =
        switch leg.channel {
        case .tcp, .relayed: await statuses.all.contains("active")
        case .pipe: true
        case .file: outcome == .ended("completed")
        case .snapshot: false
        }
    let destinationStatuses = await drainStatuses(
        destination, settled: hasEnded && isFed, final: finalStatuses.union(leg.alsoFinal))
    // A migration that rests in another status moves no further by itself, but by `quit`.
    let isSettled = if case .ended(let status) = outcome { finalStatuses.contains(status) } else { hasEnded }
    let runStates = (
        source: await runState(source, settled: isSettled), destination: await runState(destination, settled: isSettled && isFed)
    )
    // What is still held, waiting or at rest must stay so to the end of the logs. Both are stopped before either is killed.
    if !isSettled {
        source.abandon()
        destination.abandon()
    }
    return MigrationRecord(
        outcome: outcome, sourceStatuses: await statuses.all, destinationStatuses: destinationStatuses,
        sourceRunState: runStates.source, destinationRunState: runStates.destination,
        sourceCapabilities: sourceCapabilities, destinationCapabilities: destinationCapabilities,
        sourceError: migration?["error-desc"]?.string,
        downtime: migration?["downtime"]?.integer.map(Double.init), marks: diary.marks, seconds: seconds, sourceLogs: sides.sourceLogs,
        destinationLogs: sides.destinationLogs)
}

/// The two sides of a leg, and where their logs stood when it began.
struct LegSides: Sendable {
    let source: QEMUSide
    let destination: QEMUSide
    let sourceLogs: LegLogs
    let destinationLogs: LegLogs

    init(source: QEMUSide, isSourceFirst: Bool, destination: QEMUSide) {
        self.source = source
        self.destination = destination
        sourceLogs = LegLogs(source.files, isFirst: isSourceFirst)
        destinationLogs = LegLogs(destination.files, isFirst: true)
    }

    subscript(role: Role) -> QEMUSide { role == .source ? source : destination }
    func logs(_ role: Role) -> LegLogs { role == .source ? sourceLogs : destinationLogs }
}

/// Where a channel that is a file or a pipe lies, as both sides see it from their folders.
private func uri(ofFile scheme: String) -> String { scheme + "../channel" }

/// Begins the migration, over TCP to a destination that listens at this address, halted if the leg is to find it so.
private func begin(_ leg: MigrationLeg, at address: String, source: QEMUSide, destination: QEMUSide) async throws {
    switch leg.channel {
    case .tcp, .relayed:
        if leg.haltsDestination { destination.halt(true) }
        try await source.execute("migrate", ["uri": .string(address)])
    case .file:
        try await source.execute("migrate", ["uri": .string(uri(ofFile: "file:"))])
    case .pipe:
        // The source's command waits in open() for the destination's: so that none is left waiting, it must not be refused any more.
        let path = source.files.folder + "/../channel"
        guard mkfifo(path, 0o600) == 0 else { throw Environment("\(path): cannot be made: \(String(cString: strerror(errno)))") }
        try await source.execute("migrate", ["uri": .string(uri(ofFile: "exec:cat > "))])
        try await destination.execute("migrate-incoming", ["uri": .string(uri(ofFile: "exec:cat "))])
    case .snapshot(let node):
        try await source.execute(
            "snapshot-save",
            ["job-id": "snapshot", "tag": "ackmatrix", "vmstate": .string(node), "devices": .array([.string(node)])])
    }
}

/// Makes the destination listen on a free port, and returns the address for the source.
///
/// TCP, not a unix socket: while a device holds the destination up, the source's small writes must find room. The kernel joins
/// them in a TCP buffer, where a unix socket is full after some 280 of them and would stop the source instead of the ACK.
private func listen(
    _ destination: QEMUSide, _ channel: MigrationLeg.Channel, command: String = "migrate-incoming"
) async throws -> (uri: String, relay: Relay?) {
    try await destination.execute(command, ["uri": "tcp:127.0.0.1:0"])
    guard let port = try await destination.monitor.execute("query-migrate")["socket-address"]?.array?.first?["port"]?.string else {
        throw SideError("the destination listens, but query-migrate names no socket-address with a port")
    }
    let relay: Relay?
    switch channel {
    case .relayed:
        guard let number = UInt16(port) else { throw SideError("query-migrate names a port that is none: \(port)") }
        relay = try Relay(to: number)
    default: relay = nil
    }
    return ("tcp:127.0.0.1:\(relay.map { "\($0.port)" } ?? port)", relay)
}

/// What the steps have seen so far. Its lock guards an array that grows by a step.
private final class Diary: Sendable {
    private let entries = Mutex<[ScheduleMark]>([])
    private let steps: [ScheduleStep]

    /// `steps` are those that may be taken while the migration runs.
    init(_ steps: [ScheduleStep]) { self.steps = steps }

    var marks: [ScheduleMark] { entries.withLock { $0 } }
    func add(_ mark: ScheduleMark) { entries.withLock { $0.append(mark) } }

    /// What is still to be done, in words; nil when nothing is.
    var armed: String? { steps.armed(after: marks.count) }
}

extension [ScheduleStep] {
    /// The step that comes after so many, in words; nil when all are taken.
    public func armed(after done: Int) -> String? {
        done < count ? "schedule step \(done + 1) of \(count): \(self[done])" : nil
    }
}

private actor StatusList {
    private(set) var all: [String] = []
    func append(_ status: String) { all.append(status) }
}

/// Reads the source's events up to its final status, its end, or a limit.
private func watch(_ sides: LegSides, statuses: StatusList, _ leg: MigrationLeg, logLimit: Int) async throws -> MigrationOutcome {
    let deadline = Deadline.after(seconds: leg.limit)
    while true {
        do {
            let event = try await sides.source.monitor.event(deadline: min(deadline, .after(seconds: 0.25)))
            if event.name == "MIGRATION", let status = event.data["status"]?.string {
                await statuses.append(status)
                if finalStatuses.contains(status) || leg.alsoFinal.contains(status) { return .ended(status) }
            }
        } catch QMPError.silent {
            // No event in this slice: look at what else may end the watch.
        } catch QMPError.closed {
            return sides.source.wasKilled ? .sourceKilled : .sourceEnded
        }
        for role in [Role.source, .destination] where sides.logs(role).size > logLimit { return .logLimitReached(role) }
        if deadline.remaining == 0 { return .limitReached(status: await statuses.all.last ?? "none") }
    }
}

/// Healthy migrations are over by then: the logs of the others are followed from here on.
private let proofBegins = 0.3

/// Follows all four logs until the watcher has its proof; nil when cancelled first, because the migration is over.
private func prove(_ watcher: any MigrationWatcher, _ sides: LegSides, diary: Diary) async throws -> MigrationOutcome? {
    do { try await Task.sleep(for: .seconds(proofBegins)) } catch { return nil }
    let isOver = Flag()
    return try await withTaskCancellationHandler {
        try await blocking {
            var watcher = watcher
            let logs = [
                GrowingLog(.source, sides.sourceLogs.qemu), GrowingLog(.sourceDevices, sides.sourceLogs.devices),
                GrowingLog(.destination, sides.destinationLogs.qemu), GrowingLog(.destinationDevices, sides.destinationLogs.devices),
            ]
            while !isOver.isSet {
                // What is armed is asked before the logs are read: what it did is in them then.
                let armed = diary.armed
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

/// Takes the steps in order and notes each in the diary, up to the first that is not met by the deadline. Cancelled when the migration is over.
private func follow(_ steps: [ScheduleStep], _ sides: LegSides, _ relay: Relay?, diary: Diary, deadline: Deadline) async throws {
    func board(_ role: Role) throws -> GateBoard {
        guard let board = sides[role].board else { throw SideError("the schedule names the \(role.rawValue), which has no device") }
        return board
    }
    func sourceIterates() throws -> Bool {
        guard let board = sides.source.board else { return false }
        return try sides.source.configuration.devices.allSatisfy {
            try !$0.script.hasPrecopy || board.progress(of: $0.name)?.isInPrecopy == true
        }
    }
    for step in steps {
        if Task.isCancelled { return }
        var queries: ClosedRange<UInt64>?
        var iterated = true
        switch step {
        case .open(let role, let gate):
            iterated = try sourceIterates()
            try board(role).open(gate)
        case .haltDestination:
            iterated = try sourceIterates()
            sides.destination.halt(true)
        case .resumeDestination:
            iterated = try sourceIterates()
            sides.destination.halt(false)
        case .recover:
            let (uri, _) = try await listen(sides.destination, .tcp, command: "migrate-recover")
            try await sides.source.execute("migrate", ["uri": .string(uri), "resume": true])
        case .concludeJob(let role, let id):
            guard try await sides[role].concludes(job: id, deadline: deadline) else { return }
        case .execute(let role, let command, let arguments):
            iterated = try sourceIterates()
            // A command that was sent is answered, though it may be what ends the migration.
            _ = try await Task { try await sides[role].execute(command, arguments) }.value
        case .request(let role, let command, let arguments):
            iterated = try sourceIterates()
            try await sides[role].request(command, arguments)
        case .refused(let role, let command, let arguments, let words):
            iterated = try sourceIterates()
            try await sides[role].expectRefusal(of: command, arguments, words: words)
        case .kill(let role):
            iterated = try sourceIterates()
            sides[role].kill()
        case .yank(let role):
            // The migration may be over before the command has its answer.
            diary.add(ScheduleMark(step: step, queries: nil, sourceIterated: try sourceIterates()))
            try await sides[role].execute("yank", ["instances": .array([["type": "migration"]])])
            continue
        case .cut(let part):
            iterated = try sourceIterates()
            guard let relay else { throw SideError("the schedule cuts \(part.rawValue), which is not relayed") }
            try relay.cut(part)
        case .limitMemory(let role):
            iterated = try sourceIterates()
            try sides[role].limitMemory()
        case .limitDescriptors(let role, let free):
            iterated = try sourceIterates()
            try await sides[role].limitDescriptors(free: free)
        case .wait(.held(let role, let device)):
            guard try await board(role).wait(for: device, deadline, until: { $0.held > 0 }) != nil else { return }
        case .wait(.furtherQueries(let role, let device, let count)):
            let began = try await board(role).wait(for: device, deadline, until: { _ in true })
            guard let first = began?.queries else { return }
            guard let met = try await board(role).wait(for: device, deadline, until: { $0.queries >= first + count }) else { return }
            queries = first...met.queries
        case .wait(.queries(let role, let device, let count)):
            guard let met = try await board(role).wait(for: device, deadline, until: { $0.queries >= count }) else { return }
            queries = 0...met.queries
        case .wait(.leftPrecopy(let role, let device)):
            guard try await board(role).wait(for: device, deadline, until: { !$0.isInPrecopy }) != nil else { return }
        case .wait(.logged(let role, let event, let times)):
            guard try await sides.wait(role, event, times: times, deadline: deadline) else { return }
        case .wait(.furtherLogged(let role, let event, let times)):
            guard try await sides.wait(role, event, times: times, isFurther: true, deadline: deadline) else { return }
        case .wait(.status(let role, let status, let times)):
            guard try await sides.wait(role, "migrate_set_state", text: "new state " + status, times: times, deadline: deadline) else {
                return
            }
        case .wait(.guestWrote(let role, let address)):
            guard try await sides[role].waitForGuest(address, deadline: deadline) else { return }
        }
        if case .wait = step { iterated = try sourceIterates() }
        diary.add(ScheduleMark(step: step, queries: queries, sourceIterated: iterated))
    }
}

extension GateBoard {
    /// Waits until the device's progress meets `condition`; nil when the task was cancelled, or the deadline passed, first.
    fileprivate func wait(for device: String, _ deadline: Deadline, until condition: @escaping @Sendable (DeviceProgress) -> Bool)
        async throws
        -> DeviceProgress?
    {
        while !Task.isCancelled && deadline.remaining > 0 {
            let seen = changes
            if let progress = try progress(of: device), condition(progress) { return progress }
            try await blocking { self.waitForChange(since: seen, nanoseconds: 50_000_000) }
        }
        return nil
    }
}

extension QEMUSide {
    /// Waits until the job is over, and dismisses it; false when the task was cancelled, or the deadline passed, first.
    fileprivate func concludes(job id: String, deadline: Deadline) async throws -> Bool {
        while !Task.isCancelled && deadline.remaining > 0 {
            let job = try await monitor.execute("query-jobs").array?.first { $0["id"]?.string == id }
            guard let job else { throw SideError("\(role.rawValue): expected a job '\(id)', found none") }
            if job["status"]?.string == "concluded" {
                if let error = job["error"]?.string { throw SideError("\(role.rawValue): job '\(id)' failed: \(error)") }
                try await execute("job-dismiss", ["id": .string(id)])
                return true
            }
            // Its events are read by whoever watches the migration.
            try? await Task.sleep(for: .milliseconds(2))
        }
        return false
    }
}

extension LegSides {
    /// Follows a side's log until it holds `times` lines of the event, with this text if one is given; false when the task was cancelled, or
    /// the deadline passed, first.
    fileprivate func wait(
        _ role: Role, _ event: String, text: String? = nil, times: Int, isFurther: Bool = false, deadline: Deadline
    ) async throws -> Bool {
        var tail = try LogTail(logs(role).qemu, event: event, text: text)
        let wanted = isFurther ? try tail.count() + times : times
        while !Task.isCancelled && deadline.remaining > 0 {
            if try tail.count() >= wanted { return true }
            // The log has no way to wake anybody; a device that is being queried does, and is the clock where there is one.
            if let board = self[role].board {
                try await blocking { board.waitForChange(since: board.changes, nanoseconds: 5_000_000) }
            } else {
                try? await Task.sleep(for: .milliseconds(2))
            }
        }
        return false
    }
}

extension QEMUSide {
    /// Reads a word of guest memory until it is written; false when the task was cancelled, or the deadline passed, first.
    fileprivate func waitForGuest(_ address: Int, deadline: Deadline) async throws -> Bool {
        let command: JSONValue = ["command-line": .string("xp /1wx 0x\(String(address, radix: 16))")]
        while !Task.isCancelled && deadline.remaining > 0 {
            // `0000000000105800: 0x00000003`
            let answer = try await monitor.execute("human-monitor-command", command).string ?? ""
            guard let word = answer.firstRange(of: ": 0x") else {
                throw SideError("\(role.rawValue) \(configuration.binary.name): expected a word of memory from xp, found '\(answer)'")
            }
            if answer[word.upperBound...].contains(where: { $0.isHexDigit && $0 != "0" }) { return true }
            try? await Task.sleep(for: .milliseconds(2))
        }
        return false
    }
}

/// The destination's statuses; after a completed migration it is given time to come to its own end.
private func drainStatuses(_ destination: QEMUSide, settled: Bool, final: Set<String>) async -> [String] {
    var statuses: [String] = []
    let deadline = Deadline.after(seconds: settled ? 5 : 0.2)
    while !statuses.contains(where: final.contains), let event = try? await destination.monitor.event(deadline: deadline) {
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
        let state = try? await side.monitor.execute("query-status", deadline: .after(seconds: settled ? 2 : 1))["status"]?.string
        guard settled, let state, state == "finish-migrate" || state == "inmigrate", deadline.remaining > 0 else { return state }
        try? await Task.sleep(for: .milliseconds(2))
    }
}
