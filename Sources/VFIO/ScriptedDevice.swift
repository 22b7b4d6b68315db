/// The abilities of a device that follows a script: gates hold its calls, it reacts to its peers, shows its progress, and takes virtual
/// time.
import CVFIOMock
import MigrationTrace
import SystemPackage

/// A device that follows a script. Its calls return at once: the time that they take and the gates that hold their return go to a
/// `DeviceDelay`, and the caller waits.
package protocol ScriptedDevice: MigrationDevice {
    /// The names of the gates at which calls may be held; bit N of a set of gates is the Nth name.
    var gates: [String] { get }
    /// Tells the device that a gate was opened.
    func gateOpened(_ gate: String)
    /// Tells the device that a gate begins, or ends, holding the return of a call.
    func hold(gate: Int, begins: Bool)
    /// Tells the device that another device of the same process has entered a state.
    func peerEntered(_ peer: String, _ state: VFIOState)
    /// Receives, after the call that caused it, each state that the device has entered; scripts of peers may wait for it.
    var entered: ((VFIOState) -> Void)? { get set }
    /// How far the device has come.
    var progress: DeviceProgress { get }
}

/// How far a mock device has come. Counts of queries and bytes are of the present data session.
package struct DeviceProgress: Hashable, Sendable {
    /// The migration state by its uAPI number.
    package let state: UInt64
    /// Successful precopy queries (VFIO_MIG_GET_PRECOPY_INFO).
    package let queries: UInt64
    /// Of these, the queries since the initial bytes were last drained.
    package let drainedQueries: UInt64
    /// How often the initial bytes were drained.
    package let drains: UInt64
    package let bytesRead: UInt64
    package let bytesWritten: UInt64
    /// All calls on the device since it was made.
    package let calls: UInt64
    /// Calls that a gate holds right now.
    package let held: UInt64
    /// Calls that a gate has ever held.
    package let holds: UInt64

    /// PRE_COPY: the guest runs and its state is being saved.
    package var isInPrecopy: Bool { state == UInt64(VFIO_DEVICE_STATE_PRE_COPY.rawValue) }
    /// The device was queried in PRE_COPY, and is in another state now: no query of this migration comes any more.
    package var isOutOfPrecopy: Bool { queries > 0 && !isInPrecopy }
}

/// A call on a device that has taken effect, and returns when these gates are open.
package struct DeviceHold {
    /// Not retained, since a device keeps the delay that the hold waits in.
    package unowned let device: any ScriptedDevice
    /// A bit for each of the device's gates.
    package var gates: UInt32
}

/// The time and the gates that the calls on a process's scripted devices leave to wait for. The engine collects them for the thread that
/// made the calls.
package final class DeviceDelay {
    /// Nanoseconds that the calls take.
    package private(set) var cost: UInt64 = 0
    /// The gates that hold the return of the last call that is held.
    package private(set) var hold: DeviceHold?

    package init() {}

    /// True if there is nothing to wait for.
    package var isNone: Bool { cost == 0 && hold == nil }

    /// Adds a call's delay. Calls that one thread makes on one device in a row add up.
    package func add(cost: UInt64, gates: UInt32, of device: any ScriptedDevice) {
        self.cost += cost
        guard gates != 0 else { return }
        let earlier = hold.map { $0.device === device ? $0.gates : 0 } ?? 0
        hold = DeviceHold(device: device, gates: gates | earlier)
    }

    /// Forgets the time and the gates, which were collected, or for which nobody waits.
    package func clear() {
        guard !isNone else { return }
        (cost, hold) = (0, nil)
    }
}

/// A call of the migration interface, by its name in scripts and logs.
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

/// Decides whether a call, made in this state, fails before it reaches the device, and with which errno. It must not call a device.
package typealias DeviceFault = (DeviceCallName, VFIOState) -> Errno?
