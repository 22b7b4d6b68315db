/// `ackmatrix run`: drives the matrix, judges every cell, and says what it found.
import ArgumentParser
import Foundation
import Matrix
import Peers
import Verification

struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Drive the cells of the matrix on real QEMU binaries, and judge each.",
        discussion: """
            Each cell is one migration over mock devices; `ackmatrix list` names them. A cell is as predicted when its ending and the counts \
            of requests, approvals and ACKs are those of the closed form, when no rule is broken that no known deviation of exactly these \
            versions explains, and when the ACK was seen to hold the decision back wherever it should. One cell with a log made wrong on \
            purpose runs with every run, and must be found.

            Results are appended to FOLDER/results.jsonl as they come; FOLDER/junit.xml is written at the end; FOLDER/cells holds trace, logs, \
            scripts and command lines of the cells with findings (--keep-all: of every cell).
            """)

    @OptionGroup var binaries: BinaryOptions
    @OptionGroup var matrix: MatrixOptions
    @OptionGroup var deviations: DeviationOptions

    @Option(help: "How many cells run at once. (default: one for each processor)")
    var jobs: Int?

    @Option(help: "How often each cell runs.")
    var `repeat` = 1

    @Option(help: ArgumentHelp("Where the results go; what an earlier run left there goes. (default: .build/results)", valueName: "FOLDER"))
    var results: String?

    @Flag(help: "Keep trace, logs, scripts and command lines of every cell, not only of those with findings.")
    var keepAll = false

    @Option(
        help: ArgumentHelp(
            "Make the log of every cell wrong before it is judged, to see it found: "
                + "decision-before-ack moves the decision to where a source that ignores the ACK makes it; ack-ignored leaves the log of such a "
                + "source.",
            valueName: "HOW"))
    var tamper: Tampering?

    @Option(help: "Write traces to the golden corpus in Traces: all, failed, missing, or never. Never in CI.")
    var record = RecordMode.never

    @Flag(help: "Print the account of every cell, not only a line.")
    var verbose = false

    /// What a cell depends on beside its name.
    private var reproducingOptions: [String] {
        var options = binaries.own.flatMap { ["--qemu", $0] }
        if let file = matrix.matrix { options += ["--matrix", file] }
        if let file = deviations.deviationList { options += ["--deviation-list", file] }
        if deviations.deviations != .expected { options += ["--deviations", deviations.deviations.rawValue] }
        if let tamper { options += ["--tamper", tamper.rawValue] }
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
        let binaries = try await Harness.probed(self.binaries.binaries())
        let matrixFile = try matrix.file()
        let (cells, missing) = try matrix.cells(of: matrixFile, binaries)
        for sentence in missing { Harness.note("missing: \(sentence)") }
        let known = try deviations.file(matrixFile)
        let runner = CellRunner(
            binaries: binaries, shim: try Harness.shim(), deviations: known, policy: deviations.deviations, tampering: tamper)
        let folder = try RunFolder()
        let all = (1...`repeat`).flatMap { _ in cells }
        var report = try RunReport(
            cells: all, axes: matrixFile.axes, deviations: known.deviations, isWhole: matrix.cell.isEmpty && tamper == nil,
            options: reproducingOptions,
            verbose: verbose, place: try ResultFolder(results ?? Harness.root() + "/.build/results", keepsAll: keepAll),
            corpus: Corpus(folder: try Harness.root() + "/Traces", mode: record))
        let canary: Canary?
        do {
            try await MatrixRun(runner: runner, jobs: jobs ?? ProcessInfo.processInfo.activeProcessorCount, folder: folder).run(all) {
                try report.take($0)
            }
            if tamper == nil {
                // It proves the verifier, not the cells selected: where none of them will do, any other does.
                let cell =
                    try cells.first(where: Canary.fits)
                    ?? Recipe.cells(of: matrixFile, tier: .full, binaries: binaries).cells.first(where: Canary.fits)
                canary = try await Canary(cell, runner: runner, folder: folder)
            } else {
                canary = nil
            }
        } catch {
            try report.interrupted()
            throw error
        }
        if let tamper { say(report.tampered(tamper)) }
        if let failure = canary?.failure { report.add(wholeRunFinding: failure) }
        try report.finish(missing: missing, canary: canary?.text)
        let findings = report.summary.findings.count + report.summary.wholeRunFindings.count
        if findings > 0 { throw Finding(description: "\(findings) in \(all.count) cells; see above, and: ackmatrix explain CELL") }
    }
}

/// A cell whose log is made wrong on purpose. When that is not found, nothing that the run says of decisions counts.
private struct Canary {
    let text: String
    /// Why it is a finding; nil when it was found as it must be.
    let failure: String?

    private static let rule = "decision-awaits-acks"

    /// It holds its decision back, whichever way it goes.
    static func fits(_ cell: Cell) -> Bool { cell.outcomes.allSatisfy(\.isGating) }

    init(_ cell: Cell?, runner: CellRunner, folder: RunFolder) async throws {
        guard let cell else {
            text = "canary: none, since no cell of this matrix holds a decision back with these binaries"
            failure = nil
            return
        }
        var runner = runner
        runner.tampering = .decisionBeforeAck
        let result = try await runner.run(cell, folder: folder.path + "/canary")
        let found = result.judgement?.findings.first { $0.rule.id == Self.rule }
        let what = "\(cell.name) with its decision moved before the ACK"
        guard let found, result.isFinding else {
            failure = "canary: expected \(what) to break \(Self.rule), found it accepted"
            text = failure!
            return
        }
        failure = nil
        text = "canary: \(what) was found: \(Self.rule) at \(found.places.map(\.description).joined(separator: ", "))"
    }
}
