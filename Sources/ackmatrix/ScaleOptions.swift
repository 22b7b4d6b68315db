/// The options of runs that are split, resumed, or run again.
import ArgumentParser
import Foundation
import Matrix
import Plan
import Running

struct ScaleOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Only the cells of shard K of N.",
            discussion: "A cell's name alone decides its shard, so that N machines with the same command line share the cells without a "
                + "word. A cell of QEMU binaries is in one shard with the engine's cell that it judges.", valueName: "K/N"),
        transform: { text in
            guard let shard = Shard(text) else {
                throw ValidationError("expected K/N with K from 1 to N, and N at most \(Shard.most), found '\(text)'")
            }
            return shard
        })
    var shard: Shard?

    @Option(
        help: ArgumentHelp(
            "Go on with an interrupted or killed run: its folder, or the place of runs, which stands for the newest one.",
            discussion: "The options are those of the run; --jobs, --format and the like may stand beside it. Cells with a result in "
                + "results.jsonl do not run again. The report is that of the whole run.", valueName: "FOLDER"))
    var resume: String?

    @Option(
        help: ArgumentHelp(
            "Run the cells again that were findings in a run: its folder, or the place of runs, which stands for the newest one.",
            discussion: "The options are those of the run, unless others stand beside it, such as --repeat or --qemu of a new build. The "
                + "results go to a folder of their own, beside that of the run.", valueName: "FOLDER"))
    var rerunFailed: String?

    @Option(
        help: ArgumentHelp(
            "File the run in this history when it has ended; see: ackmatrix history --help.", valueName: "FILE"))
    var history: String?

    func validate() throws {
        guard resume == nil || rerunFailed == nil else {
            throw ValidationError("--resume with --rerun-failed: expected one of them; a rerun that was interrupted is resumed as any run")
        }
    }
}

/// A run that goes on.
struct RunToResume {
    let path: String
    private let header: RunHeader

    init(_ path: String) throws {
        self.path = path
        header = try RunHeader(ofRunIn: path)
    }

    /// The place that the run is in.
    var place: String { URL(fileURLWithPath: path).deletingLastPathComponent().path }

    /// The words of the run's command line after `ackmatrix run`.
    var words: [String] { header.words + (header.shard.map { ["--shard", "\($0)"] } ?? []) }

    /// Throws `Environment` where the run would go on with something else than it began with.
    func check(_ now: RunHeader) throws {
        var differences = now.differences(from: header)
        if now.shard != header.shard {
            differences.append("option --shard: \(now.shard?.description ?? "none") and \(header.shard?.description ?? "none")")
        }
        guard differences.isEmpty else {
            throw Environment(
                "\(path): expected to go on with what the run began with, found (now and then) \(differences.joined(separator: "; ")); "
                    + "run all cells again")
        }
    }

    /// The results that are there, each of which `report` receives, too. Throws `ResultLogError` at a line that is no result of these
    /// cells.
    func results(of cells: [Cell], rounds: Int, report: (ResultLine) -> Void) throws -> EarlierResults {
        let names = Set(cells.map(\.name))
        var earlier = EarlierResults()
        var reader = try ResultReader(path: path + "/results.jsonl")
        while let line = try reader.next()?.line {
            guard names.contains(line.cell) else { throw reader.error("expected a cell of this run, found '\(line.cell)'") }
            guard earlier.rounds(of: line.cell) < rounds else {
                throw reader.error("expected at most \(counted(rounds, "result")) of \(line.cell), found another one")
            }
            earlier.add(line)
            report(line)
        }
        return earlier
    }
}

extension RunHeader {
    /// The header of the run in a folder. Throws `Environment` where there is none.
    init(ofRunIn folder: String) throws {
        guard let header = try ResultReader.header(ofRunIn: folder) else {
            throw Environment(
                "\(folder): expected a run whose results.jsonl begins with a header, found none: an earlier version made it, or it "
                    + "was killed before its first cell; run all cells again")
        }
        self = header
    }
}

extension RunCommand {
    /// Goes on with the run in a folder.
    func resume(_ path: String) async throws {
        let run = try RunToResume(URL(fileURLWithPath: path).path)
        let command = try Self.parse(run.words + Self.words(without: ["--resume"]))
        note("options of the run: \(run.words.joined(separator: " "))")
        try await command.run(resuming: run)
    }

    /// Runs the findings of the run in a folder again.
    func rerunFailed(_ path: String) async throws {
        let path = URL(fileURLWithPath: path).path
        let header = try RunHeader(ofRunIn: path)
        let own = Self.without(["--rerun-failed"], header.words)
        var words = own + Self.words(without: ["--rerun-failed"]) + ["--rerun-failed", path]
        if results == nil { words += ["--results", URL(fileURLWithPath: path).deletingLastPathComponent().path] }
        note("options of the run: \(own.joined(separator: " "))")
        try await Self.parse(words).run(resuming: nil)
    }

    /// The cells that run: with --rerun-failed those that were findings, and their witnesses. Throws `Environment` where none is left.
    func failed(_ cells: [Cell]) throws -> [Cell] {
        guard let folder = scale.rerunFailed else { return cells }
        let failed = try FailedCells(ofRunIn: folder)
        guard failed.count > 0 else {
            throw Environment("\(folder): expected a run with a finding of a cell, found none; nothing runs again")
        }
        let again = cells.filter(failed.wants)
        let lost = failed.missing(among: again)
        guard !again.isEmpty else {
            throw Environment("\(folder): none of its \(counted(failed.count, "finding")) can run here, such as \(lost.first ?? "")")
        }
        if let first = lost.first { note("\(counted(lost.count, "cell")) of the findings cannot run here, such as \(first)") }
        return again
    }

    /// The words of this process's command line after `run`, without these options and their values.
    private static func words(without names: [String]) -> [String] {
        without(names, CommandLine.arguments.drop { $0 != configuration.commandName }.dropFirst())
    }

    private static func without(_ names: [String], _ words: some Sequence<String>) -> [String] {
        var left: [String] = []
        var isValue = false
        for word in words {
            if isValue {
                isValue = false
            } else if names.contains(word) {
                isValue = true
            } else if !names.contains(where: { word.hasPrefix($0 + "=") }) {
                left.append(word)
            }
        }
        return left
    }
}
