/// Runs the cells that two kinds of sides share on both, and compares each.
import EnginePeer
import Matrix
import MigrationTrace
import Plan
import Prediction
import Verification

/// Runs a cell once; the seed is for a side that chance can be told to. Throws `EngineRefusal` where it cannot run the cell.
package typealias CellRun = @Sendable (_ cell: SharedCell, _ seed: UInt64) async throws -> ComparedRun

package struct EngineComparison: Sendable {
    /// What is examined, and what is taken for right.
    package let found: CellRun
    package let expected: CellRun
    package let known: KnownDifferences
    /// Seeds that are tried for a way that was observed; 0 where a seed changes nothing.
    package var seeds = 64
    /// Ids of rules that a cell breaks or not, by chance: those of deviations that show `sometimes`.
    package var sometimes: @Sendable (Cell) -> Set<String> = { _ in [] }
    /// How many cells run at once.
    package var jobs = 1

    package init(found: @escaping CellRun, expected: @escaping CellRun, known: KnownDifferences) {
        self.found = found
        self.expected = expected
        self.known = known
    }

    package enum Progress: Sendable {
        case began(SharedCell)
        case ended(CellComparison)
        /// One of the two cannot run it; why.
        case leftOut(SharedCell, String)
    }

    /// Compares the cells in order, and tells of each as it comes.
    package func run(_ cells: [SharedCell], report: (Progress) async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Progress.self) { group in
            var next = 0
            func start() async throws {
                guard next < cells.count else { return }
                let cell = cells[next]
                next += 1
                try await report(.began(cell))
                group.addTask { try await compare(cell) }
            }
            for _ in 0..<max(jobs, 1) { try await start() }
            while let progress = try await group.next() {
                try await start()
                try await report(progress)
            }
        }
    }

    /// The cheaper of the two, which may refuse, goes first.
    func compare(_ cell: SharedCell) async throws -> Progress {
        do {
            // Seed 0 leaves nothing to chance.
            var run = try await found(cell, 0)
            let right = try await expected(cell, 0)
            func ended(_ outcome: CellComparison.Outcome) -> Progress {
                .ended(CellComparison(cell: cell, outcome: outcome, ending: right.ending))
            }
            let qemu = cell.qemu
            var differences = differences(of: run, from: right, in: qemu)
            if !qemu.isRace {
                if differences.isEmpty { return ended(.equal) }
                guard qemu.leavesToChance(differences, sometimes: sometimes(qemu)) else {
                    return ended(.differs(known.explain(differences, in: qemu)))
                }
            } else if seeds == 0 {
                return ended(.notComparable)
            }
            let observed = right.way(of: qemu)
            var ways: [String] = []
            var reached: Int?
            for seed in 1...max(seeds, 1) {
                if seed > 1 {
                    run = try await found(cell, UInt64(seed))
                    differences = Running.differences(of: run, from: right, in: qemu)
                }
                let way = run.way(of: qemu)
                if way == observed { reached = reached ?? seed }
                // The way is what is asked for; a run that is equal event by event is looked for a little longer.
                if way == observed, differences.isEmpty { return ended(.reached(runs: seed, isWhole: true)) }
                if let reached, seed >= reached + Self.furtherSeeds { break }
                if !ways.contains(way) { ways.append(way) }
            }
            return ended(reached.map { .reached(runs: $0, isWhole: false) } ?? .notReached(observed: observed, ways: ways))
        } catch let refusal as EngineRefusal {
            return .leftOut(cell, refusal.description)
        }
    }

    private static let furtherSeeds = 8
}

