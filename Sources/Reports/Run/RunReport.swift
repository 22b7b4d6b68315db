/// The report of a run: what it prints while it goes on and when it ends, and the files that it leaves.
import Foundation
import Matrix
import MigrationTrace
import Plan
import Running

package struct RunReport {
    /// What a report is made of beside the results.
    package struct Setting {
        /// Each cell once; empty where the results come from other runs.
        package var cells: [Cell]
        /// The number of results that there will be.
        package var total: Int
        /// The number of times that each cell runs.
        package var rounds: Int
        package var axes: [Axis]
        package var deviations: [Deviation]
        /// True if all cells of the tier run, so that each axis value must gate somewhere.
        package var isWhole: Bool
        /// Makes the command that runs a cell again.
        package var reproduction: Reproduction
        package var format: RunFormat
        /// True if the account of every cell is printed.
        package var isVerbose: Bool
        package var corpus: Corpus
        /// What the available sides cannot run.
        package var skipped: SkippedCells
        /// When the run began, and how long it took; nil: it begins now, and its time is measured.
        package var began: Date?
        package var durations: [SideKind: Double]?

        package init(
            cells: [Cell], rounds: Int = 1, axes: [Axis], deviations: [Deviation], isWhole: Bool, reproduction: Reproduction,
            format: RunFormat, isVerbose: Bool, corpus: Corpus, skipped: SkippedCells
        ) {
            self.cells = cells
            total = cells.count * rounds
            self.rounds = rounds
            self.axes = axes
            self.deviations = deviations
            self.isWhole = isWhole
            self.reproduction = reproduction
            self.format = format
            self.isVerbose = isVerbose
            self.corpus = corpus
            self.skipped = skipped
        }
    }

    private let setting: Setting
    private var place: ResultFolder
    private let output: any ReportOutput
    private let log: ResultLog
    private let began: Date
    private let clock = ContinuousClock()
    private let start: ContinuousClock.Instant
    private let nameWidth: Int
    private var progress: RunProgress
    private var counter: Counter
    private var repetition = Repetition()
    /// What the JUnit report tells: each cell's first result, and of later ones those with a finding, up to a number.
    private var lines: [ResultLine] = []
    private var namesOfLines: Set<String> = []
    private var furtherFindings = 0
    /// Everything that was told, for summary.txt.
    private var transcript = Transcript()
    /// The number of unexpected cells that were printed.
    private var printed = 0
    /// The number of results in which the ACK must hold the decision back, the number of those that passed as predicted, and their cells.
    private var gates = 0
    private var passes = 0
    private var passedGates: [String] = []
    private var namesOfPassedGates: Set<String> = []
    private var bisection = Bisection()
    private var summaries: [SideKind: Summary]
    private let emptySummary: Summary
    /// The cells whose ACK must hold the decision back.
    private let gateNames: Set<String>
    private var engine = EngineAccount()
    /// False where the engine has so many cells that a line for each would hide what matters.
    private let namesEngineCells: Bool

    /// The most cells whose lines the format `brief` prints.
    private static let mostPrinted = 10

    package init(_ setting: Setting, place: ResultFolder, output: any ReportOutput) throws {
        self.setting = setting
        self.place = place
        self.output = output
        began = setting.began ?? Date()
        let cells = setting.cells
        log = try ResultLog(path: place.log)
        namesEngineCells = cells.count { $0.kind == .engine } * setting.rounds <= 100 && (!cells.isEmpty || setting.total <= 100)
        nameWidth = min(cells.map(\.name.count).max() ?? 0, 72)
        progress = RunProgress(total: setting.total)
        emptySummary = Summary(axes: setting.axes, deviations: setting.deviations, isWhole: setting.isWhole)
        gateNames = Set(cells.lazy.filter(Canary.fits).map(\.name))
        let summary = emptySummary
        summaries = Dictionary(uniqueKeysWithValues: Set(cells.map(\.kind)).map { ($0, summary) })
        start = clock.now
        counter = Counter(at: start)
        for line in setting.skipped.lines { transcript.append(line) }
    }

    private var seconds: Double { setting.durations?.values.reduce(0, +) ?? (clock.now - start) / .seconds(1) }

    /// The folder of the results.
    package var folder: String { place.path }

    package var hasResults: Bool { progress.done > 0 }

    /// The number of findings so far.
    package var findings: Int { summaries.values.reduce(0) { $0 + $1.allFindings } }

    /// What the results tell of a build that is bisected.
    package var verdictForBisect: Bisection.Verdict { bisection.verdict(wholeRunFindings: findings - progress.findings) }

    /// Prints a line, and keeps it for summary.txt.
    package mutating func say(_ text: String) {
        transcript.append(text)
        output.say(text)
    }

    package mutating func receive(_ event: WholeRun.Event) throws {
        switch event {
        case .qemu(.began(let cell)): progress.begin(cell.name)
        case .qemu(.ended(let result, let folder)): try end(result, folder: folder)
        case .engineRoundBegan: engine.beginRound()
        case .engineRoundEnded: engine.endRound()
        case .engine(let outcome):
            try append(outcome.line, json: outcome.json, folder: outcome.folder)
            engine.append(outcome.result)
            tell(outcome.line)
            tellLegs(outcome.result)
            // Drawing a line takes longer than a cell of the engine.
            guard progress.done.isMultiple(of: 100) else { return }
        }
        let (progress, seconds) = (progress, seconds)
        output.show { progress.line(width: $0, seconds: seconds) }
        if !output.isTerminal, counter.isDue(at: clock.now) { output.say(progress.counterLine) }
    }

    private mutating func end(_ result: CellResult, folder: String) throws {
        let line = ResultLine(result, reproduction: setting.reproduction)
        try append(line, json: line.jsonLine(), folder: folder)
        for (name, file) in result.cell.traces {
            guard let golden = try setting.corpus.take(name, isFinding: result.isFinding, trace: folder + "/" + file) else { continue }
            say("recorded \(golden)")
        }
        tell(line)
        tellLegs(result)
    }

    /// Takes a result that an earlier attempt of this run has left; it is told in summary.txt alone.
    package mutating func receive(earlier line: ResultLine) {
        account(line)
        if namesEngineCells || line.kind == .qemu || line.finding { transcript.append(line.progressLine(nameWidth: nameWidth)) }
    }

    /// Takes a result of another run that is merged into this one.
    package mutating func receive(merged result: ResultReader.Result) throws {
        try append(result.line, json: result.json, folder: nil)
        tell(result.line)
    }

    /// The folder is kept before the line is written, so that no line that a killed run leaves lacks its folder.
    private mutating func append(_ line: ResultLine, json: Data, folder: String?) throws {
        account(line)
        if let folder { try place.keep(line, folder: folder) }
        try log.append(json)
    }

    private mutating func account(_ line: ResultLine) {
        progress.end(line)
        let empty = emptySummary
        summaries[line.kind, default: empty].add(line)
        bisection.add(line)
        if namesOfLines.insert(line.cell).inserted {
            lines.append(line)
        } else if line.finding, furtherFindings < Summary.mostFindings {
            furtherFindings += 1
            lines.append(line)
        }
        if gateNames.contains(line.cell) {
            gates += 1
            if !line.finding {
                passes += 1
                if namesOfPassedGates.insert(line.cell).inserted { passedGates.append(line.cell) }
            }
        }
        if let difference = repetition.add(line) { summaries[line.kind]?.add(wholeRunFinding: difference) }
    }

    private mutating func tell(_ line: ResultLine) {
        let isNamed = namesEngineCells || line.kind == .qemu
        guard isNamed || line.finding || setting.isVerbose else { return }
        let text = line.progressLine(nameWidth: nameWidth)
        transcript.append(text)
        if line.finding { printed += 1 }
        let isPrinted = setting.isVerbose || setting.format != .brief || line.finding && printed <= Self.mostPrinted
        if isPrinted { output.say(text) }
        if line.finding, printed == Self.mostPrinted, setting.format == .brief, !setting.isVerbose {
            output.say("from here on, cells that are not as predicted are counted; summary.txt names them")
        }
    }

    /// The account of each leg, where it is asked for.
    private mutating func tellLegs(_ result: CellResult) {
        guard setting.isVerbose else { return }
        for leg in result.legs {
            guard let judgement = leg.judgement else { continue }
            let number = result.cell.plan.legs.count > 1 ? "leg \(leg.number + 1): \(judgement.verdict.rawValue), " : ""
            for text in ["    because    \(number)\(judgement.reason)"] + handshakeLines(judgement.handshake)
                + judgement.findings.flatMap(render)
            {
                say(text)
            }
        }
    }

    /// Adds a finding that belongs to no cell; it is told with those of QEMU's cells where there are any.
    package mutating func add(wholeRunFinding sentence: String) {
        let (kind, empty) = (summaries[.qemu] == nil ? SideKind.engine : .qemu, emptySummary)
        summaries[kind, default: empty].add(wholeRunFinding: sentence)
    }

    /// How many of the cells that must gate were findings after their logs were tampered with.
    package func tampered(_ how: Tampering) -> String {
        "tampered (\(how.rawValue)): \(gates - passes) of the \(counted(gates, "cell")) whose ACK must hold the decision back "
            + "were rejected" + (passedGates.isEmpty ? "" : "; accepted: " + passedGates.joined(separator: ", "))
    }
}

