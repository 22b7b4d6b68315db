/// The scripts of a cell's mock devices, on both sides.
import Prediction

/// Bytes of initial data, and of each re-initialisation.
let initialSize = 16 << 10
let reinitSize = 8 << 10
/// Bytes that a device saves after the guest has stopped.
let stopCopySize = 32 << 10

extension Recipe {
    /// Bytes that the destination writes to a device before the source's device stops.
    func precopySize(_ device: Scenario.Device) -> Int {
        device.source.hasPrecopy ? initialSize + device.reinits * reinitSize : 0
    }

    private func abilities(_ ability: Ability, hasP2P: Bool) -> String {
        var words = ability == .none ? (hasP2P ? [] : ["stop-copy"]) : ["precopy"]
        if hasP2P { words.append("p2p") }
        if ability == .reinit { words.append("reinit") }
        let size =
            switch choices.pace {
            case .gated, .slow: "\(initialSize)"
            case .blocked: "24M"
            }
        return "ackmatrix-device 1\nhas \(words.joined(separator: " "))\nstop-copy \(stopCopySize)\n"
            + (ability.hasPrecopy ? "initial \(size)\n" : "")
    }

    func sourceScript(_ device: Scenario.Device, _ index: Int, _ scenario: Scenario) -> String {
        var script = abilities(device.source, hasP2P: device.hasP2P)
        if device.reinits > 0 { script += "on query 2 when=1..\(device.reinits) do reinit \(reinitSize)\n" }
        // Each query costs time, since a hundred REINITs are proof enough, and thousands make a long log.
        if scenario.reinitsForever, device.source == .reinit { script += "cost precopy-info 5ms\non query 1 do reinit \(reinitSize)\n" }
        switch scenario.estimate {
        case .zero: script += "estimate stop-copy 0\n"
        case .aboveThreshold: script += "estimate stop-copy 1G\n"
        case .small: break
        }
        // A source that fails shuts the connection down, and messages that the destination still sends then reset it. So the source goes on
        // when the destination has sent everything, and fails when the destination has read everything. The first RUNNING is the guest's
        // start.
        if index == raceDevice(scenario), scenario.source.knowsPerDevice {
            script += "on state STOP_COPY do hold send\non state RUNNING when=2 do hold resume\n"
        }
        guard device.source.hasPrecopy else { return script }
        // No read after the reset fails earlier than the last check, whose handling of the reset the cell is about.
        if scenario.guest == .reset { script += "dirty-tracking no\non call read when=2.. do fail ENOMSG\n" }
        if isBusy(index) { script += "on call precopy-info when=1+2 do dirty 4K\n" }
        if isHeldByThreshold(scenario) {
            // The estimate stays above the first threshold, and no read comes back empty.
            script += "estimate dirty 64M\non call read do dirty 512\n"
        }
        if let late = scenario.late, device.source == .reinit { script += lateReinit(late, device, index, scenario) }
        return script
    }

    /// The rules of a REINIT before the marker or around the decision.
    private func lateReinit(_ late: Scenario.LateReinit, _ device: Scenario.Device, _ index: Int, _ scenario: Scenario) -> String {
        let last = scenario.devices.count - 1
        // The first query after the gate drops the estimate, the second lets the source decide, and the third is the last check.
        let placed = "on gate wait do estimate stop-copy 1G\non gate-query decide 1 do estimate stop-copy exact\n"
        switch late {
        // The first query is that of the set-up. There is a second one once the first window of 100 ms has given a threshold, and reading
        // the initial bytes takes longer.
        case .beforeMarker: return "rate read 96K/s\non call read do short 2K\non call precopy-info when=2 do reinit \(reinitSize)\n"
        case .decidingQuery: return index == last ? placed + "on gate-query decide 2 do reinit 4K\n" : ""
        case .lastCheck, .afterCheck:
            // The device is not queried again; it re-initialises before its second change of state, which stops it.
            guard device.hasP2P else { return "on call set-state when=2 do reinit 4K\n" }
            guard late == .lastCheck else { return "on state PRE_COPY_P2P do reinit 4K\n" }
            if index == last { return placed + "on gate-query decide 3 do reinit 4K\n" }
            // When the guest stops QEMU prepares the devices from the last to the first, so this one is checked when the last is prepared.
            return "on peer v\(last) PRE_COPY_P2P when=1 do reinit 4K\n"
        }
    }

    func destinationScript(_ device: Scenario.Device, _ index: Int, _ scenario: Scenario) -> String {
        var script = abilities(device.destination, hasP2P: device.hasP2P)
        switch choices.pace {
        case .gated: break
        case .slow: script += "cost write 500ms\n"
        case .blocked: script += "rate write 24M/s\n"
        }
        if index == heldDevice(scenario) {
            script += "on written \(initialBytes(ofHeld: scenario)) do hold load\n"
        }
        if index == 0, isMarkerTooMany(scenario) { script += "on written \(initialSize + reinitSize) do hold refuse\n" }
        if index == raceDevice(scenario) {
            // Without users the destination sends its ACK as soon as its load is set up.
            script += device.destination.hasPrecopy ? "on written \(initialSize) do hold load\n" : "on state RESUMING do hold load\n"
        }
        return script
    }
}
