/// Cancelled migrations, and the next attempt of the same source.
import Peers
import Prediction

extension Driver {
    static let cancelDrivers = [
        Driver("cancel-waiting", "cancelled while only the ACK is missing, then migrated again from the same process") { draft in
            guard let held = draft.held else { return }
            let retry = MigrationLeg(destination: draft.plan.leg.destination)
            draft.plan.leg.schedule =
                draft.recipe.onlyTheAckIsMissing(held) + [.execute(.source, command: "migrate_cancel", nil)]
            var cancelled = draft.scenario
            cancelled.cancel = .onlyTheAckIsMissing
            draft.earlier = [cancelled]
            draft.plan.legs.append(retry)
            draft.plan.legs[1].schedule = draft.recipe.schedule(draft.scenario)
            draft.plan.legs[1].limit = draft.plan.leg.limit
        }
    ]
}
