import TestSupport
import Testing

@testable import MigrationTrace

/// Each event of the vocabulary reads as what it says and prints as it was read.
@Suite struct EventTests {
    static let device = "0000:3b:00.2"

    static func pendingQuery(exact: Bool, final: Bool, _ numbers: [UInt64], _ collected: UInt32, _ pending: UInt32) -> PendingQuery {
        var query = PendingQuery()
        query.exact = exact
        query.final = final
        (query.precopy, query.stopCopy, query.postcopy, query.total) = (numbers[0], numbers[1], numbers[2], numbers[3])
        (query.collectedAcks, query.pendingAcks) = (collected, pending)
        return query
    }

    /// Lines written out by hand from QEMU's own `trace-events`, with what they mean.
    static let lines: [(String, Event)] =
        [
            ("migrate_set_state new state wait-unplug", .migrateSetState(.waitUnplug)),
            ("migrate_set_state new state postcopy-recover-setup", .migrateSetState(.postcopyRecoverSetup)),
            ("migrate_error error=Unable to write to socket: Broken pipe", .migrateError("Unable to write to socket: Broken pipe")),
            ("migrate_error error='a', \"b\": c ", .migrateError("'a', \"b\": c ")),
            ("migrate_error error=", .migrateError("")),
            ("migration_call_notifiers type=3", .migrationCallNotifiers(type: 3)),
            ("migration_block_activation inactive", .migrationBlockActivation(.inactive)),
            (
                "runstate_set current_run_state 9 (running) new_state 7 (finish-migrate)",
                .runstateSet(from: 9, .running, to: 7, .finishMigrate)
            ),
            ("vm_state_notify running 0 reason 7 (finish-migrate)", .vmStateNotify(running: false, reason: 7, .finishMigrate)),
            ("migration_cancel ", .migrationCancel),
            ("migrate_fd_error error=Unable to write to socket", .migrateFDError("Unable to write to socket")),
            ("vfio_migration_set_state  (v0) state PRE_COPY", .vfioMigrationStateSet(device: "v0", .preCopy)),
            ("vfio_migration_state_notifier  (v0) state setup", .vfioMigrationStatusNotified(device: "v0", .setup)),
            ("migration_thread_file_err ", .migrationThreadFileErr),
            ("migration_completion_file_err ", .migrationCompletionFileErr),
            ("vmstate_downtime_checkpoint src-downtime-start", .vmstateDowntimeCheckpoint("src-downtime-start")),
            (
                "vmstate_downtime_save type=non-iterable idstr=0000:00:01.0/vfio instance_id=0 downtime=12",
                .vmstateDowntimeSave(.nonIterable, idstr: "0000:00:01.0/vfio", instance: 0, downtime: 12)
            ),
            ("savevm_send_ping 0x42", .savevmSendPing(0x42)),
            ("savevm_command_send com=0xb len=0", .savevmCommandSend(number: StreamCommand.switchoverStart.rawValue, length: 0)),
            ("savevm_command_send com=0x1 len=0", .savevmCommandSend(number: 1, length: 0)),
            ("savevm_command_send com=0xc len=8", .savevmCommandSend(number: 12, length: 8)),
            ("savevm_command_send com=0xffff len=0", .savevmCommandSend(number: .max, length: 0)),
            ("savevm_section_start 0000:00:01.0/vfio, section_id 37", .savevmSectionStart(idstr: "0000:00:01.0/vfio", section: 37)),
            ("savevm_section_end ram, section_id 1 -> -5", .savevmSectionEnd(idstr: "ram", section: 1, result: -5)),
            ("ram_save_complete dirty=7, done=1", .ramSaveComplete(dirtyPages: 7, done: 1)),
            (
                "migration_transferred_bytes qemu_file 18446744073709551615 multifd 1 RDMA 2",
                .migrationTransferredBytes(qemuFile: .max, multifd: 1, rdma: 2)
            ),
            (
                "savevm_request_switchover_ack Stage PENDING_EXACT, requester 0000:00:01.0/vfio, switchover_ack_pending_num 2",
                .savevmRequestSwitchoverAck(stage: "PENDING_EXACT", requester: "0000:00:01.0/vfio", pending: 2)
            ),
            (
                "qemu_savevm_query_pending exact=1, final=0, precopy=798200, stopcopy=96, postcopy=3, total=798299, "
                    + "collected switchover ack pending=1, total switchover ack pending=4294967295",
                .qemuSavevmQueryPending(pendingQuery(exact: true, final: false, [798200, 96, 3, 798299], 1, .max))
            ),
            (
                "migrate_pending_estimate estimate pending size 12 (pre = 10 post=2)",
                .migratePendingEstimate(size: 12, precopy: 10, postcopy: 2)
            ),
            ("migrate_pending_exact exact pending size 12 (pre = 10 post=2)", .migratePendingExact(size: 12, precopy: 10, postcopy: 2)),
            ("migration_rate_limit_pre 87 ms", .migrationRateLimitPre(milliseconds: 87)),
            ("migration_thread_low_pending 656816", .migrationThreadLowPending(size: 656816)),
            ("source_return_path_thread_switchover_acked ", .sourceReturnPathThreadSwitchoverAcked(pending: nil)),
            (
                "source_return_path_thread_switchover_acked switchover_ack_pending_num 4294967295",
                .sourceReturnPathThreadSwitchoverAcked(pending: .max)
            ),
            (
                "migrate_handle_rp_req_pages in (null) at 0x0 len 0x1000",
                .migrateHandleRPReqPages(block: "(null)", start: 0, length: 0x1000)
            ),
            ("loadvm_approve_switchover Approver 0000:3b:00.2", .loadvmApproveSwitchover(approver: device)),
            ("loadvm_approve_switchover Switchover ack pending num=0", .loadvmApproveSwitchoverCounted(pending: 0)),
            (
                "loadvm_approve_switchover_legacy Approver 0000:3b:00.2, switchover_ack_pending_num_legacy 1",
                .loadvmApproveSwitchoverLegacy(approver: device, pending: 1)
            ),
            (
                "migration_request_switchover_ack_legacy Requester 0000:3b:00.2, switchover_ack_pending_num_legacy 2",
                .migrationRequestSwitchoverAckLegacy(requester: device, pending: 2)
            ),
            ("loadvm_state_switchover_ack_needed Switchover ack pending num=2", .loadvmStateSwitchoverAckNeeded(pending: 2)),
            ("qemu_loadvm_state_section 9", .qemuLoadvmStateSection(SectionType(rawValue: 9))),
            (
                "qemu_loadvm_state_section_startfull 37(0000:00:01.0/vfio) 0 1",
                .qemuLoadvmStateSectionStartFull(section: 37, idstr: "0000:00:01.0/vfio", instance: 0, version: 1)
            ),
            ("loadvm_process_command com=SWITCHOVER_START len=0", .loadvmProcessCommand(.switchoverStart, length: 0)),
            ("loadvm_process_command com=(null) len=0", .loadvmProcessCommand(nil, length: 0)),
            ("migrate_send_rp_message 7: len 0", .migrateSendRPMessage(.switchoverAck, length: 0)),
            ("migrate_send_rp_recv_bitmap block 'mem0' size 0x72", .migrateSendRPRecvBitmap(block: "mem0", size: 72)),
            ("process_incoming_migration_co_end ret=-22 postcopy-state=0", .processIncomingMigrationCoEnd(result: -22, postcopyState: 0)),
            ("process_incoming_migration_co_end ret=0", .processIncomingMigrationCoEnd(result: 0, postcopyState: nil)),
            (
                "vfio_migration_init  (0000:3b:00.2) mig_flags 0x7, precopy_info_v2_used 1, dirty_pages_supported 0",
                .vfioMigrationInit(device: device, flags: 7, precopyInfoV2: true, dirtyPages: false)
            ),
            (
                "vfio_migration_set_state  (0000:3b:00.2) new state UNKNOWN STATE, recover state PRE_COPY_P2P",
                .vfioMigrationSetState(device: device, .unknown, recover: .preCopyP2P)
            ),
            (
                "vfio_vmstate_change_prepare  (0000:3b:00.2) running 0 reason finish-migrate device state PRE_COPY_P2P",
                .vfioVMStateChangePrepare(device: device, running: false, reason: .finishMigrate, .preCopyP2P)
            ),
            (
                "vfio_query_precopy_size  (0000:3b:00.2) init 8192, dirty 0, reinit 1, ret -25",
                .vfioQueryPrecopySize(device: device, initial: 8192, dirty: 0, reinit: true, result: -25)
            ),
            ("vfio_send_init_data_flag  (0000:3b:00.2)", .vfioSendInitDataFlag(device: device)),
            (
                "vfio_save_complete_precopy_thread_start  (0000:3b:00.2) idstr 0000:00:01.0/vfio instance 0",
                .vfioSaveCompletePrecopyThreadStart(device: device, idstr: "0000:00:01.0/vfio", instance: 0)
            ),
            ("vfio_load_state  (0000:3b:00.2) data 0xffffffffef100005", .vfioLoadState(device: device, .initDataSent)),
            ("vfio_load_state_device_buffer_end  (0000:3b:00.2)", .vfioLoadStateDeviceBufferEnd(device: device)),
            (
                "vfio_get_dirty_bitmap iova=0x0 size= 0xc0000 bitmap_size=0x18 start=0x0 dirty_pages=3",
                .vfioGetDirtyBitmap(iova: 0, size: 0xc0000, bitmapSize: 0x18, start: 0, dirtyPages: 3)
            ),
            ("device_open  (v0) mig_flags 0x7, reinit 1", .deviceOpen(device: "v0", flags: 7, reinit: true)),
            ("device_call  (v0) set-irqs ret -22", .deviceCall(device: "v0", call: "set-irqs", result: -22)),
            ("device_state  (v0) from PRE_COPY to PRE_COPY_P2P", .deviceState(device: "v0", from: .preCopy, to: .preCopyP2P)),
            ("device_session_begin  (v0) saving session 3", .deviceSessionBegin(device: "v0", .saving, session: 3)),
            ("device_session_end  (v0) session 3", .deviceSessionEnd(device: "v0", session: 3)),
            (
                "device_precopy_info  (v0) init 65536, dirty 0, reinit 1, ret 0",
                .devicePrecopyInfo(
                    {
                        var info = DevicePrecopyInfo()
                        (info.device, info.initial, info.reinit) = ("v0", 65536, true)
                        return info
                    }())
            ),
            ("device_read  (v0) size 4096, ret -42", .deviceRead(device: "v0", size: 4096, result: -42)),
            ("device_write  (v0) size 4096, ret 4096", .deviceWrite(device: "v0", size: 4096, result: 4096)),
            ("device_drained  (v0) total 65536", .deviceDrained(device: "v0", total: 65536)),
            ("device_loaded  (v0) initial size 65536, total 65552", .deviceLoaded(device: "v0", .initial, size: 65536, total: 65552)),
            (
                "device_injected  (v0) line 7, action reinit, value 8192",
                .deviceInjected(device: "v0", line: 7, action: "reinit", value: 8192)
            ),
            ("device_hold_begin  (v0) gate drained", .deviceHoldBegin(device: "v0", gate: "drained")),
            ("device_hold_end  (v0) gate drained", .deviceHoldEnd(device: "v0", gate: "drained")),
            ("device_unknown_ioctl  (v0) request 0x3b7f", .deviceUnknownIoctl(device: "v0", request: 0x3b7f)),
            ("device_reset  (v0) from ERROR", .deviceReset(device: "v0", from: .error)),
            ("device_close  (v0) state RUNNING", .deviceClose(device: "v0", .running)),
        ] + recordedLines

