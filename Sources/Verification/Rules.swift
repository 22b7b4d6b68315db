/// The rules that a correct handshake keeps, declared once, as data. The files of each topic check them.

/// A rule over the events of a migration.
package struct Rule: Hashable, Sendable {
    /// Short, in kebab-case; unique and stable.
    package let id: String
    /// What holds, in one sentence.
    package let statement: String
    /// The QEMU generations that the rule applies to, confirmed on 10.0.13 and 11.1.3.
    package let generations: String
    /// The section of the protocol's description that states the rule.
    package let section: String

    fileprivate init(_ id: String, _ generations: String, _ section: String, _ statement: String) {
        self.id = id
        self.statement = statement
        self.generations = generations
        self.section = section
    }

    /// The rule of this id.
    package static subscript(id id: String) -> Rule? { all.first { $0.id == id } }
}

extension Rule {
    /// Every rule, by topic.
    package static let all: [Rule] = [
        collectedRequests, pendingNumber, ackNumber, surplusAck, decisionAwaitsAcks, oneDecision, iteratesUntilDecision, finalQuery,
        finalRequestFails,
        setupRequest, requestCause, requestAfterMarker, reinitRequests, requestCollected, initialBytes, markerDrained, markerPerRequest,
        markerDue, legacyRequests, unnoticedReinit, uncheckedDevice, resetWhileWaiting, sessionLasts, capabilityOff,
        approvalMarker, markerApproved, approvalAfterData, approvalAfterInitial, dataWritten, ackPerApproval, ackHasApproval, legacyCount,
        legacyOneAck,
        legacyNoUsers, countsAcross, allAnswered, bytesAcross, allLoaded, approvedBeforeDecision, sameMode, packageRuns,
        qemuDeviceState, callbackOrder, deviceState, deviceSession, deviceKept, loadedStateKept, devicesRunOn, statusArc, resumesOnFailure,
        oneGuest, aGuest, ends, converges,
        truncated,
    ]

    /// Sums: a rule that breaks on one line breaks these, too.
    static let ofSums: [Rule] = [countsAcross, allAnswered, bytesAcross]

    // MARK: The source's ledger

    static let collectedRequests = Rule(
        "collected-requests", "11.1", "trace-events 6.1", "A query collects exactly the requests that its devices report in it.")
    static let pendingNumber = Rule(
        "pending-number", "11.1", "trace-events 6.2",
        "A query's pending number is the requests collected (legacy mode: one) minus the ACKs counted, or one less if an ACK's line lags."
    )
    static let ackNumber = Rule(
        "ack-number", "11.1", "trace-events 6.3",
        "A counted ACK prints a counter that is one lower than the requests and ACKs before it add up to.")
    static let surplusAck = Rule(
        "surplus-ack", "8.1 and later", "switchover-ack 3.3",
        "The destination sends no ACK that the source does not wait for; in legacy mode it sends at most one.")
    static let decisionAwaitsAcks = Rule(
        "decision-awaits-acks", "8.1 and later", "switchover-ack 3.3",
        "With the capability on and the guest running, the source decides to switch over only when no ACK is pending.")
    static let oneDecision = Rule(
        "one-decision", "8.1 and later", "states-and-iteration 6",
        "The source decides to switch over once, before its status becomes device.")
    static let iteratesUntilDecision = Rule(
        "no-iteration-after-decision", "8.1 and later", "states-and-iteration 6",
        "The source does not iterate between the decision and the completion.")
    static let finalQuery = Rule(
        "final-query", "11.1", "trace-events 6.5",
        "A source that reaches the status device makes exactly one final query, before it completes its devices.")
    static let finalRequestFails = Rule(
        "final-request-fails", "11.1", "switchover-ack 3.5.1",
        "Requests that the final query collects fail the migration before SWITCHOVER_START; the error counts them and has no other cause."
    )

    // MARK: Requests and markers

