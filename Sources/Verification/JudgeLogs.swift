/// Judges plain logs: one side of a migration, or both in any order. The events of a log tell which side it is.
import Dispatch
import MigrationTrace
import Synchronization

/// The reason why logs cannot be judged.
package enum LogRefusal: Error, Hashable, Sendable, CustomStringConvertible {
    /// The log is empty.
    case empty(String)
    /// The log has no trace event; with the reader's explanation.
    case foreign(String, String)
    /// The log has events, but none that only a source or only a destination logs.
    case noMigration(String)
    /// Both logs are of this side.
    case sameSide(StreamName, String, String)
    /// The log mixes lines of both sides, and nothing tells them apart; with the line of the migration.
    case bothSides(String, Int)
    /// The logs are not of one migration; with the reason.
    case unrelated(String, String, String)
    /// The log has no migration of this number; with how many there are.
    case noSuchMigration(Int, Int)
    /// Not one or two logs.
    case count(Int)

    package var description: String {
        switch self {
        case .empty(let log): "\(log): expected trace events, found an empty log; was QEMU started with -trace, and its log kept?"
        case .foreign(let log, let reason): "\(log): \(reason)"
        case .noMigration(let log):
            "\(log): expected the events of a migration's source or destination, found none; trace with \(TracePatterns.options)"
        case .sameSide(let side, let first, let second):
            "expected a source's log and a destination's, found two of the \(side.rawValue): \(first) and \(second)"
        case .bothSides(let log, let line):
            "\(log): expected the log of one side, found lines of a source and of a destination mixed in the migration at line \(line), "
                + "and no thread or process id that tells them apart; give the two sides in two files"
        case .unrelated(let source, let destination, let reason):
            "expected two logs of one migration, found that \(source) and \(destination) do not belong together: \(reason)"
        case .noSuchMigration(let number, let count): "expected a migration from 1 to \(count), found --migration \(number)"
        case .count(let count): "expected one or two logs, found \(count)"
        }
    }
}

/// A log that can be read.
package struct LogSource: Sendable {
    package let name: String
    let open: @Sendable () throws -> LogReader

    /// The side, if it is known from outside: the monitor's events may not tell it.
    private(set) var side: StreamName?

    /// Several logs of one side, such as those of its threads: their lines are put in the order of their times.
    package init(paths: [String], side: StreamName? = nil) {
        self.side = side
        name = paths.joined(separator: ", ")
        self.paths = paths
        open = { try paths.count == 1 ? LogReader(path: paths[0]) : LogReader(merging: paths) }
    }

    package static let standardInput = LogSource(name: "standard input") { LogReader.standardInput() }

    /// The files, if they can be read again.
    let paths: [String]

    private init(name: String, open: @escaping @Sendable () throws -> LogReader) {
        self.name = name
        self.open = open
        paths = []
    }

    package init(path: String) {
        name = path
        paths = [path]
        open = { try LogReader(path: path) }
    }

    package init(name: String, bytes: [UInt8]) {
        self.name = name
        paths = []
        open = { LogReader.decoding(bytes) }
    }
}

/// What a log was found to be.
package struct LogPart: Hashable, Sendable {
    package let side: StreamName
    /// In a libvirt per-domain log, the start of QEMU whose migration is judged: the last start with a migration. nil in other logs, and if
    /// the log begins after the banner of that start.
    package let start: DomainStart?
    /// How often QEMU was started in the log.
    package let starts: Int
}

/// A log after it was read, with its migrations.
package struct ReadLog: Sendable {
    package let name: String
    package let summary: LogSummary
    package private(set) var migrations: [LoggedMigration]
    /// The number of the log among those that are judged together.
    private(set) var id = 0
    /// How often QEMU was started in the log.
    package let starts: Int
    /// Migrations before those that are kept.
    package let omitted: Int

    mutating func identify(as id: Int) {
        self.id = id
        for index in migrations.indices { migrations[index].log = id }
    }

    /// True if most lines stand on two or more, as a mail program leaves them.
    package var isWrapped: Bool {
        let parts = summary.unknown[.malformedEvent] + summary.unknown[.piece] + summary.unknown[.otherText]
        return summary.unknown[.malformedEvent] > 8 && parts > summary.lines / 4
    }
}

