import EnginePeer
import Foundation
import Plan
import TestSupport
import Testing

@testable import Matrix
@testable import Running

/// Cells that run in the engine, in this process.
@Suite struct EngineCellTests {
    /// Whole trace files of cells, byte by byte: twice, and by several tasks at once. Another seed makes another file.
    @Test func theSameSeedMakesTheSameTraceFile() async throws {
        let matrix = try MatrixFile(path: repositoryFile("harness/matrix/default.yaml"))
        let deviations = try DeviationFile(path: repositoryFile("harness/matrix/deviations.yaml"), axes: matrix.axes)
        let engines = ProbedBinary.engines
        let cells = try matrix.selections(.default).flatMap {
            try Recipe.cells(of: $0.selection, product: $0.product, binaries: engines).cells
        }
        let some = stride(from: 0, to: cells.count, by: max(cells.count / 7, 1)).map { cells[$0] }
        #expect(some.count >= 5)
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("same-seed-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        func files(_ cell: Cell, seed: UInt64, _ place: String) throws -> [String: Data] {
            var runner = CellRunner(binaries: engines, shim: "", deviations: deviations)
            runner.seed = seed
            try runner.writeEngineTraces(cell, folder: place)
            return Dictionary(
                uniqueKeysWithValues: try FileManager.default.contentsOfDirectory(atPath: place).map {
                    ($0, try Data(contentsOf: URL(fileURLWithPath: place + "/" + $0)))
                })
        }
        var differs = 0
        for (number, cell) in some.enumerated() {
            let first = try files(cell, seed: 5, "\(folder)/\(number)-first")
            #expect(try files(cell, seed: 5, "\(folder)/\(number)-second") == first, "\(cell.name)")
            try await withThrowingTaskGroup(of: [String: Data].self) { group in
                for task in 0..<3 { group.addTask { try files(cell, seed: 5, "\(folder)/\(number)-task-\(task)") } }
                for try await other in group { #expect(other == first, "\(cell.name)") }
            }
            if try files(cell, seed: 6, "\(folder)/\(number)-other") != first { differs += 1 }
        }
        #expect(differs > 0)
    }
}
