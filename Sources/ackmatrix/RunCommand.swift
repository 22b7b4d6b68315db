/// `ackmatrix run`: runs the matrix, judges every cell, and reports what it found.
import ArgumentParser
import EnginePeer
import Foundation
import Matrix
import Plan
import QEMUPeer
import Running
import Verification

struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Run the cells of the matrix on real QEMU binaries and in the engine, and judge each.",
        discussion: """
            A cell is one migration or several over mock devices; `ackmatrix list` prints their names. Its sides are two QEMU binaries, or \
            the engine of two generations in this process (`engine@11.1`); if no QEMU is available, the engine runs alone. A cell is as \
            predicted if its ending and its counts of requests, approvals and ACKs are those of the closed form, if each broken rule is \
            explained by a known deviation of exactly these versions, and if the log shows that the ACK held the decision back wherever it \
            should. With every run, one cell is judged with a tampered log, which the verifier must reject (the canary).

            Results are appended to FOLDER/results.jsonl as they come; FOLDER/junit.xml is written at the end; FOLDER/cells holds trace, \
            logs, scripts and command lines of the cells with findings (--keep-all: of every cell).
            """)

    @OptionGroup var binaries: BinaryOptions
    @OptionGroup var sides: SideOptions
    @OptionGroup var matrix: MatrixOptions
    @OptionGroup var deviations: DeviationOptions

    @Option(help: "The number of cells that run at the same time. (default: one for each processor)")
    var jobs: Int?

    @Option(help: "The number of times that each cell runs.")
    var `repeat` = 1

    @Option(help: "Seeds what is random in the engine; with 0 nothing is. Each repetition uses the next seed.")
    var seed: UInt64 = 0

    @Option(
        help: ArgumentHelp(
            "The folder for the results; those of an earlier run in it are deleted. (default: .build/results)", valueName: "FOLDER"))
    var results: String?

    @Flag(help: "Keep trace, logs, scripts and command lines of every cell, not only of those with findings.")
    var keepAll = false

    @Option(
        help: ArgumentHelp(
            "Tamper with the log of every cell before it is judged, to check that the verifier rejects it: decision-before-ack moves the "
                + "decision to where a source that ignores the ACK makes it; ack-ignored writes the whole log of such a source.",
            valueName: "HOW"))
    var tamper: Tampering?

    @Option(help: "Write traces to the golden corpus in Traces: all, failed, missing, or never. Never in CI.")
    var record = RecordMode.never

    @Flag(help: "Print the account of every cell.")
    var verbose = false

    /// The options that a cell depends on, in addition to its name.
    private var reproducingOptions: [String] { reproducingOptions(seed: seed) }

    private func reproducingOptions(seed: UInt64) -> [String] {
        var options = binaries.own.flatMap { ["--qemu", $0] }
        if let file = matrix.matrix { options += ["--matrix", file] }
        if let file = deviations.deviationList { options += ["--deviation-list", file] }
        if deviations.deviations != .expected { options += ["--deviations", deviations.deviations.rawValue] }
        if let tamper { options += ["--tamper", tamper.rawValue] }
        if seed != 1 { options += ["--seed", "\(seed)"] }
        return options
    }

    func validate() throws {
        guard `repeat` >= 1 else { throw ValidationError("--repeat: expected 1 or more, found \(`repeat`)") }
        if let jobs, jobs < 1 { throw ValidationError("--jobs: expected 1 or more, found \(jobs)") }
        if record != .never, ProcessInfo.processInfo.environment["CI"] != nil {
            throw ValidationError("--record \(record.rawValue): the golden corpus is not written in CI (CI is set in the environment)")
        }
    }

    func run() async throws {
        let kinds = sides.kinds(matrix)
        let binaries = try await sides.probed(self.binaries, matrix)
        let alone =
            kinds == .all && binaries.allSatisfy { $0.binary.kind == .engine }
            ? "no QEMU is at hand: the engine alone ran, judged by the verifier and the closed form, and by no QEMU; see: ackmatrix qemu fetch"
            : nil
        if let alone { say(alone.replacing("alone ran", with: "alone runs")) }
        let matrixFile = try matrix.file()
        let (cells, missing) = try matrix.cells(of: matrixFile, binaries)
        for sentence in missing { Harness.note("missing: \(sentence)") }
        let known = try deviations.file(matrixFile)
        let (qemuCells, engineCells) = (cells.filter { $0.kind == .qemu }, cells.filter { $0.kind == .engine })
        var runner = CellRunner(
            binaries: binaries, shim: binaries.allSatisfy { $0.binary.kind == .engine } ? "" : try Harness.shim(), deviations: known,
            policy: deviations.deviations, tampering: tamper)
        runner.seed = seed
        let folder = try RunFolder()
        let all = (1...`repeat`).flatMap { _ in qemuCells } + (1...`repeat`).flatMap { _ in engineCells }
        var report = try RunReport(
            cells: all, axes: matrixFile.axes, deviations: known.deviations, isWhole: matrix.cell.isEmpty && tamper == nil,
            options: reproducingOptions,
            verbose: verbose, place: try ResultFolder(results ?? Harness.root() + "/.build/results", keepsAll: keepAll),
            corpus: Corpus(folder: try Harness.root() + "/Traces", mode: record), alone: alone)
        let jobs = jobs ?? ProcessInfo.processInfo.activeProcessorCount
        let canary: Canary?
        do {
            var witnesses = Witnesses(binaries)
            try await MatrixRun(runner: runner, jobs: jobs, folder: folder).run((1...`repeat`).flatMap { _ in qemuCells }) {
                if case .ended(let result, _) = $0 { witnesses.take(result) }
                try report.take($0)
            }
            if tamper == nil { runner.witnesses = witnesses.endings }
            for round in 0..<(engineCells.isEmpty ? 0 : `repeat`) {
                runner.seed = seed &+ UInt64(round)
                var pool = EnginePool(runner: runner, threads: jobs, folder: folder)
                pool.keepsAll = keepAll
                pool.options = reproducingOptions(seed: runner.seed)
                report.beginEngineRound()
                try await pool.run(engineCells) { try report.take($0) }
                report.endEngineRound()
            }
            if tamper == nil {
                // It proves the verifier, not the cells selected: where none of them will do, any other does.
                let chosen = (qemuCells + engineCells).filter(Canary.fits)
                // The quick tier has one for most sides.
                var others: [Cell] = []
                for tier in [Tier.quick, .full] where chosen.isEmpty && others.isEmpty {
                    others = try Recipe.cells(of: matrixFile, tier: tier, binaries: binaries).cells.filter(Canary.fits)
                }
                canary = try await Canary(chosen + others, runner: runner, folder: folder)
            } else {
                canary = nil
            }
        } catch {
            try report.interrupted()
            throw error
        }
        guard report.hasResults else {
            throw Environment("the engine models none of these \(engineCells.count) cells; see the reasons above")
        }
        if let tamper { say(report.tampered(tamper)) }
        if let failure = canary?.failure { report.add(wholeRunFinding: failure) }
        try report.finish(missing: missing, canary: canary?.text)
        if report.findings > 0 {
            throw Finding(
                description: "\(report.findings) in \(all.count) cells; see above, and: ackmatrix explain CELL"
                    + (alone.map { "; \($0)" } ?? ""))
        }
    }
}

