/// `ackmatrix compare`: the engine against the QEMU of its generation, cell by cell.
import ArgumentParser
import EnginePeer
import Foundation
import Matrix
import Plan
import QEMUPeer
import Reports
import Running

/// What runs one side of the comparison.
enum ComparedSide: ExpressibleByArgument, Equatable {
    case qemu
    case engine
    /// The folder that `ackmatrix run --keep-all` has written.
    case recorded(String)

    init?(argument: String) {
        switch argument {
        case "qemu": self = .qemu
        case "engine": self = .engine
        case "": return nil
        default: self = .recorded(argument)
        }
    }

    var kind: SideKind? {
        switch self {
        case .qemu: .qemu
        case .engine: .engine
        case .recorded: nil
        }
    }

    /// True if each entry of the list of differences is due to show in a whole comparison of these sides: the list is about the engine
    /// beside a QEMU, and two runs of one kind need none of its entries.
    static func showWholeList(_ sides: [ComparedSide]) -> Bool { sides.contains(.engine) && sides.contains { $0 != .engine } }

    /// A place of several runs as the newest of them.
    var newestRun: ComparedSide {
        guard case .recorded(let folder) = self else { return self }
        return .recorded(ResultPlace.run(at: folder))
    }

    var name: String {
        switch self {
        case .qemu: "QEMU"
        case .engine: "engine"
        case .recorded(let folder): "run in \(folder)"
        }
    }
}

struct CompareCommand: EndsInOrder {
    static let configuration = CommandConfiguration(
        commandName: "compare", abstract: "Compare the engine with the QEMU binaries of its generations, on every cell that both can run.",
        discussion: """
            Two runs of a cell are equal if they end alike, break the same rules, have the same requests, approvals and ACKs for each \
            device, and if each thread of QEMU's design, and each device, has the same protocol events in the same order: statuses, run \
            states, device states, commands, sections, requests, markers, ACKs, the decision, the final query, errors. The number of \
            iterations and their times are not compared.

            Where the prediction has several endings, the engine must be able to reach the one that was observed: it runs with up to \
            --seeds seeds. harness/matrix/differences.yaml lists what may differ by chance, and where the engine is known to differ from \
            QEMU. The report counts what each entry excused; an entry that excuses nothing in a comparison of all cells is a finding, \
            unless the entry says why.

            A SIDE is engine, qemu, or the folder of a run's results that kept every cell (run --keep-all --results FOLDER); the place \
            of several runs stands for the newest one. Where nothing was compared, or such a run was interrupted, the exit status \
            is 2.

            With --recorded the reference is a folder of traces (CELL.trace or CELL.trace.gz) of releases of which no binary is available. \
            Every recorded cell is compared with the engine of its generation, and judged against its prediction.

            Memory grows with the number of cells, to less than 200 MB for all of them, and with what one cell logs.
            """)

    @OptionGroup var binaries: BinaryOptions
    @OptionGroup var matrix: MatrixOptions
    @OptionGroup var deviations: DeviationOptions

    @Option(help: ArgumentHelp("The side that is examined.", valueName: "SIDE"))
    var left = ComparedSide.engine

    @Option(help: ArgumentHelp("The side that is the reference.", valueName: "SIDE"))
    var right = ComparedSide.qemu

    @Option(help: ArgumentHelp("A folder of recorded traces that is the reference, such as Traces.", valueName: "FOLDER"))
    var recorded: String?

    @OptionGroup var jobs: JobOptions

    @Option(
        help: """
            The largest number of seeds with which the engine runs to reach the observed ending of a race; only where it is the left side. \
            (default: 64)
            """)
    var seeds: Int?

    @Option(
        help: ArgumentHelp("The list of differences that are excused. (default: harness/matrix/differences.yaml)", valueName: "FILE"))
    var differenceList: String?

    @Flag(help: "Print every difference of every cell as a whole, with the entry of the list that excuses it.")
    var verbose = false

    func validate() throws {
        if recorded != nil, !binaries.own.isEmpty || matrix.tier != nil {
            throw ValidationError(
                "--recorded: expected neither --qemu nor --tier beside it: the recordings are the reference, and all are compared")
        }
        guard let seeds else { return }
        guard 1...100_000 ~= seeds else { throw ValidationError("--seeds: expected 1 to 100000, found \(seeds)") }
        guard left == .engine else { throw ValidationError("--seeds \(seeds): expected the engine as the left side, found \(left.name)") }
    }

