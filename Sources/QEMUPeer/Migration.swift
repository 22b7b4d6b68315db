/// Drives the legs of a plan between QEMU processes, from their start until all are reaped.
import Foundation
import Plan
import VFIO

/// Runs the plan in `folder`, which must not exist, and returns a record for each leg that was driven; the last one may have been broken
/// off. All processes are reaped when this returns or throws. Throws `UnmetNeed` before anything runs.
package func migrate(_ plan: MigrationPlan, shim: String, folder: String) async throws -> [MigrationRecord] {
    if let unmet = plan.unmetNeed({ QEMUSide.obstacle(to: $1) }) { throw unmet }
    let processes =
        [(role: Role.source, configuration: plan.source, name: "source")]
        + plan.legs.enumerated().map { (.destination, $1.destination, MigrationPlan.destinationFolder(ofLeg: $0)) }
    for path in [folder] + processes.map({ folder + "/" + $0.name }) {
        guard mkdir(path, 0o700) == 0 else { throw Environment("\(path): cannot be made: \(String(cString: strerror(errno)))") }
    }
    // All processes start at once, since starting takes most of the time of a short cell.
    let runningSides = RunningSides()
    let ended = EndedProcesses()
    let records = try await withThrowingTaskGroup(of: [MigrationRecord]?.self) { group in
        for (index, process) in processes.enumerated() {
            group.addTask {
                try await withQEMU(process.role, process.configuration, shim: shim, folder: folder + "/" + process.name, ended: ended) {
                    side in
                    try await runningSides.register(side, as: index)
                }
                return nil
            }
        }
        group.addTask {
            var records: [MigrationRecord] = []
            for (index, leg) in plan.legs.enumerated() {
                let sides = LegSides(
                    source: try await runningSides.side(index == 0 || leg.origin == .source ? 0 : index), isSourceFirst: index == 0,
                    destination: try await runningSides.side(index + 1))
                let record = try await drive(leg, sides, logLimit: plan.logLimit)
                records.append(record)
                guard record.outcome.isEnd else { break }
            }
            // All processes end at once, too.
            await runningSides.end()
            return records
        }
        var records: [MigrationRecord]?
        do {
            while let part = try await group.next() { records = part ?? records }
        } catch {
            // No task waits for another side any more.
            group.cancelAll()
            await runningSides.cancel()
            while !group.isEmpty { _ = try? await group.next() }
            throw Task.isCancelled ? error : error.withEnds(ended.all)
        }
        guard let records else { throw SideError("the migration left no record") }
        return records.closed()
    }
    return records.withEnds(ended.all)
}

extension Error {
    /// The error of a monitor or a side, with how the processes ended that ended by themselves.
    fileprivate func withEnds(_ ends: [ProcessEnd]) -> any Error {
        switch self {
        case let error as QMPError where error.isOfQEMU: SideError(error.description, ends: ends)
        case let error as SideError: SideError(error.reason, ends: error.ends + ends)
        default: self
        }
    }
}

extension [MigrationRecord] {
    /// The records, the last one with how the processes ended, beside what it tells of silent ones.
    fileprivate func withEnds(_ ends: [ProcessEnd]) -> [MigrationRecord] {
        var records = self
        if !records.isEmpty { records[records.count - 1].ends += ends }
        return records
    }
}

