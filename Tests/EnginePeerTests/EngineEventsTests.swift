import MigrationTrace
import Plan
import SwitchoverProtocol
import Testing

@testable import EnginePeer

/// The dates of events give each generation the events that come with its features.
@Suite struct EngineEventsTests {
    /// Events that some generations lack, each with the feature that it comes with, or with which it goes.
    private static let dated: [(names: [String], isThere: @Sendable (Generation) -> Bool)] = [
        (
            [
                "qemu_savevm_query_pending", "vfio_query_stop_copy_size", "vfio_query_precopy_size",
                "vfio_query_precopy_size_request_switchover_ack", "vfio_state_pending", "vfio_send_init_data_flag", "vfio_migration_init",
            ], { $0.has(.queryPending) }
        ),
        (
            ["migrate_pending_estimate", "migrate_pending_exact", "vfio_state_pending_estimate", "vfio_state_pending_exact"],
            { !$0.has(.queryPending) }
        ),
        (["migration_request_switchover_ack_legacy", "loadvm_approve_switchover_legacy"], { $0.has(.perDeviceAcks) }),
        (["loadvm_state_switchover_ack_needed"], { !$0.has(.perDeviceAcks) }),
        (["savevm_request_switchover_ack"], { $0.has(.requestHandler) }),
        (["ram_save_complete"], { $0.has(.decidesAtThreshold) }),
        (
            [
                "vfio_save_complete_precopy_thread_start", "vfio_save_complete_precopy_thread_end", "vfio_load_bufs_thread_start",
                "vfio_load_bufs_thread_end", "vfio_load_state_device_buffer_incoming", "vfio_load_state_device_buffer_start",
                "vfio_load_state_device_buffer_end", "vfio_load_state_device_buffer_load_start",
                "vfio_load_state_device_buffer_load_end", "vfio_load_state_device_buffer_starved",
            ], { $0.has(.switchoverInDevice) }
        ),
        (["source_return_path_thread_postcopy_package_loaded"], { $0.has(.postcopyDevice) }),
        (["migration_call_notifiers"], { $0.has(.failing) }),
        (["migrate_fd_error"], { !$0.has(.postcopyRecoverSetup) }),
    ]

    @Test(arguments: Generation.all.flatMap { [$0, $0.corrected] })
    func aGenerationPrintsTheEventsOfItsFeatures(generation: Generation) {
        let absent = Set(Self.dated.filter { !$0.isThere(generation) }.flatMap(\.names))
        #expect(ProbedFeatures(generation).traceEvents == allowedTraceEvents.filter { !absent.contains($0) })
    }
}
