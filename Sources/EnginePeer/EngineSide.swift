/// The generations of the engine as available sides, with the features that probing would find.
import MigrationTrace
import Plan
import SwitchoverProtocol

/// The releases whose versioned machine types the engine has, oldest first, from the first with the capability on.
private let releases = ["8.1", "8.2", "9.0", "9.1", "9.2", "10.0", "10.1", "10.2", "11.0", "11.1"]

/// For generations that are no release: the release that they were posted for or are derived from, whose machine types they have.
private let releaseOfPosting = ["v1": "11.1", "v2": "11.1", "request-message": "11.1", "postcopy-device-v1": "10.1"]

extension ProbedFeatures {
    /// The features that a probe of the generation would find. The version is the side's name, since no QEMU version applies.
    package init(_ generation: Generation) {
        let newest = releaseOfPosting[generation.name] ?? generation.name
        let last = releases.firstIndex(of: newest) ?? releases.count - 1
        let types = releases[...last].flatMap { ["pc-i440fx-\($0)", "pc-q35-\($0)"] }
        // The types up to 11.0 have the compat setting that chooses legacy mode.
        let isLegacy = { (type: String) in
            !generation.has(.perDeviceAcks) || (machineRelease(type) ?? [11, 1]).lexicographicallyPrecedes([11, 1])
        }
        let machines = types + ["microvm", "none"]
        self.init(
            version: SideImplementation.enginePrefix + generation.name, package: "", hasSwitchoverAck: true,
            hasLegacyProperty: generation.has(.perDeviceAcks), statuses: generation.statuses, traceEvents: generation.traceEvents,
            machineTypes: machines.sorted(), aliases: ["q35": "pc-q35-\(releases[last])", "pc": "pc-i440fx-\(releases[last])"],
            modes: generation.has(.perDeviceAcks)
                ? Dictionary(uniqueKeysWithValues: machines.map { ($0, isLegacy($0) ? .legacy : .perDevice) }) : [:])
    }
}

extension Generation {
    /// Trace events that some generations lack, each with the condition for having it. All generations have all other events.
    private static let datedEvents: [(names: [String], isThere: @Sendable (Generation) -> Bool)] = [
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
        // Of one release with that status.
        (
            [
                "vfio_save_complete_precopy_thread_start", "vfio_save_complete_precopy_thread_end", "vfio_load_bufs_thread_start",
                "vfio_load_bufs_thread_end", "vfio_load_state_device_buffer_incoming", "vfio_load_state_device_buffer_start",
            ], { $0.has(.switchoverInDevice) }
        ),
        (["source_return_path_thread_postcopy_package_loaded"], { $0.has(.postcopyDevice) }),
        (["migration_call_notifiers"], { $0.has(.failing) }),
    ]

    fileprivate var traceEvents: [String] {
        let absent = Set(Self.datedEvents.filter { !$0.isThere(self) }.flatMap(\.names))
        return allowedTraceEvents.filter { !absent.contains($0) }
    }

    fileprivate var statuses: [String] { Status.allCases.filter { $0.exists(in: self) }.map(\.rawValue) }
}

extension ProbedBinary {
    /// The engines that are sides by default, in the order of release.
    package static let engines = ["10.0", "10.1", "10.2", "11.0", "v1", "v2", "11.1"].compactMap { engine($0) }

    /// The engines that are sides only if the user names them: no run of QEMU confirms what 8.1 and the variants do.
    package static let enginesWhenNamed = ["8.1", "postcopy-device-v1", "request-message"].compactMap { engine($0) }

    /// The names of all generations that can be sides.
    package static var engineNames: [String] { (engines + enginesWhenNamed).map(\.generation) }

    /// The engine of the generation with this name; nil if there is none.
    package static func engine(_ generation: String) -> ProbedBinary? { all[generation] }

    /// Kept, since each start of a side looks its features up.
    private static let all = Dictionary(
        uniqueKeysWithValues: Generation.all.flatMap { [$0, $0.corrected] }.map {
            (
                $0.name,
                ProbedBinary(
                    binary: .engine(generation: $0.name), features: ProbedFeatures($0), generation: $0.name,
                    obstacle: EngineProcess.obstacle(to:))
            )
        })
}
