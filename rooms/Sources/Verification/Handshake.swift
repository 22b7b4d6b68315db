/// The account of one switchover-ACK handshake: who requested, who approved, how often, and before which decision.
///
/// Taken from the events of both sides, each side in its own print order; nothing is concluded from the order of lines
/// across sides. Devices are named by their section idstr, which is equal on both sides; QEMU's own device names are not.
import MigrationTrace

package struct Handshake: Hashable, Sendable {
    /// The decision to switch over, as the source logged it.
    package struct Decision: Hashable, Sendable {
        /// Bytes pending at the decision.
        package var pending: UInt64
        /// Bytes the threshold allowed; nil before the first window of 100 ms ended, when it is 0.
        package var threshold: Int64?
        /// Pending queries made before it.
        package var queries: Int
        /// ACKs whose lines were printed before it. A line may be printed late by one.
        package var acksBefore: Int
        /// Requests collected by then (legacy mode: 1) less the ACK lines printed by then.
        package var outstanding: Int
    }

    /// Which mode the source ran, as its log tells; nil when the log has no query.
    package var mode: Mode?
    package enum Mode: String, Hashable, Sendable {
        case legacy
        case perDevice = "per-device"
    }

    /// By idstr: requests that a per-device source collected.
    package var requests: [String: Int] = [:]
    /// By idstr: devices that a legacy destination counted in.
    package var countedIn: [String: Int] = [:]
    /// Up to 11.0: how many devices the destination counted in; their names are not logged.
    package var unnamedCountedIn = 0
    /// Markers the destination accepted, by idstr.
    package var approvals: [String: Int] = [:]
    package var acksSent = 0
    package var acksCounted = 0
    package var decision: Decision?
    /// Steps whose last query found the pending bytes within the threshold then in force, with the guest running and only an ACK missing,
    /// and after which the source went on iterating. A source that ignores the ACK decides at the first such step and has none.
    package var gatedSteps = 0

    /// Windows of 100 ms in which RAM used up what the link may carry, and a device with initial bytes wrote none: RAM comes first.
    package var starvedWindows = 0

    /// The ACK held a decision back; without that a completed handshake proves nothing.
    package var isGating: Bool { gatedSteps > 0 }

    /// Whether every requested ACK had been counted when the source decided. The line of one ACK may be printed late, since another
    /// thread prints it; then it must follow.
    package var decidedAfterAllAcks: Bool? {
        decision.map { $0.outstanding == 0 || ($0.outstanding == 1 && acksCounted > $0.acksBefore) }
    }

    /// Whoever asked for an ACK, on either side, named or not.
    package var requestCount: Int { requests.values.reduce(0, +) + countedIn.values.reduce(unnamedCountedIn, +) }
}