    /// What the recorder writes, and what a replayed device does.
    static let recordedLines: [(String, Event)] = [
        ("recorded_begin process 4711, contents 1", .recordedBegin(process: 4711, contents: true)),
        ("recorded_end calls 12", .recordedEnd(calls: 12)),
        (
            "recorded_open  (vfio0) device ret 12, found 0, took 3400 ns, path /dev/vfio/devices/vfio0",
            .recordedOpen(device: "vfio0", .device, result: 12, found: false, took: 3400, path: "/dev/vfio/devices/vfio0")
        ),
        (
            "recorded_close  (vfio0) data fd 40, ret 0, took 900 ns",
            .recordedClose(device: "vfio0", .data, descriptor: 40, result: 0, took: 900)
        ),
        (
            "recorded_ioctl  (vfio0) VFIO_DEVICE_FEATURE 0x3b75 ret -25, took 800 ns, in 080000000c000200, out =",
            .recordedIoctl(
                device: "vfio0", call: "VFIO_DEVICE_FEATURE", request: 0x3b75, result: -25, took: 800, input: "080000000c000200",
                output: "=")
        ),
        (
            "recorded_state  (vfio0) set PRE_COPY ret 0, data fd 40, took 1000 ns",
            .recordedState(device: "vfio0", .preCopy, result: 0, data: 40, took: 1000)
        ),
        (
            "recorded_precopy_info  (vfio0) init 4096, dirty 0, flags 0x1, ret 0, took 700 ns",
            .recordedPrecopyInfo(
                {
                    var info = RecordedPrecopyInfo()
                    (info.device, info.initial, info.flags, info.took) = ("vfio0", 4096, 1, 700)
                    return info
                }())
        ),
        (
            "recorded_data_size  (vfio0) stop-copy 262144, ret 0, took 600 ns",
            .recordedDataSize(device: "vfio0", size: 262144, result: 0, took: 600)
        ),
        ("recorded_read  (vfio0) size 65536, ret 4096, hash 0xef, took 5 ns", .recordedRead(transfer(65536, 4096, 0xef, 5))),
        ("recorded_write  (vfio0) size 4096, ret -22, hash 0x0, took 6 ns", .recordedWrite(transfer(4096, -22, 0, 6))),
        (
            "recorded_access  (vfio0) read offset 0x70000000000, size 4, ret 4, hash 0x12, took 9 ns",
            .recordedAccess(device: "vfio0", .read, offset: 0x700_0000_0000, size: 4, result: 4, hash: 0x12, took: 9)
        ),
        (
            "device_departed  (v0) at 17, expected set STOP_COPY; found set STOP",
            .deviceDeparted(device: "v0", position: 17, expected: "set STOP_COPY", found: "set STOP")
        ),
    ]

