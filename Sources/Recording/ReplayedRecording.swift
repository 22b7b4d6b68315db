/// A recording in the form that the replayed device reads (`replay_device.h`).
import MigrationTrace
import VFIO

extension ReplayText {
    /// `countsPolls`: each query must come as it was recorded; else queries may come more or less often where nothing moves.
    package init(_ device: RecordedDevice, countsPolls: Bool) throws(RecordingError) {
        var text = "ackmatrix-replay 1\npolls \(countsPolls ? "counted" : "free")\n"
        for call in device.calls { text += "\(call.position) \(call.replayed)\n" }
        do { try self.init(text, name: "\(device.stream.rawValue), \(device.name)") } catch { throw RecordingError(error.description) }
    }
}

extension RecordedCall {
    /// The call as a line of `replay_device.h`, without its position.
    fileprivate var replayed: String {
        switch kind {
        case .feature(let flags, let output): "feature \(flags) \(result) \(hexadecimal(output))"
        case .state(let state, let opens):
            "state \(state.rawValue.replacing(" ", with: "_")) \(result) \(opens && result >= 0 ? "opens" : "-")"
        case .dataSize(let size): "data-size \(result) \(size)"
        case .precopyInfo(let initial, let dirty, let flags):
            "precopy-info \(result) \(initial) \(dirty) \(UInt32(truncatingIfNeeded: flags))"
        case .read(let size, _): "read \(size) \(result)"
        case .write(let size, _): "write \(size) \(result)"
        case .reset: "reset \(result)"
        case .close: "close \(result)"
        }
    }
}

private func hexadecimal(_ bytes: [UInt8]) -> String {
    guard !bytes.isEmpty else { return "-" }
    let digits = Array("0123456789abcdef".utf8)
    return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
}
