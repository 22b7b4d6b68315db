/// A failure put into a migration of the engine: at which place, and what fails there.
import Plan
import VFIO

/// A point that a migration passes, which a run without failure has counted.
package struct FaultPlace: Hashable, Sendable {
    package enum Point: Hashable, Sendable {
        /// A call on a device, by the name that scripts have for it.
        case call(Role, device: String, name: String)
        /// An element that the source writes.
        case element
        /// A message that the destination writes.
        case message
        /// A side's migration enters a status.
        case status(Role, String)
        /// A thread of either side is about to take a step.
        case step
    }

    package let point: Point
    /// The first is 1, of all of the same point.
    package let number: Int

    package init(_ point: Point, _ number: Int) {
        self.point = point
        self.number = number
    }
}

package enum Fault: String, CaseIterable, Hashable, Sendable {
    /// The call fails with EIO, and does not reach the device.
    case eio
    /// And so does the call that is to bring the device into its recover state; a reset works.
    case eioRecovery = "eio-recovery"
    /// The connection breaks, for both ends (`Channel.breakOff`).
    case breaks = "break"
    /// `migrate_cancel` at the source.
    case cancel
    /// The destination's process is killed, when the step at hand is over.
    case kill
}

/// `source.v0.set-state.2:eio`, `forward.7:break`, `back.1:break`, `source.device.1:cancel`, `step.300:cancel`.
package struct Injection: Hashable, Sendable, LosslessStringConvertible {
    package let place: FaultPlace
    package let fault: Fault

    package init(_ place: FaultPlace, _ fault: Fault) {
        self.place = place
        self.fault = fault
    }

    package var description: String {
        let point =
            switch place.point {
            case .call(let role, let device, let name): "\(role.rawValue).\(device).\(name)"
            case .element: "forward"
            case .message: "back"
            case .status(let role, let status): "\(role.rawValue).\(status)"
            case .step: "step"
            }
        return "\(point).\(place.number):\(fault.rawValue)"
    }

    package init?(_ text: String) {
        let halves = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard halves.count == 2, let fault = Fault(rawValue: halves[1]) else { return nil }
        var words = halves[0].split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        guard let last = words.popLast(), let number = Int(last), number > 0, let first = words.first else { return nil }
        let point: FaultPlace.Point
        switch (words.count, Role(rawValue: first)) {
        case (1, nil) where first == "forward": point = .element
        case (1, nil) where first == "back": point = .message
        case (1, nil) where first == "step": point = .step
        case (2, let role?): point = .status(role, words[1])
        case (3, let role?): point = .call(role, device: words[1], name: words[2])
        default: return nil
        }
        guard Self.faults(at: point).contains(fault) else { return nil }
        self.init(FaultPlace(point, number), fault)
    }

    /// What can fail at a point.
    package static func faults(at point: FaultPlace.Point) -> [Fault] {
        switch point {
        // Nothing but a refused state has a recover state.
        case .call(_, _, DeviceCallName.setState.rawValue): [.eio, .eioRecovery]
        case .call: [.eio]
        case .element, .message: [.breaks]
        case .status(.source, _): [.breaks, .cancel, .kill]
        case .status(.destination, _): [.breaks, .kill]
        case .step: [.breaks, .cancel]
        }
    }
}

/// A place that was passed, and what it was there: places of one kind repeat.
package struct PassedPlace: Hashable, Sendable {
    package let place: FaultPlace
    package let kind: String
}
