/// `ackmatrix explain`: one cell in a page that can go into a mail.
import ArgumentParser
import Foundation
import Matrix
import MigrationTrace
import Plan
import QEMUPeer
import Reports
import Running
import Verification

struct ExplainCommand: EndsInOrder {
    static let configuration = CommandConfiguration(
        commandName: "explain", abstract: "Explain in at most 60 lines how a cell ends, which rule breaks, and why.",
        discussion: """
            CELL is the name of a cell, which then runs, or the folder of a cell that a run has kept. The text has both command lines, the \
            QMP commands, the device scripts, the first broken rule and ten lines of each side's log. Lines are wrapped; what does not fit \
            into 60 lines is counted, and --whole prints it. Memory grows with the trace: it takes some 20 times the size of its file.
            """)

    @OptionGroup var options: CellOptions

    @Flag(help: "Leave nothing out, however many lines that takes.") var whole = false

    @Argument(help: ArgumentHelp("A cell's name, or a kept cell's folder.", valueName: "CELL")) var cell: String

    func run() async throws {
        if FileManager.default.fileExists(atPath: cell) {
            sayLines(try kept(cell))
            return
        }
        let driven = try await options.drive(cell)
        let (result, place) = (driven.result, driven.place)
        let traces = try driven.traces()
        let leg = result.telling.number
        let trace = leg < traces.count ? traces[leg] : nil
        let plan = result.cell.plan
        // A side that receives no commands, as an engine, starts with the settings that they would make.
        var explanation = Explanation(
            result, trace: trace,
            sourceCommands: try commands(place + "/source") ?? settings(plan.source(ofLeg: leg)),
            destinationCommands: try commands(place + "/" + MigrationPlan.destinationFolder(ofLeg: leg))
                ?? settings(plan.legs[leg].destination), reproduction: try options.reproduction())
        explanation.isWhole = whole
        sayLines(explanation.text)
        if result.isFinding { throw Finding(description: result.findings[0]) }
    }

    /// Of a folder that a run has kept: what its trace says, without a prediction.
    private func kept(_ folder: String) throws -> String {
        let path = folder + "/" + Cell.traceFile
        guard FileManager.default.fileExists(atPath: path) else {
            let cells = ResultPlace.run(at: folder) + "/cells"
            let kept = (try? FileManager.default.contentsOfDirectory(atPath: cells))?.sorted() ?? []
            let more = kept.count > 3 ? " and \(kept.count - 3) more" : ""
            let instead = kept.isEmpty ? "" : "; the run kept \(kept.prefix(3).map { "\(cells)/\($0)" }.joined(separator: ", "))\(more)"
            throw Environment("\(folder): expected a cell's folder, found no \(Cell.traceFile) in it\(instead)")
        }
        let trace: Trace
        do { trace = try Trace(path: path) } catch let error as TraceError { throw Environment("\(path): \(error)") }
        var explanation = Explanation(
            trace: trace, judgement: judge(trace), sourceCommands: commands(folder + "/source") ?? [],
            destinationCommands: commands(folder + "/destination") ?? [])
        explanation.isWhole = whole
        return explanation.text
    }

    private func settings(_ side: SideConfiguration) throws -> [String] {
        try side.settingCommands.map { try qmpLine($0.command, $0.arguments) }
    }

    /// The commands in a side's folder, as the side received them; nil where none were kept.
    private func commands(_ side: String) -> [String]? {
        // A query changes nothing, so it is left out.
        (try? String(contentsOfFile: side + "/commands", encoding: .utf8))?.split(separator: "\n").map(String.init)
            .filter { !$0.contains("\"execute\":\"query-") }
    }
}
