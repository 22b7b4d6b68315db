/// Migrations that do not go through a socket or do not move the guest to another host: files, pipes, snapshots, COLO and CPR.

/// Where the stream goes.
package enum Sink: String, Hashable, Sendable {
    /// A file, which the destination loads when it is complete.
    case file
    /// A pipe between two commands, through which nothing comes back.
    case pipe
    /// A snapshot inside a disk, taken with the guest stopped.
    case snapshot
}

/// The purpose of a migration that does not move the guest.
package enum Purpose: String, Hashable, Sendable {
    case backgroundSnapshot = "background-snapshot"
    case colo
    case cprReboot = "cpr-reboot"
    case cprTransfer = "cpr-transfer"
    case cprExec = "cpr-exec"
}

/// What a migration shows whose stream goes to `sink`; `outcome` is what it would show through a socket.
func sent(to sink: Sink, _ outcome: Outcome, _ scenario: Scenario) -> Outcome {
    var sent = Outcome(.completed)
    let source = scenario.source
    let nobody = scenario.users.map { _ in 0 }
    // A source whose guest is stopped requests no ACK.
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
        sent.restsOn = [sink == .pipe ? "reads-return-path-of-pipe" : "reads-return-path-of-file"]
    } else {
        // Everything is written before the source looks at how its return path ended.
        sent.ending = .failed
        sent.words = "Unable to read from file: Bad file descriptor"
    }
    return sent
}

/// What a migration with this purpose shows; `outcome` is what it would show if it moved the guest.
func serving(_ purpose: Purpose, _ outcome: Outcome, _ scenario: Scenario) -> Outcome {
    let source = scenario.source
    func refused(_ words: String) -> Outcome {
        var refused = Outcome(.refused)
        refused.words = words
        return refused
    }
    switch purpose {
    case .backgroundSnapshot: return refused("Background-snapshot is not compatible with return-path")
    case .cprTransfer: return refused(source.namesMemoryOfCPR ? "is not compatible with CPR" : "missing 'cpr' migration channel")
    case .cprExec:
        return refused(source.hasCPRExec ? "cpr-exec mode requires setting cpr-exec-command" : "does not accept value 'cpr-exec'")
    case .cprReboot:
        var reboot = outcome
        reboot.isGating = false
        guard !scenario.devices.isEmpty else { return reboot }
        // The device refuses while the migration is set up, before any request.
        reboot = Outcome(.failed)
        reboot.words = "VFIO device only supports cpr-reboot for runstate suspended"
        let nobody = scenario.users.map { _ in 0 }
        (reboot.requests, reboot.approvals, reboot.acksSent, reboot.acksCounted) = (nobody, nobody, 0, 0)
        return reboot
    case .colo:
        var colo = outcome
        colo.isGating = false
        // Up to 10.2 the return path's thread reads COLO's messages as its own and fails; both sides run the guest (10.0.13). A later
        // destination refuses the command with which COLO began until then (11.0.0).
        colo.ending = source.replicates ? .replicates : scenario.destination.replicates ? .failed : .twoGuests
        return colo
    }
}
