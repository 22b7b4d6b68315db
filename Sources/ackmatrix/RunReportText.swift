/// The report of a run that has left its results.
import ArgumentParser
import Foundation
import Matrix
import MigrationTrace
import Pictures
import Plan
import Reports
import Running
import Verification

struct RunReportText {
    private let folder: String
    private let lines: [ResultLine]
    private let record: RunRecord?
    private let state: String
    private let format: ReportFormat
    private let deviations: [Deviation]

    /// `path`: a run's folder, or the place of runs. Throws `Environment` where it has no results.
    init(path: String, format: ReportFormat, options: CellOptions) throws {
        guard let found = try results(at: path) else {
            throw Environment("\(path): expected the folder of a run, with results.jsonl in it, found none; see: ackmatrix results")
        }
        guard format != .text else {
            throw ValidationError("\(path): expected --format markdown, html, tap or junit for a run; its summary.txt has the text")
        }
        (folder, lines) = found
        let run = KeptRun(found.folder)
        record = run?.record
        state = run?.state ?? "without run.json"
        self.format = format
        deviations = try options.deviations.file(options.matrixFile()).deviations
    }

    func text() throws -> String {
        switch format {
        case .text: ""
        case .markdown: MarkdownReport(title: title, facts: facts, lines: lines, deviations: deviations).text
        case .html: try RunPage(title: title, facts: facts, lines: lines, deviations: deviations, kept: kept()).html()
        case .tap: try RunTAP(lines, facts: facts).text()
        case .junit: String(decoding: try junit.xml(), as: UTF8.self)
        }
    }

    private var title: String { "ackmatrix run \(URL(fileURLWithPath: folder).lastPathComponent)" }

    private var facts: [String] {
        let sides = Set(lines.flatMap { [$0.source, $0.destination] }.map { "\($0.binary) (\($0.version))" }).sorted()
        var facts = ["sides: \(sides.prefix(40).joined(separator: ", "))" + (sides.count > 40 ? " and \(sides.count - 40) more" : "")]
        guard let record else { return facts }
        facts.append("\(state); began \(record.started)" + (record.ended.map { ", ended \($0)" } ?? ""))
        facts.append("command: \(record.command.joined(separator: " "))")
        return facts
    }

    private var junit: JUnit {
        let began = record.flatMap { try? Date($0.started, strategy: .iso8601) } ?? Date(timeIntervalSince1970: 0)
        let ended = record?.ended.flatMap { try? Date($0, strategy: .iso8601) } ?? began
        return JUnit(lines, deviations: deviations, began: began, seconds: ended.timeIntervalSince(began))
    }

    /// The handshakes of the findings and the known deviations whose folders the run has kept; one trace is held at a time.
    private func kept() throws -> RunPage.Kept {
        var kept = RunPage.Kept()
        var seen: Set<String> = []
        for line in lines where (line.finding || line.isKnownDeviation) && seen.insert(line.cell).inserted {
            let file = "\(folder)/cells/\(line.cell)/\(Cell.traceFile)"
            guard FileManager.default.fileExists(atPath: file) else { continue }
            let trace: Trace
            do { trace = try Trace(path: file) } catch let error as TraceError { throw Environment("\(file): \(error)") }
            let (story, judgement) = (Story(trace), judge(trace))
            kept.add(
                line.cell, meaning: judgement.verdict.rawValue + "\n" + story.meaning,
                explanation: line.finding ? { Explanation(trace: trace, judgement: judgement).text } : nil
            ) {
                var picture = Picture(story, title: line.cell)
                picture.add(judgement)
                return picture
            }
        }
        return kept
    }
}