    private static func transfer(_ size: UInt64, _ result: Int64, _ hash: UInt64, _ took: UInt64) -> RecordedTransfer {
        var transfer = RecordedTransfer()
        (transfer.device, transfer.size, transfer.result, transfer.hash, transfer.took) = ("vfio0", size, result, hash, took)
        return transfer
    }

    @Test(arguments: lines)
    func readsAsItIsMeantAndPrintsAsItWas(line: String, event: Event) throws {
        #expect(try events(of: line) == [event])
        #expect(event.line == line)
        #expect(line.hasPrefix(event.name + " "))
    }

    /// Known names with texts QEMU does not print.
    @Test(arguments: [
        "migrate_set_state new state flying", "migrate_set_state new state", "migrate_set_state  new state active",
        "migrate_set_state new state activemigration_cancel ",
        "savevm_send_ping 42", "savevm_send_ping 0x", "savevm_send_ping 0xFF", "savevm_send_ping 0x01",
        "savevm_send_ping 0x10000000000000000", "savevm_command_send com=0x10000 len=0", "savevm_command_send com=0x len=0",
        "migration_bitmap_sync_end dirty_pages 18446744073709551616", "migration_bitmap_sync_end dirty_pages 007",
        "migration_bitmap_sync_end dirty_pages -1", "migration_bitmap_sync_end dirty_pages +1", "migration_bitmap_sync_end dirty_pages ",
        "migration_completion_vm_stop ret -0", "migration_completion_vm_stop ret --1",
        "migration_completion_vm_stop ret 9223372036854775808",
        "source_return_path_thread_switchover_acked switchover_ack_pending_num 4294967296", "migration_cancel now",
        "source_return_path_thread_switchover_acked switchover_ack_pending_num ", "migrate_send_rp_message 8: len 0",
        "vfio_send_init_data_flag (one space)", "vfio_send_init_data_flag  (never closed", "vfio_send_init_data_flag  (v0) more",
        "vfio_query_precopy_size  (v0) init 1, dirty 0, reinit 2, ret 0",
        "vfio_vmstate_change  (v0) running 1 reason none device state STOP",
        "qemu_loadvm_state_section 256", "loadvm_process_command com=DANCE len=0", "loadvm_approve_switchover Disapprover v0",
        "qemu_savevm_query_pending exact=1, final=0, precopy=1", "device_state  (v0) from STOP to NOWHERE",
        "device_loaded  (v0) all size 1, total 1",
    ])
    func refusesWhatIsNotOfTheForm(line: String) throws {
        var reader = LogReader(Array((line + "\n").utf8))
        let read = try #require(try reader.next())
        #expect(read.content == .unknown(.malformedEvent))
        #expect(reader.summary.unknown[.malformedEvent] == 1)
        #expect(reader.summary.examples.first?.excerpt == String(line.prefix(120)))
    }

