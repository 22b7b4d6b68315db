/// The rules a right handshake keeps, declared once, as data. What checks them is in the files of each topic.

/// A rule over the events of a migration.
package struct Rule: Hashable, Sendable {
    /// Short, in kebab-case; unique and stable.
    package let id: String
    /// What holds, in one sentence.
    package let statement: String
    /// The QEMU generations it is about, confirmed on 10.0.13 and 11.1.3.
    package let generations: String
    /// Where the protocol's description says so.
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

    /// What is broken on one line breaks these, too.
    static let ofSums: [Rule] = [countsAcross, allAnswered, bytesAcross]

    // MARK: The source's ledger

    static let collectedRequests = Rule(
        "collected-requests", "11.1", "trace-events 6.1", "A query collects as many requests as its devices report in it.")
    static let pendingNumber = Rule(
        "pending-number", "11.1", "trace-events 6.2",
        "A query's pending number is the requests collected so far (one in legacy mode) less the ACKs counted, or smaller by one whose line comes late."
    )
    static let ackNumber = Rule(
        "ack-number", "11.1", "trace-events 6.3",
        "Each counted ACK prints the counter one lower than the requests and ACKs before it make it.")
    static let surplusAck = Rule(
        "surplus-ack", "8.1 and later", "switchover-ack 3.3",
        "The source is sent no ACK that it did not wait for; in legacy mode one at most.")
    static let decisionAwaitsAcks = Rule(
        "decision-awaits-acks", "8.1 and later", "switchover-ack 3.3",
        "With the capability on and the guest running the source decides to switch over only when no ACK is pending.")
    static let oneDecision = Rule(
        "one-decision", "8.1 and later", "states-and-iteration 6",
        "A migration decides to switch over once, and before its status becomes device.")
    static let iteratesUntilDecision = Rule(
        "no-iteration-after-decision", "8.1 and later", "states-and-iteration 6",
        "Nothing iterates between the decision and the completion.")
    static let finalQuery = Rule(
        "final-query", "11.1", "trace-events 6.5",
        "A migration that reached the state device makes exactly one final query, before it completes its devices.")
    static let finalRequestFails = Rule(
        "final-request-fails", "11.1", "switchover-ack 3.5.1",
        "A request that the final query collects fails the migration with its count in the error, before SWITCHOVER_START; nothing else gives that error."
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
        "A REINIT requests an ACK only when the marker for the device's last request was written.")
    static let reinitRequests = Rule(
        "reinit-requests", "11.1", "switchover-ack 3.5", "A REINIT that a query reports after a marker requests a new ACK at once.")
    static let requestCollected = Rule(
        "request-collected", "11.1", "switchover-ack 3.5",
        "A device's request is collected by the query in progress or the next, before a decision.")
    static let initialBytes = Rule(
        "initial-bytes", "8.1 and later", "vfio-migration 4.4",
        "A device's initial bytes are what the last query said, less the blocks written since; an empty read makes them 0.")
    static let markerDrained = Rule(
        "marker-drained", "8.1 and later", "vfio-migration 4.3", "The marker is written only when the device's initial bytes are drained.")
    static let markerPerRequest = Rule(
        "marker-per-request", "8.1 and later", "trace-events 6.7",
        "A device writes one marker for each request; in legacy mode one marker.")
    static let markerDue = Rule(
        "marker-due", "11.1", "vfio-migration 4.3", "The section that drains a device's initial bytes ends with the marker it still owes.")
    static let legacyRequests = Rule(
        "legacy-requests", "11.1", "switchover-ack 3.4", "In legacy mode the source's devices request nothing.")
    static let unnoticedReinit = Rule(
        "unnoticed-reinit", "11.1", "switchover-ack 3.5.1",
        "A migration with per-device ACKs completes only after every REINIT its devices raised was seen by a query.")
    static let uncheckedDevice = Rule(
        "unchecked-device", unnoticedReinit.generations, unnoticedReinit.section,
        "A migration with per-device ACKs completes only after a device without P2P, too, was checked for a REINIT behind the decision.")
    static let resetWhileWaiting = Rule(
        "reset-while-waiting", "11.1", "switchover-ack 3.8",
        "No device is reset between its set-up and the last check: the check then fails, and counts as a request that no REINIT made.")
    static let sessionLasts = Rule(
        "session-lasts", "8.1 and later", "switchover-ack 3.8",
        "A guest that is started while its migration iterates leaves its devices in PRE_COPY: QEMU begins no second saving session.")
    static let capabilityOff = Rule(
        "capability-off", "8.1 and later", "trace-events 6.9", "With the capability off there are no requests, markers, approvals and ACKs."
    )

    // MARK: The destination

    static let approvalMarker = Rule(
        "approval-has-marker", "8.1 and later", "trace-events 6.10",
        "The destination approves a device once for each of its markers, and after it.")
    static let markerApproved = Rule(
        "marker-approved", "8.1 and later", "trace-events 6.10", "The destination approves each marker before it reads on.")
    static let approvalAfterData = Rule(
        "approval-after-data", "8.1 and later", "vfio-migration 4.3",
        "All data that came before a device's marker is written before the device is approved.")
    static let approvalAfterInitial = Rule(
        "approval-after-initial", "8.1 and later", "vfio-migration 4.3",
        "A device is approved only when all the initial bytes it has in that round are written to it.")
    static let dataWritten = Rule(
        "data-written", "8.1 and later", "vfio-migration 4.3", "A load with data that could not be written fails.")
    static let ackPerApproval = Rule(
        "ack-per-approval", "8.1 and later", "trace-events 6.10",
        "In per-device mode each approval is followed by its ACK, in legacy mode the one that leaves none pending.")
    static let ackHasApproval = Rule(
        "ack-has-approval", "8.1 and later", "trace-events 6.10",
        "The destination sends an ACK right after the approval it is for; without users a legacy one, right after OPEN_RETURN_PATH.")
    static let legacyCount = Rule(
        "legacy-count", "8.1 and later", "switchover-ack 3.4",
        "A legacy destination counts each device up by one, and each approval down by one.")
    static let legacyOneAck = Rule(
        "legacy-one-ack", "8.1 and later", "trace-events 6.11", "A legacy destination sends one ACK at most.")
    static let legacyNoUsers = Rule(
        "legacy-no-users", "8.1 and later", "switchover-ack 3.4",
        "A legacy destination without users sends its ACK as soon as the return path is open.")

    static let packageRuns = Rule(
        "package-runs", "8.1 and later", "states-and-iteration 3",
        "A destination that has loaded a postcopy package runs the guest when it is told to.")

    // MARK: Across the sides

    static let countsAcross = Rule(
        "counts-across", "8.1 and later", "trace-events 6",
        "What was counted was sent, what was approved was marked, and what was marked was requested.")
    static let allAnswered = Rule(
        "all-answered", "8.1 and later", "trace-events 6",
        "A migration that completed with a running guest has every marker approved and every ACK counted; in legacy mode exactly one ACK.")
    static let bytesAcross = Rule(
        "bytes-across", "11.1", "vfio-migration 4.3",
        "The destination has written as many bytes before it approves a marker as the source wrote before the marker.")
    static let allLoaded = Rule(
        "all-loaded", "8.1 and later", "vfio-migration 4.5",
        "A destination that completes has written all that the source's devices gave.")
    static let approvedBeforeDecision = Rule(
        "approved-before-decision", "8.1 and later", "switchover-ack 3.7",
        "When the source decides, it has the ACK of every device that the destination must load.")
    static let sameMode = Rule(
        "same-mode", "8.1 and later", "switchover-ack 3.7",
        "Both sides run the same mode, or the source is sent as many ACKs as it waits for all the same.")

    // MARK: Devices

    static let qemuDeviceState = Rule(
        "qemu-device-state", "8.1 and later", "vfio-migration 4.2",
        "QEMU asks a device for the states of its role only, and reports the state it asked for.")
    static let callbackOrder = Rule(
        "callback-order", "8.1 and later", "vfio-migration 4.2",
        "When the guest stops or starts, all devices are prepared before the first one changes.")
    static let deviceState = Rule(
        "device-state", "Linux uAPI", "vfio-migration 4.1", "A device goes from the state it is in to one that is next to it.")
    static let deviceSession = Rule(
        "device-session", "Linux uAPI", "vfio-migration 4.1",
        "Data is read, written and asked about only in the session and the states that allow it.")

    static let deviceKept = Rule(
        "device-kept", "8.1 and later", "vfio-migration 4.2",
        "A source whose guest runs on after a failure has not reset a device of that guest.")
    static let loadedStateKept = Rule(
        "loaded-state-kept", "8.1 and later", "vfio-migration 4.5",
        "A destination that completes runs its devices with the state they were sent: none is reset after its load.")
    static let devicesRunOn = Rule(
        "devices-run-on", "8.1 and later", "vfio-migration 4.6",
        "Where the source's guest runs on after a failure, all its devices are back in RUNNING.")

    // MARK: Status, guests, ends

    static let statusArc = Rule(
        "status-arc", "8.1 and later", "states-and-iteration 2 and 3", "The migration status takes the arcs of its side only.")
    static let resumesOnFailure = Rule(
        "resumes-on-failure", "8.1 and later", "states-and-iteration 2.4",
        "A source that fails runs its guest on if it ran before, but never once the destination was told to run it.")
    static let oneGuest = Rule("one-guest", "8.1 and later", "switchover-ack 3.7", "At the end at most one side runs the guest, or may.")
    static let aGuest = Rule(
        "a-guest", "8.1 and later", "states-and-iteration 2.4", "At the end the guest runs somewhere, or is paused by choice.")
    static let ends = Rule("ends", "8.1 and later", "switchover-ack 3.7", "A source that waits for an ACK is sent it.")
    static let converges = Rule(
        "converges", "8.1 and later", "states-and-iteration 5", "With no ACK missing, what is pending comes to fit the threshold.")
    static let truncated = Rule(
        "truncated", "8.1 and later", "trace-events 1", "A log goes on until its side has reached a final status.")
}
