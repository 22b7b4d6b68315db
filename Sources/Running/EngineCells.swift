/// Runs cells in the engine, in this process: the verifier judges each event when the engine makes it, without a log or a file.
///
/// The same cell with the same seed logs the same events, so a caller that wants a trace runs it again.
import EnginePeer
import Foundation
import Matrix
import MigrationTrace
import Plan
import Prediction
import QEMUPeer
import Verification

/// Gives what the engine logs to a verifier for each leg.
private final class LegVerifiers: EngineLog {
    private let forecasts: [Forecast]
    /// Idstrs by device name, which the devices' own streams have and QEMU's up to 11.0 have not.
    private let idstrs: [String: String]
    private let requester: String?
    /// By leg, what the source does.
    private let sourceTraits: [SideTraits?]
    private(set) var verifiers: [Verifier] = []
    private(set) var events = 0
    /// Events of each stream of the leg, which are its line numbers.
    private var lines = StreamCounts()

    init(_ cell: Cell) {
        forecasts = cell.forecasts
        idstrs = Dictionary(cell.users.map { ($0.value, $0.key) }) { first, _ in first }
        requester = cell.requester == nil ? nil : EngineModules.Requester.idstr
        sourceTraits = cell.plan.legs.indices.map { try? cell.plan.source(ofLeg: $0).engineTraits }
    }

    func begin(leg: Int) {
        var circumstances = Circumstances(forecasts[leg].scenario)
        circumstances.sourceIdstrs = idstrs
        circumstances.destinationIdstrs = idstrs
        circumstances.requester = requester
        circumstances.sourceTraits.announcesRequests = sourceTraits[leg]?.announcesRequests
        circumstances.sourceTraits.newestStatus = sourceTraits[leg]?.newestStatus
        verifiers.append(Verifier(circumstances))
        lines = StreamCounts()
    }

    func take(_ event: Event, from stream: StreamName) {
        events += 1
        let line = lines.next(stream)
        verifiers[verifiers.count - 1].handle(event, at: Place(stream: stream, line: line))
    }

    func endlessProof(armed: String?) -> String? {
        verifiers[verifiers.count - 1].endlessProof(armed: armed).map { "\($0.verdict.rawValue): \($0.proof)" }
    }

    func judgement(leg: Int, _ plan: MigrationLeg, _ record: MigrationRecord) -> Judgement {
        verifiers[leg].end(
            armed: plan.armed(record), sourceProcess: SourceProcessEnd(rawValue: record.outcome.description),
            destinationWasKilled: plan.killsDestination(record))
        return verifiers[leg].judgement()
    }
}

/// The numbers of the last lines of four streams.
private struct StreamCounts {
    private var counts: (source: Int, sourceDevices: Int, destination: Int, destinationDevices: Int) = (0, 0, 0, 0)

    mutating func next(_ stream: StreamName) -> Int {
        func next(_ count: inout Int) -> Int {
            count += 1
            return count
        }
        return switch stream {
        case .source: next(&counts.source)
        case .sourceDevices: next(&counts.sourceDevices)
        case .destination: next(&counts.destination)
        case .destinationDevices: next(&counts.destinationDevices)
        }
    }
}

/// Keeps what the engine logs, leg by leg, beside the verifiers, which may end it.
private final class LegStreams: EngineLog {
    private let verifiers: LegVerifiers
    private(set) var legs: [[StreamName: [Entry]]] = []

    init(_ cell: Cell) { verifiers = LegVerifiers(cell) }

    func begin(leg: Int) {
        verifiers.begin(leg: leg)
        legs.append([:])
    }

    func take(_ event: Event, from stream: StreamName) {
        verifiers.take(event, from: stream)
        legs[legs.count - 1][stream, default: []].append(Entry(event))
    }

    func endlessProof(armed: String?) -> String? { verifiers.endlessProof(armed: armed) }
}

extension CellRunner {
    /// Runs a cell of engine sides.
    package func runInEngine(_ cell: Cell) throws -> CellResult {
        let began = Deadline.now
        var seconds: Double { Double(Deadline.now.nanoseconds - began.nanoseconds) / 1e9 }
        do {
            if tampering != nil {
                let (records, traces) = try engineTraces(cell)
                return conclude(cell, records, try traces.map { try judge($0, file: nil) }, seconds: seconds)
            }
            let log = LegVerifiers(cell)
            let records = try migrateInEngine(cell.plan, seed: seed(of: cell), isRough: isRough, mutant: mutant, devices: devices, log: log)
            let judgements = records.enumerated().map { log.judgement(leg: $0, cell.plan.legs[$0], $1) }
            var result = conclude(cell, records, judgements, seconds: seconds)
            result.events = log.events
            return result
        } catch let refusal as SideRefusal {
            return conclude(cell, .refused(refusal), seconds: seconds)
        } catch let error as SideError {
            return conclude(cell, .broken(error.description), seconds: seconds)
        }
    }

