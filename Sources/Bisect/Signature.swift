/// What a failure is known by: how the cell ended, which rules broke, in which phase of the migration, on which side and for which kind of
/// device. It has no counts, no versions, no line numbers and no names of devices, so that it is the same in each run and each revision.
import Matrix
import MigrationTrace
import Plan
import Running
import Verification

/// How far a migration had come, by the statuses and the decision that a side logged.
package enum Phase: Int, Codable, Comparable, Hashable, Sendable, CaseIterable {
    case beforeSetup, setup, precopy, switchover, postcopy, end

    package static func < (one: Phase, other: Phase) -> Bool { one.rawValue < other.rawValue }

    package var description: String {
        switch self {
        case .beforeSetup: "before set-up"
        case .setup: "set-up"
        case .precopy: "precopy"
        case .switchover: "switchover"
        case .postcopy: "postcopy"
        case .end: "after the end"
        }
    }

    /// The phase that begins with the event; nil: it goes on.
    init?(beginningWith event: Event) {
        switch event {
        case .migrateSetState(let status):
            switch status {
            case .setup, .waitUnplug: self = .setup
            case .active: self = .precopy
            case .preSwitchover, .device: self = .switchover
            case .postcopyDevice, .postcopyActive, .postcopyPaused, .postcopyRecoverSetup, .postcopyRecover: self = .postcopy
            case .completed, .colo: self = .end
            // What fails stays in the phase in which it fails.
            case .none, .cancelling, .cancelled, .failing, .failed: return nil
            }
        case .migrationThreadLowPending: self = .switchover
        default: return nil
        }
    }
}

extension Trace {
    /// The phase of the place's side at that line; nil for a device's own log, which has no statuses.
    package func phase(at place: Place) -> Phase? {
        guard [.source, .destination].contains(place.stream) else { return nil }
        return phase(of: place.stream, upTo: place.line)
    }

    /// How far the source came.
    package var reached: Phase { phase(of: .source, upTo: .max) }

    private func phase(of stream: StreamName, upTo line: Int) -> Phase {
        var phase = Phase.beforeSetup
        var number = 0
        for entry in self[stream] {
            number += 1
            if number > line { break }
            if let next = entry.event.flatMap(Phase.init(beginningWith:)) { phase = max(phase, next) }
        }
        return phase
    }
}

package struct Signature: Codable, Hashable, Sendable, CustomStringConvertible {
    package struct Part: Codable, Hashable, Sendable, Comparable, CustomStringConvertible {
        /// The identifier of a broken rule, or what differs from the prediction: `ending`, `requests`, `not gating`, ...
        package var what: String
        /// `source` or `destination`; nil for what no side shows alone.
        package var side: String?
        /// `device`, `odd device` or `requester`; nil for what is about none.
        package var device: String?
        package var phase: Phase?

        package var description: String {
            let about = [side, device, phase?.description].compactMap(\.self)
            return about.isEmpty ? what : "\(what) (\(about.joined(separator: ", ")))"
        }

        package static func < (one: Part, other: Part) -> Bool { one.description < other.description }

        package init(what: String, side: String? = nil, device: String? = nil, phase: Phase? = nil) {
            self.what = what
            self.side = side
            self.device = device
            self.phase = phase
        }
    }

    package var ending: String
    /// Each once, sorted.
    package var parts: [Part]
    /// The mode in which the cell ran: what shows in another mode is another test. nil: no side has switchover-ack.
    package var mode: SwitchoverAckMode?

    package init(ending: String, parts: [Part], mode: SwitchoverAckMode? = nil) {
        self.ending = ending
        self.parts = Set(parts).sorted()
        self.mode = mode
    }

    package var description: String { "\(ending): \(parts.map(\.description).joined(separator: "; "))" }

    /// The earliest phase in which a part of it shows; nil where no part has a phase.
    package var phase: Phase? { parts.compactMap(\.phase).min() }

    /// True if a run that showed this has everything that `failure` is known by, in whichever mode. Further rules may be broken.
    package func matches(_ failure: Signature) -> Bool {
        ending == failure.ending && Set(parts).isSuperset(of: failure.parts)
    }

    /// What all of the signatures share; nil where they end differently, or share nothing else.
    package static func shared(by signatures: [Signature]) -> Signature? {
        guard let first = signatures.first, signatures.allSatisfy({ $0.ending == first.ending }) else { return nil }
        let parts = signatures.dropFirst().reduce(Set(first.parts)) { $0.intersection($1.parts) }
        return parts.isEmpty ? nil : Signature(ending: first.ending, parts: Array(parts), mode: first.mode)
    }
}

extension Signature {
    /// The signature of a result that is a finding; nil of one that is as predicted. `traces`: those of its legs that were driven.
    package init?(_ result: CellResult, traces: [Trace]) {
        guard result.isFinding else { return nil }
        let unexplained = Set(result.deviations.unexplained)
        var parts: [Part] = []
        for leg in result.legs {
            let trace = leg.number < traces.count ? traces[leg.number] : nil
            for finding in leg.judgement?.findings ?? [] where unexplained.contains(finding.rule.id) {
                let place = finding.places.first
                parts.append(
                    Part(
                        what: finding.rule.id, side: place.map { $0.stream.side }, device: finding.device.map(result.cell.kind(of:)),
                        phase: place.flatMap { trace?.phase(at: $0) }))
            }
            parts += leg.differences.map { Part(what: String($0.prefix { $0 != ":" && !$0.isNumber }).trimmed) }
            parts += leg.ends.filter(\.hasAnswered).map { end in Part(what: "process \(end.withoutCounts)", side: end.role.rawValue) }
        }
        if parts.isEmpty { parts = result.findings.prefix(1).map { Part(what: String($0.prefix { $0 != ":" && !$0.isNumber }).trimmed) } }
        self.init(ending: result.ending.text, parts: parts, mode: result.cell.mode)
    }
}

extension String {
    fileprivate var trimmed: String { String(drop { $0 == " " }.reversed().drop { " (".contains($0) }.reversed()) }
}

extension StreamName {
    fileprivate var side: String {
        switch self {
        case .source, .sourceDevices: Role.source.rawValue
        case .destination, .destinationDevices: Role.destination.rawValue
        }
    }
}

extension ProcessEnd {
    /// How the process ended, without how long it was silent.
    fileprivate var withoutCounts: String { if case .silent = how { "gave no answer" } else { end } }
}

extension Cell {
    /// What a user of switchover-ack is in this cell, by its section idstr or by QEMU's name for it.
    fileprivate func kind(of idstr: String) -> String {
        let name = users[idstr] ?? idstr
        if let requester, name == requester.name ?? EngineModules.Requester.idstr { return "requester" }
        let odd = selection.value(on: CellAxis.odd.rawValue).flatMap { Int($0) }
        return odd.map { name == "v\($0 - 1)" } == true ? "odd device" : "device"
    }
}
