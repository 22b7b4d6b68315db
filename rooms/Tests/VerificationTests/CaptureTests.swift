import MigrationTrace
import Testing

@testable import Verification

/// The judgement of every capture of real QEMUs: how it ended, and what is wrong with it.
@Suite struct CaptureTests {
    struct Expected: Sendable {
        var tag: String
        var verdict: Verdict
        var broken: [String]
        var why: String

        init(_ tag: String, _ verdict: Verdict, _ broken: [String] = [], _ why: String = "") {
            self.tag = tag
            self.verdict = verdict
            self.broken = broken
            self.why = why
        }
    }

    static let good = [
        "lm-final-legacy", "lm-final-none", "lm-nop2p-final", "lm-reinit-q23", "none-bitmap-postcopy", "none-dirty-bitmap",
        "none-legacy-both",
        "none-multifd", "none-pause", "none-postcopy", "none-postcopy-recover", "none-uuid", "q35-11.1", "q35-postcopy", "q35-xbzrle",
        "vfio-multifd", "vfio-new-1", "vfio-new-2", "vfio-new-paused", "vfio-noack", "vfio-srcnew-dstlegacy-1", "x-10to10-none-ack",
        "x-10to10-postcopy", "x-10to11-none-ack-dstlegacy", "x-10to11-none-plain", "x-10to11-postcopy", "x-11to10-none-ack-srclegacy",
        "x-11to10-none-plain", "x-11to10-q35-10.0-ack", "x-vfio-10to10-2", "x-vfio-10to11-1", "x-vfio-10to11-dstnew-1", "x-vfio-11to10-1",
        "x-vfio-11to10-2", "fd-shut0-early",
    ]

    /// Right handshakes that end in a failure: the source runs on.
    static let failing = [
        "lm-final-2dev", "lm-final-reinit", "none-pause-cancel", "fd-ack-len4", "fd-halfclose", "fd-reqpages", "fd-shut1", "fd-type0",
        "fd-type8",
        "x-10-fd-shut1",
    ]

    static let wrong: [Expected] = [
        .init(
            "none-srcnew-dstlegacy", .twoGuests, ["same-mode", "surplus-ack", "one-guest"],
            "no users: the legacy ACK underflows the counter"),
        .init("x-11to10-none-ack", .twoGuests, ["same-mode", "surplus-ack", "one-guest"], "the same, sent by 10.0"),
        .init(
            "vfio-srclegacy-dstnew-2", .twoGuests, ["approved-before-decision", "same-mode", "surplus-ack", "one-guest"],
            "freed by the first of two ACKs"),
        .init("vfio-srcnew-dstlegacy-2", .completed, ["same-mode"], "one ACK for two devices; a stop of the guest released it"),
        .init("x-vfio-11srcnew-to10-2", .completed, ["same-mode"], "the same with 10.0"),
        .init("lm-srcnew-dstlegacy-reinit", .failed, ["same-mode"], "the second marker makes the legacy destination fail"),
        .init("fd-ack-cap-off", .failed, ["surplus-ack"], "an ACK to a new-mode source without devices"),
        .init("fd-extra-ack-new", .failed, ["surplus-ack"], "the same"),
        .init("x-10-fd-two-acks", .completed, ["surplus-ack"], "three ACKs to a 10.0 source, which takes no harm"),
        .init("fd-pong42", .undecided, ["truncated"], "QEMU was quit while it waited for SHUT: cancelling is the last status"),
        .init("fd-reqpagesid", .undecided, ["truncated"], "the same"),
        // The wait was long, but the lines of most iterations were left out: nothing is proved by what is there.
        .init("none-srclegacy-dstnew", .completed, [], "no ACK; a stop of the guest released it"),
        .init("x-10to11-none-ack", .completed, [], "no ACK; a stop of the guest released it"),
    ]

    /// Of these only the destination's log was kept.
    static let destinations: [(String, Verdict)] = [
        ("fs-verbatim", .completed), ("fs-legacy-verbatim", .completed), ("fs-machine-prefix", .completed), ("fs-no-iter-end", .completed),
        ("fs-no-rp", .completed), ("fs-no-switchoverstart", .completed), ("fs-no-vmdesc", .completed), ("fs-noram-partend", .completed),
        ("fs-only-config-eof", .completed), ("fs-twice-orp", .completed), ("fs-uuid-sub", .completed), ("fs-badcmd", .failed),
        ("fs-badfooter", .failed), ("fs-badmachine", .failed), ("fs-badsection", .failed), ("fs-badver", .failed), ("fs-caps-sub", .failed),
        ("fs-caps-unknown", .failed), ("fs-cmd8", .failed), ("fs-cmdlen", .failed), ("fs-noconf", .failed), ("fs-nofooter", .failed),
        ("fs-part-unknown", .failed), ("fs-ping-norp", .failed), ("fs-ramver5", .failed), ("fs-tpb-sub", .failed),
        ("fs-unknown-idstr", .failed),
    ]

