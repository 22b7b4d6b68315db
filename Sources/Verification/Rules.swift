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
    /// The events whose lines show that the rule is kept: without one of them, the rule cannot be judged. The events that show a breach are
    /// not listed, since they are there.
    package let evidence: [Evidence]

    fileprivate init(_ id: String, _ generations: String, _ section: String, _ statement: String, on evidence: Evidence...) {
        self.id = id
        self.statement = statement
        self.generations = generations
        self.section = section
        self.evidence = evidence
    }

    /// The rule of this id.
    package static subscript(id id: String) -> Rule? { all.first { $0.id == id } }
}

extension Rule {
    /// Every rule, by topic.
    package static let all: [Rule] = [
        collectedRequests, pendingNumber, ackNumber, surplusAck, decisionAwaitsAcks, decisionFits, exactDecision, decisionDue,
        exactQueryAsks,
        querySums, queryAsAnswered, oneDecision, iteratesUntilDecision, finalQuery,
        finalRequestFails,
        setupRequest, requestCause, requestAfterMarker, reinitRequests, requestCollected, lastCheck, failedCheckRequests, initialBytes,
        dirtyBytes, markerDrained, markerPerRequest,
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
        "collected-requests", "11.1", "trace-events 6.1", "A query collects exactly the requests that its devices report in it.",
        on: "vfio_state_pending")
    static let pendingNumber = Rule(
        "pending-number", "11.1", "trace-events 6.2",
        "A query's pending number is the requests collected (legacy mode: one) minus the ACKs counted, or one less if an ACK's line lags.",
        on: "source_return_path_thread_switchover_acked", "source_return_path_thread_loop_top", "qemu_savevm_query_pending")
    static let ackNumber = Rule(
        "ack-number", "11.1", "trace-events 6.3",
        "A counted ACK prints a counter that is one lower than the requests and ACKs before it add up to.",
        on: "qemu_savevm_query_pending", "source_return_path_thread_loop_top", "vfio_state_pending")
    static let surplusAck = Rule(
        "surplus-ack", "8.1 and later", "switchover-ack 3.3",
        "The destination sends no ACK that the source does not wait for; in legacy mode it sends at most one.",
        on: "qemu_savevm_query_pending|migrate_pending_estimate|migrate_pending_exact")
    static let decisionAwaitsAcks = Rule(
        "decision-awaits-acks", "8.1 and later", "switchover-ack 3.3",
        "With the capability on and the guest running, the source decides to switch over only when no ACK is pending.",
        on: "source_return_path_thread_switchover_acked", "qemu_savevm_query_pending|migrate_pending_estimate|migrate_pending_exact",
        "savevm_state_iterate")
    static let decisionFits = Rule(
        "decision-fits", "8.1 and later", "states-and-iteration 5",
        "The source decides to complete only when no more is pending than what the link carries in the allowed downtime.",
        on: "migrate_transferred")
    static let exactDecision = Rule(
        "exact-decision", "8.1 and later", "states-and-iteration 5",
        "The source decides to complete its precopy on an exact query, never on an estimate of what is pending.",
        on: "qemu_savevm_query_pending|migrate_pending_exact")
    static let decisionDue = Rule(
        "decision-due", "8.1 and later", "states-and-iteration 5",
        "A source that finds no more pending than the threshold, and waits for no ACK, decides in the same step.",
        on: "migration_thread_low_pending|postcopy_start", "migrate_set_state", "migrate_transferred")
    static let exactQueryAsks = Rule(
        "exact-query-asks", "11.1", "vfio-migration 4.4",
        "An exact query asks each device for the size of its stop-copy data, and each device in PRE_COPY for its precopy bytes.",
        on: "vfio_query_stop_copy_size", "vfio_query_precopy_size", "vfio_migration_set_device_state")
    static let queryAsAnswered = Rule(
        "query-as-answered", "11.1", "vfio-migration 4.4",
        "What a source takes from a query of precopy bytes is what the device answered: the bytes, the flag REINIT, or the error.",
        on: "vfio_query_precopy_size")
    static let querySums = Rule(
        "query-sums", "11.1", "trace-events 6.1",
        "A query before the final one finds at least what its devices report: their precopy bytes, and what is left of the stop-copy size.",
        on: "qemu_savevm_query_pending")
    static let oneDecision = Rule(
        "one-decision", "8.1 and later", "states-and-iteration 6",
        "The source decides to switch over once, before its status becomes device.",
        on: "migration_thread_low_pending|postcopy_start", "migrate_set_state")
    static let iteratesUntilDecision = Rule(
        "no-iteration-after-decision", "8.1 and later", "states-and-iteration 6",
        "The source does not iterate between the decision and the completion.",
        on: "migrate_set_state", "postcopy_start|migration_thread_low_pending")
    static let finalQuery = Rule(
        "final-query", "11.1", "trace-events 6.5",
        "A source that reaches the status device makes exactly one final query, before it completes its devices.",
        on: "qemu_savevm_query_pending", "migrate_set_state", "savevm_state_iterate")
    static let finalRequestFails = Rule(
        "final-request-fails", "11.1", "switchover-ack 3.5.1",
        "Requests that the final query collects fail the migration before SWITCHOVER_START; the error counts them and has no other cause.",
        on: "migrate_error", "qemu_savevm_query_pending")

