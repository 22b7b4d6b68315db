/// A migration that its manager cancels: what was requested and counted before, and which guests run afterwards.

/// When the manager cancels the migration.
package enum Cancel: String, Hashable, Sendable {
    /// The source is still connecting to the destination.
    case connecting
    /// A gate holds a device's move to PRE_COPY. The source does not answer its monitor, and obeys when the gate opens.
    case inSetup
    /// A gate holds the last device's load, and the source goes on iterating.
    case onlyTheAckIsMissing
    /// Every ACK is counted and the guest is stopped; the source waits for its manager in `pre-switchover`.
    case inPreSwitchover
    /// Everything is sent. The destination is still loading, and the source waits for it to report the end.
    case everythingIsSent
}

/// What a migration shows that is cancelled at this moment; `outcome` is what it would show otherwise.
func cancelled(_ moment: Cancel, _ scenario: Scenario, _ outcome: Outcome) -> Outcome {
    var cancelled = outcome
    cancelled.ending = .failed
    cancelled.words = nil
    switch moment {
    case .connecting:
        // The migration begins all the same once it is connected. 10.0.13 looks at its status then; 11.1.3 waits for a return path that
        // nobody shuts down.
        cancelled = Outcome(scenario.source.knowsPerDevice ? .waitsForever : .failed)
        cancelled.restsOn = ["connects-though-cancelled", "opens-return-path-when-cancelled"]
    case .inSetup:
        // How far the source gets before it obeys depends on which thread is faster; no request is answered.
        cancelled = Outcome(.failed)
    case .onlyTheAckIsMissing:
        // The destination still reads what was sent when the gate opens, as far as the connection is still there.
        cancelled.approvals = nil
        cancelled.acksSent = nil
        cancelled.acksCounted = outcome.acksCounted.map { $0 - 1 }
        cancelled.isGating = false
    case .inPreSwitchover: break
    case .everythingIsSent:
        // The source runs its guest again, and nothing tells the destination, which has all that it needs to run it too (10.0.13 and
        // 11.1.3).
        cancelled.ending = scenario.destination.startsPaused ? .wouldRunTwoGuests : .twoGuests
        cancelled.restsOn = ["cancels-after-hand-over", "starts-before-shut"]
    }
    return cancelled
}