// MARK: The end of a run

extension RunReport {
    /// The run was interrupted: tells and keeps what there is.
    package mutating func interrupted() throws {
        output.clear()
        for line in [""] + tables { transcript.append(line) }
        for part in parts { say("stopped after " + part.summary.closingLine(seconds: seconds)) }
        add(wholeRunFinding: "the run was stopped after \(progress.done) of \(counted(progress.total, "cell"))")
        let ran = namesOfLines
        let stopped = setting.cells.lazy.filter { !ran.contains($0.name) }
        try writeFiles(
            leftOut: stopped.prefix(Self.mostLeftOut).map {
                LeftOut(name: $0.name, product: $0.product, reason: "the run was stopped")
            })
        try place.end(.interrupted, done: progress.done, findings: findings, seconds: durations)
    }

    /// The most cells that the JUnit report of an interrupted run lists as skipped: a report of 20,000 takes seconds to write.
    private static let mostLeftOut = 200

    /// Prints the closing block and writes summary.txt and junit.xml. `notes` are sentences of the run, such as that of the canary.
    package mutating func finish(notes: [String], canary: RunRecord.Canary? = nil) throws {
        output.clear()
        var block = ClosingBlock(parts: parts, results: place.finalPath)
        block.notes = repetitionNotes + notes
        block.skipped = setting.skipped
        let tables = self.tables
        for line in [""] + tables { transcript.append(line) }
        if setting.format == .full { for line in [""] + tables { output.say(line) } }
        output.say("")
        transcript.append("")
        for line in block.lines { say(line) }
        try writeFiles(leftOut: [])
        place.canary = canary
        try place.end(.complete, done: progress.done, findings: findings, seconds: durations)
    }

