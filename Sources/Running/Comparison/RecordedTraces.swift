/// Traces of releases of which no binary is available, as judges of the engine and of the predictions.
///
/// A folder holds a trace for each cell, `CELL.trace`, and one for each earlier leg of a cell, `CELL.leg-1.trace`, as a run with
/// `--keep-all` and the golden corpus have them; each may be compressed by gzip (`.trace.gz`).
import EnginePeer
import Foundation
import Matrix
import MigrationTrace
import Plan
import Verification

package struct RecordedTraces: Sendable {
    /// The files of a cell's traces: those of earlier legs in order, and then its own.
    private let files: [String: [String]]

    /// Reads the names of the files in `folder`. Throws `Environment` if it cannot be read or holds no trace.
    package init(folder: String) throws {
        let names: [String]
        do { names = try FileManager.default.contentsOfDirectory(atPath: folder) } catch {
            throw Environment("\(folder): expected a folder of traces: \(systemReason(error))")
        }
        var legs: [String: [(leg: Int, file: String)]] = [:]
        for name in names {
            guard let suffix = Self.suffixes.first(where: name.hasSuffix) else { continue }
            let stem = String(name.dropLast(suffix.count))
            let (cell, leg) = Self.legOfTrace(stem)
            legs[cell, default: []].append((leg, "\(folder)/\(name)"))
        }
        files = legs.mapValues { $0.sorted { ($0.leg, $0.file) < ($1.leg, $1.file) }.map(\.file) }
        guard !files.isEmpty else { throw Environment("\(folder): expected CELL.trace or CELL.trace.gz, found no trace") }
    }

    private static let suffixes = [".trace", ".trace.gz"]

    /// The cell of a trace's name, and the leg's number; the last leg has the highest.
    private static func legOfTrace(_ stem: String) -> (cell: String, leg: Int) {
        guard let mark = stem.range(of: ".leg-", options: .backwards), let leg = Int(stem[mark.upperBound...]), leg > 0 else {
            return (stem, .max)
        }
        return (String(stem[..<mark.lowerBound]), leg)
    }

    /// The names of the recorded cells, sorted.
    package var cells: [String] { files.keys.sorted() }

    /// The traces of a cell, a leg each. Throws `UnmetNeed` if none of that name was recorded.
    package func traces(of cell: String) throws -> [Trace] {
        guard let files = files[cell] else { throw UnmetNeed("no trace of it was recorded") }
        return try files.map { try Trace(path: $0) }
    }

    /// The sides of a cell as they would be if their binaries were available: with the features of the generation that each is named after,
    /// and with the exact versions that the traces name. nil if a side is named after no generation.
    package func sides(of cell: String) throws -> [ProbedBinary]? {
        guard let trace = try traces(of: cell).last else { return nil }
        var sides: [ProbedBinary] = []
        for side in [trace.header.source, trace.header.destination] where !sides.contains(where: { $0.binary.name == side.name }) {
            guard var features = ProbedBinary.engine(side.name)?.features else { return nil }
            features.version = side.version.split(separator: " ").first.map(String.init) ?? side.name
            // The cell has run, so that the side can do what it needs; nothing is started.
            let binary = QEMUBinary(name: side.name, start: .executable("qemu-system-x86_64"))
            sides.append(ProbedBinary(binary: .qemu(binary), features: features, generation: side.name) { _ in nil })
        }
        return sides
    }
}

/// The recorded cells that the matrix file makes and the engine can run.
package struct RecordedCells {
    package private(set) var cells: [SharedCell] = []
    /// Why other recorded cells cannot be compared, a reason each.
    package private(set) var leftOut: [String] = []

    package init(_ traces: RecordedTraces, file: MatrixFile, isWanted: (String) -> Bool) throws {
        for name in traces.cells where isWanted(name) {
            guard let sides = try traces.sides(of: name) else {
                leftOut.append("a side is named after no generation of the engine")
                continue
            }
            guard let qemu = try Recipe.cell(named: name, of: file, binaries: sides).cell else {
                leftOut.append("the matrix file makes no such cell")
                continue
            }
            let engine = try Recipe.cells(of: qemu.selection, product: qemu.product, binaries: sides.compactMap(\.counterpart)) {
                sharedCellName($0) == name
            }
            if let engine = engine.cells.first {
                cells.append(SharedCell(qemu: qemu, engine: engine))
            } else {
                leftOut.append(engine.skipped.reasonBySharedName[name]?.description ?? "no engine has such a cell")
            }
        }
    }
}

extension ComparedRun {
    /// The run that the traces of a cell's legs describe.
    package init(_ traces: [Trace]) {
        let legs = traces.map(ComparedLeg.init)
        self.init(legs: legs, ending: legs.last?.judgement.verdict.rawValue ?? "could not be driven")
    }
}

extension CellRunner {
    /// The result of a cell whose legs were recorded: their judgements against the prediction. What only the driver knew, such as the
    /// source's error and the steps that were taken, is not compared.
    package func judgeRecorded(_ cell: Cell, _ traces: [Trace]) -> CellResult {
        conclude(cell, traces.map { _ in nil }, traces.map { Verification.judge($0) }, seconds: 0)
    }
}
