// swift-format-ignore-file
// Generated from harness/events/trace-events by `swift run EventGenerator`: do not edit.

extension Event {
    /// Migration: state of both sides
    @inline(never)
    mutating func formatMigrationStateOfBothSides<Codec: FieldCodec>(_ c: inout Codec) {
        switch consume self {
        case .migrateSetState(var newState):
            c.event("migrate_set_state", .any)
            c.word("new state ", &newState)
            self = .migrateSetState(newState)
        case .migrateError(var error):
            c.event("migrate_error", .any)
            c.text("error=", &error)
            self = .migrateError(error)
        case .migrateFDError(var error):
            c.event("migrate_fd_error", .any)
            c.text("error=", &error)
            self = .migrateFDError(error)
        case .migrationCallNotifiers(var type):
            c.event("migration_call_notifiers", .any)
            c.number("type=", &type)
            self = .migrationCallNotifiers(type: type)
        case .migrationBlockActivation(var activation):
            c.event("migration_block_activation", .any)
            c.word("", &activation)
            self = .migrationBlockActivation(activation)
        case .runstateSet(var from, var fromState, var to, var toState):
            c.event("runstate_set", .any)
            c.number("current_run_state ", &from)
            c.word(" (", &fromState, ") new_state ")
            c.number("", &to)
            c.word(" (", &toState, ")")
            self = .runstateSet(from: from, fromState, to: to, toState)
        case .vmStateNotify(var running, var reason, var state):
            c.event("vm_state_notify", .any)
            c.flag("running ", &running)
            c.number(" reason ", &reason)
            c.word(" (", &state, ")")
            self = .vmStateNotify(running: running, reason: reason, state)
        default: preconditionFailure("expected an event of this section")
        }
    }

    /// Migration: course of both sides
    @inline(never)
    mutating func formatMigrationCourseOfBothSides<Codec: FieldCodec>(_ c: inout Codec) {
        switch consume self {
        case .migrationCancel:
            c.event("migration_cancel", .main)
            self = .migrationCancel
        case .migrationCleanup:
            c.event("migration_cleanup", .main)
            self = .migrationCleanup
        case .savevmStateCleanup:
            c.event("savevm_state_cleanup", .main)
            self = .savevmStateCleanup
        case .migrationThreadSetupComplete:
            c.event("migration_thread_setup_complete", .migration)
            self = .migrationThreadSetupComplete
        case .migrationThreadAfterLoop:
            c.event("migration_thread_after_loop", .migration)
            self = .migrationThreadAfterLoop
        case .migrationThreadFileErr:
            c.event("migration_thread_file_err", .migration)
            self = .migrationThreadFileErr
        case .migrationCompletionFileErr:
            c.event("migration_completion_file_err", .migration)
            self = .migrationCompletionFileErr
        case .vmstateDowntimeCheckpoint(var checkpoint):
            c.event("vmstate_downtime_checkpoint", .any)
            c.text("", &checkpoint)
            self = .vmstateDowntimeCheckpoint(checkpoint)
        case .vmstateDowntimeSave(var kind, var idstr, var instance, var downtime):
            c.event("vmstate_downtime_save", .migration)
            c.word("type=", &kind, " idstr=")
            c.text("", &idstr, " instance_id=")
            c.number("", &instance)
            c.number(" downtime=", &downtime)
            self = .vmstateDowntimeSave(kind, idstr: idstr, instance: instance, downtime: downtime)
        case .vmstateDowntimeLoad(var kind, var idstr, var instance, var downtime):
            c.event("vmstate_downtime_load", .any)
            c.word("type=", &kind, " idstr=")
            c.text("", &idstr, " instance_id=")
            c.number("", &instance)
            c.number(" downtime=", &downtime)
            self = .vmstateDowntimeLoad(kind, idstr: idstr, instance: instance, downtime: downtime)
        case .migrateGlobalStatePreSave(var state):
            c.event("migrate_global_state_pre_save", .migration)
            c.text("saved state: ", &state)
            self = .migrateGlobalStatePreSave(state)
        case .migrateGlobalStatePostLoad(var state):
            c.event("migrate_global_state_post_load", .main)
            c.text("loaded state: ", &state)
            self = .migrateGlobalStatePostLoad(state)
        default: preconditionFailure("expected an event of this section")
        }
    }

