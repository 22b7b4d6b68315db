/// Judges plain logs: one, or both sides of a migration, in any order; which side a log is follows from its events.
import MigrationTrace

/// Why logs cannot be judged.
package enum LogRefusal: Error, Hashable, Sendable, CustomStringConvertible {
    /// Nothing was read.
    case empty(String)
    /// No trace event in it; the reader's explanation.
    case foreign(String, String)
    /// Events, but none of a migration's side.
    case noMigration(String)
    /// Both logs are of this side.
    case sameSide(StreamName, String, String)
    /// Not one or two logs.
    case count(Int)

    package var description: String {
        switch self {
        case .empty(let log): "\(log): expected trace events, found an empty log; was QEMU started with -trace, and its log kept?"
        case .foreign(let log, let reason): "\(log): \(reason)"
        case .noMigration(let log):
            "\(log): expected the events of a migration's source or destination, found none; give the log of -trace 'savevm*' 'loadvm*' "
                + "'migrat*' 'vfio*' and the like"
        case .sameSide(let side, let first, let second):
            "expected a source's log and a destination's, found two of the \(side.rawValue): \(first) and \(second)"
        case .count(let count): "expected one or two logs, found \(count)"
        }
    }
}

/// A log that can be read twice: which side it is shows only in the reading.
package struct LogSource {
    package let name: String
    let open: () throws -> LogReader

    package init(path: String) {
        name = path
        open = { try LogReader(path: path) }
    }

    package init(name: String, bytes: [UInt8]) {
        self.name = name
        open = { LogReader(bytes) }
    }
}

/// What a log was taken for.
package struct LogPart: Hashable, Sendable {
    package let side: StreamName
    /// In a libvirt per-domain log the start of QEMU whose migration is judged: the last one that has any; nil in other logs, and where
    /// the log begins behind its banner.
    package let start: DomainStart?
    /// How often QEMU was started in it.
    package let starts: Int
}

/// The judgement of the last migration in one log or two. Throws `LogRefusal`, and `FileError` where a file cannot be read.
package func judge(logs: [LogSource], circumstances: Circumstances = .init()) throws -> Judgement {
    try judgeParts(of: logs, circumstances: circumstances).judgement
}

package func judge(logs paths: [String], circumstances: Circumstances = .init()) throws -> Judgement {
    try judge(logs: paths.map(LogSource.init(path:)), circumstances: circumstances)
}

/// The same, with what each log was taken for.
package func judgeParts(of logs: [LogSource], circumstances: Circumstances = .init()) throws -> (judgement: Judgement, parts: [LogPart]) {
    guard logs.count == 1 || logs.count == 2 else { throw LogRefusal.count(logs.count) }
    let parts = try parts(of: logs)
    var circumstances = circumstances
    for part in parts { circumstances.add(part) }
    var verifier = Verifier(circumstances, sides: parts.count == 2 ? .both : parts[0].side == .source ? .source : .destination)
    for (log, part) in zip(logs, parts) {
        var reader = try log.open()
        try verifier.read(&reader, as: part.side, of: part.start)
    }
    return (verifier.judgement(), parts)
}

private func parts(of logs: [LogSource]) throws -> [LogPart] {
    let found = try logs.map(lastMigration(in:))
    if found.count == 2, let side = found[0].side, side == found[1].side {
        throw LogRefusal.sameSide(side, logs[0].name, logs[1].name)
    }
    return try zip(found, logs).enumerated().map { index, log in
        // A side that failed before it did anything is known by the other's.
        let other = found.count == 2 ? found[1 - index].side.map { $0 == .source ? StreamName.destination : .source } : nil
        guard let side = log.0.side ?? other else { throw LogRefusal.noMigration(log.1.name) }
        return LogPart(side: side, start: log.0.start, starts: log.0.starts)
    }
}