/// A migration of one log or two, judged.
package struct JudgedMigration: Sendable {
    package let source: LoggedMigration?
    package let destination: LoggedMigration?
    package let judgement: Judgement
}

/// Cuts a log of several processes, such as a host's journal, by process.
struct ProcessCutters {
    /// More processes than these are not read.
    private static let most = 64

    private let circumstances: Circumstances
    private(set) var cutters: [MigrationCutter] = []
    /// By cutter; 0 while no line of it has told its process.
    private var processes: [UInt64] = []
    private var last = 0

    init(_ circumstances: Circumstances) { self.circumstances = circumstances }

    mutating func read(_ line: LogLine, of reader: borrowing LogReader) {
        guard let index = index(of: line.process) else { return }
        last = index
        cutters[index].read(line, of: reader)
    }

    /// A line that does not tell its process belongs to that of the line before it.
    private mutating func index(of process: UInt64) -> Int? {
        if last < processes.count {
            if process == 0 || processes[last] == process { return last }
            if processes[last] == 0 {
                processes[last] = process
                return last
            }
        }
        if let found = processes.firstIndex(of: process) { return found }
        guard processes.count < Self.most else { return nil }
        processes.append(process)
        cutters.append(MigrationCutter(circumstances))
        return processes.endIndex - 1
    }
}

/// Reads a log from its beginning to its end, once. Throws `LogRefusal`, and `FileError` if a file cannot be read. In a libvirt per-domain
/// log, only the migrations of the last start with a migration are kept.
package func read(_ log: LogSource, circumstances: Circumstances = .init()) throws -> [ReadLog] {
    var circumstances = circumstances
    circumstances.isForeign = true
    var reader = try log.open()
    var processes = ProcessCutters(circumstances)
    while let line = try reader.next() { processes.read(line, of: reader) }
    switch reader.summary.verdict {
    case .usable: break
    case .empty: throw LogRefusal.empty(log.name)
    case .foreign: throw LogRefusal.foreign(log.name, reader.summary.verdict.description)
    }
    return try logsFound(in: processes, reader, name: log.name, side: log.side)
}

/// The logs of each process with the migrations that were read so far. Throws `LogRefusal`.
func logsFound(
    in processes: ProcessCutters, _ reader: borrowing LogReader, name: String, side: StreamName?
) throws -> [ReadLog] {
    let names = reader.namesSeen
    var found: [ReadLog] = []
    for cutter in processes.cutters {
        var cutter = cutter
        var migrations = cutter.finished(names: names)
        if let last = migrations.last?.start?.number { migrations.removeAll { $0.start?.number != last } }
        guard !migrations.isEmpty else { continue }
        for index in migrations.indices where migrations[index].side == nil { migrations[index].side = side }
        found.append(
            ReadLog(
                name: name, summary: reader.summary, migrations: migrations, starts: reader.start?.number ?? 0,
                omitted: cutter.omitted))
    }
    guard !found.isEmpty else { throw LogRefusal.noMigration(name) }
    for log in found {
        if let mixed = log.migrations.first(where: \.isMixed) { throw LogRefusal.bothSides(name, mixed.lines.lowerBound) }
    }
    return found
}