    func run() async throws {
        if let recorded {
            try await compare(with: RecordedTraces(folder: recorded))
        } else {
            try await compareSides()
        }
    }

    private func compareSides() async throws {
        // The limits come first: probing starts QEMUs.
        let jobs = try self.jobs.allowed([.qemu])
        let probed = try await Harness.probed(binaries.binaries())
        let file = try matrix.file()
        let sides = [left.newestRun, right.newestRun]
        let (left, right) = (sides[0], sides[1])
        let deviationFile = try deviations.file(file)
        var list = try differences(file, deviationFile)
        // Two runs of QEMU differ by chance alone.
        if !sides.contains(.engine) { list = list.only(.chance) }
        var (cells, leftOut, skipped) = try cells(of: file, probed)
        for line in skipped.lines { note(line) }
        let runner = CellRunner(
            binaries: probed + ProbedBinary.engines, shim: try Harness.shim(), deviations: deviationFile,
            policy: deviations.deviations)
        let folder = try RunFolder()
        if sides.contains(.qemu) {
            try await Harness.checkStart(of: probed, for: cells.map(\.qemu), folder: folder)
            let made = try await Harness.checkPairings(of: probed, for: cells.map(\.qemu), jobs: jobs, folder: folder)
            let reasons = made.skipped.reasonBySharedName
            leftOut += cells.compactMap { reasons[$0.name] }
            cells.removeAll { reasons[$0.name] != nil }
        }
        var comparison = EngineComparison(
            found: try cellRun(left, runner, folder, "left"), expected: try cellRun(right, runner, folder, "right"), list: list)
        comparison.jobs = jobs
        comparison.seeds = left == .engine ? seeds ?? 64 : 0
        var report = CompareReport(total: cells.count, list: list, left: left.name, verbose: verbose)
        for reason in leftOut { report.leaveOut(reason.description) }
        let isWhole = ComparedSide.showWholeList(sides) && matrix.isWholeTier && matrix.tier ?? .default >= .default
        try await run(comparison, cells, report, sides, isWhole: isWhole)
    }

    /// Compares the engine with recorded traces, and these with the predictions.
    private func compare(with traces: RecordedTraces) async throws {
        let file = try matrix.file()
        let deviationFile = try deviations.file(file)
        let list = try differences(file, deviationFile)
        let runner = CellRunner(binaries: ProbedBinary.engines, shim: "", deviations: deviationFile, policy: .ignore)
        let recording = try RecordedCells(
            traces, file: file, isWanted: { name in matrix.cell.isEmpty || matrix.cell.contains { name.contains($0) } })
        let wanted = try matrix.condition.map { condition in
            let binaries =
                recording.cells.map(\.qemu.plan.source.binary.name) + recording.cells.map(\.qemu.plan.leg.destination.binary.name)
            let chosen = try WhereCondition(condition, file, sides: Set(binaries).sorted(), deviationFile).select(
                recording.cells.map(\.qemu))
            return Set(chosen.map(\.name))
        }
        let cells = recording.cells.filter { wanted?.contains($0.qemu.name) ?? true }
        var comparison = EngineComparison(
            found: { cell, seed in try await runner.comparedRun(cell.engine, seed: seed, folder: "") },
            expected: { cell, _ in try ComparedRun(traces.traces(of: cell.qemu.name)) }, list: list)
        comparison.jobs = try jobs.allowed([.engine])
        comparison.seeds = seeds ?? 64
        var report = CompareReport(total: cells.count, list: list, left: ComparedSide.engine.name, verbose: verbose)
        for reason in recording.leftOut { report.leaveOut(reason) }
        for cell in cells {
            let result = try runner.judgeRecorded(cell.qemu, traces.traces(of: cell.name))
            if let finding = result.findings.first { report.add(finding: "\(cell.name): \(finding)") }
        }
        try await run(comparison, cells, report, [], isWhole: false)
    }

    private func differences(_ file: MatrixFile, _ deviations: DeviationFile) throws -> DifferenceList {
        let path = try differenceList ?? Harness.root() + "/harness/matrix/differences.yaml"
        return try DifferenceList(path: path, axes: file.axes).adding(deviations)
    }

