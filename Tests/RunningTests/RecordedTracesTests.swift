import EnginePeer
import Foundation
import Matrix
import MigrationTrace
import Plan
import TestSupport
import Testing

@testable import Running

/// Traces of releases of which no binary is available judge the engine and the predictions.
@Suite struct RecordedTracesTests {
    static let releases = ["10.1", "10.2", "11.0"]

    private static func folder(_ release: String) -> String { repositoryFile("Traces/releases/" + release) }

    private struct Setting {
        let file: MatrixFile
        let list: DifferenceList
        let runner: CellRunner

        init() throws {
            file = try MatrixFile(path: repositoryFile("harness/matrix/default.yaml"))
            let deviations = try DeviationFile(path: repositoryFile("harness/matrix/deviations.yaml"), axes: file.axes)
            list = try DifferenceList(path: repositoryFile("harness/matrix/differences.yaml"), axes: file.axes).adding(deviations)
            runner = CellRunner(binaries: ProbedBinary.engines, shim: "", deviations: deviations, policy: .ignore)
        }

        func comparison(with traces: RecordedTraces) -> EngineComparison {
            var comparison = EngineComparison(
                found: { [runner] cell, seed in try await runner.comparedRun(cell.engine, seed: seed, folder: "") },
                expected: { cell, _ in try ComparedRun(traces.traces(of: cell.qemu.name)) }, list: list)
            comparison.jobs = ProcessInfo.processInfo.activeProcessorCount
            return comparison
        }
    }

    /// Every recorded cell is as predicted, and the engine of that release does what the release did.
    @Test(arguments: releases) func theEngineDoesWhatTheReleaseDid(release: String) async throws {
        let setting = try Setting()
        let traces = try RecordedTraces(folder: Self.folder(release))
        let recorded = try RecordedCells(traces, file: setting.file) { _ in true }
        try #require(recorded.cells.count >= 60)
        #expect(recorded.cells.count + recorded.leftOut.count == traces.cells.count)
        for cell in recorded.cells {
            let result = try setting.runner.judgeRecorded(cell.qemu, traces.traces(of: cell.name))
            #expect(result.findings == [], "\(cell.name)")
        }
        var compared = 0
        try await setting.comparison(with: traces).run(recorded.cells) { progress in
            guard case .ended(let comparison) = progress else { return }
            compared += 1
            #expect(!comparison.isFinding, "\(comparison.cell.name): \(comparison.outcome)")
        }
        #expect(compared == recorded.cells.count)
    }

    /// The engine of another release is told apart: what the releases showed are differences.
    @Test(arguments: [
        ("10.1", "0-devices+postcopy-all-sent", "10.2"), ("10.1", "call-fails+destination-resuming", "11.0"),
        ("11.0", "guest-reset", "11.1"),
    ])
    func anotherReleaseDiffers(release: String, cell: String, other: String) async throws {
        let setting = try Setting()
        let traces = try RecordedTraces(folder: Self.folder(release))
        let name = "\(release)-\(release)+q35-\(release)+\(cell)"
        let shared = try #require(try RecordedCells(traces, file: setting.file) { $0 == name }.cells.first)
        var engine = shared.engine
        engine.plan.source.binary = .engine(generation: other)
        for leg in engine.plan.legs.indices { engine.plan.legs[leg].destination.binary = .engine(generation: other) }
        let wrong = SharedCell(qemu: shared.qemu, engine: engine)
        guard case .ended(let comparison) = try await setting.comparison(with: traces).compare(wrong) else {
            throw UnmetNeed("the engine has no such cell")
        }
        #expect(comparison.isFinding, "\(comparison.outcome)")
    }

    /// Earlier legs are told by their names, and what is no trace is left alone.
    @Test func legsAndOtherFiles() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("recorded-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        #expect(throws: Environment.self) { try RecordedTraces(folder: folder) }
        #expect(throws: Environment.self) { try RecordedTraces(folder: folder + "/none") }
        for name in ["a+b.trace", "a+b.leg-1.trace.gz", "a+b.leg-x.trace", "c.trace.gz", "notes.txt"] {
            try Data().write(to: URL(fileURLWithPath: folder + "/" + name))
        }
        let traces = try RecordedTraces(folder: folder)
        #expect(traces.cells == ["a+b", "a+b.leg-x", "c"])
        #expect(throws: UnmetNeed.self) { try traces.traces(of: "d") }
    }
}
