/// One migration between two QEMU sides, driven from start to reaped processes.
import Foundation
import Plan
import VFIO

/// Runs the plan in `folder`, which must be fresh: a record for each leg that was driven, the last one of them perhaps not to its end.
/// All processes have ended and are reaped when this returns or throws.
package func migrate(_ plan: MigrationPlan, shim: String, folder: String) async throws -> [MigrationRecord] {
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

let finalStatuses: Set = ["completed", "failed", "cancelled"]

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
    let outcome = try await outcome(of: leg, sides, relay, statuses: statuses, diary: diary, logLimit: logLimit)
    let seconds = Double(Deadline.now.nanoseconds - began.nanoseconds) / 1e9
    if outcome.isEnd { try await finish(leg, outcome, sides, relay, diary: diary) }
    if case .ended(let status) = outcome, finalStatuses.contains(status), leg.channel.isCleanedUp { try await sides.waitForCleanup() }
    // A source that is stuck may not answer any more.
    let migration = try? await source.monitor.execute("query-migrate", deadline: .after(seconds: outcome.isEnd ? 10 : 1))
    let sourceStatuses = await statuses.all
    let rest = await rest(of: leg, outcome, sides, sourceStatuses: sourceStatuses)
    return MigrationRecord(
        outcome: outcome, sourceStatuses: sourceStatuses, destinationStatuses: rest.destinationStatuses,
        sourceRunState: rest.runStates.source, destinationRunState: rest.runStates.destination,
        sourceCapabilities: sourceCapabilities, destinationCapabilities: destinationCapabilities,
        sourceError: migration?["error-desc"]?.string,
        downtime: migration?["downtime"]?.integer.map(Double.init), marks: diary.marks, seconds: seconds, sourceLogs: sides.sourceLogs,
        destinationLogs: sides.destinationLogs)
}

/// Watches the source while the schedule is followed and the logs are read for a proof, until one of them knows how it ends.
private func outcome(
    of leg: MigrationLeg, _ sides: LegSides, _ relay: Relay?, statuses: StatusList, diary: Diary, logLimit: Int
) async throws -> MigrationOutcome {
    try await withThrowingTaskGroup(of: MigrationOutcome?.self) { group in
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
}

/// The source has come to its end: lets the destination come to its own, which may still be held, and does what is to be done then.
private func finish(_ leg: MigrationLeg, _ outcome: MigrationOutcome, _ sides: LegSides, _ relay: Relay?, diary: Diary) async throws {
    sides.source.board?.openAll()
    sides.destination.board?.openAll()
    if leg.haltsDestination || leg.schedule.contains(.haltDestination) { sides.destination.halt(false) }
    if case .file = leg.channel, outcome == .ended("completed") {
        try await sides.destination.execute("migrate-incoming", ["uri": .string(uri(ofFile: "file:"))])
    }
    try await follow(leg.afterwards, sides, relay, diary: diary, deadline: .after(seconds: leg.limit))
}

/// Where both sides come to rest. What does not rest by itself is stopped.
private func rest(
    of leg: MigrationLeg, _ outcome: MigrationOutcome, _ sides: LegSides, sourceStatuses: [String]
) async -> (destinationStatuses: [String], runStates: (source: String?, destination: String?)) {
    // Nobody came to a destination whose source got no further than to connect, and nothing was sent to one that is still to load.
    let isFed =
        switch leg.channel {
        case .tcp, .relayed: sourceStatuses.contains("active")
        case .pipe: true
        case .file: outcome == .ended("completed")
        case .snapshot: false
        }
    let destinationStatuses = await drainStatuses(
        sides.destination, settled: outcome.isEnd && isFed, final: finalStatuses.union(leg.alsoFinal))
    // A migration that rests in another status moves no further by itself, but by `quit`.
    let isSettled = if case .ended(let status) = outcome { finalStatuses.contains(status) } else { outcome.isEnd }
    let runStates = (
        source: await runState(sides.source, settled: isSettled),
        destination: await runState(sides.destination, settled: isSettled && isFed)
    )
    // What is still held, waiting or at rest must stay so to the end of the logs. Both are stopped before either is killed.
    if !isSettled {
        sides.source.abandon()
        sides.destination.abandon()
    }
    return (destinationStatuses, runStates)
}

extension MigrationLeg.Channel {
    /// A snapshot is no migration with a clean-up of its own.
    fileprivate var isCleanedUp: Bool { if case .snapshot = self { false } else { true } }
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
func listen(
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
