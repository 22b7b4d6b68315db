/// The result of an injected failure: which side has the guest, as hosts and devices tell, and whether the verifier agrees.
import EnginePeer
import MigrationTrace
import SwitchoverProtocol
import Verification

package enum InjectionEnding: String, CaseIterable, Hashable, Sendable {
    /// The destination has the guest, which runs or is paused as it was to be; the source is at rest.
    case completed
    /// The same after postcopy was paused and recovered.
    case recovered
    /// The source's guest runs, all its devices are RUNNING, and the destination has none.
    case sourceRuns = "source runs"
    /// The migration was refused before it began.
    case refused
    /// The destination was killed after it had taken over the guest: no migration can keep a guest whose process is killed.
    case killedWithGuest = "killed with its guest"
    /// Anything else; `InjectionResult.wrong` says what.
    case wrong
}

package struct InjectionResult: Sendable {
    package let scenario: String
    /// nil for the run without a failure.
    package let injection: Injection?
    package let ending: InjectionEnding
    /// What is wrong with the ending, or with the verifier's judgement of it; nil where nothing is.
    package let wrong: String?
    /// Rules that broke as `InjectionAllowance` lets them.
    package let allowed: [String]
    package let record: InjectedRecord
    /// Of a wrong end: the generation's known defects that each alone explain it, since it is not wrong without them; empty if none does.
    package var quirks: [String] = []
}

/// A rule that an injected failure may break, because neither source nor destination could keep it.
package struct InjectionAllowance: Sendable {
    package let rule: String
    package let reason: String
    let holds: @Sendable (Injection, InjectedRecord) -> Bool

    package static let all: [InjectionAllowance] = [
        InjectionAllowance(
            rule: "device-kept",
            reason: "a source's device that refuses a state may be anywhere, ERROR included, and nothing but a reset leaves that",
            holds: { injection, _ in
                guard case .call(.source, _, "set-state") = injection.place.point else { return false }
                return true
            }),
        InjectionAllowance(
            rule: "marker-due",
            reason: "the log has 0 for what a failed query leaves unknown: the source sends no marker before a query has answered",
            holds: { injection, _ in
                guard case .call(.source, _, "precopy-info") = injection.place.point else { return false }
                return true
            }),
        InjectionAllowance(
            rule: "a-guest", reason: "the guest was the destination's, and was killed with it",
            holds: { injection, record in injection.fault == .kill && record.killedWithGuest }),
    ]
}

/// Passes the engine's events on to a verifier.
private final class InjectionLog: EngineLog {
    private(set) var verifier: Verifier
    private var lines: [StreamName: Int] = [:]
    private let tell: ((StreamName, Event) -> Void)?

    init(_ circumstances: Circumstances, tell: ((StreamName, Event) -> Void)?) {
        verifier = Verifier(circumstances)
        self.tell = tell
    }

    func begin(leg: Int) {}

    func take(_ event: Event, from stream: StreamName) {
        lines[stream, default: 0] += 1
        verifier.handle(event, at: Place(stream: stream, line: lines[stream]!))
        tell?(stream, event)
    }

    func endlessProof(armed: String?) -> String? { verifier.endlessProof(armed: armed)?.proof }

    func judgement(_ record: InjectedRecord) -> Judgement {
        verifier.end(armed: nil, sourceProcess: record.source.isGone ? .byItself : nil, destinationWasKilled: record.destinationWasKilled)
        return verifier.judgement()
    }
}

extension InjectionScenario {
    /// Runs it with this failure, or with none; `mostSteps`: more are no longer waited for. `tell` is told of each event.
    package func run(
        _ injection: Injection?, seed: UInt64, counts: Bool = false, mostSteps: Int = 1_000_000, tell: ((StreamName, Event) -> Void)? = nil
    ) throws -> InjectionResult {
        var result = try run(plan, injection, seed: seed, counts: counts, mostSteps: mostSteps, tell: tell)
        guard result.wrong != nil else { return result }
        let generation = try plan.source.generation
        for feature in Feature.table where feature.isQuirk && generation.has(feature.feature) {
            let without = Generation(
                name: generation.name, features: generation.features.subtracting(feature.feature), basis: generation.basis)
            let other = try run(plan.with(without), injection, seed: seed, counts: false, mostSteps: mostSteps, tell: nil)
            if other.wrong == nil { result.quirks.append(feature.name) }
        }
        return result
    }

