/// A migration as one log has it: one side, read on its own.
import MigrationTrace

/// A place of a log where lines are missing, or where what stands there could not be read.
package struct LogGap: Hashable, Sendable {
    package enum Kind: String, Hashable, Sendable {
        /// The log begins after its migration did.
        case noBeginning = "the beginning of the migration is missing"
        /// A line that begins with `#` stands for lines that were left out.
        case leftOut = "lines were left out"
        /// The text of an event fits none of its forms: it is torn, or a release prints it in another form.
        case unread = "an event cannot be read"
        /// The line is a part of another one.
        case piece = "the line is a part of another one"
        case prefixed = "an event stands behind a prefix of an unknown form"
        case binary = "the line has NUL or other bytes that are no text"
        case overlong = "the line is longer than 64 KiB"
        /// The last line has no end.
        case cut = "the log ends within a line"
        /// The time goes back: another process wrote on, or lines of two logs were mixed.
        case timeGoesBack = "the time goes back"
    }

    package let kind: Kind
    package let line: Int
}

package struct LoggedMigration: Sendable {
    /// Gaps of a migration that are kept; the rest are counted.
    static let mostGaps = 8

    /// nil if no event tells the side: the migration failed too early.
    package internal(set) var side: StreamName?
    /// The number of its log among those that are judged together.
    package internal(set) var log = 0
    /// The number of the migration in the log, from 1.
    package internal(set) var number = 0
    /// The first and last line of its events.
    package let lines: ClosedRange<Int>
    /// When its first and last event were logged, by the clock of the host, in nanoseconds since 1970; nil if the log has no times.
    package let times: ClosedRange<Int64>?
    /// In a libvirt per-domain log, the start of QEMU that the migration belongs to; nil in other logs, and if the log begins after the
    /// banner of that start.
    package internal(set) var start: DomainStart?
    package let gaps: [LogGap]
    package let gapCount: Int
    /// True if events follow each other in the log that only a source and only a destination logs.
    let isMixed: Bool
    /// Names of the events in the log of this process.
    var names: Set<String> = []
    /// Both sides, which are large.
    private let sides: Sides
    /// The first errors that QEMU reported while it migrated, with their lines.
    let messages: [(line: Int, text: String)]
    /// True if the log has the status `setup`.
    package let hasBeginning: Bool
    /// What its side was set to, as far as the log shows it.
    package let settings: MigrationSettings
    /// From the decision to the final status, in nanoseconds; nil without times.
    let stoppedFor: Int64?

    private final class Sides: Sendable {
        let source: WatchedSource
        let destination: DestinationSide

        init(_ source: WatchedSource, _ destination: DestinationSide) { (self.source, self.destination) = (source, destination) }
    }

    var source: WatchedSource { _read { yield sides.source } }
    var destination: DestinationSide { _read { yield sides.destination } }

    init(
        side: StreamName?, lines: ClosedRange<Int>, times: ClosedRange<Int64>?, start: DomainStart?, gaps: [LogGap], gapCount: Int,
        isMixed: Bool, source: WatchedSource, destination: DestinationSide, messages: [(line: Int, text: String)], hasBeginning: Bool,
        settings: MigrationSettings, stoppedFor: Int64?
    ) {
        (self.side, self.lines, self.times, self.start) = (side, lines, times, start)
        (self.gaps, self.gapCount, self.isMixed) = (gaps, gapCount, isMixed)
        sides = Sides(source, destination)
        (self.messages, self.hasBeginning, self.stoppedFor) = (messages, hasBeginning, stoppedFor)
        self.settings = settings
    }

    /// The final status, if the log has it.
    package var final: MigrationStatus? { side == .destination ? destination.status.final : source.side.status.final }
}

/// Reads a log once, line by line, and cuts it into its migrations.
struct MigrationCutter: Sendable {
    /// Migrations of a log that are kept: of more, the last ones.
    static let most = 1024
    /// Migrations that are forgotten together.
    private static let batch = 64
    /// Lines of several threads are printed in another order than they are stamped, by less than this.
    private static let mostTimeBack: Int64 = 100_000_000

    private let base: Circumstances
    private(set) var migrations: [LoggedMigration] = []
    private(set) var omitted = 0
    private var source: WatchedSource
    private var destination: DestinationSide
    private var rounds = RepeatedRounds()
    /// Both sides before the last round that was handled.
    private var measured: (source: WatchedSource, destination: DestinationSide)?
    private var start: DomainStart?
    private var isNewStart = false