    /// Migration: source, commands and steps
    @inline(never)
    mutating func formatMigrationSourceCommandsAndSteps<Codec: FieldCodec>(_ c: inout Codec) {
        switch consume self {
        case .savevmStateHeader:
            c.event("savevm_state_header", .migration)
            self = .savevmStateHeader
        case .savevmSendOpenReturnPath:
            c.event("savevm_send_open_return_path", .migration)
            self = .savevmSendOpenReturnPath
        case .savevmSendSwitchoverStart:
            c.event("savevm_send_switchover_start", .migration)
            self = .savevmSendSwitchoverStart
        case .savevmSendPing(var value):
            c.event("savevm_send_ping", .migration)
            c.hex("0x", &value)
            self = .savevmSendPing(value)
        case .savevmSendPostcopyListen:
            c.event("savevm_send_postcopy_listen", .migration)
            self = .savevmSendPostcopyListen
        case .savevmSendPostcopyRun:
            c.event("savevm_send_postcopy_run", .migration)
            self = .savevmSendPostcopyRun
        case .savevmSendPostcopyResume:
            c.event("savevm_send_postcopy_resume", .migration)
            self = .savevmSendPostcopyResume
        case .qemuSavevmSendPostcopyAdvise:
            c.event("qemu_savevm_send_postcopy_advise", .migration)
            self = .qemuSavevmSendPostcopyAdvise
        case .qemuSavevmSendPackaged:
            c.event("qemu_savevm_send_packaged", .migration)
            self = .qemuSavevmSendPackaged
        case .savevmSendRecvBitmap(var block):
            c.event("savevm_send_recv_bitmap", .migration)
            c.text("", &block)
            self = .savevmSendRecvBitmap(block: block)
        case .savevmCommandSend(var number, var length):
            c.event("savevm_command_send", .migration)
            c.code("com=0x", &number, hexadecimal: true)
            c.number(" len=", &length)
            self = .savevmCommandSend(number: number, length: length)
        case .savevmStateSetup:
            c.event("savevm_state_setup", .migration)
            self = .savevmStateSetup
        case .savevmStateIterate:
            c.event("savevm_state_iterate", .migration)
            self = .savevmStateIterate
        case .savevmStateResumePrepare:
            c.event("savevm_state_resume_prepare", .migration)
            self = .savevmStateResumePrepare
        default: preconditionFailure("expected an event of this section")
        }
    }

    /// Migration: source, sections and memory
    @inline(never)
    mutating func formatMigrationSourceSectionsAndMemory<Codec: FieldCodec>(_ c: inout Codec) {
        switch consume self {
        case .savevmSectionStart(var idstr, var section):
            c.event("savevm_section_start", .migration)
            c.text("", &idstr, ", section_id ")
            c.number("", &section)
            self = .savevmSectionStart(idstr: idstr, section: section)
        case .savevmSectionEnd(var idstr, var section, var result):
            c.event("savevm_section_end", .migration)
            c.text("", &idstr, ", section_id ")
            c.number("", &section)
            c.number(" -> ", &result)
            self = .savevmSectionEnd(idstr: idstr, section: section, result: result)
        case .savevmSectionSkip(var idstr, var section):
            c.event("savevm_section_skip", .migration)
            c.text("", &idstr, ", section_id ")
            c.number("", &section)
            self = .savevmSectionSkip(idstr: idstr, section: section)
        case .ramSaveComplete(var dirtyPages, var done):
            c.event("ram_save_complete", .migration)
            c.number("dirty=", &dirtyPages)
            c.number(", done=", &done)
            self = .ramSaveComplete(dirtyPages: dirtyPages, done: done)
        case .migrationBitmapSyncStart:
            c.event("migration_bitmap_sync_start", .migration)
            self = .migrationBitmapSyncStart
        case .migrationBitmapSyncEnd(var dirtyPages):
            c.event("migration_bitmap_sync_end", .migration)
            c.number("dirty_pages ", &dirtyPages)
            self = .migrationBitmapSyncEnd(dirtyPages: dirtyPages)
        case .migrationTransferredBytes(var qemuFile, var multifd, var rdma):
            c.event("migration_transferred_bytes", .any)
            c.number("qemu_file ", &qemuFile)
            c.number(" multifd ", &multifd)
            c.number(" RDMA ", &rdma)
            self = .migrationTransferredBytes(qemuFile: qemuFile, multifd: multifd, rdma: rdma)
        default: preconditionFailure("expected an event of this section")
        }
    }

