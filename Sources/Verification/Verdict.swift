/// How a migration ended, or that it never will.

package enum Verdict: String, CaseIterable, Hashable, Sendable {
    case completed
    case failed = "failed, source running"
    case waitsForever = "waits forever"
    case endlessAfterUnderflow = "endless after underflow"
    case twoGuests = "two guests running"
    /// The destination is complete and paused, and the source runs.
    case wouldRunTwoGuests = "would run two guests if the manager continued"
    case noGuest = "no guest running"
    case doesNotConverge = "does not converge"
    /// Postcopy lost its channel; the destination runs the guest, and the pages that it lacks can still be had.
    case paused = "paused, recoverable"
    /// COLO: both guests run in step, as they are meant to.
    case replicates = "replicates by COLO"
    /// Nothing proves either; the reason says who owes the next step.
    case undecided
}

/// The judgement of one migration.
package struct Judgement: Hashable, Sendable {
    package var verdict: Verdict
    /// The closing event, the proof, or who owes the next step.
    package var reason: String
    /// By stream, and by line in it; sums over both sides last.
    package var findings: [Finding]
    package var handshake: Handshake
    /// The ACK held a decision back; without that a completed handshake proves nothing.
    package var isGating: Bool { handshake.isGating }
    /// Ids of the rules that broke, each once.
    package var broken: [String] { findings.brokenRules }
}

extension [Finding] {
    /// Ids of the rules that broke, each once, in the order of their first finding.
    package var brokenRules: [String] {
        reduce(into: []) { ids, finding in if !ids.contains(finding.rule.id) { ids.append(finding.rule.id) } }
    }
}
