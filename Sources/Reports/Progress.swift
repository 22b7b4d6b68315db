/// The progress of a run: one line that is drawn again on a terminal, a counter and lines of cells in a pipe.
import Foundation
import Matrix
import MigrationTrace
import Running

extension ResultLine {
    /// The cell in one line: name (padded to `nameWidth`), ending, whether it gated, how it compares, seconds.
    package func progressLine(nameWidth: Int = 0) -> String {
        let comparison =
            if finding {
                "FINDING: \(escaped(firstSentence(findings.first ?? "no reason was given")))"
            } else if deviations.explained.isEmpty {
                "as predicted"
            } else {
                "known deviation "
                    + deviations.explained.map { $0.id + ($0.exactVersion ? "" : " (not seen on these versions before)") }.joined(
                        separator: ", ")
            }
        return [
            padded(cell, nameWidth), padded(ending, Self.endingWidth), isGating ? "gating" : "-     ", comparison,
            String(format: "%.2f s", seconds),
        ].joined(separator: "  ")
    }

    /// Fits the usual endings; the longest one is rare and may stick out.
    private static let endingWidth = 23
}

/// A run that goes on.
package struct RunProgress: Hashable, Sendable {
    /// How many cells will run.
    package var total: Int
    package private(set) var done = 0
    package private(set) var findings = 0
    package private(set) var knownDeviations = 0
    /// Names of the cells that run, in the order they began.
    package private(set) var running: [String] = []

    package init(total: Int) { self.total = total }

    package mutating func begin(_ cell: String) { running.append(cell) }

    package mutating func end(_ line: ResultLine) {
        if let index = running.firstIndex(of: line.cell) { running.remove(at: index) }
        done += 1
        if line.finding { findings += 1 }
        if line.isKnownDeviation { knownDeviations += 1 }
    }

    /// The state in one line for a pipe, which grows.
    package var counterLine: String {
        "[\(done)/\(total)]  \(counted(findings, "finding")), \(counted(knownDeviations, "known deviation"))"
    }

    /// The state in one line of at most `width` columns, after so many seconds.
    package func line(width: Int, seconds: Double = 0) -> String {
        let counts = "\(counted(findings, "finding"))  \(counted(knownDeviations, "known deviation"))"
        return liveLine(done: done, of: total, counts, running: running, seconds: seconds, width: width)
    }
}

/// How far work with cells is, in one line of at most `width` columns: cells that are done, what was counted, the time that is left after
/// so many seconds, and the names of the cells that run.
package func liveLine(done: Int, of total: Int, _ counts: String, running: [String], seconds: Double, width: Int) -> String {
    var text = "[\(done)/\(total)]  \(counts)"
    if let left = timeLeft(done: done, of: total, after: seconds) { text += "  " + left }
    if !running.isEmpty { text += "  running: " + running.joined(separator: ", ") }
    return cut(text, to: width)
}

/// How long the rest takes if it goes on as before, in words; nil before that can be told. `seconds` have passed.
func timeLeft(done: Int, of total: Int, after seconds: Double) -> String? {
    guard done > 0, done < total, seconds >= 2 else { return nil }
    let left = (seconds / Double(done) * Double(total - done)).rounded(.up)
    switch left {
    case ..<60: return "\(Int(left)) s left"
    case ..<3600: return "\(Int((left / 60).rounded(.up))) min left"
    case ..<360_000: return String(format: "%.1f h left", left / 3600)
    default: return "more than 100 h left"
    }
}
