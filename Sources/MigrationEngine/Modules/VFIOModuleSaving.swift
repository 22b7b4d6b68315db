/// The source's half of a VFIO device's module: set-up, queries, device data, configuration and clean-up.
import MigrationStream
import MigrationTrace
import SwitchoverProtocol
import SystemPackage
import VFIO

extension VFIOModule {
    // MARK: Set-up

    package func savePrepare(_ host: Host) throws(ModuleError) {
        if let blocker { throw ModuleError(blocker, .resourceBusy) }
        if host.has(.postcopyRAM) {
            throw ModuleError("\(name): VFIO migration is not supported with postcopy migration", .notSupported)
        }
    }

    private static var largestBuffer: UInt64 { 1 << 20 }

    package func saveSetup(_ call: inout Call) throws(ModuleError) -> Progress {
        let host = call.host
        switch call.stage {
        case 0:
            call.payload.append(.deviceSetup)
            (hasIterated, logsEmptyRead) = (false, true)
            sizeReply = device.stopCopySize()
            return .again
        case 1:
            receiveSize(host)
            // Up to 11.0 QEMU allocates the largest buffer where the size is not known.
            let size = sizeReply?.value == nil && !host.generation.has(.queryPending) ? Self.largestBuffer : tracker.stopCopy
            buffer = DataBuffer(size: Int(min(size, Self.largestBuffer)))
            guard buffer.size > 0 else { throw ModuleError("\(name): Failed to allocate migration data buffer", .noMemory) }
            if host.generation.isWrong(.requestsWithoutPrecopy), !hasPrecopy, host.countsRequests { tracker.requestAck() }
            guard hasPrecopy, assumed.state != .stop else { break }
            guard assumed.state == .running else {
                throw ModuleError("\(name): Invalid device state \(assumed.state.number)", .invalidArgument)
            }
            _ = beginChange(to: .preCopy, recover: .running, host)
            return .again
        case 2:
            if let refusal = endChange(host) { throw refusal }
            infoReply = queryPrecopyInfo()
            return .again
        default:
            receive(infoReply, host)
            if host.countsRequests { tracker.requestAck() }
        }
        host.emit(.vfioSaveSetup(device: name, dataBufferSize: UInt64(buffer.size)))
        call.payload.append(.end)
        return .done
    }

    // MARK: Queries

    package func saveQueryPending(
        _ pending: inout PendingBytes, exact: Bool, final: Bool, _ call: inout Call
    ) throws(ModuleError) -> Progress {
        let host = call.host
        if exact, !final {
            switch call.stage {
            case 0:
                sizeReply = host.generation.isWrong(.sizeUnasked) ? nil : device.stopCopySize()
                return .again
            case 1:
                receiveSize(host)
                if assumed.isInPrecopy, !host.generation.isWrong(.precopyUnasked) {
                    infoReply = queryPrecopyInfo()
                    return .again
                }
            default: receive(infoReply, host)
            }
        }
        if host.generation.has(.queryPending) {
            report(&pending, exact: exact, final: final, host)
        } else {
            reportSums(&pending, exact: exact, host)
        }
        return .done
    }

    /// Reports as 11.1 does: the bytes of the stop-copy apart.
    private func report(_ pending: inout PendingBytes, exact: Bool, final: Bool, _ host: Host) {
        let precopy = tracker.initial &+ tracker.dirty
        pending.precopy &+= precopy
        pending.stopCopy &+= tracker.stopCopy > precopy ? tracker.stopCopy - precopy : 0
        let requestsAck = tracker.collect()
        if requestsAck { pending.requests += 1 }
        var event = DevicePending()
        event.device = name
        event.stopCopy = tracker.stopCopy
        event.initial = host.generation.isWrong(.initialMisreported) ? 0 : tracker.initial
        event.dirty = tracker.dirty
        event.requestsAck = requestsAck && !host.generation.isWrong(.requestUnreported)
        event.exact = exact
        event.final = final
        host.emit(.vfioStatePending(event))
    }

    /// Reports as releases up to 11.0 do: an estimate counts what precopy has left, an exact query the whole of the stop-copy.
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

    private func receiveSize(_ host: Host) {
        guard let reply = sizeReply else { return }
        switch reply {
        case .success(let size): tracker.answered(stopCopy: size)
        case .failure: tracker.stopCopyQueryFailed()
        }
        if host.generation.has(.queryPending) {
            host.emit(.vfioQueryStopCopySize(device: name, size: tracker.stopCopy, result: reply.traced))
        }
    }

    func queryPrecopyInfo() -> Result<PrecopyInfo, Errno> {
        guard let descriptor = assumed.descriptor else { return .failure(.badFileDescriptor) }
        return device.precopyInfo(descriptor)
    }

