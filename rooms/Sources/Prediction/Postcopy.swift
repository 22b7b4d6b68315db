/// Postcopy: the guest runs on at the destination before all of its memory is there, so whoever loses the channel then may lose the guest.
///
/// The start of postcopy waits for the ACK as the completion of precopy does. What follows asks for no ACK any more.

/// How a migration that is switched to postcopy goes on. Pages are missing at the destination, where nothing else is said.
package enum PostcopyCourse: String, Hashable, Sendable {
    case completes
    /// Only the ACK kept the source from switching over, and no page is missing when it comes.
    case nothingIsMissing
    /// The destination cannot load a device in the package.
    case loadFails
    /// The destination is killed before it has loaded the package.
    case killedLoading
    /// The destination is killed when it runs the guest.
    case killedRunning
    /// The channel is cut when the destination runs the guest.
    case paused
    case recovered
    /// The channel is cut when all pages are sent and the destination has not confirmed it yet.
    case cutAtTheEnd
    /// Devices are there, with postcopy of memory.
    case refusedByDevices
    /// Postcopy of dirty bitmaps alone, which devices allow.
    case bitmaps
}

package struct Postcopy: Hashable, Sendable {
    package var course: PostcopyCourse
    /// The source waits to hear that the package is loaded before it gives its guest up (10.2 and later).
    package var awaitsPackage: Bool

    package init(_ course: PostcopyCourse, awaitsPackage: Bool) {
        self.course = course
        self.awaitsPackage = awaitsPackage
    }
}

/// What postcopy makes of the way a migration would have gone.
func switched(to postcopy: Postcopy, _ outcome: Outcome, _ scenario: Scenario) -> Outcome {
    // Asked for in the final query, which comes before anything is handed over.
    if let late = scenario.requester?.late, late > 0, outcome.ending == .failed { return outcome }
    var switched = outcome
    // Whose end comes first decides on the error that the source keeps.
    switched.words = nil
    switch postcopy.course {
    case .completes, .recovered: break
    case .nothingIsMissing:
        // In 10.0 nothing pending is completed as precopy. Since 10.1 postcopy comes first, and no destination takes it (10.0.13, 11.1.3;
        // what lies between by its source).
        guard scenario.source.decidesAtThreshold else { break }
        switched.ending = .failed
    case .loadFails, .killedLoading: switched.ending = postcopy.awaitsPackage ? .failed : .noGuest
    case .killedRunning: switched.ending = .noGuest
    case .paused: switched.ending = .paused
    case .cutAtTheEnd: switched.ending = .twoGuests
    case .refusedByDevices:
        switched = Outcome(.refused)
        switched.words = "VFIO migration is not supported with postcopy migration"
    case .bitmaps:
        // The stop-copy size counts as pending, and nobody asks for it again: the end, which is 0, never comes (11.1.3).
        guard scenario.source.knowsPerDevice, !scenario.devices.isEmpty else { break }
        switched.ending = .doesNotConverge
    }
    // Up to here it went as it should.
    switched.isGating = scenario.isGated && scenario.source.capability && (outcome.acksSent ?? 0) > 0 && switched.ending == .completed
    return switched
}
