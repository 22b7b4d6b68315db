/// The bench of a check: a device, a second one where there is one, and what checks do to them again and again.
import MigrationTrace
import SystemPackage
import VFIO

final class Bench {
    /// The device under check.
    let device: any DeviceRequests
    /// The device that loads what the first has saved; it may be the same one.
    let target: any DeviceRequests
    let abilities: Set<Ability>
    /// Chunk sizes follow from it.
    var random: ChunkSizes

    private var opened: [(device: any DeviceRequests, descriptor: DataDescriptor)] = []
    private var hasOptedIn = false
    private var savedImage: [UInt8]?

    /// The most data that is taken from a device in one session.
    static let longestImage = 256 << 20

    init(device: any DeviceRequests, target: (any DeviceRequests)?, abilities: Set<Ability>, seed: UInt64) {
        (self.device, self.target, self.abilities) = (device, target ?? device, abilities)
        random = ChunkSizes(seed: seed)
    }

    // MARK: Before and after a check

    /// Brings both devices to RUNNING, with no descriptor open.
    func settle() throws(Departure) {
        for (device, descriptor) in opened { device.close(descriptor) }
        opened = []
        try settle(device)
        if target !== device { try settle(target) }
    }

    private func settle(_ device: any DeviceRequests) throws(Departure) {
        if state(of: device) != .running, case .failure = device.setState(.running) { _ = device.reset() }
        guard state(of: device) != .running else { return }
        _ = device.reset()
        let found = state(of: device)
        guard found == .running else {
            throw .deviates(expected: "a reset or SET RUNNING brings the device to RUNNING", found: found?.rawValue ?? "no state")
        }
    }

    private func state(of device: any DeviceRequests) -> VFIOState? { device.getState().value?.state }

    /// Closes the device descriptor and opens the device anew: it has not opted in to INFOv2.
    func reopen() throws(Departure) {
        for (device, descriptor) in opened { device.close(descriptor) }
        opened = []
        if case .failure(let errno) = device.reopen() {
            throw .deviates(expected: "the device can be opened again after it was closed", found: errno.name)
        }
        hasOptedIn = false
    }

    /// The device as it is before the opt-in.
    func beforeOptIn() throws(Departure) {
        guard hasOptedIn else { return }
        try reopen()
        try settle()
    }

    /// Opts in to INFOv2 where the kernel has it.
    func optIn() throws(Departure) {
        guard abilities.contains(.infoV2), !hasOptedIn else { return }
        try succeed("SET MIG_PRECOPY_INFOv2", device.useInfoV2())
        hasOptedIn = true
    }

    // MARK: States

    /// States that exist for this device.
    var states: [VFIOState] {
        let precopy = abilities.contains(.precopy)
        let p2p = abilities.contains(.p2p)
        return [.stop, .running, .stopCopy, .resuming] + (p2p ? [.runningP2P] : []) + (precopy ? [.preCopy] : [])
            + (precopy && p2p ? [.preCopyP2P] : [])
    }

    /// Sets a state, which must succeed; the descriptor that it opens is closed after the check.
    @discardableResult
    func enter(_ state: VFIOState, on other: (any DeviceRequests)? = nil) throws(Departure) -> DataDescriptor? {
        let device = other ?? device
        let result = device.setState(state)
        guard case .success(let descriptor) = result else {
            throw .deviates(expected: "SET \(state.rawValue) succeeds", found: result.words)
        }
        if let descriptor { opened.append((device, descriptor)) }
        return descriptor
    }

    /// Sets a state whose last arc opens a session.
    func open(_ state: VFIOState, on other: (any DeviceRequests)? = nil) throws(Departure) -> DataDescriptor {
        guard let descriptor = try enter(state, on: other) else {
            throw .deviates(expected: "SET \(state.rawValue) opens a data descriptor", found: "data_fd -1")
        }
        return descriptor
    }

