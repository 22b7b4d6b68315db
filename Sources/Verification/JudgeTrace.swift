/// Judges a recorded migration.
import MigrationTrace

/// Judges a trace. Lines are the numbers of its streams' entries, where a fold counts as the entries that it stands for. The work grows with
/// the lines of the trace, not with the entries that its folds stand for.
package func judge(_ trace: Trace) -> Judgement { judge(trace, Unfolding()) }

func judge(_ trace: Trace, _ unfolding: Unfolding) -> Judgement {
    var unfolding = unfolding
    let sides: Verifier.Sides = trace.destination.count == 0 ? .source : trace.source.count == 0 ? .destination : .both
    var verifier = Verifier(Circumstances(trace.header), sides: sides)
    for stream in StreamName.allCases { verifier.handle(trace[stream], as: stream, &unfolding) }
    var judgement = verifier.judgement()
    if unfolding.leftOut > 0 {
        judgement.reason +=
            "; \(unfolding.leftOut) repeated entries were left out of the judgement, since they are too many to be judged one by one"
    }
    return judgement
}