    static let setupRequest = Rule(
        "setup-request", "11.1", "switchover-ack 3.5",
        "In per-device mode every device that set-up moved to PRE_COPY requests an ACK in the first query.")
    static let requestCause = Rule(
        "request-cause", "11.1", "switchover-ack 3.5",
        "A device requests an ACK at set-up in PRE_COPY, after a REINIT, or when its last check fails, and at no other time.")
    static let requestAfterMarker = Rule(
        "request-after-marker", "11.1", "trace-events 6.6",
        "A REINIT leads to a request only after the marker for the device's last request was written.")
    static let reinitRequests = Rule(
        "reinit-requests", "11.1", "switchover-ack 3.5",
        "If a query reports a REINIT after a marker, the device requests a new ACK at once.")
    static let requestCollected = Rule(
        "request-collected", "11.1", "switchover-ack 3.5",
        "The query in progress or the next one collects a device's request, before any decision.")
    static let initialBytes = Rule(
        "initial-bytes", "8.1 and later", "vfio-migration 4.4",
        "A device's initial bytes are those that the last query reported minus the blocks written since; an empty read sets them to 0.")
    static let markerDrained = Rule(
        "marker-drained", "8.1 and later", "vfio-migration 4.3",
        "The source writes a device's marker only when the device's initial bytes are drained.")
    static let markerPerRequest = Rule(
        "marker-per-request", "8.1 and later", "trace-events 6.7",
        "The source writes one marker for each request of a device; in legacy mode it writes one for each device.")
    static let markerDue = Rule(
        "marker-due", "11.1", "vfio-migration 4.3", "The section that drains a device's initial bytes ends with the marker that is due.")
    static let legacyRequests = Rule(
        "legacy-requests", "11.1", "switchover-ack 3.4", "In legacy mode the source's devices request nothing.")
    static let unnoticedReinit = Rule(
        "unnoticed-reinit", "11.1", "switchover-ack 3.5.1",
        "A migration with per-device ACKs completes only after a query has reported every REINIT that its devices raised.")
    static let uncheckedDevice = Rule(
        "unchecked-device", unnoticedReinit.generations, unnoticedReinit.section,
        "A migration with per-device ACKs completes only after every device, even without P2P, was checked for a REINIT after the decision."
    )
    static let resetWhileWaiting = Rule(
        "reset-while-waiting", "11.1", "switchover-ack 3.8",
        "No device is reset between its set-up and the last check, which then fails and counts as a request that no REINIT caused.")
    static let sessionLasts = Rule(
        "session-lasts", "8.1 and later", "switchover-ack 3.8",
        "A guest that is started while its migration iterates leaves its devices in PRE_COPY: QEMU begins no second saving session.")
    static let capabilityOff = Rule(
        "capability-off", "8.1 and later", "trace-events 6.9", "With the capability off there are no requests, markers, approvals or ACKs."
    )

    // MARK: The destination

    static let approvalMarker = Rule(
        "approval-has-marker", "8.1 and later", "trace-events 6.10",
        "The destination approves a device exactly once for each of its markers, after it has read the marker.")
    static let markerApproved = Rule(
        "marker-approved", "8.1 and later", "trace-events 6.10", "The destination approves each marker before it reads on.")
    static let approvalAfterData = Rule(
        "approval-after-data", "8.1 and later", "vfio-migration 4.3",
        "The destination writes all data that precedes a device's marker to the device before it approves the device.")
    static let approvalAfterInitial = Rule(
        "approval-after-initial", "8.1 and later", "vfio-migration 4.3",
        "The destination approves a device only after it has written all initial bytes of that round to the device.")
    static let dataWritten = Rule(
        "data-written", "8.1 and later", "vfio-migration 4.3", "A load with data that could not be written fails.")
    static let ackPerApproval = Rule(
        "ack-per-approval", "8.1 and later", "trace-events 6.10",
        "In per-device mode an ACK follows each approval; in legacy mode one ACK follows the approval that leaves none pending.")
    static let ackHasApproval = Rule(
        "ack-has-approval", "8.1 and later", "trace-events 6.10",
        "The destination sends an ACK right after the approval that causes it; in legacy mode without users, right after OPEN_RETURN_PATH."
    )
    static let legacyCount = Rule(
        "legacy-count", "8.1 and later", "switchover-ack 3.4",
        "A legacy destination's counter goes up by one for each device and down by one for each approval.")
    static let legacyOneAck = Rule(
        "legacy-one-ack", "8.1 and later", "trace-events 6.11", "A legacy destination sends at most one ACK.")
    static let legacyNoUsers = Rule(
        "legacy-no-users", "8.1 and later", "switchover-ack 3.4",
        "A legacy destination without users sends its ACK as soon as the return path is open.")

