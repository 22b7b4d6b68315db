/// The events that the log of a completed side has: where one of them is missing, it was not traced.
import MigrationTrace

extension Verifier {
    /// Events that would be in the logs if they had been traced, and that rules rest on.
    func untraced(_ source: SourceSide, _ destination: DestinationSide) -> [Evidence] {
        var expected: [Evidence] = []
        let hasVFIO = source.names.hasVFIO || destination.names.hasVFIO || !source.devices.all.isEmpty || !destination.devices.isEmpty
        if source.status.final == .completed, !source.isSnapshot {
            expected += [
                .source("qemu_savevm_query_pending|migrate_pending_estimate|migrate_pending_exact"), .source("savevm_state_iterate"),
                .source("savevm_section_start"), .source("migration_thread_low_pending|postcopy_start"),
            ]
            if destination.pongs > 0 || destination.sent > 0 || source.isReturnPathOpen {
                expected += [.source("source_return_path_thread_loop_top"), .source("source_return_path_thread_shut")]
            }
            // A source whose guest is stopped waits for no ACK.
            if destination.sent > 0 || source.ledger.collected > 0 && source.switchover.decision?.guestRan == true {
                expected.append(.source("source_return_path_thread_switchover_acked"))
            }
            if hasVFIO {
                expected += [
                    .source("vfio_save_setup"), .source("vfio_save_block"),
                    .source("vfio_migration_set_device_state|vfio_migration_set_state"),
                ]
                if source.ledger.counts == true { expected += [.source("vfio_state_pending"), .source("vfio_query_stop_copy_size")] }
                if source.ledger.counts == true, source.ledger.acks > 0 || destination.sent > 0 {
                    expected.append(.source("vfio_send_init_data_flag"))
                }
            }
        }
        if destination.status.final == .completed {
            expected += [
                .destination("qemu_loadvm_state_section"), .destination("qemu_loadvm_state_section_startfull"),
                .destination("qemu_loadvm_state_section_partend"), .destination("loadvm_process_command"),
            ]
            if source.returnPathEnd != nil || source.isReturnPathOpen { expected.append(.destination("migrate_send_rp_message")) }
            if hasVFIO { expected += [.destination("vfio_load_state"), .destination("vfio_load_state_device_data")] }
            // The ACK of a destination without users needs no approval.
            if destination.devices.contains(where: { $0.loadCount > 0 })
                || max(source.ledger.acks, destination.sent) > (destination.sentForNoUsers ? 1 : 0)
            {
                expected.append(.destination("loadvm_approve_switchover|loadvm_approve_switchover_legacy"))
            }
        }
        return expected
    }
}
