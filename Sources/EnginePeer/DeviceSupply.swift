/// Supplies the devices of the engine's processes in place of what their plans say.
import MigrationTrace
import Plan
import VFIO

package protocol DeviceSupply: AnyObject, Sendable {
    /// Why a plan cannot run on these devices; nil: it can.
    func obstacle(of plan: MigrationPlan) -> UnmetNeed?
    /// A run begins or has ended: what an earlier one has left open is closed.
    func begin()
    /// The device that takes the place of a planned one. `log` receives its events.
    func supply(_ planned: PlannedDevice, delay: DeviceDelay, log: @escaping (Event) -> Void) throws -> SuppliedDevice
}

/// A device of a process, and the same device as one that follows a script, if it does.
package struct SuppliedDevice {
    package let device: any MigrationDevice
    package let scripted: (any ScriptedDevice)?

    package init(_ device: any MigrationDevice, scripted: (any ScriptedDevice)? = nil) {
        self.device = device
        self.scripted = scripted
    }

    /// What a plan says: the one place in the engine that knows which backend a device has.
    init(_ planned: PlannedDevice, delay: DeviceDelay, fault: DeviceFault? = nil, log: @escaping (Event) -> Void) {
        switch planned.backend {
        case .mock(let script):
            let mock = MockMigrationDevice(name: planned.name, script: script, delay: delay, fault: fault, log: log)
            self.init(mock, scripted: mock)
        case .replay(let text): self.init(ReplayMigrationDevice(name: planned.name, text, log: log))
        }
    }
}

/// The devices of one migration, each recorded if that is wanted; devices of the kernel take the place of planned ones of the same name.
// Sendable without a lock: one engine migration at a time uses it, on one thread.
package final class ObservedDevices: DeviceSupply, @unchecked Sendable {
    private let kernel: [String: KernelDevicePath]
    private let records: Bool
    private var opened: [KernelMigrationDevice] = []
    private var replays: [ReplayMigrationDevice] = []

    package init(kernel: [String: KernelDevicePath] = [:], records: Bool = false) {
        self.kernel = kernel
        self.records = records
    }

    /// By device, the recorded calls that were not made.
    package var callsLeft: [String: Int] { Dictionary(replays.map { ($0.name, $0.left) }) { first, _ in first } }

    package func obstacle(of plan: MigrationPlan) -> UnmetNeed? { nil }

    package func begin() {
        for device in opened { device.shut() }
        opened = []
    }

    package func supply(_ planned: PlannedDevice, delay: DeviceDelay, log: @escaping (Event) -> Void) throws -> SuppliedDevice {
        guard let path = kernel[planned.name] else {
            let supplied = SuppliedDevice(planned, delay: delay, log: log)
            if let replay = supplied.device as? ReplayMigrationDevice { replays.append(replay) }
            guard records else { return supplied }
            // In virtual time a call takes what it adds to the delay.
            return SuppliedDevice(RecordingDevice(supplied.device, clock: { delay.cost }, log: log), scripted: supplied.scripted)
        }
        let device: KernelMigrationDevice
        do { device = try KernelMigrationDevice(name: planned.name, path: path) } catch { throw SideError("\(error)") }
        opened.append(device)
        return SuppliedDevice(records ? RecordingDevice(device, clock: RecordingDevice.monotonicClock, log: log) : device)
    }
}
