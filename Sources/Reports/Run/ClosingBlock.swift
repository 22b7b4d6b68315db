/// The end of a run's output: at most 15 lines that say what the run showed, and where the rest is.
import Foundation
import Matrix
import MigrationTrace
import Plan

package struct ClosingBlock: Sendable {
    /// The most lines of the block.
    package static let mostLines = 15

    /// The cells of one kind of side.
    package struct Part: Sendable {
        package let kind: SideKind
        package let summary: Summary
        package let seconds: Double

        package init(kind: SideKind, summary: Summary, seconds: Double) {
            self.kind = kind
            self.summary = summary
            self.seconds = seconds
        }
    }

    package var parts: [Part]
    /// Sentences that stand alone, such as that of the canary.
    package var notes: [String] = []
    /// What no available side can run.
    package var skipped = SkippedCells()
    /// The folder of the results.
    package var results: String

    package init(parts: [Part], results: String) {
        self.parts = parts
        self.results = results
    }

    package var lines: [String] {
        let heads = parts.map(head)
        var tail = deviations + notes
        if skipped.count > 0 {
            let reasons = counted(skipped.reasons.count, "reason")
            tail.append("skipped: \(counted(skipped.count, "cell")) that the available sides cannot run, for \(reasons) in summary.txt")
        }
        tail.append("results: \(results) (summary.txt, results.jsonl, junit.xml, cells/)")
        // The command's exit adds one line.
        let room = Self.mostLines - 1 - heads.count - tail.count
        return (heads + findings(room) + tail).map(escaped)
    }

    private func head(_ part: Part) -> String {
        let summary = part.summary
        let sides =
            switch part.kind {
            case .qemu: "on QEMU binaries"
            case .engine: "in the engine"
            }
        let known = summary.knownDeviations > 0 ? " (\(summary.knownDeviations) with known deviations)" : ""
        return "\(counted(summary.cells, "cell")) \(sides): \(summary.cells - summary.findingCount) as predicted\(known), "
            + "\(counted(summary.allFindings, "finding")); the ACK was gating in \(summary.gating); "
            + String(format: "%.1f s", part.seconds)
    }

    /// A line for each finding, and for that of a cell another one with the command that reproduces it.
    private func findings(_ room: Int) -> [String] {
        let texts =
            parts.flatMap(\.summary.wholeRunFindings).map { ["finding: \(cut($0, to: 300))"] }
            + parts.flatMap(\.summary.findings).map { line in
                ["finding: \(line.cell), \(line.ending): \(cut(line.findings.first ?? "", to: 200))", "    \(line.reproduce)"]
            }
        let count = parts.reduce(0) { $0 + $1.summary.allFindings }
        guard texts.joined().count > room || count > texts.count else { return Array(texts.joined()) }
        var lines: [String] = []
        var shown = 0
        for text in texts {
            guard lines.count + text.count < room else { break }
            lines += text
            shown += 1
        }
        return lines + ["\(counted(count - shown, "more finding")) in summary.txt"]
    }

    private var deviations: [String] {
        let summaries = parts.map(\.summary)
        func ids(_ ids: [[String]]) -> String {
            let names = ids.joined().reduce(into: [String]()) { if !$0.contains($1) { $0.append($1) } }
            guard !names.isEmpty else { return "0" }
            return "\(names.count) (\(names.prefix(4).joined(separator: ", "))\(names.count > 4 ? ", and more in summary.txt" : ""))"
        }
        let (new, absent, fixed) = (
            ids(summaries.map(\.newDeviations)), ids(summaries.map(\.absentDeviations)), ids(summaries.map(\.fixedDeviations))
        )
        return ["deviations: \(new) new on these versions, \(absent) absent, \(fixed) fixed since"]
    }
}
