import Foundation
import Glibc
import Plan
import Prediction
import QEMUPeer
import TestSupport
import Testing

@testable import Matrix
@testable import Reports
@testable import Running

/// The output of `ackmatrix run`: what it prints, what summary.txt and JUnit have, and which folders it may empty.
@Suite struct RunReportTests {
    /// A pipe that keeps what was printed.
    private final class Pipe: ReportOutput {
        let isTerminal = false
        private(set) var lines: [String] = []

        func say(_ text: String) { lines += text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init) }
        func show(_ line: (_ width: Int) -> String) {}
        func clear() {}
    }

    /// Thirty cells of the engine, each with a result: a line for a cell is one of summary.txt, and none of the pipe in the format `brief`.
    @Test(arguments: RunFormat.allCases) func aRunPrintsWhatIsNotAsPredicted(format: RunFormat) throws {
        let matrix = try MatrixFile(path: repositoryFile("harness/matrix/default.yaml"))
        let deviations = try DeviationFile(path: repositoryFile("harness/matrix/deviations.yaml"), axes: matrix.axes)
        let runner = CellRunner(binaries: ProbedBinary.engines, shim: "", deviations: deviations)
        let cells = Array(try Recipe.cells(of: matrix, tier: .quick, binaries: ProbedBinary.engines).cells.prefix(30))
        let skipped = try skippedSelection()
        let results = cells.compactMap { try? runner.runInEngine($0) }
        try #require(results.count >= 20)
        let folder = try RunFolder()
        let place = try ResultPlace(folder.path + "/results").begin(RunRecord(command: ["ackmatrix"], cells: cells.count), keepsAll: false)
        let pipe = Pipe()
        var report = try RunReport(
            RunReport.Setting(
                cells: cells, axes: matrix.axes, deviations: deviations.deviations, isWhole: false, reproduction: .inRepository,
                format: format, isVerbose: false, corpus: Corpus(folder: folder.path, mode: .never), skipped: skipped),
            place: place, output: pipe)
        try report.receive(.engineRoundBegan)
        for (number, result) in results.enumerated() {
            var line = ResultLine(result)
            // One cell is a finding.
            if number == 3 { (line.finding, line.findings) = (true, ["ACKs counted: expected 2, found 1"]) }
            try report.receive(
                .engine(EnginePool.Outcome(result: result, line: line, json: line.jsonLine(), folder: folder.path + "/none")))
        }
        try report.receive(.engineRoundEnded)
        try report.finish(notes: ["canary ok"])
        let named = pipe.lines.filter { text in results.contains { text.hasPrefix($0.name + "  ") } }
        #expect(named.count == (format == .brief ? 1 : results.count))
        #expect(pipe.lines.contains { $0.contains("endings ") } == (format == .full))
        #expect(pipe.lines.contains("canary ok"))
        if format == .brief { #expect(pipe.lines.count <= ClosingBlock.mostLines + 2, "\(pipe.lines)") }
        let summary = try String(contentsOfFile: place.summary, encoding: .utf8)
        for result in results { #expect(summary.contains("\n\(result.name)  "), "\(result.name)") }
        #expect(summary.hasPrefix("skipped: `source: without`; every engine generation has switchover-ack\n"))
        #expect(summary.contains("endings ") && summary.contains("canary ok"))
        // What no side can run is no test case.
        #expect(try !String(contentsOfFile: place.junit, encoding: .utf8).contains("<skipped"))
        #expect(try ResultLog.read(path: place.log).count == results.count)
    }

    /// A selection that no engine can run.
    private func skippedSelection() throws -> SkippedCells {
        let axes = try MatrixFile(path: repositoryFile("harness/matrix/default.yaml")).axes
        let selection = try #require(Selection(axes, ["source": "without"]))
        let made = try Recipe.cells(of: selection, product: "test", binaries: ProbedBinary.engines)
        #expect(made.cells.isEmpty && made.skipped.count == 1)
        return made.skipped
    }

    /// However many findings there are, the block has at most 15 lines with the command's own, and says where the rest is.
    @Test(arguments: [0, 1, 2, 3, 50]) func theClosingBlockIsShort(findings: Int) throws {
        var summary = Summary(axes: [], deviations: [], isWhole: false)
        for number in 0..<findings { summary.add(finding("cell-\(number)", ["ends: expected completed"])) }
        for number in 0..<findings { summary.add(wholeRunFinding: "whole \(number)") }
        var block = ClosingBlock(
            parts: [.init(kind: .qemu, summary: summary, seconds: 1), .init(kind: .engine, summary: summary, seconds: 1)], results: "/r")
        block.notes = ["the engine runs alone", "canary ok"]
        block.skipped = try skippedSelection()
        let lines = block.lines
        #expect(lines.count < ClosingBlock.mostLines, "\(lines)")
        #expect(lines.contains("deviations: 0 new on these versions, 0 absent, 0 fixed since"))
        #expect(lines.last?.hasPrefix("results: /r ") == true)
        let shown = lines.count { $0.hasPrefix("finding: ") }
        let rest = findings * 4 - shown
        #expect(lines.contains { $0.hasSuffix("in summary.txt") && $0.hasPrefix("\(rest) more finding") } == (rest > 0), "\(lines)")
    }

    /// Nothing that no run has written is removed, and where it has the name of results, no run begins.
    @Test func aFolderThatNoRunHasMadeIsLeftAlone() throws {
        let run = try RunFolder()
        defer { withExtendedLifetime(run) {} }
        let folder = try run.folder("f")
        func write(_ text: String, _ name: String) throws { try Data(text.utf8).write(to: URL(fileURLWithPath: folder + "/" + name)) }
        func begin() throws -> ResultFolder { try ResultPlace(folder).begin(RunRecord(command: [], cells: 1), keepsAll: false) }
        try write("mine", "junit.xml")
        #expect(throws: Environment.self) { try begin() }
        try write("{\"some\":\"log\"}\n", "results.jsonl")
        #expect(throws: Environment.self) { try begin() }
        // The results of an earlier version stay, with a file of the user's beside them.
        try write("{\"format\":1,\"cell\":\"c\"}\n", "results.jsonl")
        try write("mine", "notes.txt")
        try write("mine", "latest")
        let made = try begin()
        #expect(FileManager.default.contents(atPath: folder + "/junit.xml") == Data("mine".utf8))
        for name in ["notes.txt", "results.jsonl", "latest"] { #expect(FileManager.default.fileExists(atPath: folder + "/" + name)) }
        #expect(ResultPlace.run(at: folder) == made.path && ResultPlace.run(at: made.path) == made.path)
    }

    /// The newest runs are kept, and of older ones those that go on, or that something was added to.
    @Test func oldRunsAreRemovedByCount() throws {
        let run = try RunFolder()
        defer { withExtendedLifetime(run) {} }
        let place = try ResultPlace(run.path + "/place")
        func begin() throws -> ResultFolder {
            let folder = try place.begin(RunRecord(command: ["ackmatrix", "run"], cells: 1), keepsAll: true)
            // Names have milliseconds.
            usleep(2_000)
            return folder
        }
        var ended: [String] = []
        for _ in 0..<3 {
            let folder = try begin()
            try Data("{}\n".utf8).write(to: URL(fileURLWithPath: folder.log))
            try folder.end(.complete, done: 1, findings: 0)
            ended.append(folder.path)
        }
        usleep(20_000)
        try Data("mine".utf8).write(to: URL(fileURLWithPath: ended[0] + "/notes.txt"))
        try Data("mine".utf8).write(to: URL(fileURLWithPath: ended[1] + "/cells/notes.txt"))
        try FileManager.default.createDirectory(atPath: place.path + "/20200101T000000.000Z-abcdef", withIntermediateDirectories: false)
        let alive = try begin()
        let newer = try (0..<ResultPlace.mostRuns).map { _ in try begin() }
        #expect(FileManager.default.fileExists(atPath: ended[0] + "/notes.txt"))
        #expect(FileManager.default.fileExists(atPath: ended[1] + "/cells/notes.txt"))
        #expect(!FileManager.default.fileExists(atPath: ended[2]))
        #expect(FileManager.default.fileExists(atPath: place.path + "/20200101T000000.000Z-abcdef"))
        let runs = ResultPlace.runs(in: place.path)
        #expect(runs.map(\.path) == (newer.reversed().map(\.path) + [alive.path, ended[1], ended[0]]))
        #expect(runs.first?.state == "running" && runs.last?.state == "complete")
        #expect(ResultPlace.run(at: place.path) == newer.last?.path)
        #expect(
            try FileManager.default.destinationOfSymbolicLink(atPath: place.path + "/latest")
                == URL(fileURLWithPath: newer.last?.path ?? "").lastPathComponent)
    }

    /// However often a cell runs, the report holds each cell once and a bounded number of findings, and counts all.
    @Test func repetitionsAreCountedAndNotKept() throws {
        let run = try RunFolder()
        defer { withExtendedLifetime(run) {} }
        let matrix = try MatrixFile(path: repositoryFile("harness/matrix/default.yaml"))
        let known = try DeviationFile(path: repositoryFile("harness/matrix/deviations.yaml"), axes: matrix.axes)
        let cell = try #require(try Recipe.cells(of: matrix, tier: .quick, binaries: ProbedBinary.engines).cells.first)
        let result = try CellRunner(binaries: ProbedBinary.engines, shim: "", deviations: known).runInEngine(cell)
        let rounds = Summary.mostFindings + 500
        let place = try ResultPlace(run.path + "/r").begin(RunRecord(command: [], cells: rounds), keepsAll: false)
        var report = try RunReport(
            RunReport.Setting(
                cells: [cell], rounds: rounds, axes: matrix.axes, deviations: known.deviations, isWhole: false,
                reproduction: .inRepository, format: .brief, isVerbose: false, corpus: Corpus(folder: run.path, mode: .never),
                skipped: SkippedCells()),
            place: place, output: Pipe())
        var line = ResultLine(result)
        (line.finding, line.findings) = (true, ["ACKs counted: expected 2, found 1"])
        for _ in 0..<rounds {
            try report.receive(.engineRoundBegan)
            try report.receive(.engine(.init(result: result, line: line, json: line.jsonLine(), folder: run.path + "/none")))
            try report.receive(.engineRoundEnded)
        }
        #expect(report.findings == rounds)
        try report.finish(notes: [])
        let summary = try String(contentsOfFile: place.summary, encoding: .utf8)
        #expect(summary.contains("500 further findings in results.jsonl"))
        #expect(try ResultLog.read(path: place.log).count == rounds)
        let junit = try String(contentsOfFile: place.junit, encoding: .utf8)
        #expect(junit.components(separatedBy: "<testcase").count - 1 == 1 + Summary.mostFindings + 1)
    }

    /// A cell that is a finding in one of three runs is flaky, in the block, in the tables and in JUnit; one that always is fails.
    @Test(arguments: [1, 3]) func aFlakyCellIsToldFromAFailingOne(findings: Int) throws {
        let run = try RunFolder()
        defer { withExtendedLifetime(run) {} }
        let matrix = try MatrixFile(path: repositoryFile("harness/matrix/default.yaml"))
        let known = try DeviationFile(path: repositoryFile("harness/matrix/deviations.yaml"), axes: matrix.axes)
        let cell = try #require(try Recipe.cells(of: matrix, tier: .quick, binaries: ProbedBinary.engines).cells.first)
        let result = try CellRunner(binaries: ProbedBinary.engines, shim: "", deviations: known).runInEngine(cell)
        let place = try ResultPlace(run.path + "/r").begin(RunRecord(command: [], cells: 3), keepsAll: false)
        let pipe = Pipe()
        var report = try RunReport(
            RunReport.Setting(
                cells: [cell], rounds: 3, axes: matrix.axes, deviations: known.deviations, isWhole: false, reproduction: .inRepository,
                format: .brief, isVerbose: false, corpus: Corpus(folder: run.path, mode: .never), skipped: SkippedCells()),
            place: place, output: pipe)
        for round in 0..<3 {
            var line = ResultLine(result)
            if round < findings { (line.finding, line.findings) = (true, ["ACKs counted: expected 2, found 1"]) }
            // The first result was left by an earlier attempt.
            if round == 0 {
                report.receive(earlier: line)
            } else {
                try report.receive(.engine(.init(result: result, line: line, json: line.jsonLine(), folder: run.path + "/none")))
            }
        }
        try report.finish(notes: [])
        #expect(report.findings == findings)
        let isFlaky = findings == 1
        let told =
            isFlaky
            ? "repeated: 0 cells failed in each run, 1 cell flaky: \(cell.name), a finding in 1 of 3 runs"
            : "repeated: 1 cell failed in each run, 0 cells flaky"
        #expect(pipe.lines.contains(told), "\(pipe.lines)")
        let summary = try String(contentsOfFile: place.summary, encoding: .utf8)
        #expect(summary.contains("\(isFlaky ? "flaky" : "failed in each run")\n  \(cell.name), a finding in \(findings) of 3 runs\n"))
        let junit = try String(contentsOfFile: place.junit, encoding: .utf8)
        #expect(junit.contains("type=\"flaky\"") == isFlaky && junit.contains("type=\"finding\"") == !isFlaky)
        // The first result is in no log here: only what this attempt ran was appended.
        #expect(try ResultLog.read(path: place.log).count == 2)
    }
}
