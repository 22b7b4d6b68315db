/// What is to be migrated and how, and what came of driving it.
import MigrationTrace

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
    /// Bytes a side's logs may grow to. A source without devices, whose queries nothing slows down, writes some 20 MB a second when it waits;
    /// where nobody gets a processor but it, that must be enough for a while.
    public var logLimit = 256 << 20

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
    /// nil: no files were written, since both sides ran in this process.
    public internal(set) var sourceLogs: LegLogs?
    public internal(set) var destinationLogs: LegLogs?
}
