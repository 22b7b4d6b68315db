/// What a migration is predicted to show.

/// How it ends; the words are those of the contract of verdicts.
package enum Ending: String, Hashable, Sendable {
    case completed
    case failed = "failed, source running"
    case waitsForever = "waits forever"
    case endlessAfterUnderflow = "endless after underflow"
    case twoGuests = "two guests running"
    case wouldRunTwoGuests = "would run two guests if the manager continued"
    case noGuest = "no guest running"
    case doesNotConverge = "does not converge"
    case paused = "paused, recoverable"
    case replicates = "replicates by COLO"
    /// A side refuses before anything is sent.
    case refused
}

/// One way it may go. Counts by device have the requester's, where there is one, behind them. Counts are exact; nil where they depend on
/// who is faster, and say nothing of the handshake.
package struct Outcome: Hashable, Sendable {
    package var ending: Ending
    /// By device: what a per-device source collects.
    package var requests: [Int]?
    /// By device: what a legacy destination counts in.
    package var countedIn: [Int]?
    /// By device: markers the destination accepts.
    package var approvals: [Int]?
    package var acksSent: Int?
    package var acksCounted: Int?
    /// The ACK must be seen to hold the decision back.
    package var isGating = false
    /// RAM must be seen to leave a device with initial bytes nothing of a window.
    package var starves = false
    /// Words of the refusal, or of the error the source keeps.
    package var words: String?
    /// The same, where it depends on who is faster which of two errors comes first and is kept.
    package var otherWords: String?

    package init(_ ending: Ending) { self.ending = ending }
}
