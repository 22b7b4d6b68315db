/// `ackmatrix check`: the verifier judges recorded migrations: traces, cell folders, plain logs.
import ArgumentParser
import Foundation
import Matrix
import MigrationTrace
import Plan
import Reports
import Running
import Verification

struct CheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Judge traces, cell folders, or the trace logs of migrations.",
        discussion: """
            A PATH is a trace (.trace), a folder of traces, the results of a run, a cell folder (with a cell.trace in it), a QEMU trace \
            log, or a folder of logs; - is standard input. QEMU must be built with the trace backend log. The logs of a source and of a \
            destination may come in any order; one side is judged as far as it goes. Every migration of a log is judged, and those of two \
            logs that belong together are found by what they hold. Of a libvirt per-domain log (/var/log/libvirt/qemu/NAME.log, where \
            QEMU traces to stderr) the last start with a migration is judged. Logs inside of journalctl, syslog, container, CI and other \
            logs, compressed logs and UTF-16 are read as they are, and so is the output of simpletrace.py. Logs of QMP \
            events, also those in libvirtd's debug log, are judged as far as they go. `ackmatrix trace-events` prints what to trace.

            A rule that rests on an event that was not traced, or on lines that are missing, is not judged, and `check` says so.

            A trace that carries the verdict of its recording must be judged the same way again; a rule that was broken then is no \
            finding. Logs are read as streams, so that memory stays below 50 MB whatever their size; a trace is held folded, \
            and takes some 20 times the size of its file.

            With --watch, `check` follows logs of migrations that run, and ends when they have ended, or on SIGINT or SIGTERM with the \
            judgement so far.

            Exit status: 0 if no rule is broken (or those of the recording are), 1 for a finding, 2 for a PATH that cannot be judged, 3 if \
            a migration has not ended yet.
            """)

    @Argument(help: ArgumentHelp("Traces, cell folders, results, logs, or folders of them.", valueName: "PATH")) var paths: [String] = []

    @Option(parsing: .upToNextOption, help: ArgumentHelp("Logs of the source: of several, the lines are put in order.", valueName: "FILE"))
    var source: [String] = []

    @Option(parsing: .upToNextOption, help: ArgumentHelp("Logs of the destination, likewise.", valueName: "FILE"))
    var destination: [String] = []

    @Option(help: ArgumentHelp("Judge only the N-th of the migrations.", valueName: "N")) var migration: Int?

    @Flag(help: "Print the account of every handshake, not only of those with a finding, and leave no list short.") var verbose = false

    @Flag(
        help: ArgumentHelp(
            "Follow one log or two that are still written, until the migrations have ended.",
            discussion: "What breaks is told at once, with its line. Files that do not exist yet are waited for, and rotated ones followed."
        ))
    var watch = false

    @Flag(help: "Print the judgements as JSON, one object a line.") var json = false

    func validate() throws {
        guard !(paths.isEmpty && source.isEmpty && destination.isEmpty) else {
            throw ValidationError("Missing expected argument '<PATH> ...'")
        }
        let logs = paths + source + destination
        if watch, logs.count > 2 || logs.contains("-") || source.count > 1 || destination.count > 1 {
            throw ValidationError("expected one log or two, one of each side, with --watch, found \(logs.joined(separator: " "))")
        }
        if let migration, migration < 1 { throw ValidationError("expected a migration from 1, found --migration \(migration)") }
    }

    func run() throws {
        if watch { return try followLogs() }
        var inputs = Inputs()
        for path in paths { try inputs.add(path) }
        var tally = Tally()
        for path in inputs.traces {
            do { try check(trace: path, &tally) } catch let error as Environment {
                // One file that cannot be judged does not keep the others from being judged.
                guard inputs.traces.count > 1 else { throw error }
                try tally.add(.unjudged, "\(error)")
                say("\(error)")
            }
        }
        var logs = inputs.logs.map { $0 == "-" ? LogSource.standardInput : LogSource(path: $0) }
        if !source.isEmpty { logs.append(LogSource(paths: source, side: .source)) }
        if !destination.isEmpty { logs.append(LogSource(paths: destination, side: .destination)) }
        if !logs.isEmpty { try check(logs: logs, &tally) }
        if !json { say("\(tally.checked) checked, \(tally.findings) with findings") }
        try tally.throwResult()
    }

    // MARK: Traces

    private func check(trace path: String, _ tally: inout Tally) throws {
        let trace: Trace
        do { trace = try Trace(path: path) } catch let error as TraceError { throw Environment("\(path): \(error)") }
        let judgement = judge(trace)
        let hasVerdict = !trace.header.verdict.isEmpty
        let differences = hasVerdict ? RecordedJudgement(trace, judgement).differences : []
        let isFinding = hasVerdict ? !differences.isEmpty : !judgement.findings.isEmpty
        let outcome: Outcome = isFinding ? .finding : hasVerdict ? .asRecorded : .nothingBroken
        try report(path, judgement, outcome, differences: differences)
        try tally.add(outcome, path)
    }

    // MARK: Logs

    private func check(logs: [LogSource], _ tally: inout Tally) throws {
        let (read, judged) = try judgeAll(logs)
        try report(read, judged, of: logs.map(\.name), &tally)
    }

    private func followLogs() throws {
        let sided = source.map { ($0, StreamName.source) } + destination.map { ($0, StreamName.destination) }
        let logs: [(path: String, side: StreamName?)] = paths.map { ($0, nil) } + sided.map { ($0.0, $0.1) }
        var watch = Watch(logs, json: json)
        let (read, judged) = try watch.run()
        guard !judged.isEmpty else {
            throw NotEnded(description: "no migration has begun in \(logs.map(\.path).joined(separator: " and "))")
        }
        try conclude(read, judged, of: logs.map(\.path))
    }

    /// Reports the migrations of some logs that were judged. Throws what decides the exit status.
    func conclude(_ read: [ReadLog], _ judged: [JudgedMigration], of names: [String]) throws {
        var tally = Tally()
        try report(read, judged, of: names, &tally)
        if !json { say("\(tally.checked) checked, \(tally.findings) with findings") }
        try tally.throwResult()
    }

    private func report(_ read: [ReadLog], _ judged: [JudgedMigration], of names: [String], _ tally: inout Tally) throws {
        let chosen: [JudgedMigration]
        if let migration {
            guard judged.indices.contains(migration - 1) else { throw LogRefusal.noSuchMigration(migration, judged.count) }
            chosen = [judged[migration - 1]]
        } else {
            chosen = judged
        }
        let name = names.joined(separator: " + ")
        if !json { for log in read { for line in describe(log, whole: verbose) { say(line) } } }
        for (index, migration) in chosen.enumerated() {
            let number = self.migration ?? index + 1
            let outcome = Outcome(migration)
            let title = judged.count == 1 ? name : "\(name), migration \(number) of \(judged.count)\(lines(migration))"
            try report(title, migration.judgement, outcome, migration: migration, logs: read)
            try tally.add(outcome, title)
        }
    }

    private func lines(_ migration: JudgedMigration) -> String {
        let parts = [("source", migration.source), ("destination", migration.destination)].compactMap { side, part in
            part.map { "\(side) lines \($0.lines.lowerBound) to \($0.lines.upperBound)" }
        }
        return " (" + parts.joined(separator: ", ") + ")"
    }

    // MARK: Words

    private func report(
        _ name: String, _ judgement: Judgement, _ outcome: Outcome, differences: [String] = [], migration: JudgedMigration? = nil,
        logs: [ReadLog] = []
    ) throws {
        if json { return say(try CheckedMigration(name, judgement, outcome, differences, migration, logs).line) }
        let gating = judgement.heldDecisionBack ? "gating" : "not gating"
        say("\(name)  \(judgement.verdict.rawValue)  \(gating)  \(outcome.rawValue)")
        let tells = verbose || outcome != .nothingBroken && outcome != .asRecorded
        if tells { say("    because    \(judgement.reason)") }
        if let cause = migration?.cause { say("    cause      \(cause)") }
        for note in migration?.notes ?? [] { say("    note       \(note)") }
        if verbose || outcome == .finding { for line in handshakeLines(judgement.handshake) { say(line) } }
        for line in unjudgedLines(judgement, migration, whole: verbose) { say(line) }
        if verbose || outcome == .finding {
            for line in judgement.findings.flatMap(render) { say(line) }
            for (rule, count) in judgement.omitted.sorted(by: { $0.key < $1.key }) {
                say("    and \(count) more of \(rule); of each rule, the first 8 of a log are kept and the others counted")
            }
        }
        for difference in differences { say("    finding    \(difference)") }
    }
}

