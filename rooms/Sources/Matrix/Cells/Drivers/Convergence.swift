/// A guest that writes the same pages at every tick, against a link that carries them faster, or does not.
import Plan
import Prediction

/// How often a second the guest writes its pages: several times in a window of 100 ms, and rarely against the time of sending them freely.
private let hertz = 50

extension Recipe {
    /// The pages that a dirtying guest writes: where the link is limited, what it carries in three windows or more. Not even a guest that
    /// misses some ticks lets it catch up.
    var dirtyPages: Int { selection["bandwidth"] == "16M" ? 1536 : 96 }

    /// `max-bandwidth`; 0 is no limit.
    var bandwidth: Int64 {
        switch selection["bandwidth"] {
        case "1M": 1 << 20
        case "16M": 16 << 20
        case "unlimited": 0
        default: 1 << 30
        }
    }

    /// It carries less in a window of 100 ms than the guest writes anew.
    var limitsLink: Bool { ["1M", "16M"].contains(selection["bandwidth"]) }

    /// The bytes of a threshold that is a byte above or below what is pending when nothing is left to send, or at it. A guest that writes
    /// cannot be met so exactly: below it is what a few of its pages are.
    func threshold(_ scenario: Scenario) -> Int? {
        let pages = scenario.dirtying == nil ? 0 : dirtyPages * 4096
        let pending = scenario.devices.count * stopCopySize + pages
        switch scenario.threshold {
        case nil: return nil
        case .above?: return pending + 1
        case .at?: return pending
        case .below?: return pending - max(pages * 15 / 16, 1)
        }
    }
}

extension Driver {
    static let convergenceDrivers = [
        Driver("dirties-memory", "the guest writes the same pages at every tick, more of them than a limited link carries in a window") {
            draft in
            let recipe = draft.recipe
            draft.scenario.dirtying = Dirtying(outpacesLink: recipe.limitsLink)
            let firmware = Firmware.dirtying(pages: recipe.dirtyPages, hertz: hertz)
            draft.plan.source.firmware = firmware
            draft.plan.leg.destination.firmware = firmware
            recipe.setThreshold(draft.scenario, &draft.plan.source)
            if let address = firmware.lastWord { draft.plan.leg.before = [.wait(.guestWrote(.source, address: address))] }
            draft.plan.leg.haltsDestination = false
            // Where the link is limited nothing of a device reaches the destination that a gate could hold.
            if draft.held == nil || recipe.limitsLink {
                draft.scenario.isGated = false
                draft.plan.leg.schedule = []
            }
        }
    ]
}
