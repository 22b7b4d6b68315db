/// Runs the cells that two kinds of sides share on both, and compares each.
import EnginePeer
import Matrix
import MigrationTrace
import Plan
import Prediction
import Verification

/// Runs a cell once; the seed is for a side that chance can be told to. Throws `UnmetNeed` where it cannot run the cell.
package typealias CellRun = @Sendable (_ cell: SharedCell, _ seed: UInt64) async throws -> ComparedRun

package struct EngineComparison: Sendable {
    /// What is examined, and what is taken for right.
    package let found: CellRun
    package let expected: CellRun
    package let list: DifferenceList
    /// Seeds that are tried for a way that was observed; 0 where a seed changes nothing.
    package var seeds = 64
    /// How many cells run at once.
    package var jobs = 1

    package init(found: @escaping CellRun, expected: @escaping CellRun, list: DifferenceList) {
        self.found = found
        self.expected = expected
        self.list = list
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
            for _ in 0..<min(max(jobs, 1), cells.count) { try await start() }
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
            let run = try await found(cell, 0)
            let right = try await expected(cell, 0)
            let outcome = try await cell.qemu.isRace ? compareRace(cell, run, right) : compare(cell, run, right)
            return .ended(CellComparison(cell: cell, outcome: outcome, ending: right.ending))
        } catch let refusal as UnmetNeed {
            return .leftOut(cell, refusal.description)
        }
    }

    /// Seeds that are tried for a run that is equal event by event, where the list excuses what differs.
    private static let furtherSeeds = 8

    private func compare(_ cell: SharedCell, _ run: ComparedRun, _ right: ComparedRun) async throws -> CellComparison.Outcome {
        let account = list.account(of: run, against: right, in: cell.qemu)
        if account.isEqual { return .equal }
        guard account.unlisted.isEmpty else { return .differs(account) }
        guard account.hasExcused(.chance), seeds > 0 else { return .excused(account, seed: nil) }
        for seed in 2..<min(seeds, Self.furtherSeeds) + 2 {
            let other = try await found(cell, UInt64(seed))
            if list.account(of: other, against: right, in: cell.qemu).isEqual { return .excused(account, seed: seed) }
        }
        return .excused(account, seed: nil)
    }

    private func compareRace(_ cell: SharedCell, _ first: ComparedRun, _ right: ComparedRun) async throws -> CellComparison.Outcome {
        guard seeds > 0 else { return .notComparable }
        let observed = right.way
        var ways: [String] = []
        var reached: (seed: Int, account: DifferenceAccount)?
        var different: DifferenceAccount?
        for seed in 1...seeds {
            let run = seed == 1 ? first : try await found(cell, UInt64(seed))
            if run.way == observed {
                let account = list.account(of: run, against: right, in: cell.qemu)
                if account.isEqual { return .reached(runs: seed, account) }
                if account.unlisted.isEmpty {
                    reached = reached ?? (seed, account)
                } else {
                    different = different ?? account
                }
            }
            // The way is what is asked for; a run that is equal event by event is looked for a little longer.
            if let reached, seed >= reached.seed + Self.furtherSeeds { break }
            if !ways.contains(run.way) { ways.append(run.way) }
        }
        if let reached { return .reached(runs: reached.seed, reached.account) }
        return different.map { .differs($0) } ?? .notReached(observed: observed, ways: ways)
    }
}
