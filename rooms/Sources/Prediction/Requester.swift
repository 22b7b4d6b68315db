/// A user of switchover-ack that is no VFIO device, and how it counts among the devices.

/// It has its marker to send, and needs nothing else of anybody: no initial bytes, no states.
package struct Requester: Hashable, Sendable {
    /// ACKs that it asks for while the source iterates.
    package var requests: Int
    /// ACKs that it asks for in the final query, when the source has decided: at the end of precopy or at the start of postcopy.
    package var late: Int

    package init(requests: Int, late: Int = 0) {
        self.requests = requests
        self.late = late
    }
}

/// Whoever takes part in the handshake.
struct User {
    /// It has markers to send.
    var marks: Bool
    /// The destination takes its markers.
    var isMarked: Bool
    /// ACKs that it asks for while the source iterates, where it is asked.
    var requests: Int
}

extension Scenario {
    /// The devices in plug order, and the requester behind them: the order of the counts in an `Outcome`.
    var users: [User] {
        let devices = devices.map { User(marks: $0.source.hasPrecopy, isMarked: $0.destination.hasPrecopy, requests: 1 + $0.reinits) }
        return devices + (requester.map { [User(marks: true, isMarked: true, requests: $0.requests)] } ?? [])
    }

    /// What a per-device source collects at its first query, where nothing comes after it.
    var firstRequests: [Int] {
        let asks = source.capability && source.mode == .perDevice
        return users.enumerated().map { index, user in
            guard asks, user.marks else { return 0 }
            return index < devices.count ? 1 : user.requests
        }
    }
}
