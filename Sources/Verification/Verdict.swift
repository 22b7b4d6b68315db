/// How a migration ended, or why it never ends.

package enum Verdict: String, CaseIterable, Hashable, Sendable {
    case completed
    case failed = "failed, source running"
    case waitsForever = "waits forever"
    case endlessAfterUnderflow = "endless after underflow"
    case twoGuests = "two guests running"
    /// The destination has completed and is paused, while the source runs its guest.
    case wouldRunTwoGuests = "would run two guests if the manager continued"
    case noGuest = "no guest running"
    case doesNotConverge = "does not converge"
    /// Postcopy lost its channel. The destination runs the guest, and can still fetch the missing pages after a recovery.
    case paused = "paused, recoverable"
    /// COLO: both guests run in step, as intended.
    case replicates = "replicates by COLO"
    /// None of the above is proved; the reason names the side that owes the next step.
    case undecided
}

/// The judgement of one migration.
package struct Judgement: Hashable, Sendable {
    package var verdict: Verdict
    /// The closing event, the proof, or the side that owes the next step.
    package var reason: String
    /// By stream and by line in the stream; rules about sums over both sides are last.
    package var findings: [Finding]
    package var handshake: Handshake
    /// What kept rules from being judged; empty where all events were traced and no line is missing.
    package var unjudged: [Unjudged] = []
    /// By rule id: further findings, which were counted only.
    package var omitted: [String: Int] = [:]
    /// True if an ACK held the decision back; without that a completed handshake proves nothing.
    package var isGating: Bool { handshake.isGating }
    /// True if a side's log ends before its migration does: the migration still runs, or the log was cut.
    package var isUnfinished: Bool { unjudged.contains { if case .notEnded = $0.cause { true } else { false } } }
    /// Ids of the rules that broke, each once.
    package var broken: [String] { findings.brokenRules }
}

extension [Finding] {
    /// Ids of the rules that broke, each once, in the order of their first finding.
    package var brokenRules: [String] {
        reduce(into: []) { ids, finding in if !ids.contains(finding.rule.id) { ids.append(finding.rule.id) } }
    }
}
