/// What a VFIO device is to whoever migrates it: the calls of the migration interface, each answered with its result, its cost and what holds it.
import MigrationTrace

/// A data descriptor, by the number of the session it was opened for.
package struct DataSession: Hashable, Sendable {
    package let number: UInt32
    package init(number: UInt32) { self.number = number }
}

/// The answer to a call.
package struct DeviceReply<Value> {
    /// nil: it failed.
    package var value: Value?
    /// 0, or what it failed with.
    package var errno: Int32
    /// Nanoseconds that the device takes.
    package var cost: UInt64
    /// The call has taken effect; it returns when these gates of the device are open (a bit each).
    package var gates: UInt32

    package init(value: Value?, errno: Int32 = 0, cost: UInt64 = 0, gates: UInt32 = 0) {
        self.value = value
        self.errno = errno
        self.cost = cost
        self.gates = gates
    }
}

package struct PrecopyInfo: Hashable, Sendable {
    package var initial: UInt64
    package var dirty: UInt64
    /// The flag as the device left it: it means nothing unless INFOv2 is in use.
    package var reinit: Bool

    package init(initial: UInt64, dirty: UInt64, reinit: Bool) {
        self.initial = initial
        self.dirty = dirty
        self.reinit = reinit
    }
}

/// A device, used by one thread at a time. The mock is one, and a kernel's driver will be.
package protocol MigrationDevice: AnyObject {
    /// As QEMU's traces call it.
    var name: String { get }

    /// VFIO_DEVICE_FEATURE_MIGRATION: 1 stop-copy, 2 P2P, 4 pre-copy.
    func migrationFlags() -> DeviceReply<UInt64>
    /// MIG_PRECOPY_INFOv2: the flags of precopy infos mean something from here on.
    func useInfoV2() -> DeviceReply<Void>
    /// Whether DMA logging is offered.
    func probeDMALogging() -> DeviceReply<Void>
    /// MIG_DEVICE_STATE. A session where the last arc opens one.
    func setState(_ state: VFIOState) -> DeviceReply<DataSession?>
    /// MIG_DATA_SIZE: bytes for the stop.
    func stopCopySize() -> DeviceReply<UInt64>
    func precopyInfo(_ session: DataSession) -> DeviceReply<PrecopyInfo>
    /// Up to `most` bytes; ENOMSG, or none, is "nothing now".
    func read(_ session: DataSession, most: Int) -> DeviceReply<[UInt8]>
    /// How many were taken.
    func write(_ session: DataSession, _ bytes: ArraySlice<UInt8>) -> DeviceReply<Int>
    func reset() -> DeviceReply<Void>
    func closeData(_ session: DataSession)

    /// The gates that its calls may be held at; bit N of a reply is the Nth of them.
    var gates: [String] { get }
    /// A gate was opened.
    func gateOpened(_ gate: String)
    /// A call begins or ends being held.
    func hold(gate: Int, begins: Bool)
    /// Another device of the same process entered a state.
    func peerEntered(_ peer: String, _ state: VFIOState)
    /// How far it has come.
    var progress: DeviceProgress { get }
}
