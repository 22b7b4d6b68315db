/// A device that passes every call on to another one, and tells what the recorder of the C layer would write down.
import CVFIOMock
import MigrationTrace
import SystemPackage

package final class RecordingDevice: MigrationDevice {
    package let name: String
    private let device: any MigrationDevice
    /// Nanoseconds, of which a call's duration is the difference.
    private let clock: () -> UInt64
    private let log: (Event) -> Void

    /// `log` receives a `recorded_*` event after each call. `clock` is that of the calls: virtual where they take virtual time.
    package init(_ device: any MigrationDevice, clock: @escaping () -> UInt64, log: @escaping (Event) -> Void) {
        (name, self.device, self.clock, self.log) = (device.name, device, clock, log)
    }

    /// The clock of calls that wait.
    package static func monotonicClock() -> UInt64 { sys_monotonic_ns() }

    private func timed<Value>(_ call: () -> Value) -> (Value, UInt64) {
        let began = clock()
        let value = call()
        return (value, clock() &- began)
    }

    /// A FEATURE as its bytes: `argsz`, the flags, and the data, before and after.
    private func feature<Value>(
        _ feature: MigrationFeature, _ operations: FeatureOperation, before: [UInt8] = [], _ call: () -> Result<Value, Errno>,
        after: (Value) -> [UInt8]
    ) -> Result<Value, Errno> {
        let (result, took) = timed(call)
        let flags = feature.rawValue | operations.rawValue
        let header = bytes(UInt64(8 + before.count) | UInt64(flags) << 32)
        let output = result.value.map(after) ?? before
        log(
            .recordedIoctl(
                device: name, call: "VFIO_DEVICE_FEATURE", request: UInt64(VFIO_DEVICE_FEATURE), result: result.traced, took: took,
                input: hexadecimal(header + before), output: output == before ? "=" : hexadecimal(header + output)))
        return result
    }

    package func migrationFlags() -> Result<UInt64, Errno> {
        feature(.migration, .get, before: bytes(0)) {
            device.migrationFlags()
        } after: {
            bytes($0)
        }
    }

    package func useInfoV2() -> Result<Void, Errno> {
        feature(.precopyInfoV2, .set) {
            device.useInfoV2()
        } after: {
            []
        }
    }

    package func probeDMALogging() -> Result<Void, Errno> {
        feature(.dmaLoggingStart, [.set, .probe]) {
            device.probeDMALogging()
        } after: {
            []
        }
    }

    package func setState(_ state: VFIOState) -> Result<DataDescriptor?, Errno> {
        let (result, took) = timed { device.setState(state) }
        let data = result.value.flatMap { $0 }.map { Int64($0.number) } ?? -1
        log(.recordedState(device: name, state, result: result.traced, data: data, took: took))
        return result
    }

    package func stopCopySize() -> Result<UInt64, Errno> {
        let (result, took) = timed { device.stopCopySize() }
        log(.recordedDataSize(device: name, size: result.value ?? 0, result: result.traced, took: took))
        return result
    }

    package func precopyInfo(_ descriptor: DataDescriptor) -> Result<PrecopyInfo, Errno> {
        let (result, took) = timed { device.precopyInfo(descriptor) }
        var info = RecordedPrecopyInfo()
        (info.device, info.result, info.took) = (name, result.traced, took)
        if let answer = result.value { (info.initial, info.dirty, info.flags) = (answer.initial, answer.dirty, answer.reinit ? 1 : 0) }
        log(.recordedPrecopyInfo(info))
        return result
    }

    package func read(_ descriptor: DataDescriptor, into buffer: inout MutableRawSpan) -> Result<Int, Errno> {
        let size = buffer.byteCount
        let began = clock()
        let result = device.read(descriptor, into: &buffer)
        let took = clock() &- began
        let hash = buffer.withUnsafeMutableBytes { contentHash(UnsafeRawBufferPointer($0), result) }
        log(.recordedRead(transfer(size, result, hash, took)))
        return result
    }

    package func write(_ descriptor: DataDescriptor, _ bytes: RawSpan) -> Result<Int, Errno> {
        let began = clock()
        let result = device.write(descriptor, bytes)
        let took = clock() &- began
        let hash = bytes.withUnsafeBytes { contentHash($0, result) }
        log(.recordedWrite(transfer(bytes.byteCount, result, hash, took)))
        return result
    }

    package func reset() -> Result<Void, Errno> {
        let (result, took) = timed { device.reset() }
        log(
            .recordedIoctl(
                device: name, call: "VFIO_DEVICE_RESET", request: UInt64(VFIO_DEVICE_RESET), result: result.traced, took: took, input: "-",
                output: "="))
        return result
    }

    package func close(_ descriptor: DataDescriptor) {
        let (_, took) = timed { device.close(descriptor) }
        log(.recordedClose(device: name, .data, descriptor: Int64(descriptor.number), result: 0, took: took))
    }

    private func transfer(_ size: Int, _ result: Result<Int, Errno>, _ hash: UInt64, _ took: UInt64) -> RecordedTransfer {
        var transfer = RecordedTransfer()
        (transfer.device, transfer.size, transfer.hash, transfer.took) = (name, UInt64(size), hash, took)
        transfer.result = result.value.map(Int64.init) ?? result.traced
        return transfer
    }

    private func contentHash(_ bytes: UnsafeRawBufferPointer, _ result: Result<Int, Errno>) -> UInt64 {
        guard let count = result.value, count > 0, count <= bytes.count else { return 0 }
        return xxh3_64(bytes.baseAddress, count)
    }
}

private func bytes(_ number: UInt64) -> [UInt8] { (0..<8).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) } }

private func hexadecimal(_ bytes: [UInt8]) -> String {
    let digits = Array("0123456789abcdef")
    return bytes.isEmpty ? "-" : String(bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
}
