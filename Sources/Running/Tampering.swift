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
        let entries = Array(trace.source)
        let decision = entries.firstIndex { if case .migrationThreadLowPending? = $0.event { true } else { false } }
        // The iteration after that query is what shows that the decision was held back.
        guard let heldBack = trace.entriesBeforeFirstHeldBackStep, let decision, heldBack < decision else { return nil }
        return replacing(entries, heldBack: heldBack, decision: decision, in: trace)
    }

    private func replacing(_ entries: [Entry], heldBack: Int, decision: Int, in trace: Trace) -> Trace {
        var entries = entries
        let moved = entries[decision]
        switch self {
        case .decisionBeforeAck:
            entries.remove(at: decision)
            entries.insert(moved, at: heldBack)
        case .ackIgnored:
            // The destination answers when it gets there, which is when its last message comes.
            let answers = entries[heldBack..<decision].filter { $0.event?.thread == .returnPath }
            let last = entries[decision...].firstIndex { $0.event?.thread == .returnPath } ?? entries.endIndex
            entries.insert(contentsOf: answers, at: last)
            entries.replaceSubrange(heldBack...decision, with: [moved])
        }
        var tampered = trace
        tampered.source = FoldedStream(entries)
        return tampered
    }
}
