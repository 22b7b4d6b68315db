/// Makes the canonical sequence of a migration out of its typed events, which it is handed one by one, each stream in its own order.
///
/// The state is bounded by the number of devices, and by `ProtocolSequence.mostSteps` for each thread.
import MigrationTrace

package struct ProtocolOrder: Sendable {
    private var source: SourceOrder
    private var destination: DestinationOrder
    private var sourceDevices: DeviceOrder
    private var destinationDevices: DeviceOrder

    /// `sourceIdstrs`: the section idstr for every name that a device has in that side's logs; the sections tell those that are not given.
    package init(sourceIdstrs: [String: String] = [:], destinationIdstrs: [String: String] = [:]) {
        source = SourceOrder(sourceIdstrs)
        destination = DestinationOrder(destinationIdstrs)
        sourceDevices = DeviceOrder(isSource: true)
        destinationDevices = DeviceOrder(isSource: false)
    }

    /// Handles the next event of the place's stream.
    package mutating func handle(_ event: Event, at place: Place) {
        guard case .compared = event.relevance else { return }
        switch place.stream {
        case .source: source.handle(event, at: place)
        case .destination: destination.handle(event, at: place)
        case .sourceDevices: sourceDevices.handle(event, at: place)
        case .destinationDevices: destinationDevices.handle(event, at: place)
        }
    }

    /// The sequence of the events so far.
    package func sequence() -> ProtocolSequence {
        var sequence = ProtocolSequence()
        // How many bytes a working device has left at the end depends on the time.
        let working = Set(source.working.union(sourceDevices.working).map(source.names.idstr(of:)))
        source.steps.add(to: &sequence, names: source.names, working: working)
        destination.steps.add(to: &sequence, names: destination.names, working: working)
        // A program that quits stops its devices, which is no part of the migration.
        sourceDevices.steps(before: source.isQuitting ? source.stateChanges : nil, names: source.names).add(
            to: &sequence, names: source.names, working: working)
        destinationDevices.steps(before: destination.isQuitting ? destination.stateChanges : nil, names: destination.names).add(
            to: &sequence, names: destination.names, working: working)
        return sequence
    }
}

extension ProtocolSequence {
    /// The sequence of a recorded migration. `sourceNames`, `destinationNames`: further names of its devices, as for `ProtocolOrder`.
    package init(_ trace: Trace, sourceNames: [String: String] = [:], destinationNames: [String: String] = [:]) {
        let known = Circumstances(trace.header)
        var order = ProtocolOrder(
            sourceIdstrs: known.sourceIdstrs.merging(sourceNames) { $1 },
            destinationIdstrs: known.destinationIdstrs.merging(destinationNames) { $1 })
        for stream in StreamName.allCases {
            var line = 0
            for entry in trace[stream] {
                line += 1
                if let event = entry.event { order.handle(event, at: Place(stream: stream, line: line)) }
            }
        }
        self = order.sequence()
    }
}

/// Steps before their devices are named: a device's section idstr may show only later.
struct StepDrafts: Sendable {
    struct Draft: Sendable {
        var what: String
        /// Bytes of data up to the step; left out for a device that keeps working.
        var bytes: UInt64?
        var device: String?
        var event: String
        var place: Place
    }

    let isSource: Bool
    private(set) var threads: [ProtocolThread.Role: [Draft]] = [:]
    /// How many steps were not kept.
    private(set) var omitted: [ProtocolThread.Role: Int] = [:]

    init(isSource: Bool) { self.isSource = isSource }

    /// `once`: not if the thread's last step is the same.
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

/// The bytes of a device since the last step that counted them.
struct ByteCount: Sendable {
    var bytes: UInt64 = 0

    mutating func add(_ size: UInt64) { bytes &+= size }

    mutating func taken() -> UInt64 {
        defer { bytes = 0 }
        return bytes
    }
}
