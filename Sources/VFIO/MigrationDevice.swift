/// The seam of a VFIO device: the ioctls of the kernel's migration interface (Linux 7.2), and reads and writes of the data descriptor.
///
/// A call returns what the system call returns, so a kernel driver or a replayed recording fits behind it. A device that
/// reports the cost of a call instead of waiting, and that gates can hold, is a `ScriptedDevice`.
import MigrationTrace
import SystemPackage

/// The data descriptor of a migration session: the number that MIG_DEVICE_STATE answers in `data_fd`.
package struct DataDescriptor: Hashable, Sendable {
    package let number: Int32
    package init(number: Int32) { self.number = number }
}

/// The answer to VFIO_MIG_GET_PRECOPY_INFO.
package struct PrecopyInfo: Hashable, Sendable {
    /// Initial bytes that are still to be read.
    package var initial: UInt64
    /// Dirty bytes that are still to be read.
    package var dirty: UInt64
    /// VFIO_PRECOPY_INFO_REINIT as the device left it: without the INFOv2 opt-in the flag means nothing.
    package var reinit: Bool

    package init(initial: UInt64, dirty: UInt64, reinit: Bool) {
        self.initial = initial
        self.dirty = dirty
        self.reinit = reinit
    }
}

/// A VFIO device with a migration driver. One thread at a time uses it.
package protocol MigrationDevice: AnyObject {
    /// The device's name in the device log; QEMU's `id=`.
    var name: String { get }

    /// VFIO_DEVICE_FEATURE_MIGRATION: a sum of 1 (stop-copy), 2 (P2P) and 4 (pre-copy).
    func migrationFlags() -> Result<UInt64, Errno>
    /// VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2: opts in to the flags of precopy infos.
    func useInfoV2() -> Result<Void, Errno>
    /// VFIO_DEVICE_FEATURE_PROBE of DMA logging; a success means that the device offers it.
    func probeDMALogging() -> Result<Void, Errno>
    /// VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE. Returns the descriptor where the last arc opens a session, and nil elsewhere.
    func setState(_ state: VFIOState) -> Result<DataDescriptor?, Errno>
    /// VFIO_DEVICE_FEATURE_MIG_DATA_SIZE: an estimate of the bytes that STOP_COPY delivers.
    func stopCopySize() -> Result<UInt64, Errno>
    /// VFIO_MIG_GET_PRECOPY_INFO; EINVAL outside the PRE_COPY states.
    func precopyInfo(_ descriptor: DataDescriptor) -> Result<PrecopyInfo, Errno>
    /// `read()`: fills the begin of the buffer, and returns how many bytes it holds. ENOMSG, or 0, says that there is nothing now.
    func read(_ descriptor: DataDescriptor, into buffer: inout MutableRawSpan) -> Result<Int, Errno>
    /// `write()`: returns how many bytes the device has accepted.
    func write(_ descriptor: DataDescriptor, _ bytes: RawSpan) -> Result<Int, Errno>
    /// VFIO_DEVICE_RESET.
    func reset() -> Result<Void, Errno>
    /// `close()` of the data descriptor.
    func close(_ descriptor: DataDescriptor)
}

extension Result where Failure == Errno {
    /// The result as trace events show it: 0, or the negative errno.
    package var traced: Int64 {
        switch self {
        case .success: 0
        case .failure(let errno): -Int64(errno.rawValue)
        }
    }

    /// What a call returned; nil after a failure.
    package var value: Success? { if case .success(let value) = self { value } else { nil } }
}

extension VFIOState {
    /// The state's number in the uAPI (Linux 7.2).
    package var number: UInt32 {
        switch self {
        case .error: 0
        case .stop: 1
        case .running: 2
        case .stopCopy: 3
        case .resuming: 4
        case .runningP2P: 5
        case .preCopy: 6
        case .preCopyP2P: 7
        case .unknown: .max
        }
    }

    /// The state of a number in the uAPI.
    package init(number: UInt64) { self = number < 8 ? Self.numbered[Int(number)] : .unknown }

    private static let numbered: [VFIOState] = [.error, .stop, .running, .stopCopy, .resuming, .runningP2P, .preCopy, .preCopyP2P]
}
