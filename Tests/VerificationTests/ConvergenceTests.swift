import MigrationTrace
import Testing

@testable import Verification

/// Pending bytes that never fit the threshold, and those that exceed it only for a while.
@Suite struct ConvergenceTests {
    private typealias Script = EndlessTests.Script

    private func verdict(_ script: Script, _ circumstances: Circumstances = .init(), armed: String? = nil) throws -> Verdict? {
        try script.verifier(circumstances).endlessProof(armed: armed)?.verdict
    }

    /// Every ACK is there.
    private func acknowledged(old: Bool = false) -> Script {
        var script = Script(mode: old ? .legacy : .perDevice, old: old)
        script.section("a", block: 100, left: 0, marker: true)
        script.load(
            "a", approval: old ? "loadvm_approve_switchover Switchover ack pending num=0" : "", ack: true)
        script.counted()
        return script
    }

    private let window = "migrate_transferred transferred 1 time_spent 100 bandwidth 1 switchover_bw 1 max_size 1000"

    /// The threshold is 1000: as much is within it from 10.1 on, not before.
    @Test(arguments: [
        (false, 999, false), (false, 1000, false), (false, 1001, true), (true, 999, false), (true, 1000, true), (true, 1001, true),
    ])
    func theThresholdItself(decidesBelow: Bool, pending: Int, isEndless: Bool) throws {
        var script = acknowledged(old: true)
        script.iterate(250, total: { _ in pending })
        var circumstances = Circumstances()
        circumstances.sourceTraits.decision = decidesBelow ? .belowThreshold : .atThreshold
        circumstances.sourceCapability = true
        #expect(try verdict(script, circumstances) == (isEndless ? .doesNotConverge : nil))
    }

    /// Sent and written anew: no iteration leaves what is pending as it was, but no window ends with less.
    private func rewriting(_ windows: Int, lower: (Int) -> Int = { _ in 0 }) -> Script {
        var script = acknowledged()
        for number in 0..<windows {
            script.source += [script.query(total: 5000 - lower(number)), "savevm_state_iterate "]
            script.source += [script.query(total: 2000).replacing("exact=1", "exact=0"), "savevm_state_iterate ", window]
        }
        return script
    }

    @Test func aGuestFasterThanTheLinkDoesNotConverge() throws {
        #expect(try verdict(rewriting(8)) == nil)
        #expect(try verdict(rewriting(12)) == .doesNotConverge)
        #expect(try verdict(rewriting(12), armed: "schedule step 2") == nil)
    }

    @Test func aGuestThatTheLinkCatchesUpWithIsLeftAlone() throws {
        #expect(try verdict(rewriting(40, lower: { $0 * 10 })) == nil)
    }

    /// A guest that gets no processor for a window writes less, which is no trend before it happens again.
    @Test(arguments: [
        (13, [11], true), (13, [11, 12], false), (13, [6, 11], false), (25, [11, 24], true), (25, [11, 16], false), (25, [11, 13], true),
        (13, [2], true),
    ])
    func lessInOneWindowIsNoTrend(windows: Int, less: [Int], isEndless: Bool) throws {
        let script = rewriting(windows) { window in 10 * less.count { $0 <= window } }
        #expect(try script.verifier().judgement().verdict == (isEndless ? .doesNotConverge : .undecided))
        // While it goes on, what comes down is waited for: a step of a schedule may have brought it about.
        let isLong = windows - less.last! >= 10
        #expect(try verdict(script) == (isLong ? .doesNotConverge : nil))
    }

    /// RAM is all that is sent, window for window.
    private func starving(_ windows: Int, devicePart: Int? = nil, less: Int? = nil) -> Script {
        var script = Script()
        for number in 0..<windows {
            script.source += [
                script.state("a", initial: 100), script.query(total: number == less ? 400 : 500), "savevm_state_iterate ",
            ]
            script.source += ["savevm_section_start ram, section_id 1", "savevm_section_end ram, section_id 1 -> 0"]
            if number == devicePart { script.section("a", block: 10, left: 90) }
            script.source.append(window)
        }
        return script
    }

    @Test func aDeviceThatGetsNoPartWaitsForever() throws {
        #expect(try verdict(starving(15)) == nil)
        let script = starving(25)
        #expect(try verdict(script) == .waitsForever)
        let judgement = try script.verifier().judgement()
        #expect(judgement.handshake.starvedWindows == 25)
        #expect(judgement.broken == ["ends"])
        #expect(judgement.reason.contains("cannot send its initial bytes"))
    }

    /// As it ended on a busy machine: the last query found less, and the device had had nothing all the same.
    @Test func lessAtTheLastQueryLeavesTheStarvation() throws {
        #expect(try starving(25, less: 24).verifier().judgement().verdict == .waitsForever)
        #expect(try verdict(starving(25, less: 24)) == nil)
    }

    @Test func aPartNowAndThenIsNoStarvation() throws {
        let script = starving(25, devicePart: 12)
        #expect(try verdict(script) == nil)
        #expect(try script.verifier().judgement().handshake.starvedWindows == 24)
    }

    /// Each round: drained, marked, and re-initialised before the source could decide.
    private func reinitialising(_ times: Int) -> Script {
        var script = Script()
        script.section("a", block: 100, left: 0, marker: true)
        for _ in 0..<times {
            script.load("a")
            script.counted()
            script.pending += 1
            script.source += [
                "vfio_query_precopy_size  (a) init 100, dirty 0, reinit 1, ret 0", "vfio_query_precopy_size_request_switchover_ack  (a)",
                script.state("a", initial: 100, requests: true), script.query(total: 500, collected: 1), "savevm_state_iterate ",
            ]
            script.section("a", block: 100, left: 0, marker: true)
        }
        return script
    }

    @Test func reinitsWithoutEndDoNotConverge() throws {
        var circumstances = Circumstances()
        circumstances.reinitsForever = true
        #expect(try verdict(reinitialising(80)) == nil)
        #expect(try verdict(reinitialising(40), circumstances) == nil)
        #expect(try verdict(reinitialising(60), circumstances) == .doesNotConverge)
        #expect(try reinitialising(60).verifier(circumstances).judgement().broken == ["converges"])
    }

    @Test(arguments: [
        ("on query 1 do reinit 8192", true), ("on query 2 when=1..3 do reinit 8192", false), ("on gate wait do reinit 4K", false),
        ("on query 1 do dirty 4K", false), ("", false),
    ])
    func aScriptSaysWhetherItEnds(line: String, isForever: Bool) { #expect(reinitialisesForever(line) == isForever) }

    /// The number is read before the line is printed, and an ACK's line may come between (11.1.3, on a busy machine).
    @Test func aQuerysNumberMayBeOlderThanAnACKsLine() throws {
        var script = Script()
        script.section("a", block: 100, left: 0, marker: true)
        script.load("a")
        script.source.append(script.state("a", initial: 0))
        let query = script.query(total: 500)
        script.counted()
        script.source += [query, "savevm_state_iterate "]
        script.iterate(1, total: { _ in 2000 })
        #expect(try script.verifier().judgement().broken == ["truncated"])
        // Without a device's line between it is a number that nothing explains.
        script.source.remove(at: script.source.count - 6)
        #expect(try script.verifier().judgement().broken.contains("pending-number"))
    }
}

extension String {
    fileprivate func replacing(_ old: String, _ new: String) -> String {
        split(separator: " ").map { $0.hasPrefix(old) ? new + $0.dropFirst(old.count) : $0 }.joined(separator: " ")
    }
}
