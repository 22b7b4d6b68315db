import MigrationTrace
import Testing

@testable import Verification

/// How a migration ends for its guest: who runs it, who would, and what each source owes it.
@Suite struct GuestTests {
    private func judge(_ recording: Recording) throws -> Judgement { try recording.judgement() }

    /// Without the devices' lines of the destination's end: nobody started its guest.
    private func paused(_ recording: Recording) throws -> Recording {
        var other = recording
        other.lines[.destination]!.removeAll { $0.contains("running 1") }
        return other
    }

    @Test func twoGuestsAndOneThatOnlyWaits() throws {
        let recording = try Recording.capture("vfio-srclegacy-dstnew-2")
        let split = try judge(recording)
        #expect(split.verdict == .twoGuests)
        let waiting = try judge(paused(recording))
        #expect(waiting.verdict == .wouldRunTwoGuests)
        #expect(waiting.broken == split.broken)
        #expect(waiting.findings.last?.rule == .oneGuest)
    }

    @Test func aSourceThatDoesNotRunItsGuestAgain() throws {
        var recording = try Recording.capture("lm-final-reinit")
        let failing = try #require(recording.number(.source, "new state failing"))
        let restarts = recording.numbers(.source, "running 1 reason running").filter { $0 > failing }
        #expect(!restarts.isEmpty)
        for line in restarts.reversed() { recording = recording.removing(.source, line) }
        let judgement = try judge(recording)
        #expect(judgement.verdict == .noGuest)
        #expect(judgement.broken == ["a-guest", "resumes-on-failure"])
    }

    @Test func aGuestThatWasPausedIsKept() throws {
        let judgement = try judge(.capture("lm-srcnew-dstlegacy-reinit"))
        #expect(judgement.verdict == .failed)
        #expect(judgement.reason.contains("keeps its guest"))
    }

    /// A cont takes a device out of its session in the midst of precopy; the start of the guest of a source that failed is as it should be.
    @Test func aGuestThatIsStartedInPrecopyEndsItsDevicesSessions() throws {
        let failed = try Recording.capture("lm-final-reinit")
        #expect(!failed.numbers(.source, "running 1 reason running").isEmpty)
        #expect(try !judge(failed).broken.contains("session-lasts"))
        let active = try #require(failed.number(.source, "new state active"))
        let start = "vfio_vmstate_change  (9f707000-623d-445e-92cc-df8045197822) running 1 reason running device state"
        let broken = try judge(failed.inserting(.source, start + " RUNNING", before: active + 2))
        #expect(broken.breaks(.sessionLasts, at: active + 2, of: .source))
        let kept = try judge(failed.inserting(.source, start + " PRE_COPY", before: active + 2))
        #expect(!kept.broken.contains("session-lasts"))
    }

    @Test func aDestinationThatFailsAfterTheSourceCompleted() throws {
        var recording = try Recording.capture("vfio-new-1")
        let completed = try #require(recording.number(.destination, "new state completed"))
        recording = recording.replacing(.destination, completed, "completed", "failed")
        let judgement = try judge(recording)
        #expect(judgement.verdict == .noGuest)
        #expect(judgement.broken == ["a-guest"])
    }

    /// Up to 10.2 the source says that it failed before it starts its guest again.
    @Test func anOldSourceThatIsCutBeforeItsGuestRuns() throws {
        var recording = try Recording.capture("x-vfio-10to10-2")
        let completed = try #require(recording.number(.source, "new state completed"))
        recording = recording.keeping(.source, first: completed).replacing(.source, completed, "completed", "failed")
        recording.lines[.destination] = nil
        let judgement = try judge(recording)
        #expect(judgement.verdict == .undecided)
        #expect(judgement.broken == ["truncated"])
    }
}

/// What only the devices' own streams can tell: REINITs no query saw, and resets.
@Suite struct DeviceEvidenceTests {
    private func reinit(_ action: String = "reinit") -> String { "device_injected  (v0) line 9, action \(action), value 4096" }

