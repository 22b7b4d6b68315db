/// A source whose stopped devices give their state to channels on which the destination takes memory alone.

/// What that makes of a migration that would have completed, everything sent before the destination finds out.
///
/// A channel's thread refuses the state and ends. The main thread, which reads a stream without error, fails the load when it asks how the
/// channels did, and says SHUT 0, since that is about the stream: the source completes, and no guest is left. Where it asks before the
/// channel's thread has read so far, it completes without the state (10.0.13 and 11.1.3).
func lostOnChannels(_ outcome: Outcome) -> [Outcome] {
    guard outcome.ending == .completed else { return [outcome] }
    var lost = outcome
    lost.ending = .noGuest
    return [lost, outcome]
}
