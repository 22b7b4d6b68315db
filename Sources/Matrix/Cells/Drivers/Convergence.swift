/// A guest that writes the same pages at every tick, against a link that carries them faster, or does not.
import Plan
import Prediction

/// How often a second the guest writes its pages: several times in a window of 100 ms, and rarely against the time of sending them freely.
private let hertz = 50

extension Bandwidth {
    /// `max-bandwidth`, in bytes a second; 0 is no limit.
    var maxBandwidth: Int64 {
        switch self {
        case .ample: 1 << 30
        case .oneMiB: 1 << 20
        case .sixteenMiB: 16 << 20
        case .unlimited: 0
        }
    }

    /// True if the link carries less in a window of 100 ms than a dirtying guest writes anew.
    var limitsLink: Bool {
        switch self {
        case .oneMiB, .sixteenMiB: true
        case .ample, .unlimited: false
        }
    }

    /// The pages that a dirtying guest writes: where the link is limited, what it carries in three windows or more. Not even a guest that
    /// misses some ticks lets it catch up.
    var dirtyPages: Int {
        switch self {
        case .sixteenMiB: 1536
        case .ample, .oneMiB, .unlimited: 96
        }
    }
}

extension Recipe {
    /// The bytes of a threshold that is a byte above or below what is pending when nothing is left to send, or at it. A guest that writes
    /// cannot be met so exactly: below it is what a few of its pages are.
    func threshold(_ scenario: Scenario) -> Int? {
        let pages = scenario.dirtying == nil ? 0 : choices.bandwidth.dirtyPages * 4096
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
            draft.scenario.dirtying = Dirtying(outpacesLink: recipe.choices.bandwidth.limitsLink)
            let firmware = Firmware.dirtying(pages: recipe.choices.bandwidth.dirtyPages, hertz: hertz)
            draft.plan.source.firmware = firmware
            draft.plan.leg.destination.firmware = firmware
            recipe.setThreshold(draft.scenario, &draft.plan.source)
            if let address = firmware.lastWord { draft.plan.leg.before = [.wait(.guestWrote(.source, address: address))] }
            draft.plan.leg.haltsDestination = false
            // Where the link is limited nothing of a device reaches the destination that a gate could hold.
            if draft.held == nil || recipe.choices.bandwidth.limitsLink {
                draft.gateNothing()
            }
        }
    ]
}
