/// A mock device inside the engine's process: the C model behind the calls of `MigrationDevice`, in virtual time.
///
/// The preload shim puts the same model behind QEMU's descriptors, so a script does the same to both. Nothing here waits: the time that a
/// call takes, and the gates that hold it, are added to the delay. Two devices with the same name and script that receive the same calls
/// log the same.
import CVFIOMock
import MigrationTrace
import SystemPackage

package final class MockMigrationDevice: ScriptedDevice, DeviceRequests {
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
        bindToIommufd()
    }

    // MARK: Calls

    package func request(_ number: UInt64, _ argument: UnsafeMutableRawBufferPointer) -> Result<Void, Errno> {
        during(argument) { mock_device_ioctl(model.device, number, $0) }.result(())
    }

    package func dataRequest(
        _ descriptor: DataDescriptor, _ number: UInt64, _ argument: UnsafeMutableRawBufferPointer
    ) -> Result<Void, Errno> {
        during(argument) { mock_data_ioctl(model.device, descriptor.session, number, $0) }.result(())
    }

    package func read(_ descriptor: DataDescriptor, at address: UnsafeMutableRawPointer?, count: Int) -> Result<Int, Errno> {
        // Without an address there is no memory to write to.
        let memory = UnsafeMutableRawBufferPointer(start: address, count: address == nil ? 0 : count)
        let outcome = during(memory) { mock_data_read(model.device, descriptor.session, $0, count) }
        return outcome.result(Int(outcome.result))
    }

    package func write(_ descriptor: DataDescriptor, at address: UnsafeRawPointer?, count: Int) -> Result<Int, Errno> {
        let memory = UnsafeMutableRawBufferPointer(
            start: UnsafeMutableRawPointer(mutating: address), count: address == nil ? 0 : count)
        let outcome = during(memory, writable: false) { mock_data_write(model.device, descriptor.session, $0, count) }
        return outcome.result(Int(outcome.result))
    }

    package func close(_ descriptor: DataDescriptor) {
        hearOfGates()
        mock_data_close(model.device, descriptor.session)
        _ = finish(mock_outcome())
    }

    /// The next opener finds the device reset, as vfio-pci opens it.
    package func reopen() -> Result<Void, Errno> {
        mock_device_close(model.device)
        bindToIommufd()
        return reset()
    }

    /// A second opener would have its own descriptors, which the model does not have.
    package func openAgain() -> Result<Void, Errno>? { nil }
    package func isReadable(_ descriptor: DataDescriptor) -> Result<Bool, Errno>? { nil }
    package func seek(_ descriptor: DataDescriptor) -> Result<Void, Errno>? { nil }

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

    private func during(
        _ memory: UnsafeMutableRawBufferPointer, writable: Bool = true, _ call: (UInt64) -> mock_outcome
    ) -> mock_outcome {
        hearOfGates()
        return finish(world.lend(memory, writable: writable, to: call))
    }

    /// Tells the model, before a call, which gates were opened.
    private func hearOfGates() {
        guard opened != 0 else { return }
        for gate in 0..<UInt32(gates.count) where opened & 1 << gate != 0 { mock_device_gate_opened(model.device, gate) }
        opened = 0
    }

    private func finish(_ outcome: mock_outcome) -> mock_outcome {
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
}