    // MARK: Requests and markers

    static let setupRequest = Rule(
        "setup-request", "11.1", "switchover-ack 3.5",
        "In per-device mode every device that set-up moved to PRE_COPY requests an ACK in the first query.",
        on: "vfio_state_pending")
    static let requestCause = Rule(
        "request-cause", "11.1", "switchover-ack 3.5",
        "A device requests an ACK at set-up in PRE_COPY, after a REINIT, or when its last check fails, and at no other time.",
        on: "vfio_query_precopy_size", "qemu_savevm_query_pending")
    static let requestAfterMarker = Rule(
        "request-after-marker", "11.1", "trace-events 6.6",
        "A REINIT leads to a request only after the marker for the device's last request was written.",
        on: "vfio_send_init_data_flag")
    static let reinitRequests = Rule(
        "reinit-requests", "11.1", "switchover-ack 3.5",
        "If a query reports a REINIT after a marker, the device requests a new ACK at once.",
        on: "vfio_query_precopy_size_request_switchover_ack")
    static let requestCollected = Rule(
        "request-collected", "11.1", "switchover-ack 3.5",
        "The query in progress or the next one collects a device's request, before any decision.",
        on: "vfio_state_pending", "qemu_savevm_query_pending")
    static let lastCheck = Rule(
        "last-check", "11.1", "switchover-ack 3.5.1",
        "In per-device mode the source checks each device with P2P for a REINIT once more when the guest has stopped.",
        on: "vfio_query_precopy_size", "vfio_migration_init")
    static let failedCheckRequests = Rule(
        "failed-check-requests", "11.1", "switchover-ack 3.5.1",
        "A last check that fails counts as a request in the final query.", on: "vfio_state_pending", "vfio_send_init_data_flag")
    static let dirtyBytes = Rule(
        "dirty-bytes", "11.1", "vfio-migration 4.4",
        "A device's dirty bytes are those that the last query reported minus what was written since the initial bytes were drained.",
        on: "vfio_query_precopy_size", "vfio_save_block", "vfio_save_iterate", "vfio_save_block_precopy_empty_hit")
    static let initialBytes = Rule(
        "initial-bytes", "8.1 and later", "vfio-migration 4.4",
        "A device's initial bytes are those that the last query reported minus the blocks written since; an empty read sets them to 0.",
        on: "vfio_query_precopy_size", "vfio_save_block", "vfio_save_iterate")
    static let markerDrained = Rule(
        "marker-drained", "8.1 and later", "vfio-migration 4.3",
        "The source writes a device's marker only when the device's initial bytes are drained.",
        on: "vfio_query_precopy_size|vfio_state_pending_estimate", "vfio_save_block", "vfio_save_iterate")
    static let markerPerRequest = Rule(
        "marker-per-request", "8.1 and later", "trace-events 6.7",
        "The source writes one marker for each request of a device; in legacy mode it writes one for each device.",
        on: "vfio_state_pending", "vfio_save_iterate")
    static let markerDue = Rule(
        "marker-due", "11.1", "vfio-migration 4.3", "The section that drains a device's initial bytes ends with the marker that is due.",
        on: "vfio_send_init_data_flag", "vfio_query_precopy_size", "vfio_save_block")
    static let legacyRequests = Rule(
        "legacy-requests", "11.1", "switchover-ack 3.4", "In legacy mode the source's devices request nothing.",
        on: "qemu_savevm_query_pending")
    static let unnoticedReinit = Rule(
        "unnoticed-reinit", "11.1", "switchover-ack 3.5.1",
        "A migration with per-device ACKs completes only after a query has reported every REINIT that its devices raised.",
        on: "vfio_query_precopy_size")
    static let uncheckedDevice = Rule(
        "unchecked-device", unnoticedReinit.generations, unnoticedReinit.section,
        "A migration with per-device ACKs completes only after every device, even without P2P, was checked for a REINIT after the decision."
    )
    static let resetWhileWaiting = Rule(
        "reset-while-waiting", "11.1", "switchover-ack 3.8",
        "No device is reset between its set-up and the last check, which then fails and counts as a request that no REINIT caused.")
    static let sessionLasts = Rule(
        "session-lasts", "8.1 and later", "switchover-ack 3.8",
        "A guest that is started while its migration iterates leaves its devices in PRE_COPY: QEMU begins no second saving session.",
        on: "migrate_set_state")
    static let capabilityOff = Rule(
        "capability-off", "8.1 and later", "trace-events 6.9", "With the capability off there are no requests, markers, approvals or ACKs."
    )

