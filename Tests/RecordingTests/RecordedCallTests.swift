/// Recordings are read with suspicion: of processes that were killed, and of traces that somebody has edited.
import Foundation
import MigrationTrace
import TestSupport
import Testing
import VFIO

@testable import Recording

@Suite struct RecordedCallTests {
    @Test func aRecordingWithWrongNumbersIsRefusedWithItsPlace() throws {
        let rows: [(line: String, reason: String)] = [
            ("recorded_read  (d) size 4, ret 5, hash 0x1, took 1 ns", "entry 1: expected at most the 4 bytes"),
            ("recorded_write  (d) size 4, ret 5, hash 0x1, took 1 ns", "entry 1: expected at most the 4 bytes"),
            ("recorded_ioctl  (d) VFIO_DEVICE_FEATURE 0x3b75 ret 0, took 1 ns, in 0g, out =", "entry 1: expected at most 256 bytes in hex"),
            ("recorded_ioctl  (d) VFIO_DEVICE_FEATURE 0x3b75 ret 0, took 1 ns, in 012, out =", "expected an even number of digits"),
            (
                "recorded_ioctl  (d) VFIO_DEVICE_FEATURE 0x3b75 ret 0, took 1 ns, in " + String(repeating: "00", count: 257) + ", out =",
                "expected at most 256 bytes"
            ),
        ]
        for row in rows {
            #expect(throws: RecordingError.self, "\(row.line)") { try RecordedDevice.all(in: trace(lines: row.line + "\n")) }
            do { _ = try RecordedDevice.all(in: trace(lines: row.line + "\n")) } catch {
                #expect("\(error)".contains(row.reason), "\(error)")
            }
        }
    }

    /// A fold of a line stands for 2^40 calls, and is refused before it is unfolded.
    @Test func aFoldIsNotUnfoldedWithoutLimit() {
        let entry = Entry(.recordedDataSize(device: "d", size: 1, result: 0, took: 1))
        var stream = FoldedStream()
        stream.append(.times(1 << 40, [FoldedEntry(first: entry, lastTime: nil)]))
        let folded = Trace(header: TraceHeader(), source: FoldedStream(), sourceDevices: stream, destination: FoldedStream())
        #expect(throws: RecordingError.self) { try RecordedDevice.all(in: folded) }
        var calls = FoldedStream()
        calls.append(.times(RecordedDevice.mostCalls + 1, [FoldedEntry(first: entry, lastTime: nil)]))
        let many = Trace(header: TraceHeader(), source: FoldedStream(), sourceDevices: calls, destination: FoldedStream())
        #expect(throws: RecordingError.self) { try RecordedDevice.all(in: many) }
    }

    /// A trace is written and read back with its recorded events, and so is what is distilled of it.
    @Test func aRecordingIsATrace() throws {
        let recorded = try Exercise().recording(of: "on query 2 do reinit 8K\n")
        let read = try Trace(TraceReader(recorded.bytes))
        #expect(read.sourceDevices == recorded.sourceDevices)
        #expect(read.bytes == recorded.bytes)
    }

    /// Wherever the recorder was killed, what it has written is read; of the last line no part is believed.
    @Test func everyPrefixIsRead() throws {
        var lines: [String] = []
        func add(_ event: String) { lines.append("77#\(lines.count + 1)@1795231979.000000000+55.00000000\(lines.count % 10):\(event)") }
        add("recorded_begin process 77, contents 0")
        for entry in try Exercise().recording(of: "on query 2 do reinit 8K\n").sourceDevices { add(entry.event!.line) }
        add("recorded_end calls 1")
        let bytes = Array((lines.joined(separator: "\n") + "\n").utf8)
        let folder = FileManager.default.temporaryDirectory.appending(path: "ackmatrix-recording-\(UUID())")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.appending(path: "77.calls").path
        var generator = SeededGenerator(seed: testSeed)
        for end in (0..<20).map({ _ in Int.random(in: lines[0].utf8.count + 1...bytes.count, using: &generator) }) + [bytes.count] {
            // Behind what was written, a file that was mapped has NULs.
            try Data(bytes[..<end] + [UInt8](repeating: 0, count: end == bytes.count ? 0 : end * 7 % 100_000)).write(
                to: URL(fileURLWithPath: path))
            let process = try RecordedProcess(calls: path, commandLine: ["/usr/bin/qemu"])
            let whole = bytes[..<end].count(where: { $0 == 0x0A })
            #expect(process.calls.count == whole, "a prefix of \(end) bytes, seed \(testSeed)")
            #expect(process.hasEnded == (end == bytes.count))
            #expect(process.program == "qemu")
            let trace = Trace(recording: process, nil, command: "qemu") { [Setting("v0.driver", "mlx5_vfio_pci of process \($0.id)")] }
            #expect(trace.header.source.properties.first == Setting("v0.driver", "mlx5_vfio_pci of process \(process.id)"))
            #expect(trace.header.destination.properties == [])
            _ = try RecordedDevice.all(in: trace)
        }
        // A line in the middle that is missing is no end.
        try Data((lines[0...3] + lines[5...]).map { $0 + "\n" }.joined().utf8).write(to: URL(fileURLWithPath: path))
        #expect(throws: RecordingError.self) { try RecordedProcess(calls: path, commandLine: []) }
        try Data("nothing of a recording\n".utf8).write(to: URL(fileURLWithPath: path))
        #expect(throws: RecordingError.self) { try RecordedProcess(calls: path, commandLine: []) }
    }
}
