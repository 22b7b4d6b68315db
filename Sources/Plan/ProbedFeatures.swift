/// What a side can do, as the binary itself answers.
///
/// Version strings label, they never decide: builds between two releases share a version number, and distributions
/// backport. Each fact here comes from the running binary (QMP's schema, object properties, trace events), and the
/// effective mode of a machine type from the first pending query of a real migration.
import MigrationTrace

package struct ProbedFeatures: Hashable, Sendable, Codable {
    /// `MAJOR.MINOR.MICRO`, as `query-version` says.
    package var version: String
    /// The packager's version; empty in a build from source.
    package var package: String
    package var hasSwitchoverAck: Bool
    /// True if `migration.switchover-ack-legacy` exists: the binary has both modes.
    package var hasLegacyProperty: Bool
    /// The values of `MigrationStatus`.
    package var statuses: [String]
    /// The trace events of the vocabulary that the binary has.
    package var traceEvents: [String]
    /// Patterns that match these trace events and no other of the binary; nil where nobody asked, as of an engine.
    package var tracePatterns: [String]?
    package var machineTypes: [String]
    /// Aliases of versioned machine types, such as `q35`.
    package var aliases: [String: String]
    /// The mode of each machine type that was measured.
    package var modes: [String: SwitchoverAckMode]
    /// What a build may lack; nil where it was not asked for, as of an engine.
    package var parts: BuildParts?
    /// Whether the core announces requests by a command that no release has: only an engine does, so that no probe asks.
    package var announcesRequests = false
    /// Whether a binary with both modes computes the user's bandwidth without its fraction: only the engine of a posting does, so that no
    /// probe asks.
    package var losesBandwidthFraction = false

    /// What is kept of a probe.
    private enum CodingKeys: CodingKey {
        case version, package, hasSwitchoverAck, hasLegacyProperty, statuses, traceEvents, tracePatterns, machineTypes, aliases, modes,
            parts
    }

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
        if hasPostcopyDevice { names.append("postcopy-device") }
        if replicates { names.append("failing") }
        return names
    }

    /// The mode in which a machine type runs; nil if the mode is not known, or the binary has no switchover-ack (before 8.1). An alias
    /// counts as the type that it stands for; options after a comma do not count.
    ///
    /// Versioned types of one release share one list of compat settings whatever their board, and each older release's list holds those
    /// of the later ones: a type that was not measured has the mode of the q35 type of its release, or of the oldest measured one.
    package func mode(machine: String) -> SwitchoverAckMode? {
        let name = machine.prefix { $0 != "," }
        let type = aliases[String(name)] ?? String(name)
        guard hasSwitchoverAck else { return nil }
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

    /// The status postcopy-device (10.2 and later). cpr-exec came with the same release.
    package var hasPostcopyDevice: Bool { statuses.contains("postcopy-device") }

    /// COLO replicates without a command, and does not fail its own source (11.0 and later). It is told by the status that came with the
    /// same release.
    package var replicates: Bool { statuses.contains("failing") }

    /// The newest of the statuses that tell one release from the one before it; nil for a build that lacks an older one.
    package var newestStatus: SideTraits.NewestStatus? {
        let newer = SideTraits.NewestStatus.allCases.dropFirst()
        let has = newer.prefix { statuses.contains($0.rawValue) }
        return newer.dropFirst(has.count).contains { statuses.contains($0.rawValue) } ? nil : has.last ?? .device
    }

    /// Computes the user's bandwidth with its fraction of a byte per millisecond (11.1). It is told by the property that came with the same
    /// release.
    package var keepsBandwidthFraction: Bool { hasLegacyProperty && !losesBandwidthFraction }

    /// What a side that runs a machine type does, as far as the verifier depends on it.
    package func traits(machine: String) -> SideTraits {
        SideTraits(
            decision: decidesAtThreshold ? .atThreshold : .belowThreshold, switchesInDevice: switchesInDevice,
            announcesRequests: announcesRequests, ackMode: mode(machine: machine), newestStatus: newestStatus)
    }

    /// The release whose handshake the binary has, by the features that separate one release from the one before it.
    package var generation: String {
        guard hasSwitchoverAck else { return "none (before 8.1)" }
        if hasLegacyProperty { return "11.1" }
        if traceEvents.contains("savevm_request_switchover_ack") { return "v1" }
        if replicates { return "11.0" }
        if hasPostcopyDevice { return "10.2" }
        if decidesAtThreshold { return "10.1" }
        return switchesInDevice ? "10.0" : "8.1"
    }

    /// The generations a probe can tell, oldest first: releases, and the first posting of the per-device series. The second posting
    /// has every feature of 11.1 that can be asked for, and counts as 11.1; 8.1 stands for all up to 9.2.
    package static let knownGenerations = ["8.1", "10.0", "10.1", "10.2", "11.0", "v1", "11.1"]
}

/// A side that is available, with the features that were probed.
package struct ProbedBinary: Sendable {
    package let binary: SideImplementation
    package let features: ProbedFeatures
    /// The generation that the side is, by one of `Generation`'s names: an engine's own, or the one that was probed.
    package let generation: String
    /// Why a side of this kind cannot do what a plan needs; nil if it can.
    let sideObstacle: @Sendable (SideNeed) -> String?

    /// `generation` nil: the one that the features show.
    package init(
        binary: SideImplementation, features: ProbedFeatures, generation: String? = nil,
        obstacle: @escaping @Sendable (SideNeed) -> String?
    ) {
        self.binary = binary
        self.features = features
        self.generation = generation ?? features.generation
        sideObstacle = obstacle
    }

    /// Why the side cannot do what a plan needs, by its build and by its kind; nil if it can.
    package func obstacle(to need: SideNeed) -> String? {
        if let part = features.parts?.missing(for: need.ability) { return "\(binary.name) is built without \(part)" }
        return sideObstacle(need)
    }
}

/// The trace events that a side logs: QEMU's part of the vocabulary, each name once, without those that occur every few bytes and say
/// nothing about the handshake.
package let allowedTraceEvents: [String] = {
    let chatter: Set = ["migration_transferred_bytes", "vfio_container_query_dirty_bitmap", "vfio_get_dirty_bitmap"]
    var seen: Set<String> = []
    return Event.vocabulary.map(\.name).filter { name in
        // The shim and the recorder print these.
        !name.hasPrefix("device_") && !name.hasPrefix("recorded_") && !chatter.contains(name) && seen.insert(name).inserted
    }
}()