/// Judges every migration of the logs: those of a source and of a destination that belong together as one, the others by themselves.
/// Throws `LogRefusal` if logs of both sides are given and none fit.
package func judge(_ logs: [ReadLog], circumstances: Circumstances = .init()) throws -> [JudgedMigration] {
    var logs = logs
    // A log that does not tell its side, since it failed too early, is the other side's counterpart.
    let sides = Set(logs.flatMap { $0.migrations.compactMap(\.side) })
    let other: StreamName? = sides.count == 1 ? (sides.contains(.source) ? .destination : .source) : nil
    let isPair = logs.count > 1
    func all(_ side: StreamName) -> [LoggedMigration] {
        logs.flatMap { log in log.migrations.filter { ($0.side ?? (isPair ? other : nil)) == side } }
    }
    let (sources, destinations) = (all(.source), all(.destination))
    let first = logs.first?.name
    logs.removeAll { log in log.migrations.allSatisfy { ($0.side ?? (isPair ? other : nil)) == nil } }
    guard !sources.isEmpty || !destinations.isEmpty else { throw LogRefusal.noMigration(first ?? "the logs") }
    let matching = LogMatching(sources, destinations)
    if let misfit = matching.misfit, isPair, !sources.isEmpty, !destinations.isEmpty {
        let (source, destination) = (
            logs.first { $0.migrations.contains { $0.side == .source } }, logs.last { $0.migrations.contains { $0.side == .destination } }
        )
        throw LogRefusal.unrelated(source?.name ?? "the source's log", destination?.name ?? "the destination's log", misfit)
    }
    return matching.pairs.map { pair in
        let (source, destination) = (pair.source.map { sources[$0] }, pair.destination.map { destinations[$0] })
        return JudgedMigration(source: source, destination: destination, judgement: judgement(source, destination, circumstances))
    }
}

private func judgement(_ source: LoggedMigration?, _ destination: LoggedMigration?, _ known: Circumstances) -> Judgement {
    var circumstances = known
    circumstances.isForeign = true
    if let start = source?.start {
        var other = Circumstances()
        other.add(start)
        circumstances.sourceMode = circumstances.sourceMode ?? other.sourceMode
        circumstances.sourceCapability = circumstances.sourceCapability ?? other.sourceCapability
    }
    if let start = destination?.start {
        var other = Circumstances()
        other.add(start)
        circumstances.destinationMode = circumstances.destinationMode ?? other.destinationMode
        circumstances.destinationCapability = circumstances.destinationCapability ?? other.destinationCapability
    }
    var verifier = Verifier(circumstances, source: source?.source, destination: destination?.destination)
    if let source { verifier.limit(.source, to: source.names) }
    if let destination { verifier.limit(.destination, to: destination.names) }
    return verifier.judgement()
}

/// Reads the logs, two at a time on two cores, and judges every migration. Throws `LogRefusal`, `FileError` and `LogFileError`.
package func judgeAll(_ logs: [LogSource], circumstances: Circumstances = .init()) throws -> (
    logs: [ReadLog], migrations: [JudgedMigration]
) {
    let read = try readAll(logs, circumstances)
    if logs.count > 2, read.count == logs.count {
        let merged = merging(logs, read)
        if merged.count < logs.count { return try judgeAll(merged, circumstances: circumstances) }
    }
    let sides = Set(read.flatMap { $0.migrations.compactMap(\.side) })
    if read.count == 2, logs.count == 2, sides.count == 1, let side = sides.first,
        read.allSatisfy({ $0.migrations.contains { $0.side == side } })
    {
        throw LogRefusal.sameSide(side, read[0].name, read[1].name)
    }
    let migrations = try judge(read, circumstances: circumstances)
    // Of three logs or more, each must belong to another one.
    if read.count > 2, sides.count == 2 {
        let matched = migrations.filter { $0.source != nil && $0.destination != nil }
        for log in read where !matched.contains(where: { $0.source?.log == log.id || $0.destination?.log == log.id }) {
            let side = log.migrations.last?.side ?? .source
            let other = read.first { $0.id != log.id && $0.migrations.contains { $0.side == side } }
            throw LogRefusal.sameSide(side, other?.name ?? "another log", log.name)
        }
    }
    let wrapped = Set(read.filter(\.isWrapped).map(\.id))
    return (
        read,
        migrations.map { migration in
            let logs = [migration.source?.log, migration.destination?.log].compactMap { $0 }
            guard logs.contains(where: wrapped.contains), migration.judgement.findings.isEmpty else { return migration }
            var judgement = migration.judgement
            judgement.verdict = .undecided
            judgement.reason = "the lines of the log are wrapped, so most events cannot be read; they show: \(judgement.reason)"
            return JudgedMigration(source: migration.source, destination: migration.destination, judgement: judgement)
        }
    )
}

