/// Judges a recorded migration.
import MigrationTrace

/// The judgement of a trace; lines are the numbers of its streams' entries, folds counted as what they stand for.
package func judge(_ trace: Trace) -> Judgement {
    let sides: Verifier.Sides = trace.destination.count == 0 ? .source : trace.source.count == 0 ? .destination : .both
    var verifier = Verifier(Circumstances(trace.header), sides: sides)
    for stream in StreamName.allCases {
        var line = 0
        for entry in trace[stream] {
            line += 1
            if let event = entry.event { verifier.handle(event, at: Place(stream: stream, line: line)) }
        }
    }
    return verifier.judgement()
}
