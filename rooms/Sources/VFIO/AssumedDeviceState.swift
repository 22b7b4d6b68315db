/// What QEMU takes a device's state to be, and how it changes it: the state is never read back, a refusal leads to a recover state, and where
/// that is refused too, to a reset (confirmed on 10.0.13 and 11.1.3).
///
/// A change is made in two steps, since a device may take its time: `begin` makes the calls, `end` takes in what they came to. In between
/// the assumed state is the one before, as it is for any other thread that looks.
import Glibc
import MigrationTrace

/// Why a state was not set; `text` is QEMU's own.
package struct StateRefusal: Error, Hashable, Sendable {
    package enum Kind: Hashable, Sendable {
        /// The device is in the recover state, or reset.
        case recovered
        /// The device has opened a session beside the one that is open: it was reset behind QEMU's back.
        case outOfSync
        /// It could not even be reset: QEMU ends itself.
        case resetFailed
    }
    package let kind: Kind
    package let text: String
    package let errno: Int32
}

package struct AssumedDeviceState {
    package let device: any MigrationDevice
    /// As QEMU's traces call the device.
    package let name: String
    /// RUNNING at first, whatever the device is in.
    package private(set) var state = VFIOState.running
    /// The data descriptor that is open.
    package private(set) var session: DataSession?
    private var entered: VFIOState?
    private var opened: DataSession?
    private var refusal: StateRefusal?

    package init(_ device: any MigrationDevice, name: String) {
        self.device = device
        self.name = name
    }

    /// PRE_COPY or PRE_COPY_P2P.
    package var isInPrecopy: Bool { state == .preCopy || state == .preCopyP2P }

    /// Makes the calls that set a state; ERROR as the recover state stands for a reset. The reply has what they cost together, and every gate
    /// that holds one of them. nil: the device is taken to be in that state, and nothing is called; `end` is not to follow.
    package mutating func begin(_ new: VFIOState, recover: VFIOState, log: (Event) -> Void) -> DeviceReply<Void>? {
        log(.vfioMigrationSetState(device: name, new, recover: recover))
        (entered, opened, refusal) = (nil, nil, nil)
        guard new != state else { return nil }
        let reply = device.setState(new)
        var all = DeviceReply<Void>(value: (), cost: reply.cost, gates: reply.gates)
        if let session = reply.value {
            (entered, opened) = (new, session)
            return all
        }
        let isReset = recover == .error
        let way = isReset ? "Recover state is ERROR. Resetting device" : "Setting device in recover state \(recover.rawValue)"
        let text = "\(name): Failed setting device state to \(new.rawValue). \(way): \(message(reply.errno))"
        refusal = StateRefusal(kind: .recovered, text: text, errno: reply.errno)
        if !isReset {
            let recovery = device.setState(recover)
            all.add(recovery)
            if let session = recovery.value {
                // QEMU forgets a descriptor that the recover state opens (11.1.3, by its source); here it is closed.
                if let session { device.closeData(session) }
                entered = recover
                return all
            }
        }
        let reset = device.reset()
        all.add(reset)
        if reset.errno == 0 {
            entered = .running
        } else {
            let text = "\(name): Failed resetting device, err: \(message(reset.errno))"
            refusal = StateRefusal(kind: .resetFailed, text: text, errno: reset.errno)
        }
        return all
    }

    /// The calls have returned.
    package mutating func end(log: (Event) -> Void) throws(StateRefusal) {
        defer { (entered, opened, refusal) = (nil, nil, nil) }
        if let entered {
            state = entered
            log(.vfioMigrationSetDeviceState(device: name, entered))
        }
        if let refusal { throw refusal }
        guard let opened else { return }
        guard session == nil else {
            device.closeData(opened)
            throw StateRefusal(kind: .outOfSync, text: "\(name): data_fd out of sync", errno: EBADF)
        }
        session = opened
    }

    /// Both steps at once.
    package mutating func set(_ new: VFIOState, recover: VFIOState, log: (Event) -> Void) throws(StateRefusal) {
        if begin(new, recover: recover, log: log) != nil { try end(log: log) }
    }

    /// Closes the data descriptor, if one is open.
    package mutating func closeSession() {
        if let session { device.closeData(session) }
        session = nil
    }
}

/// The message of an errno, as `strerror` has it.
package func message(_ errno: Int32) -> String { String(cString: strerror(errno)) }

extension DeviceReply where Value == Void {
    /// The same thread waits for both calls.
    fileprivate mutating func add<Other>(_ other: DeviceReply<Other>) {
        cost += other.cost
        gates |= other.gates
    }
}
