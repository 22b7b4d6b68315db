/// `ackmatrix schedules`: random schedules over the engine.
import ArgumentParser
import Exploration
import Foundation
import Matrix
import MigrationTrace

extension ScheduleExperiment: ExpressibleByArgument {}

struct SchedulesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "schedules", abstract: "Run the engine with random schedules, and check that exactly the expected rules break.",
        discussion: """
            Each experiment states what must be found in some run, which takes \(ScheduleTally.fewestSeeds) seeds or more, and what must \
            be found in none.

            \(ScheduleExperiment.allCases.map { "\($0.rawValue): \($0.about)" }.joined(separator: "\n"))

            The same seed makes the same run. --logs writes the logs of the runs into a folder, for `ackmatrix check`.

            Memory stays below 100 MB, however many seeds there are.
            """)

    @Option(help: "The number of seeds of each experiment.")
    var seeds = 1000

    @Option(help: "The first seed.")
    var firstSeed: UInt64 = 1

    @Option(help: ArgumentHelp("Only this experiment; may repeat.", valueName: "NAME"))
    var experiment: [ScheduleExperiment] = []

    @Option(help: "The number of threads.")
    var jobs = ProcessInfo.processInfo.activeProcessorCount

    @Option(help: ArgumentHelp("Write the logs of the runs into this folder; at most 100 seeds.", valueName: "FOLDER"))
    var logs: String?

    func validate() throws {
        guard 1...Self.mostSeeds ~= seeds else { throw ValidationError("--seeds: expected 1 to \(Self.mostSeeds), found \(seeds)") }
        // Seed 0 stands for a run without chance.
        guard firstSeed >= 1 else { throw ValidationError("--first-seed: expected 1 or more, found \(firstSeed)") }
        guard firstSeed <= UInt64.max - UInt64(seeds) else {
            throw ValidationError("--first-seed: expected at most \(UInt64.max - UInt64(seeds)) with \(seeds) seeds, found \(firstSeed)")
        }
        guard jobs >= 1 else { throw ValidationError("--jobs: expected 1 or more, found \(jobs)") }
        guard logs == nil || seeds <= 100 else { throw ValidationError("--logs: expected 100 seeds at most, found \(seeds)") }
    }

    private static let mostSeeds = 1_000_000_000

    func run() async throws {
        var findings: [String] = []
        for experiment in experiment.isEmpty ? ScheduleExperiment.allCases : experiment {
            if let logs { try leaveLogs(of: experiment, in: logs) }
            let tally = try await experiment.tally(seeds: firstSeed..<firstSeed + UInt64(seeds), threads: jobs)
            say("\(experiment.rawValue): \(counted(tally.seeds, "seed")) from \(firstSeed)")
            for line in tally.lines { say("  \(line)") }
            if !tally.judgesWhatMustBeFound {
                say("  not judged: what some run must show; that takes \(ScheduleTally.fewestSeeds) seeds or more")
            }
            findings += tally.unmet.map { "\(experiment.rawValue): \($0)" }
        }
        for finding in findings { say(finding) }
        guard findings.isEmpty else { throw Finding(description: "\(findings.count) expectations are not met") }
        say("everything as expected")
    }

    private func leaveLogs(of experiment: ScheduleExperiment, in folder: String) throws {
        for seed in firstSeed..<firstSeed + UInt64(seeds) {
            for run in try experiment.runs(seed: seed) {
                var texts: [StreamName: String] = [:]
                let result = try run.run(seed: seed) { texts[$0, default: ""] += $1.line + "\n" }
                let kind = run.kind.replacingOccurrences(of: " ", with: "-").replacingOccurrences(of: ",", with: "")
                let place = "\(folder)/\(experiment.rawValue)-\(seed)-\(kind)"
                try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
                for (stream, text) in texts { try Data(text.utf8).write(to: URL(fileURLWithPath: "\(place)/\(stream.rawValue).log")) }
                say("\(place): \(result.mistake ?? "\(result.verdict.rawValue): \(result.reason)")")
                for finding in result.findings { say("  \(finding)") }
            }
        }
    }
}
