/// A source that its manager pauses before the switchover, with every ACK counted, and what may fail from there on.

/// Why a migration that reached `pre-switchover` does not complete.
package enum SwitchoverFailure: String, Hashable, Sendable {
    /// The manager cancels instead of continuing.
    case cancelled
    /// The destination's process ends; the source does not notice until its manager cancels.
    case destinationEnds
    /// The destination cannot load the state of the stopped device.
    case destinationFails
}

/// What a migration shows that fails in this way, if it would have completed. The handshake was over before, so that its counts stand.
func ended(by failure: SwitchoverFailure, _ outcome: Outcome) -> Outcome {
    guard outcome.ending == .completed else { return outcome }
    var failed = outcome
    failed.ending = .failed
    // After a cancel either of two errors may come first.
    failed.words = failure == .destinationFails ? "Sibling indicated error 1" : nil
    // A source that is still sending its stopped devices' state may find the socket closed before its other thread has read the message.
    failed.otherWords = failure == .destinationFails ? "Unable to write to socket" : nil
    return failed
}
