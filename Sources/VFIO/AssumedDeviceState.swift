/// The state that QEMU assumes a device to be in, and how QEMU changes it: QEMU never reads the state back, sets a recover state after a
/// refusal, and resets the device where that is refused too (confirmed on 10.0.13 and 11.1.3).
///
/// A change is made in two steps, since a device may take its time: `begin` makes the calls, `end` draws the consequences. In between
/// the assumed state is the earlier one, for every thread that looks.
import MigrationTrace
import SystemPackage

/// Why a state was not set.
package struct StateRefusal: Error, Hashable, Sendable {
    package enum Kind: Hashable, Sendable {
        /// The device is in the recover state, or was reset.
        case recovered
        /// The device has opened a second session: it was reset without QEMU's knowledge.
        case outOfSync
        /// The device could not be reset either, and QEMU exits.
        case resetFailed
    }
    package let kind: Kind
    /// QEMU's own words.
    package let text: String
    package let errno: Errno
}

package struct AssumedDeviceState {
    package let device: any MigrationDevice
    /// The device's name in QEMU's traces.
    package let name: String
    /// The assumed state: RUNNING at first, whatever the device is in.
    package private(set) var state = VFIOState.running
    /// The data descriptor that is open.
    package private(set) var descriptor: DataDescriptor?
    private var entered: VFIOState?
    private var opened: DataDescriptor?
    private var refusal: StateRefusal?

    package init(_ device: any MigrationDevice, name: String) {
        self.device = device
        self.name = name
    }

    /// True in PRE_COPY and PRE_COPY_P2P.
    package var isInPrecopy: Bool { state == .preCopy || state == .preCopyP2P }

    /// Makes the calls that set a state; ERROR as the recover state stands for a reset. Returns false if the device is assumed to be in
    /// that state already: then no call is made, and `end` must not follow.
    package mutating func begin(_ new: VFIOState, recover: VFIOState, log: (Event) -> Void) -> Bool {
        log(.vfioMigrationSetState(device: name, new, recover: recover))
        (entered, opened, refusal) = (nil, nil, nil)
        guard new != state else { return false }
        switch device.setState(new) {
        case .success(let descriptor): (entered, opened) = (new, descriptor)
        case .failure(let errno): recoverFrom(errno, of: new, to: recover)
        }
        return true
    }

    /// Sets the recover state after a refusal, or resets the device.
    private mutating func recoverFrom(_ errno: Errno, of new: VFIOState, to recover: VFIOState) {
        let isReset = recover == .error
        let way = isReset ? "Recover state is ERROR. Resetting device" : "Setting device in recover state \(recover.rawValue)"
        let text = "\(name): Failed setting device state to \(new.rawValue). \(way): \(errno)"
        refusal = StateRefusal(kind: .recovered, text: text, errno: errno)
        if !isReset, case .success(let descriptor) = device.setState(recover) {
            // QEMU leaks a descriptor that the recover state opens (11.1.3, by its source); here it is closed.
            if let descriptor { device.close(descriptor) }
            entered = recover
            return
        }
        switch device.reset() {
        case .success: entered = .running
        case .failure(let errno):
            let text = "\(name): Failed resetting device, err: \(errno)"
            refusal = StateRefusal(kind: .resetFailed, text: text, errno: errno)
        }
    }

    /// Draws the consequences when the calls have returned.
    package mutating func end(log: (Event) -> Void) throws(StateRefusal) {
        defer { (entered, opened, refusal) = (nil, nil, nil) }
        if let entered {
            state = entered
            log(.vfioMigrationSetDeviceState(device: name, entered))
        }
        if let refusal { throw refusal }
        guard let opened else { return }
        guard descriptor == nil else {
            device.close(opened)
            throw StateRefusal(kind: .outOfSync, text: "\(name): data_fd out of sync", errno: .badFileDescriptor)
        }
        descriptor = opened
    }

    /// Takes both steps at once.
    package mutating func set(_ new: VFIOState, recover: VFIOState, log: (Event) -> Void) throws(StateRefusal) {
        if begin(new, recover: recover, log: log) { try end(log: log) }
    }

    /// Closes the data descriptor, if one is open.
    package mutating func closeDescriptor() {
        if let descriptor { device.close(descriptor) }
        descriptor = nil
    }
}