/// Takes the source's events one by one, in print order.
package struct SourceAccount: Sendable {
    private(set) var devices = DeviceNames()
    private var requests: [String: Int] = [:]
    private var mode: Handshake.Mode?
    private var acks = 0
    private var queries = 0
    private var collected = 0
    /// Steps that only an ACK held back, so far.
    package private(set) var gatedSteps = 0
    /// Only an ACK is missing for the step in progress to decide: whether it holds anything back shows when the step ends.
    private var isRipe = false
    private(set) var threshold: Int64?
    private var guestRuns = true
    /// As much pending as the threshold is enough; since 11.1 it always is.
    private var decidesAtThreshold = false
    private var decision: Handshake.Decision?
    private var starvation = Starvation()

    package init() {}

    /// With what is known from outside: the mode, idstrs by device name, and how the source decides.
    init(_ circumstances: Circumstances, guestRuns: Bool) {
        mode = circumstances.sourceMode
        devices = DeviceNames(circumstances.sourceIdstrs)
        decidesAtThreshold = circumstances.decidesBelowThreshold == false
        self.guestRuns = guestRuns
    }

    package mutating func take(_ event: Event) {
        starvation.take(event, devices)
        switch event {
        case .savevmSectionStart(let idstr, _): devices.enter(idstr)
        case .savevmSectionEnd: devices.leave()
        // A device without PRE_COPY speaks first when it completes.
        case .vfioSaveIterate(let device, _, _), .vfioSaveIterateStart(let device), .vfioSaveCompletePrecopyStart(let device):
            devices.see(device)
        case .vfioSaveCompletePrecopyThreadStart(let device, let idstr, _): devices.name(device, idstr)
        case .vfioStatePending(let pending) where pending.requestsAck: requests[pending.device, default: 0] += 1
        case .vmStateNotify(let running, _, _): guestRuns = running
        case .vfioVMStateChange(_, let running, _, _): guestRuns = running
        case .migrateTransferred(let window): threshold = window.maxSize
        case .savevmStateIterate:
            if isRipe { gatedSteps += 1 }
            isRipe = false
        case .sourceReturnPathThreadSwitchoverAcked: acks += 1
        case .qemuSavevmQueryPending(let query):
            queries += 1
            collected += Int(query.collectedAcks)
            // Set once: at the first query the counter holds the mode plus what has just been collected (11.1). A legacy
            // destination without devices may have sent its ACK even before.
            if mode == nil { mode = Int(query.pendingAcks) - Int(query.collectedAcks) + acks == 1 ? .legacy : .perDevice }
            note(within: query.total <= limit, ackMissing: query.pendingAcks > 0 && !query.final)
        case .migratePendingEstimate(let total, _, _), .migratePendingExact(let total, _, _):
            queries += 1
            mode = .legacy
            note(within: total == 0 || total < limit || total == limit && decidesAtThreshold, ackMissing: acks == 0)
        case .migrationThreadLowPending(let pending):
            // The step ends in a decision: it held nothing back.
            isRipe = false
            decision = .init(
                pending: pending, threshold: threshold, queries: queries, acksBefore: acks,
                outstanding: (mode == .perDevice ? 0 : 1) + collected - acks)
        default: break
        }
    }

    /// Windows up to now that left a device nothing.
    var starvedInARow: Int { starvation.inARow }

    private var limit: UInt64 { UInt64(max(threshold ?? 0, 0)) }

    /// The last query of a step is the one that decides: an exact one replaces the estimate before it.
    private mutating func note(within: Bool, ackMissing: Bool) {
        isRipe = within && ackMissing && guestRuns && decision == nil && threshold != nil
    }

    fileprivate func add(to handshake: inout Handshake) {
        handshake.mode = mode
        handshake.acksCounted = acks
        handshake.decision = decision
        handshake.gatedSteps = gatedSteps
        handshake.starvedWindows = starvation.windows
        for (device, count) in requests { handshake.requests[devices.idstr(of: device), default: 0] += count }
    }
}

/// Which windows left a device without a PART, though it had initial bytes to send.
private struct Starvation: Sendable {
    private(set) var windows = 0
    private(set) var inARow = 0
    /// By device name, as the last query found them.
    private var initial: [String: UInt64] = [:]
    private var written: Set<String> = []

    mutating func take(_ event: Event, _ devices: DeviceNames) {
        switch event {
        case .vfioStatePending(let pending): see(pending.device, pending.initial)
        case .vfioStatePendingEstimate(let device, _, _, let bytes, _), .vfioStatePendingExact(let device, _, _, _, let bytes, _):
            see(device, bytes)
        case .savevmSectionStart(let idstr, _): if written.count < SourceDevices.most { written.insert(idstr) }
        case .migrateTransferred:
            // A device that never wrote a PART has no idstr yet.
            let isStarved = written.contains("ram") && initial.contains { $0.value > 0 && !written.contains(devices.idstr(of: $0.key)) }
            windows += isStarved ? 1 : 0
            inARow = isStarved ? inARow + 1 : 0
            written = []
        default: break
        }
    }

    private mutating func see(_ device: String, _ bytes: UInt64) {
        if initial[device] != nil || initial.count < SourceDevices.most { initial[device] = bytes }
    }
}