    @Test func aReinitThatNoQuerySaw() throws {
        let recording = try Recording.cell("reinit-gate")
        let last = try #require(recording.number(.sourceDevices, "from PRE_COPY to PRE_COPY_P2P"))
        let late = recording.inserting(.sourceDevices, reinit(), before: last + 1)
        let judgement = try late.judgement()
        #expect(judgement.verdict == .completed)
        #expect(judgement.broken == ["unnoticed-reinit"])
        #expect(judgement.findings.first?.device == "0000:00:01.0/vfio")
        #expect(judgement.breaks(.unnoticedReinit, at: last + 1, of: .sourceDevices))
        // Ignored by the device, without per-device ACKs, or with the capability off it is none.
        #expect(try recording.inserting(.sourceDevices, reinit("reinit-ignored"), before: last + 1).judgement().findings == [])
        let legacy = try Recording.cell("legacy-10.0-11.1")
        let there = try #require(legacy.number(.sourceDevices, "from PRE_COPY to PRE_COPY_P2P"))
        #expect(try legacy.inserting(.sourceDevices, reinit(), before: there + 1).judgement().findings == [])
    }

    /// Whether a device has P2P: by what QEMU found, else by how it was stopped; and a new process has other devices.
    @Test func aDeviceWithoutP2P() throws {
        var (arcs, reporter) = (DeviceArcs(.source), RuleReporter())
        reporter.advance(to: .savevmStateIterate, at: Place(stream: .source, line: 1))
        #expect(!arcs.lacksP2P("v0"))
        arcs.found("v0", flags: 5, precopyInfoV2: false)
        arcs.found("v1", flags: 7, precopyInfoV2: false)
        #expect(arcs.lacksP2P("v0") && !arcs.lacksP2P("v1"))
        arcs.prepared("v2", running: false, .preCopyP2P, &reporter)
        for name in ["v2", "v3"] { arcs.changed(name, running: false, .stopCopy, &reporter) }
        #expect(!arcs.lacksP2P("v2") && arcs.lacksP2P("v3"))
        arcs.restart()
        #expect(!arcs.lacksP2P("v0") && !arcs.lacksP2P("v3"))
    }

    /// Approvals behind so many bytes each, and rounds of initial bytes that were complete behind so many: the approval that is ahead.
    @Test(arguments: [
        ([] as [UInt64], [] as [UInt64], Int?.none), ([100], [100], nil), ([0], [100], 0), ([100, 200], [100, 200], nil),
        ([100, 150], [100, 200], 1), ([100], [100, 200], nil),
        // The device re-initialised as it gave the last bytes: its rounds are one, or two are answered at once.
        ([50, 200], [200], nil), ([50, 300], [200, 300], nil), ([50, 60], [200], 0),
        // Nothing new came with it.
        ([100, 100], [100], nil),
    ]) func anApprovalAheadOfItsRound(approvals: [UInt64], rounds: [UInt64], early: Int?) {
        func place(_ line: Int) -> Place { Place(stream: .destination, line: line) }
        let points = approvals.enumerated().map { MarkerPoint(place: place($0), bytes: $1) }
        let complete = rounds.enumerated().map { (bytes: $1, place: place($0)) }
        #expect(Verifier.earlyApproval(points, complete[...])?.approval == early)
    }

    /// A last check that fails counts as a request. Whether a reset was the cause the device's stream tells; without it, the errno.
    @Test(arguments: [
        (ret: -5, reset: false, devices: true, broken: [String]()), (-22, false, true, []), (-22, true, true, ["reset-while-waiting"]),
        (-5, false, false, []), (-22, false, false, ["reset-while-waiting"]), (-19, false, false, ["reset-while-waiting"]),
    ])
    func aRequestAfterTheDecisionThatNoReinitMade(ret: Int, reset: Bool, devices: Bool, broken: [String]) throws {
        var recording = try Recording.capture("lm-final-reinit")
        let query = try #require(recording.number(.source, "init 252096, dirty 0, reinit 1, ret 0"))
        recording = recording.removing(.source, query + 1)
            .replacing(.source, query, "init 252096, dirty 0, reinit 1, ret 0", "init 0, dirty 0, reinit 0, ret \(ret)")
        let pending = "stopcopy size 256208, precopy initial size 252096"
        for line in try recording.some(.source, pending) {
            recording = recording.replacing(.source, line, pending, "stopcopy size 4112, precopy initial size 0")
        }
        if devices {
            let name = "9f707000-623d-445e-92cc-df8045197822"
            recording.lines[.sourceDevices] = [
                "device_open  (\(name)) mig_flags 0x7, reinit 1", "device_state  (\(name)) from RUNNING to PRE_COPY",
                "device_session_begin  (\(name)) saving session 1",
            ]
            if reset {
                recording.lines[.sourceDevices]! += ["device_reset  (\(name)) from PRE_COPY", "device_session_end  (\(name)) session 1"]
            }
        }
        let judgement = try recording.judgement()
        #expect(judgement.verdict == .failed)
        #expect(judgement.broken == broken)
    }
}