/// The sides that run. Each side's task waits here until all legs are driven; the legs wait here for their sides.
private actor RunningSides {
    private var sides: [Int: QEMUSide] = [:]
    private var isOver = false
    private var isCancelled = false
    private var waiting: [CheckedContinuation<Void, Never>] = []

    /// Registers a running side; returns when all legs are driven.
    func register(_ side: QEMUSide, as index: Int) async throws {
        sides[index] = side
        wake()
        while !isOver { try await wait() }
    }

    /// The side with this index, awaited until it runs.
    func side(_ index: Int) async throws -> QEMUSide {
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
    let taken = TakenSteps(leg.before + leg.schedule)
    try await follow(leg.before, sides, relay, taken: taken, deadline: .after(seconds: leg.limit))
    let began = Deadline.now
    do {
        try await begin(leg, at: address, source: source, destination: destination)
    } catch QMPError.closed where source.wasKilled {
        // The command has ended the source; the watch reports that.
    }

    let statuses = StatusList()
    let outcome = try await outcome(of: leg, sides, relay, statuses: statuses, taken: taken, logLimit: logLimit)
    let seconds = Double(Deadline.now.nanoseconds - began.nanoseconds) / 1e9
    if outcome.isEnd { try await finish(leg, outcome, sides, relay, taken: taken) }
    if case .ended(let status) = outcome, finalStatuses.contains(status), leg.channel.isCleanedUp { try await sides.waitForCleanup() }
    // A stuck source may not answer.
    let migration = try? await source.monitor.execute("query-migrate", deadline: .after(seconds: outcome.isEnd ? 10 : 1))
    let sourceStatuses = await statuses.all
    // Where the time is over, a side that gives no answer is why, or is a further question.
    var silent: [ProcessEnd] = []
    if case .limitReached = outcome {
        for side in [source, destination] where (try? await side.monitor.execute("query-status", deadline: .after(seconds: 1))) == nil {
            if let silence = await side.silence() { silent.append(silence) }
        }
    }
    let rest = await rest(of: leg, outcome, sides, sourceStatuses: sourceStatuses)
    var record = MigrationRecord(
        outcome: outcome, sourceStatuses: sourceStatuses, destinationStatuses: rest.destinationStatuses,
        sourceRunState: rest.runStates.source, destinationRunState: rest.runStates.destination,
        sourceCapabilities: sourceCapabilities, destinationCapabilities: destinationCapabilities,
        sourceError: migration?["error-desc"]?.string,
        downtime: migration?["downtime"]?.integer.map(Double.init), marks: taken.marks, seconds: seconds, sourceLogs: sides.sourceLogs,
        destinationLogs: sides.destinationLogs)
    record.ends = silent
    return record
}

/// Watches the source, follows the schedule and reads the logs for a proof, all at once, until one of these knows the outcome.
private func outcome(
    of leg: MigrationLeg, _ sides: LegSides, _ relay: Relay?, statuses: StatusList, taken: TakenSteps, logLimit: Int
) async throws -> MigrationOutcome {
    try await withThrowingTaskGroup(of: MigrationOutcome?.self) { group in
        group.addTask { try await watch(sides, statuses: statuses, leg, logLimit: logLimit) }
        group.addTask {
            try await follow(leg.schedule, sides, relay, taken: taken, deadline: .after(seconds: leg.limit))
            return nil
        }
        if let watcher = leg.watcher {
            group.addTask { try await prove(watcher, sides, taken: taken) }
        }
        while let outcome = try await group.next() {
            guard let outcome else { continue }
            // The migration has ended: the remaining steps and proofs are void.
            group.cancelAll()
            while !group.isEmpty {
                do { _ = try await group.next() } catch is CancellationError { if Task.isCancelled { throw CancellationError() } }
            }
            return outcome
        }
        throw SideError("the source was not watched to its end")
    }
}

/// Lets the destination of a migration that has ended at the source reach its own end, and takes the steps afterwards.
private func finish(_ leg: MigrationLeg, _ outcome: MigrationOutcome, _ sides: LegSides, _ relay: Relay?, taken: TakenSteps) async throws {
    sides.source.openAllGates()
    sides.destination.openAllGates()
    if leg.haltsDestination || leg.schedule.contains(.haltDestination) { sides.destination.halt(false) }
    if case .file = leg.channel, outcome == .ended("completed") {
        try await sides.destination.execute("migrate-incoming", ["uri": .string(uri(ofFile: "file:"))])
    }
    try await follow(leg.afterwards, sides, relay, taken: taken, deadline: .after(seconds: leg.limit))
}

/// The statuses and run states in which both sides settle. A side that does not settle by itself is stopped.
private func rest(
    of leg: MigrationLeg, _ outcome: MigrationOutcome, _ sides: LegSides, sourceStatuses: [String]
) async -> (destinationStatuses: [String], runStates: (source: String?, destination: String?)) {
    // A destination settles only if it was sent anything: not if its source has never become active, nor before its file is complete.
    let isFed =
        switch leg.channel {
        case .tcp, .relayed: sourceStatuses.contains("active")
        case .pipe: true
        case .file: outcome == .ended("completed")
        case .snapshot: false
        }
    let destinationStatuses = await drainStatuses(
        sides.destination, settled: outcome.isEnd && isFed, final: finalStatuses.union(leg.alsoFinal))
    // A migration that stays in another status changes only when `quit` ends it.
    let isSettled = if case .ended(let status) = outcome { finalStatuses.contains(status) } else { outcome.isEnd }
    let runStates = (
        source: await runState(sides.source, settled: isSettled),
        destination: await runState(sides.destination, settled: isSettled && isFed)
    )
    // The logs must not show what tearing down causes: both sides are stopped before either is killed.
    if !isSettled {
        sides.source.abandon()
        sides.destination.abandon()
    }
    return (destinationStatuses, runStates)
}

extension MigrationLeg.Channel {
    /// True if the source cleans up after the migration; it does not after a snapshot.
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

/// The URI of a file or a pipe, relative to the folder of either side.
private func uri(ofFile scheme: String) -> String { scheme + "../channel" }

/// Starts the migration over the channel of the leg. `address` is where the destination of a TCP connection listens.
private func begin(_ leg: MigrationLeg, at address: String, source: QEMUSide, destination: QEMUSide) async throws {
    switch leg.channel {
    case .tcp, .relayed:
        if leg.haltsDestination { destination.halt(true) }
        try await source.execute("migrate", ["uri": .string(address)])
    case .file:
        try await source.execute("migrate", ["uri": .string(uri(ofFile: "file:"))])
    case .pipe:
        // The source's command blocks in open() until the destination opens the pipe, which therefore must not be refused.
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
/// The channel is TCP, not a unix socket: while a device blocks the destination, the source's many small writes must find room. The kernel
/// merges them in a TCP buffer, whereas a unix socket is full after some 280 of them and would stop the source instead of the ACK.
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

/// Reads the source's events until its final status, its end, or a limit.
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
            // No event in this slice: check the limits.
        } catch QMPError.closed {
            return sides.source.wasKilled ? .sourceKilled : .sourceEnded
        }
        for role in [Role.source, .destination] {
            if sides.logs(role).size > logLimit { return .logLimitReached(role) }
            let side = sides[role]
            if fileSize(side.files.standardError) > mostStandardError {
                throw tooMuchPrinted(MonitoredProcess(role, side.configuration.binary.name, 0))
            }
        }
        if deadline.remaining == 0 { return .limitReached(status: await statuses.all.last ?? "none") }
    }
}

/// The destination's statuses. If it is `settled`, it has 5 s to reach a final one.
private func drainStatuses(_ destination: QEMUSide, settled: Bool, final: Set<String>) async -> [String] {
    var statuses: [String] = []
    let deadline = Deadline.after(seconds: settled ? 5 : 0.2)
    while !statuses.contains(where: final.contains), let event = try? await destination.monitor.event(deadline: deadline) {
        if event.name == "MIGRATION", let status = event.data["status"]?.string { statuses.append(status) }
    }
    return statuses
}

/// The run state in which a side settles; nil if its process has ended. QEMU reports `completed` a moment before the source leaves
/// finish-migrate (10.0.13 and 11.1.3), so a transitional state is queried again until the deadline.
private func runState(_ side: QEMUSide, settled: Bool) async -> String? {
    let deadline = Deadline.after(seconds: 5)
    while true {
        let state = try? await side.monitor.execute("query-status", deadline: .after(seconds: settled ? 2 : 1))["status"]?.string
        guard settled, let state, state == "finish-migrate" || state == "inmigrate", deadline.remaining > 0 else { return state }
        try? await Task.sleep(for: .milliseconds(2))
    }
}
