/// A VFIO device as a module: what QEMU does with it on either side, in the order of its traces (confirmed on 10.0.13 and 11.1.3).
///
/// A device call is made in one stage, and its answer is received in the next; so another thread may be in another call of the module
/// meanwhile, and each thread keeps its own answer. A thread that sets the device's state holds the BQL, so one change is made at a time.
import MigrationStream
import MigrationTrace
import SwitchoverProtocol
import SystemPackage
import VFIO

package final class VFIOModule: SaveVMHandlers {
    /// The device's name in QEMU's traces.
    package let name: String
    package let idstr: String
    package let device: any MigrationDevice

    // MARK: Abilities, found when the device was plugged

    package private(set) var hasPrecopy = false
    package private(set) var hasP2P = false
    /// True if the flags of precopy infos mean something.
    package private(set) var usesInfoV2 = false
    /// Why the device does not migrate: the kernel has no migration for it.
    package private(set) var blocker: String?

    // MARK: State

    /// Why the process has ended itself: this device could not be reset.
    package private(set) var abortion: String?
    /// Messages to the user that are in no trace.
    package var messages: [String] = []
    package var state: VFIOState { assumed.state }
    package internal(set) var tracker = PrecopyTracker()

    var assumed: AssumedDeviceState
    /// The state that the guest's present stop or start asks for.
    var requestedState = VFIOState.running
    /// True from the set-up for a load until the device runs.
    var isLoaded = false
    /// Device data is read into this buffer; it has bytes from saveSetup to saveCleanup.
    var buffer = DataBuffer(size: 0)
    var hasIterated = false
    /// True if the next read that finds nothing is logged: the first of a migration, and the first after data.
    var logsEmptyRead = true

    // Answers of calls that have not returned, by the thread that waits for them.
    var sizeReply: Result<UInt64, Errno>?
    var infoReply: Result<PrecopyInfo, Errno>?
    var checkReply: Result<PrecopyInfo, Errno>?
    var readReply: Result<Int, Errno>?
    var finalReply: Result<Int, Errno>?
    var writeReply: Result<Int, Errno>?
    var written = 0

    /// `name`: 11.1 `v0` (its `id=`), 10.0 `VFIO_FD100`. `idstr`: `0000:00:10.0/vfio`.
    package init(device: any MigrationDevice, name: String, idstr: String) {
        self.device = device
        self.name = name
        self.idstr = idstr
        assumed = AssumedDeviceState(device, name: name)
    }

    package var isIterable: Bool { true }
    package var hasState: Bool { true }

    package func isActiveIterate(_ host: Host) -> Bool { assumed.isInPrecopy }

    // MARK: Plugging

    /// Asks for the device's abilities. Returns false if the process has the device, but does not migrate it and has no section for it;
    /// `blocker` says why.
    package func plug(_ host: Host) -> Bool {
        tracker = PrecopyTracker(host.generation)
        let flags: UInt64
        switch device.migrationFlags() {
        case .success(let answer): flags = answer
        case .failure(.inappropriateIOCTLForDevice): return block(.notInKernel, .inappropriateIOCTLForDevice, host)
        case .failure(let errno): return block(.failed("failed to query migration flags"), errno, host)
        }
        guard flags & 1 != 0 else { return block(.failed("VFIO_MIGRATION_STOP_COPY is not supported"), .notSupported, host) }
        hasP2P = flags & 2 != 0
        hasPrecopy = flags & 4 != 0
        if host.generation.has(.perDeviceAcks), hasPrecopy, !host.generation.isWrong(.notOptedIn) {
            switch device.useInfoV2() {
            case .success: usesInfoV2 = true
            case .failure(.inappropriateIOCTLForDevice): usesInfoV2 = false
            case .failure(let errno): return block(.failed("failed to set precopy info v2"), errno, host)
            }
        }
        let tracksDirtyPages = device.probeDMALogging().value != nil
        if host.generation.has(.queryPending) {
            host.emit(.vfioMigrationInit(device: name, flags: flags, precopyInfoV2: usesInfoV2, dirtyPages: tracksDirtyPages))
        }
        host.emit(.vfioMigrationRealize(device: name))
        return true
    }

    private enum Block {
        case notInKernel
        case failed(String)
    }

    /// Texts by the strings of 10.0.13 and 11.1.3; what 11.1.3 says after its cause is not confirmed.
    private func block(_ block: Block, _ errno: Errno, _ host: Host) -> Bool {
        let isNew = host.generation.has(.perDeviceAcks)
        blocker =
            switch block {
            case .notInKernel where isNew: "\(name): VFIO migration init failed: migration is not supported in kernel: \(errno)"
            case .notInKernel: "\(name): VFIO migration is not supported in kernel"
            case .failed(let cause) where isNew: "\(name): VFIO migration init failed: \(cause): \(errno)"
            case .failed: "\(name): Migration couldn't be initialized for VFIO device, err: -\(errno.rawValue) (\(errno))"
            }
        return false
    }

    /// Why a process with these devices does not migrate; nil if it does.
    package static func refusal(of modules: [VFIOModule]) -> String? {
        if let blocker = modules.lazy.compactMap(\.blocker).first { return blocker }
        guard modules.count > 1, !modules.allSatisfy(\.hasP2P) else { return nil }
        return "Multiple VFIO devices migration is supported only if all of them support P2P migration"
    }

    // MARK: Changes of state

    /// Makes the calls that change the device's state. Returns true if a call was made; then `endChange` follows when it has returned.
    func beginChange(to state: VFIOState, recover: VFIOState, _ host: Host) -> Bool {
        assumed.begin(state, recover: recover, log: { host.emit($0) })
    }

    /// Draws the consequences of a change of state. Returns nil if the device is in the new state.
    func endChange(_ host: Host) -> ModuleError? {
        do {
            try assumed.end { host.emit($0) }
            return nil
        } catch {
            if error.kind == .resetFailed {
                abortion = error.text
                host.abortion = error.text
            }
            return ModuleError(error.text, error.errno)
        }
    }

    package func migrationNotified(_ reason: MigrationReason, _ call: inout Call) -> Progress {
        let host = call.host
        if call.stage == 0 {
            guard let number = reason.number(in: host.generation) else { return .done }
            host.emit(.vfioMigrationStateNotifier(device: name, state: number))
            guard reason == .failed else { return .done }
            return beginChange(to: .running, recover: .error, host) ? .again : .done
        }
        if let refusal = endChange(host) { messages.append(refusal.text) }
        return .done
    }
}

extension ModuleError {
    /// A failure with the errno of a device call.
    init(_ text: String, _ errno: Errno) { self.init(text, result: -Int64(errno.rawValue)) }
}
