/// Judges plain logs: one, or both sides of a migration, in any order; which side a log is follows from its events.
import MigrationTrace

/// Why logs cannot be judged.
public enum LogRefusal: Error, Hashable, Sendable, CustomStringConvertible {
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

    public var description: String {
        switch self {
        case .empty(let log): "\(log): expected trace events, found an empty log; was QEMU started with -trace, and its log kept?"
        case .foreign(let log, let reason): "\(log): \(reason)"
        case .noMigration(let log):
            "\(log): expected the events of a migration's source or destination, found none; give the log of -trace 'savevm*' 'loadvm*' 'migrat*' 'vfio*' and the like"
        case .sameSide(let side, let first, let second):
            "expected a source's log and a destination's, found two of the \(side.rawValue): \(first) and \(second)"
        case .count(let count): "expected one or two logs, found \(count)"
        }
    }
}

/// A log that can be read twice: which side it is shows only in the reading.
public struct LogSource {
    public let name: String
    let open: () throws -> LogReader

    public init(path: String) {
        name = path
        open = { try LogReader(path: path) }
    }

    public init(name: String, bytes: [UInt8]) {
        self.name = name
        open = { LogReader(bytes) }
    }
}

/// What is to be said of the last migration in one log or two. Throws `LogRefusal`, and `FileError` where a file cannot be read.
public func judge(logs: [LogSource], circumstances: Circumstances = .init()) throws -> Judgement {
    guard logs.count == 1 || logs.count == 2 else { throw LogRefusal.count(logs.count) }
    let streams = try sides(of: logs)
    var verifier = Verifier(circumstances, sides: streams.count == 2 ? .both : streams[0] == .source ? .source : .destination)
    for (log, stream) in zip(logs, streams) {
        var reader = try log.open()
        try verifier.take(&reader, as: stream)
    }
    return verifier.judgement()
}

private func sides(of logs: [LogSource]) throws -> [StreamName] {
    let found = try logs.map(side(of:))
    if found.count == 2, let side = found[0], side == found[1] { throw LogRefusal.sameSide(side, logs[0].name, logs[1].name) }
    return try zip(found, logs).enumerated().map { index, log in
        // A side that failed before it did anything is known by the other's.
        let other = found.count == 2 ? found[1 - index].map { $0 == .source ? StreamName.destination : .source } : nil
        guard let side = log.0 ?? other else { throw LogRefusal.noMigration(log.1.name) }
        return side
    }
}

public func judge(logs paths: [String], circumstances: Circumstances = .init()) throws -> Judgement {
    try judge(logs: paths.map(LogSource.init(path:)), circumstances: circumstances)
}

extension Verifier {
    /// A whole log, with its gaps: lines that begin with `#` stand for lines left out, and a line that cannot be read is one.
    public mutating func take(_ reader: inout LogReader, as stream: StreamName) throws {
        var episode = 0
        while let line = try reader.next() {
            if line.episode < episode { restart(stream) }
            episode = line.episode
            let place = Place(stream: stream, line: line.position.line)
            switch line.content {
            case .record(.event(let event)):
                // The numbers of a line without its end may be cut.
                if line.isUnterminated, !event.isWhole { cut(at: place) } else { take(event, at: place) }
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

/// Which side the last migration in a log is; nil where a migration began, and nothing tells the side.
private func side(of log: LogSource) throws -> StreamName? {
    var reader = try log.open()
    var side: StreamName?
    while let line = try reader.nextEvent() {
        guard let event = line.event else { continue }
        if case .migrateSetState(.setup) = event { side = nil }
        side = side ?? event.side
    }
    switch reader.summary.verdict {
    case .usable: break
    case .empty: throw LogRefusal.empty(log.name)
    case .foreign: throw LogRefusal.foreign(log.name, reader.summary.verdict.description)
    }
    guard side != nil || reader.summary.episodes > 0 else { throw LogRefusal.noMigration(log.name) }
    return side
}

extension Event {
    /// The side that alone prints it; nil for what either may.
    fileprivate var side: StreamName? {
        switch self {
        case .savevmStateHeader, .savevmStateSetup, .savevmStateIterate, .savevmSectionStart, .savevmSendOpenReturnPath,
            .openReturnPathOnSource,
            .sourceReturnPathThreadEntry, .sourceReturnPathThreadLoopTop, .qemuSavevmQueryPending, .migratePendingEstimate,
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
