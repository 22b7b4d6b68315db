/// Steps of the source's loop that only a missing ACK held back: a migration with such a step is *gating*.
///
/// A step ends with its last query: an exact one replaces the estimate before it. If the pending bytes then fit the threshold, the guest
/// runs and an ACK is missing, only the ACK keeps the source from deciding. The source shows that the ACK held it back by iterating on. A
/// source that ignores the ACK decides at the first such step, and has none.
import MigrationTrace

struct HeldBackSteps: Sendable {
    /// Steps so far after which the source iterated on.
    private(set) var count = 0
    /// Only an ACK is missing for the step in progress to end in the decision.
    private var onlyAckMissing = false

    /// A query, which replaces the one before it in the same step. `mayDecide`: the source could switch over here if it had its ACKs.
    mutating func queried(ackMissing: Bool, mayDecide: Bool) { onlyAckMissing = ackMissing && mayDecide }

    /// The step is over, and the next one begins.
    mutating func iterated() {
        if onlyAckMissing { count += 1 }
        onlyAckMissing = false
    }

    /// Counts the steps since `before` so many times more.
    mutating func repeatWhatHappened(_ times: Int, since before: HeldBackSteps) { count += (count - before.count) * times }

    /// The step ends in the decision: nothing held it back.
    mutating func decided() { onlyAckMissing = false }
}

extension Trace {
    /// How many entries of the source come before the end of the first step that only an ACK held back; nil without such a step.
    package var entriesBeforeFirstHeldBackStep: Int? {
        var side = SourceSide(Circumstances(header))
        var index = 0
        for entry in source {
            let before = side.heldBack.count
            if let event = entry.event { side.handle(event, at: Place(stream: .source, line: index + 1)) }
            if side.heldBack.count > before { return index }
            index += 1
        }
        return nil
    }
}
