/// The result of a cell as data: one JSON object on one line, from which every report is made.
import Matrix
import Plan
import Prediction
import Verification

/// A line of the result log. Keys are sorted and no key changes its meaning within a format.
package struct ResultLine: Hashable, Sendable, Codable {
    /// The format of this type. Format 2 lists the legs; format 1 had the last leg alone.
    package static let currentFormat = 2

    package struct Side: Hashable, Sendable, Codable {
        /// The name of the binary among those of the run.
        package var binary: String
        /// The exact version, `11.1.3`.
        package var version: String
        /// The machine type as `-M` takes it.
        package var machine: String

        package init(binary: String, version: String, machine: String) {
            (self.binary, self.version, self.machine) = (binary, version, machine)
        }
    }

    /// What the closed form predicts for the leg.
    package struct Predicted: Hashable, Sendable, Codable {
        /// Every ending that the prediction allows for the leg, sorted; several if a race decides.
        package var endings: [String]
        /// True if the leg completes with ACKs counted, whichever way it goes.
        package var expectsACK: Bool
        /// The counts that the prediction names; the others depend on timing.
        package var counts: [String]

        package var isRace: Bool { endings.count > 1 }
    }

    /// Requests and approvals by device; devices without any are left out.
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

    /// How a process ended.
    package struct Process: Hashable, Sendable, Codable {
        /// `source` or `destination`.
        package var side: String
        package var binary: String
        /// `exited with status 1`, `was ended by signal 11 (SIGSEGV)`, `gave no answer for 15 s`.
        package var end: String
        /// True if it had answered on its monitor.
        package var answered: Bool
        /// The last lines of its standard error.
        package var standardError: [String]
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
        /// Absent on the versions it was seen on.
        package var absent: [Missing] = []
        /// Absent on other versions.
        package var fixedSince: [Missing] = []
    }

    /// One migration of the cell, from the first on.
    package struct Leg: Hashable, Sendable, Codable {
        package var predicted: Predicted
        package var ending: String
        /// The proof, the refusal, or why the leg could not be driven.
        package var reason: String?
        /// True if the leg completed and only a missing ACK held its decision back before.
        package var gating: Bool
        /// The number of queries at which only an ACK was missing.
        package var gatedSteps: Int
        package var counts: Counts
        package var judges: [Opinion]
        /// The judge that stands alone.
        package var oddOneOut: String?
        /// The processes that ended without being asked to, or gave no answer; nil where there is none.
        package var processes: [Process]?
        /// What differs from the prediction.
        package var differences: [String]
        package var broken: [BrokenRule]
    }

    package var format = Self.currentFormat
    package var cell: String
    package var product: String
    package var source: Side
    package var destination: Side
    /// The value of each axis that does not have its plain one.
    package var selection: [String: String]
    /// The legs that ran, in order and at least one; the last one ended the cell.
    package var legs: [Leg]
    package var deviations: Deviations
    package var finding: Bool
    /// Why the cell is a finding, one sentence each.
    package var findings: [String]
    /// To the millisecond.
    package var seconds: Double
    /// The command that runs the cell again.
    package var reproduce: String
}

extension ResultLine {
    package init(_ result: CellResult, reproduction: Reproduction = .inRepository) {
        let cell = result.cell
        func side(_ configuration: SideConfiguration, _ version: String) -> Side {
            Side(binary: configuration.binary.name, version: version, machine: configuration.machine)
        }
        let findings = result.findings
        let hasQEMUJudged = cell.kind == .engine && result.last.judges.contains { $0.name == Judge.qemu }
        self.init(
            cell: cell.name, product: cell.product, source: side(cell.plan.source, cell.sourceVersion),
            destination: side(cell.plan.leg.destination, cell.destinationVersion),
            selection: Dictionary(uniqueKeysWithValues: cell.selection.changes.map { ($0.axis, $0.value) }),
            legs: result.legs.map { Leg($0, of: cell) }, deviations: Deviations(result.deviations), finding: !findings.isEmpty,
            findings: findings, seconds: (result.seconds * 1000).rounded() / 1000,
            reproduce: reproduction.command(cell.name, withQEMU: hasQEMUJudged ? cell.sharedName : nil))
    }

    /// The kind of the cell's sides, by the name of the source.
    package var kind: SideKind { source.binary.hasPrefix(SideImplementation.enginePrefix) ? .engine : .qemu }

    /// The leg that ended the cell.
    package var last: Leg { legs[legs.count - 1] }
    /// How the cell ended: as its last leg.
    package var ending: String { last.ending }
    /// True if the last leg is gating.
    package var isGating: Bool { last.gating }
    /// True if the last leg may end in several ways and nothing forces one.
    package var isRace: Bool { last.predicted.isRace }

    /// True if everything went as predicted and known deviations explain the broken rules.
    package var isKnownDeviation: Bool { !finding && !deviations.explained.isEmpty }
}

extension ResultLine.Leg {
    init(_ leg: LegResult, of cell: Cell) {
        self.init(
            predicted: ResultLine.Predicted(cell.forecasts[leg.number]), ending: leg.ending.text, reason: leg.reason,
            gating: leg.isGating, gatedSteps: leg.judgement?.handshake.gatedSteps ?? 0,
            counts: leg.judgement.map { ResultLine.Counts($0.handshake, of: cell) } ?? ResultLine.Counts(),
            judges: leg.judges.map { ResultLine.Opinion(judge: $0.name, says: $0.says) }, oddOneOut: leg.oddOneOut?.name,
            processes: leg.ends.isEmpty ? nil : leg.ends.map(ResultLine.Process.init), differences: leg.differences,
            broken: leg.judgement?.findings.map(ResultLine.BrokenRule.init) ?? [])
    }
}

extension ResultLine.Process {
    init(_ end: ProcessEnd) {
        self.init(
            side: end.role.rawValue, binary: end.binary, end: end.end, answered: end.hasAnswered, standardError: end.lastWords)
    }
}

extension ResultLine.Predicted {
    /// An ACK that a source is sent although it waits for none, or that sets it free too early, is not expected to hold anything back.
    init(_ forecast: Forecast) {
        endings = Set(forecast.outcomes.map(\.ending.rawValue)).sorted()
        let (source, destination) = (forecast.scenario.source, forecast.scenario.destination)
        expectsACK =
            source.capability && source.mode == destination.mode
            && forecast.outcomes.allSatisfy { $0.ending == .completed && ($0.acksCounted ?? 0) > 0 }
        func isNamed<Count>(_ count: KeyPath<Outcome, Count?>) -> Bool { forecast.outcomes.allSatisfy { $0[keyPath: count] != nil } }
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
