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

    /// The state in one line of at most `width` columns.
    package func line(width: Int) -> String {
        var text = "[\(done)/\(total)]  \(counted(findings, "finding"))  \(counted(knownDeviations, "known deviation"))"
        if !running.isEmpty { text += "  running: " + running.joined(separator: ", ") }
        return cut(text, to: width)
    }
}
