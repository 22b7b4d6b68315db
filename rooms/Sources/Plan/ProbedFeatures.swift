/// What a QEMU binary can do, asked of the binary itself.
///
/// Version strings label, they never decide: builds between two releases share a version number, and distributions
/// backport. Each fact here comes from the running binary (QMP's schema, object properties, trace events), and the
/// effective mode of a machine type from the first pending query of a real migration.
import MigrationTrace

/// Which handshake a source runs by default on a machine type.
package enum SwitchoverAckMode: String, Hashable, Sendable, Codable {
    /// One ACK for all devices, counted by the destination (QEMU 8.1 and later).
    case legacy
    /// An ACK per device request, counted by the source (QEMU 11.1 and later).
    case perDevice = "per-device"
    /// The binary has no switchover-ack capability (before 8.1).
    case none
}

package struct ProbedFeatures: Hashable, Sendable, Codable {
    /// `MAJOR.MINOR.MICRO`, as `query-version` says.
    package var version: String
    /// The packager's version; empty in a build from source.
    package var package: String
    package var hasSwitchoverAck: Bool
    /// Whether `migration.switchover-ack-legacy` exists: the binary knows both modes.
    package var hasLegacyProperty: Bool
    /// Names of MigrationStatus.
    package var statuses: [String]
    /// Trace events of the vocabulary that the binary has.
    package var traceEvents: [String]
    package var machineTypes: [String]
    /// Aliases of versioned machine types, such as `q35`.
    package var aliases: [String: String]
    /// The mode of each machine type it was measured on.
    package var modes: [String: SwitchoverAckMode]

    package init(
        version: String, package: String, hasSwitchoverAck: Bool, hasLegacyProperty: Bool, statuses: [String], traceEvents: [String],
        machineTypes: [String], aliases: [String: String], modes: [String: SwitchoverAckMode]
    ) {
        self.version = version
        self.package = package
        self.hasSwitchoverAck = hasSwitchoverAck
        self.hasLegacyProperty = hasLegacyProperty
        self.statuses = statuses
        self.traceEvents = traceEvents
        self.machineTypes = machineTypes
        self.aliases = aliases
        self.modes = modes
    }

    /// Short names of the features that tell generations apart, in a fixed order.
    package var summary: [String] {
        var names: [String] = []
        if hasSwitchoverAck { names.append("switchover-ack") }
        if hasLegacyProperty { names.append("legacy-property") }
        if traceEvents.contains("qemu_savevm_query_pending") { names.append("query-pending") }
        if statuses.contains("postcopy-device") { names.append("postcopy-device") }
        if statuses.contains("failing") { names.append("failing") }
        return names
    }

    /// The mode a machine type runs in; an alias counts as what it stands for, options after a comma do not count.
    ///
    /// Versioned types of one release share one list of compat settings whatever their board, and each older release's list holds those
    /// of the later ones: a type that was not measured has the mode of the q35 type of its release, or of the oldest measured one.
    package func mode(machine: String) -> SwitchoverAckMode? {
        let name = machine.prefix { $0 != "," }
        let type = aliases[String(name)] ?? String(name)
        guard hasSwitchoverAck else { return SwitchoverAckMode.none }
        guard hasLegacyProperty else { return .legacy }
        if let measured = modes[type] { return measured }
        guard let release = machineRelease(type) else { return nil }
        let known = modes.compactMap { type, mode in machineRelease(type).map { (release: $0, mode: mode) } }
            .sorted { $0.release.lexicographicallyPrecedes($1.release) }
        return known.first { !$0.release.lexicographicallyPrecedes(release) }?.mode
    }

    /// Switches over when as much is pending as the threshold (10.1 and later), not only when less is.
    package var decidesAtThreshold: Bool { traceEvents.contains("ram_save_complete") }

    /// Every switchover passes through the status device (10.0 and later). The status itself is older, so it is told by what came with the
    /// same release: VFIO's state on multifd channels.
    package var switchesInDevice: Bool { traceEvents.contains("vfio_load_state_device_buffer_incoming") }

    /// The release whose handshake the binary has, by the features that separate one release from the one before it.
    package var generation: String {
        guard hasSwitchoverAck else { return "none (before 8.1)" }
        if hasLegacyProperty { return "11.1" }
        if traceEvents.contains("savevm_request_switchover_ack") { return "v1" }
        if statuses.contains("failing") { return "11.0" }
        if statuses.contains("postcopy-device") { return "10.2" }
        if decidesAtThreshold { return "10.1" }
        return switchesInDevice ? "10.0" : "8.1"
    }

    /// The generations a probe can tell, oldest first: releases, and the first posting of the per-device series. The second posting
    /// has every feature of 11.1 that can be asked for, and counts as 11.1; 8.1 stands for all up to 9.2.
    package static let knownGenerations = ["8.1", "10.0", "10.1", "10.2", "11.0", "v1", "11.1"]
}

/// A binary with what it can do.
package struct ProbedBinary: Sendable {
    package let binary: QEMUBinary
    package let features: ProbedFeatures

    package init(binary: QEMUBinary, features: ProbedFeatures) {
        self.binary = binary
        self.features = features
    }
}

/// The trace events a side logs: QEMU's part of the vocabulary, each name once, less those that come with every few bytes
/// sent and say nothing about the handshake.
package let allowedTraceEvents: [String] = {
    let chatter: Set = ["migration_transferred_bytes", "vfio_container_query_dirty_bitmap", "vfio_get_dirty_bitmap"]
    var seen: Set<String> = []
    return Event.vocabulary.map(\.name).filter { !$0.hasPrefix("device_") && !chatter.contains($0) && seen.insert($0).inserted }
}()

/// The numbers a versioned type's name ends with, `[10, 0]` of `pc-q35-10.0`; nil for other types.
package func machineRelease(_ type: String) -> [Int]? {
    guard let last = type.split(separator: "-").last, last.count < type.count else { return nil }
    let numbers = last.split(separator: ".", omittingEmptySubsequences: false).map { Int($0) }
    return numbers.count >= 2 && numbers.allSatisfy { $0 != nil } ? numbers.compactMap { $0 } : nil
}
