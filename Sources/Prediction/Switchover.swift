/// A source that its manager pauses before the switchover, every ACK counted, and what may go wrong from there on.

/// What keeps a migration that reached `pre-switchover` from completing.
package enum FailureAfterPause: String, Hashable, Sendable {
    /// The manager cancels instead of continuing.
    case cancelled
    /// The destination's process ends; the source takes no notice until its manager cancels.
    case destinationEnds
    /// The destination cannot load what the stopped device gives.
    case destinationFails
}

/// What the failure makes of a migration that would have completed: by then the handshake was over, so its counts stand.
func ended(by failure: FailureAfterPause, _ outcome: Outcome) -> Outcome {
    guard outcome.ending == .completed else { return outcome }
    var failed = outcome
    failed.ending = .failed
    // Which error comes first after a cancel depends on who is faster.
    failed.words = failure == .destinationFails ? "Sibling indicated error 1" : nil
    // A source that is still at its stopped devices may find the socket closed before its other thread has read what was said.
    failed.otherWords = failure == .destinationFails ? "Unable to write to socket" : nil
    return failed
}
