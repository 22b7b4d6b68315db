/// What a run says while it goes and when it ends, and what it leaves.
import Foundation
import Glibc
import Matrix
import Plan
import Reports
import Running

/// Takes results as they come: a line for each in a pipe, one redrawn line on a terminal; the rest goes to the result folder.
struct RunReport {
    private let place: ResultFolder
    private let log: ResultLog
    private let corpus: Corpus
    private let options: [String]
    private let verbose: Bool
    private let screen = Screen()
    private let began = Date()
    private let clock = ContinuousClock()
    private let start: ContinuousClock.Instant
    private let nameWidth: Int
    private let cells: [Cell]
    private let deviations: [Deviation]
    /// What the engine was at when there is no QEMU beside it, in a sentence.
    private let alone: String?
    private var progress: RunProgress
    private var repetition = Repetition()
    private var lines: [ResultLine] = []
    /// Cells in which the ACK must hold the decision back, and those of them that passed as predicted.
    private var gates = 0
    private var passedGates: [String] = []
    /// Of the cells of QEMUs, and of those of engines.
    private(set) var summaries: [SideKind: Summary]
    private var engine = EngineAccount()
    /// A line for each cell of the engine tells nobody anything when there are thousands.
    private let namesEngineCells: Bool

    init(
        cells: [Cell], axes: [Axis], deviations: [Deviation], isWhole: Bool, options: [String], verbose: Bool, place: ResultFolder,
        corpus: Corpus, alone: String?
    ) throws {
        self.cells = cells
        self.alone = alone
        namesEngineCells = cells.count { $0.kind == .engine } <= 100
        self.place = place
        self.corpus = corpus
        self.options = options
        self.verbose = verbose
        self.deviations = deviations
        log = try ResultLog(path: place.log)
        progress = RunProgress(total: cells.count)
        let summary = Summary(axes: axes, deviations: deviations, isWhole: isWhole)
        let kinds = Set(cells.map(\.kind))
        summaries = Dictionary(uniqueKeysWithValues: kinds.map { ($0, summary) })
        nameWidth = min(cells.map(\.name.count).max() ?? 0, 72)
        start = clock.now
    }

    private var seconds: Double { (clock.now - start) / .seconds(1) }

    var hasResults: Bool { !lines.isEmpty }

    var findings: Int { summaries.values.reduce(0) { $0 + $1.findings.count + $1.wholeRunFindings.count } }

    mutating func take(_ event: MatrixRun.Progress) throws {
        switch event {
        case .began(let cell):
            progress.begin(cell.name)
        case .ended(let result, let folder):
            let line = ResultLine(result, options: options)
            try take(result, line, json: line.jsonLine(), folder: folder)
            for (name, file) in result.cell.traces {
                guard let golden = try corpus.take(name, isFinding: result.isFinding, trace: folder + "/" + file) else { continue }
                screen.say("recorded \(golden)")
            }
            tell(result, line)
        }
        screen.show(progress)
    }

    mutating func take(_ outcome: EnginePool.Outcome) throws {
        switch outcome {
        case .refused(let cell, let refusal): engine.leaveOut(cell, refusal)
        case .ended(let result, let line, let json, let folder):
            try take(result, line, json: json, folder: folder)
            engine.take(result)
            tell(result, line)
        }
        progress.total = cells.count - engine.leftOut.count
        if progress.done.isMultiple(of: 100) { screen.show(progress) }
    }

    /// A round of all cells of the engine has ended.
    mutating func endEngineRound() { engine.endRound() }

    mutating func beginEngineRound() { engine.beginRound() }

    private mutating func take(_ result: CellResult, _ line: ResultLine, json: Data, folder: String) throws {
        let kind = result.cell.kind
        progress.end(line)
        summaries[kind]?.add(line)
        // Of the engine's rounds one tells the cells, and the others what differs.
        if kind == .qemu || engine.rounds.count == 1 || line.finding { lines.append(line) }
        if result.cell.lastForecast.outcomes.allSatisfy(\.isGating) {
            gates += 1
            if !line.finding { passedGates.append(line.cell) }
        }
        if let difference = repetition.difference(line) { summaries[kind]?.add(wholeRunFinding: difference) }
        try log.append(json)
        try place.keep(result, line, folder: folder)
    }

    private func tell(_ result: CellResult, _ line: ResultLine) {
        let isNamed = !screen.isTerminal && (namesEngineCells || result.cell.kind == .qemu)
        if isNamed || line.finding || verbose { screen.say(line.progressLine(nameWidth: nameWidth)) }
        guard verbose else { return }
        for (number, judgement) in result.judgements.enumerated() {
            let leg = result.cell.plan.legs.count > 1 ? "leg \(number + 1): \(judgement.verdict.rawValue), " : ""
            screen.say("    because    \(leg)\(judgement.reason)")
            for text in handshakeLines(judgement.handshake) + judgement.findings.map(render) { screen.say(text) }
        }
    }

    /// A finding that belongs to no cell, told with those of QEMU where there are any.
    mutating func add(wholeRunFinding sentence: String) {
        summaries[summaries[.qemu] == nil ? .engine : .qemu]?.add(wholeRunFinding: sentence)
    }