    /// Runs the cell again, and leaves the trace of each leg in `folder`, which is made; none where a side refused.
    package func writeEngineTraces(_ cell: Cell, folder: String) throws {
        do {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        } catch {
            throw Environment("\(folder): cannot be made: \(systemReason(error))")
        }
        do {
            for (index, trace) in try engineTraces(cell).traces.enumerated() {
                _ = try judge(trace, file: folder + "/" + cell.traces[index].file)
            }
        } catch is SideRefusal {
            // Nothing was logged.
        } catch is SideError {
            // The result says it.
        }
    }

    func engineTraces(_ cell: Cell) throws -> (records: [MigrationRecord], traces: [Trace]) {
        let log = LegStreams(cell)
        let records = try migrateInEngine(cell.plan, seed: seed(of: cell), isRough: isRough, mutant: mutant, devices: devices, log: log)
        let traces = try records.enumerated().map { index, record in
            let header = try traceHeader(cell, leg: index, record: record, binaries: binaries)
            let streams = log.legs[index].mapValues { FoldedStream($0) }
            return Trace(
                header: header, source: streams[.source] ?? FoldedStream(), sourceDevices: streams[.sourceDevices] ?? FoldedStream(),
                destination: streams[.destination] ?? FoldedStream(),
                destinationDevices: streams[.destinationDevices] ?? FoldedStream())
        }
        return (records, traces)
    }

    /// The seed of a cell: FNV-1a of its name, starting from the run's seed. It depends on neither the other cells nor their order.
    private func seed(of cell: Cell) -> UInt64 {
        seed == 0 ? 0 : stableHash(cell.name.utf8, seed: .emptyHash ^ (seed &* 0x9e37_79b9_7f4a_7c15))
    }
}

/// Runs many engine cells on several threads, each of which runs a slice of the cells at a time.
package struct EnginePool: Sendable {
    package let runner: CellRunner
    package let threads: Int
    /// Where traces are left.
    package let folder: RunFolder
    /// Leaves the traces of every cell, not only of those with findings.
    package var keepsAll = false
    /// Makes the command that runs a cell again.
    package var reproduction = Reproduction.inRepository

    package init(runner: CellRunner, threads: Int, folder: RunFolder) {
        self.runner = runner
        self.threads = threads
        self.folder = folder
    }

    /// The result of one cell, with its line in the result log, which the threads make, and the cell's folder: it is there where traces
    /// were left, and is removed when the outcome was reported.
    package struct Outcome: Sendable {
        package let result: CellResult
        package let line: ResultLine
        package let json: Data
        package let folder: String
    }

    /// Cells of one task: few enough that the threads end together, enough that a task costs nothing beside them.
    private static let slice = 16

    /// Runs the cells, and tells of each when its slice is done.
    package func run(_ cells: [Cell], report: (Outcome) async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: [Outcome].self) { group in
            var next = 0
            func start() {
                guard next < cells.count else { return }
                let slice = next..<min(next + Self.slice, cells.count)
                next = slice.upperBound
                group.addTask {
                    try slice.map { index in
                        try Task.checkCancellation()
                        return try run(cells[index], place: "\(folder.path)/engine-\(index)")
                    }
                }
            }
            for _ in 0..<min(max(threads, 1), cells.count) { start() }
            while let outcomes = try await group.next() {
                start()
                for outcome in outcomes {
                    try await report(outcome)
                    if keepsAll || outcome.line.finding { try? FileManager.default.removeItem(atPath: outcome.folder) }
                }
            }
        }
    }

    private func run(_ cell: Cell, place: String) throws -> Outcome {
        let result = try runner.runInEngine(cell)
        let line = ResultLine(result, reproduction: reproduction)
        if keepsAll || line.finding { try runner.writeEngineTraces(cell, folder: place) }
        return Outcome(result: result, line: line, json: try line.jsonLine(), folder: place)
    }
}