    // MARK: The destination

    static let approvalMarker = Rule(
        "approval-has-marker", "8.1 and later", "trace-events 6.10",
        "The destination approves a device exactly once for each of its markers, after it has read the marker.",
        on: "vfio_load_state", "qemu_loadvm_state_section_startfull", "qemu_loadvm_state_section_partend")
    static let markerApproved = Rule(
        "marker-approved", "8.1 and later", "trace-events 6.10", "The destination approves each marker before it reads on.",
        on: "loadvm_approve_switchover|loadvm_approve_switchover_legacy")
    static let approvalAfterData = Rule(
        "approval-after-data", "8.1 and later", "vfio-migration 4.3",
        "The destination writes all data that precedes a device's marker to the device before it approves the device.",
        on: "vfio_load_state_device_data|vfio_load_state_device_buffer_load_end")
    static let approvalAfterInitial = Rule(
        "approval-after-initial", "8.1 and later", "vfio-migration 4.3",
        "The destination approves a device only after it has written all initial bytes of that round to the device.")
    static let dataWritten = Rule(
        "data-written", "8.1 and later", "vfio-migration 4.3", "A load with data that could not be written fails.",
        on: "vfio_load_state_device_data")
    static let ackPerApproval = Rule(
        "ack-per-approval", "8.1 and later", "trace-events 6.10",
        "In per-device mode an ACK follows each approval; in legacy mode one ACK follows the approval that leaves none pending.",
        on: "migrate_send_rp_message")
    static let ackHasApproval = Rule(
        "ack-has-approval", "8.1 and later", "trace-events 6.10",
        "The destination sends an ACK right after the approval that causes it; in legacy mode without users, right after OPEN_RETURN_PATH.",
        on: "loadvm_approve_switchover|loadvm_approve_switchover_legacy", "loadvm_process_command")
    static let legacyCount = Rule(
        "legacy-count", "8.1 and later", "switchover-ack 3.4",
        "A legacy destination's counter goes up by one for each device and down by one for each approval.",
        on: "migration_request_switchover_ack_legacy|loadvm_state_switchover_ack_needed",
        "loadvm_approve_switchover|loadvm_approve_switchover_legacy")
    static let legacyOneAck = Rule(
        "legacy-one-ack", "8.1 and later", "trace-events 6.11", "A legacy destination sends at most one ACK.",
        on: "loadvm_approve_switchover|loadvm_approve_switchover_legacy", "qemu_loadvm_state_section_command")
    static let legacyNoUsers = Rule(
        "legacy-no-users", "8.1 and later", "switchover-ack 3.4",
        "A legacy destination without users sends its ACK as soon as the return path is open.",
        on: "migrate_send_rp_message", "migration_request_switchover_ack_legacy|loadvm_state_switchover_ack_needed")

    static let packageRuns = Rule(
        "package-runs", "8.1 and later", "states-and-iteration 3",
        "A destination that has loaded a postcopy package runs the guest when the source tells it to.",
        on: "qemu_loadvm_state_section_command")

    // MARK: Across the sides