    /// Closes a descriptor now.
    func close(_ descriptor: DataDescriptor) {
        guard let index = opened.firstIndex(where: { $0.descriptor == descriptor }) else { return }
        opened.remove(at: index).device.close(descriptor)
    }

    func expectState(_ expected: VFIOState, after what: String, on other: (any DeviceRequests)? = nil) throws(Departure) {
        let result = (other ?? device).getState()
        guard case .success((expected, _)) = result else {
            throw .deviates(expected: "\(expected.rawValue) after \(what)", found: result.map { "\($0.state.rawValue)" }.words)
        }
    }

    /// Brings the device from RUNNING to a state, RUNNING included; RESUMING is left with whole data in it, so that it can be left.
    func reach(_ state: VFIOState) throws(Departure) {
        switch state {
        case .running: break
        case .resuming:
            let bytes = try image()
            try load(bytes, into: open(.resuming), of: device)
        default: try enter(state)
        }
    }

    // MARK: Data

    /// Reads what the device has now. The end is ENOMSG or 0, as `end` tells.
    func drain(_ descriptor: DataDescriptor) throws(Departure) -> (bytes: [UInt8], end: Result<Int, Errno>) {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while bytes.count <= Self.longestImage {
            let result = buffer.withUnsafeMutableBytes { device.read(descriptor, at: $0.baseAddress, count: $0.count) }
            guard case .success(let count) = result, count > 0 else { return (bytes, result) }
            bytes += buffer.prefix(count)
        }
        throw .skipped("the device has more than \(Self.longestImage >> 20) MiB of data in one session")
    }

    /// What the device delivers in STOP_COPY, entered from STOP. It is read once.
    func image() throws(Departure) -> [UInt8] {
        if let savedImage { return savedImage }
        let descriptor = try open(.stopCopy)
        // How the data ends is a check of its own.
        let (bytes, _) = try drain(descriptor)
        close(descriptor)
        try enter(.running)
        savedImage = bytes
        return bytes
    }

    /// Writes data in chunks of these sizes, from a generator that never ends; each chunk in as many writes as the device wants.
    func load(
        _ bytes: [UInt8], into descriptor: DataDescriptor, of device: any DeviceRequests, chunks: () -> Int = { 64 << 10 }
    ) throws(Departure) {
        var done = 0
        while done < bytes.count {
            let count = min(max(1, chunks()), bytes.count - done)
            let result = bytes.withUnsafeBytes { device.write(descriptor, at: $0.baseAddress.unsafelyUnwrapped + done, count: count) }
            guard case .success(let written) = result, written > 0, written <= count else {
                throw .deviates(expected: "write() of \(count) bytes at byte \(done) of \(bytes.count) succeeds", found: result.words)
            }
            done += written
        }
    }

    // MARK: Expectations

    func succeed<Value>(_ what: String, _ result: Result<Value, Errno>) throws(Departure) {
        if case .failure(let errno) = result { throw .deviates(expected: "\(what) succeeds", found: errno.name) }
    }

    /// The call fails, with one of these errors if any are given.
    func fail<Value>(_ what: String, _ result: Result<Value, Errno>, with errors: Errno...) throws(Departure) {
        if case .failure(let errno) = result, errors.isEmpty || errors.contains(errno) { return }
        let names = errors.map(\.name).joined(separator: " or ")
        throw .deviates(expected: names.isEmpty ? "\(what) fails" : "\(what) fails with \(names)", found: result.words)
    }

    func require(_ holds: Bool, _ expected: String, found: @autoclosure () -> String) throws(Departure) {
        if !holds { throw .deviates(expected: expected, found: found()) }
    }

    func skip(_ reason: String) -> Departure { .skipped(reason) }
}

/// Sizes from 1 byte up, mostly small ones, the same for the same seed (SplitMix64).
struct ChunkSizes {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> Int {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
        mixed ^= mixed >> 31
        return 1 + Int(mixed >> 8) & (1 << Int(mixed & 15)) - 1
    }
}
