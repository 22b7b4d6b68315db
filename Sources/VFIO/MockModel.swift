/// The C model of a mock device, and the world that it reaches: the log, the memory of the call in progress, and the faults.
import CVFIOMock
import MigrationTrace
import SystemPackage

/// Owns the C object.
struct MockModel: ~Copyable {
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
        var callbacks = world.callbacks
        guard let device = mock_device_create(name, parsed, &callbacks) else { fatalError("no memory for a mock device") }
        self.device = device
    }

    deinit { mock_device_destroy(device) }
}

/// How the model reaches the world.
final class MockWorld {
    let fault: DeviceFault?
    /// The caller's memory that the call in progress may touch.
    var argument = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    var argumentIsWritable = false
    /// The states that the call in progress has entered.
    var entered: [VFIOState] = []
    private let name: String
    private let emit: (Event) -> Void

    init(name: String, fault: DeviceFault?, log: @escaping (Event) -> Void) {
        self.name = name
        self.fault = fault
        emit = log
    }

    /// The world as the C models see it, which does not keep it.
    var callbacks: mock_world {
        mock_world(
            context: Unmanaged.passUnretained(self).toOpaque(),
            event: { context, event in MockWorld.of(context).log(event.unsafelyUnwrapped.pointee) },
            pin: { context, address, length, writable in MockWorld.of(context).pin(address, length, writable: writable) },
            open_data: { _, session in Int32(bitPattern: session) },
            fault: fault == nil ? nil : { context, call, state in MockWorld.of(context).error(of: call, in: state) })
    }

    /// Makes a call of a model whose argument is this memory, and no other.
    func lend(
        _ memory: UnsafeMutableRawBufferPointer, writable: Bool = true, to call: (UInt64) -> mock_outcome
    ) -> mock_outcome {
        // Memory of no bytes has no address; the model asks for none of it.
        argument = memory
        argumentIsWritable = writable
        defer { argument = UnsafeMutableRawBufferPointer(start: nil, count: 0) }
        return call(UInt64(UInt(bitPattern: memory.baseAddress)))
    }

    static func of(_ context: UnsafeMutableRawPointer?) -> MockWorld {
        Unmanaged<MockWorld>.fromOpaque(context.unsafelyUnwrapped).takeUnretainedValue()
    }

    /// The argument's memory at an address; nil where the kernel would answer EFAULT.
    func pin(_ address: UInt64, _ length: Int, writable: Bool) -> UnsafeMutableRawPointer? {
        guard let start = argument.baseAddress, argumentIsWritable || !writable else { return nil }
        let offset = address &- UInt64(UInt(bitPattern: start))
        guard offset <= UInt64(argument.count), length <= argument.count - Int(offset) else { return nil }
        return start + Int(offset)
    }

    /// The errno that the fault gives a call, or 0. Calls that are not part of `MigrationDevice` do not fail.
    func error(of call: device_call, in state: vfio_device_mig_state) -> Int32 {
        guard let fault, let call = DeviceCallName(rawValue: Words.text(device_call_name(call))) else { return 0 }
        return fault(call, VFIOState(number: UInt64(state.rawValue)))?.rawValue ?? 0
    }

    /// Logs an event of the model.
    func log(_ event: mock_event) {
        switch event.kind {
        case MOCK_EVENT_OPEN: emit(.deviceOpen(device: name, flags: event.a, reinit: event.b != 0))
        case MOCK_EVENT_CALL: emit(.deviceCall(device: name, call: Words.text(event.word), result: event.ret))
        case MOCK_EVENT_STATE:
            let state = VFIOState(number: event.b)
            entered.append(state)
            emit(.deviceState(device: name, from: VFIOState(number: event.a), to: state))
        case MOCK_EVENT_SESSION_BEGIN:
            let purpose: SessionPurpose = Words.text(event.word) == SessionPurpose.saving.rawValue ? .saving : .resuming
            emit(.deviceSessionBegin(device: name, purpose, session: event.a))
        case MOCK_EVENT_SESSION_END: emit(.deviceSessionEnd(device: name, session: event.a))
        case MOCK_EVENT_PRECOPY_INFO:
            var info = DevicePrecopyInfo()
            info.device = name
            info.initial = event.a
            info.dirty = event.b
            info.reinit = event.c != 0
            info.result = event.ret
            emit(.devicePrecopyInfo(info))
        case MOCK_EVENT_READ: emit(.deviceRead(device: name, size: event.a, result: event.ret))
        case MOCK_EVENT_WRITE: emit(.deviceWrite(device: name, size: event.a, result: event.ret))
        case MOCK_EVENT_DRAINED: emit(.deviceDrained(device: name, total: event.a))
        case MOCK_EVENT_LOADED:
            guard let segment = DeviceSegment(rawValue: Words.text(event.word)) else { fatalError("a segment without a name") }
            emit(.deviceLoaded(device: name, segment, size: event.a, total: event.b))
        case MOCK_EVENT_INJECTED: emit(.deviceInjected(device: name, line: event.a, action: Words.text(event.word), value: event.b))
        case MOCK_EVENT_HOLD_BEGIN: emit(.deviceHoldBegin(device: name, gate: Words.text(event.word)))
        case MOCK_EVENT_HOLD_END: emit(.deviceHoldEnd(device: name, gate: Words.text(event.word)))
        case MOCK_EVENT_UNKNOWN: emit(.deviceUnknownIoctl(device: name, request: event.a))
        case MOCK_EVENT_RESET:
            entered.append(.running)
            emit(.deviceReset(device: name, from: VFIOState(number: event.a)))
        case MOCK_EVENT_CLOSE: emit(.deviceClose(device: name, VFIOState(number: event.a)))
        case MOCK_EVENT_DEPARTED:
            emit(.deviceDeparted(device: name, position: event.a, expected: Words.text(event.word), found: Words.text(event.found)))
        default: fatalError("a device event of unknown kind \(event.kind.rawValue)")
        }
    }
}

/// The model's words as strings. A call's name is found by its address, so that no event makes a string of it.
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

extension mock_outcome {
    func result<Value>(_ value: @autoclosure () -> Value) -> Result<Value, Errno> {
        result < 0 ? .failure(Errno(rawValue: error)) : .success(value())
    }
}

extension DataDescriptor {
    /// The data descriptors of a model are the numbers of its sessions.
    var session: UInt32 { UInt32(bitPattern: number) }
}

extension DeviceRequests {
    /// Binds the device as if by an iommufd, which no model has.
    func bindToIommufd() {
        var argument = vfio_device_bind_iommufd(argsz: 16, flags: 0, iommufd: 0, out_devid: 0)
        _ = withUnsafeMutableBytes(of: &argument) { request(UInt64(VFIO_DEVICE_BIND_IOMMUFD), $0) }
    }
}
