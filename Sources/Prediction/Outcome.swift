/// What a migration is predicted to show.

/// How a migration ends. The words are those of the verdict contract.
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
    /// A side refuses the migration before anything is sent.
    case refused
}

/// One way in which a migration may go. Counts by device are in plug order, the requester's count, where there is one, behind them. A count
/// is exact, or nil where it depends on which thread is faster and so tells nothing of the handshake.
package struct Outcome: Hashable, Sendable {
    package var ending: Ending
    /// By device: the requests that a per-device source collects.
    package var requests: [Int]?
    /// By device: 1 if a legacy destination waits for its approval.
    package var countedIn: [Int]?
    /// By device: the markers that the destination accepts.
    package var approvals: [Int]?
    package var acksSent: Int?
    package var acksCounted: Int?
    /// True if the trace must show that the ACK held the decision back.
    package var isGating = false
    /// True if the trace must show that RAM left a device with initial bytes nothing of a window.
    package var starves = false
    /// Words that the refusal contains, or the error that the source keeps; nil: any.
    package var words: String?
    /// Other words that will do, where either of two errors may come first and is kept.
    package var otherWords: String?

    /// The features and known defects that this way rests on, by their names: where one of them is not as its release has it, the
    /// migration goes another way.
    package var restsOn: [String] = []

    package init(_ ending: Ending) { self.ending = ending }
}
