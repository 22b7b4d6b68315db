/// Judges logs while they are written: what a log shows to be broken is told at once, with its line.
///
/// A rule about one side rests on the order of that side's lines, so it is judged as soon as a line breaks it. A rule that compares the two
/// sides is judged when both migrations have ended, since one log may be written later than the other.
import MigrationTrace

package struct WatchedLogs {
    /// What is new since the last time.
    package enum News: Sendable {
        case file(path: String, FollowedFileChange)
        /// A side's migration has a new status.
        case status(StreamName, MigrationStatus, Place)
        case finding(Finding)
    }

    /// A log with what was read of it.
    private final class Log {
        let path: String
        let side: StreamName?
        private var input: GrowingLogReader
        private var processes: ProcessCutters
        private(set) var hasEvents = false

        init(_ path: String, _ side: StreamName?) {
            (self.path, self.side) = (path, side)
            input = GrowingLogReader(path: path)
            var circumstances = Circumstances()
            circumstances.isForeign = true
            processes = ProcessCutters(circumstances)
        }

        /// Reads the lines that are there, at most `most` of them; true if there was one.
        func read(most: Int) throws -> Bool {
            var count = 0
            while count < most, let line = try input.reader.next() {
                processes.read(line, of: input.reader)
                count += 1
            }
            hasEvents = hasEvents || input.reader.summary.events > 0
            return count > 0
        }

        func takeChanges() -> [FollowedFileChange] { input.takeChanges() }

        /// The migrations so far.
        func found() throws -> [ReadLog] {
            guard hasEvents else { return [] }
            return try logsFound(in: processes, input.reader, name: path, side: side)
        }
    }

    /// Lines of a log that are read before the other one has its turn.
    private static let mostLines = 65536

    private let logs: [Log]
    private var told: Set<Finding> = []
    private var statuses: [StreamName: Place] = [:]
    /// The last judgements; empty before the first migration.
    package private(set) var migrations: [JudgedMigration] = []
    package private(set) var read: [ReadLog] = []
    /// Why the logs cannot be judged together, if they cannot.
    package private(set) var refusal: LogRefusal?

    package init(_ paths: [(path: String, side: StreamName?)]) { logs = paths.map { Log($0.path, $0.side) } }

    /// The last migration of the logs, of both sides where there are two logs.
    package var last: JudgedMigration? { migrations.last { $0.source != nil && $0.destination != nil } ?? migrations.last }

    /// True if the last migration has ended, in each of the logs.
    package var hasEnded: Bool {
        guard refusal == nil, read.count >= logs.count, let last else { return false }
        let parts = [last.source, last.destination].compactMap { $0 }
        return parts.count == logs.count && parts.allSatisfy { $0.final != nil }
    }

    /// Reads what was written since the last call, and judges it; nil if nothing was. Reading stops when `isOver` returns true. Throws
    /// `FileError` and `LogFileError`.
    package mutating func update(unless isOver: () -> Bool = { false }) throws -> [News]? {
        var (news, hasRead): ([News], Bool) = ([], false)
        var goesOn = true
        while goesOn, !isOver() {
            goesOn = false
            for log in logs where try log.read(most: Self.mostLines) { goesOn = true }
            hasRead = hasRead || goesOn
        }
        for log in logs { for change in log.takeChanges() { news.append(.file(path: log.path, change)) } }
        guard hasRead else { return news.isEmpty ? nil : news }
        try judgeAgain(isLive: true)
        for migration in migrations { tell(migration, isOver: false, &news) }
        return news
    }

    /// Judges the logs as what they are now: nothing more will be read. Returns findings that were not told yet.
    package mutating func finish() throws -> [News] {
        try judgeAgain(isLive: false)
        var news: [News] = []
        for migration in migrations { tell(migration, isOver: true, &news) }
        return news
    }

    private mutating func judgeAgain(isLive: Bool) throws {
        (read, migrations, refusal) = ([], [], nil)
        do {
            for log in logs { read += try log.found() }
            for index in read.indices { read[index].identify(as: index) }
            var circumstances = Circumstances()
            circumstances.isLive = isLive
            if !read.isEmpty { migrations = try judge(read, circumstances: circumstances) }
        } catch let error as LogRefusal { refusal = error }
    }

    private mutating func tell(_ migration: JudgedMigration, isOver: Bool, _ news: inout [News]) {
        for (side, part) in [(StreamName.source, migration.source), (.destination, migration.destination)] {
            guard let part, let (status, place) = side == .source ? part.source.side.reached : part.destination.reached,
                (statuses[side]?.line ?? 0) < place.line
            else { continue }
            statuses[side] = place
            news.append(.status(side, status, place))
        }
        for finding in migration.judgement.findings where isOver || Set(finding.places.map(\.stream)).count == 1 {
            if told.insert(finding).inserted { news.append(.finding(finding)) }
        }
    }
}

extension SourceSide {
    /// The last status, with its line.
    fileprivate var reached: (MigrationStatus, Place)? { status.status.flatMap { status in arrival.map { (status, $0.place) } } }
}

extension DestinationSide {
    fileprivate var reached: (MigrationStatus, Place)? { status.status.flatMap { status in arrival.map { (status, $0.place) } } }
}
