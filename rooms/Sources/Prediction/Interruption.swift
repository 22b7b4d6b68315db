/// What befalls the source's guest, or a device, in the midst of a migration: a stop, a stop that is taken back, a reset.
///
/// A device that leaves PRE_COPY has lost its saving session, and QEMU does not begin another (10.0.13 and 11.1.3): what is still to be
/// marked never is, and what is still to be saved cannot be.

package enum Interruption: String, Hashable, Sendable {
    /// QMP `stop` before any device has sent its marker.
    case stopBeforeMarker
    /// The same, and `cont` after it; or a guest that had not run yet is started there.
    case stopAndContBeforeMarker
    /// `stop` and `cont` while only the ACK is missing.
    case stopAndContWaiting
    /// `stop` and `cont` between the last ACK and the decision.
    case stopAndContAfterACKs
    /// QMP `system_reset` before any device has sent its marker.
    case resetBeforeMarker
    /// `system_reset` after the last ACK, while the source still iterates.
    case resetAfterACKs
    /// The first device alone is reset, as its guest can, while only the ACK is missing.
    case deviceResetWaiting
    /// The first device alone is reset in PRE_COPY_P2P, between the last check and STOP_COPY.
    case deviceResetStopping
}

/// What a migration shows that is interrupted, from what it would have shown.
func interrupted(_ interruption: Interruption, _ outcome: Outcome) -> Outcome {
    var shown = outcome
    shown.words = nil
    shown.isGating = false
    func noMarkers() {
        shown.approvals = shown.approvals?.map { _ in 0 }
        (shown.acksSent, shown.acksCounted) = (0, 0)
    }
    switch interruption {
    case .stopBeforeMarker:
        // A guest that does not run needs no ACK.
        noMarkers()
    case .stopAndContBeforeMarker:
        shown.ending = .waitsForever
        noMarkers()
    case .stopAndContWaiting, .stopAndContAfterACKs:
        // The devices are saved from STOP, in a session that is not the one that was begun.
        shown.ending = .failed
        shown.words = "Bad file descriptor"
        shown.isGating = outcome.isGating
    case .resetBeforeMarker:
        shown.ending = .failed
        shown.words = "No such device"
        noMarkers()
    case .resetAfterACKs:
        shown.ending = .failed
        shown.words = "No such device"
        shown.isGating = outcome.isGating
    case .deviceResetWaiting:
        shown.ending = .failed
        shown.words = "No such device"
        // What had been sent is still read, and answered, when the gate opens, as far as the connection lets it.
        (shown.approvals, shown.acksSent, shown.acksCounted) = (nil, nil, nil)
    case .deviceResetStopping:
        shown.ending = .failed
        shown.words = "data_fd out of sync"
        shown.isGating = outcome.isGating
    }
    return shown
}
