/// A distilled script makes the mock answer as the recorded device did.
import MigrationTrace
import Testing
import VFIO

@testable import Recording

@Suite struct DistillationTests {
    /// Scripts, and what the script that is distilled from their recordings must have.
    static let scripts: [(script: String, lines: [String])] = [
        ("", ["has precopy p2p", "info-v2 yes", "dirty-tracking yes", "initial 64K", "stop-copy 256K"]),
        ("has precopy p2p\ninitial 48\nstop-copy 20\n", ["initial 48", "stop-copy 20"]),
        ("has precopy\ninfo-v2 no\ninitial 4K\ndrained 0\n", ["has precopy", "info-v2 no", "drained 0"]),
        ("dirty-tracking no\n", ["dirty-tracking no"]),
        ("on query 2 do reinit 8K\n", ["has precopy p2p reinit", "on query 2 when=1 do reinit 8K"]),
        (
            "on query 2 when=1 do reinit 8K\non query 1 when=2 do reinit 32\n",
            ["on query 2 when=1 do reinit 8K", "on query 1 when=2 do reinit 32"]
        ),
        ("on session-query 3 do dirty 4K\n", ["on query 2 when=1 do dirty 4K"]),
        ("estimate stop-copy 1G\n", ["estimate stop-copy 1G"]),
        (
            "estimate stop-copy 1G\non session-query 3 do estimate stop-copy exact\n",
            ["estimate stop-copy 1G", "on query 2 when=1 do estimate stop-copy exact"]
        ),
        ("on session-query 4 do fail EIO\n", ["on query 3 when=1 do fail EIO"]),
        ("on call data-size when=3 do fail EBUSY\n", ["on call data-size when=3 do fail EBUSY"]),
        ("on call set-state when=2 do fail EIO\n", ["on call set-state when=2 do fail EIO"]),
        ("on read 65537 do fail EIO\n", ["on read 65537 when=1 do fail EIO"]),
        ("rate read 1M/s\n", ["rate read 1M/s"]),
        ("cost set-state 2ms\ncost precopy-info 300us\n", ["cost precopy-info 300us", "cost set-state 2000us"]),
    ]

    @Test(arguments: scripts) func reproducesTheRecording(script: String, lines: [String]) throws {
        let exercise = Exercise()
        let recorded = try exercise.recording(of: script)
        let device = try #require(try RecordedDevice.all(in: recorded).first)
        let distilled = try Distillation(device)
        let written = distilled.text.split(separator: "\n").map(String.init)
        for line in lines { #expect(written.contains(line), "\(distilled.text)") }
        // The mock that follows it does the same again, down to the answer of every call.
        let again = try #require(try RecordedDevice.all(in: exercise.recording(of: String(distilled.text.dropFirst(19)))).first)
        #expect(again.calls.count == device.calls.count)
        for (one, other) in zip(device.calls, again.calls) {
            #expect(one.answer == other.answer, "call \(one.position) (\(one.description)); script:\n\(distilled.text)")
        }
    }

    /// Nothing tells what the initial bytes were before a REINIT in the first query.
    @Test func aReinitInTheFirstQueryIsARemark() throws {
        let recorded = try Exercise().recording(of: "on session-query 1 do reinit 8K\n")
        let text = try Distillation(try #require(try RecordedDevice.all(in: recorded).first)).text
        #expect(text.contains("initial 72K\n") && text.contains("the first query told of a REINIT"), "\(text)")
    }

    /// What a script cannot express is a remark, and a comment of the script.
    @Test func saysWhatIsNotExpressed() throws {
        let text = """
            recorded_ioctl  (d) VFIO_DEVICE_GET_REGION_INFO 0x3b6c ret 0, took 9 ns, in 20000000, out =
            recorded_access  (d) read offset 0x70000000000, size 4, ret 4, hash 0x12, took 9 ns
            recorded_state  (d) set PRE_COPY ret 0, data fd 9, took 10 ns
            recorded_precopy_info  (d) init 8, dirty 0, flags 0x0, ret 0, took 10 ns
            recorded_read  (d) size 4096, ret 8, hash 0x1, took 10 ns
            recorded_precopy_info  (d) init 0, dirty 0, flags 0x0, ret -1000, took 10 ns

            """
        let device = try #require(try RecordedDevice.all(in: trace(lines: text)).first)
        let distilled = try Distillation(device)
        for part in [
            "the migration flags", "MIG_PRECOPY_INFOv2", "DMA logging is offered", "initial data of 8 bytes", "errno 1000", "contents",
            "1 VFIO_DEVICE_GET_REGION_INFO", "1 accesses to regions", "was not read to its end", "the recording ends before it does",
        ] {
            #expect(distilled.remarks.contains { $0.contains(part) }, "\(part): \(distilled.remarks)")
        }
        for remark in distilled.remarks { #expect(distilled.text.contains("# Not in the script: \(remark)\n")) }
    }

    /// Numbers that no device reports lead to a refusal or to a script, and never to a trap.
    @Test func survivesAnyNumbers() throws {
        let numbers = ["0", "1", "15", "4294967295", "9223372036854775807", "18446744073709551615"]
        for first in numbers {
            for second in numbers {
                let text = """
                    recorded_ioctl  (d) VFIO_DEVICE_FEATURE 0x3b75 ret 0, took 9 ns, in 080000000c000200, out =
                    recorded_state  (d) set PRE_COPY ret 0, data fd 9, took \(first) ns
                    recorded_data_size  (d) stop-copy \(first), ret 0, took \(second) ns
                    recorded_precopy_info  (d) init \(first), dirty \(second), flags 0x1, ret 0, took \(first) ns
                    recorded_read  (d) size \(first), ret 0, hash 0x1, took 10 ns
                    recorded_precopy_info  (d) init \(second), dirty \(first), flags 0x1, ret 0, took \(second) ns
                    recorded_data_size  (d) stop-copy \(second), ret 0, took \(first) ns
                    recorded_precopy_info  (d) init \(first), dirty \(second), flags 0x0, ret -9223372036854775808, took 10 ns
                    recorded_state  (d) set STOP_COPY ret 0, data fd -1, took 10 ns

                    """
                let device = try #require(try RecordedDevice.all(in: trace(lines: text)).first)
                do { _ = try Distillation(device) } catch { #expect(!error.description.isEmpty) }
            }
        }
    }
}

extension RecordedCall {
    /// What the user of the device sees of the call.
    fileprivate var answer: String {
        switch kind {
        case .read(let size, _): "read \(size) \(result)"
        case .write(let size, _): "write \(size) \(result)"
        default: "\(kind) \(result)"
        }
    }
}