    private func run(
        _ comparison: EngineComparison, _ cells: [SharedCell], _ report: CompareReport, _ sides: [ComparedSide], isWhole: Bool
    ) async throws {
        var report = report
        report.nameWidth = min(cells.map(\.name.count).max() ?? 0, 72)
        do {
            try await comparison.run(cells) { report.take($0) }
        } catch {
            report.interrupted()
            throw error
        }
        let findings = report.finish(isWhole: isWhole)
        if findings > 0 {
            throw Finding(description: "\(counted(findings, "finding")) in \(counted(cells.count, "cell")); see: ackmatrix explain CELL")
        }
        guard report.compared > 0 else {
            throw Environment(
                "nothing was compared: none of the \(counted(cells.count, "cell")) is on both sides"
                    + (sides.contains { $0.kind == nil } ? "; a run keeps every cell with --keep-all" : ""))
        }
        for case .recorded(let path) in sides { try requireEnd(ofRunIn: path) }
    }

    /// Throws `Environment` where a run is not complete: the cells that it lacks were not compared.
    private func requireEnd(ofRunIn path: String) throws {
        guard let run = KeptRun(path), run.state != RunRecord.State.complete.rawValue else { return }
        let done = run.record.done.map { " after \($0) of \(counted(run.record.cells, "cell"))" } ?? ""
        throw Environment("\(path): expected a complete run, found one that is \(run.state)\(done); run it again")
    }

    /// The cells that both sides can be asked for, why the engine cannot run others of QEMU's, and what the binaries cannot run.
    private func cells(of file: MatrixFile, _ probed: [ProbedBinary]) throws -> (
        cells: [SharedCell], leftOut: [Unavailable], skipped: SkippedCells
    ) {
        let needsEngine = [left, right].contains(.engine)
        // A cell is asked for by the name of either kind.
        var options = matrix
        options.cell = matrix.cell.map(sharedCellName)
        let qemus = try options.cells(of: file, probed, known: deviations.file(file))
        guard needsEngine else { return (qemus.cells.map(SharedCell.init(both:)), [], qemus.skipped) }
        let tier = matrix.tier ?? (matrix.cell.isEmpty ? .default : .full)
        let engines = try Recipe.cells(of: file, tier: tier, binaries: probed.compactMap(\.counterpart))
        let shared = SharedCell.pairs(qemus.cells, engines.cells)
        guard !shared.isEmpty else {
            throw Environment(
                "no available binary has an engine of its generation, so there is no cell to compare; see: ackmatrix qemu list")
        }
        let reasons = engines.skipped.reasonBySharedName
        return (shared, qemus.cells.compactMap { reasons[$0.sharedName] }, qemus.skipped)
    }

    private func cellRun(_ side: ComparedSide, _ runner: CellRunner, _ folder: RunFolder, _ place: String) throws -> CellRun {
        switch side {
        case .engine: { cell, seed in try await runner.comparedRun(cell.engine, seed: seed, folder: "") }
        case .qemu:
            { cell, _ in
                try await runner.comparedRun(cell.qemu, seed: 1, folder: "\(folder.path)/\(place)-\(abs(cell.name.hashValue))")
            }
        case .recorded(let path):
            try recorded(path)
        }
    }

    private func recorded(_ path: String) throws -> CellRun {
        let endings = Dictionary(try ResultLog.read(path: path + "/results.jsonl").map { ($0.cell, $0.ending) }) { first, _ in first }
        return { cell, _ in
            for candidate in [cell.qemu, cell.engine] {
                if let run = try ComparedRun(candidate, keptIn: path + "/cells", endings: endings) { return run }
            }
            throw UnmetNeed("\(path) has no such cell")
        }
    }
}

/// What a comparison says while it goes and when it ends.
private struct CompareReport {
    private let screen = Screen()
    private let total: Int
    private let left: String
    private let verbose: Bool
    private var summary: ComparisonSummary
    private var running: [String] = []
    private var done = 0
    /// Findings that are no difference between two runs.
    private var further = 0
    private let clock = ContinuousClock()
    private let start: ContinuousClock.Instant
    var nameWidth = 0

    init(total: Int, list: DifferenceList, left: String, verbose: Bool) {
        self.total = total
        self.left = left
        self.verbose = verbose
        summary = ComparisonSummary(list: list)
        start = clock.now
    }

    /// Tells a finding that is no difference between two runs.
    mutating func add(finding: String) {
        further += 1
        screen.say("finding: \(finding)")
    }

    /// A cell is not compared for this reason.
    mutating func leaveOut(_ reason: String) { summary.leaveOut(reason) }

