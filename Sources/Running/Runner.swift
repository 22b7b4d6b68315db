/// Runs cells on QEMU binaries, each in its own folder, or in the engine, and has the verifier judge them.
import EnginePeer
import Foundation
import Matrix
import MigrationTrace
import Plan
import Prediction
import QEMUPeer
import SwitchoverProtocol
import VFIO
import Verification

package struct CellRunner: Sendable {
    package var binaries: [String: ProbedBinary]
    package var shim: String
    package var deviations: DeviationFile
    package var policy: DeviationPolicy
    /// Makes the trace of each cell wrong before it is judged.
    package var tampering: Tampering?
    /// Chooses among the orders in which an engine's threads may run, and what else is left to chance; 0 leaves nothing to it.
    package var seed: UInt64 = 0
    /// Takes the place of the engine's generation of its name.
    package var mutant: Generation?
    /// Takes the place of the mock devices of the engine's cells; one cell may run at a time.
    package var devices: KernelDevices?
    /// An engine's threads are kept waiting for a processor often, and long.
    package var isRough = false
    /// The endings of QEMU's cells by name. Each judges the engine's cell of the same name.
    package var witnesses: [String: String] = [:]

    package init(
        binaries: [ProbedBinary], shim: String, deviations: DeviationFile, policy: DeviationPolicy = .expected, tampering: Tampering? = nil
    ) {
        self.binaries = Dictionary(binaries.map { ($0.binary.name, $0) }) { _, later in later }
        self.shim = shim
        self.deviations = deviations
        self.policy = policy
        self.tampering = tampering
    }

    /// Runs one cell in `folder`, which must not exist yet, and leaves a trace of each leg there; of QEMUs also their logs and scripts. A
    /// side that does not do its part is a result; everything else that goes wrong is the environment's and is thrown.
    package func run(_ cell: Cell, folder: String) async throws -> CellResult {
        if cell.kind == .engine {
            let result = try runInEngine(cell)
            try writeEngineTraces(cell, folder: folder)
            return result
        }
        let began = Deadline.now
        var plan = cell.plan
        for (index, forecast) in cell.forecasts.enumerated() { plan.legs[index].watcher = EndlessWatcher(forecast.scenario) }
        var seconds: Double { Double(Deadline.now.nanoseconds - began.nanoseconds) / 1e9 }
        do {
            let records = try await migrate(plan, shim: shim, folder: folder)
            let judgements = try records.enumerated().map { index, record in
                try judgeLeg(cell, index, record, file: folder + "/" + cell.traces[index].file)
            }
            return conclude(cell, records, judgements, seconds: seconds)
        } catch let refusal as SideRefusal where !Task.isCancelled {
            return conclude(cell, .refused(refusal), seconds: seconds)
        } catch let error as SideError where !Task.isCancelled {
            return conclude(cell, .broken(error.description), ends: error.ends, seconds: seconds)
        } catch let error as QMPError where error.isOfQEMU && !Task.isCancelled {
            return conclude(cell, .broken(error.description), seconds: seconds)
        }
    }

    /// The result of a cell whose legs were driven, each judged by itself.
    func conclude(_ cell: Cell, _ records: [MigrationRecord?], _ judgements: [Judgement], seconds: Double) -> CellResult {
        let legs = zip(records, judgements).enumerated().map { number, leg in
            self.leg(cell, number, ending(leg.1, leg.0), judgement: leg.1, record: leg.0, ends: leg.0?.ends ?? [])
        }
        guard legs.count == cell.plan.legs.count else {
            let before = records.last??.outcome.description ?? "not known"
            let reason = "leg \(legs.count + 1) of \(cell.plan.legs.count) was never driven: the leg before it is \(before)"
            return conclude(cell, .broken(reason), earlier: legs, seconds: seconds)
        }
        return CellResult(cell: cell, legs: legs, deviations: account(cell, legs), seconds: seconds)
    }

    /// The result of a cell of which nothing was logged, or that was not driven to its end. The ending stands for its last leg.
    func conclude(
        _ cell: Cell, _ ending: CellResult.Ending, earlier: [LegResult] = [], ends: [ProcessEnd] = [], seconds: Double
    ) -> CellResult {
        let legs = earlier + [leg(cell, cell.plan.legs.count - 1, ending, judgement: nil, record: nil, ends: ends)]
        return CellResult(cell: cell, legs: legs, deviations: account(cell, legs), seconds: seconds)
    }

    /// How a leg ended. Where the time limit passed while a side gave no answer, the verifier cannot know who owes the next step.
    private func ending(_ judgement: Judgement, _ record: MigrationRecord?) -> CellResult.Ending {
        let silent = (record?.ends ?? []).filter { if case .silent = $0.how { true } else { false } }
        guard judgement.verdict == .undecided, !silent.isEmpty else { return .verdict(judgement.verdict) }
        return .broken(silent.map(\.description).joined(separator: "; "))
    }

    private func leg(
        _ cell: Cell, _ number: Int, _ ending: CellResult.Ending, judgement: Judgement?, record: MigrationRecord?, ends: [ProcessEnd]
    ) -> LegResult {
        LegResult(
            number: number, ending: ending, judgement: judgement, record: record, ends: ends,
            differences: Comparison(cell, leg: number, ending: ending, judgement: judgement, record: record).differences,
            judges: judges(cell, leg: number, ending: ending, record: record))
    }

    /// Each judge's opinion on the ending of a leg.
    private func judges(_ cell: Cell, leg: Int, ending: CellResult.Ending, record: MigrationRecord?) -> [Judge] {
        let outcomes = cell.forecasts[leg].outcomes
        guard cell.kind == .engine else { return Running.judges(outcomes, ending: ending, record: record) }
        // What the engine itself says of its end is no judgement of it.
        var judges = Running.judges(outcomes, ending: ending, record: nil).filter { $0.name != Judge.monitors }
        // A QEMU that ran the same cell is one, where chance has no say.
        if leg == cell.plan.legs.count - 1, !cell.isRace, let says = witnesses[cell.sharedName] {
            judges.append(Judge(name: Judge.qemu, says: says))
        }
        return judges
    }

    /// The judgement of a leg; its trace, with the judgement, is left in the file.
    private func judgeLeg(_ cell: Cell, _ index: Int, _ record: MigrationRecord, file: String) throws -> Judgement {
        try judge(recordTrace(cell, leg: index, record: record, binaries: binaries), file: file)
    }

    /// What is said of a leg's trace, made wrong first where that is asked for; with the judgement it is left in the file, if there is one.
    func judge(_ trace: Trace, file: String?) throws -> Judgement {
        var trace = trace
        if let tampering, let tampered = tampering.tamper(trace) { trace = tampered }
        let judgement = Verification.judge(trace)
        trace.header.verdict = judgement.verdict.rawValue
        trace.header.broken = judgement.broken
        if let file { try trace.write(path: file) }
        return judgement
    }

    private func account(_ cell: Cell, _ legs: [LegResult]) -> DeviationAccount {
        DeviationAccount(
            broken: legs.compactMap(\.judgement).flatMap(\.broken).reduce(into: []) { if !$0.contains($1) { $0.append($1) } },
            verdict: legs[legs.count - 1].ending.text,
            deviations: deviations.deviations(
                for: cell.selection, cellName: cell.name, sourceVersion: cell.sourceVersion, destinationVersion: cell.destinationVersion),
            policy: policy, isForced: cell.lastForecast.scenario.race != .natural)
    }
}

