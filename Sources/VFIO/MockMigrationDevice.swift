/// A mock device inside the engine's process: the C model behind the calls of `MigrationDevice`, in virtual time.
///
/// The preload shim puts the same model behind QEMU's descriptors, so a script does the same to both. Nothing here waits: the time that a
/// call takes, and the gates that hold it, are added to the delay. Two devices with the same name and script that receive the same calls
/// log the same.
import CVFIOMock
import MigrationTrace
import SystemPackage

package final class MockMigrationDevice: ScriptedDevice {
    package let name: String
    package let gates: [String]
    package var entered: ((VFIOState) -> Void)?

    private let delay: DeviceDelay
    private let world: MockWorld
    private let model: MockModel
    /// Gates, a bit each, that were opened since the last call.
    private var opened: UInt32 = 0
    private var calls: UInt64 = 0
    private var held: UInt64 = 0
    private var holds: UInt64 = 0

    /// A device in RUNNING, bound as if by an iommufd. `name` has at most 63 bytes. What calls leave to wait for is added to `delay`. `log`
    /// receives the device's events, within the call that causes them, and must not call a device.
    package init(
        name: String, script: DeviceScript, delay: DeviceDelay = DeviceDelay(), fault: DeviceFault? = nil, log: @escaping (Event) -> Void
    ) {
        self.name = name
        self.delay = delay
        gates = script.gates
        world = MockWorld(name: name, fault: fault, log: log)
        model = MockModel(name: name, script: script, world: world)
        _ = request(UInt64(VFIO_DEVICE_BIND_IOMMUFD), vfio_device_bind_iommufd(argsz: 16, flags: 0, iommufd: 0, out_devid: 0))
    }

    // MARK: Calls

    package func migrationFlags() -> Result<UInt64, Errno> {
        let (outcome, answer) = feature(VFIO_DEVICE_FEATURE_MIGRATION, VFIO_DEVICE_FEATURE_GET, vfio_device_feature_migration(flags: 0))
        return result(outcome, answer.flags)
    }

    package func useInfoV2() -> Result<Void, Errno> {
        result(feature(VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2, VFIO_DEVICE_FEATURE_SET), ())
    }

    package func probeDMALogging() -> Result<Void, Errno> {
        result(feature(VFIO_DEVICE_FEATURE_DMA_LOGGING_START, VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_PROBE), ())
    }

    package func setState(_ state: VFIOState) -> Result<DataDescriptor?, Errno> {
        let argument = vfio_device_feature_mig_state(device_state: state.number, data_fd: -1)
        let (outcome, answer) = feature(VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, VFIO_DEVICE_FEATURE_SET, argument)
        return result(outcome, answer.data_fd < 0 ? nil : DataDescriptor(number: answer.data_fd))
    }

    package func stopCopySize() -> Result<UInt64, Errno> {
        let argument = vfio_device_feature_mig_data_size(stop_copy_length: 0)
        let (outcome, answer) = feature(VFIO_DEVICE_FEATURE_MIG_DATA_SIZE, VFIO_DEVICE_FEATURE_GET, argument)
        return result(outcome, answer.stop_copy_length)
    }

    package func precopyInfo(_ descriptor: DataDescriptor) -> Result<PrecopyInfo, Errno> {
        var info = vfio_precopy_info(argsz: 24, flags: 0, initial_bytes: 0, dirty_bytes: 0)
        let outcome = withUnsafeMutableBytes(of: &info) { memory in
            during(memory) { mock_data_ioctl(model.device, descriptor.session, UInt64(VFIO_MIG_GET_PRECOPY_INFO), $0) }
        }
        let isReinit = info.flags & UInt32(VFIO_PRECOPY_INFO_REINIT) != 0
        return result(outcome, PrecopyInfo(initial: info.initial_bytes, dirty: info.dirty_bytes, reinit: isReinit))
    }

    package func read(_ descriptor: DataDescriptor, into buffer: inout MutableRawSpan) -> Result<Int, Errno> {
        let outcome = buffer.withUnsafeMutableBytes { memory in
            during(memory) { mock_data_read(model.device, descriptor.session, $0, memory.count) }
        }
        return result(outcome, Int(outcome.result))
    }

    package func write(_ descriptor: DataDescriptor, _ bytes: RawSpan) -> Result<Int, Errno> {
        let outcome = bytes.withUnsafeBytes { memory in
            during(UnsafeMutableRawBufferPointer(mutating: memory), writable: false) {
                mock_data_write(model.device, descriptor.session, $0, memory.count)
            }
        }
        return result(outcome, Int(outcome.result))
    }

    package func reset() -> Result<Void, Errno> {
        hearOfGates()
        return result(finish(mock_device_ioctl(model.device, UInt64(VFIO_DEVICE_RESET), 0)), ())
    }

    package func close(_ descriptor: DataDescriptor) {
        hearOfGates()
        mock_data_close(model.device, descriptor.session)
        _ = finish(mock_outcome())
    }

    // MARK: The script's inputs and the progress

    /// The device hears of the gate with its next call, as it does behind the shim.
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
        hearOfGates()
        // Memory of no bytes has no address; the model asks for none of it.
        world.argument = memory
        world.argumentIsWritable = writable
        return finish(call(UInt64(UInt(bitPattern: memory.baseAddress))))
    }

    /// Tells the model, before a call, which gates were opened.
    private func hearOfGates() {
        guard opened != 0 else { return }
        for gate in 0..<UInt32(gates.count) where opened & 1 << gate != 0 { mock_device_gate_opened(model.device, gate) }
        opened = 0
    }

    private func finish(_ outcome: mock_outcome) -> mock_outcome {
        world.argument = UnsafeMutableRawBufferPointer(start: nil, count: 0)
        calls += 1
        if outcome.cost_ns != 0 || outcome.gates != 0 { delay.add(cost: outcome.cost_ns, gates: outcome.gates, of: self) }
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

    /// VFIO_DEVICE_FEATURE: a header, and the data after it.
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

    private func result<Value>(_ outcome: mock_outcome, _ value: @autoclosure () -> Value) -> Result<Value, Errno> {
        outcome.result < 0 ? .failure(Errno(rawValue: outcome.error)) : .success(value())
    }
}

extension DataDescriptor {
    /// The mock's data descriptors are the numbers of its sessions.
    fileprivate var session: UInt32 { UInt32(bitPattern: number) }
}