/// The logs, with those of one process that are parts of one log, by thread or by rotation, put together: of the logs of a side at most one
/// has the beginning of a migration.
private func merging(_ logs: [LogSource], _ read: [ReadLog]) -> [LogSource] {
    var merged: [LogSource] = []
    for side in [StreamName.source, .destination] {
        let indices = logs.indices.filter { Set(read[$0].migrations.compactMap(\.side)) == [side] }
        let begun = indices.filter { read[$0].migrations.contains(where: \.hasBeginning) }
        let paths = indices.flatMap { logs[$0].paths }
        if indices.count > 1, begun.count < 2, paths.count >= indices.count {
            merged.append(LogSource(paths: paths, side: side))
        } else {
            merged += indices.map { logs[$0] }
        }
    }
    let rest = logs.indices.filter { Set(read[$0].migrations.compactMap(\.side)).count != 1 }
    return merged + rest.map { logs[$0] }
}

/// Reads the logs, two at a time on two cores.
package func readAll(_ logs: [LogSource], _ circumstances: Circumstances = .init()) throws -> [ReadLog] {
    let results = Mutex<[Int: Result<[ReadLog], any Error>]>([:])
    DispatchQueue.concurrentPerform(iterations: logs.count) { index in
        let result = Result { try read(logs[index], circumstances: circumstances) }
        results.withLock { $0[index] = result }
    }
    let found = results.withLock { $0 }
    var all = try logs.indices.flatMap { try found[$0]?.get() ?? [] }
    for index in all.indices { all[index].identify(as: index) }
    return all
}

/// Judges the last migration in one log or two. Throws `LogRefusal`, and `FileError` if a file cannot be read.
package func judge(logs: [LogSource], circumstances: Circumstances = .init()) throws -> Judgement {
    try judgeParts(of: logs, circumstances: circumstances).judgement
}

package func judge(logs paths: [String], circumstances: Circumstances = .init()) throws -> Judgement {
    try judge(logs: paths.map(LogSource.init(path:)), circumstances: circumstances)
}

/// Judges like `judge(logs:)`, and tells what each log was found to be.
package func judgeParts(of logs: [LogSource], circumstances: Circumstances = .init()) throws -> (judgement: Judgement, parts: [LogPart]) {
    guard logs.count == 1 || logs.count == 2 else { throw LogRefusal.count(logs.count) }
    let (found, judged) = try judgeAll(logs, circumstances: circumstances)
    guard let last = judged.last(where: { $0.source != nil && $0.destination != nil }) ?? judged.last else {
        throw LogRefusal.noMigration(logs[0].name)
    }
    let parts = found.compactMap { log -> LogPart? in
        guard let migration = log.migrations.last else { return nil }
        let side = migration.side ?? (last.source?.side == nil ? .source : .destination)
        return LogPart(side: side, start: migration.start, starts: log.starts)
    }
    return (last.judgement, parts)
}

extension Verifier {
    /// Reads a whole log, with its gaps: a line that begins with `#` stands for lines left out, and a line that cannot be read is a gap,
    /// too.
    package mutating func read(_ reader: inout LogReader, as stream: StreamName) throws {
        var episode = 0
        while let line = try reader.next() {
            if line.episode < episode { restart(stream) }
            episode = line.episode
            let place = Place(stream: stream, line: line.position.line)
            switch line.content {
            case .record(.event(let event)):
                // A line without a line end may be cut within a number.
                if line.isUnterminated, !event.isWhole { cut(at: place) } else { handle(event, at: place) }
            // A line that is cut within a name looks like other text.
            case .record(.message), .unknown(.blank), .unknown(.libvirt), .unknown(.otherText), .unknown(.unknownEvent):
                if line.isUnterminated { cut(at: place) }
            case .unknown(.comment), .unknown(.malformedEvent), .unknown(.overlong), .unknown(.binary), .unknown(.piece),
                .unknown(.prefixed):
                if line.isUnterminated { cut(at: place) } else { gap(in: stream) }
            }
        }
    }
}
