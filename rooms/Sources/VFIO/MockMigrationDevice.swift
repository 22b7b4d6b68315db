/// A mock device inside the engine's process: the C model behind the calls of `MigrationDevice`, with virtual costs.
///
/// The model is the one that the preload shim puts behind QEMU's descriptors, so a script does the same to both. Nothing here waits: what a
/// call costs, and which gates hold it, is in its reply. Two devices with the same name and script, called alike, log the same.
import CVFIOMock
import Glibc
import MigrationTrace

/// A call of the migration interface, by the name that scripts and logs have for it.
package enum DeviceCallName: String, CaseIterable, Hashable, Sendable {
    case migration
    case precopyInfoV2 = "precopy-info-v2"
    case featureProbe = "feature-probe"
    case setState = "set-state"
    case dataSize = "data-size"
    case precopyInfo = "precopy-info"
    case read
    case write
    case reset
}

package final class MockMigrationDevice: MigrationDevice {
    package let name: String
    package let gates: [String]
    /// Asked before each call: an errno makes the call fail without reaching the device, and logs it. nil: the call takes its course.
    package var refuse: ((DeviceCallName) -> Int32?)?
    /// Told, after the call that did it, of each state the device has entered; peers' scripts may wait for it.
    package var entered: ((VFIOState) -> Void)?

    private let world: MockWorld
    private let model: MockModel
    /// Gates, a bit each, that were opened since its last call.
    private var opened: UInt32 = 0
    private var calls: UInt64 = 0
    private var held: UInt64 = 0
    private var holds: UInt64 = 0

    /// A device in RUNNING, bound as if by an iommufd. `log` receives its events, within the call that causes them, and must not call a device.
    /// `name` has at most 63 bytes.
    package init(name: String, script: DeviceScript, log: @escaping (Event) -> Void) {
        self.name = name
        gates = script.gates
        world = MockWorld(name: name, log: log)
        model = MockModel(name: name, script: script, world: world)
        _ = request(UInt64(VFIO_DEVICE_BIND_IOMMUFD), vfio_device_bind_iommufd(argsz: 16, flags: 0, iommufd: 0, out_devid: 0))
    }

    // MARK: Calls

    package func migrationFlags() -> DeviceReply<UInt64> {
        if let failed: DeviceReply<UInt64> = refused(.migration) { return failed }
        let (outcome, answer) = feature(VFIO_DEVICE_FEATURE_MIGRATION, VFIO_DEVICE_FEATURE_GET, vfio_device_feature_migration(flags: 0))
        return reply(outcome, answer.flags)
    }

    package func useInfoV2() -> DeviceReply<Void> {
        if let failed: DeviceReply<Void> = refused(.precopyInfoV2) { return failed }
        return reply(feature(VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2, VFIO_DEVICE_FEATURE_SET), ())
    }

    package func probeDMALogging() -> DeviceReply<Void> {
        if let failed: DeviceReply<Void> = refused(.featureProbe) { return failed }
        return reply(feature(VFIO_DEVICE_FEATURE_DMA_LOGGING_START, VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_PROBE), ())
    }

    package func setState(_ state: VFIOState) -> DeviceReply<DataSession?> {
        if let failed: DeviceReply<DataSession?> = refused(.setState) { return failed }
        let argument = vfio_device_feature_mig_state(device_state: state.number, data_fd: -1)
        let (outcome, answer) = feature(VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, VFIO_DEVICE_FEATURE_SET, argument)
        return reply(outcome, answer.data_fd < 0 ? nil : DataSession(number: UInt32(answer.data_fd)))
    }

    package func stopCopySize() -> DeviceReply<UInt64> {
        if let failed: DeviceReply<UInt64> = refused(.dataSize) { return failed }
        let argument = vfio_device_feature_mig_data_size(stop_copy_length: 0)
        let (outcome, answer) = feature(VFIO_DEVICE_FEATURE_MIG_DATA_SIZE, VFIO_DEVICE_FEATURE_GET, argument)
        return reply(outcome, answer.stop_copy_length)
    }

    package func precopyInfo(_ session: DataSession) -> DeviceReply<PrecopyInfo> {
        if let failed: DeviceReply<PrecopyInfo> = refused(.precopyInfo) { return failed }
        var info = vfio_precopy_info(argsz: 24, flags: 0, initial_bytes: 0, dirty_bytes: 0)
        let outcome = withUnsafeMutableBytes(of: &info) { memory in
            during(memory) { mock_data_ioctl(model.device, session.number, UInt64(VFIO_MIG_GET_PRECOPY_INFO), $0) }
        }
        let isReinit = info.flags & UInt32(VFIO_PRECOPY_INFO_REINIT) != 0
        return reply(outcome, PrecopyInfo(initial: info.initial_bytes, dirty: info.dirty_bytes, reinit: isReinit))
    }

    package func read(_ session: DataSession, most: Int) -> DeviceReply<[UInt8]> {
        if let failed: DeviceReply<[UInt8]> = refused(.read, size: most) { return failed }
        arrive()
        world.memory = .reading(most)
        let outcome = finish(mock_data_read(model.device, session.number, MockWorld.readAddress, most))
        let count = max(Int(outcome.result), 0)
        // What is read is often nothing, so the array is made when it is known how much there is.
        return reply(outcome, count == 0 ? [] : Array(UnsafeRawBufferPointer(rebasing: world.scratch[..<count])))
    }

    package func write(_ session: DataSession, _ bytes: ArraySlice<UInt8>) -> DeviceReply<Int> {
        if let failed: DeviceReply<Int> = refused(.write, size: bytes.count) { return failed }
        let outcome = bytes.withUnsafeBytes { memory in
            during(UnsafeMutableRawBufferPointer(mutating: memory), writable: false) {
                mock_data_write(model.device, session.number, $0, memory.count)
            }
        }
        return reply(outcome, Int(outcome.result))
    }

    package func reset() -> DeviceReply<Void> {
        if let failed: DeviceReply<Void> = refused(.reset) { return failed }
        arrive()
        return reply(finish(mock_device_ioctl(model.device, UInt64(VFIO_DEVICE_RESET), 0)), ())
    }

    package func closeData(_ session: DataSession) {
        arrive()
        mock_data_close(model.device, session.number)
        _ = finish(mock_outcome())
    }

    // MARK: What comes from outside

    /// It takes notice with its next call, as it does behind the shim.
    package func gateOpened(_ gate: String) {
        guard let index = gates.firstIndex(of: gate) else { return }
        opened |= 1 << UInt32(index)
    }

    package func hold(gate: Int, begins: Bool) {
        if begins {
            held += 1
            holds += 1
        } else {
            held -= 1
        }
        mock_device_hold(model.device, UInt32(gate), begins)
    }

    package func peerEntered(_ peer: String, _ state: VFIOState) {
        mock_device_peer_entered(model.device, peer, vfio_device_mig_state(state.number))
        // A peer may react by entering a state itself; that is not passed on, or the two would answer each other forever.
        world.entered.removeAll(keepingCapacity: true)
    }

    package var progress: DeviceProgress {
        let now = mock_device_progress(model.device)
        return DeviceProgress(
            state: UInt64(now.state.rawValue), queries: now.queries, drainedQueries: now.drained_queries, drains: now.drains,
            bytesRead: now.bytes_read, bytesWritten: now.bytes_written, calls: calls, held: held, holds: holds)
    }

    // MARK: How a call reaches the model

    /// Makes a call whose argument is this memory, and no other.
    private func during(
        _ memory: UnsafeMutableRawBufferPointer, writable: Bool = true, _ call: (UInt64) -> mock_outcome
    ) -> mock_outcome {
        arrive()
        // Memory of no bytes has no address; the model asks for none of it.
        world.memory = .argument(memory, writable: writable)
        return finish(call(UInt64(UInt(bitPattern: memory.baseAddress))))
    }

    /// Before a call reaches the model, it hears of the gates.
    private func arrive() {
        guard opened != 0 else { return }
        for gate in 0..<UInt32(gates.count) where opened & 1 << gate != 0 { mock_device_gate_opened(model.device, gate) }
        opened = 0
    }

    private func finish(_ outcome: mock_outcome) -> mock_outcome {
        world.memory = .none
        calls += 1
        if !world.entered.isEmpty { passOnEntered() }
        return outcome
    }

    private func passOnEntered() {
        let states = world.entered
        world.entered.removeAll(keepingCapacity: true)
        if let entered { for state in states { entered(state) } }
    }

    private func request<Argument: BitwiseCopyable>(_ number: UInt64, _ argument: Argument) -> mock_outcome {
        var argument = argument
        return withUnsafeMutableBytes(of: &argument) { memory in during(memory) { mock_device_ioctl(model.device, number, $0) } }
    }

    /// VFIO_DEVICE_FEATURE: a header, and the data behind it.
    private func feature<Data: BitwiseCopyable>(_ index: Int, _ operations: Int, _ data: Data) -> (mock_outcome, Data) {
        let size = 8 + MemoryLayout<Data>.size
        return withUnsafeTemporaryAllocation(byteCount: size, alignment: 8) { memory in
            memory.storeBytes(of: UInt32(size), as: UInt32.self)
            memory.storeBytes(of: UInt32(index | operations), toByteOffset: 4, as: UInt32.self)
            memory.storeBytes(of: data, toByteOffset: 8, as: Data.self)
            let outcome = during(memory) { mock_device_ioctl(model.device, UInt64(VFIO_DEVICE_FEATURE), $0) }
            return (outcome, memory.loadUnaligned(fromByteOffset: 8, as: Data.self))
        }
    }

    private func feature(_ index: Int, _ operations: Int) -> mock_outcome {
        withUnsafeTemporaryAllocation(byteCount: 8, alignment: 8) { memory in
            memory.storeBytes(of: 8, as: UInt32.self)
            memory.storeBytes(of: UInt32(index | operations), toByteOffset: 4, as: UInt32.self)
            return during(memory) { mock_device_ioctl(model.device, UInt64(VFIO_DEVICE_FEATURE), $0) }
        }
    }

    private func reply<Value>(_ outcome: mock_outcome, _ value: @autoclosure () -> Value) -> DeviceReply<Value> {
        DeviceReply(
            value: outcome.result < 0 ? nil : .some(value()), errno: outcome.error, cost: outcome.cost_ns, gates: outcome.gates)
    }

    /// The answer of a call that does not reach the device; logged as the device itself logs such a call.
    private func refused<Value>(_ call: DeviceCallName, size: Int = 0) -> DeviceReply<Value>? {
        guard let refuse, let errno = refuse(call) else { return nil }
        let result = -Int64(errno)
        switch call {
        case .precopyInfo:
            var info = DevicePrecopyInfo()
            (info.device, info.result) = (name, result)
            world.log(.devicePrecopyInfo(info))
        case .read: world.log(.deviceRead(device: name, size: UInt64(size), result: result))
        case .write: world.log(.deviceWrite(device: name, size: UInt64(size), result: result))
        default: world.log(.deviceCall(device: name, call: call.rawValue, result: result))
        }
        calls += 1
        return DeviceReply(value: nil, errno: errno)
    }
}