extension Circumstances {
    /// What the command line says, where nothing else is known.
    fileprivate mutating func add(_ part: LogPart) {
        guard let start = part.start else { return }
        let mode = start.isLegacy.map { $0 ? Handshake.Mode.legacy : .perDevice }
        if part.side == .source {
            sourceMode = sourceMode ?? mode
            sourceCapability = sourceCapability ?? start.capability
        } else {
            destinationMode = destinationMode ?? mode
            destinationCapability = destinationCapability ?? start.capability
        }
    }
}

extension Verifier {
    /// A whole log, with its gaps: lines that begin with `#` stand for lines left out, and a line that cannot be read is one. Of a log with
    /// several starts of QEMU only the lines of the given one are taken.
    package mutating func read(_ reader: inout LogReader, as stream: StreamName, of start: DomainStart? = nil) throws {
        var episode = 0
        while let line = try reader.next() {
            if let start, reader.start?.number != start.number { continue }
            if line.episode < episode { restart(stream) }
            episode = line.episode
            let place = Place(stream: stream, line: line.position.line)
            switch line.content {
            case .record(.event(let event)):
                // The numbers of a line without its end may be cut.
                if line.isUnterminated, !event.isWhole { cut(at: place) } else { handle(event, at: place) }
            // The beginning of a name is one that is not known.
            case .record(.message), .unknown(.blank), .unknown(.libvirt), .unknown(.otherText), .unknown(.unknownEvent):
                if line.isUnterminated { cut(at: place) }
            case .unknown(.comment), .unknown(.malformedEvent), .unknown(.overlong), .unknown(.binary):
                if line.isUnterminated { cut(at: place) } else { gap(in: stream) }
            }
        }
    }
}

extension Event {
    /// Whether it can be nothing longer.
    fileprivate var isWhole: Bool {
        if case .migrateSetState = self { true } else { line.utf8.last.map { !($0 &- 0x30 <= 9) } ?? true }
    }
}

/// The side of the last migration in a log, nil where one began and nothing tells the side; and the start of QEMU that made it.
private func lastMigration(in log: LogSource) throws -> (side: StreamName?, start: DomainStart?, starts: Int) {
    var reader = try log.open()
    var (side, hasBegun): (StreamName?, Bool) = (nil, false)
    var found: (side: StreamName?, start: DomainStart?)?
    var number = 0
    while let line = try reader.next() {
        if let start = reader.start, start.number != number {
            number = start.number
            (side, hasBegun) = (nil, false)
        }
        if let event = line.event {
            if case .migrateSetState(.setup) = event { (side, hasBegun) = (nil, true) }
            side = side ?? event.side
        }
        // With what comes behind it: the end that libvirt notes.
        if hasBegun || side != nil { found = (side, reader.start) }
    }
    switch reader.summary.verdict {
    case .usable: break
    case .empty: throw LogRefusal.empty(log.name)
    case .foreign: throw LogRefusal.foreign(log.name, reader.summary.verdict.description)
    }
    guard let found else { throw LogRefusal.noMigration(log.name) }
    return (found.side, found.start, number)
}

extension Event {
    /// The side that alone prints it; nil for what either may.
    fileprivate var side: StreamName? {
        switch self {
        case .savevmStateHeader, .savevmStateSetup, .savevmStateIterate, .savevmSectionStart, .savevmSendOpenReturnPath,
            .openReturnPathOnSource,
            .sourceReturnPathThreadEntry, .sourceReturnPathThreadLoopTop, .savevmRequestSwitchoverAck, .qemuSavevmQueryPending,
            .migratePendingEstimate,
            .migratePendingExact,
            .migrationThreadSetupComplete, .migrationThreadLowPending, .vfioSaveSetup, .sourceReturnPathThreadSwitchoverAcked,
            .migrationCompletionVMStop:
            .source
        case .loadvmStateSetup, .qemuLoadvmStateSection, .qemuLoadvmStateSectionStartFull, .loadvmProcessCommand, .migrateSendRPMessage,
            .qemuLoadvmStatePostMain, .processIncomingMigrationCoEnd, .vfioLoadState, .loadvmApproveSwitchover,
            .loadvmApproveSwitchoverLegacy,
            .loadvmApproveSwitchoverCounted, .loadvmStateCleanup:
            .destination
        default: nil
        }
    }
}
