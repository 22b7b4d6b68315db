/// `ackmatrix show` and `ackmatrix diff`: handshakes as pictures.
import ArgumentParser
import Foundation
import MigrationTrace
import Pictures
import Plan
import Verification

enum PictureFormat: String, CaseIterable, ExpressibleByArgument {
    case text
    case svg
    case html
    case perfetto

    var about: String {
        switch self {
        case .text: "100 columns for a terminal or a mail"
        case .svg: "a drawing that stands alone, with arrows for markers and ACKs, in light and dark"
        case .html: "the same in a page, which is a list of the rows on a narrow screen"
        case .perfetto: "JSON for Perfetto (ui.perfetto.dev) or chrome://tracing, with the times of the logs"
        }
    }
}

struct ShowCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Draw the handshake of a trace, or of the logs of the two sides.",
        discussion: """
            Time runs downwards. The source, its devices, the devices of the destination and the destination each have a lane. A row is \
            one step: a request of an ACK (REQ), a REINIT, a marker, what the destination makes of the marker (approval and ACK), an ACK \
            that the source counts, the decision, a status. A thick lane has initial bytes left, or waits for an ACK. Queries that tell \
            nothing new are counted in one row (…); HELD says that the pending bytes are within the threshold and only an ACK is missing. \
            A row in which a rule breaks has a ! and the rule.

            Each row names its first line, src:89 for line 89 of the source's log (or entry 89 of the trace's stream). Rows of one side \
            are in the order of its log. Between the sides only contents have an order: a marker and its load, an ACK and its count, \
            SWITCHOVER_START and SHUT. Where nothing orders two rows, the clocks do, if no content contradicts them.

            PATH is a trace, the folder of a cell, one log or the two logs of a migration, in any order. Logs are read as \
            `ackmatrix check` reads them; of several migrations the last one is shown.

            The formats (--format) are
            \(PictureFormat.allCases.map { "  \($0.rawValue): \($0.about)" }.joined(separator: "\n"))

            Examples:
              ackmatrix show source.log destination.log
              ackmatrix show --format html --output handshake.html Traces/11.1-11.1+q35-11.1+4-devices+reinits-3.trace

            Logs are read as streams; a picture has at most \(Picture.mostRows) rows, with those in the middle left out. A trace is held \
            folded, and takes some 20 times the size of its file.

            Exit status: 0 however the migration ended, 2 for a PATH that cannot be shown.
            """)

    @Argument(help: ArgumentHelp("A trace, a cell's folder, or one log or two.", valueName: "PATH")) var paths: [String]

    @Option(help: "How to draw: text, svg, html or perfetto.") var format = PictureFormat.text

    @Flag(help: "Draw with ASCII characters alone.") var ascii = false

    @Option(help: ArgumentHelp("Show the N-th of the migrations of the logs. (default: the last)", valueName: "N")) var migration: Int?

    @Option(help: ArgumentHelp("The file to write. (default: standard output)", valueName: "FILE")) var output: String?

    func validate() throws {
        guard 1...2 ~= paths.count else { throw ValidationError("expected a trace or one log or two, found \(paths.count) paths") }
        guard !ascii || format == .text else { throw ValidationError("--ascii: expected --format text, found \(format.rawValue)") }
        if let migration, migration < 1 { throw ValidationError("expected a migration from 1, found --migration \(migration)") }
    }

    func run() throws {
        let recorded = try RecordedMigration(paths: paths, migration: migration)
        let picture = recorded.picture
        let text =
            switch format {
            case .text: TerminalPicture(picture, isASCII: ascii).text
            case .svg: SVGPicture(picture).svg()
            case .html: HTMLPicture(picture).page
            case .perfetto: try PerfettoPicture(recorded.story, picture).json()
            }
        if let output { try write(text, to: output) } else { sayLines(text) }
    }
}

struct DiffCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff", abstract: "Compare two handshakes, or two runs, by what they mean, and name the first difference.",
        discussion: """
            A and B are traces, folders of cells, or logs of one side: their requests, markers, approvals, ACKs, decisions, statuses and \
            endings are aligned, each side, its return path and each device by itself. Times, numbers of queries and sizes play no part. \
            The account has both handshakes side by side; the last lines name the first difference with the line of either log.

            If A and B are results of runs (a run's folder, or the place of runs, which stands for its newest), the cells of equal names \
            are compared by ending, requests, approvals, ACKs, gating and broken rules, and the first one that differs is told with both \
            lines.

            Examples:
              ackmatrix diff Traces/10.0-10.0+q35-10.0+2-devices.trace Traces/11.1-11.1+q35-11.1+2-devices.trace
              ackmatrix diff old/results new/results

            Exit status: 0 if there is no difference, 1 if there is one, 2 for a path that cannot be compared.
            """)

    @Argument(help: ArgumentHelp("A trace, a cell's folder, a log, or a run's folder.", valueName: "A")) var first: String
    @Argument(help: ArgumentHelp("What to compare it with.", valueName: "B")) var second: String

    @Flag(help: "Print equal steps, too.") var whole = false

    func run() throws {
        if let runs = try comparedResults(first, second) {
            for line in runs.lines(isWhole: whole) { say(line) }
            if !runs.isSame { throw Finding(description: runs.verdict) }
            return
        }
        let sideBySide = try SideBySide(RecordedMigration(paths: [first]).run, RecordedMigration(paths: [second]).run)
        for line in sideBySide.lines(isWhole: whole) { say(line) }
        if !sideBySide.isSame { throw Finding(description: "the two handshakes differ") }
    }
}
