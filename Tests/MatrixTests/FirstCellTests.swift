import Foundation
import MigrationTrace
import Peers
import Synchronization
import Testing
import Verification

@testable import Matrix

/// What these tests need of the machine: fetched binaries and the built shim. Which binary plays which part follows from its features.
private let shim = ProcessInfo.processInfo.environment["ACKMATRIX_SHIM"] ?? ""
private let fetched = (try? QEMUBinaries().all) ?? []
private let atHand = FileManager.default.fileExists(atPath: shim) && !fetched.isEmpty

/// Each cell of the first matrix on real QEMU binaries.
@Suite(
    .serialized,
    .enabled(if: atHand, "needs fetched QEMU binaries (ackmatrix qemu fetch) and the shim named by ACKMATRIX_SHIM: run harness/test"))
struct FirstCellTests {
    @Test func theCellsCoverEveryPairingAndNameTheirSides() async throws {
        let binaries = try await probedBinaries()
        let matrix = try FirstCells(binaries)
        #expect(matrix.missing == [])
        let new = try #require(binaries.last { $0.features.hasLegacyProperty }).binary.name
        let old = try #require(binaries.last { $0.features.hasSwitchoverAck && !$0.features.hasLegacyProperty }).binary.name
        #expect(
            matrix.cells.map { "\($0.source)-\($0.destination)" }.prefix(5) == [
                "\(old)-\(old)", "\(old)-\(new)", "\(new)-\(old)", "\(new)-\(new)", "\(new)-\(old)",
            ])
        #expect(matrix.cells.filter { !$0.schedule.isEmpty }.count == 3)
        #expect(Set(matrix.cells.map(\.name)).count == 8)
    }

    @Test(arguments: 0..<8)
    func theCellIsAsPredictedAndItsTraceSaysSo(index: Int) async throws {
        let folder = try RunFolder()
        let binaries = try await probedBinaries()
        let cells = try FirstCells(binaries).cells
        try #require(index < cells.count)
        let place = folder.path + "/c"
        let result = try await runner(binaries).run(cells[index], folder: place)
        #expect(result.verdict == .asPredicted)
        guard let handshake = result.handshake else {
            #expect(result.refusal?.role == .source)
            return
        }
        #expect(handshake.isGating)
        let trace = try Trace(path: place + "/" + CellRunner.traceFile)
        #expect(Handshake(trace) == handshake)
        #expect(trace.header.outcome == "completed")
        #expect(trace.edges.filter { $0.kind == .counted }.count == handshake.acksCounted)
        #expect(trace.edges.filter { $0.kind == .approval }.count == handshake.approvals.values.reduce(0, +))
    }

    /// The prediction is not a formality: the same run against another prediction is a finding.
    @Test func aWrongPredictionIsAFinding() async throws {
        let folder = try RunFolder()
        let binaries = try await probedBinaries()
        var cell = try #require(try FirstCells(binaries).cells.last { $0.title.hasSuffix("+2-devices") })
        cell.prediction = .completes(.init(mode: .perDevice, requests: ["v0": 1, "v1": 1], approvals: ["v0": 1, "v1": 1], acks: 3))
        let result = try await runner(binaries).run(cell, folder: folder.path + "/c")
        #expect(result.verdict == .finding(["ACKs sent: expected 3, found 2", "ACKs counted: expected 3, found 2"]))
    }

    /// The gate decides, not the machine's speed: 20 of 20, on an idle machine and with every processor kept busy.
    @Test(arguments: [false, true])
    func theGateHoldsTwentyTimes(busy: Bool) async throws {
        let folder = try RunFolder()
        let binaries = try await probedBinaries()
        let cell = try #require(try FirstCells(binaries).cells.first { $0.title.hasSuffix("+reinit-gate") })
        let load = Load(threads: busy ? ProcessInfo.processInfo.activeProcessorCount : 0)
        defer { load.stop() }
        for round in 1...20 {
            let result = try await runner(binaries).run(cell, folder: "\(folder.path)/\(round)")
            #expect(result.verdict == .asPredicted, "round \(round)")
            let queries = try #require(result.record?.marks.compactMap(\.queries).first)
            #expect(queries.upperBound - queries.lowerBound >= 200)
            #expect(result.record?.marks.allSatisfy(\.sourceIterated) == true)
        }
    }

    @Test func whatABinaryCannotShowIsSaidNotDropped() async throws {
        let binaries = try await probedBinaries()
        let alone = try FirstCells(binaries.filter { $0.features.hasSwitchoverAck && !$0.features.hasLegacyProperty })
        #expect(alone.cells.count == 1)
        #expect(alone.missing.count == 2)
        #expect(try FirstCells([]).missing.count == 3)
    }

    private func runner(_ binaries: [ProbedBinary]) -> CellRunner {
        CellRunner(binaries: Dictionary(uniqueKeysWithValues: binaries.map { ($0.binary.name, $0) }), shim: shim)
    }
}

/// The fetched binaries, oldest first.
private func probedBinaries() async throws -> [ProbedBinary] {
    try await FeatureStore(cache: QEMUBinaries.cache).probed(fetched, shim: shim, folder: RunFolder())
}

/// Threads that do nothing but compute.
private final class Load: Sendable {
    private let running = Atomic(true)

    init(threads: Int) {
        for _ in 0..<threads {
            Thread.detachNewThread { [self] in while running.load(ordering: .relaxed) {} }
        }
    }

    func stop() { running.store(false, ordering: .relaxed) }
}