    /// Migration: source, decision
    @inline(never)
    mutating func formatMigrationSourceDecision<Codec: FieldCodec>(_ c: inout Codec) {
        switch consume self {
        case .savevmRequestSwitchoverAck(var stage, var requester, var pending):
            c.event("savevm_request_switchover_ack", .migration)
            c.text("Stage ", &stage, ", requester ")
            c.text("", &requester, ", switchover_ack_pending_num ")
            c.number("", &pending)
            self = .savevmRequestSwitchoverAck(stage: stage, requester: requester, pending: pending)
        case .qemuSavevmQueryPending(var arguments):
            c.event("qemu_savevm_query_pending", .migration)
            c.flag("exact=", &arguments.exact)
            c.flag(", final=", &arguments.final)
            c.number(", precopy=", &arguments.precopy)
            c.number(", stopcopy=", &arguments.stopCopy)
            c.number(", postcopy=", &arguments.postcopy)
            c.number(", total=", &arguments.total)
            c.number(", collected switchover ack pending=", &arguments.collectedAcks)
            c.number(", total switchover ack pending=", &arguments.pendingAcks)
            self = .qemuSavevmQueryPending(arguments)
        case .migratePendingEstimate(var size, var precopy, var postcopy):
            c.event("migrate_pending_estimate", .migration)
            c.number("estimate pending size ", &size)
            c.number(" (pre = ", &precopy)
            c.number(" post=", &postcopy, ")")
            self = .migratePendingEstimate(size: size, precopy: precopy, postcopy: postcopy)
        case .migratePendingExact(var size, var precopy, var postcopy):
            c.event("migrate_pending_exact", .migration)
            c.number("exact pending size ", &size)
            c.number(" (pre = ", &precopy)
            c.number(" post=", &postcopy, ")")
            self = .migratePendingExact(size: size, precopy: precopy, postcopy: postcopy)
        case .migrateTransferred(var arguments):
            c.event("migrate_transferred", .migration)
            c.number("transferred ", &arguments.transferred)
            c.number(" time_spent ", &arguments.timeSpent)
            c.number(" bandwidth ", &arguments.bandwidth)
            c.number(" switchover_bw ", &arguments.switchoverBandwidth)
            c.number(" max_size ", &arguments.maxSize)
            self = .migrateTransferred(arguments)
        case .migrationRateLimitPre(var milliseconds):
            c.event("migration_rate_limit_pre", .migration)
            c.number("", &milliseconds, " ms")
            self = .migrationRateLimitPre(milliseconds: milliseconds)
        case .migrationRateLimitPost(var urgent):
            c.event("migration_rate_limit_post", .migration)
            c.number("urgent: ", &urgent)
            self = .migrationRateLimitPost(urgent: urgent)
        case .migrationThreadLowPending(var size):
            c.event("migration_thread_low_pending", .migration)
            c.number("", &size)
            self = .migrationThreadLowPending(size: size)
        case .migrationCompletionVMStop(var result):
            c.event("migration_completion_vm_stop", .migration)
            c.number("ret ", &result)
            self = .migrationCompletionVMStop(result: result)
        case .migrationPrecopyComplete:
            c.event("migration_precopy_complete", .migration)
            self = .migrationPrecopyComplete
        case .postcopyStart:
            c.event("postcopy_start", .migration)
            self = .postcopyStart
        case .postcopyStartSetRun:
            c.event("postcopy_start_set_run", .migration)
            self = .postcopyStartSetRun
        case .postcopyPreemptEnabled(var value):
            c.event("postcopy_preempt_enabled", .any)
            c.number("", &value)
            self = .postcopyPreemptEnabled(value)
        case .migrationCompletionPostcopyEnd:
            c.event("migration_completion_postcopy_end", .migration)
            self = .migrationCompletionPostcopyEnd
        case .migrationCompletionPostcopyEndAfterComplete:
            c.event("migration_completion_postcopy_end_after_complete", .migration)
            self = .migrationCompletionPostcopyEndAfterComplete
        default: preconditionFailure("expected an event of this section")
        }
    }

