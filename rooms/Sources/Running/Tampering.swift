/// Logs made wrong on purpose: what proves that the verifier sees, and that the ACK gated.
import MigrationTrace
import Verification

package enum Tampering: String, CaseIterable, Sendable {
    /// The decision stands where a source that ignores the ACK would have made it: at the first query at which only the ACK was missing.
    case decisionBeforeAck = "decision-before-ack"
    /// The whole log such a source would leave: nothing iterates between that query and its completion. Only what is missing then tells:
    /// no step was held back.
    case ackIgnored = "ack-ignored"

    /// The trace as it would read; nil where there is nothing to move: no decision, or no query that it could have been made at.
    package func tamper(_ trace: Trace) -> Trace? {
        var account = SourceAccount()
        var entries: [Entry] = []
        var ripe: Int?
        var decision: Int?
        for entry in trace.source {
            if let event = entry.event {
                let before = account.gatedSteps
                account.take(event)
                // The iteration that follows a ripe query is what shows that it was held back.
                if ripe == nil, account.gatedSteps > before { ripe = entries.count }
                if case .migrationThreadLowPending = event, decision == nil { decision = entries.count }
            }
            entries.append(entry)
        }
        guard let ripe, let decision, ripe < decision else { return nil }
        let moved = entries[decision]
        switch self {
        case .decisionBeforeAck:
            entries.remove(at: decision)
            entries.insert(moved, at: ripe)
        case .ackIgnored:
            // The destination answers when it gets there, which is when its last message comes.
            let answers = entries[ripe..<decision].filter { $0.event?.thread == .returnPath }
            let last = entries[decision...].firstIndex { $0.event?.thread == .returnPath } ?? entries.endIndex
            entries.insert(contentsOf: answers, at: last)
            entries.replaceSubrange(ripe...decision, with: [moved])
        }
        var tampered = trace
        tampered.source = FoldedStream(entries)
        return tampered
    }
}