    private var hasBegun = false
    private var firstLine: Int?
    private var lastLine = 0
    private var times: ClosedRange<Int64>?
    private var latest: Int64?
    /// Events that only this side logs.
    private var told = (source: 0, destination: 0)
    /// More events than these that only one side logs tell the side: a log with as many of the other one is of both sides.
    private static let fewest = 2
    /// The side of the migration, once it is told.
    private var known: StreamName? { told.source > Self.fewest ? .source : told.destination > Self.fewest ? .destination : nil }
    private var gaps: [LogGap] = []
    private var gapCount = 0
    private var messages: [(line: Int, text: String)] = []
    private var settings = MigrationSettings()
    private var decidedAt: Int64?
    private var endedAt: Int64?
    /// The last event, until the next line shows that it was whole.
    private var pending = Event.migrationCancel
    /// Its line; 0 if no event waits.
    private var pendingLine = 0
    /// Up to 8 lines with a time, less those without one.
    private var stamped = 0

    init(_ circumstances: Circumstances) {
        base = circumstances
        source = WatchedSource(circumstances)
        destination = DestinationSide(circumstances)
    }

    // MARK: Lines

    /// Reads the next line of the reader.
    mutating func read(_ line: LogLine, of reader: borrowing LogReader) {
        let number = line.position.line
        if reader.settings.line == number { settings.add(reader.settings.told) }
        switch line.content {
        case .record(.event(let event)):
            flush()
            if reader.startNumber != start?.number { begin(reader.start) }
            if let time = line.stamp?.realtime { clock(time, number) }
            if isTorn(line) { return lose(.piece, number) }
            if line.isUnterminated, !event.isWhole { return cut(number) }
            if line.origin != .trace { handleMonitor(event, number, line.origin) }
            pending = event
            pendingLine = number
            switch event {
            case .migrationThreadLowPending: decidedAt = decidedAt ?? line.stamp?.realtime
            case .migrateSetState(.completed): endedAt = line.stamp?.realtime
            default: break
            }
        case .record(.message(let message)):
            flush()
            if line.isUnterminated { cut(number) }
            if message.severity == .error, messages.count < 16, hasBegun || told != (0, 0) {
                messages.append((number, String(message.text.prefix(400))))
            }
        case .unknown(.unknownEvent) where !line.isWrappedWhole && line.stamp == nil && stamped >= 4:
            // In a log with times it would have one.
            unread(line, .piece)
        case .unknown(.blank), .unknown(.unknownEvent):
            flush()
            if line.isUnterminated { cut(number) }
        case .unknown(.libvirt):
            flush()
            if start != nil, reader.startNumber == start?.number { start = reader.start }
            if line.isUnterminated { cut(number) }
        case .unknown(.comment):
            flush()
            line.isUnterminated ? cut(number) : lose(.leftOut, number)
        case .unknown(.malformedEvent): unread(line, .unread)
        case .unknown(.overlong): unread(line, .overlong)
        case .unknown(.binary): unread(line, .binary)
        case .unknown(.piece): unread(line, .piece)
        case .unknown(.prefixed): unread(line, .prefixed)
        case .unknown(.otherText):
            // A program that writes whole lines tears none; and text before a migration, or after its end, is no part of it.
            if line.isWrappedWhole { flush() } else { unread(line, .piece) }
        }
    }

    /// True for a line without a time in a log with times, or with two: it was torn by another one, so that its place is not known.
    private mutating func isTorn(_ line: LogLine) -> Bool {
        if line.stamp != nil {
            stamped = min(stamped + 1, 8)
            return line.hasTwoStamps
        }
        stamped = max(stamped - 1, 0)
        return stamped >= 4
    }

    private mutating func unread(_ line: LogLine, _ kind: LogGap.Kind) {
        let number = line.position.line
        // What stands before a part of a line may be the other part, and its last number cut.
        if kind != .unread, !pending.isCertain { pendingLine = 0 }
        flush()
        line.isUnterminated ? cut(number) : lose(kind, number)
    }

    mutating func end() { flush() }

    private mutating func flush() {
        guard pendingLine > 0 else { return }
        let line = pendingLine
        pendingLine = 0
        handle(pending, line)
    }

    // MARK: Events

    /// What must be known before an event of the monitor is handled.
    private mutating func handleMonitor(_ event: Event, _ line: Int, _ origin: LogLine.Origin) {
        guard case .migrateSetState(let status) = event, status != .setup else { return }
        if !hasBegun, status != .none {
            source.side.loseBeginning()
            destination.loseBeginning()
            note(.noBeginning, line)
            hasBegun = true
        }
        if origin == .monitorReply {
            endCounting()
            source.side.lose(isDeclared: true)
            destination.lose(isDeclared: true)
        }
    }

