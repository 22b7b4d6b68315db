/// The cells that `ackmatrix run` drives: a legacy-only and a per-device binary in all four pairings, per-device rounds, a REINIT
/// held by a gate, a refusal.
///
/// Which binary takes which part follows from its probed features, never from its name: suites move on. The mock destination
/// takes its initial bytes at a rate that outlasts the first 100 ms, in which the threshold is still 0 and nothing could switch
/// over anyway: only so does the ACK gate the decision.
import Peers
import VFIO

public struct FirstCells: Sendable {
    public private(set) var cells: [Cell] = []
    /// What cannot be shown with the binaries at hand, a sentence each.
    public private(set) var missing: [String] = []

    /// Later binaries come before earlier ones, so that the user's own builds are preferred.
    public init(_ binaries: [ProbedBinary]) throws(DeviceScript.Refusal) {
        let perDevice = binaries.last { $0.features.hasLegacyProperty }
        let legacy = binaries.last { $0.features.hasSwitchoverAck && !$0.features.hasLegacyProperty }
        let without = binaries.last { !$0.features.hasSwitchoverAck }
        if perDevice == nil { missing.append("no binary has per-device switchover ACKs (QEMU 11.1 and later): their cells are left out") }
        if legacy == nil { missing.append("no binary has the legacy switchover ACK only (QEMU 8.1 to 11.0): its pairings are left out") }
        if without == nil { missing.append("no binary lacks the switchover-ack capability (before QEMU 8.1): the refusal is left out") }

        for source in [legacy, perDevice] {
            for destination in [legacy, perDevice] {
                guard let source, let destination else { continue }
                try addLegacy(source, destination, devices: ["v0"])
            }
        }
        if let legacy, let perDevice { try addLegacy(perDevice, legacy, devices: ["v0", "v1"]) }
        if let perDevice { try addPerDevice(perDevice) }
        if let without, let perDevice { addRefusal(without, perDevice) }
    }

    private mutating func addLegacy(_ source: ProbedBinary, _ destination: ProbedBinary, devices: [String]) throws(DeviceScript.Refusal) {
        guard let machine = newestShared(source, destination, mode: .legacy) else {
            missing.append("\(source.binary.name) and \(destination.binary.name) share no q35 machine type that is legacy on both")
            return
        }
        let once = Dictionary(uniqueKeysWithValues: devices.map { ($0, 1) })
        let (mocked, schedule) = try devices.count == 1 ? ([device(devices[0])], []) : lastHeld(devices)
        cells.append(
            Cell(
                title: title(machine) + (devices.count > 1 ? "+\(devices.count)-devices" : ""), source: source.binary.name,
                destination: destination.binary.name, machine: machine, devices: mocked, schedule: schedule,
                prediction: .completes(.init(mode: .legacy, requests: once, approvals: once, acks: 1))))
    }

    private mutating func addPerDevice(_ binary: ProbedBinary) throws(DeviceScript.Refusal) {
        guard let machine = newestShared(binary, binary, mode: .perDevice) else {
            missing.append("\(binary.binary.name) has no q35 machine type with per-device ACKs")
            return
        }
        let name = binary.binary.name
        let (devices, schedule) = try lastHeld(["v0", "v1"])
        cells.append(
            Cell(
                title: title(machine) + "+2-devices", source: name, destination: name, machine: machine, devices: devices,
                schedule: schedule,
                prediction: .completes(.init(mode: .perDevice, requests: ["v0": 1, "v1": 1], approvals: ["v0": 1, "v1": 1], acks: 2))))
        cells.append(try .reinitHeldByGate(name, machine: machine, title: title(machine) + "+reinit-gate"))
    }

    private mutating func addRefusal(_ source: ProbedBinary, _ destination: ProbedBinary) {
        guard let machine = newestShared(source, destination, mode: nil) else {
            missing.append("\(source.binary.name) and \(destination.binary.name) share no q35 machine type")
            return
        }
        cells.append(
            Cell(
                title: title(machine) + "+refused", source: source.binary.name, destination: destination.binary.name, machine: machine,
                prediction: .refused(.source, "switchover-ack")))
    }
}

private func title(_ machine: String) -> String { String(machine.dropFirst("pc-".count)) }

/// The newest versioned q35 type that both have, in this mode on both; nil mode: whatever mode.
private func newestShared(_ source: ProbedBinary, _ destination: ProbedBinary, mode: SwitchoverAckMode?) -> String? {
    let prefix = "pc-q35-"
    let shared = source.features.machineTypes.filter { machine in
        guard machine.hasPrefix(prefix), destination.features.machineTypes.contains(machine) else { return false }
        return mode == nil || [source, destination].allSatisfy { $0.features.mode(machine: machine) == mode }
    }
    return shared.max {
        $0.dropFirst(prefix.count).split(separator: ".").lexicographicallyPrecedes($1.dropFirst(prefix.count).split(separator: ".")) {
            (Int($0) ?? 0) < (Int($1) ?? 0)
        }
    }
}

private let abilities = "ackmatrix-device 1\nhas precopy p2p reinit\ninitial 64K\nstop-copy 64K\n"

/// 64 KiB at 128 KiB/s: half a second until the marker.
private let slow = "rate write 128K/s\n"

private func device(_ name: String, source: String = "", destination: String = slow) throws(DeviceScript.Refusal) -> Cell.Device {
    Cell.Device(
        name: name, source: try DeviceScript(abilities + source, file: "\(name) source"),
        destination: try DeviceScript(abilities + destination, file: "\(name) destination"))
}

/// Devices of which the last one's load is held, with all others acknowledged, until the source has made 200 further queries: a source
/// that takes the first ACK for the last would switch over before.
private func lastHeld(_ names: [String]) throws(DeviceScript.Refusal) -> ([Cell.Device], [ScheduleStep]) {
    var devices: [Cell.Device] = []
    for name in names.dropLast() { devices.append(try device(name, destination: "")) }
    guard let last = names.last else { return ([], []) }
    devices.append(try device(last, destination: "on written 64K do hold load\n"))
    return (devices, heldForQueries(last))
}

/// Waits until the device's load is held, and opens the gate `load` once the source has made 200 further queries with a threshold in force.
private func heldForQueries(_ device: String) -> [ScheduleStep] {
    [
        .wait(.held(.destination, device: device)),
        // The first window has ended: from here on there is a threshold.
        .wait(.logged(.source, event: "migrate_transferred", times: 1)),
        .wait(.furtherQueries(.source, device: device, 200)),
        .open(.destination, gate: "load"),
    ]
}

extension Cell {
    /// A REINIT between the first ACK and the decision.
    ///
    /// The source's stop-copy estimate is held above any threshold until its first ACK is counted. Then, at one moment, the
    /// device re-initialises and the estimate drops: from here on only the second ACK is missing. The destination's load of
    /// the new initial bytes is held until the source has made 200 further queries.
    static func reinitHeldByGate(_ binary: String, machine: String, title: String) throws(DeviceScript.Refusal) -> Cell {
        Cell(
            title: title, source: binary, destination: binary, machine: machine,
            devices: [
                try device(
                    "v0",
                    source: "estimate stop-copy 1G\non gate reinit do reinit 64K\non gate reinit do estimate stop-copy exact\n",
                    destination: "on written 128K do hold load\n")
            ],
            schedule: [
                .wait(.logged(.source, event: "source_return_path_thread_switchover_acked", times: 1)),
                .open(.source, gate: "reinit"),
            ] + heldForQueries("v0"),
            prediction: .completes(.init(mode: .perDevice, requests: ["v0": 2], approvals: ["v0": 2], acks: 2)))
    }
}
