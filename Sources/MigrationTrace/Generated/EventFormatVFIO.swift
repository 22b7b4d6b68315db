// swift-format-ignore-file
// Generated from harness/events/trace-events by `swift run EventGenerator`: do not edit.

extension Event {
    /// VFIO: both sides
    @inline(never)
    mutating func formatVfioBothSides<Codec: FieldCodec>(_ c: inout Codec) {
        switch consume self {
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
        case .vfioMigrationStateSet(var device, var state):
            c.event("vfio_migration_set_state", .any)
            c.device(&device)
            c.word(" state ", &state)
            self = .vfioMigrationStateSet(device: device, state)
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
        case .vfioMigrationStatusNotified(var device, var state):
            c.event("vfio_migration_state_notifier", .any)
            c.device(&device)
            c.word(" state ", &state)
            self = .vfioMigrationStatusNotified(device: device, state)
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
                iova: iova, size: size, backendFlag: backendFlag, bitmapSize: bitmapSize, guest: guest, dirtyPages: dirtyPages
            )
        default: preconditionFailure("expected an event of this section")
        }
    }

    /// VFIO: source, set-up and queries
    @inline(never)
    mutating func formatVfioSourceSetUpAndQueries<Codec: FieldCodec>(_ c: inout Codec) {
        switch consume self {
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
        case .vfioStatePending(var arguments):
            c.event("vfio_state_pending", .migration)
            c.device(&arguments.device)
            c.number(" stopcopy size ", &arguments.stopCopy)
            c.number(", precopy initial size ", &arguments.initial)
            c.number(", precopy dirty size ", &arguments.dirty)
            c.flag(", request switchover ack ", &arguments.requestsAck)
            c.flag(", exact ", &arguments.exact)
            c.flag(", final ", &arguments.final)
            self = .vfioStatePending(arguments)
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
                device: device, precopy: precopy, postcopy: postcopy, stopCopy: stopCopy, initial: initial, dirty: dirty
            )
        default: preconditionFailure("expected an event of this section")
        }
    }

    /// VFIO: source, sending
    @inline(never)
    mutating func formatVfioSourceSending<Codec: FieldCodec>(_ c: inout Codec) {
        switch consume self {
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
        default: preconditionFailure("expected an event of this section")
        }
    }

    /// VFIO: destination
    @inline(never)
    mutating func formatVfioDestination<Codec: FieldCodec>(_ c: inout Codec) {
        switch consume self {
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
        default: preconditionFailure("expected an event of this section")
        }
    }

    /// VFIO: mock device, calls
    @inline(never)
    mutating func formatVfioMockDeviceCalls<Codec: FieldCodec>(_ c: inout Codec) {
        switch consume self {
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
        case .devicePrecopyInfo(var arguments):
            c.event("device_precopy_info", .any)
            c.device(&arguments.device)
            c.number(" init ", &arguments.initial)
            c.number(", dirty ", &arguments.dirty)
            c.flag(", reinit ", &arguments.reinit)
            c.number(", ret ", &arguments.result)
            self = .devicePrecopyInfo(arguments)
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
        default: preconditionFailure("expected an event of this section")
        }
    }

    /// VFIO: mock device, progress and script
    @inline(never)
    mutating func formatVfioMockDeviceProgressAndScript<Codec: FieldCodec>(_ c: inout Codec) {
        switch consume self {
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
        default: preconditionFailure("expected an event of this section")
        }
    }
}
