import Foundation
import TestSupport
import Testing

/// Recordings that were made in the lab guest on Linux 7.2, replayed without it.
@Suite struct LabRecordingTests {
    private let engine = TestCorpus.path("lab") + "/engine-7.2.trace"
    private let qemu = TestCorpus.path("lab") + "/reinit-before-11.1-7.2.trace"

    @Test func theEngineMakesTheSameCallsAgain() throws {
        let (text, status) = try output(["replay", engine, "--strict"])
        #expect(status == 0, "\(text)")
        #expect(text.contains("no departure in 118 calls"), "\(text)")
    }

    @Test func oneAlteredCallIsNamed() throws {
        let words = (recorded: "recorded_state  (v0) set PRE_COPY_P2P", altered: "recorded_state  (v0) set STOP_COPY")
        let trace = try String(contentsOfFile: engine, encoding: .utf8)
        #expect(trace.ranges(of: words.recorded).count == 1)
        let folder = FileManager.default.temporaryDirectory.appending(path: "lab-recording-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let file = folder.appending(path: "altered.trace")
        try Data(trace.replacing(words.recorded, with: words.altered).utf8).write(to: file)
        let (text, status) = try output(["replay", file.path, "--strict"])
        #expect(status == 1, "\(text)")
        #expect(text.contains("expected set STOP_COPY (ret 0), found set PRE_COPY_P2P"), "\(text)")
    }

    /// The device of the recording re-initialises before the last check: the mock that follows the distilled script does, too.
    @Test func theDistilledDeviceHasTheHandshakeOfTheDriver() throws {
        let (script, status) = try output(["distill", qemu, "--device", "00000001-1111-4111-8111-000000000000"])
        #expect(status == 0 && script.contains("do reinit 4K"), "\(script)")
        let (text, replayed) = try output(["replay", qemu, "--tolerant", "--sides", "engine@11.1"])
        #expect(replayed == 0, "\(text)")
        #expect(text.contains("requests 0000:00:10.0/vfio x2") && text.contains("acks-counted 2"), "\(text)")
    }
}