/// What kind of log was read: its wrapper, its start of QEMU, and the lines that could not be read.
private func describe(_ log: ReadLog, whole: Bool) -> [String] {
    var lines: [String] = []
    if let last = log.migrations.last, let start = last.start {
        let which =
            log.starts == 1
            ? "the only start" : start.number == log.starts ? "the last of \(log.starts) starts" : "start \(start.number) of \(log.starts)"
        let why = start.number == log.starts ? "" : ", the last one with a migration"
        let known = [start.machine, start.isLegacy.map { $0 ? "legacy mode" : "per-device mode" }, start.end].compactMap { $0 }
        lines.append(
            "\(log.name)  \(last.side?.rawValue ?? "a side")  \(which)\(why), at line \(start.line)" + known.map { ", " + $0 }.joined())
    }
    if !log.summary.forms.isEmpty { lines.append("\(log.name): read inside of \(log.summary.forms.sorted().joined(separator: ", "))") }
    if log.isWrapped { lines.append("\(log.name): the lines are wrapped; give the log itself, such as the attachment of a mail") }
    for (name, unread) in log.summary.unread.sorted(by: { $0.key < $1.key }).prefix(whole ? .max : 8) {
        lines.append("\(log.name): \(unread.count) of \(name) cannot be read, first at \(unread.first.position): \(unread.first.excerpt)")
    }
    if !whole, log.summary.unread.count > 8 {
        lines.append("\(log.name): and \(log.summary.unread.count - 8) more events that cannot be read; --verbose lists them")
    }
    if let prefixed = log.summary.examples.first(where: { $0.kind == .prefixed }) {
        lines.append("\(log.name): events behind a prefix of an unknown form, first at \(prefixed.position): \(prefixed.excerpt)")
    }
    return lines
}

