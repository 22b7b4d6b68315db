/// What a manager changes around a migration: devices plugged before it, and what it may and may not change while it runs.
import Plan
import Prediction

extension Driver {
    static let changeDrivers = [
        Driver("hotplug", "the last device is plugged just before, and nothing is plugged or unplugged while the migration runs") { draft in
            let last = draft.scenario.devices.count - 1
            guard last >= 0 else { return }
            draft.plan.source.devices[last].isPluggedLater = true
            // With another plug order the device has another position at the destination.
            let name = draft.plan.source.devices[last].name
            guard let there = draft.plan.leg.destination.devices.firstIndex(where: { $0.name == name }) else { return }
            draft.plan.leg.destination.devices[there].isPluggedLater = true
            draft.plan.leg.before = [
                .execute(.source, command: "device_add", draft.plan.source.plugging(last)),
                .execute(.destination, command: "device_add", draft.plan.leg.destination.plugging(there)),
            ]
            draft.whileOnlyTheAckIsMissing([
                .refused(
                    .source, command: "device_add", ["driver": "virtio-rng-pci", "id": "another"],
                    words: "device_add not allowed while migrating"),
                .refused(.source, command: "device_del", ["id": .string(name)], words: "device_del not allowed while migrating"),
            ])
        },
        Driver("parameters", "what may be changed while the migration runs is changed, and what may not is refused") { draft in
            let window = ScheduleStep.wait(.furtherLogged(.source, event: "migrate_transferred", times: 1))
            func set(_ parameters: JSONValue) -> ScheduleStep { .execute(.source, command: "migrate-set-parameters", parameters) }
            draft.whileOnlyTheAckIsMissing(
                ["switchover-ack", "return-path", "multifd"].map { name in
                    .refused(
                        .source, command: "migrate-set-capabilities",
                        ["capabilities": [["capability": .string(name), "state": .bool(name == "multifd")]]],
                        words: "There's a migration process in progress")
                } + [
                    set(["max-bandwidth": .integer(512 << 20), "downtime-limit": 200]),
                    // With the threshold below what is pending, the ACK alone does not free the source.
                    set(["avail-switchover-bandwidth": .integer(10_000)]), window,
                ])
            let acks = draft.recipe.arrangedACKs(draft.scenario)
            guard acks > 0, draft.held != nil else { return }
            draft.plan.leg.schedule += [
                .wait(.logged(.source, event: countedAck, times: acks)), window,
                set(["avail-switchover-bandwidth": .integer(512 << 20)]),
            ]
        },
    ]
}

extension Draft {
    /// Inserts steps before the step that lets the last ACK come.
    fileprivate mutating func whileOnlyTheAckIsMissing(_ steps: [ScheduleStep]) {
        let release = plan.leg.schedule.lastIndex {
            switch $0 {
            case .open(.destination, gate: "load"), .resumeDestination: true
            default: false
            }
        }
        if let release { plan.leg.schedule.insert(contentsOf: steps, at: release) }
    }
}