    /// Wall time in seconds.
    private var durations: [SideKind: Double] {
        setting.durations ?? [.qemu: seconds - engine.seconds, .engine: engine.seconds].filter { summaries[$0.key] != nil }
    }

    private var parts: [ClosingBlock.Part] {
        let durations = durations
        return [SideKind.qemu, .engine].compactMap { kind in
            summaries[kind].map { ClosingBlock.Part(kind: kind, summary: $0, seconds: durations[kind] ?? 0) }
        }
    }

    /// Which cells with findings fail each time, and which are flaky; nothing where each cell runs once.
    private var repetitionNotes: [String] {
        guard setting.rounds > 1 else { return [] }
        let (flaky, failing) = (repetition.flaky, repetition.failing)
        guard !flaky.isEmpty || !failing.isEmpty else { return [] }
        let shown = flaky.prefix(3).map(\.text).joined(separator: "; ")
        let more = flaky.count > 3 ? "; and \(flaky.count - 3) more in summary.txt" : ""
        return [
            "repeated: \(counted(failing.count, "cell")) failed in each run, \(counted(flaky.count, "cell")) flaky"
                + (flaky.isEmpty ? "" : ": " + shown + more)
        ]
    }

    /// The cells of several rounds that had findings, in lines.
    private var repetitionTable: [String] {
        guard setting.rounds > 1 else { return [] }
        func list(_ title: String, _ tallies: [Repetition.Tally]) -> [String] {
            guard !tallies.isEmpty else { return [] }
            let rest = tallies.count - Summary.mostFindings
            return [title] + tallies.prefix(Summary.mostFindings).map { "  " + $0.text }
                + (rest > 0 ? ["  and \(counted(rest, "further cell"))"] : []) + [""]
        }
        return list("failed in each run", repetition.failing) + list("flaky", repetition.flaky)
    }

    /// The whole summary of each kind of side, in lines.
    private var tables: [String] {
        var lines: [String] = []
        for part in parts {
            switch part.kind {
            case .qemu: lines.append("QEMU binaries")
            case .engine: lines += ["engine"] + engine.lines
            }
            let text = part.summary.text(seconds: part.seconds, lines: Int.max / 2)
            lines.append("")
            lines += text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
            lines.append("")
        }
        return lines + repetitionTable
    }

    private func writeFiles(leftOut: [LeftOut]) throws {
        try place.write(summary: transcript.lines.map(escaped))
        try JUnit(
            lines, leftOut: leftOut, wholeRun: parts.flatMap(\.summary.wholeRunFindings), deviations: setting.deviations, began: began,
            seconds: seconds, flaky: Set(repetition.flaky.map(\.cell))
        ).write(path: place.junit)
    }
}

/// What a run told, for summary.txt: a bounded number of lines, since a cell may run a million times.
private struct Transcript {
    private static let mostLines = 50_000
    private var kept: [String] = []
    private var others = 0

    mutating func append(_ line: String) {
        if kept.count < Self.mostLines { kept.append(line) } else { others += 1 }
    }

    var lines: [String] { others == 0 ? kept : kept + ["\(others) further lines are left out; results.jsonl has every result"] }
}

/// When a counter line is due: every 10 s, and after ten of them every minute.
private struct Counter {
    private var last: ContinuousClock.Instant
    private var count = 0

    init(at start: ContinuousClock.Instant) { last = start }

    mutating func isDue(at now: ContinuousClock.Instant) -> Bool {
        guard now - last >= .seconds(count < 10 ? 10 : 60) else { return false }
        last = now
        count += 1
        return true
    }
}
