import MigrationTrace
import Testing

@testable import Verification

/// Breaks of real migrations (10.0.13, 11.1.3): silent where each side did right, and by the right rule where not.
@Suite struct FailureTests {
    @Test(arguments: [
        ("destination-killed", Verdict.failed, [String]()), ("source-killed", .noGuest, []), ("source-killed-late", .completed, []),
        ("source-aborts", .noGuest, ["a-guest"]), ("source-device-reset", .failed, ["device-kept"]),
        ("destination-device-reset", .completed, ["loaded-state-kept"]), ("early-marker", .completed, ["approval-after-initial"]),
        ("return-path-cut", .waitsForever, ["ends"]),
    ])
    func eachBreakIsJudged(cell: String, verdict: Verdict, broken: [String]) throws {
        let judgement = try Recording.cell(cell).judgement()
        #expect(judgement.verdict == verdict, "\(judgement.reason)")
        #expect(judgement.broken == broken)
    }

    /// Who ended the source's process is not in its log: without the header nobody knows that it ended.
    @Test func aSourceThatStopsLoggingIsGoneOnlyWhereItIsSaid() throws {
        var recording = try Recording.cell("source-killed")
        #expect(try recording.judgement().findings == [])
        recording.circumstances.sourceProcess = .byItself
        #expect(try recording.judgement().broken == ["a-guest"])
        recording.circumstances.sourceProcess = nil
        let judgement = try recording.judgement()
        #expect(judgement.verdict == .undecided)
        #expect(judgement.broken == ["truncated"])
    }

    /// After the failure each device is taken back to RUNNING, and then runs with the guest.
    @Test func aDeviceThatIsNotBackInRunning() throws {
        let recording = try Recording.cell("destination-killed")
        let failing = try #require(recording.number(.source, "new state failing"))
        let back = recording.numbers(.source, "state RUNNING").filter { $0 > failing }
        #expect(back.count >= 2)
        var other = recording
        for line in back.reversed() where recording.lines[.source]![line - 1].contains("set_device_state") {
            other = other.removing(.source, line)
        }
        let judgement = try other.judgement()
        #expect(judgement.verdict == .failed)
        #expect(judgement.broken.contains("devices-run-on"))
    }

    /// QEMU's own log tells of a reset, too: the state that was asked for never came, RUNNING did.
    @Test func aResetShowsWithoutTheDevicesOwnLog() throws {
        for (cell, rule) in [("source-device-reset", "device-kept"), ("early-marker", nil)] {
            var recording = try Recording.cell(cell)
            recording.lines[.sourceDevices] = nil
            recording.lines[.destinationDevices] = nil
            #expect(try recording.judgement().broken == [rule].compactMap { $0 })
        }
    }

    /// A device that runs on at a stopped source, or was reset before the migration, has lost nothing.
    @Test func aResetOutsideTheMigrationIsNone() throws {
        let recording = try Recording.cell("destination-killed")
        let session = try #require(recording.number(.sourceDevices, "device_session_begin"))
        let state = try #require(recording.numbers(.sourceDevices, "device_state").last { $0 < session })
        let name = "v0"
        let boot = recording.inserting(.sourceDevices, "device_call  (\(name)) set-state ret -5", before: state)
            .inserting(.sourceDevices, "device_reset  (\(name)) from RUNNING", before: state + 1)
        #expect(!(try boot.judgement().broken.contains("device-kept")))
        // The same in it is one.
        let last = recording.lines[.sourceDevices]!.count
        let refused = recording.inserting(.sourceDevices, "device_call  (\(name)) set-state ret -5", before: last)
            .inserting(.sourceDevices, "device_reset  (\(name)) from RUNNING", before: last + 1)
        #expect(try refused.judgement().broken.contains("device-kept"))
    }

    /// A device that entered ERROR lost its state with the reset that follows, also where no request was refused.
    @Test func aDeviceThatEnteredErrorIsLostByItsReset() throws {
        let recording = try Recording.cell("destination-killed")
        let last = recording.lines[.sourceDevices]!.count
        let error = recording.inserting(.sourceDevices, "device_state  (v0) from RUNNING to ERROR", before: last)
        #expect(!(try error.judgement().broken.contains("device-kept")))
        let reset = error.inserting(.sourceDevices, "device_reset  (v0) from ERROR", before: last + 1)
        #expect(try reset.judgement().broken.contains("device-kept"))
    }
}