/// How cells of QEMU ended that the engine runs as well, each the same way every time.
private struct Witnesses {
    private let names: Set<String>
    private(set) var endings: [String: String] = [:]
    private var contradicted: Set<String> = []

    /// Only a binary with a counterpart among the engines is a witness.
    init(_ binaries: [ProbedBinary]) { names = Set(binaries.filter { $0.counterpart != nil }.map(\.binary.name)) }

    mutating func take(_ result: CellResult) {
        let cell = result.cell
        guard !cell.isRace, names.contains(cell.plan.source.binary.name), names.contains(cell.plan.leg.destination.binary.name),
            !contradicted.contains(cell.name)
        else { return }
        // What could not be driven, or was broken off before its end could be told, says nothing.
        switch result.ending {
        case .broken, .verdict(.undecided): return
        case .verdict, .refused: break
        }
        guard let before = endings.updateValue(result.ending.text, forKey: cell.name), before != result.ending.text else { return }
        endings[cell.name] = nil
        contradicted.insert(cell.name)
    }
}

/// A cell whose log is made wrong on purpose. When that is not found, nothing that the run says of decisions counts.
private struct Canary {
    let text: String
    /// Why it is a finding; nil when it was found as it must be.
    let failure: String?

    private static let rule = "decision-awaits-acks"

    /// It holds its decision back, whichever way it goes.
    static func fits(_ cell: Cell) -> Bool { cell.lastForecast.outcomes.allSatisfy(\.isGating) }

    /// The first of the cells, which all fit, that its sides can run.
    init(_ cells: [Cell], runner: CellRunner, folder: RunFolder) async throws {
        var runner = runner
        runner.tampering = .decisionBeforeAck
        var found: (cell: Cell, result: CellResult)?
        for cell in cells {
            do {
                found = (cell, try await runner.run(cell, folder: folder.path + "/canary"))
                break
            } catch is UnmetNeed {
                // The engine does not model it; the next may do.
            }
        }
        guard let (cell, result) = found else {
            text = "canary: none, since no cell of this matrix holds a decision back with these sides"
            failure = nil
            return
        }
        let broken = result.judgement?.findings.first { $0.rule.id == Self.rule }
        let what = "\(cell.name) with its decision moved before the ACK"
        guard let broken, result.isFinding else {
            failure = "canary: expected \(what) to break \(Self.rule), found it accepted"
            text = failure!
            return
        }
        failure = nil
        text = "canary: \(what) was found: \(Self.rule) at \(broken.places.map(\.description).joined(separator: ", "))"
    }
}
