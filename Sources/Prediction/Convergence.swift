/// Convergence: does what is pending ever fit the threshold? Thresholds that differ from it by a byte, a guest that writes its memory
/// faster than the link carries it, and devices that never stop re-initialising.

/// The threshold against what is pending when nothing is left to send: the devices' stop-copy size and what the guest writes meanwhile.
package enum Threshold: String, CaseIterable, Hashable, Sendable {
    /// A byte more than that, as much, or a byte less.
    case above, at, below
}

/// A guest that writes the same pages again and again.
package struct Dirtying: Hashable, Sendable {
    /// True if the pages are more than the link carries in a window, so that RAM uses up every window.
    package var outpacesLink: Bool

    package init(outpacesLink: Bool) { self.outpacesLink = outpacesLink }
}

extension Scenario {
    /// True if some query finds what is pending within the threshold once every ACK is counted.
    var converges: Bool {
        if estimate == .aboveThreshold { return false }
        // The link sends the pages faster than the guest writes them, so that at some query none is pending; the threshold is above the
        // rest.
        if let dirtying, !dirtying.outpacesLink { return true }
        switch threshold {
        case nil, .above?: return true
        // Up to 10.0 `<` decides, from 10.1 on `<=` (10.0.13, 11.1.3).
        case .at?: return source.decidesAtThreshold
        case .below?: return false
        }
    }

    /// True if RAM leaves the devices nothing of the link, so that initial bytes, marker and ACK never come. RAM comes first in each
    /// window, and looks anew at what the guest has written in every step, so that it never finishes (10.0.13, 11.1.3).
    var starvesDevices: Bool {
        dirtying?.outpacesLink == true && source.capability && devices.contains { $0.source.hasPrecopy }
    }

    /// True if REINITs request ACKs without end: one at every query that finds the initial bytes drained. Legacy mode ignores a REINIT.
    package var requestsForever: Bool {
        reinitsForever && source.capability && source.mode == .perDevice && devices.contains { $0.source == .reinit }
    }
}
