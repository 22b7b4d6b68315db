/// A migration that its manager cancels: what was requested and counted by then, and which guests run after it.

/// When the source is told to cancel.
package enum Cancel: String, Hashable, Sendable {
    /// The connection to the destination is not made yet.
    case connecting
    /// A device's move to PRE_COPY is held: the source answers nobody, and obeys when it goes on.
    case inSetup
    /// A gate holds the last device's load, and the source goes on asking.
    case onlyTheAckIsMissing
    /// Every ACK is counted and the guest stopped; the source waits for its manager.
    case inPreSwitchover
    /// Everything is sent. The destination is still loading it, and the source waits for it to say so.
    case everythingIsSent
}

/// What a cancelled migration shows, from what it would have shown.
func cancelled(_ moment: Cancel, _ scenario: Scenario, _ outcome: Outcome) -> Outcome {
    var cancelled = outcome
    cancelled.ending = .failed
    cancelled.words = nil
    switch moment {
    case .connecting:
        // Once connected it begins all the same. 10.0.13 looks at its status then; 11.1.3 waits for a return path that nobody shuts down.
        cancelled = Outcome(scenario.source.knowsPerDevice ? .waitsForever : .failed)
    case .inSetup:
        // How far it comes before it obeys depends on who is faster; nothing that it asks for is answered.
        cancelled = Outcome(.failed)
    case .onlyTheAckIsMissing:
        // What had been sent is still read when the gate opens, as far as the connection lets it.
        cancelled.approvals = nil
        cancelled.acksSent = nil
        cancelled.acksCounted = outcome.acksCounted.map { $0 - 1 }
        cancelled.isGating = false
    case .inPreSwitchover: break
    case .everythingIsSent:
        // The source takes its guest back, and nobody tells the destination, which has all it needs (10.0.13 and 11.1.3).
        cancelled.ending = scenario.destination.startsPaused ? .wouldRunTwoGuests : .twoGuests
    }
    return cancelled
}
