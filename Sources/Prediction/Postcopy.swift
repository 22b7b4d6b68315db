/// Postcopy: the guest runs on at the destination before all of its memory is there, so a channel that breaks then may cost the guest.
///
/// The start of postcopy waits for the ACK as the completion of precopy does. Postcopy itself requests no ACK.

/// How a migration goes on that is switched to postcopy. Pages are missing at the destination unless the case says otherwise.
package enum PostcopyCourse: String, Hashable, Sendable {
    case completes
    /// Only the ACK kept the source from switching over, and no page is missing when it comes.
    case nothingIsMissing
    /// The destination cannot load a device whose state is in the package.
    case loadFails
    /// The destination is killed before it has loaded the package.
    case killedLoading
    /// The destination is killed while it runs the guest.
    case killedRunning
    /// The channel is cut while the destination runs the guest.
    case paused
    case recovered
    /// The channel is cut when all pages are sent and the destination has not confirmed it yet.
    case cutAtTheEnd
    /// The guest has VFIO devices, which refuse postcopy of memory.
    case refusedByDevices
    /// Postcopy of dirty bitmaps alone, which VFIO devices allow.
    case bitmaps
}

package struct Postcopy: Hashable, Sendable {
    package var course: PostcopyCourse

    package init(_ course: PostcopyCourse) { self.course = course }
}

/// What a migration shows that is switched to postcopy; `outcome` is what it would show in precopy.
func switched(to postcopy: Postcopy, _ outcome: Outcome, _ scenario: Scenario) -> Outcome {
    // The final query, which comes before anything is handed over, shows the late request.
    if let late = scenario.requester?.late, late > 0, outcome.ending == .failed { return outcome }
    var switched = outcome
    // The source keeps the error of the thread that ends first.
    switched.words = nil
    switch postcopy.course {
    case .completes, .recovered: break
    case .nothingIsMissing:
        // With nothing pending, 10.0 completes precopy. Since 10.1 the source begins postcopy, which no destination takes (confirmed on
        // 10.0.13, 10.1.0, 10.2.0, 11.0.0 and 11.1.3). A source that does not wait for the package has sent the end of the stream by then,
        // and the listen thread of a destination up to 10.1 completes at it, whatever became of the package (10.1.0, to 10.0 and 10.1).
        guard scenario.source.decidesAtThreshold else { break }
        switched.ending = scenario.source.hasPostcopyDevice || scenario.destination.hasPostcopyDevice ? .failed : .twoGuests
        switched.restsOn = ["saves-in-one-callback", "listen-sets-back-to-discard", "postcopy-device"]
    case .loadFails, .killedLoading:
        switched.ending = scenario.source.hasPostcopyDevice ? .failed : .noGuest
        switched.restsOn = ["postcopy-device"]
    case .killedRunning: switched.ending = .noGuest
    case .paused: switched.ending = .paused
    case .cutAtTheEnd:
        switched.ending = .twoGuests
        switched.restsOn = ["fails-at-postcopy-end"]
    case .refusedByDevices:
        switched = Outcome(.refused)
        switched.words = "VFIO migration is not supported with postcopy migration"
    case .bitmaps:
        // The stop-copy size counts as pending and is not queried again, so that 0, where postcopy ends, is never reached (11.1.3).
        guard scenario.source.knowsPerDevice, !scenario.devices.isEmpty else { break }
        switched.ending = .doesNotConverge
        switched.restsOn = ["counts-sent-stop-copy"]
    }
    // The handshake came before postcopy, and was right.
    switched.isGating = scenario.isGated && scenario.source.capability && (outcome.acksSent ?? 0) > 0 && switched.ending == .completed
    return switched
}
