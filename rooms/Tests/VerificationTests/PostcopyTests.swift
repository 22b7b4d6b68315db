import MigrationTrace
import Testing

@testable import Verification

/// Postcopy, files, pipes, snapshots and COLO: what real QEMUs logged, and the same logs made wrong.
@Suite struct PostcopyVerdictTests {
    struct Expected: Sendable {
        var cell: String
        var verdict: Verdict
        var broken: [String] = []
        init(_ cell: String, _ verdict: Verdict, _ broken: [String] = []) {
            (self.cell, self.verdict, self.broken) = (cell, verdict, broken)
        }
    }

    static let cells = [
        Expected("postcopy", .completed), .init("postcopy-recovered", .completed), .init("postcopy-paused", .paused),
        .init("postcopy-killed-loading", .failed), .init("snapshot", .completed), .init("colo", .replicates),
        .init("postcopy-all-sent", .failed, ["package-runs"]),
        .init("postcopy-cut-at-end", .twoGuests, ["resumes-on-failure", "one-guest"]),
        .init("postcopy-killed-loading-10.0", .noGuest, ["a-guest"]), .init("postcopy-bitmaps", .doesNotConverge, ["converges"]),
        .init("pipe", .waitsForever, ["ends"]), .init("file", .waitsForever, ["ends"]), .init("colo-10.0", .twoGuests, ["one-guest"]),
    ]

    @Test(arguments: cells) func asRecorded(expected: Expected) throws {
        let judgement = judge(try Recording.trace(expected.cell))
        #expect(judgement.verdict == expected.verdict, "\(judgement.reason)")
        #expect(Set(judgement.broken) == Set(expected.broken))
        #expect(try Recording.cell(expected.cell).judgement() == judgement)
    }

    /// Logs of one side alone, without what the header knows, break nothing that the pair does not.
    @Test(arguments: cells.filter(\.broken.isEmpty).map(\.cell)) func aHealthySideAloneIsSilent(cell: String) throws {
        for side in [StreamName.source, .destination] {
            var recording = try Recording.cell(cell)
            // A snapshot and a killed destination leave no end of their own there.
            if side == .destination, ["snapshot", "postcopy-killed-loading", "colo"].contains(cell) { continue }
            recording.circumstances = Circumstances()
            recording.lines = [side: recording.lines[side]!]
            #expect(try recording.judgement().findings == [], "\(side)")
        }
    }

    @Test func postcopyWaitsForTheAckToo() throws {
        let recording = try Recording.cell("postcopy")
        let judgement = try recording.judgement()
        #expect(judgement.isGating)
        let start = try #require(recording.number(.source, "postcopy_start "))
        let ack = try #require(recording.number(.source, "switchover_acked"))
        #expect(ack < start)
        // Its start before the ACK is a decision without it.
        let early = try recording.moving(.source, start, before: #require(recording.number(.source, "savevm_state_iterate"))).judgement()
        #expect(early.broken.contains("decision-awaits-acks"))
    }

    @Test func aPauseNeedsBothSides() throws {
        let recording = try Recording.cell("postcopy-paused")
        let pause = try #require(recording.number(.destination, "new state postcopy-paused"))
        let open = try recording.removing(.destination, pause).judgement()
        #expect(open.verdict == .undecided)
        #expect(open.broken == ["truncated"])
        var killed = recording.removing(.destination, pause)
        killed.circumstances.destinationWasKilled = true
        let lost = try killed.judgement()
        #expect(lost.verdict == .noGuest)
        #expect(lost.broken == ["a-guest"])
    }

    /// A source that is told to quit while paused says that it cancels; it is paused all the same.
    @Test func quittingWhilePausedIsNoArc() throws {
        let recording = try Recording.cell("postcopy-paused")
        let quit = recording.inserting(.source, "migrate_set_state new state cancelling", before: recording.lines[.source]!.count + 1)
        let judgement = try quit.judgement()
        #expect(judgement.verdict == .paused)
        #expect(judgement.findings == [])
    }

    @Test(arguments: ["postcopy-recover-setup", "postcopy-recover"]) func recoveryTakesItsArcs(status: String) throws {
        let recording = try Recording.cell("postcopy-recovered")
        let line = try #require(
            recording.numbers(.source, "new state \(status)").first { recording.lines[.source]![$0 - 1].hasSuffix(status) })
        let judgement = try recording.replacing(.source, line, status, "device").judgement()
        #expect(judgement.breaks(.statusArc, at: line, of: .source))
    }

    /// What was sent and never done is handed over to nobody; what was done is.
    @Test func aSourceRunsAgainOnlyWhatWasNotTaken() throws {
        let loading = try Recording.cell("postcopy-killed-loading")
        #expect(try loading.judgement().broken == [])
        let cut = try Recording.cell("postcopy-cut-at-end")
        let resumed = try #require(cut.numbers(.source, "vm_state_notify running 1").last)
        #expect(try cut.judgement().findings.contains { $0.rule == .resumesOnFailure && $0.places.first!.line <= resumed })
        // Had the destination refused the order to run, it would be as it should.
        let end = try #require(cut.number(.destination, "qemu_loadvm_state_post_main 1"))
        let refused = cut.replacing(.destination, end, "post_main 1", "post_main -22")
        #expect(try !refused.judgement().findings.contains { $0.rule == .resumesOnFailure })
    }

    @Test func thePackageRunsOrFails() throws {
        let recording = try Recording.cell("postcopy")
        let run = try #require(recording.number(.destination, "loadvm_postcopy_handle_run"))
        let result = try #require(recording.number(.destination, "qemu_loadvm_state_section_command 1", after: run))
        let judgement = try recording.replacing(.destination, result, "section_command 1", "section_command -1").judgement()
        #expect(judgement.breaks(.packageRuns, at: run, of: .destination))
    }

    /// Pending bytes that fall in postcopy are no proof; those that stay are, after 200 iterations.
    @Test func postcopyThatStillFallsMayEnd() throws {
        let recording = try Recording.cell("postcopy-bitmaps")
        let queries = recording.numbers(.source, "qemu_savevm_query_pending exact=0")
        let last = try #require(queries.last)
        #expect(try recording.judgement().verdict == .doesNotConverge)
        let falling = recording.replacing(.source, last, "total=32768", "total=0")
        #expect(try falling.judgement().verdict == .undecided)
    }

    /// Only who knows of the pipe knows that nothing comes; and a wait that is armed is open.
    @Test func aPipeIsKnownFromOutside() throws {
        var recording = try Recording.cell("pipe")
        recording.circumstances.armed = "schedule step 1 of 1: open gate load"
        #expect(try recording.judgement().verdict == .undecided)
        recording.circumstances.armed = nil
        recording.circumstances.isOneWay = false
        #expect(try recording.judgement().verdict == .undecided)
    }

    @Test func aSnapshotIsSavedWithTheGuestStopped() throws {
        let recording = try Recording.cell("snapshot")
        let stop = try #require(recording.number(.source, "(save-vm)"))
        // Without the stop it is a migration that completes without having been active.
        let judgement = try recording.replacing(.source, stop, "save-vm", "paused").judgement()
        #expect(judgement.broken.contains("status-arc"))
    }
}
