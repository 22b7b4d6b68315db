/// One cell of the matrix, driven for a command that is about it alone.
import ArgumentParser
import EnginePeer
import Foundation
import Matrix
import MigrationTrace
import Plan
import QEMUPeer
import Running

struct CellOptions: ParsableArguments {
    @OptionGroup var binaries: BinaryOptions

    @Option(help: ArgumentHelp("The matrix file. (default: harness/matrix/default.yaml)", valueName: "FILE"))
    var matrix: String?

    @OptionGroup var deviations: DeviationOptions

    /// Makes the command that runs a cell again.
    func reproduction() throws -> Reproduction { try Reproduction(binaries, matrix: matrix, deviations) }

    func matrixFile() throws -> MatrixFile { try MatrixFile(path: matrix ?? Harness.root() + "/harness/matrix/default.yaml") }

    /// Drives the one cell that has this name, or whose name alone contains it.
    func drive(_ name: String, _ binaries: [ProbedBinary]? = nil) async throws -> DrivenCell {
        let isOfEngine = name.contains(SideImplementation.enginePrefix)
        if isOfEngine, let own = self.binaries.own.first {
            throw ValidationError("--qemu \(own): expected a cell of QEMU binaries, found a cell of the engine: \(name)")
        }
        let binaries =
            if isOfEngine {
                ProbedBinary.engines + ProbedBinary.enginesWhenNamed.filter { name.contains($0.binary.name) }
            } else if let binaries {
                binaries
            } else {
                try await Harness.probed(self.binaries.binaries())
            }
        let file = try matrixFile()
        let chosen = try CellSelection(texts: [name], label: "CELL").cells(of: file, binaries).cells
        guard chosen.count == 1, let chosen = chosen.first else {
            throw ValidationError(
                "expected the name of one cell, found \(chosen.count) that contain '\(name)': "
                    + chosen.prefix(3).map(\.name).joined(separator: ", ")
                    + (chosen.count > 3 ? " and \(chosen.count - 3) more; see: ackmatrix list --cell" : ""))
        }
        let runner = CellRunner(
            binaries: binaries, shim: isOfEngine ? "" : try Harness.shim(), deviations: try deviations.file(file),
            policy: deviations.deviations)
        let folder = try RunFolder()
        try await Harness.checkStart(of: binaries, for: [chosen], folder: folder)
        _ = try await Harness.checkPairings(of: binaries, for: [chosen], jobs: 1, folder: folder)
        let place = folder.path + "/c"
        return DrivenCell(result: try await runner.run(chosen, folder: place), folder: folder, place: place)
    }
}

/// A cell that was driven; its logs, scripts and traces are there as long as this is.
struct DrivenCell: Sendable {
    let result: CellResult
    /// Holds `place`, which goes with it.
    let folder: RunFolder
    let place: String

    /// The trace of each leg that was driven; where a side refused there is none.
    func traces() throws -> [Trace] {
        try result.cell.traces.map { "\(place)/\($0.file)" }.prefix { FileManager.default.fileExists(atPath: $0) }.map {
            try Trace(path: $0)
        }
    }
}
