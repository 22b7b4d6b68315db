/// A migration that its manager cancels: what was requested and counted by then, and the source's guest goes on.

/// When the source is told to cancel.
public enum Cancel: String, Hashable, Sendable {
    /// A gate holds the last device's load, and the source goes on asking.
    case onlyTheAckIsMissing
}

/// What a cancelled migration shows, from what it would have shown.
func cancelled(_ moment: Cancel, _ outcome: Outcome) -> Outcome {
    var cancelled = outcome
    cancelled.ending = .failed
    cancelled.words = nil
    switch moment {
    case .onlyTheAckIsMissing:
        // What had been sent is still read when the gate opens, as far as the connection lets it.
        cancelled.approvals = nil
        cancelled.acksSent = nil
        cancelled.acksCounted = outcome.acksCounted.map { $0 - 1 }
        cancelled.isGating = false
    }
    return cancelled
}
