/// What the source knows of one device's precopy: cached sizes, whether the marker of the current initial data was sent, and a request that no
/// query has collected yet.

package struct PrecopyTracker: Hashable, Sendable {
    package private(set) var initial: UInt64 = 0
    package private(set) var dirty: UInt64 = 0
    package private(set) var stopCopy: UInt64 = 0
    package private(set) var isMarkerSent = false
    package private(set) var requestsAck = false

    package init() {}

    package mutating func answered(stopCopy size: UInt64) { stopCopy = size }

    /// A precopy query was answered. True if the REINIT in it makes a new request: the marker of the data before was sent.
    package mutating func answered(initial: UInt64, dirty: UInt64, reinit: Bool) -> Bool {
        self.initial = initial
        self.dirty = dirty
        guard reinit, isMarkerSent else { return false }
        isMarkerSent = false
        requestsAck = true
        return true
    }

    /// A precopy query failed: nothing is known to be left.
    package mutating func precopyQueryFailed() { (initial, dirty) = (0, 0) }

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
            (initial, dirty) = (0, 0)
            return
        }
        stopCopy -= min(bytes, stopCopy)
        let first = min(bytes, initial)
        initial -= first
        dirty -= min(bytes - first, dirty)
    }

    /// Whether the PART at hand ends with the marker.
    package func isMarkerDue(capability: Bool) -> Bool { capability && initial == 0 && !isMarkerSent }

    package mutating func markerSent() { isMarkerSent = true }

    /// A query collects the request, which is made once.
    package mutating func collect() -> Bool {
        defer { requestsAck = false }
        return requestsAck
    }
}
