/// Makes the canonical sequence of a migration out of its typed events, taken one by one, each stream in its own order.
///
/// State is bounded: by device, and by `ProtocolSequence.mostSteps` for each thread.
import MigrationTrace

package struct ProtocolOrder: Sendable {
    private var source: SourceOrder
    private var destination: DestinationOrder
    private var sourceDevices: DeviceOrder
    private var destinationDevices: DeviceOrder

    /// `sourceIdstrs`: section idstrs by every name that a device of that side may have in its logs; others are learnt from the sections.
    package init(sourceIdstrs: [String: String] = [:], destinationIdstrs: [String: String] = [:]) {
        source = SourceOrder(sourceIdstrs)
        destination = DestinationOrder(destinationIdstrs)
        sourceDevices = DeviceOrder(isSource: true)
        destinationDevices = DeviceOrder(isSource: false)
    }

    /// The next event of the place's stream.
    package mutating func take(_ event: Event, at place: Place) {
        guard case .compared = event.relevance else { return }
        switch place.stream {
        case .source: source.take(event, at: place)
        case .destination: destination.take(event, at: place)
        case .sourceDevices: sourceDevices.take(event, at: place)
        case .destinationDevices: destinationDevices.take(event, at: place)
        }
    }

    /// What was done so far.
    package func sequence() -> ProtocolSequence {
        var sequence = ProtocolSequence()
        // What a device that goes on working has left at the end depends on when the end is.
        let working = Set(source.working.union(sourceDevices.working).map(source.names.idstr(of:)))
        source.finished.add(to: &sequence, names: source.names, working: working)
        destination.steps.add(to: &sequence, names: destination.names, working: working)
        // A program that is taken down stops its devices: that is no part of the migration.
        sourceDevices.steps(before: source.isQuitting ? source.stateChanges : nil, names: source.names).add(
            to: &sequence, names: source.names, working: working)
        destinationDevices.steps(before: destination.isQuitting ? destination.stateChanges : nil, names: destination.names).add(
            to: &sequence, names: destination.names, working: working)
        return sequence
    }
}

extension ProtocolSequence {
    /// Of a recorded migration. `names`: further names of its devices, as in `ProtocolOrder.init`.
    package init(_ trace: Trace, sourceNames: [String: String] = [:], destinationNames: [String: String] = [:]) {
        let known = Circumstances(trace.header)
        var order = ProtocolOrder(
            sourceIdstrs: known.sourceIdstrs.merging(sourceNames) { $1 },
            destinationIdstrs: known.destinationIdstrs.merging(destinationNames) { $1 })
        for stream in StreamName.allCases {
            var line = 0
            for entry in trace[stream] {
                line += 1
                if let event = entry.event { order.take(event, at: Place(stream: stream, line: line)) }
            }
        }
        self = order.sequence()
    }
}

/// Steps as they are taken down: what a device's section is called may only show later.
struct StepDrafts: Sendable {
    struct Draft: Sendable {
        var what: String
        /// Bytes that came with it; not told of a device that goes on working.
        var bytes: UInt64?
        var device: String?
        var event: String
        var place: Place
    }

    let isSource: Bool
    private(set) var threads: [ProtocolThread.Role: [Draft]] = [:]
    /// Steps beyond the most that are kept.
    private(set) var omitted: [ProtocolThread.Role: Int] = [:]

    init(isSource: Bool) { self.isSource = isSource }

    /// `once`: not if it is what the thread did last.
    mutating func add(
        _ role: ProtocolThread.Role, _ event: Event, _ arguments: String = "", bytes: UInt64? = nil, of device: String? = nil,
        at place: Place, once: Bool = false
    ) {
        let name = event.name
        add(
            role,
            Draft(what: arguments.isEmpty ? name : "\(name) \(arguments)", bytes: bytes, device: device, event: name, place: place),
            once: once)
    }

    mutating func add(_ role: ProtocolThread.Role, _ draft: Draft, once: Bool = false) {
        let count = threads[role]?.count ?? 0
        guard count < ProtocolSequence.mostSteps, threads.count < 4 * SourceDevices.most else {
            omitted[role, default: 0] += 1
            return
        }
        if once, let last = threads[role]?.last, last.what == draft.what, last.device == draft.device { return }
        threads[role, default: []].append(draft)
    }

    mutating func keep(_ role: ProtocolThread.Role, where isKept: (Int, Draft) -> Bool) {
        threads[role] = threads[role]?.enumerated().filter { isKept($0.offset, $0.element) }.map(\.element)
    }

    func add(to sequence: inout ProtocolSequence, names: DeviceNames, working: Set<String>) {
        for role in omitted.keys { sequence.cut.insert(ProtocolThread(isSource: isSource, role: role.named(names))) }
        for (role, drafts) in threads where !drafts.isEmpty {
            sequence.threads[ProtocolThread(isSource: isSource, role: role.named(names)), default: []] += drafts.map { draft in
                var text = draft.what
                let idstr = draft.device.map(names.idstr(of:))
                if let bytes = draft.bytes, let idstr { text += working.contains(idstr) ? ", bytes" : ", \(bytes) bytes" }
                return ProtocolStep(
                    text: idstr.map { "(\($0)) \(text)" } ?? names.naming(text), event: draft.event, place: draft.place)
            }
        }
    }
}

extension ProtocolThread.Role {
    fileprivate func named(_ names: DeviceNames) -> Self {
        switch self {
        case .iteration(let device): .iteration(names.idstr(of: device))
        case .multifd(let device): .multifd(names.idstr(of: device))
        case .device(let device): .device(names.idstr(of: device))
        default: self
        }
    }
}

/// Bytes of one device, up to where something is said of them.
struct ByteCount: Sendable {
    var bytes: UInt64 = 0

    mutating func add(_ size: UInt64) { bytes &+= size }

    mutating func taken() -> UInt64 {
        defer { bytes = 0 }
        return bytes
    }
}