extension Cell {
    /// Whether chance may make these differences of order, though how it ends and what is counted is as it must be. Between two runs of QEMU
    /// nothing else was seen to differ.
    func leavesToChance(_ differences: [(leg: Int?, difference: Difference)], sometimes: Set<String>) -> Bool {
        differences.allSatisfy { leg, difference in
            if case .rules(let one, let other) = difference { return sometimes.isSuperset(of: one + other) }
            guard case .order(let order) = difference else { return false }
            let scenario = forecasts[(leg ?? forecasts.count) - 1].scenario
            // The moment of the cancel is one of many in the set-up.
            if scenario.cancel == .inSetup { return true }
            // Whether the source is in postcopy when it learns that the destination, which has all pages, has failed.
            if scenario.postcopy?.course == .nothingIsMissing { return true }
            // Whether the listen thread has read on when the package fails.
            if scenario.postcopy?.course == .loadFails { return true }
            // Whether the source learns of the failure before it obeys.
            if scenario.cancel == .everythingIsSent { return order.thread.isSource }
            // Who stops the guest gives the lock away while its processors pause: what the devices are told of it comes before the source's
            // switchover, or in the midst of it.
            if scenario.guest == .stopped || scenario.interruption == .stopBeforeMarker { return order.thread.isSource }
            // How often a device that re-initialises forever has done so when a legacy source decides, which asks for no ACK of it.
            if scenario.reinitsForever { return true }
            // What was written to a connection that has just ended may or may not be on its way, and whether the writer learns of it at once.
            if case .channelCut = scenario.breakage { return true }
            if case .sourceKilled = scenario.breakage { return !order.thread.isSource }
            if scenario.cancel == .onlyTheAckIsMissing { return !order.thread.isSource }
            if scenario.mishap == .destinationEnds { return !order.thread.isSource }
            if [.paused, .recovered].contains(scenario.postcopy?.course) { return order.thread.isSource }
            // How far a destination's load has come, and a source that can still write to its socket, when the kernel has ended it.
            if case .destinationKilled = scenario.breakage { return true }
            if scenario.postcopy?.course == .killedLoading { return true }
            // The kernel ends it in the midst of anything.
            if plan.killsByMemory { return true }
            // A destination whose device fails before it has read anything: the source may be in its set-up, or have decided.
            if ["destination-resuming", "destination-migration"].contains(selection["call"]) || plan.limitsDestinationsDescriptors {
                return order.thread.isSource
            }
            // The program is ended when the source's part is over; the destination may not have said its last word.
            if scenario.postcopy?.course == .cutAtTheEnd { return !order.thread.isSource }
            // A destination that fails by itself, and nothing holds the source back: how far it comes until it notices. The destination's own
            // part is the same each time.
            return forecasts[(leg ?? forecasts.count) - 1].isFailureThatIsNotPlaced && order.thread.isSource
                && (scenario.breakage == nil || selection["call"].hasPrefix("destination"))
        }
    }
}

extension Forecast {
    /// The prediction leaves counts open, for a marker is refused, or the load fails, while other things are on their way.
    fileprivate var isFailureThatIsNotPlaced: Bool {
        outcomes.contains { $0.ending == .failed } && comparedCounts.isDisjoint(with: ["approvals", "acks-sent", "acks-counted"])
            && !scenario.devices.isEmpty
    }
}

extension MigrationPlan {
    fileprivate var limitsDestinationsDescriptors: Bool {
        legs.contains { $0.steps.contains { if case .limitDescriptors(.destination, .some) = $0 { true } else { false } } }
    }

    fileprivate var killsByMemory: Bool {
        legs.contains { $0.steps.contains { if case .limitMemory = $0 { true } else { false } } }
    }
}

/// What a comparison of many cells comes to.
package struct ComparisonSummary: Sendable {
    package private(set) var compared = 0
    package private(set) var equal = 0
    package private(set) var races = 0
    package private(set) var reached = 0
    /// Those of them that were reached event by event.
    package private(set) var reachedWhole = 0
    package private(set) var forced = 0
    package private(set) var listed = 0
    /// Cells with differences that nothing explains, or whose observed way was not reached.
    package private(set) var findings = 0
    /// Differences that nothing explains.
    package private(set) var unlisted = 0
    /// Reasons why cells were left out, with how many there were of each.
    package private(set) var leftOut: [String: Int] = [:]
    private var shown: Set<String> = []
    private var concerned: Set<String> = []
    private let known: KnownDifferences

    package init(known: KnownDifferences) { self.known = known }

    package mutating func leaveOut(_ reason: String) { leftOut[reason, default: 0] += 1 }

    package mutating func add(_ comparison: CellComparison) {
        compared += 1
        if comparison.isForced { forced += 1 }
        if comparison.isFinding { findings += 1 }
        shown.formUnion(comparison.shown)
        for entry in known.all where entry.concerns(comparison.cell.qemu) { concerned.insert(entry.id) }
        switch comparison.outcome {
        case .equal: equal += 1
        case .reached(_, let isWhole):
            races += 1
            reached += 1
            if isWhole { reachedWhole += 1 }
        case .notComparable: races += 1
        case .notReached:
            races += 1
            unlisted += 1
        case .differs(let differences):
            listed += differences.count { $0.known != nil }
            unlisted += differences.count { $0.known == nil }
        }
    }

    /// Entries of the list that concern a cell that was compared, and explain nothing any more.
    package var absent: [KnownDifference] { known.all.filter { concerned.contains($0.id) && !shown.contains($0.id) && !$0.sometimes } }
    /// Entries that concern no cell that was compared.
    package var idle: [KnownDifference] { known.all.filter { !concerned.contains($0.id) } }

    /// `found`: what the examined side is called.
    package func closingLine(found: String) -> String {
        let ways =
            races == 0 || reached == 0 ? "" : " (observed way reached by the \(found) in \(reached == races ? "all" : "") \(reached))"
        return "\(counted(compared, "cell")) compared: \(equal) equal, \(counted(races, "race"))\(ways.replacing("  ", with: " ")), "
            + "\(counted(listed, "listed difference")), \(counted(unlisted, "unlisted difference"))"
    }
}
