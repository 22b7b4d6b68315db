/// A migration plan: its legs, each with its sides, channel and steps; and the record of driving it.
import MigrationTrace

/// Reads the events of a running migration and tells when it can never end.
package protocol MigrationWatcher: Sendable {
    mutating func take(_ event: Event, from stream: StreamName, line: Int)
    /// The proof that the migration will never end by itself; nil while it still may. `armed` describes the next step of the schedule, if
    /// any.
    func endlessProof(armed: String?) -> String?
}

/// One migration of a plan: from a running process to one that waits for an incoming migration.
package struct MigrationLeg: Sendable {
    /// Which process is the source.
    package enum Origin: Hashable, Sendable {
        /// The plan's source: its first migration, or another attempt.
        case source
        /// The destination of the previous leg: the next hop of a chain.
        case lastDestination
    }

    /// How the two sides are connected.
    package enum Channel: Hashable, Sendable {
        /// TCP on loopback, the port chosen by the kernel.
        case tcp
        /// TCP through a relay of the harness, which a step may cut.
        case relayed
        /// A file that the destination loads after the source has completed.
        case file
        /// A pipe between two `exec:` commands: it has no return path.
        case pipe
        /// A snapshot of the running guest in this block node, made by the job `snapshot`. The destination is not used.
        case snapshot(node: String)
    }

    package var origin = Origin.source
    package var destination: SideConfiguration
    package var channel = Channel.tcp
    /// Steps taken before the `migrate` command.
    package var before: [ScheduleStep] = []
    /// Steps taken while the migration runs. Steps that are left when it ends are not taken.
    package var schedule: [ScheduleStep] = []
    /// Steps taken after the source has reached its final status, as a management application takes them.
    package var afterwards: [ScheduleStep] = []
    /// The destination's process is halted as soon as it listens, until a step resumes it.
    package var haltsDestination = false
    /// Statuses of the source that end the leg, in addition to completed, failed and cancelled.
    package var alsoFinal: Set<String> = []
    /// Seconds that the source has from `migrate` to a final status. The steps afterwards have as long again.
    package var limit = 30.0
    /// Ends a migration that is proved endless; nil: only the limits end it.
    package var watcher: (any MigrationWatcher)?

    package init(destination: SideConfiguration, origin: Origin = .source) {
        self.destination = destination
        self.origin = origin
    }

    /// All steps, in the order in which they are taken.
    package var steps: [ScheduleStep] { before + schedule + afterwards }
}

/// Everything that is decided before anything runs.
package struct MigrationPlan: Sendable {
    package var source: SideConfiguration
    /// The migrations, in order; at least one. Each has its own destination.
    package var legs: [MigrationLeg]
    /// The most bytes that the logs of a side may have. A waiting source without devices logs some 20 MB a second, since nothing slows its
    /// queries down; the limit leaves it several seconds even if it has a processor to itself.
    package var logLimit = 256 << 20

    package init(source: SideConfiguration, destination: SideConfiguration) {
        self.source = source
        legs = [MigrationLeg(destination: destination)]
    }

    /// The first leg; most plans have no other.
    package var leg: MigrationLeg {
        get { legs[0] }
        set { legs[0] = newValue }
    }

    /// What each process is started with: the source, and the destination of each leg.
    package var sides: [SideConfiguration] { [source] + legs.map(\.destination) }

    /// The folder of a leg's destination inside the cell's folder.
    package static func destinationFolder(ofLeg index: Int) -> String { index == 0 ? "destination" : "destination-\(index + 1)" }

    /// What the source of a leg was started with.
    package func source(ofLeg index: Int) -> SideConfiguration {
        legs[index].origin == .source || index == 0 ? source : legs[index - 1].destination
    }
}

/// How driving a leg ended. The verifier decides what the ending means.
package enum MigrationOutcome: Hashable, Sendable {
    /// The source reported this final status: `completed`, `failed` or `cancelled`.
    case ended(String)
    /// The watcher has proved that the migration never ends; with the proof.
    case endless(String)
    /// The time limit passed while the source was in this status.
    case limitReached(status: String)
    /// The logs of this side exceeded the plan's limit.
    case logLimitReached(Role)
    /// The source's process ended without being killed.
    case sourceEnded
    /// A step killed the source's process.
    case sourceKilled

    /// True if the migration has ended by itself; false if driving was broken off while it went on.
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

/// A step that was taken, with what was seen then.
package struct ScheduleMark: Hashable, Sendable {
    package let step: ScheduleStep
    /// For a wait for queries: the precopy queries that the device had answered when the wait began and when it was met.
    package let queries: ClosedRange<UInt64>?
    /// True if every source device was still in PRE_COPY: before the step, or for a wait when it was met.
    package let sourceIterated: Bool

    package init(step: ScheduleStep, queries: ClosedRange<UInt64>?, sourceIterated: Bool) {
        self.step = step
        self.queries = queries
        self.sourceIterated = sourceIterated
    }
}

/// The record of driving one leg.
package struct MigrationRecord: Sendable {
    package let outcome: MigrationOutcome
    /// The statuses of each side, in the order of their MIGRATION events.
    package let sourceStatuses: [String]
    package let destinationStatuses: [String]
    /// The run state of each side at the end; nil if its process had ended.
    package let sourceRunState: String?
    package let destinationRunState: String?
    /// All capabilities of each side, as read back before the start.
    package let sourceCapabilities: [String: Bool]
    package let destinationCapabilities: [String: Bool]
    /// The source's error text from `query-migrate`.
    package let sourceError: String?
    /// The downtime from `query-migrate`, in milliseconds; nil unless the migration completed.
    package let downtime: Double?
    package let marks: [ScheduleMark]
    /// Seconds from `migrate` to the source's final status.
    package let seconds: Double
    /// The leg's part of each side's log files; nil if the side has written none.
    package var sourceLogs: LegLogs?
    package var destinationLogs: LegLogs?
    /// The processes that ended by themselves, and those that gave no answer when the time limit had passed; of the last leg that was
    /// driven, since a process may serve several.
    package var ends: [ProcessEnd] = []

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
