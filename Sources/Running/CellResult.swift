/// What came of a cell: what was seen, what was predicted, and who said so.
import Matrix
import Plan
import Prediction
import Verification

package struct CellResult: Sendable {
    /// How a cell went.
    package enum Ending: Hashable, Sendable {
        /// What the logs of both sides add up to.
        case verdict(Verdict)
        /// A side refused, in QEMU's own words.
        case refused(SideRefusal)
        /// It could not be driven to an end; why.
        case broken(String)

        package var text: String {
            switch self {
            case .verdict(let verdict): verdict.rawValue
            case .refused: Prediction.Ending.refused.rawValue
            case .broken: "could not be driven"
            }
        }

        /// Why: the proof or the closing event that the judgement names, the refusal, or why it could not be driven.
        package func reason(_ judgement: Judgement?) -> String? {
            switch self {
            case .verdict: judgement?.reason
            case .refused(let refusal): refusal.description
            case .broken(let reason): reason
            }
        }
    }

    package let cell: Cell
    /// Of the last leg, or of the only one.
    package let ending: Ending
    /// What the verifier made of the logs; nil where nothing was logged.
    package let judgement: Judgement?
    package let record: MigrationRecord?
    /// What differs from the prediction, one sentence each.
    package let differences: [String]
    /// The broken rules, explained or not, and the deviations that are listed and did not show.
    package let deviations: DeviationAccount
    /// Who spoke on the ending, and what each said.
    package let judges: [Judge]
    package let seconds: Double
    /// What came of the legs before the last.
    package var earlier: [LegResult] = []
    /// Events that were judged as they came; 0 where logs were.
    package var events = 0

    package var name: String { cell.name }
    /// Why it ended as it did.
    package var reason: String? { ending.reason(judgement) }
    package var isGating: Bool { judgement?.isGating ?? false }

    /// The leg that has the most to tell: the first that differs from its prediction or breaks a rule, else the last.
    package var tellingLeg: Int {
        earlier.firstIndex { !$0.differences.isEmpty || !$0.judgement.findings.isEmpty } ?? cell.plan.legs.count - 1
    }

    /// What was made of each leg that was driven to an end.
    package var judgements: [Judgement] { earlier.map(\.judgement) + (judgement.map { [$0] } ?? []) }

    /// Why the cell is a finding, one sentence each; empty when all went as predicted.
    package var findings: [String] {
        earlier.enumerated().flatMap { number, leg in (leg.differences + disagreement(leg.judges)).map { "leg \(number + 1): \($0)" } }
            + differences(asFixed: deviations.isFixed) + disagreement(judges)
            + deviations.unexplained.map { sentence($0, "no known deviation explains it") }
            + deviations.absent.map {
                "known deviation \($0.deviation.id): expected \($0.rules.joined(separator: ", ")) to be broken on these very versions, "
                    + "found it kept"
            }
            + (deviations.policy == .strict ? deviations.explained.map { sentence($0.rule, "known deviation \($0.by.deviation.id)") } : [])
    }
    package var isFinding: Bool { !findings.isEmpty }

    private func sentence(_ rule: String, _ known: String) -> String {
        let found = judgements.lazy.flatMap(\.findings).first { $0.rule.id == rule }
        return "rule \(rule) is broken (\(known))"
            + (found.map { ": \($0.found) [\($0.places.map(\.description).joined(separator: ", "))]" } ?? "")
    }

    /// Where the judges do not agree, what each says.
    private func disagreement(_ judges: [Judge]) -> [String] {
        // That the prediction was not met is among the differences.
        let seen = judges.filter { $0.name != Judge.closedForm }
        guard Set(seen.map(\.says)).count > 1 else { return [] }
        let opinions = judges.map { "\($0.name): \($0.says)" }.joined(separator: "; ")
        return ["the judges do not agree: \(opinions)" + (judges.oddOneOut.map { "; the odd one out is the \($0.name)" } ?? "")]
    }

    /// A version that does not deviate any more meets another ending than the one predicted with the deviation; that is no difference
    /// when nothing at all is broken.
    private func differences(asFixed isFixed: Bool) -> [String] {
        let isHealthy = isFixed && ending == .verdict(.completed) && judgement?.findings.isEmpty == true
        return isHealthy ? differences.filter { !$0.hasPrefix(Comparison.endingDiffers) } : differences
    }
}

extension DeviationAccount {
    /// A known deviation of other versions does not show, and nothing is broken.
    fileprivate var isFixed: Bool { !fixed.isEmpty && explained.isEmpty && unexplained.isEmpty && absent.isEmpty }
}

/// One opinion on how a cell ended.
package struct Judge: Hashable, Sendable {
    package let name: String
    package let says: String

    static let closedForm = "closed form"
    static let monitors = "word of QEMU's monitors"
    /// The cell of the same name on QEMU binaries.
    static let qemu = "QEMU"
}

/// What came of one leg of a cell.
package struct LegResult: Sendable {
    package let ending: CellResult.Ending
    package let judgement: Judgement
    package let record: MigrationRecord
    /// What differs from the leg's prediction, one sentence each.
    package let differences: [String]
    package let judges: [Judge]
}

extension CellResult {
    /// Who stands alone where the judges do not agree; nil where they do, or where nobody can be told from the rest.
    package var oddOneOut: Judge? { judges.oddOneOut }
}

extension [Judge] {
    fileprivate var oddOneOut: Judge? {
        let groups = Dictionary(grouping: self, by: \.says)
        guard groups.count == 2, count > 2 else { return nil }
        return groups.values.first { $0.count == 1 }?.first
    }
}
