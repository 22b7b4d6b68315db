/// Cancelled and failed migrations, and the next attempt of the same source.
import Plan
import Prediction
import VFIO

extension Driver {
    static let cancelDrivers = [
        Driver("cancel-connecting", "cancelled while it connects to the destination; where that ends, then migrated again") { draft in
            draft.plan.source.connectGate = "network"
            draft.plan.leg.schedule = []
            if draft.scenario.source.knowsPerDevice {
                draft.cancel(.connecting, by: [migrateCancel, .open(.source, gate: "network")])
            } else {
                // The source is cancelled at once, and then all gates open.
                draft.plan.leg.schedule = [migrateCancel]
                try draft.migrateAgain { $0.cancel = .connecting }
            }
        },
        Driver("cancel-setup", "cancelled while a device goes to PRE_COPY, then migrated again from the same process") { draft in
            let held = try draft.heldByGate()
            try draft.script(.source, held, add: "on state PRE_COPY when=1 do hold setup")
            draft.plan.leg.schedule = [
                .wait(.held(.source, device: "v\(held)")),
                // The migration thread holds the lock that the monitor needs.
                .request(.source, command: "migrate_cancel", nil), .open(.source, gate: "setup"),
            ]
            try draft.migrateAgain { $0.cancel = .inSetup }
        },
        Driver("cancel-waiting", "cancelled while only the last ACK is missing, then migrated again from the same process") { draft in
            draft.plan.leg.schedule = try draft.onlyTheLastACKIsMissing() + [migrateCancel]
            try draft.migrateAgain { $0.cancel = .onlyTheAckIsMissing }
        },
        Driver("cancel-pre-switchover", "cancelled where it pauses before the switchover, then migrated again from the same process") {
            draft in
            draft.plan.source.capabilities["pause-before-switchover"] = true
            let paused = ScheduleStep.wait(.status(.source, "pre-switchover", times: 1))
            try draft.migrateAgain { $0.cancel = .inPreSwitchover }
            draft.plan.legs[0].schedule += [paused, migrateCancel]
            draft.plan.legs[1].schedule += [paused, .execute(.source, command: "migrate-continue", ["state": "pre-switchover"])]
        },
        Driver("cancel-sent", "cancelled when everything is sent and the destination still loads it") { draft in
            let held = try draft.heldByGate()
            try draft.script(
                .destination, held, add: "on written \(2 * initialSize + draft.scenario.devices[held].reinits * reinitSize) do hold rest")
            draft.cancel(
                .everythingIsSent,
                by: [
                    .wait(.logged(.source, event: "migration_return_path_end_before", times: 1)),
                    .wait(.held(.destination, device: "v\(held)")), migrateCancel,
                ])
        },
        Driver("retry", "a migration that a late REINIT fails, then migrated again from the same process") { draft in
            try draft.migrateAgain { _ in }
            draft.replan(leg: 1) { $0.late = nil }
        },
    ]
}

private let migrateCancel = ScheduleStep.execute(.source, command: "migrate_cancel", nil)

extension Draft {
    /// Steps until the source has counted all ACKs but the last one, and nothing else keeps it from switching over.
    func onlyTheLastACKIsMissing() throws -> [ScheduleStep] {
        // Without a device the whole destination is halted.
        if recipe.isHalted(scenario) { return recipe.schedule(scenario).dropLast() }
        let acks = recipe.arrangedACKs(scenario)
        let steps = try recipe.onlyTheAckIsMissing(heldByGate())
        return acks > 1 ? steps + [.wait(.logged(.source, event: countedAck, times: acks - 1))] : steps
    }

    /// Steps that let the last device load, and wait until the source has counted every ACK.
    var everyACKComes: [ScheduleStep] {
        [.open(.destination, gate: "load"), .wait(.logged(.source, event: countedAck, times: recipe.arrangedACKs(scenario)))]
    }

    /// Has the manager cancel the only leg: the steps, behind those that are planned, bring it to this moment.
    mutating func cancel(_ moment: Cancel, by steps: [ScheduleStep]) {
        plan.leg.schedule += steps
        scenario.cancel = moment
    }

    /// Changes what decides the outcome of a leg, and plans its schedule anew.
    mutating func replan(leg: Int, change: (inout Scenario) -> Void) {
        change(&scenarios[leg])
        plan.legs[leg].schedule = recipe.schedule(scenarios[leg])
    }

    /// Makes the planned leg end early, as `change` says of its scenario, and adds a leg that migrates again, undisturbed, from the same
    /// source.
    mutating func migrateAgain(after change: (inout Scenario) -> Void) throws {
        // The next attempt begins when nothing of the first one is left.
        plan.leg.afterwards.append(.wait(.logged(.source, event: "migration_return_path_end_after", times: 1)))
        var again = scenario
        change(&scenario)
        var next = MigrationLeg(destination: plan.leg.destination)
        next.haltsDestination = plan.leg.haltsDestination
        next.limit = plan.leg.limit
        // A device's script lives as long as its process, so that all of its REINITs come in the first attempt.
        if again.devices.contains(where: { $0.reinits > 0 }) {
            for index in again.devices.indices { again.devices[index].reinits = 0 }
            for (index, device) in next.destination.devices.enumerated() {
                let script = recipe.destinationScript(again.devices[index], index, again)
                next.destination.devices[index].backend = .mock(try DeviceScript(script, file: "\(device.name) destination"))
            }
        }
        next.schedule = recipe.schedule(again)
        plan.legs.append(next)
        scenarios.append(again)
    }
}
