/// The system calls below `MigrationDevice`: the kernel's VFIO interface with nothing left out, wrong arguments included.
///
/// A backend makes the calls; what their arguments look like (Linux 7.2, `harness/vfio/include/vfio_uapi.h`) is written once, in the
/// extension below, for all backends. The engine uses a device through `MigrationDevice`; a check of a driver uses it through this, too.
import CVFIOMock
import MigrationTrace
import SystemPackage

package protocol DeviceRequests: MigrationDevice {
    /// `ioctl()` on the device descriptor. An argument without an address is NULL.
    func request(_ number: UInt64, _ argument: UnsafeMutableRawBufferPointer) -> Result<Void, Errno>
    /// `ioctl()` on a data descriptor.
    func dataRequest(_ descriptor: DataDescriptor, _ number: UInt64, _ argument: UnsafeMutableRawBufferPointer) -> Result<Void, Errno>
    /// `read()` of a data descriptor; nil is an address that nothing can be written to.
    func read(_ descriptor: DataDescriptor, at address: UnsafeMutableRawPointer?, count: Int) -> Result<Int, Errno>
    /// `write()` of a data descriptor; nil is an address that nothing can be read from.
    func write(_ descriptor: DataDescriptor, at address: UnsafeRawPointer?, count: Int) -> Result<Int, Errno>
    /// Closes the device descriptor and opens the device anew. The INFOv2 opt-in is forgotten.
    func reopen() -> Result<Void, Errno>
    /// Tries to open the device a second time, beside the descriptors that are open; nil where the backend has no other opener.
    func openAgain() -> Result<Void, Errno>?
    /// `poll()` without waiting: true if the data descriptor is readable; nil where the backend has no poll.
    func isReadable(_ descriptor: DataDescriptor) -> Result<Bool, Errno>?
    /// `lseek()` of a data descriptor to its begin; nil where the backend has no seek.
    func seek(_ descriptor: DataDescriptor) -> Result<Void, Errno>?
}

/// What a FEATURE call does, by the bits of its flags.
package struct FeatureOperation: OptionSet, Hashable, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }

    package static let get = FeatureOperation(rawValue: UInt32(VFIO_DEVICE_FEATURE_GET))
    package static let set = FeatureOperation(rawValue: UInt32(VFIO_DEVICE_FEATURE_SET))
    package static let probe = FeatureOperation(rawValue: UInt32(VFIO_DEVICE_FEATURE_PROBE))
}

/// The features of VFIO migration, by their index.
package enum MigrationFeature: UInt32, CaseIterable, Hashable, Sendable {
    case migration = 1
    case deviceState = 2
    case dmaLoggingStart = 6
    case dmaLoggingStop = 7
    case dmaLoggingReport = 8
    case dataSize = 9
    case precopyInfoV2 = 12
}

extension DeviceRequests {
    /// VFIO_DEVICE_FEATURE: a header with these flags, and the data after it, which the call may change. `argsz` is the true size unless
    /// another is given.
    package func feature(flags: UInt32, argsz: UInt32? = nil, _ data: UnsafeMutableRawBufferPointer) -> Result<Void, Errno> {
        withUnsafeTemporaryAllocation(byteCount: 8 + data.count, alignment: 8) { memory in
            memory.storeBytes(of: argsz ?? UInt32(memory.count), as: UInt32.self)
            memory.storeBytes(of: flags, toByteOffset: 4, as: UInt32.self)
            UnsafeMutableRawBufferPointer(rebasing: memory[8...]).copyMemory(from: UnsafeRawBufferPointer(data))
            let result = request(UInt64(VFIO_DEVICE_FEATURE), memory)
            data.copyMemory(from: UnsafeRawBufferPointer(rebasing: memory[8...]))
            return result
        }
    }

    private func feature<Data: BitwiseCopyable>(
        _ feature: MigrationFeature, _ operation: FeatureOperation, _ data: Data
    ) -> Result<Data, Errno> {
        var data = data
        let result = withUnsafeMutableBytes(of: &data) { self.feature(flags: feature.rawValue | operation.rawValue, $0) }
        return result.map { data }
    }

    package func feature(_ feature: MigrationFeature, _ operation: FeatureOperation) -> Result<Void, Errno> {
        self.feature(flags: feature.rawValue | operation.rawValue, UnsafeMutableRawBufferPointer(start: nil, count: 0))
    }

    package func migrationFlags() -> Result<UInt64, Errno> {
        feature(.migration, .get, vfio_device_feature_migration(flags: 0)).map(\.flags)
    }

    package func useInfoV2() -> Result<Void, Errno> { feature(.precopyInfoV2, .set) }

    package func probeDMALogging() -> Result<Void, Errno> { feature(.dmaLoggingStart, [.set, .probe]) }

    package func setState(_ state: VFIOState) -> Result<DataDescriptor?, Errno> { setState(number: state.number) }

    /// SET of a state by its number, which may be none of the uAPI's.
    package func setState(number: UInt32) -> Result<DataDescriptor?, Errno> {
        feature(.deviceState, .set, vfio_device_feature_mig_state(device_state: number, data_fd: -1))
            .map { $0.data_fd < 0 ? nil : DataDescriptor(number: $0.data_fd) }
    }

    /// GET of the state: the state, and the `data_fd` of the answer.
    package func getState() -> Result<(state: VFIOState, descriptor: Int32), Errno> {
        feature(.deviceState, .get, vfio_device_feature_mig_state(device_state: 0, data_fd: 0))
            .map { (VFIOState(number: UInt64($0.device_state)), $0.data_fd) }
    }

    package func stopCopySize() -> Result<UInt64, Errno> {
        feature(.dataSize, .get, vfio_device_feature_mig_data_size(stop_copy_length: 0)).map(\.stop_copy_length)
    }

    package func precopyInfo(_ descriptor: DataDescriptor) -> Result<PrecopyInfo, Errno> {
        rawPrecopyInfo(descriptor, vfio_precopy_info(argsz: 24, flags: 0, initial_bytes: 0, dirty_bytes: 0)).map {
            PrecopyInfo(
                initial: $0.initial_bytes, dirty: $0.dirty_bytes, reinit: $0.flags & UInt32(VFIO_PRECOPY_INFO_REINIT) != 0)
        }
    }

    /// VFIO_MIG_GET_PRECOPY_INFO with every field of the argument as given.
    package func rawPrecopyInfo(_ descriptor: DataDescriptor, _ asked: vfio_precopy_info) -> Result<vfio_precopy_info, Errno> {
        var info = asked
        let result = withUnsafeMutableBytes(of: &info) { dataRequest(descriptor, UInt64(VFIO_MIG_GET_PRECOPY_INFO), $0) }
        return result.map { info }
    }

    package func read(_ descriptor: DataDescriptor, into buffer: inout MutableRawSpan) -> Result<Int, Errno> {
        buffer.withUnsafeMutableBytes { read(descriptor, at: $0.baseAddress, count: $0.count) }
    }

    package func write(_ descriptor: DataDescriptor, _ bytes: RawSpan) -> Result<Int, Errno> {
        bytes.withUnsafeBytes { write(descriptor, at: $0.baseAddress, count: $0.count) }
    }

    package func reset() -> Result<Void, Errno> {
        request(UInt64(VFIO_DEVICE_RESET), UnsafeMutableRawBufferPointer(start: nil, count: 0))
    }
}
