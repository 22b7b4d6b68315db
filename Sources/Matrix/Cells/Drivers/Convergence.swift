/// A guest that writes the same pages at every tick, against a link that carries them faster, or does not.
import Plan
import Prediction

/// How often a second the guest writes its pages: several times in a window of 100 ms, but rarely compared with how fast an ample link is.
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

    /// The number of pages that a dirtying guest writes. A limited link carries them in three windows or more, so that it does not catch up
    /// even if the guest misses some ticks.
    var dirtyPages: Int {
        switch self {
        case .sixteenMiB: 1536
        case .ample, .oneMiB, .unlimited: 96
        }
    }
}

extension Recipe {
    /// The threshold in bytes: a byte above what is pending when nothing is left to send, as much, or a byte below; nil: ample. What a
    /// guest that writes has pending is not exact, and below that is less by most of its pages.
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
            // With a limited link no device data reaches the destination, where a gate could hold it.
            if draft.held == nil || recipe.choices.bandwidth.limitsLink {
                draft.gateNothing()
            }
        }
    ]
}
