/// The result of a cell: what each leg showed, what was predicted, and which judges said so.
import Matrix
import Plan
import Prediction
import Verification

package struct CellResult: Sendable {
    /// How a leg ended.
    package enum Ending: Hashable, Sendable {
        /// The verifier's verdict on the logs of both sides.
        case verdict(Verdict)
        /// A side refused the migration, in QEMU's words.
        case refused(SideRefusal)
        /// The leg could not be driven to an end, and why.
        case broken(String)

        package var text: String {
            switch self {
            case .verdict(let verdict): verdict.rawValue
            case .refused: Prediction.Ending.refused.rawValue
            case .broken: CellResult.brokenEnding
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

    package static let brokenEnding = "could not be driven"

    package let cell: Cell
    /// The result of each leg in order, at least one. The last one ended the cell: no leg after it was driven.
    package let legs: [LegResult]
    /// The broken rules of all legs, explained or not, and the listed deviations that did not show.
    package let deviations: DeviationAccount
    /// Wall time in seconds.
    package let seconds: Double
    /// The number of events that the verifier judged while the engine made them; 0 where it read logs.
    package var events = 0

    package var name: String { cell.name }

    /// The leg that ended the cell.
    package var last: LegResult { legs[legs.count - 1] }
    /// How the last leg ended, which is how the cell ended.
    package var ending: Ending { last.ending }

    /// The leg that a report shows: the first that differs from its prediction or breaks a rule, else the last.
    package var telling: LegResult {
        legs.dropLast().first { !$0.differences.isEmpty || $0.judgement?.findings.isEmpty == false } ?? last
    }

    /// The verifier's judgement of each leg that was driven to an end.
    package var judgements: [Judgement] { legs.compactMap(\.judgement) }

    /// Why the cell is a finding, one sentence each; empty when everything went as predicted.
    package var findings: [String] {
        legs.dropLast().flatMap { leg in (leg.differences + disagreement(leg.judges)).map { "leg \(leg.number + 1): \($0)" } }
            + differences(asFixed: deviations.isFixed) + disagreement(last.judges)
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
        let isHealthy = isFixed && ending == .verdict(.completed) && last.judgement?.findings.isEmpty == true
        return isHealthy ? last.differences.filter { !$0.hasPrefix(Comparison.endingDiffers) } : last.differences
    }
}

extension DeviationAccount {
    /// A known deviation of other versions does not show, and nothing is broken.
    fileprivate var isFixed: Bool { !fixed.isEmpty && explained.isEmpty && unexplained.isEmpty && absent.isEmpty }
}

/// A judge's opinion on how a leg ended.
package struct Judge: Hashable, Sendable {
    package let name: String
    package let says: String

    static let closedForm = "closed form"
    static let monitors = "word of QEMU's monitors"
    /// QEMU itself, in the cell of the same name.
    static let qemu = "QEMU"
}

/// The result of one leg of a cell.
package struct LegResult: Sendable {
    /// The leg's place in the plan, from 0.
    package let number: Int
    package let ending: CellResult.Ending
    /// The verifier's judgement of the leg's logs; nil where nothing was logged.
    package let judgement: Judgement?
    /// What driving the leg recorded; nil where a side refused or could not be driven.
    package let record: MigrationRecord?
    /// The processes that ended by themselves or gave no answer.
    package let ends: [ProcessEnd]
    /// What differs from the leg's prediction, one sentence each.
    package let differences: [String]
    /// Each judge's opinion on the ending.
    package let judges: [Judge]

    package init(
        number: Int, ending: CellResult.Ending, judgement: Judgement?, record: MigrationRecord?, ends: [ProcessEnd] = [],
        differences: [String], judges: [Judge]
    ) {
        self.number = number
        self.ending = ending
        self.judgement = judgement
        self.record = record
        self.ends = ends
        self.differences = differences
        self.judges = judges
    }

    /// Why the leg ended as it did: the proof or the closing event, the refusal, or why it could not be driven.
    package var reason: String? { ending.reason(judgement) }

    /// True if the leg completed and the ACK held its decision back: at a query before it, only an ACK was missing. Every report says
    /// "gating" in this sense.
    package var isGating: Bool { judgement?.heldDecisionBack == true }

    /// The judge that stands alone where the judges do not agree; nil where they agree, or where no judge stands alone.
    package var oddOneOut: Judge? { judges.oddOneOut }
}

extension Judgement {
    /// True if the migration completed and, at a query before its decision, only an ACK was missing.
    package var heldDecisionBack: Bool { verdict == .completed && handshake.isGating }
}

extension [Judge] {
    fileprivate var oddOneOut: Judge? {
        let groups = Dictionary(grouping: self, by: \.says)
        guard groups.count == 2, count > 2 else { return nil }
        return groups.values.first { $0.count == 1 }?.first
    }
}
