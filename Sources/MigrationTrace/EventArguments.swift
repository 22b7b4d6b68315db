/// Events whose arguments are a structure, because they are many and mostly numbers.

/// The arguments of `qemu_savevm_query_pending`. Sizes are bytes.
package struct PendingQuery: Hashable, Sendable {
    package var exact = false
    package var final = false
    package var precopy: UInt64 = 0
    package var stopCopy: UInt64 = 0
    package var postcopy: UInt64 = 0
    package var total: UInt64 = 0
    /// The number of ACKs that the modules request in this query.
    package var collectedAcks: UInt32 = 0
    /// The source's counter when the line is printed. It may already be smaller by one ACK whose line is printed later.
    package var pendingAcks: UInt32 = 0

    package init() {}
}

/// The arguments of `vfio_state_pending`. Sizes are bytes.
package struct DevicePending: Hashable, Sendable {
    package var device = ""
    package var stopCopy: UInt64 = 0
    package var initial: UInt64 = 0
    package var dirty: UInt64 = 0
    /// True if this query collects a request of the device.
    package var requestsAck = false
    package var exact = false
    package var final = false

    package init() {}
}

/// The arguments of `migrate_transferred`, which ends a window of at least 100 ms.
package struct TransferWindow: Hashable, Sendable {
    package var transferred: UInt64 = 0
    /// In milliseconds.
    package var timeSpent: UInt64 = 0
    /// Bytes per millisecond up to 11.0; Mbit/s in 11.1.
    package var bandwidth: UInt64 = 0
    /// Bytes per millisecond. 11.1 prints the value that is used; releases up to 11.0 print the user's parameter, 0 if it is not set.
    package var switchoverBandwidth: UInt64 = 0
    /// The threshold in bytes that holds from now on.
    package var maxSize: Int64 = 0

    package init() {}
}

/// The arguments of `device_precopy_info`. Sizes are bytes.
package struct DevicePrecopyInfo: Hashable, Sendable {
    package var device = ""
    package var initial: UInt64 = 0
    package var dirty: UInt64 = 0
    package var reinit = false
    package var result: Int64 = 0

    package init() {}
}

/// The arguments of `recorded_precopy_info`. Sizes are bytes.
package struct RecordedPrecopyInfo: Hashable, Sendable {
    package var device = ""
    package var initial: UInt64 = 0
    package var dirty: UInt64 = 0
    /// The flags of the answer: 1 is VFIO_PRECOPY_INFO_REINIT, which means something only after the opt-in to INFOv2.
    package var flags: UInt64 = 0
    /// 0, or a negative errno.
    package var result: Int64 = 0
    /// Nanoseconds from call to return.
    package var took: UInt64 = 0

    package init() {}
}

/// The arguments of `recorded_read` and `recorded_write`.
package struct RecordedTransfer: Hashable, Sendable {
    package var device = ""
    /// The bytes that the call asked for.
    package var size: UInt64 = 0
    /// The bytes that were moved, or a negative errno.
    package var result: Int64 = 0
    /// XXH3 (64 bits) of the bytes that were moved; 0 if none were.
    package var hash: UInt64 = 0
    /// Nanoseconds from call to return.
    package var took: UInt64 = 0

    package init() {}
}

extension Event {
    /// True if the harness caused this by a device script; false if the harness observed it.
    package var isInjected: Bool {
        switch self {
        case .deviceInjected, .deviceHoldBegin, .deviceHoldEnd: true
        default: false
        }
    }
}
