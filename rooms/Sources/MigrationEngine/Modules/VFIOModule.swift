/// A VFIO device as a module: what QEMU does with it on either side, in the order of its traces (confirmed on 10.0.13 and 11.1.3).
///
/// A device call is made in one stage, and what it came to is taken in at the next; so another thread may be in another call of the module
/// meanwhile, and each of them keeps its own answer. What sets the device's state holds the BQL, so one change is made at a time.
import Glibc
import MigrationStream
import MigrationTrace
import SwitchoverProtocol
import VFIO

package final class VFIOModule: SaveVMHandlers {
    /// As QEMU's traces call the device.
    package let name: String
    package let idstr: String
    package let device: any MigrationDevice

    // MARK: What was found when it was plugged

    package private(set) var hasPrecopy = false
    package private(set) var hasP2P = false
    /// Flags of precopy infos mean something.
    package private(set) var usesInfoV2 = false
    /// Why the device does not migrate: the kernel has no migration for it.
    package private(set) var blocker: String?

    // MARK: What it has come to

    /// The process has ended itself over this device: it could not be reset.
    package private(set) var abortion: String?
    /// What was said to the user, and is in no trace.
    package private(set) var messages: [String] = []
    package var state: VFIOState { assumed.state }
    package private(set) var tracker = PrecopyTracker()

    private var assumed: AssumedDeviceState
    /// The state that the callback at hand asks for.
    private var changing = VFIOState.running
    /// It was set up for a load, and has not run since.
    private var isLoaded = false
    /// Bytes of a read.
    private var bufferSize = 0
    private var hasIterated = false
    /// The next read that finds nothing is told: the first of a migration, and the first after data.
    private var tellsNothing = true

    // Answers of calls that have not returned, by who waits for them.
    private var sizeReply: DeviceReply<UInt64>?
    private var infoReply: DeviceReply<PrecopyInfo>?
    private var checkReply: DeviceReply<PrecopyInfo>?
    private var readReply: DeviceReply<[UInt8]>?
    private var finalReply: DeviceReply<[UInt8]>?
    private var writeReply: DeviceReply<Int>?
    private var written = 0

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

    /// Looks at what the device can do. False: the process has it, but it does not migrate and has no section; `blocker` says why.
    package func plug(_ host: Host) -> Bool {
        tracker = PrecopyTracker(host.generation)
        let answer = device.migrationFlags()
        guard let flags = answer.value else {
            return block(answer.errno == ENOTTY ? .notInKernel : .failed("failed to query migration flags"), answer.errno, host)
        }
        guard flags & 1 != 0 else { return block(.failed("VFIO_MIGRATION_STOP_COPY is not supported"), EOPNOTSUPP, host) }
        hasP2P = flags & 2 != 0
        hasPrecopy = flags & 4 != 0
        if host.generation.has(.perDeviceAcks), hasPrecopy {
            let answer = device.useInfoV2()
            guard answer.errno == 0 || answer.errno == ENOTTY else {
                return block(.failed("failed to set precopy info v2"), answer.errno, host)
            }
            usesInfoV2 = answer.errno == 0
        }
        let tracksDirtyPages = device.probeDMALogging().errno == 0
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

    /// Texts by the strings of 10.0.13 and 11.1.3; what 11.1.3 says behind its cause is not confirmed.
    private func block(_ block: Block, _ errno: Int32, _ host: Host) -> Bool {
        let isNew = host.generation.has(.perDeviceAcks)
        blocker =
            switch block {
            case .notInKernel where isNew:
                "\(name): VFIO migration init failed: migration is not supported in kernel" + (errno == 0 ? "" : ": \(message(errno))")
            case .notInKernel: "\(name): VFIO migration is not supported in kernel"
            case .failed(let cause) where isNew: "\(name): VFIO migration init failed: \(cause): \(message(errno))"
            case .failed: "\(name): Migration couldn't be initialized for VFIO device, err: -\(errno) (\(message(errno)))"
            }
        return false
    }

    /// Why a process with these devices does not migrate; nil: it does.
    package static func refusal(of modules: [VFIOModule]) -> String? {
        if let blocker = modules.lazy.compactMap(\.blocker).first { return blocker }
        guard modules.count > 1, !modules.allSatisfy(\.hasP2P) else { return nil }
        return "Multiple VFIO devices migration is supported only if all of them support P2P migration"
    }

    // MARK: Source: set-up

    package func savePrepare(_ host: Host) throws(ModuleError) {
        if let blocker { throw ModuleError(blocker, result: -Int64(EBUSY)) }
        if host.has(.postcopyRAM) {
            throw ModuleError("\(name): VFIO migration is not supported with postcopy migration", result: -Int64(EOPNOTSUPP))
        }
    }

    private static let largestBuffer: UInt64 = 1 << 20

    package func saveSetup(_ call: inout Call) throws(ModuleError) -> Progress {
        let host = call.host
        switch call.stage {
        case 0:
            call.payload.append(.deviceSetup)
            (hasIterated, tellsNothing) = (false, true)
            sizeReply = call.take(device.stopCopySize(), of: device)
            return .again
        case 1:
            takeInSize(host)
            // Up to 11.0 a size that is not known is one buffer.
            let size = sizeReply?.value == nil && !host.generation.has(.queryPending) ? Self.largestBuffer : tracker.stopCopy
            bufferSize = Int(min(size, Self.largestBuffer))
            guard bufferSize > 0 else {
                throw ModuleError("\(name): Failed to allocate migration data buffer", result: -Int64(ENOMEM))
            }
            guard hasPrecopy, assumed.state != .stop else { break }
            guard assumed.state == .running else {
                throw ModuleError("\(name): Invalid device state \(assumed.state.number)", result: -Int64(EINVAL))
            }
            begin(.preCopy, recover: .running, &call)
            return .again
        case 2:
            if let refusal = end(host) { throw refusal }
            infoReply = askPrecopyInfo(&call)
            return .again
        default:
            takeIn(infoReply, host)
            if host.countsRequests { tracker.requestAck() }
        }
        host.emit(.vfioSaveSetup(device: name, dataBufferSize: UInt64(bufferSize)))
        call.payload.append(.end)
        return .done
    }

    // MARK: Source: queries

    package func saveQueryPending(
        _ pending: inout PendingBytes, exact: Bool, final: Bool, _ call: inout Call
    ) throws(ModuleError) -> Progress {
        let host = call.host
        if exact, !final {
            switch call.stage {
            case 0:
                sizeReply = call.take(device.stopCopySize(), of: device)
                return .again
            case 1:
                takeInSize(host)
                if assumed.isInPrecopy {
                    infoReply = askPrecopyInfo(&call)
                    return .again
                }
            default: takeIn(infoReply, host)
            }
        }
        if host.generation.has(.queryPending) {
            report(&pending, exact: exact, final: final, host)
        } else {
            reportSums(&pending, exact: exact, host)
        }
        return .done
    }

    /// 11.1: bytes of the stop-copy apart.
    private func report(_ pending: inout PendingBytes, exact: Bool, final: Bool, _ host: Host) {
        let precopy = tracker.initial &+ tracker.dirty
        pending.precopy &+= precopy
        pending.stopCopy &+= tracker.stopCopy > precopy ? tracker.stopCopy - precopy : 0
        let requestsAck = tracker.collect()
        if requestsAck { pending.requests += 1 }
        var event = DevicePending()
        event.device = name
        event.stopCopy = tracker.stopCopy
        event.initial = tracker.initial
        event.dirty = tracker.dirty
        event.requestsAck = requestsAck
        event.exact = exact
        event.final = final
        host.emit(.vfioStatePending(event))
    }

    /// Up to 11.0: an estimate counts what precopy has left, an exact query the whole of the stop-copy.
    private func reportSums(_ pending: inout PendingBytes, exact: Bool, _ host: Host) {
        if tracker.collect() { pending.requests += 1 }
        if exact {
            pending.precopy &+= tracker.stopCopy
            host.emit(
                .vfioStatePendingExact(
                    device: name, precopy: pending.precopy, postcopy: pending.postcopy, stopCopy: tracker.stopCopy,
                    initial: tracker.initial, dirty: tracker.dirty))
        } else if assumed.isInPrecopy {
            pending.precopy &+= tracker.initial &+ tracker.dirty
            host.emit(
                .vfioStatePendingEstimate(
                    device: name, precopy: pending.precopy, postcopy: pending.postcopy, initial: tracker.initial,
                    dirty: tracker.dirty))
        }
    }

    private func takeInSize(_ host: Host) {
        guard let reply = sizeReply else { return }
        if let size = reply.value { tracker.answered(stopCopy: size) } else { tracker.stopCopyQueryFailed() }
        if host.generation.has(.queryPending) {
            host.emit(.vfioQueryStopCopySize(device: name, size: tracker.stopCopy, result: -Int64(reply.errno)))
        }
    }

    private func askPrecopyInfo(_ call: inout Call) -> DeviceReply<PrecopyInfo> {
        guard let session = assumed.session else { return DeviceReply(value: nil, errno: EBADF) }
        return call.take(device.precopyInfo(session), of: device)
    }

    private func takeIn(_ reply: DeviceReply<PrecopyInfo>?, _ host: Host) {
        guard let reply else { return }
        let info = reply.value ?? PrecopyInfo(initial: 0, dirty: 0, reinit: false)
        let isReinit = usesInfoV2 && info.reinit
        let isLogged = host.generation.has(.queryPending)
        if isLogged {
            host.emit(
                .vfioQueryPrecopySize(
                    device: name, initial: info.initial, dirty: info.dirty, reinit: isReinit, result: -Int64(reply.errno)))
        }
        guard reply.value != nil else {
            tracker.precopyQueryFailed()
            return
        }
        let isRequest = tracker.answered(initial: info.initial, dirty: info.dirty, reinit: isReinit && host.countsRequests)
        if isRequest, isLogged { host.emit(.vfioQueryPrecopySizeRequestSwitchoverAck(device: name)) }
    }

    // MARK: Source: data

    /// One read of up to a buffer, whatever the budget: QEMU looks at that between modules only.
    package func saveLiveIterate(budget: Int, _ call: inout Call) throws(ModuleError) -> Progress {
        let host = call.host
        if call.stage == 0 {
            if !hasIterated {
                host.emit(.vfioSaveIterateStart(device: name))
                hasIterated = true
            }
            readReply = read(&call)
            return .again
        }
        let bytes = try takeInRead(&readReply, endsAtENOMSG: true, &call)
        tracker.read(UInt64(bytes))
        if tracker.isMarkerDue(capability: host.has(.switchoverAck)) {
            // Where the core announces requests it tells the destination itself.
            call.payload.append(host.announcesRequests ? .end : .initialDataSent)
            tracker.markerSent()
            if !host.announcesRequests, host.generation.has(.queryPending) { host.emit(.vfioSendInitDataFlag(device: name)) }
        } else {
            call.payload.append(.end)
        }
        host.emit(.vfioSaveIterate(device: name, initial: tracker.initial, dirty: tracker.dirty))
        return .done(tracker.initial == 0 && tracker.dirty == 0 ? 1 : 0)
    }

    package var initialDataIsSent: Bool { tracker.isMarkerSent }

    package func saveComplete(_ call: inout Call) throws(ModuleError) -> Progress {
        let host = call.host
        if call.stage == 0 {
            finalReply = nil
            host.emit(.vfioSaveCompletePrecopyStart(device: name))
            if begin(.stopCopy, recover: .stop, &call) { return .again }
        } else if finalReply == nil {
            if let refusal = end(host) { throw refusal }
        } else {
            let endsAtENOMSG = host.generation.has(.endsStateAtENOMSG)
            if try takeInRead(&finalReply, endsAtENOMSG: endsAtENOMSG, &call) == 0 {
                call.payload.append(.end)
                tracker.stateSent()
                host.emit(.vfioSaveCompletePrecopy(device: name, result: 0))
                return .done
            }
        }
        finalReply = read(&call)
        return .again
    }

    private func read(_ call: inout Call) -> DeviceReply<[UInt8]> {
        guard let session = assumed.session else { return DeviceReply(value: nil, errno: EBADF) }
        return call.take(device.read(session, most: bufferSize), of: device)
    }

    /// How many bytes were read into the payload; 0: there is nothing now.
    private func takeInRead(_ reply: inout DeviceReply<[UInt8]>?, endsAtENOMSG: Bool, _ call: inout Call) throws(ModuleError) -> Int {
        defer { reply = nil }
        guard let bytes = reply?.value else {
            let errno = reply?.errno ?? EBADF
            guard errno == ENOMSG, endsAtENOMSG else { throw ModuleError(message(errno), result: -Int64(errno)) }
            if tellsNothing {
                call.host.emit(.vfioSaveBlockPrecopyEmptyHit(device: name))
                tellsNothing = false
            }
            return 0
        }
        guard !bytes.isEmpty else { return 0 }
        call.payload.append(.deviceData(bytes))
        call.host.emit(.vfioSaveBlock(device: name, size: Int64(bytes.count)))
        tellsNothing = true
        return bytes.count
    }

    // MARK: Source: configuration and the end

    /// A PCI Express device without MSI-X: i32 version 2, its configuration space, four i32 pin states.
    private static let config: [UInt8] = [0, 0, 0, 2] + [UInt8](repeating: 0, count: 4096 + 16)

    package func saveState(_ call: inout Call) throws(ModuleError) -> Progress {
        call.payload.append(.deviceConfig(Self.config))
        call.payload.append(.end)
        call.host.emit(.vfioSaveDeviceConfigState(device: name))
        return .done
    }

    package func saveCleanup(_ call: inout Call) -> Progress {
        if call.stage == 0 {
            if assumed.state == .stopCopy, begin(.stop, recover: .error, &call) { return .again }
        } else if let refusal = end(call.host) {
            if abortion != nil { return .done(refusal.result) }
            messages.append(refusal.text)
        }
        assumed.closeSession()
        tracker = PrecopyTracker(call.host.generation)
        bufferSize = 0
        call.host.emit(.vfioSaveCleanup(device: name))
        return .done
    }

    // MARK: Destination

    package func loadSetup(_ call: inout Call) throws(ModuleError) -> Progress {
        if call.stage == 0 {
            isLoaded = true
            if begin(.resuming, recover: assumed.state, &call) { return .again }
        } else if let refusal = end(call.host) {
            throw refusal
        }
        if hasPrecopy { call.host.requestLegacyAck(name) }
        return .done
    }

    package var switchoverAckNeeded: Bool { hasPrecopy }
    package var approver: String { name }

    package func loadState(_ record: SectionRecord, _ call: inout Call) throws(ModuleError) -> Progress {
        let host = call.host
        switch record {
        case .end: break
        case .deviceSetup: host.emit(.vfioLoadState(device: name, .setup))
        case .deviceData(let bytes): return try load(bytes, &call)
        case .initialDataSent:
            host.emit(.vfioLoadState(device: name, .initDataSent))
            do { try host.approver.checkMarker(device: name, isUser: switchoverAckNeeded) } catch {
                throw ModuleError(error.text, result: -Int64(EINVAL))
            }
            try host.approveSwitchover(name)
        case .deviceConfig(let bytes):
            host.emit(.vfioLoadState(device: name, .config))
            host.emit(.vfioLoadDeviceConfigStateStart(device: name))
            guard bytes.count == Self.config.count else {
                throw ModuleError("\(name): Failed loading device config space, end flag incorrect 0x0", result: -Int64(EINVAL))
            }
            host.emit(.vfioLoadDeviceConfigStateEnd(device: name))
        default: throw ModuleError("\(name): Unknown tag 0x0", result: -Int64(EINVAL))
        }
        return .done
    }

    private func load(_ bytes: [UInt8], _ call: inout Call) throws(ModuleError) -> Progress {
        let host = call.host
        if call.stage == 0 {
            host.emit(.vfioLoadState(device: name, .data))
            written = 0
            // No data is legal, and of no effect.
            guard !bytes.isEmpty else { return .done }
        } else {
            let reply = writeReply
            writeReply = nil
            // QEMU would write forever to a device that takes nothing.
            guard let count = reply?.value, count > 0 else {
                let errno = reply.map { $0.value == nil ? $0.errno : EIO } ?? EBADF
                host.emit(.vfioLoadStateDeviceData(device: name, size: UInt64(bytes.count), result: -Int64(errno)))
                throw ModuleError(message(errno), result: -Int64(errno))
            }
            written += count
            guard written < bytes.count else {
                host.emit(.vfioLoadStateDeviceData(device: name, size: UInt64(bytes.count), result: 0))
                return .done
            }
        }
        let most = written == 0 ? Self.firstWrite : Self.laterWrite
        writeReply = assumed.session.map { call.take(device.write($0, bytes[written...].prefix(most)), of: device) }
        return .again
    }

    /// Bytes that a load hands to the device at once: what its buffer of 32 KiB holds, where a block's header comes first (10.0.13, 11.1.3: of a
    /// block of 32 KiB at the begin of a section 32683).
    private static let firstWrite = 32683
    private static let laterWrite = 32 << 10

    package func loadCleanup(_ call: inout Call) -> Progress {
        assumed.closeSession()
        call.host.emit(.vfioLoadCleanup(device: name))
        return .done
    }

    // MARK: The guest stops and starts

    package var hasVMStatePrepare: Bool { hasP2P }

    package func vmStatePrepare(running: Bool, _ reason: RunState, _ call: inout Call) throws(ModuleError) -> Progress {
        let host = call.host
        if call.stage == 0 {
            checkReply = nil
            if !running, assumed.state == .preCopy, checks(host) {
                checkReply = askPrecopyInfo(&call)
                return .again
            }
        } else if checkReply == nil {
            let refusal = end(host)
            return try changed(refusal, host, .vfioVMStateChangePrepare(device: name, running: running, reason: reason, changing))
        } else {
            takeInCheck(host)
        }
        changing = assumed.state == .preCopy ? .preCopyP2P : .runningP2P
        if begin(changing, recover: .error, &call) { return .again }
        return try changed(nil, host, .vfioVMStateChangePrepare(device: name, running: running, reason: reason, changing))
    }

    package func vmStateChange(running: Bool, _ reason: RunState, _ call: inout Call) throws(ModuleError) -> Progress {
        let host = call.host
        if call.stage == 0 {
            checkReply = nil
            let keepsState = assumed.isInPrecopy && (reason == .finishMigrate || reason == .paused)
            changing = running ? .running : keepsState ? .stopCopy : .stop
            if changing == .stopCopy, checksAgain(host) {
                checkReply = askPrecopyInfo(&call)
                return .again
            }
        } else if checkReply == nil {
            let refusal = end(host)
            return try changed(refusal, host, .vfioVMStateChange(device: name, running: running, reason: reason, changing))
        } else {
            takeInCheck(host)
        }
        if begin(changing, recover: .error, &call) { return .again }
        return try changed(nil, host, .vfioVMStateChange(device: name, running: running, reason: reason, changing))
    }

    /// Whether REINIT is looked for before the guest's stop is final.
    private func checks(_ host: Host) -> Bool { usesInfoV2 && host.countsRequests }

    /// Whether it is looked for once more, at the end of precopy: no release does (11.1.3).
    private func checksAgain(_ host: Host) -> Bool {
        guard checks(host) else { return false }
        return !host.generation.has(.unguardedAfterLastCheck) || !hasP2P && !host.generation.has(.noCheckWithoutP2P)
    }

    private func takeInCheck(_ host: Host) {
        guard let reply = checkReply else { return }
        checkReply = nil
        takeIn(reply, host)
        guard reply.value == nil else { return }
        messages.append("\(name): Final precopy reinit check failed (err: \(-reply.errno))")
        tracker.lastCheckFailed()
    }

    /// The end of a callback: its event, and what has gone wrong.
    private func changed(_ refusal: ModuleError?, _ host: Host, _ event: Event) throws(ModuleError) -> Progress {
        guard let refusal else {
            host.emit(event)
            if assumed.state == .running { isLoaded = false }
            return .done
        }
        guard abortion == nil else { throw refusal }
        host.emit(event)
        // A destination has no stream that could fail.
        guard isLoaded, host.generation.has(.resetsLoadedDevice) else { throw refusal }
        messages.append(refusal.text)
        return .done
    }

    package func migrationNotified(_ reason: MigrationReason, _ call: inout Call) -> Progress {
        let host = call.host
        if call.stage == 0 {
            guard let number = reason.number(in: host.generation) else { return .done }
            host.emit(.vfioMigrationStateNotifier(device: name, state: number))
            guard reason == .failed else { return .done }
            return begin(.running, recover: .error, &call) ? .again : .done
        }
        if let refusal = end(host) { messages.append(refusal.text) }
        return .done
    }

    // MARK: States

    /// Whether a call is made; `end` is to follow when it has returned.
    @discardableResult
    private func begin(_ state: VFIOState, recover: VFIOState, _ call: inout Call) -> Bool {
        let host = call.host
        guard let reply = assumed.begin(state, recover: recover, log: { host.emit($0) }) else { return false }
        _ = call.take(reply, of: device)
        return true
    }

    /// What the change of state has come to; nil: the device is in the new state.
    private func end(_ host: Host) -> ModuleError? {
        do {
            try assumed.end { host.emit($0) }
            return nil
        } catch {
            if error.kind == .resetFailed {
                abortion = error.text
                host.abortion = error.text
            }
            return ModuleError(error.text, result: -Int64(error.errno))
        }
    }
}
