/// One migration whose devices are given, outside of the matrix: of a device that is recorded, or of a recording that is replayed.
import EnginePeer
import Foundation
import MigrationTrace
import Plan
import QEMUPeer
import VFIO

package struct DeviceMigration: Sendable {
    package let source: ProbedBinary
    package let destination: ProbedBinary
    package let sourceDevices: [PlannedDevice]
    package let destinationDevices: [PlannedDevice]

    package init(source: ProbedBinary, destination: ProbedBinary, sourceDevices: [PlannedDevice], destinationDevices: [PlannedDevice]) {
        self.source = source
        self.destination = destination
        self.sourceDevices = sourceDevices
        self.destinationDevices = destinationDevices
    }

    package struct Outcome: Sendable {
        package let record: MigrationRecord
        package let trace: Trace
    }

    /// The newest q35 machine type that both sides have.
    private func machine() throws -> String {
        let common = Set(source.features.machineTypes).intersection(destination.features.machineTypes).filter { $0.hasPrefix("pc-q35-") }
        guard let newest = common.max(by: { $0.compare($1, options: .numeric) == .orderedAscending }) else {
            throw Environment("\(source.binary.name) and \(destination.binary.name) have no q35 machine type in common")
        }
        return newest
    }

    private func plan() throws -> MigrationPlan {
        let machine = try machine()
        func side(_ binary: ProbedBinary, _ devices: [PlannedDevice]) -> SideConfiguration {
            var side = SideConfiguration(binary: binary.binary, machine: machine)
            side.devices = devices
            side.capabilities = ["events": true, "return-path": true]
            if source.features.hasSwitchoverAck, destination.features.hasSwitchoverAck { side.capabilities["switchover-ack"] = true }
            side.parameters = ["max-bandwidth": 0, "avail-switchover-bandwidth": .integer(1 << 30), "downtime-limit": 300]
            side.traceAll(of: binary.features)
            return side
        }
        return MigrationPlan(source: side(source, sourceDevices), destination: side(destination, destinationDevices))
    }

    /// Runs it in the engine; `devices` supplies them.
    package func inEngine(_ devices: any DeviceSupply) throws -> Outcome {
        let plan = try plan()
        let log = EngineStreams()
        let records: [MigrationRecord]
        do { records = try migrateInEngine(plan, seed: 0, devices: devices, log: log) } catch let error as UnmetNeed {
            throw Environment(error.description)
        }
        guard let record = records.first else { throw SideError("the migration left no record") }
        let trace = Trace(
            header: header(plan, record), source: log.stream(.source), sourceDevices: log.stream(.sourceDevices),
            destination: log.stream(.destination), destinationDevices: log.stream(.destinationDevices))
        return Outcome(record: record, trace: trace)
    }

    /// Runs it between two QEMUs, in `folder`, which must not exist.
    package func onQEMU(shim: String, folder: String) async throws -> Outcome {
        let plan = try plan()
        let records: [MigrationRecord]
        do { records = try await migrate(plan, shim: shim, folder: folder) } catch let error as UnmetNeed {
            throw Environment(error.description)
        }
        guard let record = records.first, let sourceLogs = record.sourceLogs, let destinationLogs = record.destinationLogs else {
            throw SideError("the migration left no logs")
        }
        let (from, to) = (try SideLogs(sourceLogs), try SideLogs(destinationLogs))
        var header = header(plan, record)
        header.source.unknown = from.unknown
        header.destination.unknown = to.unknown
        let trace = Trace(
            header: header, source: from.qemu, sourceDevices: from.devices, destination: to.qemu, destinationDevices: to.devices)
        return Outcome(record: record, trace: trace)
    }

    private func header(_ plan: MigrationPlan, _ record: MigrationRecord) -> TraceHeader {
        var header = TraceHeader()
        header.cell = "\(source.binary.name) to \(destination.binary.name), \(sourceDevices.map(\.name).joined(separator: ", "))"
        header.outcome = record.outcome.description
        header.duration = UInt64(max(0, record.seconds) * 1e9)
        header.source = describe(source, plan.source, .source, record.sourceCapabilities)
        header.destination = describe(destination, plan.leg.destination, .destination, record.destinationCapabilities)
        return header
    }
}

/// Keeps what the engine logs, folded, up to a limit: a migration that never ends logs without end, and may take no virtual time.
private final class EngineStreams: EngineLog {
    private static let mostEvents = 1 << 20
    private var folders: [StreamName: Folder] = [:]
    private var folds: [StreamName: [Fold]] = [:]
    private var events = 0

    func begin(leg: Int) {}

    func take(_ event: Event, from stream: StreamName) {
        events += 1
        folders[stream, default: Folder()].append(Entry(event), to: &folds[stream, default: []])
    }

    func endlessProof(armed: String?) -> String? { events > Self.mostEvents ? "more than \(Self.mostEvents) events" : nil }

    func stream(_ name: StreamName) -> FoldedStream {
        var (folder, folds) = (folders[name] ?? Folder(), folds[name] ?? [])
        folder.finish(into: &folds)
        return folds.reduce(into: FoldedStream()) { $0.append($1) }
    }
}
