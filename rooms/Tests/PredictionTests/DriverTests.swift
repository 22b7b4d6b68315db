import Testing

@testable import Prediction

/// The closed forms of cancels and interruptions, against what was measured on 10.0.13 and 11.1.3.
@Suite struct CancelAndInterruptionTests {
    private static let new = Scenario.Side(knowsPerDevice: true, mode: .perDevice)
    private static let old = Scenario.Side(knowsPerDevice: false, mode: .legacy)

    /// Two devices, the last one's load held.
    private func scenario(_ side: Scenario.Side) -> Scenario {
        var scenario = Scenario(source: side, destination: side)
        scenario.devices = Array(repeating: Scenario.Device(source: .reinit, destination: .reinit), count: 2)
        scenario.isGated = true
        return scenario
    }

    /// Ending, approvals, ACKs sent and counted, and whether the ACK is seen to gate; nil is left open.
    typealias Expected = (ending: Ending, approvals: [Int]?, sent: Int?, counted: Int?, gates: Bool)

    @Test(
        arguments: [
            (Cancel.inSetup, (.failed, nil, nil, nil, false), (.failed, nil, nil, nil, false)),
            (.connecting, (.waitsForever, nil, nil, nil, false), (.failed, nil, nil, nil, false)),
            (.onlyTheAckIsMissing, (.failed, nil, nil, 1, false), (.failed, nil, nil, 0, false)),
            (.inPreSwitchover, (.failed, [1, 1], 2, 2, true), (.failed, [1, 1], 1, 1, true)),
            (.everythingIsSent, (.twoGuests, [1, 1], 2, 2, true), (.twoGuests, [1, 1], 1, 1, true)),
        ] as [(Cancel, Expected, Expected)])
    func cancels(moment: Cancel, perDevice: Expected, legacyOnly: Expected) {
        for (side, expected) in [(Self.new, perDevice), (Self.old, legacyOnly)] {
            var cancelled = scenario(side)
            cancelled.cancel = moment
            expect(cancelled, expected, words: nil)
        }
    }

    @Test(
        arguments: [
            (Interruption.stopBeforeMarker, (.completed, [0, 0], 0, 0, false), nil),
            (.stopAndContBeforeMarker, (.waitsForever, [0, 0], 0, 0, false), nil),
            (.stopAndContWaiting, (.failed, [1, 1], 2, 2, true), "Bad file descriptor"),
            (.stopAndContAfterACKs, (.failed, [1, 1], 2, 2, true), "Bad file descriptor"),
            (.resetBeforeMarker, (.failed, [0, 0], 0, 0, false), "No such device"),
            (.resetAfterACKs, (.failed, [1, 1], 2, 2, true), "No such device"),
            (.deviceResetWaiting, (.failed, nil, nil, nil, false), "No such device"),
            (.deviceResetStopping, (.failed, [1, 1], 2, 2, true), "data_fd out of sync"),
        ] as [(Interruption, Expected, String?)])
    func interruptions(interruption: Interruption, perDevice: Expected, words: String?) {
        var interrupted = scenario(Self.new)
        interrupted.interruption = interruption
        expect(interrupted, perDevice, words: words)
        #expect(predict(interrupted).first?.requests == [1, 1])
        // The same ending and words with one ACK for all.
        interrupted = scenario(Self.old)
        interrupted.interruption = interruption
        let legacyOnly = predict(interrupted)
        #expect(legacyOnly.map(\.ending) == [perDevice.ending])
        #expect(legacyOnly.first?.words == words)
        #expect(legacyOnly.first?.acksCounted == perDevice.counted.map { min($0, 1) })
    }

    @Test func aPausedDestinationOnlyWouldRunTheGuestTwice() {
        var cancelled = scenario(Self.new)
        cancelled.cancel = .everythingIsSent
        cancelled.destination.startsPaused = true
        #expect(predict(cancelled).map(\.ending) == [.wouldRunTwoGuests])
    }

    private func expect(_ scenario: Scenario, _ expected: Expected, words: String?) {
        let outcomes = predict(scenario)
        #expect(outcomes.count == 1)
        guard let outcome = outcomes.first else { return }
        #expect(outcome.ending == expected.ending)
        #expect(outcome.approvals == expected.approvals)
        #expect(outcome.acksSent == expected.sent)
        #expect(outcome.acksCounted == expected.counted)
        #expect(outcome.isGating == expected.gates)
        #expect(outcome.words == words)
    }
}
