/// Experiments on the engine with random schedules: the seed makes the steps of the threads uneven, and draws what the devices do and when.
///
/// A run is a plan like any cell's, and the verifier follows it live; the same seed makes the same run. What must come of all runs of an
/// experiment is in `ScheduleTally.unmet`.
import EnginePeer
import Foundation
import MigrationTrace
import Plan
import VFIO
import Verification

package enum ScheduleExperiment: String, CaseIterable, Sendable {
    case equalModes = "equal-modes"
    case equalModesQuirks = "equal-modes-quirks"
    case withoutP2P = "without-p2p"
    case mixedModes = "mixed-modes"
    case packageFlag = "package-flag"

    /// What is done, in a sentence.
    package var about: String {
        switch self {
        case .equalModes:
            "three devices, 11.1 without its quirks on both sides, REINITs at any moment but in the call that ends precopy: no finding"
        case .equalModesQuirks: "the same with the quirks of 11.1.3: only a REINIT behind the last check goes unnoticed"
        case .withoutP2P: "one device without P2P, 11.1 with its quirks: only that device is unchecked"
        case .mixedModes: "per-device and legacy mode, both ways, with no device and with two: stuck, split, and an early switchover"
        case .packageFlag: "postcopy of memory: what the flag of a loaded package is for, in postcopy-device-v1, 10.2 and 11.1"
        }
    }

    /// The runs of a seed: one, or several that differ in nothing but their generation.
    package func runs(seed: UInt64) throws -> [ScheduleRun] {
        // The draws of a seed are not those that the clock makes of it.
        var draw = ScheduleDraw(seed: seed &* 2 &+ 1)
        switch self {
        case .equalModes, .equalModesQuirks:
            // Both have the same schedules; they differ where a script's last chance is one that nobody could notice.
            return [try reinits(self == .equalModes ? "11.1-corrected" : "11.1", devices: 3, hasP2P: true, &draw)]
        case .withoutP2P: return [try reinits("11.1", devices: 1, hasP2P: false, &draw)]
        case .mixedModes: return [try mixed(&draw)]
        case .packageFlag: return try ["postcopy-device-v1", "10.2", "11.1"].map { try postcopy($0, draw) }
        }
    }

    // MARK: Equal modes

    private func reinits(_ generation: String, devices: Int, hasP2P: Bool, _ draw: inout ScheduleDraw) throws -> ScheduleRun {
        let names = (0..<devices).map { "v\($0)" }
        var source = side(generation, "pc-q35-11.1")
        var destination = source
        for (index, name) in names.enumerated() {
            let others = names.filter { $0 != name }
            let scripts = try draw.scripts(hasP2P: hasP2P, peers: others, inLastCall: self != .equalModes)
            source.devices.append(PlannedDevice(name: name, .mock(scripts.source), slot: 0x10 + index))
            destination.devices.append(PlannedDevice(name: name, .mock(scripts.destination), slot: 0x10 + index))
        }
        return try ScheduleRun(generation, MigrationPlan(source: source, destination: destination), .perDevice, .perDevice)
    }

    // MARK: Mixed modes

    /// Two sides of different modes.
    private struct Pair {
        let source: String
        let isLegacy: Bool
        let destination: String

        static let all = [
            Pair(source: "11.1", isLegacy: false, destination: "11.1"), Pair(source: "11.1", isLegacy: true, destination: "11.1"),
            Pair(source: "11.1", isLegacy: false, destination: "10.0"), Pair(source: "10.0", isLegacy: true, destination: "11.1"),
        ]

        var description: String {
            "\(source) \(isLegacy ? "legacy" : "per-device") to \(destination) \(isLegacy ? "per-device" : "legacy")"
        }
    }

    private func mixed(_ draw: inout ScheduleDraw) throws -> ScheduleRun {
        let pair = draw.element(Pair.all)
        let devices = draw.element([0, 2])
        // A type without a compat entry is the only one that 10.0 and 11.1 do not have the same mode for.
        let isSame = pair.source == pair.destination
        var source = side(pair.source, isSame ? "pc-q35-11.1" : "microvm")
        var destination = side(pair.destination, isSame ? "pc-q35-11.1" : "microvm")
        if isSame {
            source.legacyProperty = pair.isLegacy
            destination.legacyProperty = !pair.isLegacy
        }
        for index in 0..<devices {
            let scripts = try draw.scripts(hasP2P: true, peers: [], inLastCall: false, reinits: 0)
            source.devices.append(PlannedDevice(name: "v\(index)", .mock(scripts.source), slot: 0x10 + index))
            destination.devices.append(PlannedDevice(name: "v\(index)", .mock(scripts.destination), slot: 0x10 + index))
        }
        var plan = MigrationPlan(source: source, destination: destination)
        // The destination is not given a processor for a while: to a moment that is sure to come.
        if draw.element([true, false]) {
            plan.leg.haltsDestination = true
            let mayDecide = !pair.isLegacy && devices == 0
            let moments =
                mayDecide
                ? ["savevm_state_iterate", "migration_thread_low_pending", "migration_precopy_complete"] : ["savevm_state_iterate"]
            let moment = draw.element(moments)
            let times = moment == "savevm_state_iterate" && !mayDecide ? draw.number(1...200) : 1
            plan.leg.schedule = [.wait(.logged(.source, event: moment, times: times)), .resumeDestination]
        }
        return try ScheduleRun(
            "\(pair.description), \(devices) devices", plan, pair.isLegacy ? .legacy : .perDevice, pair.isLegacy ? .perDevice : .legacy)
    }

    // MARK: Postcopy

    private func postcopy(_ generation: String, _ draw: ScheduleDraw) throws -> ScheduleRun {
        var draw = draw
        var source = side(generation, "pc-q35-10.1")
        source.capabilities["postcopy-ram"] = true
        source.capabilities["switchover-ack"] = false
        source.memoryMiB = 8
        let destination = source
        source.filledMiB = 1
        // Some of it is always missing when the postcopy begins: a package behind no discard is refused (10.0.13, 11.1.3), which is another
        // story.
        source.parameters["max-bandwidth"] = .integer(Int64(draw.number(1...64)) << 16)
        var plan = MigrationPlan(source: source, destination: destination)
        plan.leg.schedule = [
            .wait(.logged(.source, event: "savevm_state_iterate", times: draw.number(1...2))),
            .execute(.source, command: "migrate-start-postcopy", nil),
        ]
        return try ScheduleRun(generation, plan, .legacy, .legacy, capability: false)
    }

    private func side(_ generation: String, _ machine: String) -> SideConfiguration {
        var side = SideConfiguration(binary: .engine(generation: generation), machine: machine)
        side.memoryMiB = 4
        side.capabilities = ["return-path": true, "switchover-ack": true, "events": true]
        side.parameters = ["max-bandwidth": .integer(1 << 30), "avail-switchover-bandwidth": .integer(1 << 30), "downtime-limit": 300]
        return side
    }
}

