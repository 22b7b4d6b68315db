/// What came of a cell: what was seen, what was predicted, and who said so.
import Peers
import Prediction
import Verification

public struct CellResult: Sendable {
    /// How a cell went.
    public enum Ending: Hashable, Sendable {
        /// What the logs of both sides add up to.
        case verdict(Verdict)
        /// A side refused, in QEMU's own words.
        case refused(SideRefusal)
        /// It could not be driven to an end; why.
        case broken(String)

        public var text: String {
            switch self {
            case .verdict(let verdict): verdict.rawValue
            case .refused: Prediction.Ending.refused.rawValue
            case .broken: "could not be driven"
            }
        }

        /// Why: the proof or the closing event that the judgement names, the refusal, or why it could not be driven.
        func reason(_ judgement: Judgement?) -> String? {
            switch self {
            case .verdict: judgement?.reason
            case .refused(let refusal): refusal.description
            case .broken(let reason): reason
            }
        }
    }

    public let cell: Cell
    /// Of the last leg, or of the only one.
    public let ending: Ending
    /// What the verifier made of the logs; nil where nothing was logged.
    public let judgement: Judgement?
    public let record: MigrationRecord?
    /// What differs from the prediction, one sentence each.
    public let differences: [String]
    /// The broken rules, explained or not, and the deviations that are listed and did not show.
    public let deviations: DeviationAccount
    /// Who spoke on the ending, and what each said.
    public let judges: [Judge]
    public let seconds: Double
    /// What came of the legs before the last.
    public var earlier: [LegResult] = []
    /// Events that were judged as they came; 0 where logs were.
    public var events = 0

    public var name: String { cell.name }
    /// Why it ended as it did.
    public var reason: String? { ending.reason(judgement) }
    public var isGating: Bool { judgement?.isGating ?? false }

    /// The leg that has the most to tell: the first that differs from its prediction or breaks a rule, else the last.
    public var tellingLeg: Int {
        earlier.firstIndex { !$0.differences.isEmpty || !$0.judgement.findings.isEmpty } ?? cell.plan.legs.count - 1
    }

    /// What was made of each leg that was driven to an end.
    public var judgements: [Judgement] { earlier.map(\.judgement) + (judgement.map { [$0] } ?? []) }

    /// Why the cell is a finding, one sentence each; empty when all went as predicted.
    public var findings: [String] {
        earlier.enumerated().flatMap { number, leg in (leg.differences + disagreement(leg.judges)).map { "leg \(number + 1): \($0)" } }
            + differences(asFixed: deviations.isFixed) + disagreement(judges)
            + deviations.unexplained.map { sentence($0, "no known deviation explains it") }
            + deviations.absent.map {
                "known deviation \($0.deviation.id): expected \($0.rules.joined(separator: ", ")) to be broken on these very versions, found it kept"
            }
            + (deviations.policy == .strict ? deviations.explained.map { sentence($0.rule, "known deviation \($0.by.deviation.id)") } : [])
    }
    public var isFinding: Bool { !findings.isEmpty }

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
public struct Judge: Hashable, Sendable {
    public let name: String
    public let says: String

    static let closedForm = "closed form"
    static let monitors = "word of QEMU's monitors"
    /// The cell of the same name on QEMU binaries.
    static let qemu = "QEMU"
}

/// What came of one leg of a cell.
public struct LegResult: Sendable {
    public let ending: CellResult.Ending
    public let judgement: Judgement
    public let record: MigrationRecord
    /// What differs from the leg's prediction, one sentence each.
    public let differences: [String]
    public let judges: [Judge]
}

extension CellResult {
    /// Who stands alone where the judges do not agree; nil where they do, or where nobody can be told from the rest.
    public var oddOneOut: Judge? { judges.oddOneOut }
}

extension [Judge] {
    fileprivate var oddOneOut: Judge? {
        let groups = Dictionary(grouping: self, by: \.says)
        guard groups.count == 2, count > 2 else { return nil }
        return groups.values.first { $0.count == 1 }?.first
    }
}
