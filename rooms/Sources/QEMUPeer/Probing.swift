/// Asking a QEMU binary what it can do.
import Foundation
import MigrationTrace
import Plan

/// Asks a binary; its sockets and logs live in `folder` for the time.
package func probe(_ binary: QEMUBinary, shim: String, folder: RunFolder) async throws -> ProbedFeatures {
    let place = try folder.folder("probe-\(binary.name)")
    var configuration = SideConfiguration(binary: binary, machine: "none")
    configuration.memoryMiB = 2
    var features = try await withQEMU(.source, configuration, shim: shim, folder: place) { try await ask($0.monitor) }
    guard features.hasLegacyProperty else { return features }
    // Only a binary that knows both modes chooses between them, by machine type.
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
    let schema = try await monitor.execute("query-qmp-schema")
    return ProbedFeatures(
        version: number, package: version["package"]?.string ?? "", hasSwitchoverAck: capabilities.contains("switchover-ack"),
        hasLegacyProperty: properties.contains("switchover-ack-legacy"), statuses: migrationStatuses(schema),
        traceEvents: allowedTraceEvents.filter(events.contains),
        machineTypes: machines.compactMap { $0["name"]?.string }.sorted(),
        aliases: Dictionary(
            machines.compactMap { machine in machine["alias"]?.string.flatMap { alias in machine["name"]?.string.map { (alias, $0) } } },
            uniquingKeysWith: { first, _ in first }),
        modes: [:])
}

private func names(in value: JSONValue, under key: String) -> [String] {
    (value.array ?? []).compactMap { $0[key]?.string }
}

/// The values of the status that `query-migrate` returns; the schema hides type names, so they are followed.
private func migrationStatuses(_ schema: JSONValue) -> [String] {
    var entities: [String: JSONValue] = [:]
    for entity in schema.array ?? [] { if let name = entity["name"]?.string { entities[name] = entity } }
    let info = entities["query-migrate"]?["ret-type"]?.string.flatMap { entities[$0] }
    let member = info?["members"]?.array?.first { $0["name"]?.string == "status" }
    let type = member?["type"]?.string.flatMap { entities[$0] }
    return (type?["values"]?.array ?? []).compactMap(\.string)
}

/// The unversioned types and every versioned q35 since the capability exists (8.1): types below share their compat settings.
private func machinesToMeasure(_ features: ProbedFeatures) -> [String] {
    features.machineTypes.filter { machine in
        guard machine.hasPrefix("pc-q35-"), let release = machineRelease(machine) else { return machine == "none" || machine == "microvm" }
        return !release.lexicographicallyPrecedes([8, 1])
    }
}

/// Migrates an idle guest into nothing, capability off, and reads the counter in the first query line: it starts at 1 in
/// legacy mode and at 0 in per-device mode (confirmed on 11.1.3).
private func measureMode(_ binary: QEMUBinary, machine: String, shim: String, folder: String) async throws -> SwitchoverAckMode {
    var configuration = SideConfiguration(binary: binary, machine: machine)
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
            "\(binary.name): a trial migration of \(machine) logged no pending query: expected qemu_savevm_query_pending in \(side.files.log)"
        )
    }
}