    /// Migration: source, return path
    @inline(never)
    mutating func formatMigrationSourceReturnPath<Codec: FieldCodec>(_ c: inout Codec) {
        switch consume self {
        case .openReturnPathOnSource:
            c.event("open_return_path_on_source", .main)
            self = .openReturnPathOnSource
        case .openReturnPathOnSourceContinue:
            c.event("open_return_path_on_source_continue", .main)
            self = .openReturnPathOnSourceContinue
        case .sourceReturnPathThreadEntry:
            c.event("source_return_path_thread_entry", .returnPath)
            self = .sourceReturnPathThreadEntry
        case .sourceReturnPathThreadLoopTop:
            c.event("source_return_path_thread_loop_top", .returnPath)
            self = .sourceReturnPathThreadLoopTop
        case .sourceReturnPathThreadPong(var value):
            c.event("source_return_path_thread_pong", .returnPath)
            c.hex("0x", &value)
            self = .sourceReturnPathThreadPong(value)
        case .sourceReturnPathThreadPostcopyPackageLoaded:
            c.event("source_return_path_thread_postcopy_package_loaded", .returnPath)
            self = .sourceReturnPathThreadPostcopyPackageLoaded
        case .sourceReturnPathThreadSwitchoverAcked(var pending):
            c.event("source_return_path_thread_switchover_acked", .returnPath)
            c.optional("switchover_ack_pending_num ", &pending)
            self = .sourceReturnPathThreadSwitchoverAcked(pending: pending)
        case .sourceReturnPathThreadResumeAck(var value):
            c.event("source_return_path_thread_resume_ack", .returnPath)
            c.number("", &value)
            self = .sourceReturnPathThreadResumeAck(value)
        case .sourceReturnPathThreadShut(var value):
            c.event("source_return_path_thread_shut", .returnPath)
            c.hex("0x", &value)
            self = .sourceReturnPathThreadShut(value)
        case .sourceReturnPathThreadBadEnd:
            c.event("source_return_path_thread_bad_end", .returnPath)
            self = .sourceReturnPathThreadBadEnd
        case .sourceReturnPathThreadEnd:
            c.event("source_return_path_thread_end", .returnPath)
            self = .sourceReturnPathThreadEnd
        case .migrateHandleRPReqPages(var block, var start, var length):
            c.event("migrate_handle_rp_req_pages", .returnPath)
            c.text("in ", &block, " at 0x")
            c.hex("", &start)
            c.hex(" len 0x", &length)
            self = .migrateHandleRPReqPages(block: block, start: start, length: length)
        case .ramDirtyBitmapReloadBegin(var block):
            c.event("ram_dirty_bitmap_reload_begin", .returnPath)
            c.text("", &block)
            self = .ramDirtyBitmapReloadBegin(block: block)
        case .ramDirtyBitmapReloadComplete(var block):
            c.event("ram_dirty_bitmap_reload_complete", .returnPath)
            c.text("", &block)
            self = .ramDirtyBitmapReloadComplete(block: block)
        case .migrationReturnPathEndBefore:
            c.event("migration_return_path_end_before", .any)
            self = .migrationReturnPathEndBefore
        case .migrationReturnPathEndAfter:
            c.event("migration_return_path_end_after", .any)
            self = .migrationReturnPathEndAfter
        default: preconditionFailure("expected an event of this section")
        }
    }

    /// Migration: destination, sections and commands
    @inline(never)
    mutating func formatMigrationDestinationSectionsAndCommands<Codec: FieldCodec>(_ c: inout Codec) {
        switch consume self {
        case .loadvmStateSetup:
            c.event("loadvm_state_setup", .main)
            self = .loadvmStateSetup
        case .loadvmStateCleanup:
            c.event("loadvm_state_cleanup", .any)
            self = .loadvmStateCleanup
        case .migrationRequestSwitchoverAckLegacy(var requester, var pending):
            c.event("migration_request_switchover_ack_legacy", .main)
            c.text("Requester ", &requester, ", switchover_ack_pending_num_legacy ")
            c.number("", &pending)
            self = .migrationRequestSwitchoverAckLegacy(requester: requester, pending: pending)
        case .loadvmStateSwitchoverAckNeeded(var pending):
            c.event("loadvm_state_switchover_ack_needed", .main)
            c.number("Switchover ack pending num=", &pending)
            self = .loadvmStateSwitchoverAckNeeded(pending: pending)
        case .qemuLoadvmStateSection(var type):
            c.event("qemu_loadvm_state_section", .any)
            c.code("", &type)
            self = .qemuLoadvmStateSection(type)
        case .qemuLoadvmStateSectionStartFull(var section, var idstr, var instance, var version):
            c.event("qemu_loadvm_state_section_startfull", .any)
            c.number("", &section)
            c.text("(", &idstr, ") ")
            c.number("", &instance)
            c.number(" ", &version)
            self = .qemuLoadvmStateSectionStartFull(section: section, idstr: idstr, instance: instance, version: version)
        case .qemuLoadvmStateSectionPartEnd(var section):
            c.event("qemu_loadvm_state_section_partend", .any)
            c.number("", &section)
            self = .qemuLoadvmStateSectionPartEnd(section: section)
        case .qemuLoadvmStateSectionCommand(var result):
            c.event("qemu_loadvm_state_section_command", .any)
            c.number("", &result)
            self = .qemuLoadvmStateSectionCommand(result: result)
        case .loadvmProcessCommand(var name, var length):
            c.event("loadvm_process_command", .any)
            c.word("com=", &name, " len=")
            c.number("", &length)
            self = .loadvmProcessCommand(name, length: length)
        case .loadvmProcessCommandPing(var value):
            c.event("loadvm_process_command_ping", .any)
            c.hex("0x", &value)
            self = .loadvmProcessCommandPing(value)
        case .loadvmHandleCmdPackaged(var length):
            c.event("loadvm_handle_cmd_packaged", .main)
            c.number("", &length)
            self = .loadvmHandleCmdPackaged(length: length)
        case .loadvmHandleCmdPackagedReceived(var length):
            c.event("loadvm_handle_cmd_packaged_received", .main)
            c.number("", &length)
            self = .loadvmHandleCmdPackagedReceived(length: length)
        case .loadvmHandleCmdPackagedMain(var result):
            c.event("loadvm_handle_cmd_packaged_main", .main)
            c.number("", &result)
            self = .loadvmHandleCmdPackagedMain(result: result)
        case .loadvmHandleRecvBitmap(var block):
            c.event("loadvm_handle_recv_bitmap", .main)
            c.text("", &block)
            self = .loadvmHandleRecvBitmap(block: block)
        default: preconditionFailure("expected an event of this section")
        }
    }