    /// What became of the cells that must gate, after their logs were made wrong.
    func tampered(_ how: Tampering) -> String {
        "tampered with (\(how.rawValue)): \(gates - passedGates.count) of the \(gates) cells in which the ACK must hold the decision "
            + "back were found"
            + (passedGates.isEmpty ? "" : "; not found: " + passedGates.joined(separator: ", "))
    }

    /// The run was cut off: what is there is told and kept.
    mutating func interrupted() throws {
        screen.clear()
        for summary in inOrder { screen.say("stopped after " + summary.closingLine(seconds: seconds)) }
        add(wholeRunFinding: "the run was stopped after \(lines.count) of \(cells.count) cells")
        let ran = Set(lines.map(\.cell))
        try writeJUnit(
            leftOut: cells.filter { !ran.contains($0.name) }.map {
                LeftOut(name: $0.name, product: $0.product, reason: "the run was stopped")
            })
    }

    func finish(missing: [String], canary: String?) throws {
        screen.clear()
        try writeJUnit(
            leftOut: missing.map { LeftOut(name: $0, product: "left out", reason: $0) }
                + engine.leftOut.map { LeftOut(name: $0.cell.name, product: $0.cell.product, reason: $0.refusal.description) })
        screen.say("")
        if let canary { screen.say(canary + "\n") }
        if let qemu = summaries[.qemu] { screen.say(qemu.text(seconds: seconds - engine.seconds, lines: 160)) }
        if let own = summaries[.engine] {
            if summaries[.qemu] != nil { screen.say("") }
            for line in engine.lines { screen.say(line) }
            screen.say("engine: " + own.text(seconds: engine.seconds, lines: 160))
        }
        if let alone { screen.say(alone) }
        Harness.note("results: \(place.path)")
    }

    private var inOrder: [Summary] { [SideKind.qemu, .engine].compactMap { summaries[$0] } }

    private func writeJUnit(leftOut: [LeftOut]) throws {
        try JUnit(
            lines, leftOut: leftOut, wholeRun: inOrder.flatMap(\.wholeRunFindings), deviations: deviations, began: began, seconds: seconds
        ).write(path: place.junit)
    }
}

/// Standard output: a terminal has a line at its end that is redrawn.
struct Screen {
    let isTerminal = isatty(STDOUT_FILENO) == 1 && ProcessInfo.processInfo.environment["TERM"] != "dumb"
    private static let clearLine = "\r\u{1B}[K"

    func say(_ text: String) {
        clear()
        ackmatrix.say(text)
    }

    func show(_ progress: RunProgress) { show(progress.line(width:)) }

    /// A line made for the screen's width.
    func show(_ line: (Int) -> String) {
        guard isTerminal else { return }
        print(Self.clearLine + line(width), terminator: "")
        fflush(nil)
    }

    func clear() {
        guard isTerminal else { return }
        print(Self.clearLine, terminator: "")
    }

    private var width: Int {
        var size = winsize()
        return ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 20 ? Int(size.ws_col) - 1 : 79
    }
}

/// Where the results of a run are, one run at a time.
struct ResultFolder {
    let path: String
    private let lock: FolderLock
    private let keepsAll: Bool

    var log: String { path + "/results.jsonl" }
    var junit: String { path + "/junit.xml" }

    /// Makes the folder, and removes what an earlier run left in it: nothing else, since nobody's files go because a folder was named.
    init(_ path: String, keepsAll: Bool) throws {
        self.path = URL(fileURLWithPath: path).path
        self.keepsAll = keepsAll
        let files = FileManager.default
        func unusable(_ error: any Error) -> Environment {
            Environment("\(path): cannot take results: \(error.localizedDescription); name another folder with --results")
        }
        do { try files.createDirectory(atPath: self.path, withIntermediateDirectories: true) } catch { throw unusable(error) }
        guard let lock = FolderLock(self.path) else {
            throw Environment("\(path): another run writes its results there; name another folder with --results")
        }
        self.lock = lock
        do {
            for old in [self.path + "/cells", self.path + "/results.jsonl", self.path + "/junit.xml"] where files.fileExists(atPath: old) {
                try files.removeItem(atPath: old)
            }
            try files.createDirectory(atPath: self.path + "/cells", withIntermediateDirectories: true)
        } catch {
            throw unusable(error)
        }
    }

    /// Keeps the cell's folder, with the command that runs it again.
    func keep(_ result: CellResult, _ line: ResultLine, folder: String) throws {
        guard self.keepsAll || line.finding, FileManager.default.fileExists(atPath: folder) else { return }
        try (line.reproduce + "\n").write(toFile: folder + "/reproduce", atomically: false, encoding: .utf8)
        // A repeated cell keeps each of its runs.
        let kept = path + "/cells/" + result.name
        let place = (1...).lazy.map { $0 == 1 ? kept : "\(kept).\($0)" }.first { !FileManager.default.fileExists(atPath: $0) }!
        try FileManager.default.moveItem(atPath: folder, toPath: place)
    }
}

/// A folder that this process alone writes to, for as long as it lives.
private final class FolderLock: Sendable {
    private let descriptor: Int32

    /// nil when another process holds it.
    init?(_ path: String) {
        descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0, flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            if descriptor >= 0 { close(descriptor) }
            return nil
        }
    }

    deinit { close(descriptor) }
}
