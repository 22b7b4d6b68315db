/// A user of switchover-ack that is no VFIO device: it requests ACKs at the queries that its script names.
import MigrationStream
import SwitchoverProtocol

/// When a requester requests ACKs, and how many at once.
package struct RequesterScript: Sendable {
    package struct Request: Hashable, Sendable {
        /// The number of the query; the first one of a migration is 1, and estimates and exact queries count alike.
        package var query: Int
        package var count: UInt32

        package init(query: Int, count: UInt32 = 1) {
            self.query = query
            self.count = count
        }
    }

    package var requests: [Request]
    /// The ACKs that are requested in the first exact query that finds this gate of the host open.
    package var whenOpen: (gate: String, count: UInt32)?
    /// The ACKs that are requested in the final query, of a precopy completion or of a postcopy start: either fails, and the source runs
    /// on.
    package var inFinalQuery: UInt32
    /// How many PARTs are sent between a request and its markers.
    package var markerDelay: Int

    package init(_ requests: [Request] = [], inFinalQuery: UInt32 = 0, markerDelay: Int = 0) {
        self.requests = requests
        self.inFinalQuery = inFinalQuery
        self.markerDelay = markerDelay
    }
}

package final class Requester: SaveVMHandlers {
    package let idstr: String
    package let isIterable = true
    package let script: RequesterScript
    /// The name in the destination's traces: `name`, or the idstr of a requester without one.
    package let approver: String
    /// False if the core itself tells the destination of each request.
    private let sendsMarkers: Bool

    private var queries = 0
    /// True if the ACKs of `whenOpen` were requested.
    private var hasRequestedAtGate = false
    /// The requested ACKs whose markers are to be sent, with the number of PARTs until then.
    private var markers: [(parts: Int, count: UInt32)] = []
    /// How many markers were sent in this migration.
    package private(set) var markersSent: UInt64 = 0
    /// How many ACKs were requested in this migration.
    package private(set) var requested: UInt64 = 0

    package init(idstr: String, name: String? = nil, _ script: RequesterScript = RequesterScript(), sendsMarkers: Bool = true) {
        self.idstr = idstr
        self.script = script
        self.sendsMarkers = sendsMarkers
        approver = name ?? idstr
    }

    // MARK: Source

    /// Begins a migration. In legacy mode no ACK is requested, and one marker is sent all the same.
    package func saveSetup(_ call: inout Call) throws(ModuleError) -> Progress {
        let isLegacy = call.host.has(.switchoverAck) && !call.host.countsRequests
        (queries, markersSent, requested, hasRequestedAtGate) = (0, 0, 0, false)
        markers = []
        if isLegacy { markers.append((script.markerDelay, 1)) }
        call.payload.append(.end)
        return .done
    }

    package func saveQueryPending(
        _ pending: inout PendingBytes, exact: Bool, final: Bool, _ call: inout Call
    ) throws(ModuleError) -> Progress {
        queries += 1
        guard call.host.countsRequests else { return .done }
        var count = script.requests.reduce(final ? script.inFinalQuery : 0) { $0 &+ ($1.query == queries ? $1.count : 0) }
        if exact, !final, !hasRequestedAtGate, let later = script.whenOpen, call.host.isOpen(later.gate) {
            count &+= later.count
            hasRequestedAtGate = true
        }
        guard count > 0 else { return .done }
        pending.requests &+= count
        requested += UInt64(count)
        markers.append((script.markerDelay, count))
        return .done
    }

    package func saveLiveIterate(budget: Int, _ call: inout Call) throws(ModuleError) -> Progress {
        for index in markers.indices { markers[index].parts -= 1 }
        let due = markers.filter { $0.parts < 0 }.reduce(0) { $0 + UInt64($1.count) }
        markers.removeAll { $0.parts < 0 }
        if sendsMarkers, !call.host.announcesRequests {
            for _ in 0..<due {
                markersSent += 1
                call.payload.append(.note(markersSent))
            }
        }
        call.payload.append(.end)
        return .done(markers.isEmpty ? 1 : 0)
    }

    package var initialDataIsSent: Bool { markers.isEmpty }

    package func saveComplete(_ call: inout Call) throws(ModuleError) -> Progress {
        call.payload.append(.end)
        return .done
    }

    package func saveCleanup(_ call: inout Call) -> Progress {
        markers = []
        return .done
    }

    // MARK: Destination

    package var switchoverAckNeeded: Bool { true }

    package func loadSetup(_ call: inout Call) throws(ModuleError) -> Progress {
        call.host.requestLegacyAck(approver)
        return .done
    }

    package func loadState(_ record: SectionRecord, _ call: inout Call) throws(ModuleError) -> Progress {
        switch record {
        case .note:
            guard call.host.has(.switchoverAck) else {
                throw ModuleError("\(approver): a marker has arrived, but switchover ack is not used", result: -22)
            }
            try call.host.approveSwitchover(approver)
        case .end: break
        default: throw ModuleError("\(idstr): the section does not have \(record)", result: -22)
        }
        return .done
    }
}
