/// What the logs of a migration say of its downtime. Both sides ran on one host, so that their clocks are one.
import MigrationTrace

package struct Downtime: Hashable, Sendable, Codable {
    /// From the source's downtime start to the guest's start on the destination, by QEMU's checkpoints. Times are milliseconds.
    package var total: Double
    /// What `query-migrate` says of it.
    package var reported: Double?
    /// By device: its share by QEMU's own account, the loading of its sections with the guest stopped.
    package var loads: [String: Double]
    /// By device, from its entering STOP_COPY on the source to its RUNNING on the destination, as the devices themselves log it.
    package var stopToRunning: [String: Double]
    /// Bytes pending when the source decided.
    package var pendingAtDecision: UInt64
    package var reinits: Int
    package var acks: Int
    /// From `migrate` to the source's final status.
    package var migration: Double
}

/// Takes the events of a migration that completed, each with the time of its line.
package struct DowntimeAccount: Sendable {
    private var start: Int64?
    private var running: Int64?
    private var stopped: [String: Int64] = [:]
    private var resumed: [String: Int64] = [:]
    private var loads: [String: Double] = [:]
    private var pending: UInt64?
    private(set) var reinits = 0
    private(set) var acks = 0
    private let devices: [String: String]

    /// `devices` are the device names by section idstr.
    package init(devices: [String: String]) { self.devices = devices }

    /// What a whole log must have and this one lacks.
    package struct Incomplete: Error, Hashable, CustomStringConvertible {
        package let description: String
    }

    package mutating func take(_ event: Event, at time: Int64, from stream: StreamName) {
        switch (stream, event) {
        case (.source, .vmstateDowntimeCheckpoint("src-downtime-start")): start = start ?? time
        case (.source, .migrationThreadLowPending(let bytes)): pending = bytes
        case (.source, .sourceReturnPathThreadSwitchoverAcked): acks += 1
        case (.sourceDevices, .deviceState(let device, _, .stopCopy)): stopped[device] = time
        case (.sourceDevices, .deviceInjected(_, _, "reinit", _)): reinits += 1
        case (.destination, .vmstateDowntimeCheckpoint("dst-precopy-bh-vm-started")): running = time
        case (.destination, .vmstateDowntimeLoad(_, let idstr, _, let microseconds)):
            if let device = devices[idstr] { loads[device, default: 0] += Double(microseconds) / 1000 }
        case (.destinationDevices, .deviceState(let device, _, .running)): resumed[device] = time
        default: break
        }
    }

    package func downtime(reported: Double?, migration: Double) throws(Incomplete) -> Downtime {
        guard let start else { throw Incomplete(description: "the source's log has no checkpoint src-downtime-start") }
        guard let running else { throw Incomplete(description: "the destination's log has no checkpoint dst-precopy-bh-vm-started") }
        guard let pending else { throw Incomplete(description: "the source's log has no migration_thread_low_pending") }
        var stopToRunning: [String: Double] = [:]
        for device in devices.values.sorted() {
            guard let stop = stopped[device] else { throw Incomplete(description: "\(device) never entered STOP_COPY on the source") }
            guard let resume = resumed[device] else { throw Incomplete(description: "\(device) never entered RUNNING on the destination") }
            guard loads[device] != nil else {
                throw Incomplete(description: "the destination's log has no vmstate_downtime_load of \(device)")
            }
            stopToRunning[device] = Double(resume - stop) / 1e6
        }
        return Downtime(
            total: Double(running - start) / 1e6, reported: reported, loads: loads, stopToRunning: stopToRunning,
            pendingAtDecision: pending,
            reinits: reinits, acks: acks, migration: migration)
    }
}
