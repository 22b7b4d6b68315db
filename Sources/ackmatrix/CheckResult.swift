/// What `check` concludes of a migration: in one word, as an exit status, and as JSON.
import Foundation
import MigrationTrace
import Plan
import Verification

enum Outcome: String {
    case nothingBroken = "nothing broken"
    case asRecorded = "as recorded"
    case finding = "FINDING"
    case notEnded = "not ended yet"
    case unjudged = "not enough to judge"

    init(_ migration: JudgedMigration) {
        let judgement = migration.judgement
        self =
            !judgement.findings.isEmpty
            ? .finding : judgement.verdict != .undecided ? .nothingBroken : judgement.isUnfinished ? .notEnded : .unjudged
    }
}

/// The exit status of the log of a migration that still runs, or whose log ends before it does.
struct NotEnded: Error, CustomStringConvertible {
    static let exitStatus: Int32 = 3
    let description: String
}

struct Tally {
    private(set) var checked = 0
    private(set) var findings = 0
    private var notEnded = 0
    private var unjudged: [String] = []

    mutating func add(_ outcome: Outcome, _ name: String) throws {
        checked += 1
        switch outcome {
        case .finding: findings += 1
        case .notEnded: notEnded += 1
        case .unjudged: unjudged.append(name)
        case .nothingBroken, .asRecorded: break
        }
    }

    func throwResult() throws {
        if findings > 0 { throw Finding(description: "\(findings) of \(checked) migrations broke a rule, or are not judged as recorded") }
        if !unjudged.isEmpty { throw Environment("\(unjudged.count) of \(checked) cannot be judged") }
        if notEnded > 0 {
            throw NotEnded(description: "\(notEnded) of \(checked) migrations still run, or their logs end early")
        }
    }
}

/// Lines about what was not judged: each missing event once, with the option that brings it.
func unjudgedLines(_ judgement: Judgement, _ migration: JudgedMigration?, whole: Bool) -> [String] {
    var lines: [String] = []
    for unjudged in judgement.unjudged {
        switch unjudged.cause {
        case .notTraced(let side, let name):
            let part = side == .source ? migration?.source : migration?.destination
            let rules = unjudged.rules.isEmpty ? "" : " (\(unjudged.rules.joined(separator: ", ")))"
            let why = part.map { $0.gapCount > 0 } ?? false ? "it was not traced, or its lines are missing" : "it was not traced"
            lines.append(
                "    not judged: \(name) missing in the \(side.rawValue)'s log\(rules): \(why); "
                    + "-trace '\(TracePatterns.pattern(for: name))' brings it")
        case .notSeen(let side, let name):
            lines.append(
                "    not judged: \(name) missing in the \(side.rawValue)'s log (\(unjudged.rules.joined(separator: ", "))): it was not "
                    + "traced, or it never happened, which breaks the rule; -trace '\(TracePatterns.pattern(for: name))' shows which")
        case .linesMissing(let place):
            lines.append("    not judged: lines missing behind \(place) (\(unjudged.rules.joined(separator: ", ")))")
        case .notEnded(let side): lines.append("    not ended yet: the \(side.rawValue)'s log has no final status")
        }
    }
    for (side, part) in [("source", migration?.source), ("destination", migration?.destination)] {
        guard let part, part.gapCount > 0 else { continue }
        let shown = part.gaps.prefix(whole ? .max : 3)
        for gap in shown { lines.append("    gap        \(side):\(gap.line): \(gap.kind.rawValue)") }
        let more = part.gapCount - shown.count
        if more > 0 {
            // A log with very many has only the first of them kept.
            let rest = whole ? "" : "; --verbose lists " + (part.gapCount > part.gaps.count ? "the first \(part.gaps.count)" : "them")
            lines.append("    gap        and \(more) more in the \(side)'s log\(rest)")
        }
    }
    return lines
}

/// A judgement as a line of JSON.
struct CheckedMigration: Encodable {
    struct Broken: Encodable {
        let rule: String
        let device: String?
        let found: String
        let places: [String]
        let legal: String
    }

    struct Missing: Encodable {
        let side: String
        let event: String?
        let line: Int?
        let rules: [String]
        let trace: String?
    }

    struct Part: Encodable {
        let side: String
        let firstLine: Int
        let lastLine: Int
        let status: String?
        let gaps: Int
    }

    struct Input: Encodable {
        let name: String
        let forms: [String]
        let lines: Int
        let events: Int
        let unreadEvents: [String: Int]
    }

    let name: String
    let verdict: String
    let outcome: String
    let isGating: Bool
    let reason: String
    let cause: String?
    let notes: [String]
    let findings: [Broken]
    let omittedFindings: [String: Int]
    let differences: [String]
    let notJudged: [Missing]
    let migrations: [Part]
    let logs: [Input]

    init(
        _ name: String, _ judgement: Judgement, _ outcome: Outcome, _ differences: [String], _ migration: JudgedMigration?,
        _ logs: [ReadLog]
    ) {
        self.name = name
        verdict = judgement.verdict.rawValue
        self.outcome = outcome.rawValue
        isGating = judgement.isGating
        reason = judgement.reason
        cause = migration?.cause
        notes = migration?.notes ?? []
        findings = judgement.findings.map {
            Broken(
                rule: $0.rule.id, device: $0.device, found: $0.found, places: $0.places.map(\.description), legal: $0.legal)
        }
        omittedFindings = judgement.omitted
        self.differences = differences
        notJudged = judgement.unjudged.map { unjudged in
            switch unjudged.cause {
            case .notTraced(let side, let event), .notSeen(let side, let event):
                Missing(
                    side: side.rawValue, event: event, line: nil, rules: unjudged.rules,
                    trace: TracePatterns.pattern(for: event))
            case .linesMissing(let place):
                Missing(side: place.stream.rawValue, event: nil, line: place.line, rules: unjudged.rules, trace: nil)
            case .notEnded(let side): Missing(side: side.rawValue, event: nil, line: nil, rules: unjudged.rules, trace: nil)
            }
        }
        migrations = [(StreamName.source, migration?.source), (.destination, migration?.destination)].compactMap { side, part in
            part.map {
                Part(
                    side: side.rawValue, firstLine: $0.lines.lowerBound, lastLine: $0.lines.upperBound, status: $0.final?.rawValue,
                    gaps: $0.gapCount)
            }
        }
        self.logs = logs.map {
            Input(
                name: $0.name, forms: $0.summary.forms.sorted(), lines: $0.summary.lines, events: $0.summary.events,
                unreadEvents: $0.summary.unread.mapValues(\.count))
        }
    }

    /// One line, with its keys in order.
    var line: String {
        get throws {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            return escapedJSON(String(decoding: try encoder.encode(self), as: UTF8.self))
        }
    }
}
