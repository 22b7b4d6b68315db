/// A user of a device that makes the same calls in every run, and the recording of them.
import MigrationTrace
import VFIO

@testable import Recording

/// What a source does with a device: enough to see a REINIT, and no more.
struct Exercise {
    var queries = 6
    /// Bytes that a read asks for.
    var buffer = 4096
    /// The state is read to its end; else the migration is cancelled in PRE_COPY.
    var completes = true

    func save(_ device: any MigrationDevice) {
        _ = device.migrationFlags()
        _ = device.useInfoV2()
        _ = device.probeDMALogging()
        _ = device.stopCopySize()
        guard case .success(let opened?) = device.setState(.preCopy) else { return }
        for _ in 0..<queries {
            _ = device.stopCopySize()
            _ = device.precopyInfo(opened)
            read(device, opened)
        }
        guard completes else {
            device.close(opened)
            _ = device.setState(.running)
            return
        }
        _ = device.setState(.preCopyP2P)
        _ = device.setState(.stopCopy)
        read(device, opened)
        device.close(opened)
        _ = device.setState(.stop)
    }

    /// Reads until nothing comes.
    private func read(_ device: any MigrationDevice, _ descriptor: DataDescriptor) {
        for _ in 0..<1000 {
            var bytes = [UInt8](repeating: 0, count: buffer)
            var span = bytes.mutableSpan
            var memory = span.mutableBytes
            guard case .success(let count) = device.read(descriptor, into: &memory), count > 0 else { return }
        }
    }

    /// The recording of a save on a mock with this script.
    func recording(of script: String) throws -> Trace {
        var entries: [Entry] = []
        let delay = DeviceDelay()
        let mock = MockMigrationDevice(
            name: "v0", script: try DeviceScript("ackmatrix-device 1\n" + script, file: "test"), delay: delay
        ) { _ in }
        save(RecordingDevice(mock, clock: { delay.cost }) { entries.append(Entry($0)) })
        return trace(entries)
    }
}

func trace(_ entries: [Entry]) -> Trace {
    Trace(header: TraceHeader(), source: FoldedStream(), sourceDevices: FoldedStream(entries), destination: FoldedStream())
}

/// A trace of lines as the recorder writes them.
func trace(lines: String) throws -> Trace {
    var reader = LogReader(Array(lines.utf8))
    return Trace(header: TraceHeader(), source: FoldedStream(), sourceDevices: try FoldedStream(&reader), destination: FoldedStream())
}
