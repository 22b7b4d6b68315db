/// Cancelled and failed migrations, and the next attempt of the same source.
import Plan
import Prediction
import VFIO

extension Driver {
    static let cancelDrivers = [
        Driver("cancel-connecting", "cancelled while it connects to the destination; where that ends, then migrated again") { draft in
            draft.plan.source.connectGate = "network"
            draft.plan.leg.schedule = [.execute(.source, command: "migrate_cancel", nil)]
            if draft.scenario.source.knowsPerDevice {
                draft.plan.leg.schedule.append(.open(.source, gate: "network"))
                draft.scenario.cancel = .connecting
            } else {
                // It is cancelled at once; all gates open then.
                try draft.migrateAgain { $0.cancel = .connecting }
            }
        },
        Driver("cancel-setup", "cancelled while a device goes to PRE_COPY, then migrated again from the same process") { draft in
            let held = try draft.heldByGate()
            try draft.script(.source, held, add: "on state PRE_COPY when=1 do hold setup")
            draft.plan.leg.schedule = [
                .wait(.held(.source, device: "v\(held)")),
                // The migration thread has the lock that the monitor needs.
                .request(.source, command: "migrate_cancel", nil), .open(.source, gate: "setup"),
            ]
            try draft.migrateAgain { $0.cancel = .inSetup }
        },
        Driver("cancel-waiting", "cancelled while only the last ACK is missing, then migrated again from the same process") { draft in
            draft.plan.leg.schedule = try draft.onlyTheLastACKIsMissing() + [.execute(.source, command: "migrate_cancel", nil)]
            try draft.migrateAgain { $0.cancel = .onlyTheAckIsMissing }
        },
        Driver("cancel-pre-switchover", "cancelled where it pauses before the switchover, then migrated again from the same process") {
            draft in
            draft.plan.source.capabilities["pause-before-switchover"] = true
            let paused = ScheduleStep.wait(.status(.source, "pre-switchover", times: 1))
            try draft.migrateAgain { $0.cancel = .inPreSwitchover }
            draft.plan.legs[0].schedule += [paused, .execute(.source, command: "migrate_cancel", nil)]
            draft.plan.legs[1].schedule += [paused, .execute(.source, command: "migrate-continue", ["state": "pre-switchover"])]
        },
        Driver("cancel-sent", "cancelled when everything is sent and the destination still loads it") { draft in
            let held = try draft.heldByGate()
            try draft.script(
                .destination, held, add: "on written \(2 * initialSize + draft.scenario.devices[held].reinits * reinitSize) do hold rest")
            draft.plan.leg.schedule += [
                .wait(.logged(.source, event: "migration_return_path_end_before", times: 1)),
                .wait(.held(.destination, device: "v\(held)")),
                .execute(.source, command: "migrate_cancel", nil),
            ]
            draft.scenario.cancel = .everythingIsSent
        },
        Driver("retry", "a migration that a late REINIT fails, then migrated again from the same process") { draft in
            try draft.migrateAgain { _ in }
            draft.scenario.late = nil
            draft.plan.legs[1].schedule = draft.recipe.schedule(draft.scenario)
        },
    ]
}

extension Draft {
    /// How many ACKs the source counts in an undisturbed migration.
    var acks: Int { predict(scenario).first?.acksCounted ?? 1 }

    /// Up to where the source has counted all ACKs but the last, which is all that keeps it from switching over.
    func onlyTheLastACKIsMissing() throws -> [ScheduleStep] {
        // Without a device it is the whole destination that is held.
        if recipe.isHalted(scenario) { return recipe.schedule(scenario).dropLast() }
        let steps = try recipe.onlyTheAckIsMissing(heldByGate())
        return acks > 1 ? steps + [.wait(.logged(.source, event: countedAck, times: acks - 1))] : steps
    }

    /// Lets the last device load on, and waits for every ACK.
    var everyACKComes: [ScheduleStep] { [.open(.destination, gate: "load"), .wait(.logged(.source, event: countedAck, times: acks))] }

    /// Makes what is planned a first leg, with this mishap, and the undisturbed migration a second one from the same process.
    mutating func migrateAgain(mishap: (inout Scenario) -> Void) throws {
        // The next attempt begins when nothing of this one is left.
        plan.leg.afterwards.append(.wait(.logged(.source, event: "migration_return_path_end_after", times: 1)))
        var failed = scenario
        mishap(&failed)
        earlier = [failed]
        var next = MigrationLeg(destination: plan.leg.destination)
        next.haltsDestination = plan.leg.haltsDestination
        next.limit = plan.leg.limit
        // A device's script lives as long as its process: all its re-initialisations were those of the first attempt.
        if scenario.devices.contains(where: { $0.reinits > 0 }) {
            for index in scenario.devices.indices { scenario.devices[index].reinits = 0 }
            for (index, device) in next.destination.devices.enumerated() {
                let script = recipe.destinationScript(scenario.devices[index], index, scenario)
                next.destination.devices[index].script = try DeviceScript(script, file: "\(device.name) destination")
            }
        }
        next.schedule = recipe.schedule(scenario)
        plan.legs.append(next)
    }
}
