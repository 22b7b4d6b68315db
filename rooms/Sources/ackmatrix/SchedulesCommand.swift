/// `ackmatrix schedules`: random schedules over the engine.
import ArgumentParser
import Exploration
import Foundation
import MigrationTrace

extension ScheduleExperiment: ExpressibleByArgument {}

struct SchedulesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "schedules", abstract: "Run the engine with random schedules, and see that what is found is what must be.",
        discussion: """
            Each experiment has its own expectation: what must be found in some run, and what in none.

            \(ScheduleExperiment.allCases.map { "\($0.rawValue): \($0.about)" }.joined(separator: "\n"))

            The same seed makes the same run. With --logs the logs of the runs are left in a folder, for `ackmatrix check`.
            """)

    @Option(help: "Seeds of each experiment.")
    var seeds = 1000

    @Option(help: "The first of them.")
    var firstSeed: UInt64 = 1

    @Option(help: ArgumentHelp("Only this experiment; may repeat.", valueName: "NAME"))
    var experiment: [ScheduleExperiment] = []

    @Option(help: "How many threads run them.")
    var jobs = ProcessInfo.processInfo.activeProcessorCount

    @Option(help: ArgumentHelp("Leave the logs of the runs in this folder, of 100 seeds at most.", valueName: "FOLDER"))
    var logs: String?

    func validate() throws {
        guard seeds >= 1 else { throw ValidationError("--seeds: expected 1 or more, found \(seeds)") }
        // 0 leaves nothing to chance.
        guard firstSeed >= 1 else { throw ValidationError("--first-seed: expected 1 or more, found \(firstSeed)") }
        guard jobs >= 1 else { throw ValidationError("--jobs: expected 1 or more, found \(jobs)") }
        guard logs == nil || seeds <= 100 else { throw ValidationError("--logs: expected 100 seeds at most, found \(seeds)") }
    }

    func run() async throws {
        var findings: [String] = []
        for experiment in experiment.isEmpty ? ScheduleExperiment.allCases : experiment {
            if let logs { try leaveLogs(of: experiment, in: logs) }
            let tally = try await experiment.tally(seeds: firstSeed..<firstSeed + UInt64(seeds), threads: jobs)
            print("\(experiment.rawValue): \(tally.seeds) seeds from \(firstSeed)")
            for line in tally.lines { print("  \(line)") }
            findings += tally.unmet.map { "\(experiment.rawValue): \($0)" }
        }
        for finding in findings { print(finding) }
        guard findings.isEmpty else { throw Finding(description: "\(findings.count) expectations are not met") }
        print("everything as expected")
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
                print("\(place): \(result.mistake ?? "\(result.verdict.rawValue): \(result.reason)")")
                for finding in result.findings { print("  \(finding)") }
            }
        }
    }
}