    /// What was pasted from a terminal has blanks at the ends of the lines: they belong to no text once one event fits only without them.
    @Test func blanksAtTheEndsOfLines() throws {
        #expect(
            try events(of: "migrate_error error=a  \nmigrate_set_state new state active   \nmigrate_error error=a  \nmigration_cancel    ")
                == [.migrateError("a  "), .migrateSetState(.active), .migrateError("a"), .migrationCancel])
    }

    @Test func extremesOfSignedNumbers() throws {
        for value in [Int64.min, .min + 1, -1, 0, 1, .max] {
            let line = "migration_completion_vm_stop ret \(value)"
            #expect(try events(of: line) == [.migrationCompletionVMStop(result: value)])
        }
    }

    /// Whatever numbers an event has, its line reads back as the same event.
    @Test func everyFormReadsBackWithAnyNumbers() throws {
        var generator = SeededGenerator(seed: testSeed)
        for prototype in Event.vocabulary.map(\.prototype) {
            for _ in 0..<20 {
                var numbers = EventNumbers.zero
                for place in numbers.indices {
                    numbers[place] = Int64.random(in: .min ... .max, using: &generator) >> Int.random(in: 0..<64, using: &generator)
                }
                let event = prototype.replacing(numbers)
                #expect(try events(of: event.line) == [event], "\(event.line), seed \(testSeed)")
            }
        }
    }

    /// The lines above and the logs of real runs show each form at least once: nothing in the vocabulary is made up.
    @Test func everyFormIsSeen() throws {
        var seen: Set<String> = []
        func see(_ event: Event) { seen.insert(event.caseName) }
        for (_, event) in Self.lines { see(event) }
        for path in LogFiles.all {
            var reader = try LogReader(path: path)
            while let line = try reader.nextEvent() { see(line.event!) }
        }
        let known = Event.vocabulary.map(\.prototype.caseName)
        #expect(Set(known).count == known.count)
        #expect(Set(known).subtracting(seen) == [])
    }

    @Test func vocabularySpeaksTheNotationOfTraceEvents() {
        let forms = Event.vocabulary.map { "\($0.thread.rawValue) \($0.name) \"\($0.format)\"" }
        for form in [
            "T qemu_savevm_query_pending \"exact=%d, final=%d, precopy=%u, stopcopy=%u, postcopy=%u, total=%u, "
                + "collected switchover ack pending=%u, total switchover ack pending=%u\"",
            "R source_return_path_thread_switchover_acked \"switchover_ack_pending_num %u\"",
            "* vfio_load_state \" (%s) data 0x%x\"",
            "M loadvm_approve_switchover \"Approver %s\"",
            "M loadvm_approve_switchover \"Switchover ack pending num=%u\"",
            "* migrate_send_rp_recv_bitmap \"block '%s' size 0x%d\"",
            "M migration_cancel \"\"",
        ] {
            #expect(forms.contains(form), "\(form)")
        }
    }

    @Test func onlyScriptedDeviceEventsAreInjected() {
        let injected = Event.vocabulary.filter(\.prototype.isInjected).map(\.name)
        #expect(injected == ["device_injected", "device_hold_begin", "device_hold_end"])
    }

    @Test func aLineEndInATextIsPrintedAsASpace() {
        #expect(Event.migrateError("one\ntwo\rthree").line == "migrate_error error=one two three")
    }

    func events(of line: String) throws -> [Event] {
        var reader = LogReader(Array((line + "\n").utf8))
        var events: [Event] = []
        while let line = try reader.next() {
            if let event = line.event { events.append(event) }
        }
        return events
    }
}

extension Event {
    /// Which case it is, whatever it holds.
    fileprivate var caseName: String { Mirror(reflecting: self).children.first?.label ?? "\(self)" }
}
