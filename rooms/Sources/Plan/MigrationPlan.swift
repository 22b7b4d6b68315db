/// What is to be migrated and how, and what came of driving it.
import MigrationTrace

/// Watches a migration's events while it runs, and knows when it can never end.
package protocol MigrationWatcher: Sendable {
    mutating func take(_ event: Event, from stream: StreamName, line: Int)
    /// The proof that the migration will never end by itself; nil while it may. `armed` says what the schedule still has in store.
    func endlessProof(armed: String?) -> String?
}

/// One migration of a plan: from a process that runs to one that waits for it.
package struct MigrationLeg: Sendable {
    /// Which process is the source.
    package enum Origin: Hashable, Sendable {
        /// The plan's source: its first migration, or another attempt.
        case source
        /// The destination of the leg before: the next hop of a chain.
        case lastDestination
    }

    /// How the two sides are connected.
    package enum Channel: Hashable, Sendable {
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

    package var origin = Origin.source
    package var destination: SideConfiguration
    package var channel = Channel.tcp
    /// Steps taken before the `migrate` command.
    package var before: [ScheduleStep] = []
    /// Steps taken while the migration runs; those left when it is over are not taken.
    package var schedule: [ScheduleStep] = []
    /// Steps taken when the source has reached its final status, as a manager takes them.
    package var afterwards: [ScheduleStep] = []
    /// The destination's process is halted when it listens, until the schedule lets it go on.
    package var haltsDestination = false
    /// Statuses of the source that end the leg, beside completed, failed and cancelled.
    package var alsoFinal: Set<String> = []
    /// Seconds from `migrate` until the source must have reached a final status, and from there for the steps afterwards.
    package var limit = 30.0
    /// Ends a migration that is proved endless; nil: only the limits do.
    package var watcher: (any MigrationWatcher)?

    package init(destination: SideConfiguration, origin: Origin = .source) {
        self.destination = destination
        self.origin = origin
    }

    /// All steps, in the order in which they are taken.
    package var steps: [ScheduleStep] { before + schedule + afterwards }
}

package struct MigrationPlan: Sendable {
    package var source: SideConfiguration
    /// One migration after the other, each to a destination of its own; at least one.
    package var legs: [MigrationLeg]
    /// Bytes a side's logs may grow to. A source without devices, whose queries nothing slows down, writes some 20 MB a second when it waits;
    /// where nobody gets a processor but it, that must be enough for a while.
    package var logLimit = 256 << 20

    package init(source: SideConfiguration, destination: SideConfiguration) {
        self.source = source
        legs = [MigrationLeg(destination: destination)]
    }

    /// The first leg, which most plans have alone.
    package var leg: MigrationLeg {
        get { legs[0] }
        set { legs[0] = newValue }
    }

    /// The folder of a leg's destination, in that of the cell.
    package static func destinationFolder(ofLeg index: Int) -> String { index == 0 ? "destination" : "destination-\(index + 1)" }

    /// What the source of a leg was started with.
    package func source(ofLeg index: Int) -> SideConfiguration {
        legs[index].origin == .source || index == 0 ? source : legs[index - 1].destination
    }
}

/// How driving ended. What it means is for the verifier to say.
package enum MigrationOutcome: Hashable, Sendable {
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
    package var isEnd: Bool {
        switch self {
        case .ended, .sourceEnded, .sourceKilled: true
        case .endless, .limitReached, .logLimitReached: false
        }
    }

    package var description: String {
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
package struct ScheduleMark: Hashable, Sendable {
    package let step: ScheduleStep
    /// Precopy queries that the device of a `furtherQueries` step had answered when the wait began and when it was met.
    package let queries: ClosedRange<UInt64>?
    /// Whether every source device was still in PRE_COPY, read from the board when the step was done and, for a gate, before it opened.
    package let sourceIterated: Bool

    package init(step: ScheduleStep, queries: ClosedRange<UInt64>?, sourceIterated: Bool) {
        self.step = step
        self.queries = queries
        self.sourceIterated = sourceIterated
    }
}

package struct MigrationRecord: Sendable {
    package let outcome: MigrationOutcome
    /// Statuses in the order of their MIGRATION events.
    package let sourceStatuses: [String]
    package let destinationStatuses: [String]
    /// Run states at the end; nil when the process had ended.
    package let sourceRunState: String?
    package let destinationRunState: String?
    /// All capabilities, as read back before the start.
    package let sourceCapabilities: [String: Bool]
    package let destinationCapabilities: [String: Bool]
    /// The source's error text, as `query-migrate` has it.
    package let sourceError: String?
    /// Milliseconds, as `query-migrate` has it; nil before a migration completed.
    package let downtime: Double?
    package let marks: [ScheduleMark]
    /// From `migrate` to the source's final status.
    package let seconds: Double
    /// nil: no files were written, since both sides ran in this process.
    package var sourceLogs: LegLogs?
    package var destinationLogs: LegLogs?

    package init(
        outcome: MigrationOutcome, sourceStatuses: [String], destinationStatuses: [String], sourceRunState: String?,
        destinationRunState: String?, sourceCapabilities: [String: Bool], destinationCapabilities: [String: Bool], sourceError: String?,
        downtime: Double?, marks: [ScheduleMark], seconds: Double, sourceLogs: LegLogs? = nil, destinationLogs: LegLogs? = nil
    ) {
        self.outcome = outcome
        self.sourceStatuses = sourceStatuses
        self.destinationStatuses = destinationStatuses
        self.sourceRunState = sourceRunState
        self.destinationRunState = destinationRunState
        self.sourceCapabilities = sourceCapabilities
        self.destinationCapabilities = destinationCapabilities
        self.sourceError = sourceError
        self.downtime = downtime
        self.marks = marks
        self.seconds = seconds
        self.sourceLogs = sourceLogs
        self.destinationLogs = destinationLogs
    }
}
