import Foundation
import MigrationTrace
import Peers
import Testing
import Verification

@testable import Matrix

/// What these tests need of the machine: fetched binaries and the built shim.
private let shim = ProcessInfo.processInfo.environment["ACKMATRIX_SHIM"] ?? ""
private let fetched = (try? QEMUBinaries().all) ?? []
private let atHand =
    FileManager.default.fileExists(atPath: shim) && ["7.2", "10.0", "11.1"].allSatisfy { name in fetched.contains { $0.name == name } }

/// Each cell of the first matrix on real QEMU binaries.
@Suite(
    .serialized,
    .enabled(if: atHand, "needs QEMU 7.2, 10.0 and 11.1 (ackmatrix qemu fetch) and the shim named by ACKMATRIX_SHIM: run harness/test"))
struct FirstCellTests {
    @Test func theCellsCoverEveryPairingAndNameTheirSides() async throws {
        let matrix = try FirstCells(try await probedBinaries(RunFolder()))
        #expect(matrix.missing == [])
        #expect(
            matrix.cells.map(\.name) == [
                "10.0-10.0+q35-10.0", "10.0-11.1+q35-10.0", "11.1-10.0+q35-10.0", "11.1-11.1+q35-11.0", "11.1-10.0+q35-10.0+2-devices",
                "11.1-11.1+q35-11.1+2-devices", "11.1-11.1+q35-11.1+reinit-gate", "7.2-11.1+q35-7.2+refused",
            ])
    }

    @Test(arguments: 0..<8)
    func theCellIsAsPredictedAndItsTraceSaysSo(index: Int) async throws {
        let folder = try RunFolder()
        let binaries = try await probedBinaries(folder)
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
        let binaries = try await probedBinaries(folder)
        var cell = try #require(try FirstCells(binaries).cells.first { $0.title == "q35-11.1+2-devices" })
        cell.prediction = .completes(.init(mode: .perDevice, requests: ["v0": 1, "v1": 1], approvals: ["v0": 1, "v1": 1], acks: 3))
        let result = try await runner(binaries).run(cell, folder: folder.path + "/c")
        #expect(result.verdict == .finding(["ACKs sent: expected 3, found 2", "ACKs counted: expected 3, found 2"]))
    }

    @Test func whatABinaryCannotShowIsSaidNotDropped() async throws {
        let binaries = try await probedBinaries(RunFolder())
        let alone = try FirstCells(binaries.filter { $0.binary.name == "10.0" })
        #expect(alone.cells.map(\.name) == ["10.0-10.0+q35-10.0"])
        #expect(alone.missing.count == 2)
        #expect(try FirstCells([]).missing.count == 3)
    }

    private func runner(_ binaries: [ProbedBinary]) -> CellRunner {
        CellRunner(binaries: Dictionary(uniqueKeysWithValues: binaries.map { ($0.binary.name, $0) }), shim: shim)
    }
}

/// The fetched binaries, oldest first.
private func probedBinaries(_ folder: RunFolder) async throws -> [ProbedBinary] {
    let store = FeatureStore(cache: QEMUBinaries.cache)
    var probed: [ProbedBinary] = []
    for binary in fetched {
        let features: ProbedFeatures
        if let known = store.features(of: binary) {
            features = known
        } else {
            features = try await probe(binary, shim: shim, folder: folder)
            try store.remember(features, of: binary)
        }
        probed.append(ProbedBinary(binary: binary, features: features))
    }
    return probed
}