/// Owns the C object.
private struct MockModel: ~Copyable {
    let device: OpaquePointer

    /// `world` outlives it, by the order of the owner's properties.
    init(name: String, script: DeviceScript, world: MockWorld) {
        // The struct is some 15 KB, and the model copies it.
        let parsed = UnsafeMutablePointer<device_script>.allocate(capacity: 1)
        defer { parsed.deallocate() }
        var refusal = script_refusal()
        var text = script.text
        let accepted = text.withUTF8 { bytes in
            bytes.withMemoryRebound(to: CChar.self) { device_script_parse($0.baseAddress, $0.count, parsed, &refusal) }
        }
        precondition(accepted, "a device script that was accepted is so again")
        var callbacks = mock_world(
            context: Unmanaged.passUnretained(world).toOpaque(),
            event: { context, event in MockWorld.of(context).take(event.unsafelyUnwrapped.pointee) },
            pin: { context, address, length, writable in MockWorld.of(context).pin(address, length, writable: writable) },
            open_data: { _, session in Int32(bitPattern: session) })
        guard let device = mock_device_create(name, parsed, &callbacks) else { fatalError("no memory for a mock device") }
        self.device = device
    }

    deinit { mock_device_destroy(device) }
}

/// What the model reaches of the world: the log, and the memory of the call in progress.
private final class MockWorld {
    /// The caller's memory that a call may touch.
    enum Memory {
        case none
        case argument(UnsafeMutableRawBufferPointer, writable: Bool)
        /// The scratch memory, which is made when the model has something to deliver.
        case reading(Int)
    }

