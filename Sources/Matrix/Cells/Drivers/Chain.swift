/// Chains: the destination of a migration is the source of the next one.
import Plan
import Prediction

extension Driver {
    static let chainDrivers = [
        Driver("chain-back", "migrated to the destination, and from there back to a fresh process of the source's binary") { draft in
            var home = draft.plan.source
            home.devices = draft.plan.leg.destination.devices
            home.parameters = [:]
            try draft.migrateOn(to: home, draft.scenario.source)
        },
        Driver("chain-on", "migrated to the destination, and from there on to another process of its binary") { draft in
            try draft.migrateOn(to: draft.plan.leg.destination, draft.scenario.destination)
        },
    ]
}

extension Draft {
    /// Adds a leg from the destination to another process.
    fileprivate mutating func migrateOn(to next: SideConfiguration, _ side: Scenario.Side) throws {
        var onward = scenario
        onward.source = scenario.destination
        onward.destination = side
        onward.isGated = recipe.heldDevice(onward) != nil || recipe.isHalted(onward)
        var leg = MigrationLeg(destination: next, origin: .lastDestination)
        leg.schedule = recipe.schedule(onward)
        leg.haltsDestination = recipe.isHalted(onward)
        leg.limit = plan.leg.limit
        for (index, device) in onward.devices.enumerated() where device.reinits > 0 {
            try script(.destination, index, add: "on query 2 when=1..\(device.reinits) do reinit \(reinitSize)")
        }
        // The first destination becomes the source of the second leg.
        plan.leg.destination.parameters = plan.source.parameters
        plan.legs.append(leg)
        scenarios.append(onward)
    }
}
