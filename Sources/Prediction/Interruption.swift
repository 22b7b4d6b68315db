/// Interruptions of the source's guest or of a device during a migration: a stop, a stop and a continuation, a reset.
///
/// A device that leaves PRE_COPY loses its saving session, and QEMU does not begin another one (10.0.13 and 11.1.3): markers that were not
/// sent are never sent, and state that was not saved cannot be saved.

package enum Interruption: String, Hashable, Sendable {
    /// QMP `stop` before any device has sent its marker.
    case stopBeforeMarker
    /// QMP `stop` and `cont` before any device has sent its marker; or `cont` there starts a guest that never ran.
    case stopAndContBeforeMarker
    /// QMP `stop` and `cont` while only the ACK is missing.
    case stopAndContWaiting
    /// QMP `stop` and `cont` between the last ACK and the decision.
    case stopAndContAfterACKs
    /// QMP `system_reset` before any device has sent its marker.
    case resetBeforeMarker
    /// QMP `system_reset` after the last ACK, while the source still iterates.
    case resetAfterACKs
    /// The guest resets the first device alone while only the ACK is missing.
    case deviceResetWaiting
    /// The guest resets the first device alone in PRE_COPY_P2P, between the last check and STOP_COPY.
    case deviceResetStopping
}

/// What a migration shows that is interrupted; `outcome` is what it would show otherwise.
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
        // A source whose guest does not run waits for no ACK.
        noMarkers()
    case .stopAndContBeforeMarker:
        shown.ending = .waitsForever
        noMarkers()
    case .stopAndContWaiting, .stopAndContAfterACKs:
        // QEMU saves the devices from STOP, in another session than the one that it began.
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
        // The destination still reads and answers what was sent when the gate opens, as far as the connection is still there.
        (shown.approvals, shown.acksSent, shown.acksCounted) = (nil, nil, nil)
    case .deviceResetStopping:
        shown.ending = .failed
        shown.words = "data_fd out of sync"
        shown.isGating = outcome.isGating
    }
    return shown
}
