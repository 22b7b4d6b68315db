import Foundation
import MigrationTrace
import Testing

@testable import Verification

/// Traces that were recorded in format 1, before a header had traits, are judged as they were recorded.
@Suite struct Format1Tests {
    private static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Format1")

    @Test(arguments: ["legacy-waits-forever", "per-device-fails", "no-devices"]) func isJudgedAsRecorded(name: String) throws {
        let bytes = try [UInt8](Data(contentsOf: Self.folder.appending(path: name + ".trace")))
        #expect(bytes.starts(with: Array("ackmatrix-trace 1\n".utf8)))
        let trace = try Trace(TraceReader(bytes))
        let judgement = judge(trace)
        #expect(judgement.verdict.rawValue == trace.header.verdict)
        #expect(judgement.broken == trace.header.broken)
        #expect(trace.header.source.traits.decision != nil)
        #expect((trace.header.verdict == "waits forever") == (name != "per-device-fails"))
    }
}
