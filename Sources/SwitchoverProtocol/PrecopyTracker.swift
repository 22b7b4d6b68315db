/// The source's knowledge of one device's precopy: cached sizes, whether the marker of the current initial data was sent, and a request
/// that no query has collected yet.

package struct PrecopyTracker: Hashable, Sendable {
    /// The bytes of the last answer, less those that were read since.
    package private(set) var initial: UInt64 = 0
    package private(set) var dirty: UInt64 = 0
    package private(set) var stopCopy: UInt64 = 0
    package private(set) var isMarkerSent = false
    package private(set) var requestsAck = false
    /// True if `initial` is 0 without an answer, so that no marker may be sent. Releases never set it, which is their quirk.
    package private(set) var isInitialUnknown = false
    private let generation: Generation

    /// The stop-copy size that releases assume after a failed query: 100 GiB (10.0.13, 11.1.3).
    package static let unknownStopCopy: UInt64 = 100 << 30

    /// The tracker of 11.1.
    package init() { self.init(.v11_1) }

    package init(_ generation: Generation) { self.generation = generation }

    /// Notes the answer of a stop-copy query.
    package mutating func answered(stopCopy size: UInt64) { stopCopy = size }

    /// Notes that a stop-copy query has failed.
    package mutating func stopCopyQueryFailed() { stopCopy = Self.unknownStopCopy }

    /// Notes the answer of a precopy query. Returns true if its REINIT makes a new request: the marker of the earlier data was sent.
    package mutating func answered(initial: UInt64, dirty: UInt64, reinit: Bool) -> Bool {
        self.initial = initial
        self.dirty = dirty
        isInitialUnknown = false
        guard reinit, isMarkerSent || generation.isWrong(.reinitBeforeMarker), !generation.isWrong(.reinitIgnored) else { return false }
        isMarkerSent = generation.isWrong(.reinitKeepsMarker)
        requestsAck = true
        return true
    }

    /// Notes that a precopy query has failed: no byte is known to be left.
    package mutating func precopyQueryFailed() {
        (initial, dirty) = (0, 0)
        if !generation.has(.marksAfterFailedQuery) { isInitialUnknown = true }
    }

    /// Notes that the last check has failed: it counts as a request, so that the migration fails (11.1.3).
    package mutating func lastCheckFailed() {
        precopyQueryFailed()
        guard !generation.isWrong(.failedCheckIgnored) else { return }
        isMarkerSent = false
        requestsAck = true
    }

    /// Requests the ACK of the first initial bytes, when the device is in PRE_COPY.
    package mutating func requestAck() { requestsAck = !generation.isWrong(.firstRequestMissing) }

    /// Notes a read of this many bytes; 0 says that there is nothing now.
    package mutating func read(_ bytes: UInt64) {
        guard bytes > 0 else {
            if initial > 0, !generation.has(.marksAfterENOMSG) { isInitialUnknown = true }
            (initial, dirty) = (0, 0)
            return
        }
        stopCopy -= min(bytes, stopCopy)
        let first = min(bytes, initial)
        if !generation.isWrong(.initialUncounted) { initial -= first }
        if !generation.isWrong(.dirtyUncounted) { dirty -= min(bytes - first, dirty) }
    }

    /// Notes that the whole state was sent, guest stopped. Releases go on counting its estimate, so that a postcopy of other modules never
    /// ends (11.1.3).
    package mutating func stateSent() {
        guard !generation.has(.countsSentStopCopy) else { return }
        (initial, dirty, stopCopy) = (0, 0, 0)
    }

    /// True if the present PART ends with the marker.
    package func isMarkerDue(capability: Bool) -> Bool {
        if generation.isWrong(.markerMissing) { return false }
        let isOn = capability || generation.isWrong(.markerWithoutCapability)
        let isRead = initial == 0 && !isInitialUnknown || generation.isWrong(.markerBeforeData)
        return isOn && isRead && (!isMarkerSent || generation.isWrong(.markerRepeated))
    }

    package mutating func markerSent() { isMarkerSent = true }

    /// Collects the request for a query. Returns true once for each request.
    package mutating func collect() -> Bool {
        defer { requestsAck = requestsAck && generation.isWrong(.requestRepeated) }
        return requestsAck
    }
}