    /// Stands for the scratch memory; no argument is ever there.
    static let readAddress: UInt64 = 4096

    let log: (Event) -> Void
    var memory = Memory.none
    /// States entered by the call in progress.
    var entered: [VFIOState] = []
    private(set) var scratch = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    private let name: String

    init(name: String, log: @escaping (Event) -> Void) {
        self.name = name
        self.log = log
    }

    deinit { scratch.deallocate() }

    static func of(_ context: UnsafeMutableRawPointer?) -> MockWorld {
        Unmanaged<MockWorld>.fromOpaque(context.unsafelyUnwrapped).takeUnretainedValue()
    }

    func pin(_ address: UInt64, _ length: Int, writable: Bool) -> UnsafeMutableRawPointer? {
        switch memory {
        case .none: return nil
        case .argument(let memory, let mayWrite):
            guard let start = memory.baseAddress, mayWrite || !writable else { return nil }
            let offset = address &- UInt64(UInt(bitPattern: start))
            guard offset <= UInt64(memory.count), length <= memory.count - Int(offset) else { return nil }
            return start + Int(offset)
        case .reading(let most):
            guard address == Self.readAddress, length <= most else { return nil }
            if scratch.count < length {
                scratch.deallocate()
                scratch = .allocate(byteCount: length, alignment: 16)
            }
            return scratch.baseAddress
        }
    }

