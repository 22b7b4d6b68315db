/// Counts what the runs of an experiment showed, and compares it with what they must show.
import Verification

package struct ScheduleTally: Sendable {
    package let experiment: ScheduleExperiment
    /// How often each thing was seen, and the first seed that showed it.
    package private(set) var seen: [String: (times: Int, first: UInt64)] = [:]
    package private(set) var seeds = 0

    package init(_ experiment: ScheduleExperiment) { self.experiment = experiment }

    /// Takes the runs of one seed; seeds may come in any order.
    package mutating func take(_ results: [ScheduleResult]) {
        seeds += 1
        for result in results { for thing in things(result) { count(thing, result.seed) } }
    }

    private mutating func count(_ thing: String, _ seed: UInt64) {
        let before = seen[thing]
        seen[thing] = ((before?.times ?? 0) + 1, min(before?.first ?? seed, seed))
    }

    private func things(_ result: ScheduleResult) -> [String] {
        let prefix = experiment.hasKinds ? "\(result.kind): " : ""
        if let mistake = result.mistake { return ["\(prefix)not run: \(mistake)"] }
        var things = ["\(prefix)\(result.verdict.rawValue)"]
        if let status = result.waitsIn { things.append("\(prefix)\(result.isTimeUp ? "time is up" : "nobody moves"), source \(status)") }
        things += result.broken.map { "\(prefix)broken \($0)" }
        if result.reinits > 0 { things.append("\(prefix)re-initialised") }
        if result.lateReinits > 0 { things.append("\(prefix)re-initialised behind the decision") }
        if result.isLoadedEarly { things.append("\(prefix)loaded before postcopy-device") }
        return things
    }

    private func times(_ thing: String) -> Int { seen[thing]?.times ?? 0 }

    /// A line for each thing seen.
    package var lines: [String] {
        seen.sorted { $0.key < $1.key }.map { "\($0.value.times) \($0.key) (first seed \($0.value.first))" }
    }

    /// With fewer seeds, what must be found in some run may well be in none.
    package static let fewestSeeds = 200

    /// True if there were seeds enough to judge what must be found in some run. What must be found in none is always judged.
    package var judgesWhatMustBeFound: Bool { seeds >= Self.fewestSeeds }

    /// The expectations that the runs did not meet, one sentence each.
    package var unmet: [String] {
        // The numbers are for 1,000 seeds; of fewer there is as much less to be seen.
        let often = max(1, 20 * seeds / 1000)
        var unmet: [String] = []
        func expect(_ thing: String, atLeast: Int) {
            if judgesWhatMustBeFound, times(thing) < atLeast {
                unmet.append("expected '\(thing)' in \(atLeast) runs at least, found it in \(times(thing))")
            }
        }
        func allow(_ isAllowed: (String) -> Bool) {
            for (thing, seen) in seen.sorted(by: { $0.key < $1.key }) where !isAllowed(thing) {
                unmet.append("expected no '\(thing)', found it in \(seen.times) runs, first with seed \(seen.first)")
            }
        }
        let ends = [Verdict.completed.rawValue, Verdict.failed.rawValue]
        func isReinit(_ thing: String) -> Bool { thing.hasPrefix("re-initialised") }
        switch experiment {
        case .equalModes:
            allow { ends.contains($0) || isReinit($0) }
            // Late ones were there, and were noticed.
            expect("re-initialised behind the decision", atLeast: often)
            expect(Verdict.failed.rawValue, atLeast: often)
        case .equalModesQuirks:
            allow { ends.contains($0) || isReinit($0) || $0 == "broken unnoticed-reinit" }
            expect("broken unnoticed-reinit", atLeast: often)
        case .withoutP2P:
            allow { ends.contains($0) || isReinit($0) || $0 == "broken unchecked-device" }
            expect("broken unchecked-device", atLeast: often)
        case .mixedModes:
            allow { !$0.contains("not run") && !$0.hasSuffix(Verdict.undecided.rawValue) }
            expectAny("stuck", [Verdict.waitsForever.rawValue, Verdict.endlessAfterUnderflow.rawValue], &unmet)
            expectAny("split", [Verdict.twoGuests.rawValue], &unmet)
            expectAny("an early switchover", ["broken approved-before-decision"], &unmet)
        case .packageFlag:
            let first = "postcopy-device-v1: "
            let stuck = first + "nobody moves, source postcopy-device"
            allow { thing in
                thing.hasSuffix(": completed") || thing.hasSuffix(": loaded before postcopy-device") || thing == stuck
                    || thing == first + Verdict.undecided.rawValue || thing == first + "broken truncated"
            }
            expect(stuck, atLeast: 1)
            // A source that is told too early is stuck, and no other is; with the flag the same moment does no harm.
            if times(stuck) != times(first + "loaded before postcopy-device") {
                unmet.append("expected as many runs stuck in postcopy-device as were loaded before it")
            }
            for generation in ["10.2", "11.1"] { expect("\(generation): loaded before postcopy-device", atLeast: 1) }
        }
        return unmet
    }

    private func expectAny(_ what: String, _ ends: [String], _ unmet: inout [String]) {
        guard judgesWhatMustBeFound, !seen.keys.contains(where: { thing in ends.contains { thing.hasSuffix(": " + $0) } }) else { return }
        unmet.append("expected \(what) to be reached, found it in no run")
    }
}

extension ScheduleExperiment {
    /// True if the experiment's runs are of several kinds, which are counted separately.
    var hasKinds: Bool { self == .mixedModes || self == .packageFlag }

    /// Runs the seeds on so many threads. The result does not depend on the number of threads.
    package func tally(seeds: Range<UInt64>, threads: Int) async throws -> ScheduleTally {
        var tally = ScheduleTally(self)
        try await withThrowingTaskGroup(of: [[ScheduleResult]].self) { group in
            var next = seeds.lowerBound
            func start() {
                guard next < seeds.upperBound else { return }
                let slice = next..<next + min(16, seeds.upperBound - next)
                next = slice.upperBound
                group.addTask {
                    try slice.map { seed in
                        try Task.checkCancellation()
                        return try runs(seed: seed).map { try $0.run(seed: seed) }
                    }
                }
            }
            for _ in 0..<min(max(threads, 1), seeds.count / 16 + 1) { start() }
            while let results = try await group.next() {
                start()
                for result in results { tally.take(result) }
            }
        }
        return tally
    }
}
