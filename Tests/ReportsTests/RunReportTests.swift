import Foundation
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
        let place = try ResultFolder(folder.path + "/results", keepsAll: false)
        let pipe = Pipe()
        var report = try RunReport(
            RunReport.Setting(
                cells: cells, axes: matrix.axes, deviations: deviations.deviations, isWhole: false, options: [], format: format,
                isVerbose: false, corpus: Corpus(folder: folder.path, mode: .never), skipped: skipped),
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

    @Test func aFolderThatNoRunHasMadeIsNotEmptied() throws {
        let run = try RunFolder()
        defer { withExtendedLifetime(run) {} }
        let folder = try run.folder("f")
        func write(_ text: String, _ name: String) throws { try Data(text.utf8).write(to: URL(fileURLWithPath: folder + "/" + name)) }
        try write("mine", "junit.xml")
        #expect(throws: Environment.self) { try ResultFolder(folder, keepsAll: false) }
        #expect(FileManager.default.contents(atPath: folder + "/junit.xml") == Data("mine".utf8))
        try write("{\"some\":\"log\"}\n", "results.jsonl")
        #expect(throws: Environment.self) { try ResultFolder(folder, keepsAll: false) }
        // The results of a run, with a file of the user's beside them, which stays.
        try write("{\"format\":1,\"cell\":\"c\"}\n", "results.jsonl")
        try write("mine", "notes.txt")
        _ = try ResultFolder(folder, keepsAll: false)
        #expect(!FileManager.default.fileExists(atPath: folder + "/junit.xml"))
        #expect(FileManager.default.fileExists(atPath: folder + "/notes.txt"))
        // From now on the folder is marked.
        try write("", "results.jsonl")
        try write("old", "summary.txt")
        _ = try ResultFolder(folder, keepsAll: false)
        #expect(!FileManager.default.fileExists(atPath: folder + "/summary.txt"))
    }
}
