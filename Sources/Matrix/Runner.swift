/// Runs cells on real QEMU binaries, one folder each, and has them judged.
import Foundation
import MigrationTrace
import Peers
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

    /// Runs one cell in `folder`, which must not exist yet, and leaves its logs, scripts and trace there. A QEMU that does not do its part
    /// is a result; everything else that goes wrong is the environment's and is thrown.
    public func run(_ cell: Cell, folder: String) async throws -> CellResult {
        let began = Deadline.now
        var plan = cell.plan
        plan.watcher = EndlessWatcher(cell)
        do {
            let record = try await migrate(plan, shim: shim, folder: folder)
            var trace = try recordTrace(cell, record: record, binaries: binaries)
            if let tampering, let tampered = tampering.tamper(trace) { trace = tampered }
            let judgement = judge(trace)
            trace.header.verdict = judgement.verdict.rawValue
            trace.header.broken = judgement.broken
            try trace.write(path: folder + "/" + Self.traceFile)
            return result(cell, .verdict(judgement.verdict), judgement, record, began)
        } catch let refusal as SideRefusal where !Task.isCancelled {
            return result(cell, .refused(refusal), nil, nil, began)
        } catch let error as SideError where !Task.isCancelled {
            return result(cell, .broken(error.description), nil, nil, began)
        } catch let error as QMPError where error.isOfQEMU && !Task.isCancelled {
            return result(cell, .broken(error.description), nil, nil, began)
        }
    }

    private func result(
        _ cell: Cell, _ ending: CellResult.Ending, _ judgement: Judgement?, _ record: MigrationRecord?, _ began: Deadline
    ) -> CellResult {
        CellResult(
            cell: cell, ending: ending, judgement: judgement, record: record,
            differences: Comparison(cell, ending: ending, judgement: judgement, record: record).differences,
            deviations: DeviationAccount(
                broken: judgement?.broken ?? [], verdict: ending.text,
                deviations: deviations.deviations(
                    for: cell.selection, cellName: cell.name, sourceVersion: cell.sourceVersion, destinationVersion: cell.destinationVersion
                ),
                policy: policy, isForced: cell.scenario.race != .natural),
            judges: judges(cell, ending: ending, record: record),
            seconds: Double(Deadline.now.nanoseconds - began.nanoseconds) / 1e9)
    }
}

/// The verifier, watching a migration that still runs.
private struct EndlessWatcher: MigrationWatcher {
    private var verifier: Verifier

    init(_ cell: Cell) {
        var circumstances = Circumstances()
        circumstances.sourceCapability = cell.scenario.source.capability
        circumstances.destinationCapability = cell.scenario.destination.capability
        circumstances.sourceMode = Handshake.Mode(rawValue: cell.scenario.source.mode.rawValue)
        circumstances.destinationMode = Handshake.Mode(rawValue: cell.scenario.destination.mode.rawValue)
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
