/// The pause before the switchover: it comes after every ACK, and what goes wrong behind it leaves the source's guest running.
import MigrationTrace
import Testing

@testable import Verification

@Suite struct PauseTests {
    @Test func aPausedMigrationThatIsContinuedCompletes() throws {
        let judgement = try Recording.cell("libvirt").judgement()
        #expect(judgement.verdict == .completed && judgement.findings.isEmpty && judgement.isGating)
        #expect(judgement.handshake.acksCounted == 4)
    }

    /// The last ACK is counted only behind the pause, and the final query still shows it pending: the decision did not wait for it.
    @Test func aPauseBeforeTheLastACK() throws {
        let recording = try Recording.cell("libvirt")
        let final = try #require(recording.number(.source, "final=1"))
        let last = try #require(recording.numbers(.source, "source_return_path_thread_switchover_acked").last)
        let altered = recording.replacing(.source, final, "total switchover ack pending=0", "total switchover ack pending=1")
            .moving(.source, last, before: final + 1)
        let decision = try #require(altered.number(.source, "migration_thread_low_pending"))
        #expect(try altered.judgement().breaks(.decisionAwaitsAcks, at: decision, of: .source))
    }

    @Test func aCancelledPauseLeavesTheSourceRunning() throws {
        let recording = try Recording.cell("libvirt-cancel")
        let judgement = try recording.judgement()
        #expect(judgement.verdict == .failed && judgement.findings.isEmpty)
        // A source that does not run its guest again has lost it.
        var silent = recording
        for line in recording.numbers(.source, "running 1").reversed() where line > recording.number(.source, "pre-switchover")! {
            silent = silent.removing(.source, line)
        }
        for line in silent.numbers(.source, "new_state 9 (running)").reversed() where line > silent.number(.source, "pre-switchover")! {
            silent = silent.removing(.source, line)
        }
        let lost = try silent.judgement()
        #expect(lost.verdict == .noGuest)
        #expect(lost.broken.contains("a-guest") && lost.broken.contains("resumes-on-failure"))
    }

    /// The manager that waits for the source's end before it continues the destination has one guest; one that does not has two.
    @Test func anUnderflowInThePauseIsForTheManagerToSurvive() throws {
        let recording = try Recording.cell("libvirt-underflow")
        #expect(try recording.judgement().verdict == .wouldRunTwoGuests)
        var continued = recording
        continued.lines[.destination]!.append("runstate_set current_run_state 4 (paused) new_state 9 (running)")
        #expect(try continued.judgement().verdict == .twoGuests)
    }
}
