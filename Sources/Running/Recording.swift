/// Makes a trace of a driven cell: what each side was, what it printed, and what its devices did.
import Foundation
import Matrix
import MigrationTrace
import Plan
import QEMUPeer
import VFIO
import Verification

/// The trace of a leg of a cell, from the logs that it left.
func recordTrace(_ cell: Cell, leg index: Int, record: MigrationRecord, binaries: [String: ProbedBinary]) throws -> Trace {
    guard let sourceLogs = record.sourceLogs, let destinationLogs = record.destinationLogs else {
        throw Environment("\(cell.name): expected the logs of two QEMUs, found none")
    }
    let from = try SideLogs(sourceLogs)
    let to = try SideLogs(destinationLogs)
    var header = try traceHeader(cell, leg: index, record: record, binaries: binaries)
    header.source.unknown = from.unknown
    header.destination.unknown = to.unknown
    return Trace(header: header, source: from.qemu, sourceDevices: from.devices, destination: to.qemu, destinationDevices: to.devices)
}

/// What each side was, and how driving them ended.
func traceHeader(_ cell: Cell, leg index: Int, record: MigrationRecord, binaries: [String: ProbedBinary]) throws -> TraceHeader {
    let leg = cell.plan.legs[index]
    let configuration = (source: cell.plan.source(ofLeg: index), destination: leg.destination)
    guard let source = binaries[configuration.source.binary.name], let destination = binaries[configuration.destination.binary.name] else {
        throw Environment(
            "\(cell.name): no side named \(configuration.source.binary.name) or \(configuration.destination.binary.name) is available")
    }
    var header = TraceHeader()
    header.cell = cell.traces[index].name
    header.outcome = record.outcome.description
    header.duration = UInt64(record.seconds * 1e9)
    header.armed = leg.armed(record) ?? ""
    header.source = describe(source, configuration.source, .source, record.sourceCapabilities)
    header.destination = describe(destination, configuration.destination, .destination, record.destinationCapabilities)
    if leg.channel == .pipe { header.source.properties.append(.oneWay) }
    if leg.killsDestination(record) { header.destination.properties.append(.killed) }
    return header
}

/// Both logs of a side, folded.
struct SideLogs {
    var qemu = FoldedStream()
    var devices = FoldedStream()
    var unknown = UnknownLineCounts()

    init(_ logs: LegLogs) throws {
        var reader = try LogReader(logs.qemu)
        qemu = try FoldedStream(&reader)
        add(reader.summary.unknown)
        // A side without devices has no shim log.
        guard FileManager.default.fileExists(atPath: logs.devices.path) else { return }
        var shim = try LogReader(logs.devices)
        devices = try FoldedStream(&shim)
        add(shim.summary.unknown)
        // The shim numbers its lines: a log with a hole in it must not be taken for what happened.
        guard shim.summary.sequenceBreaks == 0 else {
            throw Environment(
                "\(logs.devices.path): expected consecutive line numbers, found \(shim.summary.sequenceBreaks) gaps: lines are missing")
        }
    }

    private mutating func add(_ counts: UnknownLineCounts) {
        for kind in UnknownLine.allCases { unknown[kind] += counts[kind] }
    }
}

func describe(
    _ binary: ProbedBinary, _ configuration: SideConfiguration, _ role: Role, _ capabilities: [String: Bool]
) -> TraceSide {
    var side = TraceSide()
    let features = binary.features
    side.name = binary.binary.name
    side.version = features.package.isEmpty ? features.version : "\(features.version) (\(features.package))"
    side.machine = configuration.machine
    side.features =
        [Setting("generation", binary.generation)] + features.summary.map { Setting($0, "yes") }
    side.traits = features.traits(machine: configuration.machine)
    side.capabilities = capabilities.sorted { $0.key < $1.key }.map { Setting($0.key, $0.value ? "on" : "off") }
    if let legacy = configuration.legacyProperty { side.properties.append(Setting("switchover-ack-legacy", legacy ? "on" : "off")) }
    side.properties += configuration.parameters.sorted { $0.key < $1.key }.map { Setting($0.key, text($0.value)) }
    side.commandLine = commandLine(configuration, role: role)
    side.devices = configuration.devices.map { device in
        let lines = device.script?.text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init) ?? []
        return TraceDevice(name: device.name, idstr: device.idstr, script: lines.last == "" ? Array(lines.dropLast()) : lines)
    }
    if let requester = configuration.modules.requester {
        let idstr = EngineModules.Requester.idstr
        side.devices.append(TraceDevice(name: requester.name ?? idstr, idstr: idstr))
    }
    return side
}

private func text(_ value: JSONValue) -> String {
    switch value {
    case .integer(let number): "\(number)"
    case .string(let text): text
    case .bool(let flag): flag ? "on" : "off"
    default: "\(value)"
    }
}
