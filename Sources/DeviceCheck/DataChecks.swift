/// Checks of STOP_COPY and RESUMING: sizes, the end of the data, bad memory, and data that a device must take or refuse.
import MigrationTrace
import SystemPackage
import VFIO

private let stopCopy = "VFIO_DEVICE_STATE_STOP_COPY"
private let resuming = "VFIO_DEVICE_STATE_RESUMING"
private let dataSize = "VFIO_DEVICE_FEATURE_MIG_DATA_SIZE"

/// Loads data that is not whole or not the device's: a write fails, or the SET that leaves RESUMING.
private func refuses(_ bench: Bench, _ what: String, _ bytes: [UInt8]) throws(Departure) {
    let descriptor = try bench.open(.resuming, on: bench.target)
    var done = 0
    while done < bytes.count {
        let result = bytes.withUnsafeBytes {
            bench.target.write(descriptor, at: $0.baseAddress.unsafelyUnwrapped + done, count: bytes.count - done)
        }
        guard case .success(let written) = result, written > 0, written <= bytes.count - done else { return }
        done += written
    }
    let result = bench.target.setState(.stop)
    if case .success = result { throw .deviates(expected: "\(what) is refused by write() or by SET STOP", found: "both succeed") }
}

/// What PRE_COPY and STOP_COPY deliver in one session.
private func precopyImage(_ bench: Bench) throws(Departure) -> [UInt8] {
    let descriptor = try bench.open(.preCopy)
    var bytes = try bench.drain(descriptor).bytes
    try bench.enter(.stopCopy)
    bytes += try bench.drain(descriptor).bytes
    try bench.enter(.running)
    return bytes
}

/// Loads whole data, and lets the device run on it.
private func accepts(_ bench: Bench, _ bytes: [UInt8], chunks: () -> Int = { 64 << 10 }) throws(Departure) {
    let descriptor = try bench.open(.resuming, on: bench.target)
    try bench.load(bytes, into: descriptor, of: bench.target, chunks: chunks)
    try bench.enter(.stop, on: bench.target)
    try bench.enter(.running, on: bench.target)
    try bench.expectState(.running, after: "a load", on: bench.target)
}

let dataChecks: [Check] = [
    Check("size-anywhere", "MIG_DATA_SIZE succeeds in every state", dataSize) { bench throws(Departure) in
        for state in bench.states {
            try bench.reach(state)
            try bench.succeed("GET MIG_DATA_SIZE in \(state.rawValue)", bench.device.stopCopySize())
            try bench.settle()
        }
    },
    Check("size-real", "MIG_DATA_SIZE is above 0 while STOP_COPY has data", dataSize) { bench throws(Departure) in
        let descriptor = try bench.open(.stopCopy)
        let size = bench.device.stopCopySize()
        let (bytes, _) = try bench.drain(descriptor)
        guard case .success(let estimate) = size else { throw .deviates(expected: "GET MIG_DATA_SIZE succeeds", found: size.words) }
        try bench.require(estimate > 0 || bytes.isEmpty, "an estimate for \(bytes.count) bytes that were read", found: "\(estimate)")
    },
    Check("stop-copy-end", "read() is 0 at the end of STOP_COPY, again and again", stopCopy) { bench throws(Departure) in
        let descriptor = try bench.open(.stopCopy)
        for _ in 0..<3 {
            let (_, end) = try bench.drain(descriptor)
            guard case .success(0) = end else { throw .deviates(expected: "read() is 0 at the end of STOP_COPY", found: end.words) }
        }
    },
    Check("read-pointer", "read() into memory that cannot be written is EFAULT", stopCopy) { bench throws(Departure) in
        let descriptor = try bench.open(.stopCopy)
        try bench.fail("read() into NULL", bench.device.read(descriptor, at: nil, count: 16), with: .badAddress)
    },
    Check("write-pointer", "write() from memory that cannot be read is EFAULT", resuming, isDestructive: true) {
        bench throws(Departure) in
        let descriptor = try bench.open(.resuming)
        try bench.fail("write() from NULL", bench.device.write(descriptor, at: nil, count: 16), with: .badAddress)
    },
    Check("load-chunks", "data is taken in chunks of any size", resuming) { bench throws(Departure) in
        let bytes = try bench.image()
        try accepts(bench, bytes) { bench.random.next() }
        // Byte by byte, as far as a real device's patience goes.
        if bytes.count <= 4096 { try accepts(bench, bytes) { 1 } }
    },
    Check("load-precopy", "data of PRE_COPY and STOP_COPY is taken as one stream", resuming, needs: [.precopy]) {
        bench throws(Departure) in
        let bytes = try precopyImage(bench)
        try accepts(bench, bytes)
    },
    Check("load-round-trip", "what was loaded is what is saved next", resuming) { bench throws(Departure) in
        let bytes = try bench.image()
        let descriptor = try bench.open(.resuming)
        try bench.load(bytes, into: descriptor, of: bench.device)
        bench.close(descriptor)
        let again = try bench.open(.stopCopy)
        let saved = try bench.drain(again).bytes
        let place = zip(bytes, saved).enumerated().first { $1.0 != $1.1 }?.offset ?? min(bytes.count, saved.count)
        try bench.require(
            saved == bytes, "the \(bytes.count) bytes that were loaded", found: "\(saved.count) bytes that differ from byte \(place) on")
    },
    Check("load-truncated", "RESUMING cannot be left while data is missing", resuming, isDestructive: true) { bench throws(Departure) in
        let bytes = try bench.image()
        guard bytes.count > 1 else { throw bench.skip("the device's state is \(bytes.count) bytes long: nothing can be cut off") }
        for count in [1, bytes.count / 2, bytes.count - 1] {
            try refuses(bench, "the first \(count) of \(bytes.count) bytes", Array(bytes.prefix(count)))
            try bench.settle()
        }
    },
    Check("load-foreign", "data that is not the device's is refused", resuming, isDestructive: true) { bench throws(Departure) in
        var bytes = try bench.image()
        for index in bytes.indices.prefix(8) { bytes[index] = ~bytes[index] }
        try refuses(bench, "data whose first 8 bytes are inverted", bytes)
    },
    Check("load-recovers", "a device that has refused data takes the next load after a reset", resuming, isDestructive: true) {
        bench throws(Departure) in
        let bytes = try bench.image()
        _ = try bench.open(.resuming, on: bench.target)
        try bench.succeed("VFIO_DEVICE_RESET", bench.target.reset())
        try accepts(bench, bytes)
    },
]
