/// A device that re-initialises again and again, each time after a certain quiet: how long must it be quiet for a migration to end?
///
/// A device script knows no clock. Here a precopy query takes a stated time, and the source, which has nothing else to do while it waits,
/// asks one after the other: so a number of queries is a time. On the destination the new initial bytes are one write of a stated time.
import MigrationTrace
import Plan

package struct ReinitStream: Hashable, Sendable, Codable {
    package var queryMilliseconds = 1
    package var loadMilliseconds = 50
    /// Queries without a REINIT after the initial bytes are drained.
    package var quietQueries = [0, 10, 20, 30, 40, 45, 50, 55, 60, 80, 100]
    /// REINITs after which a source that was never free to decide is taken never to be: the device goes on like this forever.
    package var enough = 40

    package init() {}

    static let initialBytes = 16 << 10

    package func sourceScript(quietQueries: Int) -> String {
        """
        ackmatrix-device 1
        has precopy p2p reinit
        initial \(Self.initialBytes)
        stop-copy 32K
        cost precopy-info \(queryMilliseconds)ms
        on query \(quietQueries + 1) do reinit \(Self.initialBytes)

        """
    }

    package var destinationScript: String { "ackmatrix-device 1\nhas precopy p2p reinit\ncost write \(loadMilliseconds)ms\n" }
}

/// How a migration under a stream of REINITs went.
package struct StreamRun: Hashable, Sendable, Codable {
    package enum End: String, Hashable, Sendable, Codable {
        case completed
        /// A REINIT came at the last check, with the guest stopped already.
        case failedAtLastCheck = "failed at the last check"
        case neverFree = "does not converge"
    }

    package var quietQueries: Int
    package var end: End
    package var reinits: Int
    /// Milliseconds, measured: from drained to the next REINIT, and from the marker written to its ACK counted. Medians; nil without one.
    package var quiet: Double?
    package var acknowledgement: Double?
    /// Milliseconds to the source's final status, or to where it was broken off.
    package var migration: Double
}

/// Takes the source's events of such a migration, each with the time of its line.
package struct StreamAccount: Sendable {
    private var drained: Int64?
    private var quiets: [Double] = []
    private var markers: [Int64] = []
    private var waits: [Double] = []
    package private(set) var reinits = 0

    package init() {}

    package mutating func take(_ event: Event, at time: Int64, from stream: StreamName) {
        switch (stream, event) {
        case (.sourceDevices, .deviceDrained): drained = time
        case (.sourceDevices, .deviceInjected(_, _, "reinit", _)):
            reinits += 1
            if let drained { quiets.append(Double(time - drained) / 1e6) }
        case (.source, .vfioSendInitDataFlag): markers.append(time)
        // ACKs carry no name, but come in the order of their markers.
        case (.source, .sourceReturnPathThreadSwitchoverAcked):
            if waits.count < markers.count { waits.append(Double(time - markers[waits.count]) / 1e6) }
        default: break
        }
    }

    package var quiet: Double? { Spread(quiets)?.median }
    /// Of the first marker alone: a later one may wait behind others.
    package var acknowledgement: Double? { waits.first }
}

/// Ends a migration that has seen enough of the stream.
struct StreamWatcher: MigrationWatcher {
    let enough: Int
    private var requests = 0

    init(enough: Int) { self.enough = enough }

    mutating func take(_ event: Event, from stream: StreamName, line: Int) {
        if case .vfioQueryPrecopySizeRequestSwitchoverAck = event { requests += 1 }
    }

    func endlessProof(armed: String?) -> String? {
        requests < enough
            ? nil : "\(requests) REINITs, each before the source was free to decide, and the device goes on like this forever"
    }
}
