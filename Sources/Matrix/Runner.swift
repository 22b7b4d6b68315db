/// Runs cells on real QEMU binaries, one folder each, and has them judged.
import Foundation
import MigrationTrace
import Peers
import Prediction
import VFIO
import Verification

public struct CellRunner: Sendable {
    /// The trace's file in a cell's folder.
    public static let traceFile = "cell.trace"

    public var binaries: [String: ProbedBinary]
    public var shim: String
    public var deviations: DeviationFile
    public var policy: DeviationPolicy
    /// Makes the trace of each cell wrong before it is judged.
    public var tampering: Tampering?

    public init(
        binaries: [ProbedBinary], shim: String, deviations: DeviationFile, policy: DeviationPolicy = .expected, tampering: Tampering? = nil
    ) {
        self.binaries = Dictionary(binaries.map { ($0.binary.name, $0) }) { _, later in later }
        self.shim = shim
        self.deviations = deviations
        self.policy = policy
        self.tampering = tampering
    }

    /// Runs one cell in `folder`, which must not exist yet, and leaves its logs, scripts and a trace of each leg there. A QEMU that does not
    /// do its part is a result; everything else that goes wrong is the environment's and is thrown.
    public func run(_ cell: Cell, folder: String) async throws -> CellResult {
        let began = Deadline.now
        var plan = cell.plan
        for (index, forecast) in cell.forecasts.enumerated() { plan.legs[index].watcher = EndlessWatcher(forecast.scenario) }
        func result(_ ending: CellResult.Ending, _ judgement: Judgement?, _ record: MigrationRecord?, _ earlier: [LegResult]) -> CellResult
        {
            CellResult(
                cell: cell, ending: ending, judgement: judgement, record: record,
                differences: Comparison(cell, leg: plan.legs.count - 1, ending: ending, judgement: judgement, record: record).differences,
                deviations: account(cell, ending, earlier.map(\.judgement) + (judgement.map { [$0] } ?? [])),
                judges: judges(cell.outcomes, ending: ending, record: record),
                seconds: Double(Deadline.now.nanoseconds - began.nanoseconds) / 1e9, earlier: earlier)
        }
        do {
            let records = try await migrate(plan, shim: shim, folder: folder)
            var legs: [LegResult] = []
            for (index, record) in records.enumerated() {
                let judgement = try judgeLeg(cell, index, record, file: folder + "/" + cell.traces[index].file)
                let ending = CellResult.Ending.verdict(judgement.verdict)
                legs.append(
                    LegResult(
                        ending: ending, judgement: judgement, record: record,
                        differences: Comparison(cell, leg: index, ending: ending, judgement: judgement, record: record).differences,
                        judges: judges(cell.forecasts[index].outcomes, ending: ending, record: record)))
            }
            guard legs.count == plan.legs.count, let last = legs.popLast() else {
                let reason =
                    "leg \(legs.count + 1) of \(plan.legs.count) was never driven: the one before is \(records.last!.outcome.description)"
                return result(.broken(reason), nil, nil, legs)
            }
            return result(last.ending, last.judgement, last.record, legs)
        } catch let refusal as SideRefusal where !Task.isCancelled {
            return result(.refused(refusal), nil, nil, [])
        } catch let error as SideError where !Task.isCancelled {
            return result(.broken(error.description), nil, nil, [])
        } catch let error as QMPError where error.isOfQEMU && !Task.isCancelled {
            return result(.broken(error.description), nil, nil, [])
        }
    }

    /// What is said of a leg; its trace, with the judgement, is left in the file.
    private func judgeLeg(_ cell: Cell, _ index: Int, _ record: MigrationRecord, file: String) throws -> Judgement {
        var trace = try recordTrace(cell, leg: index, record: record, binaries: binaries)
        if let tampering, let tampered = tampering.tamper(trace) { trace = tampered }
        let judgement = judge(trace)
        trace.header.verdict = judgement.verdict.rawValue
        trace.header.broken = judgement.broken
        try trace.write(path: file)
        return judgement
    }

    private func account(_ cell: Cell, _ ending: CellResult.Ending, _ judgements: [Judgement]) -> DeviationAccount {
        DeviationAccount(
            broken: judgements.flatMap(\.broken).reduce(into: []) { if !$0.contains($1) { $0.append($1) } }, verdict: ending.text,
            deviations: deviations.deviations(
                for: cell.selection, cellName: cell.name, sourceVersion: cell.sourceVersion, destinationVersion: cell.destinationVersion),
            policy: policy, isForced: cell.scenario.race != .natural)
    }
}

/// The verifier, watching a migration that still runs.
private struct EndlessWatcher: MigrationWatcher {
    private var verifier: Verifier

    init(_ scenario: Scenario) {
        var circumstances = Circumstances()
        circumstances.sourceCapability = scenario.source.capability
        circumstances.destinationCapability = scenario.destination.capability
        circumstances.sourceMode = Handshake.Mode(rawValue: scenario.source.mode.rawValue)
        circumstances.destinationMode = Handshake.Mode(rawValue: scenario.destination.mode.rawValue)
        circumstances.reinitsForEver = scenario.reinitsForEver
        circumstances.decidesBelowThreshold = !scenario.source.decidesAtThreshold
        circumstances.isOneWay = scenario.sink == .pipe
        verifier = Verifier(circumstances)
    }

    mutating func take(_ event: Event, from stream: StreamName, line: Int) {
        verifier.take(event, at: Place(stream: stream, line: line))
    }

    func endlessProof(armed: String?) -> String? {
        verifier.endlessProof(armed: armed).map { "\($0.verdict.rawValue): \($0.proof)" }
    }
}

/// Runs many cells, some at a time.
public struct MatrixRun: Sendable {
    public let runner: CellRunner
    /// How many cells run at once.
    public let jobs: Int
    /// Where each cell has its folder while it runs.
    public let folder: RunFolder

    public init(runner: CellRunner, jobs: Int, folder: RunFolder) {
        self.runner = runner
        self.jobs = jobs
        self.folder = folder
    }

    public enum Progress: Sendable {
        case began(Cell)
        /// With the cell's folder, which is removed when this was taken.
        case ended(CellResult, folder: String)
    }

    /// Runs the cells in order, and tells of each as it comes; stops at the first that the environment does not allow.
    public func run(_ cells: [Cell], report: (Progress) async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: (CellResult, String).self) { group in
            var next = 0
            func start() async throws {
                guard next < cells.count else { return }
                let (cell, place) = (cells[next], "\(folder.path)/\(next)")
                next += 1
                try await report(.began(cell))
                group.addTask { (try await runner.run(cell, folder: place), place) }
            }
            for _ in 0..<max(jobs, 1) { try await start() }
            while let (result, place) = try await group.next() {
                // The next one starts before this one is reported, so that no processor waits for the report.
                try await start()
                try await report(.ended(result, folder: place))
                try? FileManager.default.removeItem(atPath: place)
            }
        }
    }
}
