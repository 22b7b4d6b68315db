/// A check: one statement of the kernel's VFIO migration interface, and the calls that show whether a driver keeps it.
///
/// Statements are those of `linux/vfio.h` (Linux 7.2) and of the VFIO core that enforces them. A check uses a device through the same calls
/// as QEMU does, and knows nothing of the driver behind them.
import SystemPackage

package struct Check: Sendable {
    /// The name that stays the same between versions: lower-case words with hyphens.
    package let name: String
    /// What must be true, as a sentence without its full stop.
    package let statement: String
    /// The part of `linux/vfio.h` that says so.
    package let reference: String
    /// What the device must be able to do.
    let needs: Set<Ability>
    /// True if the check can cost the device what it holds: refused data and resets.
    package let isDestructive: Bool
    let body: @Sendable (Bench) throws(Departure) -> Void

    init(
        _ name: String, _ statement: String, _ reference: String, needs: Set<Ability> = [], isDestructive: Bool = false,
        body: @escaping @Sendable (Bench) throws(Departure) -> Void
    ) {
        (self.name, self.statement, self.reference) = (name, statement, reference)
        (self.needs, self.isDestructive, self.body) = (needs, isDestructive, body)
    }
}

/// What some checks need of a device.
enum Ability: String, Hashable, Sendable, CaseIterable {
    case p2p = "VFIO_MIGRATION_P2P"
    case precopy = "VFIO_MIGRATION_PRE_COPY"
    case infoV2 = "VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2"
    case dmaLogging = "VFIO_DEVICE_FEATURE_DMA_LOGGING_START"
}

/// Why a check has not passed.
enum Departure: Error {
    /// The device deviates from the statement.
    case deviates(expected: String, found: String)
    /// The check cannot be made, for this reason.
    case skipped(String)
}

/// What a check has shown.
package struct CheckResult: Sendable {
    package enum Outcome: Hashable, Sendable {
        case passed
        case deviates(expected: String, found: String)
        case skipped(String)
    }
    package let check: Check
    package let outcome: Outcome
}

extension Result where Failure == Errno {
    /// The result in words, for messages.
    var words: String {
        switch self {
        case .success(let value): value is Void ? "success" : "\(value)"
        case .failure(let errno): errno.name
        }
    }
}

extension Errno {
    /// The name that C has for the errors of this interface, or the text of the system.
    package var name: String { Self.names[rawValue] ?? "\(self)" }

    private static let names: [CInt: String] = [
        Errno.permissionDenied.rawValue: "EACCES", Errno.badFileDescriptor.rawValue: "EBADF", Errno.resourceBusy.rawValue: "EBUSY",
        Errno.badAddress.rawValue: "EFAULT", Errno.invalidArgument.rawValue: "EINVAL", Errno.ioError.rawValue: "EIO",
        Errno.noMemory.rawValue: "ENOMEM", Errno.noMessage.rawValue: "ENOMSG", Errno.operationNotSupportedByDevice.rawValue: "ENODEV",
        Errno.inappropriateIOCTLForDevice.rawValue: "ENOTTY", Errno.notSupported.rawValue: "EOPNOTSUPP",
        Errno.illegalSeek.rawValue: "ESPIPE", Errno.noSpace.rawValue: "ENOSPC", Errno.noSuchAddressOrDevice.rawValue: "ENXIO",
    ]
}
