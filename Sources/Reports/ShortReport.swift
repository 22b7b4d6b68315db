/// A cell in a few lines, for the first lines of a bug report: what ends how, which rules break, and the lines that show it.
import MigrationTrace
import Running
import Verification

package struct ShortReport: Sendable {
    package var result: CellResult
    /// Of the leg that has the most to tell; nil where a side refused and nothing was logged.
    package var trace: Trace?

    /// Makes the command that runs the cell again.
    package var reproduction: Reproduction

    package init(_ result: CellResult, trace: Trace?, reproduction: Reproduction = .inRepository) {
        self.reproduction = reproduction
        self.result = result
        self.trace = trace
    }

    package var text: String {
        let cell = result.cell
        let leg = result.telling
        let judgement = leg.judgement
        var lines = [
            "\(result.name): \(judgement?.verdict.rawValue ?? result.ending.text)"
                + (cell.plan.legs.count > 1 ? " (leg \(leg.number + 1))" : ""),
            "QEMU \(cell.sourceVersion) (\(cell.plan.source.machine)) to \(cell.destinationVersion) "
                + "(\(cell.plan.legs[leg.number].destination.machine))",
        ]
        lines += wrap(leg.reason ?? "", width: 100, indent: "    ")
        if let deviation = result.deviations.explained.first?.by.deviation {
            lines += ["", "known as \(deviation.id) (\(deviation.versions); \(deviation.reference)):"] + wrap(deviation.reason, width: 100)
        }
        lines += result.findings.flatMap { wrap("finding: " + $0, width: 100, indent: "    ") }
        if let judgement, let trace, !judgement.findings.isEmpty {
            let rules = judgement.broken.compactMap { Rule[id: $0] }
            lines += [""] + rules.flatMap { wrap("rule \($0.id) (\($0.section)): \($0.statement)", width: 100, indent: "    ") }
            lines += [""] + findingLines(judgement, trace).flatMap { wrapExactly($0, width: 200, indent: "    ") }
        }
        return (lines + ["", "again: " + reproduction.command(result.name)]).map(escaped).joined(separator: "\n") + "\n"
    }
}
