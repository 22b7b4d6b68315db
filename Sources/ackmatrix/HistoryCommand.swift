/// `ackmatrix history`: what cells showed over time, and filing runs for it.
import ArgumentParser
import Foundation
import History
import Matrix
import Plan
import Running

/// The file of the history.
struct HistoryFile: ParsableArguments {
    @Option(help: ArgumentHelp("The file of the history. (default: .build/history.sqlite)", valueName: "FILE"))
    var history: String?

    func path() throws -> String { try history ?? Harness.root() + "/.build/history.sqlite" }
}

struct HistoryCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "history", abstract: "Show what cells showed over time, or file runs for it.",
        discussion: """
            The history is a file of SQLite. `ackmatrix history add FOLDER` files a run, and `ackmatrix run --history FILE` files each run \
            as it ends. Several processes may file runs at once, and one that is killed leaves a run filed whole or not at all; the file \
            must be on a disk of this machine, since a network file system does not share memory between machines. A run that was filed \
            before is replaced, and a merged run replaces its shards.

            Examples:
              ackmatrix history add .build/results                 the newest run
              ackmatrix history                                    the runs that are filed
              ackmatrix history 11.1-11.1+q35-11.1+2-devices       what the cells with this text in their names showed
              ackmatrix regressions RUN RUN --history FILE         what changed between two of the runs
            """,
        subcommands: [ShowHistory.self, AddToHistory.self], defaultSubcommand: ShowHistory.self)
}

struct ShowHistory: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Show the filed runs, or what cells showed in them, the newest first.",
        discussion: """
            Of a cell a line gives when the run began, the verdict, how the cell ended with its handshake (of each leg), the versions, the \
            seconds that a run of the cell took, and the run.
            """)

    @OptionGroup var file: HistoryFile

    @Option(help: "The number of runs that are shown, of each cell.")
    var last = 20

    @Argument(help: ArgumentHelp("A cell's name, or a part of it; without one, the runs are listed.", valueName: "TEXT"))
    var cells: [String] = []

    private static let mostCells = 50

    func validate() throws {
        guard 1...10_000 ~= last else { throw ValidationError("--last: expected 1 or more, at most 10000, found \(last)") }
        if cells.contains("") { throw ValidationError("TEXT: expected a cell's name or a part of it, found an empty text") }
    }

    func run() throws {
        let history = try History(path: file.path(), creates: false)
        guard !cells.isEmpty else { return try runs(history) }
        for text in cells {
            let (names, count) = try history.cells(containing: text, most: Self.mostCells)
            guard count > 0 else { throw Environment("no cell in the history has '\(text)' in its name") }
            for name in names {
                say(name)
                for entry in try history.entries(of: name, last: last) { say("  " + line(entry)) }
            }
            if count > names.count { say("\(count - names.count) more cells have '\(text)' in their names; give more of the name") }
        }
    }

    private func line(_ entry: History.Entry) -> String {
        let outcome = entry.outcome
        let legs = outcome.legs.map(\.text).joined(separator: " | ")
        return [
            entry.started, outcome.verdict, legs, "\(outcome.source.version) -> \(outcome.destination.version)",
            String(format: "%.2f s", outcome.seconds / Double(max(outcome.runs, 1))), entry.run,
        ].joined(separator: "  ")
    }

    private func runs(_ history: History) throws {
        for run in try history.runs(last: last) {
            let part = run.shard.map { ["shard \($0)"] } ?? []
            say(
                ([run.started, run.id, run.state] + part
                    + [counted(run.cells, "cell"), counted(run.findings, "finding"), run.sides, "on \(run.host)", run.tool]).joined(
                        separator: "  "))
        }
    }
}

struct AddToHistory: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add", abstract: "File runs in the history.",
        discussion: """
            A folder is a run's, or the place of runs, which stands for its newest one. Runs of earlier versions, without a header, are \
            filed, too; their machine is not known. Memory grows with the number of cells, not with that of results.
            """)

    @OptionGroup var file: HistoryFile

    @Argument(help: ArgumentHelp("The folders of runs.", valueName: "FOLDER")) var folders: [String]

    func run() throws {
        let history = try History(path: file.path(), creates: true)
        for folder in folders {
            let run = ResultPlace.run(at: URL(fileURLWithPath: folder).path)
            say("\(run): \(try history.add(runIn: run).inWords)")
        }
    }
}

extension History.Filed {
    /// The end of a sentence that begins with the run.
    var inWords: String {
        switch self {
        case .added: "filed"
        case .replaced: "filed again"
        case .isPartOf(let run): "not filed: it is a shard of \(run), which is filed"
        }
    }
}
