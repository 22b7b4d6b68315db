/// A generation of the engine as a side of a migration: what it is called, and what probing it would say. No process stands behind it.
import MigrationTrace
import Plan
import SwitchoverProtocol

/// Releases with versioned machine types that the engine has, oldest first: those since the capability exists.
private let releases = ["8.1", "8.2", "9.0", "9.1", "9.2", "10.0", "10.1", "10.2", "11.0", "11.1"]

/// The release whose machine types a generation has that is no release itself: the one it was posted for, or is made from.
private let releaseOfPosting = ["v1": "11.1", "v2": "11.1", "request-message": "11.1", "postcopy-device-v1": "10.1"]

extension ProbedFeatures {
    /// What a probe would say of a generation's engine, from its features. The version is the side's own name: it is no QEMU's.
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
            version: QEMUBinary.enginePrefix + generation.name, package: "", hasSwitchoverAck: true,
            hasLegacyProperty: generation.has(.perDeviceAcks), statuses: generation.statuses, traceEvents: generation.traceEvents,
            machineTypes: machines.sorted(), aliases: ["q35": "pc-q35-\(releases[last])", "pc": "pc-i440fx-\(releases[last])"],
            modes: generation.has(.perDeviceAcks)
                ? Dictionary(uniqueKeysWithValues: machines.map { ($0, isLegacy($0) ? .legacy : .perDevice) }) : [:])
    }
}

extension Generation {
    /// Trace events that some generations lack, each with what has it; all other events all have.
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
    /// The engines that are sides without being asked for, in the order of release.
    package static let engines = ["10.0", "10.1", "10.2", "11.0", "v1", "v2", "11.1"].compactMap { engine($0) }

    /// Those that are sides only when they are named: nothing confirms what 8.1 and the variants do.
    package static let enginesWhenNamed = ["8.1", "postcopy-device-v1", "request-message"].compactMap { engine($0) }

    /// The names of all generations that are sides.
    package static var engineNames: [String] { (engines + enginesWhenNamed).compactMap(\.binary.engineGeneration) }

    /// The engine of a generation by its name; nil where there is none of that name.
    package static func engine(_ generation: String) -> ProbedBinary? { all[generation] }

    /// Their facts are asked for at every start of a side.
    private static let all = Dictionary(
        uniqueKeysWithValues: Generation.all.flatMap { [$0, $0.corrected] }.map {
            ($0.name, ProbedBinary(binary: QEMUBinary(engine: $0.name), features: ProbedFeatures($0)))
        })
}