    @Test(arguments: good) func goodMigrationsBreakNothing(tag: String) throws {
        let judgement = try Recording.capture(tag).judgement()
        #expect(judgement.verdict == .completed)
        #expect(judgement.findings == [])
    }

    @Test(arguments: failing) func rightFailuresBreakNothing(tag: String) throws {
        let judgement = try Recording.capture(tag).judgement()
        #expect(judgement.verdict == .failed)
        #expect(judgement.findings == [])
    }

    @Test(arguments: wrong) func wrongOnesAreNamed(expected: Expected) throws {
        let judgement = try Recording.capture(expected.tag).judgement()
        #expect(judgement.verdict == expected.verdict, "\(judgement.reason)")
        #expect(judgement.broken == expected.broken, "\(expected.why)")
    }

    @Test(arguments: destinations) func destinationsAlone(tag: String, verdict: Verdict) throws {
        let judgement = try Recording.capture(tag).judgement()
        #expect(judgement.verdict == verdict)
        #expect(judgement.findings == [])
    }

    @Test(arguments: ["reinit-gate", "two-devices", "legacy-10.0-11.1"]) func drivenCellsWithMockDevices(cell: String) throws {
        let judgement = judge(try Recording.trace(cell))
        #expect(judgement.verdict == .completed)
        #expect(judgement.findings == [])
        #expect(judgement.isGating)
        #expect(try Recording.cell(cell).judgement() == judgement)
    }

    /// What released QEMUs do with mock devices when modes differ, or a device does what the handshake cannot see.
    static let wrongCells: [Expected] = [
        .init(
            "underflow", .endlessAfterUnderflow, ["same-mode", "surplus-ack", "ends"], "no users: the legacy ACK comes before the decision"),
        .init("legacy-destination", .waitsForever, ["ends", "same-mode"], "two requests, one legacy ACK"),
        .init("destination-precopy-only", .waitsForever, ["ends"], "the legacy destination counts a device whose marker never comes"),
        .init(
            "legacy-source-destination-paused", .wouldRunTwoGuests, ["approved-before-decision", "same-mode", "surplus-ack", "one-guest"],
            "freed by the first of two ACKs, and the manager has not started the destination yet"),
        .init(
            "old-source-decision-first", .completed, ["approved-before-decision", "same-mode", "surplus-ack"],
            "a 10.0 source takes no harm of the second ACK, but did not wait for it"),
        .init("estimate-above-threshold", .doesNotConverge, ["converges"], "the device says that more is left than fits"),
        .init("reinit-after-check", .completed, ["unnoticed-reinit"], "a REINIT behind the last check"),
        .init("guest-reset", .failed, ["reset-while-waiting"], "the reset device fails the last check"),
    ]

    @Test(arguments: wrongCells) func drivenCellsWithADeviation(expected: Expected) throws {
        let judgement = judge(try Recording.trace(expected.tag))
        #expect(judgement.verdict == expected.verdict, "\(judgement.reason)")
        #expect(Set(judgement.broken) == Set(expected.broken), "\(expected.why)")
        #expect(try Recording.cell(expected.tag).judgement() == judgement)
    }

    /// Which ACK came too late, for which device, and on which lines of both sides.
    @Test func theEarlyDecisionNamesTheDeviceItDidNotWaitFor() throws {
        let recording = try Recording.capture("vfio-srclegacy-dstnew-2")
        let finding = try #require(try recording.judgement().findings.first { $0.rule == .approvedBeforeDecision })
        let decision = try #require(recording.number(.source, "migration_thread_low_pending"))
        let acks = recording.numbers(.destination, "migrate_send_rp_message 7")
        let counted = recording.numbers(.source, "switchover_acked")
        #expect(finding.device == "0000:00:02.0/vfio")
        #expect(
            finding.places == [
                Place(stream: .source, line: decision), Place(stream: .destination, line: acks[1]),
                Place(stream: .source, line: counted[1]),
            ])
        #expect(finding.lastGood?.place == Place(stream: .source, line: decision - 1))
        #expect(finding.lastGood?.event.hasPrefix("qemu_savevm_query_pending exact=1") == true)
    }

    /// Every capture is in one of the tables; the one that is not says nothing of its side.
    @Test func everyCaptureIsJudged() throws {
        let all = Self.good + Self.failing + Self.wrong.map(\.tag) + Self.destinations.map(\.0)
        #expect(Set(all).count == all.count)
        #expect(Set(all).union(["fs-badmagic"]) == Set(try captureTags()))
    }
}