/// One run of an experiment.
package struct ScheduleRun: Sendable {
    /// What of the experiment it is: runs of one kind are counted together.
    package let kind: String
    package let plan: MigrationPlan
    let circumstances: Circumstances

    init(
        _ kind: String, _ plan: MigrationPlan, _ sourceMode: SwitchoverAckMode, _ destinationMode: SwitchoverAckMode,
        capability: Bool = true
    ) throws {
        self.kind = kind
        self.plan = plan
        var circumstances = Circumstances()
        circumstances.sourceCapability = capability
        circumstances.destinationCapability = capability
        circumstances.sourceMode = sourceMode
        circumstances.destinationMode = destinationMode
        circumstances.sourceTraits = try plan.source.engineTraits
        self.circumstances = circumstances
    }

    /// Runs it, and has it judged. Each event is also given to `keep`.
    package func run(seed: UInt64, keep: @escaping (StreamName, Event) -> Void = { _, _ in }) throws -> ScheduleResult {
        let log = ScheduleLog(circumstances, keep)
        var result = ScheduleResult(kind: kind, seed: seed)
        do {
            let records = try migrateInEngine(plan, seed: seed, isRough: true, log: log)
            let record = records[0]
            log.verifier.end(
                armed: plan.leg.armed(record), sourceProcess: SourceProcessEnd(rawValue: record.outcome.description),
                destinationWasKilled: false)
            let judgement = log.verifier.judgement()
            result.verdict = judgement.verdict
            result.reason = judgement.reason
            result.broken = judgement.broken
            result.findings = judgement.findings.map { "\($0.rule.id) (\($0.device ?? "-")): \($0.found)" }
            if case .limitReached(let status) = record.outcome {
                result.waitsIn = status
                result.isTimeUp = record.seconds >= plan.leg.limit
            }
        } catch let error as SideError {
            result.mistake = error.description
        } catch let refusal as SideRefusal {
            result.mistake = refusal.description
        }
        result.reinits = log.reinits
        result.lateReinits = log.lateReinits
        result.isLoadedEarly = log.isLoadedEarly
        return result
    }
}

/// The result of one run.
package struct ScheduleResult: Hashable, Sendable {
    package let kind: String
    package let seed: UInt64
    package var verdict = Verdict.undecided
    package var reason = ""
    package var broken: [String] = []
    /// What was found, a sentence each.
    package var findings: [String] = []
    /// The source's status when no thread could take a step any more, or when the time limit was reached.
    package var waitsIn: String?
    package var isTimeUp = false
    /// The engine could not run it.
    package var mistake: String?
    /// REINITs that the source's devices made, and those of them behind the decision.
    package var reinits = 0
    package var lateReinits = 0
    /// PONG 0x42 came before the source had entered postcopy-device.
    package var isLoadedEarly = false

    init(kind: String, seed: UInt64) {
        self.kind = kind
        self.seed = seed
    }
}

/// Passes the engine's events on to the verifier, and notes what the experiments look for.
private final class ScheduleLog: EngineLog {
    var verifier: Verifier
    private(set) var reinits = 0
    private(set) var lateReinits = 0
    private(set) var isLoadedEarly = false
    private var hasDecided = false
    private var isInPostcopyDevice = false
    private var lines: [StreamName: Int] = [:]
    private let keep: (StreamName, Event) -> Void

    init(_ circumstances: Circumstances, _ keep: @escaping (StreamName, Event) -> Void) {
        verifier = Verifier(circumstances)
        self.keep = keep
    }

    func begin(leg: Int) {}

    func take(_ event: Event, from stream: StreamName) {
        let line = (lines[stream] ?? 0) + 1
        lines[stream] = line
        verifier.handle(event, at: Place(stream: stream, line: line))
        keep(stream, event)
        switch (stream, event) {
        case (.source, .migrationThreadLowPending): hasDecided = true
        case (.source, .migrateSetState(.postcopyDevice)): isInPostcopyDevice = true
        case (.source, .sourceReturnPathThreadPostcopyPackageLoaded): if !isInPostcopyDevice { isLoadedEarly = true }
        case (.sourceDevices, .deviceInjected(_, _, "reinit", _)):
            reinits += 1
            if hasDecided { lateReinits += 1 }
        default: break
        }
    }

    func endlessProof(armed: String?) -> String? {
        verifier.endlessProof(armed: armed).map { "\($0.verdict.rawValue): \($0.proof)" }
    }
}