    mutating func take(_ progress: EngineComparison.Progress) {
        switch progress {
        case .began(let cell): running.append(cell.name)
        case .leftOut(let cell, let reason):
            end(cell)
            summary.leaveOut(reason)
            if verbose { screen.say("\(name(cell))  not compared: \(reason)") }
        case .ended(let comparison):
            end(comparison.cell)
            summary.add(comparison)
            if comparison.isFinding || verbose { tell(comparison) }
        }
        let seconds = (clock.now - start) / .seconds(1)
        screen.show { liveLine(done: done, of: total, "\(summary.findings) differ", running: running, seconds: seconds, width: $0) }
    }

    private mutating func end(_ cell: SharedCell) {
        if let index = running.firstIndex(of: cell.name) { running.remove(at: index) }
        done += 1
    }

    private func name(_ cell: SharedCell) -> String {
        cell.name.padding(toLength: max(nameWidth, cell.name.count), withPad: " ", startingAt: 0)
    }

    private func tell(_ comparison: CellComparison) {
        let start = "\(name(comparison.cell))  \(comparison.ending)  "
        switch comparison.outcome {
        case .equal: screen.say(start + "equal" + (comparison.isForced ? " (forced branch)" : ""))
        case .excused(let account, let seed):
            let kind = account.hasExcused(.difference) ? "equal but for listed differences" : "equal but for chance"
            screen.say(start + kind + (seed.map { ", equal with seed \($0)" } ?? "") + ids(account))
            if verbose { list(account) }
        case .reached(let runs, let account):
            screen.say(
                start + "race, reached with seed \(runs)" + (account.isEqual ? ", event by event" : ", in ending and counts") + ids(account)
            )
            if verbose { list(account) }
        case .notComparable: screen.say(start + "race")
        case .notReached(let observed, let ways):
            screen.say(start + "NOT REACHED")
            screen.say("    observed   \(observed)")
            let shown = ways.prefix(verbose ? .max : 8)
            for way in shown { screen.say("    reached    \(way)") }
            if shown.count < ways.count { screen.say("    reached    ... \(ways.count - shown.count) more ways; see --verbose") }
        case .differs(let account):
            screen.say(start + "DIFFERS: \(account.unlisted.count)" + ids(account))
            list(account)
        }
    }

    /// The entries that excuse a difference, for the end of a line.
    private func ids(_ account: DifferenceAccount) -> String {
        let ids = Set(account.excused.map(\.entry.id)).sorted()
        return ids.isEmpty ? "" : "; excused by " + ids.joined(separator: ", ")
    }

    private func list(_ account: DifferenceAccount) {
        let most = verbose ? Int.max : 6
        for located in account.unlisted.prefix(most) { say(located, "") }
        if account.unlisted.count > most { screen.say("    ... \(account.unlisted.count - most) more; see --verbose") }
        guard verbose else { return }
        for excuse in account.excused { say(excuse.located, " (excused by \(excuse.entry.id))") }
    }

    private func say(_ located: LocatedDifference, _ excuse: String) {
        let leg = located.leg.map { "leg \($0), " } ?? ""
        for (index, line) in located.difference.lines(whole: verbose).enumerated() {
            screen.say("    " + (index == 0 ? leg + line + excuse : line))
        }
    }

    func interrupted() {
        screen.clear()
        screen.say("stopped after " + summary.closingLine(found: left))
    }

    /// The number of cells that were compared.
    var compared: Int { summary.compared }

    /// The number of findings.
    func finish(isWhole: Bool) -> Int {
        screen.clear()
        screen.say("")
        if !summary.leftOut.isEmpty {
            screen.say("not compared: \(summary.leftOut.values.reduce(0, +)) cells")
            for (reason, count) in summary.leftOut.sorted(by: { ($1.value, $0.key) < ($0.value, $1.key) }) {
                screen.say("  \(count)  \(reason)")
            }
        }
        var findings = summary.findings + further
        let byEntry = summary.excusedByEntry
        if !byEntry.isEmpty {
            screen.say("excused by the list (entry: differences in cells):")
            for (entry, excuses) in byEntry where excuses.cells > 0 || isWhole {
                screen.say("  \(entry.id): \(excuses.differences) in \(excuses.cells)")
            }
        }
        if isWhole {
            for entry in summary.absent {
                screen.say("finding: the entry '\(entry.id)' excused no difference in any cell that it is about; remove it from the list")
            }
            for entry in summary.idle { screen.say("the entry '\(entry.id)' is about no cell that was compared") }
            findings += summary.absent.count
        }
        if summary.forced > 0 { screen.say("\(summary.forced) of the cells are branches of races, each forced") }
        let seconds = (clock.now - start) / .seconds(1)
        screen.say(summary.closingLine(found: left) + String(format: "; %.1f s", seconds))
        return findings
    }
}