extension Circumstances {
    /// What is known of a leg before it begins.
    init(_ scenario: Scenario) {
        self.init()
        sourceCapability = scenario.source.capability
        destinationCapability = scenario.destination.capability
        sourceMode = SwitchoverAckMode(rawValue: scenario.source.mode.rawValue)
        destinationMode = SwitchoverAckMode(rawValue: scenario.destination.mode.rawValue)
        reinitsForever = scenario.reinitsForever
        sourceTraits.decision = scenario.source.decidesAtThreshold ? .atThreshold : .belowThreshold
        sourceTraits.switchesInDevice = scenario.source.switchesInDevice
        isOneWay = scenario.sink == .pipe
    }
}

/// Watches a migration while it runs, and ends it once the verifier has proved that it never ends.
private struct EndlessWatcher: MigrationWatcher {
    private var verifier: Verifier

    init(_ scenario: Scenario) { verifier = Verifier(Circumstances(scenario)) }

    mutating func take(_ event: Event, from stream: StreamName, line: Int) {
        verifier.handle(event, at: Place(stream: stream, line: line))
    }

    func endlessProof(armed: String?) -> String? {
        verifier.endlessProof(armed: armed).map { "\($0.verdict.rawValue): \($0.proof)" }
    }
}

/// Runs many cells, some at a time.
package struct MatrixRun: Sendable {
    package let runner: CellRunner
    /// How many cells run at once.
    package let jobs: Int
    /// Where each cell has its folder while it runs.
    package let folder: RunFolder

    package init(runner: CellRunner, jobs: Int, folder: RunFolder) {
        self.runner = runner
        self.jobs = jobs
        self.folder = folder
    }

    package enum Progress: Sendable {
        case began(Cell)
        /// With the cell's folder, which is removed when this was taken.
        case ended(CellResult, folder: String)
    }

    /// Runs the cells in order, so many rounds of them but for what ran earlier, and tells of each as it comes; stops at the first that the
    /// environment does not allow.
    package func run(
        _ cells: [Cell], rounds: Int = 1, earlier: EarlierResults = EarlierResults(), report: (Progress) async throws -> Void
    ) async throws {
        let count = cells.count * rounds
        try await withThrowingTaskGroup(of: (CellResult, String).self) { group in
            var next = 0
            func start() async throws {
                while next < count, next / cells.count < earlier.rounds(of: cells[next % cells.count].name) { next += 1 }
                guard next < count else { return }
                let (cell, place) = (cells[next % cells.count], "\(folder.path)/\(next)")
                next += 1
                try await report(.began(cell))
                group.addTask { (try await runner.run(cell, folder: place), place) }
            }
            for _ in 0..<min(max(jobs, 1), count) { try await start() }
            while let (result, place) = try await group.next() {
                // The next one starts before this one is reported, so that no processor waits for the report.
                try await start()
                try await report(.ended(result, folder: place))
                try? FileManager.default.removeItem(atPath: place)
            }
        }
    }
}