    func take(_ event: mock_event) {
        switch event.kind {
        case MOCK_EVENT_OPEN: log(.deviceOpen(device: name, flags: event.a, reinit: event.b != 0))
        case MOCK_EVENT_CALL: log(.deviceCall(device: name, call: Words.text(event.word), result: event.ret))
        case MOCK_EVENT_STATE:
            let state = VFIOState(number: event.b)
            entered.append(state)
            log(.deviceState(device: name, from: VFIOState(number: event.a), to: state))
        case MOCK_EVENT_SESSION_BEGIN:
            let purpose: SessionPurpose = Words.text(event.word) == SessionPurpose.saving.rawValue ? .saving : .resuming
            log(.deviceSessionBegin(device: name, purpose, session: event.a))
        case MOCK_EVENT_SESSION_END: log(.deviceSessionEnd(device: name, session: event.a))
        case MOCK_EVENT_PRECOPY_INFO:
            var info = DevicePrecopyInfo()
            info.device = name
            info.initial = event.a
            info.dirty = event.b
            info.reinit = event.c != 0
            info.result = event.ret
            log(.devicePrecopyInfo(info))
        case MOCK_EVENT_READ: log(.deviceRead(device: name, size: event.a, result: event.ret))
        case MOCK_EVENT_WRITE: log(.deviceWrite(device: name, size: event.a, result: event.ret))
        case MOCK_EVENT_DRAINED: log(.deviceDrained(device: name, total: event.a))
        case MOCK_EVENT_LOADED:
            guard let segment = DeviceSegment(rawValue: Words.text(event.word)) else { fatalError("a segment without a name") }
            log(.deviceLoaded(device: name, segment, size: event.a, total: event.b))
        case MOCK_EVENT_INJECTED: log(.deviceInjected(device: name, line: event.a, action: Words.text(event.word), value: event.b))
        case MOCK_EVENT_HOLD_BEGIN: log(.deviceHoldBegin(device: name, gate: Words.text(event.word)))
        case MOCK_EVENT_HOLD_END: log(.deviceHoldEnd(device: name, gate: Words.text(event.word)))
        case MOCK_EVENT_UNKNOWN: log(.deviceUnknownIoctl(device: name, request: event.a))
        case MOCK_EVENT_RESET:
            entered.append(.running)
            log(.deviceReset(device: name, from: VFIOState(number: event.a)))
        case MOCK_EVENT_CLOSE: log(.deviceClose(device: name, VFIOState(number: event.a)))
        default: fatalError("a device event of unknown kind \(event.kind.rawValue)")
        }
    }
}

/// The model's words as strings. Names of calls are known by their address, so that no string is made for each event.
private enum Words {
    static let calls: [UInt: String] = {
        var names: [UInt: String] = [:]
        for call in 0..<DEVICE_CALLS.rawValue {
            guard let name = device_call_name(device_call(call)) else { continue }
            names[UInt(bitPattern: name)] = String(cString: name)
        }
        return names
    }()

    static func text(_ word: UnsafePointer<CChar>?) -> String {
        guard let word else { return "" }
        return calls[UInt(bitPattern: word)] ?? String(cString: word)
    }
}

extension VFIOState {
    /// Its number in the uAPI (Linux 7.2).
    package var number: UInt32 {
        switch self {
        case .error: 0
        case .stop: 1
        case .running: 2
        case .stopCopy: 3
        case .resuming: 4
        case .runningP2P: 5
        case .preCopy: 6
        case .preCopyP2P: 7
        case .unknown: .max
        }
    }

    init(number: UInt64) {
        self = number < 8 ? Self.numbered[Int(number)] : .unknown
    }

    private static let numbered: [VFIOState] = [.error, .stop, .running, .stopCopy, .resuming, .runningP2P, .preCopy, .preCopyP2P]
}