    /// Migration: destination, postcopy and answers
    @inline(never)
    mutating func formatMigrationDestinationPostcopyAndAnswers<Codec: FieldCodec>(_ c: inout Codec) {
        switch consume self {
        case .loadvmPostcopyHandleAdvise:
            c.event("loadvm_postcopy_handle_advise", .main)
            self = .loadvmPostcopyHandleAdvise
        case .loadvmPostcopyHandleListen(var step):
            c.event("loadvm_postcopy_handle_listen", .main)
            c.text("", &step)
            self = .loadvmPostcopyHandleListen(step: step)
        case .loadvmPostcopyHandleRun:
            c.event("loadvm_postcopy_handle_run", .main)
            self = .loadvmPostcopyHandleRun
        case .loadvmPostcopyHandleResume:
            c.event("loadvm_postcopy_handle_resume", .any)
            self = .loadvmPostcopyHandleResume
        case .loadvmPostcopyRAMHandleDiscard:
            c.event("loadvm_postcopy_ram_handle_discard", .main)
            self = .loadvmPostcopyRAMHandleDiscard
        case .loadvmApproveSwitchover(var approver):
            c.event("loadvm_approve_switchover", .main)
            c.text("Approver ", &approver)
            self = .loadvmApproveSwitchover(approver: approver)
        case .loadvmApproveSwitchoverCounted(var pending):
            c.event("loadvm_approve_switchover", .main)
            c.number("Switchover ack pending num=", &pending)
            self = .loadvmApproveSwitchoverCounted(pending: pending)
        case .loadvmApproveSwitchoverLegacy(var approver, var pending):
            c.event("loadvm_approve_switchover_legacy", .main)
            c.text("Approver ", &approver, ", switchover_ack_pending_num_legacy ")
            c.number("", &pending)
            self = .loadvmApproveSwitchoverLegacy(approver: approver, pending: pending)
        case .migrateSendRPMessage(var message, var length):
            c.event("migrate_send_rp_message", .any)
            c.code("", &message)
            c.number(": len ", &length)
            self = .migrateSendRPMessage(message, length: length)
        case .migrateSendRPRecvBitmap(var block, var size):
            c.event("migrate_send_rp_recv_bitmap", .any)
            c.text("block '", &block, "' size 0x")
            c.number("", &size)
            self = .migrateSendRPRecvBitmap(block: block, size: size)
        case .postcopyRAMListenThreadStart:
            c.event("postcopy_ram_listen_thread_start", .listen)
            self = .postcopyRAMListenThreadStart
        case .postcopyRAMListenThreadExit:
            c.event("postcopy_ram_listen_thread_exit", .listen)
            self = .postcopyRAMListenThreadExit
        case .qemuLoadvmStatePostMain(var result):
            c.event("qemu_loadvm_state_post_main", .any)
            c.number("", &result)
            self = .qemuLoadvmStatePostMain(result: result)
        case .processIncomingMigrationCoEnd(var result, var postcopyState):
            c.event("process_incoming_migration_co_end", .main)
            c.number("ret=", &result)
            c.optional(" postcopy-state=", &postcopyState)
            self = .processIncomingMigrationCoEnd(result: result, postcopyState: postcopyState)
        case .processIncomingMigrationCoPostcopyEndMain:
            c.event("process_incoming_migration_co_postcopy_end_main", .main)
            self = .processIncomingMigrationCoPostcopyEndMain
        default: preconditionFailure("expected an event of this section")
        }
    }
}