    func receive(_ reply: Result<PrecopyInfo, Errno>?, _ host: Host) {
        guard let reply else { return }
        let info = reply.value ?? PrecopyInfo(initial: 0, dirty: 0, reinit: false)
        let isReinit = (usesInfoV2 || host.generation.isWrong(.reinitWithoutOptIn)) && info.reinit
        let isLogged = host.generation.has(.queryPending)
        if isLogged {
            host.emit(
                .vfioQueryPrecopySize(device: name, initial: info.initial, dirty: info.dirty, reinit: isReinit, result: reply.traced))
        }
        guard case .success = reply else {
            tracker.precopyQueryFailed()
            return
        }
        let isRequest = tracker.answered(initial: info.initial, dirty: info.dirty, reinit: isReinit && host.countsRequests)
        if isRequest, isLogged { host.emit(.vfioQueryPrecopySizeRequestSwitchoverAck(device: name)) }
    }

    // MARK: Device data

    /// Reads up to one buffer, whatever the budget: QEMU looks at the budget between modules only.
    package func saveLiveIterate(budget: Int, _ call: inout Call) throws(ModuleError) -> Progress {
        let host = call.host
        if call.stage == 0 {
            if !hasIterated {
                host.emit(.vfioSaveIterateStart(device: name))
                hasIterated = true
            }
            readReply = read()
            return .again
        }
        let reply = readReply
        readReply = nil
        let bytes = try receive(reply, endsAtENOMSG: true, &call)
        tracker.read(UInt64(bytes))
        if tracker.isMarkerDue(capability: host.has(.switchoverAck)) {
            // Where the core announces requests, it tells the destination itself.
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
            if beginChange(to: .stopCopy, recover: .stop, host) { return .again }
        } else if let reply = finalReply {
            finalReply = nil
            if try receive(reply, endsAtENOMSG: host.generation.has(.endsStateAtENOMSG), &call) == 0 {
                call.payload.append(.end)
                tracker.stateSent()
                host.emit(.vfioSaveCompletePrecopy(device: name, result: 0))
                return .done
            }
        } else if let refusal = endChange(host) {
            throw refusal
        }
        finalReply = read()
        return .again
    }

    private func read() -> Result<Int, Errno> {
        guard let descriptor = assumed.descriptor else { return .failure(.badFileDescriptor) }
        return buffer.fill { device.read(descriptor, into: &$0) }
    }

    /// Puts the bytes of a read into the payload, and returns how many they are; 0 if there is nothing now.
    private func receive(_ reply: Result<Int, Errno>?, endsAtENOMSG: Bool, _ call: inout Call) throws(ModuleError) -> Int {
        let count: Int
        switch reply ?? .failure(.badFileDescriptor) {
        case .success(let read): count = read
        case .failure(.noMessage) where endsAtENOMSG:
            if logsEmptyRead {
                call.host.emit(.vfioSaveBlockPrecopyEmptyHit(device: name))
                logsEmptyRead = false
            }
            return 0
        case .failure(let errno):
            guard call.host.generation.isWrong(.saveFailureIgnored) else { throw ModuleError("\(errno)", errno) }
            return 0
        }
        guard count > 0 else { return 0 }
        call.payload.append(.deviceData(buffer.bytes(count)))
        call.host.emit(.vfioSaveBlock(device: name, size: Int64(count)))
        logsEmptyRead = true
        return count
    }

    // MARK: Configuration and clean-up

    /// A PCI Express device without MSI-X: i32 version 2, its configuration space, four i32 pin states.
    static let config: [UInt8] = [0, 0, 0, 2] + [UInt8](repeating: 0, count: 4096 + 16)

    package func saveState(_ call: inout Call) throws(ModuleError) -> Progress {
        call.payload.append(.deviceConfig(Self.config))
        call.payload.append(.end)
        call.host.emit(.vfioSaveDeviceConfigState(device: name))
        return .done
    }

    package func saveCleanup(_ call: inout Call) -> Progress {
        if call.stage == 0 {
            if assumed.state == .stopCopy, beginChange(to: .stop, recover: .error, call.host) { return .again }
        } else if let refusal = endChange(call.host) {
            if abortion != nil { return .done(refusal.result) }
            messages.append(refusal.text)
        }
        assumed.closeDescriptor()
        if !call.host.generation.isWrong(.markerKept) { tracker = PrecopyTracker(call.host.generation) }
        buffer = DataBuffer(size: 0)
        call.host.emit(.vfioSaveCleanup(device: name))
        return .done
    }
}

/// Memory for one read of device data, QEMU's `data_buffer`: made once a migration, and not cleared.
struct DataBuffer: ~Copyable {
    private let memory: UnsafeMutableRawBufferPointer

    /// `size` is in bytes.
    init(size: Int) { memory = .allocate(byteCount: size, alignment: 16) }

    deinit { memory.deallocate() }

    var size: Int { memory.count }

    /// Lets a call write into the buffer.
    func fill<Result>(_ write: (inout MutableRawSpan) -> Result) -> Result {
        var span = memory.mutableBytes
        return write(&span)
    }

    /// The first bytes, which were written.
    func bytes(_ count: Int) -> [UInt8] { Array(UnsafeRawBufferPointer(rebasing: memory[..<count])) }
}
