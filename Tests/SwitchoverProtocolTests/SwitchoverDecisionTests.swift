/// What a step decides, against tables written by hand; and the threshold.
import Testing

@testable import SwitchoverProtocol

@Suite struct SwitchoverDecisionTests {
    /// The three rules there have been: up to 10.0, up to 11.0, and since.
    static let below = [Generation.v8_1, .v10_0, .v10_0.corrected]
    static let at = [Generation.v10_1, .v10_2, .v11_0, .postcopyDeviceV1]
    static let split = [Generation.v1, .v2, .v11_1, .v11_1.corrected, .requestMessage]

    static func pending(_ precopy: UInt64, _ stopCopy: UInt64, _ postcopy: UInt64) -> PendingBytes {
        var pending = PendingBytes()
        (pending.precopy, pending.stopCopy, pending.postcopy) = (precopy, stopCopy, postcopy)
        return pending
    }

    @Test func everyGenerationHasOneRule() {
        let all = Set(Self.below + Self.at + Self.split)
        #expect(Generation.all.allSatisfy(all.contains))
        #expect(all.count == Self.below.count + Self.at.count + Self.split.count)
    }

    /// precopy, stop-copy, postcopy, threshold; whether an exact query follows the estimate, by rule, in precopy and in postcopy.
    static let exact: [(UInt64, UInt64, UInt64, UInt64, [Bool], [Bool])] = [
        (0, 0, 0, 0, [false, false, true], [false, false, false]),
        (1, 0, 0, 0, [false, false, false], [false, false, false]),
        (0, 0, 1, 0, [false, false, true], [false, false, false]),
        (0, 1, 0, 0, [false, false, true], [false, false, false]),
        (9, 0, 0, 10, [true, true, true], [true, false, false]),
        (10, 0, 0, 10, [false, false, true], [false, false, false]),
        (11, 0, 0, 10, [false, false, false], [false, false, false]),
        (3, 3, 3, 10, [true, true, true], [true, false, false]),
        (0, 5, 5, 10, [false, false, true], [false, false, false]),
        (0, 50, 50, 10, [false, false, true], [false, false, false]),
        (1, 50, 50, 10, [false, false, false], [false, false, false]),
    ]

