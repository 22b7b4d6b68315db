/// Migrations over something else than a socket, or to something else than another host: files, pipes, snapshots, COLO and CPR.

/// What the stream goes to.
package enum Sink: String, Hashable, Sendable {
    /// A file, which is loaded when it is complete.
    case file
    /// A pipe between two commands: nothing comes back.
    case pipe
    /// A snapshot inside a disk, with the guest stopped.
    case snapshot
}

/// What the migration is for, where it is not to move the guest.
package enum Purpose: String, Hashable, Sendable {
    case backgroundSnapshot = "background-snapshot"
    case colo
    case cprReboot = "cpr-reboot"
    case cprTransfer = "cpr-transfer"
    case cprExec = "cpr-exec"
}

/// What it comes to without a socket.
func sent(to sink: Sink, _ outcome: Outcome, _ scenario: Scenario) -> Outcome {
    var sent = Outcome(.completed)
    let source = scenario.source
    let nobody = scenario.users.map { _ in 0 }
    // A guest that is stopped first asks for nothing.
    sent.requests = sink == .snapshot ? nobody : scenario.firstRequests
    (sent.approvals, sent.acksSent, sent.acksCounted) = (nobody, sink == .pipe ? nil : 0, 0)
    if sink == .pipe { sent.approvals = nil }
    guard sink != .snapshot else { return sent }
    guard scenario.hasReturnPath else {
        if source.capability {
            sent = Outcome(.refused)
            sent.words = "Capability 'switchover-ack' requires capability 'return-path'"
        }
        return sent
    }
    let awaits = source.capability && (source.mode == .legacy || scenario.firstRequests.contains { $0 > 0 })
    if awaits || sink == .pipe {
        sent.ending = .waitsForever
    } else {
        // All is written before the source asks how its return path ended.
        sent.ending = .failed
        sent.words = "Unable to read from file: Bad file descriptor"
    }
    return sent
}

/// What it comes to, from the migration that would have moved the guest.
func serving(_ purpose: Purpose, _ outcome: Outcome, _ scenario: Scenario) -> Outcome {
    let isNew = scenario.source.knowsPerDevice
    func refused(_ words: String) -> Outcome {
        var refused = Outcome(.refused)
        refused.words = words
        return refused
    }
    switch purpose {
    case .backgroundSnapshot: return refused("Background-snapshot is not compatible with return-path")
    case .cprTransfer: return refused(isNew ? "is not compatible with CPR" : "missing 'cpr' migration channel")
    case .cprExec: return refused(isNew ? "cpr-exec mode requires setting cpr-exec-command" : "does not accept value 'cpr-exec'")
    case .cprReboot:
        var reboot = outcome
        reboot.isGating = false
        guard !scenario.devices.isEmpty else { return reboot }
        // Refused while the migration is set up, by when nothing was asked.
        reboot = Outcome(.failed)
        reboot.words = "VFIO device only supports cpr-reboot for runstate suspended"
        let nobody = scenario.users.map { _ in 0 }
        (reboot.requests, reboot.approvals, reboot.acksSent, reboot.acksCounted) = (nobody, nobody, 0, 0)
        return reboot
    case .colo:
        var colo = outcome
        colo.isGating = false
        // Up to 11.0 the return path's thread takes COLO's own messages for its, and fails; both run the guest (10.0.13).
        colo.ending = isNew ? .replicates : .twoGuests
        return colo
    }
}
