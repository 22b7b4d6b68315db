/// The schedule of a cell: what is waited for and done around the migration, before any driver changes it.
///
/// No step waits for time. A step waits for a log line, for a gate, or for a number of queries.
import Plan
import Prediction

private let raiseThreshold = ScheduleStep.execute(
    .source, command: "migrate-set-parameters", ["avail-switchover-bandwidth": .integer(1 << 30)])

/// The trace event of an ACK that the source has counted.
let countedAck = "source_return_path_thread_switchover_acked"

extension Recipe {
    /// The number of queries that show that only the ACK is missing. A QEMU's clock may put several queries into one window, and the
    /// engine's does not, so that a few are enough there, unless devices that no gate holds have several rounds to go.
    private var furtherQueries: UInt64 {
        switch source.binary.kind {
        case .engine where [.times(0), .times(1)].contains(choices.reinits): 16
        case .qemu, .engine: 50
        }
    }

    /// Steps until only the held device's ACK keeps the source from switching over.
    func onlyTheAckIsMissing(_ held: Int) -> [ScheduleStep] {
        let device = "v\(held)"
        return [
            .wait(.held(.destination, device: device)),
            // When the first window has ended the source has a threshold.
            .wait(.logged(.source, event: "migrate_transferred", times: 1)),
            .wait(.furtherQueries(.source, device: device, furtherQueries)),
        ]
    }

    /// The number of ACKs that the destination sends if nothing disturbs the handshake, as the recipe arranges it: one for all devices in
    /// legacy mode, else one for each marker. Steps wait for them; the judge of the cell, `Prediction`, is not asked.
    func arrangedACKs(_ scenario: Scenario) -> Int {
        guard scenario.source.capability, scenario.destination.capability else { return 0 }
        switch (scenario.source.mode, scenario.destination.mode) {
        case (_, .legacy): return 1
        case (.legacy, .perDevice): return markedDevices(scenario).count + (scenario.requester == nil ? 0 : 1)
        case (.perDevice, .perDevice):
            return markedDevices(scenario).reduce(scenario.requester?.requests ?? 0) { $0 + 1 + $1.reinits }
        }
    }

    /// The devices with a marker that the destination takes.
    private func markedDevices(_ scenario: Scenario) -> [Scenario.Device] {
        scenario.devices.filter { $0.source.hasPrecopy && $0.destination.hasPrecopy }
    }

    func schedule(_ scenario: Scenario) -> [ScheduleStep] {
        if let held = heldDevice(scenario) {
            let onlyTheAckIsMissing = onlyTheAckIsMissing(held)
            switch scenario.guest {
            case .stopped:
                return onlyTheAckIsMissing + [
                    .execute(.source, command: "stop", nil), .wait(.logged(.source, event: "migration_thread_low_pending", times: 1)),
                    .open(.destination, gate: "load"),
                ]
            case .reset:
                return onlyTheAckIsMissing + [.execute(.source, command: "system_reset", nil), .open(.destination, gate: "load")]
            case .running, .neverStarted: break
            }
            if isMarkerTooMany(scenario) {
                return onlyTheAckIsMissing + [
                    .open(.destination, gate: "load"), .wait(.logged(.source, event: countedAck, times: 1)),
                    .open(.destination, gate: "refuse"),
                ]
            }
            guard isPlaced(scenario) else {
                return onlyTheAckIsMissing + askAgain(.wait(.furtherQueries(.source, device: "v\(held)", furtherQueries)))
                    + [.open(.destination, gate: "load")]
            }
            return onlyTheAckIsMissing + [
                .open(.source, gate: "wait"), .wait(.furtherQueries(.source, device: "v\(held)", 2)), .open(.destination, gate: "load"),
                .wait(.logged(.source, event: countedAck, times: arrangedACKs(scenario))),
                .open(.source, gate: "decide"),
            ]
        }
        // The destination refuses the first thing that it reads, and must not read before the source has made its first query.
        if scenario.machinesDiffer { return [.wait(.logged(.source, event: "savevm_state_iterate", times: 1)), .resumeDestination] }
        if isHalted(scenario) {
            let further = ScheduleStep.wait(.furtherLogged(.source, event: "savevm_state_iterate", times: Int(furtherQueries)))
            return [.wait(.logged(.source, event: "migrate_transferred", times: 1)), further] + askAgain(further) + [.resumeDestination]
        }
        switch scenario.race {
        case .acksFirst where isHeldByBandwidth(scenario):
            return [
                .wait(.logged(.source, event: countedAck, times: 1)),
                .execute(.source, command: "migrate-set-parameters", ["max-bandwidth": .integer(1 << 30)]),
            ]
        case .acksFirst:
            return [.wait(.logged(.source, event: countedAck, times: 2)), raiseThreshold]
        case .decisionFirst:
            guard let held = raceDevice(scenario) else { return [] }
            // An old source goes on by itself after its decision, so that the order is certain.
            let decision = scenario.source.knowsPerDevice ? "migration_thread_low_pending" : "migration_precopy_complete"
            let decided: [ScheduleStep] = [
                .wait(.held(.destination, device: "v\(held)")), .wait(.logged(.source, event: decision, times: 1)),
                .open(.destination, gate: "load"),
            ]
            // An old source ignores the ACKs that come then, and completes.
            guard scenario.source.knowsPerDevice else { return decided }
            return decided + [
                // Every ACK, and the PONG.
                .wait(.logged(.destination, event: "migrate_send_rp_message", times: arrangedACKs(scenario) + 1)),
                .open(.source, gate: "send"), .wait(.logged(.destination, event: "process_incoming_migration_co_end", times: 1)),
                .open(.source, gate: "resume"),
            ]
        case .natural: break
        }
        return []
    }
}
