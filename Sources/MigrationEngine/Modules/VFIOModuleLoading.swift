/// The destination's half of a VFIO device's module: set-up, records of its section, and clean-up.
import MigrationStream
import MigrationTrace
import SwitchoverProtocol
import SystemPackage
import VFIO

extension VFIOModule {
    package func loadSetup(_ call: inout Call) throws(ModuleError) -> Progress {
        if call.stage == 0 {
            isLoaded = true
            if beginChange(to: .resuming, recover: assumed.state, call.host) { return .again }
        } else if let refusal = endChange(call.host) {
            throw refusal
        }
        if hasPrecopy || call.host.generation.isWrong(.userWithoutPrecopy) { call.host.requestLegacyAck(name) }
        return .done
    }

    package var switchoverAckNeeded: Bool { hasPrecopy }
    package var approver: String { name }

    package func loadState(_ record: SectionRecord, _ call: inout Call) throws(ModuleError) -> Progress {
        let host = call.host
        switch record {
        case .end: break
        case .deviceSetup:
            host.emit(.vfioLoadState(device: name, .setup))
            if host.generation.isWrong(.approvalBeforeData), host.has(.switchoverAck), hasPrecopy { try host.approveSwitchover(name) }
        case .deviceData(let bytes): return try load(bytes, &call)
        case .initialDataSent:
            host.emit(.vfioLoadState(device: name, .initDataSent))
            do { try host.approver.checkMarker(device: name, isUser: switchoverAckNeeded) } catch {
                throw ModuleError(error.text, .invalidArgument)
            }
            guard !host.generation.isWrong(.approvalMissing), !host.generation.isWrong(.approvalBeforeData) else { break }
            let other = host.modules.first { $0.isIterable && $0 is VFIOModule }?.approver
            try host.approveSwitchover(host.generation.isWrong(.approvalNamesAnother) ? other ?? name : name)
        case .deviceConfig(let bytes):
            host.emit(.vfioLoadState(device: name, .config))
            host.emit(.vfioLoadDeviceConfigStateStart(device: name))
            guard bytes.count == Self.config.count else {
                throw ModuleError("\(name): Failed loading device config space, end flag incorrect 0x0", .invalidArgument)
            }
            host.emit(.vfioLoadDeviceConfigStateEnd(device: name))
        default: throw ModuleError("\(name): Unknown tag 0x0", .invalidArgument)
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
            let reply = writeReply ?? .failure(.badFileDescriptor)
            writeReply = nil
            // A device that accepts nothing fails the load; QEMU would write forever.
            guard case .success(let count) = reply, count > 0 else {
                let errno = if case .failure(let errno) = reply { errno } else { Errno.ioError }
                host.emit(.vfioLoadStateDeviceData(device: name, size: UInt64(bytes.count), result: -Int64(errno.rawValue)))
                guard host.generation.isWrong(.loadFailureIgnored) else { throw ModuleError("\(errno)", errno) }
                return .done
            }
            written += count
            guard written < bytes.count else {
                host.emit(.vfioLoadStateDeviceData(device: name, size: UInt64(bytes.count), result: 0))
                if host.generation.isWrong(.approvalOfEachBlock), host.has(.switchoverAck) { try host.approveSwitchover(name) }
                return .done
            }
        }
        let most = written == 0 ? Self.firstWrite : Self.laterWrite
        if let descriptor = assumed.descriptor {
            writeReply = device.write(descriptor, bytes.span.bytes.extracting(written..<min(written + most, bytes.count)))
        }
        return .again
    }

    /// The most bytes that a load hands to the device at once: what its buffer of 32 KiB holds, where a block's header comes first
    /// (10.0.13, 11.1.3: of a block of 32 KiB at the begin of a section 32683).
    private static var firstWrite: Int { 32683 }
    private static var laterWrite: Int { 32 << 10 }

    package func loadCleanup(_ call: inout Call) -> Progress {
        assumed.closeDescriptor()
        call.host.emit(.vfioLoadCleanup(device: name))
        return .done
    }
}
