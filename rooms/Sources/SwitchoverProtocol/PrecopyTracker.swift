/// What the source knows of one device's precopy: cached sizes, whether the marker of the current initial data was sent, and a request that no
/// query has collected yet.

package struct PrecopyTracker: Hashable, Sendable {
    /// Bytes, as last answered, less what was read since.
    package private(set) var initial: UInt64 = 0
    package private(set) var dirty: UInt64 = 0
    package private(set) var stopCopy: UInt64 = 0
    package private(set) var isMarkerSent = false
    package private(set) var requestsAck = false
    /// `initial` is 0 for want of an answer: no marker may say that all was sent. Never set in releases, whose quirk it is not to know.
    package private(set) var isInitialUnknown = false
    private let marksAfterFailedQuery: Bool
    private let marksAfterENOMSG: Bool
    private let countsSentStopCopy: Bool

    /// What releases take for a stop-copy size that cannot be had: 100 GiB (10.0.13, 11.1.3).
    package static let unknownStopCopy: UInt64 = 100 << 30

    /// As 11.1 is.
    package init() { self.init(.v11_1) }

    package init(_ generation: Generation) {
        marksAfterFailedQuery = generation.has(.marksAfterFailedQuery)
        marksAfterENOMSG = generation.has(.marksAfterENOMSG)
        countsSentStopCopy = generation.has(.countsSentStopCopy)
    }

    package mutating func answered(stopCopy size: UInt64) { stopCopy = size }

    /// The stop-copy size cannot be had.
    package mutating func stopCopyQueryFailed() { stopCopy = Self.unknownStopCopy }

    /// A precopy query was answered. True if the REINIT in it makes a new request: the marker of the data before was sent.
    package mutating func answered(initial: UInt64, dirty: UInt64, reinit: Bool) -> Bool {
        self.initial = initial
        self.dirty = dirty
        isInitialUnknown = false
        guard reinit, isMarkerSent else { return false }
        isMarkerSent = false
        requestsAck = true
        return true
    }

    /// A precopy query failed: nothing is known to be left.
    package mutating func precopyQueryFailed() {
        (initial, dirty) = (0, 0)
        if !marksAfterFailedQuery { isInitialUnknown = true }
    }

    /// The last check failed: counts as a request, so that the migration fails (11.1.3).
    package mutating func lastCheckFailed() {
        precopyQueryFailed()
        isMarkerSent = false
        requestsAck = true
    }

    /// The device is in PRE_COPY, and its first initial bytes are to be acknowledged.
    package mutating func requestAck() { requestsAck = true }

    /// So many bytes were read; 0: there is nothing now.
    package mutating func read(_ bytes: UInt64) {
        guard bytes > 0 else {
            if initial > 0, !marksAfterENOMSG { isInitialUnknown = true }
            (initial, dirty) = (0, 0)
            return
        }
        stopCopy -= min(bytes, stopCopy)
        let first = min(bytes, initial)
        initial -= first
        dirty -= min(bytes - first, dirty)
    }

    /// All that is left was sent, guest stopped. Releases go on counting its estimate, so that a postcopy of others never ends (11.1.3).
    package mutating func stateSent() {
        guard !countsSentStopCopy else { return }
        (initial, dirty, stopCopy) = (0, 0, 0)
    }

    /// Whether the PART at hand ends with the marker.
    package func isMarkerDue(capability: Bool) -> Bool { capability && initial == 0 && !isInitialUnknown && !isMarkerSent }

    package mutating func markerSent() { isMarkerSent = true }

    /// A query collects the request, which is made once.
    package mutating func collect() -> Bool {
        defer { requestsAck = false }
        return requestsAck
    }
}