/// What a folder or a list of files holds that can be judged.
private struct Inputs {
    var traces: [String] = []
    var logs: [String] = []

    mutating func add(_ path: String) throws {
        if path == "-" { return logs.append(path) }
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
            throw Environment("\(path): no such file or folder")
        }
        guard isFolder.boolValue else {
            do { try LogReader.expectLog(path) } catch { throw Environment("\(error)") }
            if try isTrace(path) { traces.append(path) } else { logs.append(path) }
            return
        }
        // What a run leaves has its cells in a folder of their own.
        let run = ResultPlace.run(at: path)
        if FileManager.default.fileExists(atPath: run + "/results.jsonl") {
            guard FileManager.default.fileExists(atPath: run + "/cells") else {
                throw Environment(
                    "\(run): the run kept no traces, since it has no finding, so there is nothing to judge; see its summary.txt")
            }
            return try add(run + "/cells")
        }
        let names = try FileManager.default.contentsOfDirectory(atPath: path).sorted()
        let held = names.filter { $0.hasSuffix(".trace") }
        let cells = names.filter { FileManager.default.fileExists(atPath: "\(path)/\($0)/\(Cell.traceFile)") }
        let logs = held.isEmpty && cells.isEmpty ? names.filter(isLogName) : []
        guard !held.isEmpty || !cells.isEmpty || !logs.isEmpty else {
            throw Environment(
                "\(path): expected a cell folder, a folder of traces or of logs, found no \(Cell.traceFile), no *.trace and no *.log in it")
        }
        traces += held.map { "\(path)/\($0)" }
        self.logs += logs.map { "\(path)/\($0)" }
        for cell in cells { try add("\(path)/\(cell)") }
    }

    /// `NAME.log`, `NAME.log.1`, and the same compressed.
    private func isLogName(_ name: String) -> Bool {
        var parts = name.split(separator: ".")
        if let last = parts.last, ["gz", "xz", "zst", "bz2"].contains(last) { parts.removeLast() }
        if let last = parts.last, Int(last) != nil { parts.removeLast() }
        return parts.count > 1 && parts.last == "log"
    }
}
