/// The result of a cell as data: one JSON object on one line, from which every report is made.
import Matrix
import Plan
import Prediction
import Verification

/// A line of the result log. Keys are sorted and no key changes its meaning within a format.
package struct ResultLine: Hashable, Sendable, Codable {
    /// The format of this type.
    package static let currentFormat = 1

    package struct Side: Hashable, Sendable, Codable {
        /// The name of the binary among those of the run.
        package var binary: String
        /// The exact version, `11.1.3`.
        package var version: String
        /// The machine type as `-M` takes it.
        package var machine: String
    }

    /// What the closed form says of the cell.
    package struct Predicted: Hashable, Sendable, Codable {
        /// All the ways it may end, sorted; several where it is a race.
        package var endings: [String]
        /// It completes with ACKs counted, whichever way it goes.
        package var expectsACK: Bool
        /// The counts it names; those it does not name depend on who is faster.
        package var counts: [String]

        package var isRace: Bool { endings.count > 1 }
    }

    /// Who requested and who approved, by device; devices without any are left out.
    package struct Counts: Hashable, Sendable, Codable {
        package var requests: [String: Int] = [:]
        package var countedIn: [String: Int] = [:]
        /// Counted in by a destination that does not name them (up to 11.0).
        package var countedInUnnamed = 0
        package var approvals: [String: Int] = [:]
        package var acksSent = 0
        package var acksCounted = 0
    }

    package struct Opinion: Hashable, Sendable, Codable {
        package var judge: String
        package var says: String
    }

    package struct BrokenRule: Hashable, Sendable, Codable {
        package var rule: String
        package var device: String?
        package var found: String
        /// `STREAM:LINE`, where it broke first.
        package var places: [String]
        /// `STREAM:LINE: EVENT`.
        package var lastGood: String?
        package var legal: String
    }

    /// The known deviations of the cell, by their identifiers.
    package struct Deviations: Hashable, Sendable, Codable {
        package struct Shown: Hashable, Sendable, Codable {
            package var id: String
            /// Listed for these very versions.
            package var exactVersion: Bool
            /// The broken rules it explains.
            package var rules: [String]
        }

        package struct Missing: Hashable, Sendable, Codable {
            package var id: String
            /// The rules that were to break and held.
            package var rules: [String]
        }

        package var explained: [Shown] = []
        /// Not there on versions it was seen on.
        package var absent: [Missing] = []
        /// Not there on others.
        package var fixedSince: [Missing] = []
    }

    package var format = Self.currentFormat
    package var cell: String
    package var product: String
    package var source: Side
    package var destination: Side
    /// The value of each axis that does not have its plain one.
    package var selection: [String: String]
    package var predicted: Predicted
    package var ending: String
    /// The proof, the refusal, or why it could not be driven.
    package var reason: String?
    package var gating: Bool
    /// Steps at which only an ACK was missing.
    package var gatedSteps: Int
    package var counts: Counts
    package var judges: [Opinion]
    /// The judge that stands alone.
    package var oddOneOut: String?
    /// What differs from the prediction.
    package var differences: [String]
    package var broken: [BrokenRule]
    package var deviations: Deviations
    package var finding: Bool
    /// Why it is a finding, one sentence each.
    package var findings: [String]
    /// To the millisecond.
    package var seconds: Double
    /// The command that runs the cell again.
    package var reproduce: String
}

extension ResultLine {
    /// `options` are those of the run that a cell depends on, word by word.
    package init(_ result: CellResult, options: [String] = []) {
        let cell = result.cell
        func side(_ configuration: SideConfiguration, _ version: String) -> Side {
            Side(binary: configuration.binary.name, version: version, machine: configuration.machine)
        }
        let findings = result.findings
        self.init(
            cell: cell.name, product: cell.product, source: side(cell.plan.source, cell.sourceVersion),
            destination: side(cell.plan.leg.destination, cell.destinationVersion),
            selection: Dictionary(uniqueKeysWithValues: cell.selection.changes.map { ($0.axis, $0.value) }),
            predicted: Predicted(cell), ending: result.ending.text, reason: result.reason, gating: result.isGating,
            gatedSteps: result.judgement?.handshake.gatedSteps ?? 0,
            counts: result.judgement.map { Counts($0.handshake, of: cell) } ?? Counts(),
            judges: result.judges.map { Opinion(judge: $0.name, says: $0.says) }, oddOneOut: result.oddOneOut?.name,
            differences: result.differences, broken: result.judgement?.findings.map(BrokenRule.init) ?? [],
            deviations: Deviations(result.deviations), finding: !findings.isEmpty, findings: findings,
            seconds: (result.seconds * 1000).rounded() / 1000, reproduce: Running.reproduce(cell.name, options: options))
    }

    /// The ACK held back a decision that was then made.
    package var gatedDecision: Bool { gating && ending == Verdict.completed.rawValue }

    /// It went as predicted, and what is broken in it is known.
    package var isKnownDeviation: Bool { !finding && !deviations.explained.isEmpty }
}

extension ResultLine.Predicted {
    /// An ACK that a source is sent although it waits for none, or that sets it free too early, is not expected to hold anything back.
    init(_ cell: Cell) {
        endings = Set(cell.lastForecast.outcomes.map(\.ending.rawValue)).sorted()
        let (source, destination) = (cell.lastForecast.scenario.source, cell.lastForecast.scenario.destination)
        expectsACK =
            source.capability && source.mode == destination.mode
            && cell.lastForecast.outcomes.allSatisfy { $0.ending == .completed && ($0.acksCounted ?? 0) > 0 }
        func isNamed<Count>(_ count: KeyPath<Outcome, Count?>) -> Bool {
            cell.lastForecast.outcomes.allSatisfy { $0[keyPath: count] != nil }
        }
        counts = [
            ("requests", isNamed(\.requests)), ("countedIn", isNamed(\.countedIn)), ("approvals", isNamed(\.approvals)),
            ("acksSent", isNamed(\.acksSent)), ("acksCounted", isNamed(\.acksCounted)),
        ].filter(\.1).map(\.0)
    }
}

extension ResultLine.Counts {
    init(_ handshake: Handshake, of cell: Cell) {
        self.init(
            requests: cell.named(handshake.requests), countedIn: cell.named(handshake.countedIn),
            countedInUnnamed: handshake.unnamedCountedIn, approvals: cell.named(handshake.approvals), acksSent: handshake.acksSent,
            acksCounted: handshake.acksCounted)
    }
}

extension ResultLine.BrokenRule {
    init(_ finding: Finding) {
        self.init(
            rule: finding.rule.id, device: finding.device, found: finding.found, places: finding.places.map(\.description),
            lastGood: finding.lastGood.map { "\($0.place): \($0.event)" }, legal: finding.legal)
    }
}

extension ResultLine.Deviations {
    init(_ account: DeviationAccount) {
        for explanation in account.explained {
            let id = explanation.by.deviation.id
            if let index = explained.firstIndex(where: { $0.id == id }) {
                explained[index].rules.append(explanation.rule)
            } else {
                explained.append(Shown(id: id, exactVersion: explanation.by.exactVersion, rules: [explanation.rule]))
            }
        }
        absent = account.absent.map { Missing(id: $0.deviation.id, rules: $0.rules) }
        fixedSince = account.fixed.map { Missing(id: $0.deviation.id, rules: $0.rules) }
    }
}
