/// `ackmatrix merge`: one run of the shards of a run.
import ArgumentParser
import Foundation
import Matrix
import Plan
import Reports
import Running

struct MergeCommand: EndsInOrder {
    static let configuration = CommandConfiguration(
        commandName: "merge", abstract: "Make one run of the shards of a run (ackmatrix run --shard K/N).",
        discussion: """
            Each DIR is the folder of a shard's run, or the place of runs, which stands for its newest run. The result is a run's folder \
            of its own, with the results, kept cells and reports of all shards, and with the same closing block and exit status as one run \
            of all cells. The times are those of the longest shard.

            Shards are refused, before anything is written, if they differ in what decides results (the commit or the executable, options, \
            binaries, shim, matrix file, known deviations, cells), and the message names what; if one is missing, there twice, or not \
            complete; and if a result stands in the wrong shard. Hosts and kernels may differ, and the header names all of them. The \
            folder appears when it is complete, or not at all. Memory does not grow with the number of results, but for one entry a cell.

            Example:
              ackmatrix run --shard 1/2 --results shards/1         on one machine
              ackmatrix run --shard 2/2 --results shards/2         on another one
              ackmatrix merge shards/1 shards/2

            Exit status: 0 every cell is as predicted, 1 there is a finding, 2 the shards are refused or the environment is broken.
            """)

    @Option(help: ArgumentHelp("The matrix file that the shards ran with. (default: the file of the first shard)", valueName: "FILE"))
    var matrix: String?

    @Option(
        help: ArgumentHelp("The list of known deviations that the shards ran with. (default: that of the first shard)", valueName: "FILE"))
    var deviationList: String?

    @Option(
        help: ArgumentHelp(
            "The place for the results; the merged run has a folder of its own in it. (default: .build/results)", valueName: "FOLDER"))
    var results: String?

    @Option(help: "How much is printed: brief, lines or full. The file summary.txt has everything in any case.")
    var format = RunFormat.brief

    @Argument(help: ArgumentHelp("The folders of the shards.", valueName: "DIR")) var shards: [String]

    func run() async throws {
        let merging = try Merging(shards.map { ResultPlace.run(at: URL(fileURLWithPath: $0).path) })
        let matrixPath = try await path(matrix, merging.header.matrix, option: "--matrix", "matrix file")
        let deviationPath = try await path(
            deviationList, merging.header.deviations, option: "--deviation-list", "list of known deviations")
        let matrixFile = try MatrixFile(path: matrixPath)
        let deviations = try DeviationFile(path: deviationPath, axes: matrixFile.axes)
        let place = try ResultPlace(results ?? Harness.root() + "/.build/results")
        let total = merging.header.cells.count * merging.header.rounds
        var folder = try place.beginHidden(RunRecord(command: CommandLine.arguments, cells: total), keepsAll: true)
        folder.notRun = merging.notRun
        do {
            let report = try merge(merging, matrixFile, deviations, total: total, into: folder)
            try place.publish(folder)
            try conclude(report, merging)
        } catch {
            // Published, it has another name.
            try? FileManager.default.removeItem(atPath: folder.path)
            throw error
        }
    }

    private func merge(
        _ merging: Merging, _ matrixFile: MatrixFile, _ deviations: DeviationFile, total: Int, into folder: ResultFolder
    ) throws -> RunReport {
        let header = merging.header
        try folder.begin(header)
        var skipped = header.skipped
        skipped.formUnion(merging.notRun)
        var setting = RunReport.Setting(
            cells: [], rounds: header.rounds, axes: matrixFile.axes, deviations: deviations.deviations,
            isWhole: header.isWhole && merging.notRun.count == 0, reproduction: .inRepository, format: format, isVerbose: false,
            corpus: Corpus(folder: "", mode: .never), skipped: skipped)
        setting.total = total
        setting.began = try? Date(header.started, strategy: .iso8601)
        setting.durations = merging.durations
        var report = try RunReport(setting, place: folder, output: Screen())
        report.say(
            "sides: " + header.binaries.map { $0.name == $0.version ? $0.name : "\($0.name) is \($0.version)" }.joined(separator: ", "))
        report.say(
            "\(counted(total, "cell")) of \(counted(merging.parts.count, "shard")), run on "
                + "\(Set(header.machines.map(\.host)).sorted().joined(separator: ", ")); results in \(folder.finalPath)")
        try merging.results { try report.receive(merged: $0) }
        for part in merging.parts { try folder.copyCells(ofRunIn: part.path) }
        for finding in header.findings + (merging.canary?.accepted ?? []) { report.add(wholeRunFinding: finding) }
        let canary = merging.canary
        try report.finish(
            notes: header.notes + (canary.map { [$0.text] } ?? []),
            canary: canary.map { RunRecord.Canary(text: $0.text, isAccepted: !$0.accepted.isEmpty) })
        return report
    }

    /// Throws what a run of all cells would have thrown.
    private func conclude(_ report: RunReport, _ merging: Merging) throws {
        if report.findings > 0 {
            throw Finding(
                description:
                    "\(counted(report.findings, "finding")) in \(counted(merging.header.cells.count * merging.header.rounds, "cell")); "
                    + "see: ackmatrix explain CELL")
        }
        if let reason = merging.notRun.reasons.first {
            throw Environment(
                "\(counted(merging.notRun.count, "cell")) of \(merging.header.cells.count) did not run: \(reason.description)")
        }
    }

    /// The file that the shards ran with: the one that is named here, or theirs. Throws `Environment` where its bytes are others.
    private func path(_ given: String?, _ theirs: RunHeader.File, option: String, _ what: String) async throws -> String {
        let path = given ?? theirs.path
        let found = try await Harness.digest(path)
        guard let found, found == theirs.digest else {
            throw Environment(
                "\(path): expected the \(what) that the shards ran with, of SHA-256 \(theirs.digest ?? "not known"), found "
                    + (found.map { "SHA-256 \($0)" } ?? "no such file") + "; name a copy with \(option)")
        }
        return path
    }
}
