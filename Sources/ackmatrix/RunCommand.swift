/// `ackmatrix run`: runs the matrix, judges every cell, and reports what was found.
import ArgumentParser
import EnginePeer
import Foundation
import Glibc
import History
import Matrix
import MigrationTrace
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

            Each run has a folder of its own for its results, in .build/results or in the FOLDER of --results; `ackmatrix results` lists \
            them, and FOLDER/latest is the newest one. Its results.jsonl gets a line for each cell as it ends. summary.txt has everything \
            that the run showed, and junit.xml the same for a CI server; both are written at the end. cells has the trace, logs, scripts \
            and command lines of each finding, with the command that runs the cell again. A run that begins removes the folders of \
            runs, but not those of the newest \(ResultPlace.mostRuns), nor what something was added to.

            A run holds each cell once, and of --repeat only what differs: its memory does not grow with the number of repetitions. It \
            stays below 200 MB for the default matrix; each QEMU takes some 60 MB beside that.

            A large run is split (--shard K/N, on as many machines as there are shards; ackmatrix merge makes one of the results), goes on \
            after an interruption (--resume FOLDER), and runs only what failed again (--rerun-failed FOLDER). The first line of \
            results.jsonl, its header, has whatever may decide a result: the commit, the binaries with their SHA-256, the options, and the \
            digests of the matrix file and of the known deviations. Runs that differ in these are not resumed and not merged.

            The output formats (--format) are
            \(RunFormat.allCases.map { "  \($0.rawValue): \($0.about)" }.joined(separator: "\n"))

            Examples:
              ackmatrix run                                        the default matrix
              ackmatrix run --cell 11.1-11.1+q35-11.1+2-devices    one cell
              ackmatrix run --qemu mine=build/qemu-system-x86_64 --tier quick
                                                                   a custom build among the other binaries
              ackmatrix run --sides engine --tier engine           every cell of the engine
              ackmatrix run --shard 2/4 --results shards/2         the second quarter of the default matrix
              ackmatrix run --resume shards/2                      the rest of it, after it was killed
              ackmatrix run --rerun-failed .build/results          the cells that were findings in the newest run

            Exit status: 0 every cell is as predicted, 1 there is a finding, 2 wrong usage or a broken environment. With --bisect-exit, as \
            `git bisect run` reads it: 0 the build is good, 1 it is bad (a finding), 125 for everything else, which tells nothing of \
            the build: wrong usage, a broken environment, a signal, a QEMU that does not start, a cell that the build cannot run, that it \
            runs in another mode than the cell's machine type has in the newest release, or whose end is open. It is never 128 or more.
              git bisect run sh -c 'make -j8 || exit 125; ackmatrix run --bisect-exit --qemu mine=build/qemu-system-x86_64 \
            --cell mine-mine+q35-11.1+2-devices'
            """)

    @OptionGroup var binaries: BinaryOptions
    @OptionGroup var sides: SideOptions
    @OptionGroup var matrix: MatrixOptions
    @OptionGroup var deviations: DeviationOptions

    @OptionGroup var jobs: JobOptions
    @OptionGroup var scale: ScaleOptions

    @Option(
        help: "The number of times that each cell runs, up to a billion. The report tells cells that fail each time from flaky ones.")
    var `repeat` = 1

    @Option(help: "The seed of everything that is random in the engine; 0 makes nothing random. Each repetition has the next seed.")
    var seed: UInt64 = 0

    @Flag(
        name: .customLong("require-qemu"), inversion: .prefixedNo,
        help: "Fail (exit status 2) where no QEMU binary runs a cell, instead of running the engine alone. (default: on if CI is set)")
    var requiresQEMU: Bool?

    @Option(
        help: ArgumentHelp(
            "Only the cells whose source runs in this mode: legacy or per-device.",
            discussion: "With --cell it is a demand: where the binary runs the cell in the other mode, the exit status is 2."))
    var mode: SwitchoverAckMode?

    @Flag(
        help: ArgumentHelp(
            "Take the modes of the machine types as the builds have them.",
            discussion: "Else a build that runs a versioned type up to 11.0 per device, or a later one in legacy mode, is a finding."))
    var ownModes = false

    @Option(
        help: ArgumentHelp(
            "What backs the devices of the engine's cells: mock, or kernel: and devices of the driver in harness/lab.",
            discussion: "The cells, their names and their judges stay the same. One cell runs at a time. Needs --sides engine.",
            valueName: "mock|kernel:DEVICE,...")
    )
    var vfio = "mock"

    @Flag(help: "Exit as git bisect run expects it: 0 good, 1 bad, 125 cannot tell.")
    var bisectExit = false

    @Option(
        help: ArgumentHelp(
            "The place for the results; each run makes a folder of its own in it. (default: .build/results)", valueName: "FOLDER"))
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

    func validate() throws {
        guard scale.shard == nil || tamper == nil else {
            throw ValidationError("--shard with --tamper: expected one of them, since a tampered run is not merged")
        }
        guard 1...1_000_000_000 ~= `repeat` else {
            throw ValidationError("--repeat: expected 1 or more, at most a billion, found \(`repeat`)")
        }
        guard record == .never || ProcessInfo.processInfo.environment["CI"] == nil else {
            throw ValidationError("--record \(record.rawValue): the golden corpus is not written in CI (CI is set in the environment)")
        }
        guard vfio == "mock" || vfio.hasPrefix("kernel:") else {
            throw ValidationError("--vfio: expected mock or kernel:DEVICE,..., found '\(vfio)'")
        }
        guard vfio == "mock" || sides.kinds(matrix) == .engine else {
            throw ValidationError("--vfio \(vfio): QEMU's devices are mock devices here: expected --sides engine as well")
        }
        switch sides.kinds(matrix) {
        case .all: break
        case .qemu:
            guard seed == 0 else { throw ValidationError("--seed \(seed): expected cells of the engine, found those of QEMU alone") }
        case .engine:
            guard requiresQEMU != true else {
                throw ValidationError("--require-qemu: expected cells of QEMU binaries, found that only the engine is asked for")
            }
            guard record == .never else {
                throw ValidationError("--record \(record.rawValue): expected cells of QEMU binaries, found those of the engine alone")
            }
        }
    }

    func run() async throws {
        if let folder = scale.resume { return try await resume(ResultPlace.run(at: folder)) }
        if let folder = scale.rerunFailed { return try await rerunFailed(ResultPlace.run(at: folder)) }
        try await run(resuming: nil)
    }

    /// Runs the cells, or what earlier attempts of the run have left of them.
    func run(resuming earlier: RunToResume?) async throws {
        let kinds = sides.kinds(matrix)
        // A history that cannot be written is told before the first cell.
        if let file = scale.history { _ = try History(path: file, creates: true) }
        // A file that reaches its limit is an error of the write, with words.
        signal(SIGXFSZ, SIG_IGN)
        let devices = try kernelDevices()
        let jobs = try devices != nil ? 1 : self.jobs.allowed(kinds == .engine ? [.engine] : kinds == .qemu ? [.qemu] : [.qemu, .engine])
        let binaries = try await sides.probed(self.binaries, matrix)
        let matrixFile = try matrix.file()
        let known = try deviations.file(matrixFile)
        let selected = try matrix.cells(of: matrixFile, binaries, known: known)
        try requireQEMU(kinds, selected.cells)
        var skipped = selected.skipped
        let asked = try failed(cellsToRun(inMode(selected.cells), binaries)).filter { cell in
            guard let unmet = devices?.obstacle(of: cell.plan) else { return true }
            skipped.insert(cell.name, Unavailable(description: unmet.description))
            return false
        }
        var header = try await header(of: asked, binaries, skipped: skipped, of: selected.cells.count)
        if kinds == .all, !binaries.contains(where: { $0.binary.kind == .qemu }) { header.notes.append(Self.engineAlone) }
        header.findings = buildFindings(binaries, asked)
        header.notes += try losses(matrixFile, selected.cells, binaries)
        try earlier?.check(header)
        let mine = asked.filter { scale.shard?.contains($0.name) ?? true }
        var runner = CellRunner(
            binaries: binaries, shim: mine.contains { $0.kind == .qemu } ? try Harness.shim() : "", deviations: known,
            policy: deviations.deviations, tampering: tamper)
        runner.seed = seed
        runner.devices = devices
        let folder = try RunFolder()
        try await Harness.checkStart(of: binaries, for: mine, folder: folder)
        let made = try await Harness.checkPairings(of: binaries, for: mine, jobs: jobs, folder: folder)
        let cells = made.cells
        skipped.formUnion(made.skipped)
        let place = try ResultPlace(earlier?.place ?? results ?? Harness.root() + "/.build/results")
        let reproduction = try reproduction(place)
        var kept =
            try earlier.map { try ResultFolder(resuming: $0.path, keepsAll: keepAll) }
            ?? place.begin(
                RunRecord(command: CommandLine.arguments, cells: cells.count * `repeat`), keepsAll: keepAll)
        kept.notRun = made.skipped
        if earlier == nil { try kept.begin(header) }
        var report = try RunReport(
            RunReport.Setting(
                cells: cells, rounds: `repeat`, axes: matrixFile.axes, deviations: known.deviations,
                isWhole: header.isWhole && scale.shard == nil && cells.count == asked.count, reproduction: reproduction,
                format: format, isVerbose: verbose, corpus: Corpus(folder: try Harness.root() + "/Traces", mode: record),
                skipped: skipped),
            place: kept, output: Screen())
        introduce(&report, header, binaries, cells, of: asked.count, place: kept)
        var run = WholeRun(
            runner: runner, jobs: jobs, rounds: `repeat`, folder: folder, keepsAll: keepAll, reproduction: reproduction)
        run.earlier = try earlier?.results(of: mine, rounds: `repeat`) { report.receive(earlier: $0) } ?? EarlierResults()
        try await conduct(run, cells, &report, notes: header.notes) {
            // The quick tier has a canary for most sides.
            for tier in [Tier.quick, .full] {
                let cells = try Recipe.cells(of: matrixFile, tier: tier, binaries: binaries).cells.filter(Canary.fits)
                if !cells.isEmpty { return cells }
            }
            return []
        }
        if let reason = made.skipped.reasons.first {
            throw Environment("\(counted(made.skipped.count, "cell")) of \(mine.count) did not run: \(reason.description)")
        }
    }

    /// Prints what runs, before the first cell.
    private func introduce(
        _ report: inout RunReport, _ header: RunHeader, _ binaries: [ProbedBinary], _ cells: [Cell], of all: Int, place: ResultFolder
    ) {
        if header.notes.contains(Self.engineAlone) { report.say(Self.engineAlone) }
        let used = binaries.filter { binary in cells.contains { $0.uses(binary) } }
        for binary in used where binary.binary.kind == .qemu {
            if let short = binary.features.fallsShort { report.say("\(binary.binary.name): \(short)") }
        }
        for finding in header.findings { report.add(wholeRunFinding: finding) }
        report.say("sides: " + used.map(\.label).joined(separator: ", "))
        let part = scale.shard.map { " (shard \($0) of \(all))" } ?? ""
        let selection = scale.rerunFailed.map { "that were findings in \($0)" } ?? matrix.selectionInWords
        report.say("\(counted(cells.count * `repeat`, "cell")) \(selection)\(part); results in \(place.path)")
    }

    /// The devices of --vfio; nil: mock devices.
    private func kernelDevices() throws -> KernelDevices? {
        guard vfio != "mock" else { return nil }
        return try KernelDevices(vfio.dropFirst("kernel:".count).split(separator: ",").map(String.init))
    }

    /// Runs the cells and the canary, and reports. Throws `Finding` where there is one, and with --bisect-exit what that stands for.
    private func conduct(
        _ run: WholeRun, _ cells: [Cell], _ report: inout RunReport, notes: [String], otherCanaries: () throws -> [Cell]
    ) async throws {
        var notes = notes
        var canary: Canary?
        do {
            try await run.run(cells) { try report.receive($0) }
            // The canary proves the verifier, not the selected cells: where none of them fits, another one does.
            if tamper == nil, report.hasResults { canary = try await run.canary(cells, others: otherCanaries) }
        } catch {
            Signals.resultsAreBeingWritten()
            try report.interrupted()
            throw error
        }
        if let tamper { notes.append(report.tampered(tamper)) }
        let verdict = canary?.isAccepted == true ? .cannotTell(canary?.text ?? "") : report.verdictForBisect
        if let canary {
            if canary.isAccepted { report.add(wholeRunFinding: canary.text) }
            notes.append(canary.text)
        }
        if bisectExit { notes.append(verdict.note) }
        try report.finish(notes: notes, canary: canary.map { RunRecord.Canary(text: $0.text, isAccepted: $0.isAccepted) })
        if let file = scale.history { note("history: \(try History(path: file, creates: true).add(endedRunIn: report.folder).inWords)") }
        if bisectExit, case .cannotTell(let reason) = verdict { throw Inconclusive(description: reason) }
        if report.findings > 0 {
            throw Finding(
                description: "\(counted(report.findings, "finding")) in \(counted(cells.count * `repeat`, "cell")); "
                    + "see: ackmatrix explain CELL")
        }
    }

    /// A run that was to show what QEMU does, and that no QEMU takes part in, must not be green.
    private func requireQEMU(_ kinds: Sides, _ cells: [Cell]) throws {
        let isInCI = ProcessInfo.processInfo.environment["CI"] != nil
        guard kinds != .engine, requiresQEMU ?? isInCI, !cells.contains(where: { $0.kind == .qemu }) else { return }
        let who = requiresQEMU == true ? "--require-qemu asks for one" : "CI is set, where one is required"
        throw Environment(
            "no QEMU binary runs any of the cells, and \(who): run `ackmatrix qemu fetch`, add a custom build with --qemu NAME=PATH, "
                + "or run the engine alone with --sides engine" + (requiresQEMU == nil ? " or --no-require-qemu" : ""))
    }

    /// With --bisect-exit, the cells whose sides run in the mode that was asked for. Throws `Inconclusive` where none is left.
    private func cellsToRun(_ cells: [Cell], _ binaries: [ProbedBinary]) throws -> [Cell] {
        guard bisectExit else { return cells }
        let modes = cells.map { (cell: $0, otherMode: $0.modeNotAsAsked(binaries)) }
        let fit = modes.filter { $0.otherMode == nil }.map(\.cell)
        if fit.isEmpty, let reason = modes.first?.otherMode { throw Inconclusive(description: reason) }
        if fit.count < cells.count { note("left out: \(counted(cells.count - fit.count, "cell")) in another mode than asked for") }
        return fit
    }

    /// The cells in the mode that is asked for.
    private func inMode(_ cells: [Cell]) throws -> [Cell] {
        guard let mode else { return cells }
        let fit = cells.filter { $0.mode == mode }
        let other = cells.first { $0.mode != mode }
        if let other, fit.isEmpty || !matrix.cell.isEmpty {
            throw Environment(
                "--mode \(mode.rawValue): expected \(matrix.cell.isEmpty ? "cells" : "each cell") in this mode, found \(other.name) in "
                    + (other.mode.map { "\($0.rawValue) mode" } ?? "no mode: its source has no switchover-ack"))
        }
        return fit
    }

    /// The builds that are not as their release is: another mode than the machine type stands for is a finding, since the cells of that
    /// mode are gone without a word.
    private func buildFindings(_ binaries: [ProbedBinary], _ cells: [Cell]) -> [String] {
        guard !ownModes, !bisectExit else { return [] }
        return binaries.filter { binary in binary.binary.kind == .qemu && cells.contains { $0.uses(binary) } }.compactMap { binary in
            let types = binary.features.typesAgainstTheRule
            guard !types.isEmpty else { return nil }
            let shown = types.map { "\($0) in \(binary.features.modes[$0]?.rawValue ?? "no") mode" }.joined(separator: ", ")
            return "\(binary.binary.name) runs \(shown): expected legacy mode for versioned machine types up to 11.0 and per-device mode "
                + "for all others; its compat entries differ from QEMU's (--own-modes takes them as they are)"
        }
    }

    /// A sentence for each pairing that has lost many of its cells; the closing block has room for a few.
    private func losses(_ file: MatrixFile, _ cells: [Cell], _ binaries: [ProbedBinary]) throws -> [String] {
        guard matrix.isWholeTier else { return [] }
        let most = 3
        let losses = try Recipe.losses(of: file, tier: matrix.tier ?? .default, binaries: binaries, cells: cells)
        let rest = losses.dropFirst(most)
        return losses.prefix(most).map(\.description)
            + (rest.isEmpty ? [] : ["the same of " + rest.map { "\($0.source)-\($0.destination)" }.joined(separator: ", ")])
    }

    /// Makes the command that runs a cell again, from any folder, without writing to the results of this run.
    private func reproduction(_ place: ResultPlace) throws -> Reproduction {
        var reproduction = try Reproduction(binaries, matrix: matrix.matrix, deviations)
        if let tamper { reproduction.options += ["--tamper", tamper.rawValue] }
        reproduction.engineOptions = sides.engine.flatMap { ["--engine", $0] }
        reproduction.seed = seed
        reproduction.results = ResultPlace.reproductions(of: place.path)
        return reproduction
    }

    private static let engineAlone =
        "no QEMU binary is available: the engine runs alone, judged by the verifier and the closed form, but by no QEMU; "
        + "see: ackmatrix qemu fetch"
}

extension Bisection.Verdict {
    /// The verdict as a line of the report.
    fileprivate var note: String {
        switch self {
        case .good: "bisect: good"
        case .bad: "bisect: bad"
        case .cannotTell(let reason): "bisect: cannot tell: \(reason)"
        }
    }
}

extension ProbedBinary {
    /// The name, with the exact version where the name does not say it.
    fileprivate var label: String {
        features.version.isEmpty || features.version == binary.name
            ? binary.name : "\(binary.name) is \(features.version)"
    }
}
