/// A user of switchover-ack that is no VFIO device, and how it counts among the devices.

/// A requester sends markers, and has neither initial bytes nor device states.
package struct Requester: Hashable, Sendable {
    /// The number of ACKs that the requester requests while the source iterates.
    package var requests: Int
    /// The number of ACKs that it requests in the final query, after the decision: at the end of precopy or at the start of postcopy.
    package var late: Int

    package init(requests: Int, late: Int = 0) {
        self.requests = requests
        self.late = late
    }
}

/// A participant of the handshake: a VFIO device or another requester.
struct User {
    /// True if the user sends markers.
    var marks: Bool
    /// True if the destination takes its markers.
    var isMarked: Bool
    /// The number of ACKs that the user requests while a per-device source iterates.
    var requests: Int
}

extension Scenario {
    /// The devices in plug order, then the requester: the order of the counts in an `Outcome`.
    var users: [User] {
        let devices = devices.enumerated().map { index, device -> User in
            let isAskedAgain = late == .decidingQuery && device.source == .reinit && index == self.devices.count - 1
            return User(
                marks: device.source.hasPrecopy, isMarked: device.destination.hasPrecopy,
                requests: 1 + device.reinits + (isAskedAgain ? 1 : 0))
        }
        return devices + (requester.map { [User(marks: true, isMarked: true, requests: $0.requests)] } ?? [])
    }

    /// By user: the requests that a per-device source collects at its first query.
    var firstRequests: [Int] {
        let asks = source.capability && source.mode == .perDevice
        return users.enumerated().map { index, user in
            guard asks, user.marks else { return 0 }
            return index < devices.count ? 1 : user.requests
        }
    }
}