    static let packageRuns = Rule(
        "package-runs", "8.1 and later", "states-and-iteration 3",
        "A destination that has loaded a postcopy package runs the guest when the source tells it to.")

    // MARK: Across the sides

    static let countsAcross = Rule(
        "counts-across", "8.1 and later", "trace-events 6",
        "Every ACK counted was sent, every approval had a marker, and every marker had a request.")
    static let allAnswered = Rule(
        "all-answered", "8.1 and later", "trace-events 6",
        "A migration that completed with a running guest has every marker approved and every ACK counted; in legacy mode exactly one ACK.")
    static let bytesAcross = Rule(
        "bytes-across", "11.1", "vfio-migration 4.3",
        "Before the destination approves a marker, it has written as many bytes as the source wrote before that marker.")
    static let allLoaded = Rule(
        "all-loaded", "8.1 and later", "vfio-migration 4.5",
        "A destination that completes has written all data that the source's devices produced.")
    static let approvedBeforeDecision = Rule(
        "approved-before-decision", "8.1 and later", "switchover-ack 3.7",
        "When the source decides, it has the ACK of every device that the destination must load.")
    static let sameMode = Rule(
        "same-mode", "8.1 and later", "switchover-ack 3.7",
        "Both sides run the same mode, or the destination sends as many ACKs as the source waits for in spite of different modes.")

    // MARK: Devices

    static let qemuDeviceState = Rule(
        "qemu-device-state", "8.1 and later", "vfio-migration 4.2",
        "QEMU requests only device states of its side's role, and reports the state that it requested.")
    static let callbackOrder = Rule(
        "callback-order", "8.1 and later", "vfio-migration 4.2",
        "When the guest stops or starts, all devices are prepared before the first one changes.")
    static let deviceState = Rule(
        "device-state", "Linux uAPI", "vfio-migration 4.1", "A device changes only from its current state to an adjacent one.")
    static let deviceSession = Rule(
        "device-session", "Linux uAPI", "vfio-migration 4.1",
        "Data is read, written and queried only in a session and in states that allow it.")

    static let deviceKept = Rule(
        "device-kept", "8.1 and later", "vfio-migration 4.2",
        "A source whose guest goes on running after a failure has not reset a device of that guest.")
    static let loadedStateKept = Rule(
        "loaded-state-kept", "8.1 and later", "vfio-migration 4.5",
        "A destination that completes runs its devices with the state that was loaded: no device is reset after its load.")
    static let devicesRunOn = Rule(
        "devices-run-on", "8.1 and later", "vfio-migration 4.6",
        "If the source's guest goes on running after a failure, all its devices are back in RUNNING.")

    // MARK: Status, guests, ends

    static let statusArc = Rule(
        "status-arc", "8.1 and later", "states-and-iteration 2 and 3", "The migration status changes only along the arcs of its side.")
    static let resumesOnFailure = Rule(
        "resumes-on-failure", "8.1 and later", "states-and-iteration 2.4",
        "A source that fails resumes its guest if the guest ran before, but never after it has told the destination to run it.")
    static let oneGuest = Rule(
        "one-guest", "8.1 and later", "switchover-ack 3.7", "At the end at most one side runs the guest or may still run it.")
    static let aGuest = Rule(
        "a-guest", "8.1 and later", "states-and-iteration 2.4", "At the end the guest runs on one side, or the manager has paused it.")
    static let ends = Rule("ends", "8.1 and later", "switchover-ack 3.7", "A source that waits for an ACK receives it.")
    static let converges = Rule(
        "converges", "8.1 and later", "states-and-iteration 5",
        "When no ACK is missing, the pending bytes fall within the threshold at some point.")
    static let truncated = Rule(
        "truncated", "8.1 and later", "trace-events 1", "A log continues until its side has reached a final status.")
}
