/// The proof that this run could have found anything: one cell whose log is tampered with, which the verifier must reject.
import Matrix
import Plan
import QEMUPeer

/// The tampered log has its decision before the ACK that held the decision back. If the verifier accepts it, nothing that the run says
/// about decisions counts.
package struct Canary: Sendable {
    /// One sentence for the report.
    package let text: String
    /// True if the verifier accepted the tampered log, which is a finding.
    package let isAccepted: Bool

    /// The rule that the tampered log breaks.
    private static let rule = "decision-awaits-acks"

    /// True if the cell holds its decision back in every way that it may go.
    package static func fits(_ cell: Cell) -> Bool { cell.lastForecast.outcomes.allSatisfy(\.isGating) }

    /// Runs the first of the cells, which all fit.
    init(_ cells: [Cell], runner: CellRunner, folder: RunFolder) async throws {
        var runner = runner
        runner.tampering = .decisionBeforeAck
        guard let cell = cells.first else {
            text = "canary: not run, because no cell of this matrix holds a decision back with these sides"
            isAccepted = false
            return
        }
        let result = try await runner.run(cell, folder: folder.path + "/canary")
        isAccepted = !result.isFinding || result.last.judgement?.findings.contains { $0.rule.id == Self.rule } != true
        text =
            isAccepted
            ? "canary FAILED: expected the tampered log of \(result.name) to break \(Self.rule), found it accepted"
            : "canary ok: the tampered log of \(result.name) was rejected (\(Self.rule))"
    }
}
