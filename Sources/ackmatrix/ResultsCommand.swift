/// `ackmatrix results`: the runs that have left results.
import ArgumentParser
import Foundation
import Matrix
import Plan
import Running

struct ResultsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "results", abstract: "List the runs that have left results, the newest first.",
        discussion: """
            Each run has a folder of its own, named by the time (UTC) and an id. A line gives the folder, whether the run ended \
            (complete, interrupted, killed, or running), its cells and findings, and its command. Commands that take a folder of results \
            take one of these, or the place of all runs, which stands for its newest run.

            The newest \(ResultPlace.mostRuns) runs are kept. A run that begins removes older ones, but none to which something was added. \
            A shard is named as such, and so is a run that was merged of shards. Memory stays below 50 MB: of each run, only its record \
            and the first line of its results are read.
            """)

    @Option(help: ArgumentHelp("The place of the results. (default: .build/results)", valueName: "FOLDER"))
    var results: String?

    @Flag(help: "Print the path of the newest run's folder, and nothing else.")
    var newest = false

    func run() throws {
        let path = URL(fileURLWithPath: try results ?? Harness.root() + "/.build/results").path
        let runs = results == "" ? [] : ResultPlace.runs(in: path)
        guard let first = runs.first else {
            throw Environment("\(results ?? path): expected a folder with the results of runs, found none; see: ackmatrix run --help")
        }
        guard !newest else { return say(first.path) }
        for run in runs { say(line(run)) }
        say("\(counted(runs.count, "run")) in \(path)")
    }

    private func line(_ run: KeptRun) -> String {
        let record = run.record
        let cells = record.done.map { $0 == record.cells ? counted($0, "cell") : "\($0) of \(counted(record.cells, "cell"))" }
        let findings = record.findings.map { counted($0, "finding") }
        let command = record.command.dropFirst().joined(separator: " ")
        // A first line that is no header is told by the commands that read the results.
        let header = try? ResultReader.header(ofRunIn: run.path)
        let part = header.flatMap { header in
            header.shard.map { "shard \($0)" } ?? header.merged.map { "merged of \(counted($0.count, "shard"))" }
        }
        return ([run.name, run.state] + [part, cells ?? counted(record.cells, "cell"), findings].compactMap { $0 } + [command]).joined(
            separator: "  ")
    }
}
