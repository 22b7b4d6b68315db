/// The order of events across the two sides, as it follows from contents.
///
/// The clocks of two hosts may differ by any amount, so only messages order the two logs: a marker is written before it is loaded, an ACK
/// is sent before it is counted, and a PING comes before its PONG. A log orders the entries of one thread. Every other order is open.

/// The streams of a trace. Each stream has its own order; only content edges order entries of two streams.
package enum StreamName: String, CaseIterable, Hashable, Sendable {
    case source
    /// The log of the mock devices on the host of the source.
    case sourceDevices = "source.devices"
    case destination
    case destinationDevices = "destination.devices"
}

/// One entry of a stream, by its number from 1; a fold counts as the entries that it stands for.
package struct EntryReference: Hashable, Sendable {
    package var stream: StreamName
    package var ordinal: Int

    package init(_ stream: StreamName, _ ordinal: Int) {
        self.stream = stream
        self.ordinal = ordinal
    }
}

/// An entry that is the cause of another.
package struct ContentEdge: Hashable, Sendable {
    package enum Kind: String, CaseIterable, Hashable, Sendable {
        /// A marker was written, and then loaded. Sources up to 11.0 do not print the marker, so they have no such edge.
        case marker
        /// A marker was loaded, and then approved.
        case approval
        /// A marker was approved, and then an ACK was sent.
        case ack
        /// An ACK was sent, and then the source counted it.
        case counted
        case ping
        case pong
    }

    package var kind: Kind
    package var from: EntryReference
    package var to: EntryReference

    package init(_ kind: Kind, from: EntryReference, to: EntryReference) {
        self.kind = kind
        self.from = from
        self.to = to
    }
}

/// The content edges of one migration, in the order of their effects; edges to the destination come first.
///
/// Devices are paired by the idstr of their sections, since their names differ between the sides. If a log has no events of sections,
/// devices are paired by the order in which they first appear, which is that of the sections. A log with several migrations gives the edges
/// of its last migration.
package func contentEdges(source: some Sequence<Entry>, destination: some Sequence<Entry>) -> [ContentEdge] {
    var sent = SourceContents()
    for (index, entry) in source.enumerated() { sent.see(entry, EntryReference(.source, index + 1)) }
    var received = DestinationContents()
    for (index, entry) in destination.enumerated() { received.see(entry, EntryReference(.destination, index + 1)) }

    var edges: [ContentEdge] = []
    for (loaded, marker) in pairedDevices(sent.devices, received.devices) {
        edges += zip(sent.markers[marker] ?? [], received.loads[loaded] ?? []).map { ContentEdge(.marker, from: $0, to: $1) }
    }
    edges += received.edges
    edges += zip(received.acks, sent.counted).map { ContentEdge(.counted, from: $0, to: $1) }
    for (value, pings) in sent.pings {
        edges += zip(pings, received.pings[value] ?? []).map { ContentEdge(.ping, from: $0, to: $1) }
    }
    for (value, pongs) in sent.pongs {
        edges += zip(received.pings[value] ?? [], pongs).map { ContentEdge(.pong, from: $0, to: $1) }
    }
    return edges.sorted {
        ($0.to.stream == .source ? 1 : 0, $0.to.ordinal, $0.from.ordinal) < (
            $1.to.stream == .source ? 1 : 0, $1.to.ordinal, $1.from.ordinal
        )
    }
}

/// The devices of a side, in the order in which they first appear, with the idstrs of their sections.
private struct DevicesSeen {
    var names: [String] = []
    var idstr: [String: String] = [:]

    mutating func see(_ name: String, in section: String?) {
        if !names.contains(name) { names.append(name) }
        if let section, idstr[name] == nil { idstr[name] = section }
    }
}

/// The names of each device on the destination and on the source.
private func pairedDevices(_ source: DevicesSeen, _ destination: DevicesSeen) -> [(destination: String, source: String)] {
    let named = !source.names.isEmpty && source.names.allSatisfy { source.idstr[$0] != nil }
    if named, destination.names.allSatisfy({ destination.idstr[$0] != nil }) {
        return destination.names.compactMap { name in
            source.names.first { source.idstr[$0] == destination.idstr[name] }.map { (name, $0) }
        }
    }
    return zip(destination.names, source.names).map { ($0, $1) }
}

private struct SourceContents {
    var devices = DevicesSeen()
    var markers: [String: [EntryReference]] = [:]
    var counted: [EntryReference] = []
    var pings: [UInt64: [EntryReference]] = [:]
    var pongs: [UInt64: [EntryReference]] = [:]
    private var section: String?

    mutating func see(_ entry: Entry, _ place: EntryReference) {
        guard let event = entry.event else { return }
        switch event {
        case .migrateSetState(.setup): self = SourceContents()
        case .vfioSaveSetup(let device, _): devices.see(device, in: nil)
        case .savevmSectionStart(let idstr, _): section = idstr
        case .savevmSectionEnd: section = nil
        case .vfioSaveIterateStart(let device), .vfioSaveIterate(let device, _, _): devices.see(device, in: section)
        case .vfioSendInitDataFlag(let device):
            devices.see(device, in: section)
            markers[device, default: []].append(place)
        case .sourceReturnPathThreadSwitchoverAcked: counted.append(place)
        case .savevmSendPing(let value): pings[value, default: []].append(place)
        case .sourceReturnPathThreadPong(let value): pongs[value, default: []].append(place)
        default: break
        }
    }
}

private struct DestinationContents {
    var devices = DevicesSeen()
    var loads: [String: [EntryReference]] = [:]
    var acks: [EntryReference] = []
    var pings: [UInt64: [EntryReference]] = [:]
    /// The edges between entries of the destination.
    var edges: [ContentEdge] = []
    private var sections: [UInt32: String] = [:]
    private var section: String?
    /// The last marker that has no approval yet, and the last approval that no ACK follows yet.
    private var marker: (device: String, place: EntryReference)?
    private var approval: EntryReference?

    mutating func see(_ entry: Entry, _ place: EntryReference) {
        guard let event = entry.event else { return }
        switch event {
        case .migrateSetState(.setup): self = DestinationContents()
        case .qemuLoadvmStateSectionStartFull(let number, let idstr, _, _):
            sections[number] = idstr
            section = idstr
        case .qemuLoadvmStateSectionPartEnd(let number): section = sections[number]
        case .qemuLoadvmStateSection: section = nil
        case .vfioLoadState(let device, let tag):
            devices.see(device, in: section)
            if tag == .initDataSent {
                loads[device, default: []].append(place)
                marker = (device, place)
            }
        case .loadvmApproveSwitchover(let approver), .loadvmApproveSwitchoverLegacy(let approver, _):
            approve(place, approver)
        case .loadvmApproveSwitchoverCounted: approve(place, nil)
        case .migrateSendRPMessage(.switchoverAck, _):
            acks.append(place)
            if let approval { edges.append(ContentEdge(.ack, from: approval, to: place)) }
            approval = nil
        case .loadvmProcessCommandPing(let value): pings[value, default: []].append(place)
        default: break
        }
    }

    private mutating func approve(_ place: EntryReference, _ approver: String?) {
        if let marker, approver == nil || approver == marker.device {
            edges.append(ContentEdge(.approval, from: marker.place, to: place))
        }
        marker = nil
        approval = place
    }
}

extension ContentEdge.Kind {
    /// The streams of the cause and of the effect.
    var streams: (StreamName, StreamName) {
        switch self {
        case .marker, .ping: (.source, .destination)
        case .approval, .ack: (.destination, .destination)
        case .counted, .pong: (.destination, .source)
        }
    }
}