    static let countsAcross = Rule(
        "counts-across", "8.1 and later", "trace-events 6",
        "Every ACK counted was sent, every approval had a marker, and every marker had a request.",
        on: .source("vfio_send_init_data_flag|migrate_pending_estimate"), .destination("migrate_send_rp_message"))
    static let allAnswered = Rule(
        "all-answered", "8.1 and later", "trace-events 6",
        "A migration that completed with a running guest has every marker approved and every ACK counted; in legacy mode exactly one ACK.",
        on: .source("source_return_path_thread_switchover_acked"), .source("qemu_savevm_query_pending|migrate_pending_estimate"),
        .destination("migrate_send_rp_message"))
    static let bytesAcross = Rule(
        "bytes-across", "11.1", "vfio-migration 4.3",
        "Before the destination approves a marker, it has written as many bytes as the source wrote before that marker.",
        on: .source("vfio_save_block"), .destination("vfio_load_state_device_data"))
    static let allLoaded = Rule(
        "all-loaded", "8.1 and later", "vfio-migration 4.5",
        "A destination that completes has written all data that the source's devices produced.")
    static let approvedBeforeDecision = Rule(
        "approved-before-decision", "8.1 and later", "switchover-ack 3.7",
        "When the source decides, it has the ACK of every device that the destination must load.",
        on: .source("source_return_path_thread_switchover_acked"),
        .destination("loadvm_approve_switchover|loadvm_approve_switchover_legacy"),
        .destination("migrate_send_rp_message"))
    static let sameMode = Rule(
        "same-mode", "8.1 and later", "switchover-ack 3.7",
        "Both sides run the same mode, or the destination sends as many ACKs as the source waits for in spite of different modes.",
        on: .source("source_return_path_thread_switchover_acked|source_return_path_thread_loop_top"),
        .source("qemu_savevm_query_pending|migrate_pending_estimate"),
        .destination("loadvm_approve_switchover|loadvm_approve_switchover_legacy"),
        .destination("migrate_send_rp_message"), .destination("qemu_loadvm_state_section_command"))

    // MARK: Devices

    static let qemuDeviceState = Rule(
        "qemu-device-state", "8.1 and later", "vfio-migration 4.2",
        "QEMU requests only device states of its side's role, and reports the state that it requested.",
        on: "vfio_migration_set_state", "vfio_migration_set_device_state")
    static let callbackOrder = Rule(
        "callback-order", "8.1 and later", "vfio-migration 4.2",
        "When the guest stops or starts, all devices are prepared before the first one changes.",
        on: "vfio_vmstate_change_prepare", "vfio_vmstate_change", "vfio_migration_set_state")
    static let deviceState = Rule(
        "device-state", "Linux uAPI", "vfio-migration 4.1", "A device changes only from its current state to an adjacent one.")
    static let deviceSession = Rule(
        "device-session", "Linux uAPI", "vfio-migration 4.1",
        "Data is read, written and queried only in a session and in states that allow it.")

    static let deviceKept = Rule(
        "device-kept", "8.1 and later", "vfio-migration 4.2",
        "A source whose guest goes on running after a failure has not reset a device of that guest.",
        on: "vfio_migration_set_state")
    static let loadedStateKept = Rule(
        "loaded-state-kept", "8.1 and later", "vfio-migration 4.5",
        "A destination that completes runs its devices with the state that was loaded: no device is reset after its load.",
        on: "vfio_migration_set_state")
    static let devicesRunOn = Rule(
        "devices-run-on", "8.1 and later", "vfio-migration 4.6",
        "If the source's guest goes on running after a failure, all its devices are back in RUNNING.",
        on: "vfio_migration_set_device_state|vfio_migration_set_state", "runstate_set|vm_state_notify")

    // MARK: Status, guests, ends

    static let statusArc = Rule(
        "status-arc", "8.1 and later", "states-and-iteration 2 and 3", "The migration status changes only along the arcs of its side.")
    static let resumesOnFailure = Rule(
        "resumes-on-failure", "8.1 and later", "states-and-iteration 2.4",
        "A source that fails resumes its guest if the guest ran before, but never after it has told the destination to run it.",
        on: .source("runstate_set|vm_state_notify|vfio_vmstate_change|migration_block_activation"))
    static let oneGuest = Rule(
        "one-guest", "8.1 and later", "switchover-ack 3.7", "At the end at most one side runs the guest or may still run it.",
        on: .source("migrate_set_state"), .destination("migrate_set_state"))
    static let aGuest = Rule(
        "a-guest", "8.1 and later", "states-and-iteration 2.4", "At the end the guest runs on one side, or the manager has paused it.",
        on: .source("migrate_set_state"), .destination("migrate_set_state"))
    static let ends = Rule(
        "ends", "8.1 and later", "switchover-ack 3.7", "A source that waits for an ACK receives it.",
        on: .source("source_return_path_thread_switchover_acked|source_return_path_thread_loop_top"), .source("savevm_state_iterate"))
    static let converges = Rule(
        "converges", "8.1 and later", "states-and-iteration 5",
        "When no ACK is missing, the pending bytes fall within the threshold at some point.",
        on: .source("savevm_state_iterate"), .source("qemu_savevm_query_pending|migrate_pending_estimate"))
    package static let truncated = Rule(
        "truncated", "8.1 and later", "trace-events 1", "A log continues until its side has reached a final status.",
        on: "migrate_set_state")
}
