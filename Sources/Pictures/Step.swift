/// What one side does in a handshake: a request, a marker, an approval, an ACK, the decision, a status.
///
/// A log of thousands of lines has some dozens of steps. Lines that tell nothing new, such as the queries of a source that waits, are
/// counted in one step.
import MigrationTrace
import Verification

/// The side that takes a step.
package enum PictureSide: String, Hashable, Sendable, CaseIterable {
    case source
    case destination
}

/// A device that takes part in a step.
package struct DeviceMark: Hashable, Sendable {
    /// The section idstr where the log tells it, else QEMU's own name of the device.
    package var device: String
    /// The initial bytes that the device has left in this step.
    package var bytes: UInt64?
    /// In a query: the source collects a request of the device.
    package var requests = false
    /// In a query: the device reports that its initial bytes begin anew.
    package var reinitialises = false
}

package struct Step: Hashable, Sendable {
    package enum Kind: Hashable, Sendable {
        case status(MigrationStatus)
        case guest(from: RunState, to: RunState)
        case deviceState(VFIOState)
        /// A query that collects a request or sees a REINIT.
        case query
        /// Queries that collect nothing. `isHeld`: the pending bytes are within the threshold, and the source goes on all the same.
        case queries(isHeld: Bool)
        /// The query with the guest stopped.
        case finalQuery
        /// Up to 11.0, or with switchover-ack off: the initial bytes are sent, and no marker is printed.
        case initialSent
        case marker
        /// What a destination makes of one marker.
        case answer(isLoaded: Bool, isApproved: Bool, sendsACK: Bool)
        /// A legacy destination counts a device in; up to 11.0 it prints the sum alone.
        case countedIn
        case ackCounted
        case decision
        /// The precopy info that is read when the decision is made and the guest is not stopped yet.
        case lastCheck(reinitialises: Bool)
        case switchoverStart
        case shut
        case postcopy(String)
        case cancel
        case error(String)
        case channelError(String)
        /// A rule of a device script.
        case injected(String)
        case held(gate: String)
        case released(gate: String)
        /// Lines that were not looked at one by one.
        case leftOut
    }

    package var kind: Kind
    package var side: PictureSide
    /// Empty for a step of the side itself.
    package var devices: [DeviceMark] = []
    package var stream: StreamName
    /// The lines of the log, or the entries of the stream, that show the step.
    package var lines: ClosedRange<Int>
    /// By the clock of the host, in nanoseconds since 1970.
    package var begin: Int64?
    package var end: Int64?
    /// The line that shows the step, as QEMU prints it.
    package var text: String

    /// ACKs that are pending after the step.
    package var pendingACKs: UInt32?
    /// Pending bytes, or the value of SHUT.
    package var size: UInt64?
    /// The threshold in force, in bytes.
    package var threshold: Int64?
    /// The number of the first query, from 1.
    package var query = 0
    /// The number of queries, or of lines that are left out.
    package var count = 1
    /// The sum of the initial bytes at the last of several queries; `size` of the first is in `initialBefore`.
    package var initialBefore: UInt64?
    package var initialAfter: UInt64?

    /// Of a step that a mock device has logged: what the device had done before.
    var anchor: MockAnchor?

    package var place: Place { Place(stream: stream, line: lines.lowerBound) }

    init(_ kind: Kind, _ side: PictureSide, at line: StepLine, devices: [DeviceMark] = []) {
        self.kind = kind
        self.side = side
        self.devices = devices
        stream = line.place.stream
        lines = line.place.line...line.place.line
        begin = line.time
        end = line.time
        text = line.record.text
    }

    /// Adds a line to those that show the step.
    mutating func extend(to line: StepLine) {
        lines = lines.lowerBound...Swift.max(lines.upperBound, line.place.line)
        end = line.time ?? end
    }
}

/// What a mock device has done before a step, by which the step finds its place among those of QEMU's log where no clock tells it.
struct MockAnchor: Hashable, Sendable {
    var state: VFIOState?
    /// How often the last of the initial bytes was read, which a marker follows.
    var markers = 0
    /// How often initial bytes were loaded, which an approval follows.
    var answers = 0
}

/// A line on its way into the steps.
struct StepLine {
    var record: Record
    var place: Place
    var time: Int64?
}

extension Record {
    /// As it is printed, up to a bounded length.
    fileprivate var text: String {
        let line: String =
            switch self {
            case .event(let event): event.line
            case .message(let message): message.line
            }
        return line.utf8.count <= Self.longestText ? line : String(line.prefix(Self.longestText / 4)) + "…"
    }

    private static var longestText: Int { 1024 }
}

/// The steps of a side, bounded: a log of any length makes a picture of a bounded size.
struct StepList {
    static let most = 20_000

    private(set) var steps: [Step] = []
    /// Steps that were not kept.
    private(set) var further = 0

    mutating func append(_ step: Step) {
        guard steps.count < Self.most else {
            further += 1
            return
        }
        steps.append(step)
    }

    mutating func removeAll() {
        steps = []
        further = 0
    }

    /// Changes the last step; nothing where the list is full.
    mutating func changeLast(_ change: (inout Step) -> Void) {
        guard !steps.isEmpty, further == 0 else { return }
        change(&steps[steps.count - 1])
    }
}

/// The section idstrs of a side's devices: their own names differ between the sides.
struct DeviceIdstrs {
    private static let most = 256
    private(set) var idstrs: [String: String]
    /// The idstr of the section in progress.
    private var section: String?

    init(_ known: [String: String]) { idstrs = known }

    mutating func enter(_ idstr: String?) { section = idstr.flatMap { $0.hasSuffix("/vfio") ? $0 : nil } }
    mutating func leave() { section = nil }

    /// The idstr of the section in progress, if this line is the first that tells whose it is.
    mutating func name(_ device: String) -> String? {
        guard let section, idstrs[device] == nil, idstrs.count < Self.most else { return nil }
        idstrs[device] = section
        return section
    }

    subscript(device: String) -> String { idstrs[device] ?? device }
}
