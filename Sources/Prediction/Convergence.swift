/// Whether the pending bytes fit the threshold at some point: thresholds that differ from them by a byte, a guest that writes its memory
/// faster than the link carries it, and devices that never stop re-initialising.

/// The threshold against what is pending when nothing is left to send: the devices' stop-copy size, and what the guest writes meanwhile.
package enum Threshold: String, CaseIterable, Hashable, Sendable {
    /// By a byte.
    case above, at, below
}

/// A guest that goes on writing the same pages.
package struct Dirtying: Hashable, Sendable {
    /// The link carries less in a window than these pages are, and so RAM uses all of it up, window for window.
    package var outpacesLink: Bool

    package init(outpacesLink: Bool) { self.outpacesLink = outpacesLink }
}

extension Scenario {
    /// With every ACK there, some query finds what is pending within the threshold.
    var converges: Bool {
        if estimate == .aboveThreshold { return false }
        // Sent faster than it is written anew, the guest's memory counts nothing at some query; the threshold is then above the rest.
        if let dirtying, !dirtying.outpacesLink { return true }
        switch threshold {
        case nil, .above?: return true
        // Up to 10.0 `<` decides, from 10.1 on `<=` (10.0.13, 11.1.3).
        case .at?: return source.decidesAtThreshold
        case .below?: return false
        }
    }

    /// RAM comes first in each window. Within the threshold every step looks anew at what the guest has written, so that RAM is never
    /// through, and the devices' initial bytes, the marker and the ACK never come (10.0.13, 11.1.3).
    var starvesDevices: Bool {
        dirtying?.outpacesLink == true && source.capability && devices.contains { $0.source.hasPrecopy }
    }

    /// A REINIT at every query that finds the initial bytes drained requests another ACK before the decision. Legacy mode takes no notice.
    package var requestsForever: Bool {
        reinitsForever && source.capability && source.mode == .perDevice && devices.contains { $0.source == .reinit }
    }
}
