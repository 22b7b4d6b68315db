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

/// A refused script shows as a cell that is not found.
private let cellNames: [String] = {
    do { return try firstCells().map(\.name) } catch { return ["\(error)"] }
}()

/// Each cell of the first matrix on real QEMU binaries.
@Suite(
    .serialized,
    .enabled(if: atHand, "needs QEMU 7.2, 10.0 and 11.1 (ackmatrix qemu fetch) and the shim named by ACKMATRIX_SHIM: run harness/test"))
struct FirstCellTests {
    @Test(arguments: cellNames)
    func theCellIsAsPredictedAndItsTraceSaysSo(name: String) async throws {
        let cell = try #require(try firstCells().first { $0.name == name })
        let folder = try RunFolder()
        let runner = CellRunner(binaries: try await probedBinaries(folder), shim: shim)
        let place = folder.path + "/c"
        let result = try await runner.run(cell, folder: place)
        #expect(result.verdict == .asPredicted)
        guard let handshake = result.handshake else {
            #expect(result.refusal != nil)
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
        var cell = try #require(try firstCells().first { $0.title == "q35-11.1+2-devices" })
        cell.prediction = .completes(.init(mode: .perDevice, requests: ["v0": 1, "v1": 1], approvals: ["v0": 1, "v1": 1], acks: 3))
        let folder = try RunFolder()
        let runner = CellRunner(binaries: try await probedBinaries(folder), shim: shim)
        let result = try await runner.run(cell, folder: folder.path + "/c")
        #expect(result.verdict == .finding(["ACKs sent: expected 3, found 2", "ACKs counted: expected 3, found 2"]))
    }
}

private func probedBinaries(_ folder: RunFolder) async throws -> [String: ProbedBinary] {
    let store = FeatureStore(cache: QEMUBinaries.cache)
    var probed: [String: ProbedBinary] = [:]
    for binary in fetched {
        let features: ProbedFeatures
        if let known = store.features(of: binary) {
            features = known
        } else {
            features = try await probe(binary, shim: shim, folder: folder)
            try store.remember(features, of: binary)
        }
        probed[binary.name] = ProbedBinary(binary: binary, features: features)
    }
    return probed
}