    @Test(arguments: exact)
    func exactQuery(precopy: UInt64, stopCopy: UInt64, postcopy: UInt64, threshold: UInt64, inPrecopy: [Bool], inPostcopy: [Bool]) {
        let estimate = Self.pending(precopy, stopCopy, postcopy)
        for (rule, generations) in [Self.below, Self.at, Self.split].enumerated() {
            for generation in generations {
                let decision = SwitchoverDecision(generation)
                #expect(
                    decision.needsExactQuery(estimate, threshold: threshold, inPostcopy: false) == inPrecopy[rule], "\(generation.name)")
                #expect(
                    decision.needsExactQuery(estimate, threshold: threshold, inPostcopy: true) == inPostcopy[rule], "\(generation.name)")
                #expect(decision.asksLedgerBeforeQueries == (rule < 2))
            }
        }
    }

    /// precopy, stop-copy, postcopy, threshold, whether postcopy is asked for; the decision by rule when the ledger lets go.
    static let decisions: [(UInt64, UInt64, UInt64, UInt64, Bool, [StepDecision])] = [
        (0, 0, 0, 0, false, [.complete, .complete, .complete]),
        (1, 0, 0, 0, false, [.iterate, .iterate, .iterate]),
        (9, 0, 0, 10, false, [.complete, .complete, .complete]),
        (10, 0, 0, 10, false, [.iterate, .complete, .complete]),
        (11, 0, 0, 10, false, [.iterate, .iterate, .iterate]),
        (4, 3, 3, 10, false, [.iterate, .complete, .complete]),
        (4, 3, 2, 10, false, [.complete, .complete, .complete]),
        (4, 4, 4, 10, false, [.iterate, .iterate, .iterate]),
        // Postcopy is asked for: up to 10.0 the test for completion comes first, since then that for postcopy.
        (0, 0, 0, 0, true, [.complete, .startPostcopy, .startPostcopy]),
        (9, 0, 0, 10, true, [.complete, .startPostcopy, .startPostcopy]),
        (10, 0, 0, 10, true, [.startPostcopy, .startPostcopy, .startPostcopy]),
        (0, 0, 99, 10, true, [.startPostcopy, .startPostcopy, .startPostcopy]),
        (5, 5, 99, 10, true, [.startPostcopy, .startPostcopy, .startPostcopy]),
        (5, 6, 0, 10, true, [.iterate, .iterate, .iterate]),
        (11, 0, 0, 10, true, [.iterate, .iterate, .iterate]),
        (1, 0, 99, 0, true, [.iterate, .iterate, .iterate]),
        (0, 0, 99, 0, true, [.startPostcopy, .startPostcopy, .startPostcopy]),
    ]

    @Test(arguments: decisions)
    func decision(precopy: UInt64, stopCopy: UInt64, postcopy: UInt64, threshold: UInt64, asked: Bool, expected: [StepDecision]) {
        let pending = Self.pending(precopy, stopCopy, postcopy)
        for (rule, generations) in [Self.below, Self.at, Self.split].enumerated() {
            for generation in generations {
                let rules = SwitchoverDecision(generation)
                let free = rules.decide(pending, threshold: threshold, maySwitchOver: true, postcopyIsAsked: asked)
                #expect(free == expected[rule], "\(generation.name)")
                let held = rules.decide(pending, threshold: threshold, maySwitchOver: false, postcopyIsAsked: asked)
                #expect(held == .iterate, "\(generation.name): without its ACKs it goes on")
            }
        }
    }

    /// In postcopy nothing may be left, but up to 10.0 the threshold ends it, too.
    @Test(arguments: [(0, 0, true, true), (0, 10, true, true), (1, 10, true, false), (10, 10, false, false), (11, 10, false, false)])
    func postcopyEnd(left: UInt64, threshold: UInt64, old: Bool, new: Bool) {
        for generation in Generation.all {
            let isOld = generation.name == "8.1" || generation.name == "10.0"
            let decision = SwitchoverDecision(generation)
                .decideInPostcopy(Self.pending(0, 0, left), threshold: threshold, maySwitchOver: true)
            #expect(decision == ((isOld ? old : new) ? .complete : .iterate), "\(generation.name)")
        }
    }

    @Test func awaitsPackage() {
        let old = ["8.1", "10.0", "10.1"]
        for generation in Generation.all {
            let rules = SwitchoverDecision(generation)
            for (loaded, left, due) in [(true, 5, true), (false, 0, true), (true, 0, true), (false, 5, false)] as [(Bool, UInt64, Bool)] {
                let awaits = rules.awaitsPackage(isLoaded: loaded, Self.pending(0, 0, left))
                #expect(awaits == (due && !old.contains(generation.name)), "\(generation.name)")
            }
        }
    }

    @Test func finalReport() {
        var pending = Self.pending(1, 2, 3)
        pending.requests = 4
        for generation in Generation.all {
            let report = SwitchoverDecision(generation).finalReport(pending)
            #expect(report.requests == 4)
            #expect(report.total == (generation.name == "v2" ? 0 : 6), "\(generation.name)")
        }
    }

    /// sent, ms, available, downtime: the thresholds that binaries printed, but for the last rows.
    static let windows: [(UInt64, UInt64, UInt64, UInt64, UInt64, UInt64)] = [
        (131_346, 100, 0, 300, 394_038, 394_038),
        (111_621, 107, 0, 300, 312_956, 312_956),
        (116_530, 101, 0, 300, 346_128, 346_128),
        (124_030, 120, 0, 300, 310_075, 310_075),
        (132_286, 100, 0, 300, 396_857, 396_857),
        (10_080, 100, 1 << 30, 300, 322_122_300, 322_122_547),
        (131_346, 100, 1000, 300, 300, 300),
        (0, 100, 0, 300, 0, 0),
        (5, 0, 0, 2, 10, 10),
        (1, 100, 999, 1000, 0, 999),
        (1, 100, .max, .max, .max, .max),
    ]

    @Test(arguments: windows)
    func threshold(sent: UInt64, milliseconds: UInt64, available: UInt64, downtime: UInt64, old: UInt64, new: UInt64) {
        for generation in Generation.all {
            var threshold = SwitchoverThreshold(generation)
            #expect(threshold.bytes == 0, "until the first window ends")
            threshold.windowEnded(sent: sent, milliseconds: milliseconds, available: available, downtime: downtime)
            let isNew = generation.name == "11.1" || generation.name == "request-message"
            #expect(threshold.bytes == (isNew ? new : old), "\(generation.name)")
        }
        #expect(SwitchoverThreshold() == SwitchoverThreshold(.v11_1))
    }
}