    private func run(
        _ plan: InjectedPlan, _ injection: Injection?, seed: UInt64, counts: Bool, mostSteps: Int, tell: ((StreamName, Event) -> Void)?
    ) throws -> InjectionResult {
        let log = InjectionLog(try circumstances(), tell: tell)
        let record = try migrateInEngine(plan, injecting: injection, seed: seed, counts: counts, mostSteps: mostSteps, log: log)
        let (ending, fault) = ending(record, injection)
        var wrong = fault
        var allowed: [String] = []
        // A migration that never began has no log to judge.
        if record.source.status != nil {
            let judgement = log.judgement(record)
            var broken: [Finding] = []
            for finding in judgement.findings {
                let rule = finding.rule.id
                let isAllowed = injection.map { injection in
                    InjectionAllowance.all.contains { $0.rule == rule && $0.holds(injection, record) }
                }
                if isAllowed == true { allowed.append(rule) } else { broken.append(finding) }
            }
            if wrong == nil, !ending.verdicts.contains(judgement.verdict) {
                wrong = "ended as '\(ending.rawValue)', but the verifier says '\(judgement.verdict.rawValue)': \(judgement.reason)"
            }
            if let finding = broken.first { wrong = wrong ?? "breaks \(finding.rule.id): \(finding.found)" }
        }
        if wrong == nil, injection != nil, record.injected == 0 { wrong = "the place was not passed: two runs of one seed differ" }
        return InjectionResult(scenario: name, injection: injection, ending: ending, wrong: wrong, allowed: allowed, record: record)
    }

    private func circumstances() throws -> Circumstances {
        var circumstances = Circumstances()
        (circumstances.sourceCapability, circumstances.destinationCapability) = (true, true)
        circumstances.sourceTraits = try plan.source.engineTraits
        let isPerDevice = circumstances.sourceTraits.ackMode == .perDevice && plan.source.legacyProperty != true
        circumstances.sourceMode = isPerDevice ? .perDevice : .legacy
        circumstances.destinationMode = circumstances.sourceMode
        return circumstances
    }

    /// Whose the guest is; the second: what is wrong with that.
    private func ending(_ record: InjectedRecord, _ injection: Injection?) -> (InjectionEnding, String?) {
        func wrong(_ text: String) -> (InjectionEnding, String?) { (.wrong, text) }
        let (source, destination) = (record.source, record.destination)
        if record.isEndless { return wrong("has no end: source \(source.status ?? "-"), destination \(destination.status ?? "-")") }
        // What was refused before a migration began is a source that runs, or that was not started.
        if let refusal = record.refusal, source.status == nil {
            let isKept = source.runs || source.runState.isEmpty
            return isKept && !destination.runs ? (.refused, nil) : wrong("was refused ('\(refusal)'), and the guest does not run")
        }
        let statuses =
            "source \(source.status ?? "-") (\(source.runState)), destination \(destination.status ?? "-") (\(destination.runState))"
        if record.bothRan { return wrong("two guests ran at once: \(statuses)") }
        let isTheirs = !destination.isGone && (destination.runs || destination.status == MigrationStatus.completed.rawValue)
        switch (source.runs, isTheirs) {
        case (true, true):
            return wrong(destination.runs ? "two guests: \(statuses)" : "two guests, if the manager starts the destination's: \(statuses)")
        case (true, false):
            guard source.isOver else { return wrong("the source runs its guest, and its migration has not ended: \(statuses)") }
            if let (device, state) = source.devices.sorted(by: { $0.key < $1.key }).first(where: { $0.value != .running }) {
                return wrong("the source runs its guest with \(device) in \(state.rawValue): \(statuses)")
            }
            let ends: Set<String?> = [nil, MigrationStatus.setup.rawValue, MigrationStatus.failed.rawValue]
            guard destination.isGone || ends.contains(destination.status) else {
                return wrong("the destination's load has not ended: \(statuses)")
            }
            return (.sourceRuns, nil)
        case (false, true):
            guard destination.runs == startsGuest else { return wrong("the destination's guest is not as it was to be: \(statuses)") }
            guard source.status == MigrationStatus.completed.rawValue, source.isOver, source.runState == RunState.postmigrate.rawValue
            else {
                return wrong("the destination has the guest, and the source is not at rest: \(statuses)")
            }
            guard destination.isOver else { return wrong("the destination's load has not ended: \(statuses)") }
            if startsGuest, let (device, state) = destination.devices.sorted(by: { $0.key < $1.key }).first(where: { $0.value != .running })
            {
                return wrong("the destination runs the guest with \(device) in \(state.rawValue): \(statuses)")
            }
            // A device that refused a state was reset: it is RUNNING, and has nothing of the guest.
            let refused: String? = if case .call(.source, let device, "set-state")? = injection?.place.point { device } else { nil }
            if let (device, _) = source.devices.sorted(by: { $0.key < $1.key }).first(where: { $0.value == .running && $0.key != refused })
            {
                return wrong("the guest is the destination's, and the source's \(device) is RUNNING: \(statuses)")
            }
            return (record.recoveries > 0 ? .recovered : .completed, nil)
        case (false, false):
            return record.killedWithGuest ? (.killedWithGuest, nil) : wrong("no guest: \(statuses)")
        }
    }
}

extension InjectionEnding {
    /// What the verifier says of it.
    fileprivate var verdicts: Set<Verdict> {
        switch self {
        case .completed, .recovered: [.completed]
        case .sourceRuns: [.failed]
        case .killedWithGuest: [.noGuest, .completed]
        case .refused: [.failed, .undecided]
        case .wrong: Set(Verdict.allCases)
        }
    }
}