    private mutating func handle(_ event: Event, _ line: Int) {
        switch rounds.step(event) {
        case .count:
            lastLine = line
            return rounds.count(line: line)
        case .handleAndMeasure: measured = (source, destination)
        case .handle: if rounds.isCounting { catchUp() }
        }
        handleNow(event, line)
        rounds.handled(event)
    }

    /// Handles the last ones of the rounds that were only counted, and adds the others to what they change.
    private mutating func catchUp() {
        let (round, lines, place) = (rounds.round, rounds.lines, rounds.place)
        let handled = min(rounds.counted, RepeatedRounds.trailing)
        let times = rounds.counted - handled
        rounds.endCounting()
        if times > 0, let measured {
            source.side.repeatWhatHappened(times, since: measured.source.side)
            destination.repeatWhatHappened(times, since: measured.destination)
            told.source += times * round.count { $0.side == .source }
        }
        for lines in [lines.before, lines.last].suffix(handled) { for (event, line) in zip(round, lines) { handleNow(event, line) } }
        for (event, line) in zip(round, lines.current).prefix(place) { handleNow(event, line) }
        measured = nil
    }

    /// What follows does not belong to the rounds before.
    private mutating func endCounting() {
        if rounds.isCounting { catchUp() }
        rounds.reset()
    }

    private mutating func handleNow(_ event: Event, _ line: Int) {
        if case .migrateSetState(.setup) = event {
            finish(isSuperseded: true)
            hasBegun = true
        }
        let side = event.side
        if let side {
            if !hasBegun, told == (0, 0) {
                // A process's own beginning is not missing, only that of the migration.
                source.side.loseBeginning()
                destination.loseBeginning()
                note(.noBeginning, line)
            }
            switch side {
            case .source: if destination.status.final == nil { told.source += 1 }
            default: if source.side.status.final == nil { told.destination += 1 }
            }
        }
        if hasBegun || side != nil {
            firstLine = firstLine ?? line
            lastLine = line
        }
        let known = known
        if side != .destination, known != .destination { source.handle(event, at: Place(stream: .source, line: line)) }
        if side != .source, known != .source { destination.handle(event, at: Place(stream: .destination, line: line)) }
    }

    private mutating func clock(_ time: Int64, _ line: Int) {
        if let latest, time < latest - Self.mostTimeBack {
            // Another process wrote on, whose guest and devices are others.
            endCounting()
            lose(.timeGoesBack, line)
            source.side.restart()
            destination.restart()
            self.latest = time
        } else {
            latest = max(latest ?? time, time)
        }
        // What follows the final status, such as the end of the program, is no part of the migration.
        if hasBegun || told != (0, 0), (known == .destination ? destination.status.final : source.side.status.final) == nil {
            times = times.map { min($0.lowerBound, time)...max($0.upperBound, time) } ?? time...time
        }
    }

    private mutating func lose(_ kind: LogGap.Kind, _ line: Int) {
        endCounting()
        note(kind, line)
        source.side.lose(isDeclared: kind == .leftOut)
        destination.lose(isDeclared: kind == .leftOut)
    }

    private mutating func note(_ kind: LogGap.Kind, _ line: Int) {
        gapCount += 1
        if gaps.count < LoggedMigration.mostGaps { gaps.append(LogGap(kind: kind, line: line)) }
    }

    private mutating func cut(_ line: Int) {
        endCounting()
        note(.cut, line)
        source.side.cut(at: Place(stream: .source, line: line))
        destination.cut(at: Place(stream: .destination, line: line))
    }

    /// Another process of the same guest writes on.
    private mutating func begin(_ start: DomainStart?) {
        endCounting()
        finish(isSuperseded: true)
        self.start = start
        settings = MigrationSettings()
        var circumstances = base
        if let start { circumstances.add(start) }
        source = WatchedSource(circumstances)
        destination = DestinationSide(circumstances)
        hasBegun = false
        latest = nil
        if gapCount == 0 { gaps = [] }
    }

    // MARK: Migrations

