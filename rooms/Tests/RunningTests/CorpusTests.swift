import Foundation
import MigrationTrace
import Testing
import Verification

@testable import Running

private let corpus =
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path
    + "/Traces"

/// The golden corpus, whatever lies in it.
@Suite struct CorpusTests {
    private static let traces = (try? Corpus.traces(in: corpus)) ?? []

    @Test func thereIsACorpus() {
        #expect(Self.traces.count >= 40)
    }

    @Test(arguments: traces) func aTraceIsJudgedAsRecordedAndNamedAsItsCell(path: String) throws {
        let trace = try Trace(path: path)
        let judgement = judge(trace)
        #expect(RecordedJudgement(trace, judgement).differences == [])
        #expect(URL(fileURLWithPath: path).lastPathComponent == trace.header.cell + ".trace")
        #expect(trace.bytes == Array(try Data(contentsOf: URL(fileURLWithPath: path))))
    }

    /// Whatever gated is found out once its decision stands where a source that ignores the ACK would have made it.
    @Test(arguments: Tampering.allCases) func everyGatingTraceTurnsRedWhenItsDecisionIsMoved(tampering: Tampering) throws {
        var turned = 0
        for path in Self.traces {
            let trace = try Trace(path: path)
            let judgement = judge(trace)
            // A guest that was stopped meanwhile waits for no ACK, and its source may decide without.
            guard judgement.isGating, judgement.verdict == .completed, !trace.header.cell.contains("+guest-stopped"),
                let tampered = tampering.tamper(trace)
            else { continue }
            let found = judge(tampered)
            // A source that iterates on after it gives itself away. Otherwise the ACK's line may be late (3 ms were seen, and the guest is
            // stopped within 0.2): then only that no step was held back tells.
            switch tampering {
            case .decisionBeforeAck: #expect(found.findings.contains { $0.rule.id == "decision-awaits-acks" }, "\(path)")
            case .ackIgnored: #expect(!found.isGating, "\(path)")
            }
            turned += 1
        }
        #expect(turned >= 20)
    }

    /// Modes: what is written, and what is not.
    @Test(arguments: [
        (RecordMode.never, false, false), (.missing, false, true), (.missing, true, false), (.all, false, false), (.all, true, true),
        (.failed, false, false), (.failed, true, false),
    ])
    func whatAModeWrites(mode: RecordMode, isThere: Bool, writes: Bool) throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("ackmatrix-corpus-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let golden = try #require(Self.traces.first)
        let name = try Trace(path: golden).header.cell
        let file = folder + "/" + name + ".trace"
        if isThere { try FileManager.default.copyItem(atPath: golden, toPath: file) }
        let written = try Corpus(folder: folder, mode: mode).take(name, isFinding: false, trace: golden)
        #expect((written != nil) == writes)
        #expect(FileManager.default.fileExists(atPath: file) == (isThere || writes))
        #expect(try Corpus(folder: folder, mode: mode).take(name, isFinding: true, trace: golden) == nil)
    }

    /// A trace that is not judged as its header says is what `failed` records anew.
    @Test func aFailedTraceIsRecordedAnew() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("ackmatrix-corpus-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        // One that breaks nothing.
        let golden = try #require(Self.traces.first { $0.hasSuffix("/10.0-10.0+q35-10.0.trace") })
        var wrong = try Trace(path: golden)
        let name = wrong.header.cell
        wrong.header.broken = ["one-guest"]
        let file = folder + "/" + name + ".trace"
        try wrong.write(path: file)
        #expect(try Corpus(folder: folder, mode: .failed).take(name, isFinding: false, trace: golden) == file)
        #expect(try Trace(path: file) == Trace(path: golden))
    }
}
