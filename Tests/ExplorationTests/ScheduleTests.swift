/// Random schedules: what is found is what must be, and the same seed makes the same run to the last byte.
import EnginePeer
import Foundation
import MigrationTrace
import Plan
import Testing
import VFIO

@testable import Exploration

@Suite struct ScheduleTests {
    /// Fewer seeds than the command's, one experiment a test. What is not met names the seed that shows it.
    @Test(arguments: ScheduleExperiment.allCases) func everyExperimentIsAsExpected(experiment: ScheduleExperiment) async throws {
        // The rare ones need more, and are short.
        let seeds: UInt64 = experiment == .mixedModes || experiment == .packageFlag ? 160 : 40
        let tally = try await experiment.tally(seeds: 1..<1 + seeds, threads: 2)
        #expect(tally.unmet == [])
        #expect(tally.seeds == Int(seeds))
    }

    /// What was seen, and how often, does not depend on how many threads ran it.
    @Test func anyNumberOfThreadsSeesTheSame() async throws {
        let one = try await ScheduleExperiment.equalModesQuirks.tally(seeds: 100..<140, threads: 1)
        let many = try await ScheduleExperiment.equalModesQuirks.tally(seeds: 100..<140, threads: 7)
        #expect(one.lines == many.lines && !one.lines.isEmpty)
    }

    /// An expectation that is not met is said: each of these lacks what its experiment must show, or shows what it must not.
    @Test func whatIsNotMetIsSaid() throws {
        func tally(_ experiment: ScheduleExperiment, _ change: (inout ScheduleResult) -> Void) -> [String] {
            var tally = ScheduleTally(experiment)
            var result = ScheduleResult(kind: "11.1", seed: 3)
            result.verdict = .completed
            change(&result)
            for _ in 0..<ScheduleTally.fewestSeeds { tally.take([result]) }
            return tally.unmet
        }
        #expect(tally(.equalModes) { $0.broken = ["marker-due"] }.contains { $0.contains("broken marker-due") && $0.contains("seed 3") })
        #expect(tally(.equalModes) { $0.verdict = .waitsForever }.contains { $0.contains("waits forever") })
        #expect(
            tally(.equalModesQuirks) { $0.broken = ["unchecked-device"] }.contains { $0.hasPrefix("expected no 'broken unchecked-device'") }
        )
        #expect(tally(.equalModesQuirks) { _ in }.contains { $0.contains("broken unnoticed-reinit") })
        #expect(tally(.equalModesQuirks) { $0.broken = ["unnoticed-reinit"] } == [])
        #expect(tally(.withoutP2P) { $0.broken = ["unnoticed-reinit"] }.count == 2)
        #expect(tally(.withoutP2P) { $0.broken = ["unchecked-device"] } == [])
        #expect(tally(.mixedModes) { _ in }.count == 3)
        #expect(ScheduleTally(.mixedModes).unmet == [], "too few runs are no finding")
        #expect(tally(.mixedModes) { $0.mistake = "no such change" }.contains { $0.contains("not run: no such change") })
        #expect(tally(.packageFlag) { $0.waitsIn = "postcopy-device" }.contains { $0.hasPrefix("expected no '11.1: nobody moves") })
    }

    /// The same schedule, but for the generation: where the PONG comes before the status, the first form never ends, and the flag's does.
    @Test func theFlagRemovesTheRace() throws {
        var early = 0
        for seed: UInt64 in 1...120 {
            let runs = try ScheduleExperiment.packageFlag.runs(seed: seed).map { try $0.run(seed: seed) }
            #expect(runs.map(\.kind) == ["postcopy-device-v1", "10.2", "11.1"])
            let first = runs[0]
            // 10.2 takes the same steps as the first form, up to there.
            #expect(runs[1].isLoadedEarly == first.isLoadedEarly, "seed \(seed)")
            #expect(first.isLoadedEarly == (first.waitsIn == "postcopy-device"), "seed \(seed)")
            #expect(first.isLoadedEarly || first.verdict == .completed, "seed \(seed)")
            #expect(runs[1...].allSatisfy { $0.verdict == .completed && $0.broken.isEmpty }, "seed \(seed)")
            early += first.isLoadedEarly ? 1 : 0
        }
        #expect(early > 0)
    }

    /// What a device does within the very call that ends its precopy nobody can notice, not even without quirks: no query can come between.
    @Test(arguments: [("state PRE_COPY_P2P", [String]()), ("call set-state when=5", ["unnoticed-reinit"])])
    func onlyTheLastCallItselfIsOutOfReach(moment: String, broken: [String]) throws {
        var source = SideConfiguration(binary: .engine(generation: "11.1-corrected"), machine: "pc-q35-11.1")
        source.memoryMiB = 4
        source.capabilities = ["return-path": true, "switchover-ack": true]
        source.parameters = ["max-bandwidth": .integer(1 << 30), "avail-switchover-bandwidth": .integer(1 << 30)]
        var destination = source
        let script = "ackmatrix-device 1\nhas precopy p2p reinit\n"
        source.devices = [PlannedDevice(name: "v0", .mock(try DeviceScript(script + "on \(moment) do reinit 4K\n", file: "source")))]
        destination.devices = [PlannedDevice(name: "v0", .mock(try DeviceScript(script, file: "destination")))]
        let run = try ScheduleRun("11.1-corrected", MigrationPlan(source: source, destination: destination), .perDevice, .perDevice)
        let result = try run.run(seed: 1)
        #expect(result.verdict == (broken.isEmpty ? .failed : .completed))
        #expect(result.broken == broken)
        #expect(result.lateReinits == 1)
    }

    /// A legacy source that gets out of its wait for two devices has decided by the ACK of one, be the other's late or never due.
    @Test func whoeverWaitsForOneAckDecidesEarly() throws {
        var never = 0
        for seed: UInt64 in 1...60 {
            let run = try #require(try ScheduleExperiment.mixedModes.runs(seed: seed).first)
            guard run.kind == "11.1 legacy to 11.1 per-device, 2 devices" else { continue }
            let result = try run.run(seed: seed)
            guard [.completed, .twoGuests].contains(result.verdict) else { continue }
            #expect(result.broken.contains("approved-before-decision"), "seed \(seed)")
            if result.broken == ["approved-before-decision"] { never += 1 }
        }
        #expect(never > 0)
    }

    // MARK: The same seed

    /// Everything that a run logs, in order, as lines.
    private static func text(_ experiment: ScheduleExperiment, _ seed: UInt64) throws -> String {
        var text = ""
        for run in try experiment.runs(seed: seed) {
            let result = try run.run(seed: seed) { text += "\($0.rawValue) \($1.line)\n" }
            text += "\(result)\n"
        }
        return text
    }

    @Test(arguments: ScheduleExperiment.allCases) func theSameSeedLogsTheSame(experiment: ScheduleExperiment) async throws {
        var texts: [UInt64: String] = [:]
        for seed: UInt64 in [1, 2, 3, 40, 41] { texts[seed] = try Self.text(experiment, seed) }
        #expect(Set(texts.values).count == texts.count)
        // Once more, at the same time.
        try await withThrowingTaskGroup(of: (UInt64, String).self) { group in
            for _ in 0..<2 { for seed in texts.keys { group.addTask { (seed, try Self.text(experiment, seed)) } } }
            for try await (seed, text) in group { #expect(text == texts[seed], "seed \(seed)") }
        }
    }
}