    /// Ends the migration in progress. `isSuperseded`: another one follows.
    private mutating func finish(isSuperseded: Bool) {
        defer {
            firstLine = nil
            times = nil
            told = (0, 0)
            gaps = []
            gapCount = 0
            messages = []
            (decidedAt, endedAt) = (nil, nil)
        }
        guard let firstLine, hasBegun || told != (0, 0) else { return }
        let side: StreamName? =
            told == (0, 0) ? nil : told.source >= told.destination ? .source : .destination
        let migration = LoggedMigration(
            side: side, lines: firstLine...max(lastLine, firstLine), times: times, start: start, gaps: gaps, gapCount: gapCount,
            isMixed: min(told.source, told.destination) > Self.fewest, source: source, destination: destination, messages: messages,
            hasBeginning: hasBegun, settings: settings,
            stoppedFor: decidedAt.flatMap { start in endedAt.map { $0 - start } })
        // The tail of a migration without its end says nothing.
        if isSuperseded, !hasBegun, migration.final == nil { return }
        migrations.append(migration)
        if migrations.count >= Self.most + Self.batch { forget() }
    }

    /// Leaves the last migrations.
    private mutating func forget() {
        let count = max(migrations.count - Self.most, 0)
        migrations.removeFirst(count)
        omitted += count
    }

    /// The migrations of the whole log. `names`: of its events, in the start of QEMU that is read last.
    mutating func finished(names: Set<String>) -> [LoggedMigration] {
        flush()
        endCounting()
        finish(isSuperseded: false)
        forget()
        for index in migrations.indices {
            migrations[index].number = omitted + index + 1
            migrations[index].names = names
            if migrations[index].start?.number == start?.number { migrations[index].start = start }
        }
        return migrations
    }
}

extension Circumstances {
    /// Adds what QEMU's command line tells and nothing else has told.
    mutating func add(_ start: DomainStart) {
        let mode = start.isLegacy.map { $0 ? SwitchoverAckMode.legacy : .perDevice }
        sourceMode = sourceMode ?? mode
        sourceCapability = sourceCapability ?? start.capability
        destinationMode = destinationMode ?? mode
        destinationCapability = destinationCapability ?? start.capability
    }
}

extension Event {
    /// True if the line cannot be the beginning of a longer one, so that the part of a line behind it is another line's.
    fileprivate var isCertain: Bool {
        if case .migrateSetState(let status) = self { status != .postcopyRecover } else { false }
    }

    /// True if a last line without a line end cannot be the beginning of a longer one: it ends with a parenthesis, or has no text.
    var isWhole: Bool {
        if case .migrateSetState = self { true } else { line.utf8.last.map { $0 == UInt8(ascii: ")") || $0 == 0x20 } ?? true }
    }

    /// The only side that logs this event; nil if either may.
    var side: StreamName? {
        switch self {
        case .savevmStateHeader, .savevmStateSetup, .savevmStateIterate, .savevmSectionStart, .savevmSectionEnd, .savevmSendOpenReturnPath,
            .openReturnPathOnSource, .sourceReturnPathThreadEntry, .sourceReturnPathThreadLoopTop, .savevmRequestSwitchoverAck,
            .qemuSavevmQueryPending, .migratePendingEstimate, .migratePendingExact, .migrateTransferred, .migrationThreadSetupComplete,
            .migrationThreadLowPending, .vfioSaveSetup, .sourceReturnPathThreadSwitchoverAcked, .migrationCompletionVMStop,
            .vfioStatePending, .vfioStatePendingEstimate, .vfioStatePendingExact, .vfioSaveIterateStart, .vfioSaveIterate, .vfioSaveBlock,
            .vfioQueryPrecopySize, .vfioSendInitDataFlag, .migrateSetState(.device), .migrateSetState(.preSwitchover),
            .migrateSetState(.failing), .migrateSetState(.cancelling), .migrateSetState(.cancelled), .migrateSetState(.waitUnplug),
            .vfioMigrationSetDeviceState(_, .preCopy), .vfioMigrationSetDeviceState(_, .preCopyP2P),
            .vfioMigrationSetDeviceState(_, .stopCopy), .vmStateNotify(running: false, _, .finishMigrate):
            .source
        case .loadvmStateSetup, .qemuLoadvmStateSection, .qemuLoadvmStateSectionStartFull, .qemuLoadvmStateSectionPartEnd,
            .qemuLoadvmStateSectionCommand, .loadvmProcessCommand, .migrateSendRPMessage, .qemuLoadvmStatePostMain,
            .processIncomingMigrationCoEnd, .vfioLoadState, .vfioLoadStateDeviceData, .loadvmApproveSwitchover,
            .loadvmApproveSwitchoverLegacy, .loadvmApproveSwitchoverCounted, .loadvmStateCleanup,
            .vfioMigrationSetDeviceState(_, .resuming):
            .destination
        default: nil
        }
    }
}
