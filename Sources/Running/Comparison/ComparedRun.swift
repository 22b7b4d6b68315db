/// One run of a cell as it is compared with another: how each leg ended, who requested and approved, and in which order what happened.
import Foundation
import Matrix
import MigrationTrace
import Plan
import Prediction
import Verification

package struct ComparedLeg: Sendable {
    package let judgement: Judgement
    package let sequence: ProtocolSequence

    package init(judgement: Judgement, sequence: ProtocolSequence) {
        self.judgement = judgement
        self.sequence = sequence
    }

    /// `source` and `destination` are what the sides were started with; without them devices are named by what the trace tells.
    package init(_ trace: Trace) {
        judgement = judge(trace)
        sequence = ProtocolSequence(
            trace, sourceNames: descriptorNames(trace.header.source), destinationNames: descriptorNames(trace.header.destination))
    }
}

/// 10.0 names devices by the descriptors that they are given.
private func descriptorNames(_ side: TraceSide) -> [String: String] {
    Dictionary(
        side.devices.enumerated().filter { !$1.idstr.isEmpty }.map { ("VFIO_FD\(firstDeviceDescriptor + $0)", $1.idstr) }
    ) { first, _ in first }
}

package struct ComparedRun: Sendable {
    /// Those that were driven to an end.
    package var legs: [ComparedLeg]
    /// Of the last leg: its verdict, or what came instead.
    package var ending: String
    /// Why there was no migration, or no end of it, in the words of the side that said so.
    package var words: String?

    package init(legs: [ComparedLeg], ending: String, words: String? = nil) {
        self.legs = legs
        self.ending = ending
        self.words = words
    }
}

extension ComparedRun {
    /// The run that a result and the traces in the cell's folder describe.
    init(_ result: CellResult, folder: String) throws {
        self.init(
            legs: try recordedLegs(result.cell, folder: folder), ending: result.ending.text,
            words: { if case .refused(let refusal) = result.ending { "\(refusal.role.rawValue): \(refusal.text)" } else { nil } }())
    }

    /// A cell as a run of the matrix has kept it; nil where that run has none of its name.
    package init?(_ cell: Cell, keptIn cells: String, endings: [String: String]) throws {
        guard let ending = endings[cell.name] else { return nil }
        let folder = "\(cells)/\(cell.name)"
        guard FileManager.default.fileExists(atPath: folder) || ending == Prediction.Ending.refused.rawValue else { return nil }
        self.init(legs: try recordedLegs(cell, folder: folder), ending: ending)
    }
}

private func recordedLegs(_ cell: Cell, folder: String) throws -> [ComparedLeg] {
    try cell.traces.map { "\(folder)/\($0.file)" }.prefix { FileManager.default.fileExists(atPath: $0) }.map {
        try ComparedLeg(Trace(path: $0))
    }
}

extension CellRunner {
    /// Runs the cell, of whichever kind its sides are, to be compared. `folder` must not exist yet, and is gone afterwards.
    package func comparedRun(_ cell: Cell, seed: UInt64, folder: String) async throws -> ComparedRun {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        guard cell.kind == .engine else { return try ComparedRun(try await run(cell, folder: folder), folder: folder) }
        var runner = self
        runner.seed = seed
        // A real machine has both: quiet moments, and others.
        runner.isRough = seed > 0 && seed % 2 == 0
        do {
            let legs = try runner.engineTraces(cell).traces.map(ComparedLeg.init)
            let isWhole = legs.count == cell.plan.legs.count
            return ComparedRun(legs: legs, ending: isWhole ? legs.last?.judgement.verdict.rawValue ?? "" : "could not be driven")
        } catch let refusal as SideRefusal {
            return ComparedRun(
                legs: [], ending: Prediction.Ending.refused.rawValue, words: "\(refusal.role.rawValue): \(refusal.text)")
        } catch let error as SideError {
            return ComparedRun(legs: [], ending: "could not be driven", words: error.description)
        }
    }
}
