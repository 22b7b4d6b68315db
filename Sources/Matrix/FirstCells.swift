/// The cells that `ackmatrix run` drives: 10.0 and 11.1 in all four pairings, per-device rounds, a REINIT held by a gate, a refusal.
///
/// The mock destination takes its initial bytes at a rate that outlasts the first 100 ms, in which the threshold is
/// still 0 and nothing could switch over anyway: only so does the ACK gate the decision.
import Peers
import VFIO

private let abilities = "ackmatrix-device 1\nhas precopy p2p reinit\ninitial 64K\nstop-copy 64K\n"

/// 64 KiB at 128 KiB/s: half a second until the marker.
private let slow = "rate write 128K/s\n"

private func device(_ name: String, source: String = "", destination: String = slow) throws(DeviceScript.Refusal) -> Cell.Device {
    Cell.Device(
        name: name, source: try DeviceScript(abilities + source, file: "\(name) source"),
        destination: try DeviceScript(abilities + destination, file: "\(name) destination"))
}

public func firstCells() throws(DeviceScript.Refusal) -> [Cell] {
    var cells: [Cell] = []
    for source in ["10.0", "11.1"] {
        for destination in ["10.0", "11.1"] {
            cells.append(
                Cell(
                    title: "q35-10.0", source: source, destination: destination, machine: "pc-q35-10.0", devices: [try device("v0")],
                    prediction: .completes(.init(mode: .legacy, requests: ["v0": 1], approvals: ["v0": 1], acks: 1))))
        }
    }
    cells.append(
        Cell(
            title: "q35-10.0+2-devices", source: "11.1", destination: "10.0", machine: "pc-q35-10.0",
            devices: [try device("v0"), try device("v1")],
            prediction: .completes(.init(mode: .legacy, requests: ["v0": 1, "v1": 1], approvals: ["v0": 1, "v1": 1], acks: 1))))
    cells.append(
        Cell(
            title: "q35-11.1+2-devices", source: "11.1", destination: "11.1", machine: "pc-q35-11.1",
            devices: [try device("v0"), try device("v1")],
            prediction: .completes(.init(mode: .perDevice, requests: ["v0": 1, "v1": 1], approvals: ["v0": 1, "v1": 1], acks: 2))))
    cells.append(try .reinitHeldByGate())
    cells.append(
        Cell(
            title: "q35-7.2+refused", source: "7.2", destination: "11.1", machine: "pc-q35-7.2",
            prediction: .refused(.source, "switchover-ack")))
    return cells
}

extension Cell {
    /// A REINIT between the first ACK and the decision.
    ///
    /// The source's stop-copy estimate is held above any threshold until its first ACK is counted. Then, at one moment, the
    /// device re-initialises and the estimate drops: from here on only the second ACK is missing. The destination's load of
    /// the new initial bytes is held until the source has made 200 further queries.
    static func reinitHeldByGate() throws(DeviceScript.Refusal) -> Cell {
        Cell(
            title: "q35-11.1+reinit-gate", source: "11.1", destination: "11.1", machine: "pc-q35-11.1",
            devices: [
                try device(
                    "v0",
                    source: "estimate stop-copy 1G\non gate reinit do reinit 64K\non gate reinit do estimate stop-copy exact\n",
                    destination: "on written 128K do hold load\n")
            ],
            schedule: [
                .wait(.logged(.source, event: "source_return_path_thread_switchover_acked", times: 1)),
                .open(.source, gate: "reinit"),
                .wait(.held(.destination, device: "v0")),
                // The first window has ended: from here on there is a threshold.
                .wait(.logged(.source, event: "migrate_transferred", times: 1)),
                .wait(.furtherQueries(.source, device: "v0", 200)),
                .open(.destination, gate: "load"),
            ],
            prediction: .completes(.init(mode: .perDevice, requests: ["v0": 2], approvals: ["v0": 2], acks: 2)))
    }
}
