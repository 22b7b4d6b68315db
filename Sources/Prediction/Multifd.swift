/// A source whose stopped devices send their state on channels on which the destination takes memory alone.

/// The ways in which such a migration goes, if everything is sent before the destination notices.
///
/// A channel's thread of the destination refuses the state and ends. The main thread reads a stream without error, fails the load when it
/// asks the channels for their errors, and sends SHUT 0, which is about the stream: the source completes, and no guest is left. If the main
/// thread asks before the channel's thread has read the state, the destination completes without it (10.0.13 and 11.1.3).
func lostOnChannels(_ outcome: Outcome) -> [Outcome] {
    guard outcome.ending == .completed else { return [outcome] }
    var lost = outcome
    lost.ending = .noGuest
    return [lost, outcome]
}
