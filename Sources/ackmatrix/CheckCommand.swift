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
        commandName: "check", abstract: "Judge traces, cell folders, or the one or two trace logs of a migration.",
        discussion: """
            A PATH is a trace (.trace), a folder of traces, a cell folder (with a cell.trace in it), or a QEMU trace log. Two logs are the \
            two sides of one migration, in any order; one log is judged as far as one side goes. Of a libvirt per-domain log \
            (/var/log/libvirt/qemu/NAME.log, where QEMU traces to stderr) the last start with a migration is judged.

            A trace that carries the verdict of its recording must be judged the same way again; a rule that was broken then is no \
            finding. Logs are read as streams, so that memory stays below 50 MB whatever their size; a trace is held folded, and takes \
            memory by its lines.

            Exit status: 0 if no rule is broken (or those of the recording are), 1 for a finding, 2 for a PATH that cannot be judged.
            """)

    @Argument(help: ArgumentHelp("Traces, cell folders, folders of traces, or one or two logs.", valueName: "PATH")) var paths: [String]

    @Flag(help: "Print the account of every handshake, not only of those with a finding.") var verbose = false

    func run() throws {
        var inputs = Inputs()
        for path in paths { try inputs.add(path) }
        guard inputs.logs.count <= 2 else {
            throw ValidationError(
                "expected one log, or the two of one migration, found \(inputs.logs.count): \(inputs.logs.joined(separator: ", "))")
        }
        var found = 0
        for path in inputs.traces { if try !check(trace: path) { found += 1 } }
        if !inputs.logs.isEmpty { if try !check(logs: inputs.logs) { found += 1 } }
        let count = inputs.traces.count + (inputs.logs.isEmpty ? 0 : 1)
        say("\(count) checked, \(found) with findings")
        if found > 0 { throw Finding(description: "\(found) of \(count) migrations broke a rule, or are not judged as recorded") }
    }

    /// Judges one trace; false when there is a finding.
    private func check(trace path: String) throws -> Bool {
        let trace: Trace
        do { trace = try Trace(path: path) } catch let error as TraceError { throw Environment("\(path): \(error)") }
        let judgement = judge(trace)
        guard !trace.header.verdict.isEmpty else {
            report(path, judgement, as: judgement.findings.isEmpty ? "nothing broken" : "FINDING")
            return judgement.findings.isEmpty
        }
        let differences = RecordedJudgement(trace, judgement).differences
        report(path, judgement, as: differences.isEmpty ? "as recorded" : "FINDING")
        for difference in differences { say("    finding    \(difference)") }
        return differences.isEmpty
    }

    private func check(logs: [String]) throws -> Bool {
        let (judgement, parts) = try judgeParts(of: logs.map(LogSource.init(path:)))
        for (log, part) in zip(logs, parts) { if let start = part.start { say(describe(start, of: part, in: log)) } }
        report(logs.joined(separator: " + "), judgement, as: judgement.findings.isEmpty ? "nothing broken" : "FINDING")
        return judgement.findings.isEmpty
    }

    private func report(_ name: String, _ judgement: Judgement, as word: String) {
        let gating = judgement.heldDecisionBack ? "gating" : "not gating"
        say("\(name)  \(judgement.verdict.rawValue)  \(gating)  \(word)")
        if verbose || word == "FINDING" {
            say("    because    \(judgement.reason)")
            for line in handshakeLines(judgement.handshake) { say(line) }
        }
        guard word == "FINDING" || verbose else { return }
        for line in judgement.findings.flatMap(render) { say(line) }
    }
}

/// Which start of QEMU in a libvirt per-domain log is judged, and what libvirt says of it.
private func describe(_ start: DomainStart, of part: LogPart, in log: String) -> String {
    let which =
        part.starts == 1
        ? "the only start" : start.number == part.starts ? "the last of \(part.starts) starts" : "start \(start.number) of \(part.starts)"
    let why = start.number == part.starts ? "" : ", the last one with a migration"
    let known = [start.machine, start.isLegacy.map { $0 ? "legacy mode" : "per-device mode" }, start.end].compactMap { $0 }
    return "\(log)  \(part.side.rawValue)  \(which)\(why), at line \(start.line)" + known.map { ", " + $0 }.joined()
}

/// What the paths of a command line are.
private struct Inputs {
    var traces: [String] = []
    var logs: [String] = []

    mutating func add(_ path: String) throws {
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
            throw Environment("\(path): no such file or folder")
        }
        guard isFolder.boolValue else {
            if try isTrace(path) { traces.append(path) } else { logs.append(path) }
            return
        }
        // What a run leaves has its cells in a folder of their own.
        if FileManager.default.fileExists(atPath: path + "/results.jsonl") { return try add(path + "/cells") }
        let names = try FileManager.default.contentsOfDirectory(atPath: path).sorted()
        let held = names.filter { $0.hasSuffix(".trace") }
        let cells = names.filter { FileManager.default.fileExists(atPath: "\(path)/\($0)/\(Cell.traceFile)") }
        guard !held.isEmpty || !cells.isEmpty else {
            throw Environment(
                "\(path): expected a cell folder or a folder of traces, found no \(Cell.traceFile) and no *.trace in it")
        }
        traces += held.map { "\(path)/\($0)" }
        for cell in cells { try add("\(path)/\(cell)") }
    }

    private func isTrace(_ path: String) throws -> Bool {
        // Opening a pipe waits for its writer.
        guard try isReadTwice(path) else {
            throw Environment("\(path): expected a file, which is read twice, found a pipe or the like; save it to a file first")
        }
        guard let file = FileHandle(forReadingAtPath: path) else { throw Environment("\(path): cannot be read") }
        defer { try? file.close() }
        guard (try? file.seekToEnd()) != nil, (try? file.seek(toOffset: 0)) != nil else {
            throw Environment("\(path): expected a file, which is read twice, found a pipe or the like; save it to a file first")
        }
        return file.readData(ofLength: 16).starts(with: Data("ackmatrix-trace ".utf8))
    }
}
