/// Probes what a QEMU binary can do.
import Foundation
import MigrationTrace
import Plan

/// Probes a binary, with its sockets and logs in `folder`.
package func probe(_ binary: QEMUBinary, shim: String, folder: RunFolder) async throws -> ProbedFeatures {
    let place = try folder.folder("probe-\(binary.name)")
    var configuration = SideConfiguration(binary: .qemu(binary), machine: "none")
    configuration.memoryMiB = 2
    var features = try await withQEMU(.source, configuration, shim: shim, folder: place) { try await ask($0.monitor) }
    guard features.hasLegacyProperty else { return features }
    // Only a binary with both modes chooses between them, by machine type.
    for machine in machinesToMeasure(features) {
        features.modes[machine] = try await measureMode(
            binary, machine: machine, shim: shim, folder: folder.folder("mode-\(binary.name)-\(machine)"))
    }
    return features
}

private func ask(_ monitor: QMPConnection) async throws -> ProbedFeatures {
    let version = try await monitor.execute("query-version")
    let number = ["major", "minor", "micro"].map { "\(version["qemu"]?[$0]?.integer ?? -1)" }.joined(separator: ".")
    let capabilities = try await names(in: monitor.execute("query-migrate-capabilities"), under: "capability")
    let properties = try await names(in: monitor.execute("qom-list-properties", ["typename": "migration"]), under: "name")
    let events = Set(try await names(in: monitor.execute("trace-event-get-state", ["name": "*"]), under: "name"))
    let machines = try await monitor.execute("query-machines").array ?? []
    let schema = QMPSchema(try await monitor.execute("query-qmp-schema"))
    let devices = try await monitor.execute("qom-list-types", ["implements": "device", "abstract": false])
    var features = ProbedFeatures(
        version: number, package: version["package"]?.string ?? "", hasSwitchoverAck: capabilities.contains("switchover-ack"),
        hasLegacyProperty: properties.contains("switchover-ack-legacy"),
        statuses: schema.values(of: "status", in: "ret-type", ofCommand: "query-migrate"),
        traceEvents: allowedTraceEvents.filter(events.contains),
        machineTypes: machines.compactMap { $0["name"]?.string }.sorted(),
        aliases: Dictionary(
            machines.compactMap { machine in machine["alias"]?.string.flatMap { alias in machine["name"]?.string.map { (alias, $0) } } },
            uniquingKeysWith: { first, _ in first }),
        modes: [:])
    features.tracePatterns = tracePatterns(for: features.traceEvents, among: events)
    features.parts = BuildParts(
        capabilities: capabilities.sorted(), deviceTypes: names(in: devices, under: "name").sorted(),
        blockDrivers: schema.values(of: "driver", in: "arg-type", ofCommand: "blockdev-add").sorted())
    return features
}

private func names(in value: JSONValue, under key: String) -> [String] {
    (value.array ?? []).compactMap { $0[key]?.string }
}

/// The answer to `query-qmp-schema`; it hides the names of types, so they are followed.
private struct QMPSchema {
    private var entities: [String: JSONValue] = [:]

    init(_ schema: JSONValue) {
        for entity in schema.array ?? [] { if let name = entity["name"]?.string { entities[name] = entity } }
    }

    /// The values of an enumerated member of what a command takes (`arg-type`) or returns (`ret-type`); none where there is no such member.
    func values(of member: String, in direction: String, ofCommand command: String) -> [String] {
        let object = entities[command]?[direction]?.string.flatMap { entities[$0] }
        let found = object?["members"]?.array?.first { $0["name"]?.string == member }
        let type = found?["type"]?.string.flatMap { entities[$0] }
        return (type?["values"]?.array ?? []).compactMap(\.string)
    }
}

/// The unversioned types and every versioned q35 since the capability exists (8.1): types below share their compat settings.
private func machinesToMeasure(_ features: ProbedFeatures) -> [String] {
    features.machineTypes.filter { machine in
        guard machine.hasPrefix("pc-q35-"), let release = machineRelease(machine) else { return machine == "none" || machine == "microvm" }
        return !release.lexicographicallyPrecedes([8, 1])
    }
}

/// Migrates an idle guest to /dev/null with the capability off, and reads the counter of pending ACKs in the first query: 1 in legacy mode,
/// 0 in per-device mode (confirmed on 11.1.3).
private func measureMode(_ binary: QEMUBinary, machine: String, shim: String, folder: String) async throws -> SwitchoverAckMode {
    var configuration = SideConfiguration(binary: .qemu(binary), machine: machine)
    configuration.memoryMiB = 2
    configuration.traceEvents = ["qemu_savevm_query_pending"]
    configuration.capabilities = ["events": true]
    return try await withQEMU(.source, configuration, shim: shim, folder: folder) { side in
        _ = try await side.configure()
        try await side.monitor.execute("migrate", ["uri": "exec:cat > /dev/null"])
        let deadline = Deadline.after(seconds: 20)
        while true {
            let event = try await side.monitor.event(deadline: deadline, waitingFor: "the end of a trial migration of \(machine)")
            guard let status = event.data["status"]?.string, ["completed", "failed"].contains(status) else { continue }
            guard status == "completed" else { throw SideError("\(binary.name): a trial migration of \(machine) failed") }
            break
        }
        var reader = try LogReader(path: side.files.log)
        while let line = try reader.next() {
            if case .qemuSavevmQueryPending(let query) = line.event { return query.pendingAcks == 0 ? .perDevice : .legacy }
        }
        throw SideError(
            "\(binary.name): expected qemu_savevm_query_pending in \(side.files.log) after a trial migration of \(machine), found none"
        )
    }
}
