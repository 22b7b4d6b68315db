/// `ackmatrix run`: runs the matrix, judges every cell, and reports what was found.
import ArgumentParser
import Foundation
import Matrix
import Plan
import QEMUPeer
import Reports
import Running

struct RunCommand: EndsInOrder {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Run the cells of the matrix on QEMU binaries and in the engine, and judge each.",
        discussion: """
            A cell is one migration or several over mock devices; `ackmatrix list` prints the names. Both of its sides are QEMU binaries, \
            or both are the engine of some generation in this process (engine@11.1), at a thousand cells a second. Where no QEMU binary \
            is available, the engine runs alone.

            A cell is as predicted if its ending and its counts of requests, approvals and ACKs are those of the closed form, if known \
            deviations of exactly these versions explain every broken rule, and if the ACK is gating wherever it must be: the source \
            decides, and at a query before that only an ACK was missing. Everything else is a finding. In each run, one cell is \
            tampered with (the canary); the verifier must reject it.

            FOLDER/results.jsonl gets a line for each cell as it ends. FOLDER/summary.txt has everything that the run showed, and \
            FOLDER/junit.xml the same for a CI server; both are written at the end. FOLDER/cells has the trace, logs, scripts and command \
            lines of each finding.

            The output formats (--format) are
            \(RunFormat.allCases.map { "  \($0.rawValue): \($0.about)" }.joined(separator: "\n"))

            Examples:
              ackmatrix run                                        the default matrix
              ackmatrix run --cell 11.1-11.1+q35-11.1+2-devices    one cell
              ackmatrix run --qemu mine=build/qemu-system-x86_64 --tier quick
                                                                   a custom build among the other binaries
              ackmatrix run --sides engine --tier engine           every cell of the engine

            Exit status: 0 every cell is as predicted, 1 there is a finding, 2 wrong usage or a broken environment.
            """)

    @OptionGroup var binaries: BinaryOptions
    @OptionGroup var sides: SideOptions
    @OptionGroup var matrix: MatrixOptions
    @OptionGroup var deviations: DeviationOptions

    @Option(help: "The number of cells that run at once. (default: one for each processor)")
    var jobs: Int?

    @Option(help: "The number of times that each cell runs.")
    var `repeat` = 1

    @Option(help: "The seed of everything that is random in the engine; 0 makes nothing random. Each repetition has the next seed.")
    var seed: UInt64 = 0

    @Option(
        help: ArgumentHelp(
            "The folder for the results; those of an earlier run are replaced. (default: .build/results)", valueName: "FOLDER"))
    var results: String?

    @Flag(help: "Keep the trace, logs, scripts and command lines of every cell, not only of findings.")
    var keepAll = false

    @Option(
        help: ArgumentHelp(
            "Tamper with the log of every cell before it is judged, to see that the verifier rejects it: decision-before-ack moves the "
                + "decision to where a source that ignores the ACK makes it; ack-ignored leaves the whole log of such a source.",
            valueName: "HOW"))
    var tamper: Tampering?

    @Option(help: "Write traces to the golden corpus in Traces: all, failed, missing, or never. In CI, only never is allowed.")
    var record = RecordMode.never

    @Option(help: "How much is printed: brief, lines or full. The file summary.txt has everything in any case.")
    var format = RunFormat.brief

    @Flag(help: "Print a line and the whole account of every cell.")
    var verbose = false

    /// The options that a cell depends on beside its name.
    private var reproducingOptions: [String] { reproducingOptions(seed: seed) }

    private func reproducingOptions(seed: UInt64) -> [String] {
        var options = binaries.own.flatMap { ["--qemu", $0] }
        if let file = matrix.matrix { options += ["--matrix", file] }
        if let file = deviations.deviationList { options += ["--deviation-list", file] }
        if deviations.deviations != .expected { options += ["--deviations", deviations.deviations.rawValue] }
        if let tamper { options += ["--tamper", tamper.rawValue] }
        if seed != 0 { options += ["--seed", "\(seed)"] }
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
        let matrixFile = try matrix.file()
        let made = try matrix.cells(of: matrixFile, binaries)
        let cells = made.cells
        let known = try deviations.file(matrixFile)
        let isEngineAlone = binaries.allSatisfy { $0.binary.kind == .engine }
        var runner = CellRunner(
            binaries: binaries, shim: isEngineAlone ? "" : try Harness.shim(), deviations: known, policy: deviations.deviations,
            tampering: tamper)
        runner.seed = seed
        let count = cells.count * `repeat`
        let place = try ResultFolder(results ?? Harness.root() + "/.build/results", keepsAll: keepAll)
        var report = try RunReport(
            RunReport.Setting(
                cells: (0..<`repeat`).flatMap { _ in cells }, axes: matrixFile.axes, deviations: known.deviations,
                isWhole: matrix.cell.isEmpty && tamper == nil, options: reproducingOptions, format: format, isVerbose: verbose,
                corpus: Corpus(folder: try Harness.root() + "/Traces", mode: record), skipped: made.skipped),
            place: place, output: Screen())
        let alone = kinds == .all && isEngineAlone ? Self.engineAlone : nil
        if let alone { report.say(alone) }
        let used = binaries.filter { binary in cells.contains { $0.uses(binary) } }
        report.say("sides: " + used.map(\.label).joined(separator: ", "))
        report.say("\(counted(count, "cell")) of tier \(matrix.tier.rawValue); results in \(place.path)")

        let jobs = jobs ?? ProcessInfo.processInfo.activeProcessorCount
        let run = WholeRun(
            runner: runner, jobs: jobs, rounds: `repeat`, folder: try RunFolder(), keepsAll: keepAll, options: reproducingOptions(seed:))
        var notes: [String] = alone.map { [$0] } ?? []
        do {
            try await run.run(cells) { try report.receive($0) }
            if tamper == nil, report.hasResults {
                // The canary proves the verifier, not the selected cells: where none of them fits, another one does.
                let canary = try await run.canary(cells) {
                    // The quick tier has one for most sides.
                    for tier in [Tier.quick, .full] {
                        let cells = try Recipe.cells(of: matrixFile, tier: tier, binaries: binaries).cells.filter(Canary.fits)
                        if !cells.isEmpty { return cells }
                    }
                    return []
                }
                if canary.isAccepted { report.add(wholeRunFinding: canary.text) }
                notes.append(canary.text)
            }
        } catch {
            Signals.resultsAreBeingWritten()
            try report.interrupted()
            throw error
        }
        if let tamper { notes.append(report.tampered(tamper)) }
        try report.finish(notes: notes)
        if report.findings > 0 {
            throw Finding(
                description: "\(counted(report.findings, "finding")) in \(counted(count, "cell")); see: ackmatrix explain CELL")
        }
    }

    private static let engineAlone =
        "no QEMU binary is available: the engine runs alone, judged by the verifier and the closed form, but by no QEMU; "
        + "see: ackmatrix qemu fetch"
}

extension Cell {
    /// True if the binary is a side of one of the cell's legs.
    fileprivate func uses(_ binary: ProbedBinary) -> Bool {
        let name = binary.binary.name
        return plan.source.binary.name == name || plan.legs.contains { $0.destination.binary.name == name }
    }
}

extension ProbedBinary {
    /// The name, with the exact version where the name does not say it.
    fileprivate var label: String {
        features.version.isEmpty || features.version == binary.name
            ? binary.name : "\(binary.name) is \(features.version)"
    }
}