/// Takes the destination's events one by one, in print order.
package struct DestinationAccount: Sendable {
    private(set) var devices = DeviceNames()
    private var countedIn: [String: Int] = [:]
    private var unnamedCountedIn = 0
    private var approvals: [String: Int] = [:]
    private var acks = 0
    private var idstrs: [UInt32: String] = [:]
    private var lastMarker: String?
    /// Who has markers without lines of its own, by section idstr.
    private var requester: String?
    /// The section being read is the requester's.
    private(set) var readsRequester = false

    package init() {}

    /// With idstrs by device name, and that of a requester.
    init(idstrs: [String: String], requester: String? = nil) {
        devices = DeviceNames(idstrs)
        self.requester = requester
    }

    package mutating func take(_ event: Event) {
        switch event {
        case .qemuLoadvmStateSectionStartFull(let section, let idstr, _, _):
            idstrs[section] = idstr
            enter(idstr)
        case .qemuLoadvmStateSectionPartEnd(let section): if let idstr = idstrs[section] { enter(idstr) }
        case .vfioLoadState(let device, let tag):
            devices.see(device)
            if tag == .initDataSent { lastMarker = device }
        case .migrationRequestSwitchoverAckLegacy(let device, _): countedIn[device, default: 0] += 1
        case .loadvmStateSwitchoverAckNeeded(let pending): unnamedCountedIn += Int(pending)
        case .loadvmApproveSwitchover(let device), .loadvmApproveSwitchoverLegacy(let device, _): approvals[device, default: 0] += 1
        // Up to 11.0 the line has no name; the device is the one whose marker was just read, by the same thread.
        case .loadvmApproveSwitchoverCounted: approvals[unnamedApprover ?? "?", default: 0] += 1
        case .migrateSendRPMessage(.switchoverAck, _): acks += 1
        default: break
        }
    }

    private mutating func enter(_ idstr: String) {
        devices.enter(idstr)
        readsRequester = idstr == requester
    }

    /// Whom an approval without a name is of: it is written in the midst of the section.
    var unnamedApprover: String? { readsRequester ? requester : lastMarker }

    fileprivate func add(to handshake: inout Handshake) {
        handshake.acksSent = acks
        handshake.unnamedCountedIn = unnamedCountedIn
        for (device, count) in countedIn { handshake.countedIn[devices.idstr(of: device), default: 0] += count }
        for (device, count) in approvals { handshake.approvals[devices.idstr(of: device), default: 0] += count }
    }
}

extension Handshake {
    private init(source: SourceAccount, destination: DestinationAccount) {
        self.init()
        source.add(to: &self)
        destination.add(to: &self)
    }

    /// The account of a whole migration. What a user without lines of its own requested, the source's ledger knows.
    init(source: SourceSide, destination: DestinationSide) {
        self.init(source: source.account, destination: destination.account)
        if let requester = source.requester, source.ledger.ofRequester > 0 { requests[requester, default: 0] += source.ledger.ofRequester }
    }

    package init(_ trace: Trace) {
        var source = SourceAccount()
        var destination = DestinationAccount()
        for entry in trace.source { if let event = entry.event { source.take(event) } }
        for entry in trace.destination { if let event = entry.event { destination.take(event) } }
        self.init(source: source, destination: destination)
    }
}

/// Which section idstr belongs to which device name of a side: the device that speaks inside a section is its owner.
struct DeviceNames: Sendable {
    private var byName: [String: String] = [:]
    private var section: String?

    init(_ known: [String: String] = [:]) { byName = known }

    mutating func enter(_ idstr: String) { section = idstr.hasSuffix("/vfio") ? idstr : nil }
    mutating func leave() { section = nil }
    mutating func see(_ device: String) { if let section { name(device, section) } }
    mutating func name(_ device: String, _ idstr: String) {
        guard byName[device] == nil, byName.count < SourceDevices.most else { return }
        byName[device] = idstr
    }

    /// A device that never spoke inside a section keeps its own name.
    func idstr(of device: String) -> String { byName[device] ?? device }
    func isNamed(_ device: String) -> Bool { byName[device] != nil }

    /// A text of QEMU's that begins with a device's name, with the section's instead.
    func naming(_ text: String) -> String {
        for (name, idstr) in byName where text.contains("\(name): ") { return text.replacing("\(name): ", with: "\(idstr): ") }
        return text
    }
}
