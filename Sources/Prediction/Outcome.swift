/// What a migration is predicted to show.

/// How it ends; the words are those of the contract of verdicts.
public enum Ending: String, Hashable, Sendable {
    case completed
    case failed = "failed, source running"
    case waitsForEver = "waits for ever"
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
public struct Outcome: Hashable, Sendable {
    public var ending: Ending
    /// By device: what a per-device source collects.
    public var requests: [Int]?
    /// By device: what a legacy destination counts in.
    public var countedIn: [Int]?
    /// By device: markers the destination accepts.
    public var approvals: [Int]?
    public var acksSent: Int?
    public var acksCounted: Int?
    /// The ACK must be seen to hold the decision back.
    public var isGating = false
    /// RAM must be seen to leave a device with initial bytes nothing of a window.
    public var starves = false
    /// Words of the refusal, or of the error the source keeps.
    public var words: String?
    /// The same, where it depends on who is faster which of two errors comes first and is kept.
    public var otherWords: String?

    public init(_ ending: Ending) { self.ending = ending }
}
