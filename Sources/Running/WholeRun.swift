/// A run of many cells: those of QEMU, then those of the engine, which QEMU's endings judge, and the canary.
import Foundation
import Matrix
import QEMUPeer

package struct WholeRun {
    package var runner: CellRunner
    /// The number of cells that run at once.
    package let jobs: Int
    /// The number of times that each cell runs.
    package let rounds: Int
    /// Where each cell has its folder while it runs.
    package let folder: RunFolder
    /// True if the traces of every engine cell are kept, not only of those with findings.
    package var keepsAll = false
    /// Makes the command that runs a cell again, with the seed of the first round.
    package let reproduction: Reproduction
    /// What earlier attempts of the run have left; those results are not made again.
    package var earlier = EarlierResults()

    package init(
        runner: CellRunner, jobs: Int, rounds: Int, folder: RunFolder, keepsAll: Bool, reproduction: Reproduction
    ) {
        self.runner = runner
        self.jobs = jobs
        self.rounds = rounds
        self.folder = folder
        self.keepsAll = keepsAll
        self.reproduction = reproduction
    }

    package enum Event: Sendable {
        case qemu(MatrixRun.Progress)
        case engineRoundBegan
        case engine(EnginePool.Outcome)
        case engineRoundEnded
    }

    /// Runs the cells and reports each event as it comes. The seed of the runner is that of the first round; each later round has the
    /// next one.
    package func run(_ cells: [Cell], report: (Event) throws -> Void) async throws {
        let (qemuCells, engineCells) = (cells.filter { $0.kind == .qemu }, cells.filter { $0.kind == .engine })
        var witnesses = Witnesses(Array(runner.binaries.values))
        for cell in qemuCells { for ending in earlier.endings(of: cell.name) { witnesses.append(cell, ending: ending) } }
        try await MatrixRun(runner: runner, jobs: jobs, folder: folder).run(qemuCells, rounds: rounds, earlier: earlier) {
            if case .ended(let result, _) = $0 { witnesses.append(result.cell, ending: result.ending.text) }
            try report(.qemu($0))
        }
        guard !engineCells.isEmpty else { return }
        var runner = runner
        // The endings of tampered logs judge nothing.
        if runner.tampering == nil { runner.witnesses = witnesses.endings }
        for round in 0..<rounds {
            let cells = engineCells.filter { earlier.rounds(of: $0.name) <= round }
            guard !cells.isEmpty else { continue }
            runner.seed = self.runner.seed &+ UInt64(round)
            var pool = EnginePool(runner: runner, threads: jobs, folder: folder)
            pool.keepsAll = keepsAll
            pool.reproduction = reproduction
            pool.reproduction.seed = runner.seed
            try report(.engineRoundBegan)
            try await pool.run(cells) { try report(.engine($0)) }
            try report(.engineRoundEnded)
        }
    }

    /// Runs the canary on one of the cells, or on one of `others` where none of them fits.
    package func canary(_ cells: [Cell], others: () throws -> [Cell]) async throws -> Canary {
        let chosen = (cells.filter { $0.kind == .qemu } + cells.filter { $0.kind == .engine }).filter(Canary.fits)
        return try await Canary(chosen.isEmpty ? try others().filter(Canary.fits) : chosen, runner: runner, folder: folder)
    }
}

/// The results that earlier attempts of a run have left, as far as the rest of the run depends on them.
package struct EarlierResults: Sendable {
    private var rounds: [String: Int] = [:]
    private var endings: [String: Set<String>] = [:]

    package init() {}

    package mutating func add(_ line: ResultLine) {
        rounds[line.cell, default: 0] += 1
        endings[line.cell, default: []].insert(line.ending)
    }

    /// The number of rounds that the cell has run.
    package func rounds(of cell: String) -> Int { rounds[cell] ?? 0 }

    /// How the cell ended, each way once, sorted.
    func endings(of cell: String) -> [String] { endings[cell, default: []].sorted() }
}
