/// The declaration of every event: its name, the thread that prints it, and its text, once.
///
/// Reading and printing both derive from `format`, so a line that is read prints again byte for byte.
/// Formats were checked on 10.0 and 11.1 (logs of real runs) and are as in the releases' `trace-events` files;
/// the texts about VFIO devices begin with a space, so the line has two, and events without arguments end with one.
extension Event {
    mutating func format<Codec: FieldCodec>(_ c: inout Codec) {
        switch self {
        // MARK: State, both sides
        case .migrateSetState(var status):
            c.event("migrate_set_state", .any)
            c.word("new state ", &status)
            self = .migrateSetState(status)
        case .migrateError(var error):
            c.event("migrate_error", .any)
            c.text("error=", &error)
            self = .migrateError(error)
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
            c.word(" (", &fromState, ")")
            c.number(" new_state ", &to)
            c.word(" (", &toState, ")")
            self = .runstateSet(from: from, fromState, to: to, toState)
        case .vmStateNotify(var running, var reason, var state):
            c.event("vm_state_notify", .any)
            c.flag("running ", &running)
            c.number(" reason ", &reason)
            c.word(" (", &state, ")")
            self = .vmStateNotify(running: running, reason: reason, state)
        case .migrationCancel: c.event("migration_cancel", .main)
        case .migrationCleanup: c.event("migration_cleanup", .main)
        case .savevmStateCleanup: c.event("savevm_state_cleanup", .main)
        case .migrationThreadSetupComplete: c.event("migration_thread_setup_complete", .migration)
        case .migrationThreadAfterLoop: c.event("migration_thread_after_loop", .migration)
        case .migrationThreadFileErr: c.event("migration_thread_file_err", .migration)
        case .migrationCompletionFileErr: c.event("migration_completion_file_err", .migration)
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

        // MARK: Source, sending
        case .savevmStateHeader: c.event("savevm_state_header", .migration)
        case .savevmSendOpenReturnPath: c.event("savevm_send_open_return_path", .migration)
        case .savevmSendSwitchoverStart: c.event("savevm_send_switchover_start", .migration)
        case .savevmSendPing(var value):
            c.event("savevm_send_ping", .migration)
            c.hex("0x", &value)
            self = .savevmSendPing(value)
        case .savevmSendPostcopyListen: c.event("savevm_send_postcopy_listen", .migration)
        case .savevmSendPostcopyRun: c.event("savevm_send_postcopy_run", .migration)
        case .savevmSendPostcopyResume: c.event("savevm_send_postcopy_resume", .migration)
        case .qemuSavevmSendPostcopyAdvise: c.event("qemu_savevm_send_postcopy_advise", .migration)
        case .qemuSavevmSendPackaged: c.event("qemu_savevm_send_packaged", .migration)
        case .savevmSendRecvBitmap(var block):
            c.event("savevm_send_recv_bitmap", .migration)
            c.text("", &block)
            self = .savevmSendRecvBitmap(block: block)
        case .savevmCommandSend(var number, var length):
            c.event("savevm_command_send", .migration)
            c.code("com=0x", &number, hexadecimal: true)
            c.number(" len=", &length)
            self = .savevmCommandSend(number: number, length: length)
        case .savevmStateSetup: c.event("savevm_state_setup", .migration)
        case .savevmStateIterate: c.event("savevm_state_iterate", .migration)
        case .savevmStateResumePrepare: c.event("savevm_state_resume_prepare", .migration)
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
        case .migrationBitmapSyncStart: c.event("migration_bitmap_sync_start", .migration)
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

        // MARK: Source, decision
        case .savevmRequestSwitchoverAck(var stage, var requester, var pending):
            c.event("savevm_request_switchover_ack", .migration)
            c.text("Stage ", &stage, ", requester ")
            c.text("", &requester, ", switchover_ack_pending_num ")
            c.number("", &pending)
            self = .savevmRequestSwitchoverAck(stage: stage, requester: requester, pending: pending)
        case .qemuSavevmQueryPending(var query):
            c.event("qemu_savevm_query_pending", .migration)
            c.flag("exact=", &query.exact)
            c.flag(", final=", &query.final)
            c.number(", precopy=", &query.precopy)
            c.number(", stopcopy=", &query.stopCopy)
            c.number(", postcopy=", &query.postcopy)
            c.number(", total=", &query.total)
            c.number(", collected switchover ack pending=", &query.collectedAcks)
            c.number(", total switchover ack pending=", &query.pendingAcks)
            self = .qemuSavevmQueryPending(query)
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
        case .migrateTransferred(var window):
            c.event("migrate_transferred", .migration)
            c.number("transferred ", &window.transferred)
            c.number(" time_spent ", &window.timeSpent)
            c.number(" bandwidth ", &window.bandwidth)
            c.number(" switchover_bw ", &window.switchoverBandwidth)
            c.number(" max_size ", &window.maxSize)
            self = .migrateTransferred(window)
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
        case .migrationPrecopyComplete: c.event("migration_precopy_complete", .migration)
        case .postcopyStart: c.event("postcopy_start", .migration)
        case .postcopyStartSetRun: c.event("postcopy_start_set_run", .migration)
        case .postcopyPreemptEnabled(var value):
            c.event("postcopy_preempt_enabled", .any)
            c.number("", &value)
            self = .postcopyPreemptEnabled(value)
        case .migrationCompletionPostcopyEnd: c.event("migration_completion_postcopy_end", .migration)
        case .migrationCompletionPostcopyEndAfterComplete:
            c.event("migration_completion_postcopy_end_after_complete", .migration)

        // MARK: Source, return path
        case .openReturnPathOnSource: c.event("open_return_path_on_source", .main)
        case .openReturnPathOnSourceContinue: c.event("open_return_path_on_source_continue", .main)
        case .sourceReturnPathThreadEntry: c.event("source_return_path_thread_entry", .returnPath)
        case .sourceReturnPathThreadLoopTop: c.event("source_return_path_thread_loop_top", .returnPath)
        case .sourceReturnPathThreadPong(var value):
            c.event("source_return_path_thread_pong", .returnPath)
            c.hex("0x", &value)
            self = .sourceReturnPathThreadPong(value)
        case .sourceReturnPathThreadPostcopyPackageLoaded:
            c.event("source_return_path_thread_postcopy_package_loaded", .returnPath)
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
        case .sourceReturnPathThreadBadEnd: c.event("source_return_path_thread_bad_end", .returnPath)
        case .sourceReturnPathThreadEnd: c.event("source_return_path_thread_end", .returnPath)
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
        case .migrationReturnPathEndBefore: c.event("migration_return_path_end_before", .any)
        case .migrationReturnPathEndAfter: c.event("migration_return_path_end_after", .any)

        // MARK: Destination
        case .loadvmStateSetup: c.event("loadvm_state_setup", .main)
        case .loadvmStateCleanup: c.event("loadvm_state_cleanup", .any)
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
        case .loadvmProcessCommand(let command, var length):
            var name = StreamCommand.Name(command)
            c.event("loadvm_process_command", .any)
            c.word("com=", &name, " len=")
            c.number("", &length)
            self = .loadvmProcessCommand(name.command, length: length)
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
        case .loadvmPostcopyHandleAdvise: c.event("loadvm_postcopy_handle_advise", .main)
        case .loadvmPostcopyHandleListen(var step):
            c.event("loadvm_postcopy_handle_listen", .main)
            c.text("", &step)
            self = .loadvmPostcopyHandleListen(step: step)
        case .loadvmPostcopyHandleRun: c.event("loadvm_postcopy_handle_run", .main)
        case .loadvmPostcopyHandleResume: c.event("loadvm_postcopy_handle_resume", .any)
        case .loadvmPostcopyRAMHandleDiscard: c.event("loadvm_postcopy_ram_handle_discard", .main)
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
        case .postcopyRAMListenThreadStart: c.event("postcopy_ram_listen_thread_start", .listen)
        case .postcopyRAMListenThreadExit: c.event("postcopy_ram_listen_thread_exit", .listen)
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

        // MARK: VFIO, both sides
        case .vfioMigrationInit(var device, var flags, var precopyInfoV2, var dirtyPages):
            c.event("vfio_migration_init", .main)
            c.device(&device)
            c.hex(" mig_flags 0x", &flags)
            c.flag(", precopy_info_v2_used ", &precopyInfoV2)
            c.flag(", dirty_pages_supported ", &dirtyPages)
            self = .vfioMigrationInit(device: device, flags: flags, precopyInfoV2: precopyInfoV2, dirtyPages: dirtyPages)
        case .vfioMigrationRealize(var device):
            c.event("vfio_migration_realize", .main)
            c.device(&device)
            self = .vfioMigrationRealize(device: device)
        case .vfioMigrationSetState(var device, var state, var recover):
            c.event("vfio_migration_set_state", .any)
            c.device(&device)
            c.word(" new state ", &state, ", recover state ")
            c.word("", &recover)
            self = .vfioMigrationSetState(device: device, state, recover: recover)
        case .vfioMigrationSetDeviceState(var device, var state):
            c.event("vfio_migration_set_device_state", .any)
            c.device(&device)
            c.word(" state ", &state)
            self = .vfioMigrationSetDeviceState(device: device, state)
        case .vfioMigrationStateNotifier(var device, var state):
            c.event("vfio_migration_state_notifier", .any)
            c.device(&device)
            c.number(" state ", &state)
            self = .vfioMigrationStateNotifier(device: device, state: state)
        case .vfioVMStateChangePrepare(var device, var running, var reason, var state):
            c.event("vfio_vmstate_change_prepare", .any)
            c.device(&device)
            c.flag(" running ", &running)
            c.word(" reason ", &reason, " device state ")
            c.word("", &state)
            self = .vfioVMStateChangePrepare(device: device, running: running, reason: reason, state)
        case .vfioVMStateChange(var device, var running, var reason, var state):
            c.event("vfio_vmstate_change", .any)
            c.device(&device)
            c.flag(" running ", &running)
            c.word(" reason ", &reason, " device state ")
            c.word("", &state)
            self = .vfioVMStateChange(device: device, running: running, reason: reason, state)
        case .vfioGetDirtyBitmap(var iova, var size, var bitmapSize, var start, var dirtyPages):
            c.event("vfio_get_dirty_bitmap", .migration)
            c.hex("iova=0x", &iova)
            c.hex(" size= 0x", &size)
            c.hex(" bitmap_size=0x", &bitmapSize)
            c.hex(" start=0x", &start)
            c.number(" dirty_pages=", &dirtyPages)
            self = .vfioGetDirtyBitmap(iova: iova, size: size, bitmapSize: bitmapSize, start: start, dirtyPages: dirtyPages)
        case .vfioContainerQueryDirtyBitmap(var iova, var size, var backendFlag, var bitmapSize, var guest, var dirtyPages):
            c.event("vfio_container_query_dirty_bitmap", .migration)
            c.hex("iova=0x", &iova)
            c.hex(" size=0x", &size)
            c.hex(" backend_flag=0x", &backendFlag)
            c.hex(" bitmap_size=0x", &bitmapSize)
            c.hex(" gpa=0x", &guest)
            c.number(" dirty_pages=", &dirtyPages)
            self = .vfioContainerQueryDirtyBitmap(
                iova: iova, size: size, backendFlag: backendFlag, bitmapSize: bitmapSize, guest: guest, dirtyPages: dirtyPages)

        // MARK: VFIO, source
        case .vfioSaveSetup(var device, var dataBufferSize):
            c.event("vfio_save_setup", .migration)
            c.device(&device)
            c.number(" data buffer size ", &dataBufferSize)
            self = .vfioSaveSetup(device: device, dataBufferSize: dataBufferSize)
        case .vfioQueryStopCopySize(var device, var size, var result):
            c.event("vfio_query_stop_copy_size", .any)
            c.device(&device)
            c.number(" stopcopy size ", &size)
            c.number(" ret ", &result)
            self = .vfioQueryStopCopySize(device: device, size: size, result: result)
        case .vfioQueryPrecopySize(var device, var initial, var dirty, var reinit, var result):
            c.event("vfio_query_precopy_size", .any)
            c.device(&device)
            c.number(" init ", &initial)
            c.number(", dirty ", &dirty)
            c.flag(", reinit ", &reinit)
            c.number(", ret ", &result)
            self = .vfioQueryPrecopySize(device: device, initial: initial, dirty: dirty, reinit: reinit, result: result)
        case .vfioQueryPrecopySizeRequestSwitchoverAck(var device):
            c.event("vfio_query_precopy_size_request_switchover_ack", .any)
            c.device(&device)
            self = .vfioQueryPrecopySizeRequestSwitchoverAck(device: device)
        case .vfioStatePending(var pending):
            c.event("vfio_state_pending", .migration)
            c.device(&pending.device)
            c.number(" stopcopy size ", &pending.stopCopy)
            c.number(", precopy initial size ", &pending.initial)
            c.number(", precopy dirty size ", &pending.dirty)
            c.flag(", request switchover ack ", &pending.requestsAck)
            c.flag(", exact ", &pending.exact)
            c.flag(", final ", &pending.final)
            self = .vfioStatePending(pending)
        case .vfioStatePendingEstimate(var device, var precopy, var postcopy, var initial, var dirty):
            c.event("vfio_state_pending_estimate", .migration)
            c.device(&device)
            c.number(" precopy ", &precopy)
            c.number(" postcopy ", &postcopy)
            c.number(" precopy initial size ", &initial)
            c.number(" precopy dirty size ", &dirty)
            self = .vfioStatePendingEstimate(device: device, precopy: precopy, postcopy: postcopy, initial: initial, dirty: dirty)
        case .vfioStatePendingExact(var device, var precopy, var postcopy, var stopCopy, var initial, var dirty):
            c.event("vfio_state_pending_exact", .migration)
            c.device(&device)
            c.number(" precopy ", &precopy)
            c.number(" postcopy ", &postcopy)
            c.number(" stopcopy size ", &stopCopy)
            c.number(" precopy initial size ", &initial)
            c.number(" precopy dirty size ", &dirty)
            self = .vfioStatePendingExact(
                device: device, precopy: precopy, postcopy: postcopy, stopCopy: stopCopy, initial: initial, dirty: dirty)
        case .vfioSaveIterateStart(var device):
            c.event("vfio_save_iterate_start", .migration)
            c.device(&device)
            self = .vfioSaveIterateStart(device: device)
        case .vfioSaveBlock(var device, var size):
            c.event("vfio_save_block", .any)
            c.device(&device)
            c.number(" data_size ", &size)
            self = .vfioSaveBlock(device: device, size: size)
        case .vfioSaveBlockPrecopyEmptyHit(var device):
            c.event("vfio_save_block_precopy_empty_hit", .migration)
            c.device(&device)
            self = .vfioSaveBlockPrecopyEmptyHit(device: device)
        case .vfioSendInitDataFlag(var device):
            c.event("vfio_send_init_data_flag", .migration)
            c.device(&device)
            self = .vfioSendInitDataFlag(device: device)
        case .vfioSaveIterate(var device, var initial, var dirty):
            c.event("vfio_save_iterate", .migration)
            c.device(&device)
            c.number(" precopy initial size ", &initial)
            c.number(" precopy dirty size ", &dirty)
            self = .vfioSaveIterate(device: device, initial: initial, dirty: dirty)
        case .vfioSaveCompletePrecopyStart(var device):
            c.event("vfio_save_complete_precopy_start", .migration)
            c.device(&device)
            self = .vfioSaveCompletePrecopyStart(device: device)
        case .vfioSaveCompletePrecopy(var device, var result):
            c.event("vfio_save_complete_precopy", .migration)
            c.device(&device)
            c.number(" ret ", &result)
            self = .vfioSaveCompletePrecopy(device: device, result: result)
        case .vfioSaveCompletePrecopyThreadStart(var device, var idstr, var instance):
            c.event("vfio_save_complete_precopy_thread_start", .multifd)
            c.device(&device)
            c.text(" idstr ", &idstr, " instance ")
            c.number("", &instance)
            self = .vfioSaveCompletePrecopyThreadStart(device: device, idstr: idstr, instance: instance)
        case .vfioSaveCompletePrecopyThreadEnd(var device, var result):
            c.event("vfio_save_complete_precopy_thread_end", .multifd)
            c.device(&device)
            c.number(" ret ", &result)
            self = .vfioSaveCompletePrecopyThreadEnd(device: device, result: result)
        case .vfioSaveDeviceConfigState(var device):
            c.event("vfio_save_device_config_state", .any)
            c.device(&device)
            self = .vfioSaveDeviceConfigState(device: device)
        case .vfioSaveCleanup(var device):
            c.event("vfio_save_cleanup", .main)
            c.device(&device)
            self = .vfioSaveCleanup(device: device)

        // MARK: VFIO, destination
        case .vfioLoadState(var device, var tag):
            c.event("vfio_load_state", .any)
            c.device(&device)
            c.code(" data 0x", &tag, hexadecimal: true)
            self = .vfioLoadState(device: device, tag)
        case .vfioLoadStateDeviceData(var device, var size, var result):
            c.event("vfio_load_state_device_data", .any)
            c.device(&device)
            c.number(" size ", &size)
            c.number(" ret ", &result)
            self = .vfioLoadStateDeviceData(device: device, size: size, result: result)
        case .vfioLoadDeviceConfigStateStart(var device):
            c.event("vfio_load_device_config_state_start", .any)
            c.device(&device)
            self = .vfioLoadDeviceConfigStateStart(device: device)
        case .vfioLoadDeviceConfigStateEnd(var device):
            c.event("vfio_load_device_config_state_end", .any)
            c.device(&device)
            self = .vfioLoadDeviceConfigStateEnd(device: device)
        case .vfioLoadBufsThreadStart(var device):
            c.event("vfio_load_bufs_thread_start", .multifd)
            c.device(&device)
            self = .vfioLoadBufsThreadStart(device: device)
        case .vfioLoadBufsThreadEnd(var device):
            c.event("vfio_load_bufs_thread_end", .multifd)
            c.device(&device)
            self = .vfioLoadBufsThreadEnd(device: device)
        case .vfioLoadStateDeviceBufferIncoming(var device, var index):
            c.event("vfio_load_state_device_buffer_incoming", .multifd)
            c.device(&device)
            c.number(" idx ", &index)
            self = .vfioLoadStateDeviceBufferIncoming(device: device, index: index)
        case .vfioLoadStateDeviceBufferStart(var device):
            c.event("vfio_load_state_device_buffer_start", .multifd)
            c.device(&device)
            self = .vfioLoadStateDeviceBufferStart(device: device)
        case .vfioLoadStateDeviceBufferEnd(var device):
            c.event("vfio_load_state_device_buffer_end", .multifd)
            c.device(&device)
            self = .vfioLoadStateDeviceBufferEnd(device: device)
        case .vfioLoadStateDeviceBufferLoadStart(var device, var index):
            c.event("vfio_load_state_device_buffer_load_start", .multifd)
            c.device(&device)
            c.number(" idx ", &index)
            self = .vfioLoadStateDeviceBufferLoadStart(device: device, index: index)
        case .vfioLoadStateDeviceBufferLoadEnd(var device, var index):
            c.event("vfio_load_state_device_buffer_load_end", .multifd)
            c.device(&device)
            c.number(" idx ", &index)
            self = .vfioLoadStateDeviceBufferLoadEnd(device: device, index: index)
        case .vfioLoadStateDeviceBufferStarved(var device, var index):
            c.event("vfio_load_state_device_buffer_starved", .multifd)
            c.device(&device)
            c.number(" idx ", &index)
            self = .vfioLoadStateDeviceBufferStarved(device: device, index: index)
        case .vfioLoadCleanup(var device):
            c.event("vfio_load_cleanup", .any)
            c.device(&device)
            self = .vfioLoadCleanup(device: device)

        // MARK: The mock device
        case .deviceOpen(var device, var flags, var reinit):
            c.event("device_open", .any)
            c.device(&device)
            c.hex(" mig_flags 0x", &flags)
            c.flag(", reinit ", &reinit)
            self = .deviceOpen(device: device, flags: flags, reinit: reinit)
        case .deviceCall(var device, var call, var result):
            c.event("device_call", .any)
            c.device(&device)
            c.text(" ", &call, " ret ")
            c.number("", &result)
            self = .deviceCall(device: device, call: call, result: result)
        case .deviceState(var device, var from, var to):
            c.event("device_state", .any)
            c.device(&device)
            c.word(" from ", &from, " to ")
            c.word("", &to)
            self = .deviceState(device: device, from: from, to: to)
        case .deviceSessionBegin(var device, var purpose, var session):
            c.event("device_session_begin", .any)
            c.device(&device)
            c.word(" ", &purpose, " session ")
            c.number("", &session)
            self = .deviceSessionBegin(device: device, purpose, session: session)
        case .deviceSessionEnd(var device, var session):
            c.event("device_session_end", .any)
            c.device(&device)
            c.number(" session ", &session)
            self = .deviceSessionEnd(device: device, session: session)
        case .devicePrecopyInfo(var info):
            c.event("device_precopy_info", .any)
            c.device(&info.device)
            c.number(" init ", &info.initial)
            c.number(", dirty ", &info.dirty)
            c.flag(", reinit ", &info.reinit)
            c.number(", ret ", &info.result)
            self = .devicePrecopyInfo(info)
        case .deviceRead(var device, var size, var result):
            c.event("device_read", .any)
            c.device(&device)
            c.number(" size ", &size)
            c.number(", ret ", &result)
            self = .deviceRead(device: device, size: size, result: result)
        case .deviceWrite(var device, var size, var result):
            c.event("device_write", .any)
            c.device(&device)
            c.number(" size ", &size)
            c.number(", ret ", &result)
            self = .deviceWrite(device: device, size: size, result: result)
        case .deviceDrained(var device, var total):
            c.event("device_drained", .any)
            c.device(&device)
            c.number(" total ", &total)
            self = .deviceDrained(device: device, total: total)
        case .deviceLoaded(var device, var segment, var size, var total):
            c.event("device_loaded", .any)
            c.device(&device)
            c.word(" ", &segment, " size ")
            c.number("", &size)
            c.number(", total ", &total)
            self = .deviceLoaded(device: device, segment, size: size, total: total)
        case .deviceInjected(var device, var line, var action, var value):
            c.event("device_injected", .any)
            c.device(&device)
            c.number(" line ", &line)
            c.text(", action ", &action, ", value ")
            c.number("", &value)
            self = .deviceInjected(device: device, line: line, action: action, value: value)
        case .deviceHoldBegin(var device, var gate):
            c.event("device_hold_begin", .any)
            c.device(&device)
            c.text(" gate ", &gate)
            self = .deviceHoldBegin(device: device, gate: gate)
        case .deviceHoldEnd(var device, var gate):
            c.event("device_hold_end", .any)
            c.device(&device)
            c.text(" gate ", &gate)
            self = .deviceHoldEnd(device: device, gate: gate)
        case .deviceUnknownIoctl(var device, var request):
            c.event("device_unknown_ioctl", .any)
            c.device(&device)
            c.hex(" request 0x", &request)
            self = .deviceUnknownIoctl(device: device, request: request)
        case .deviceReset(var device, var from):
            c.event("device_reset", .any)
            c.device(&device)
            c.word(" from ", &from)
            self = .deviceReset(device: device, from: from)
        case .deviceClose(var device, var state):
            c.event("device_close", .any)
            c.device(&device)
            c.word(" state ", &state)
            self = .deviceClose(device: device, state)
        }
    }
}
