/// The destination's side: what it loads, which devices it approves, and which ACK it sends for each approval.
///
/// A marker, its approval and its ACK are lines of one thread, one after the other; only buffers on multifd channels are written by others.
import MigrationTrace

struct DestinationDevice: Sendable {
    let name: String
    /// Data blocks that were announced but not written yet.
    var announced = 0
    /// The first of these.
    var unwritten: Spot?
    var bytes: UInt64 = 0
    var failedWrite: (spot: Spot, result: Int64)?
    /// Buffers that came on multifd channels, and those written.
    var incoming = 0
    var written = 0
    /// A marker that is not approved yet.
    var marker: Spot?
    var loads: [Place] = []
    var loadCount = 0
    var approvals: [MarkerPoint] = []
    var approvalCount = 0

    init(_ name: String) { self.name = name }
}

struct DestinationSide: Sendable {
    private let circumstances: Circumstances
    private(set) var sections: LoadedSections
    private(set) var devices: [DestinationDevice] = []
    private(set) var arcs = DeviceArcs(.destination)
    private(set) var status = StatusArcs.destination
    private(set) var guest = GuestAccount()
    private(set) var reporter = RuleReporter()

    private(set) var hasBegun = false
    private(set) var hasGaps = false
    private(set) var isCut = false
    private(set) var ending: Spot?
    /// The last change of its status.
    private(set) var arrival: Spot?
    /// It has loaded all devices and was told to run the guest, which lacks pages yet.
    private(set) var hasTakenOver = false
    /// Its load has failed; the status may say so never, or late.
    private(set) var failedLoad: Place?
    private(set) var error: (text: String, place: Place)?

    /// Given, or as approvals and requests tell it.
    private(set) var mode: Handshake.Mode?
    private(set) var showsCapability: Bool?
    /// Legacy mode: devices counted in, less approvals.
    private(set) var counter = 0
    private var saidNoUsers = false
    private(set) var sent = 0
    /// The first ACKs: their lines, and the device whose approval each is for.
    private(set) var acks: [(place: Place, device: String?)] = []
    /// An approval whose ACK is due.
    private(set) var awaitingAck: (spot: Spot, device: String?)?
    private(set) var openedReturnPath: Spot?
    private(set) var isOpeningReturnPath = false
    /// The command POSTCOPY_RUN, until its result.
    private var run: Spot?
    private(set) var pongs = 0
    /// Lines are missing before: a marker or an approval may be among them.
    private var isAfterGap = false
    private var lastDevice = 0
    private var lastMarker: String?
    /// The command that is being read is one that no release has, and the source's core announces requests by it: it is the marker.
    private var isInAnnouncement = false
    /// How often each device was counted in; up to 11.0 how many devices were, whose names are not logged.
    private(set) var countedIn: [String: Int] = [:]
    private(set) var unnamedCountedIn = 0
    /// Approvals without a name, before any marker.
    private(set) var unnamedApprovals = 0
    /// Approvals of the requester.
    private(set) var requesterApprovals: [Place] = []
    private(set) var requesterApprovalCount = 0

    init(_ circumstances: Circumstances) {
        self.circumstances = circumstances
        sections = LoadedSections(idstrs: circumstances.destinationIdstrs, requester: circumstances.requester)
        mode = circumstances.destinationMode
        showsCapability = circumstances.destinationCapability
    }

    private mutating func begin() {
        let (guest, arcs, reporter, isFirst) = (guest, arcs, reporter, !hasBegun)
        self = DestinationSide(circumstances)
        self.guest = guest
        self.guest.begin()
        self.arcs = arcs
        self.arcs.begin()
        self.reporter = reporter
        // What the process did before its first migration is told with that one.
        if !isFirst { self.reporter.forget() }
        hasBegun = true
    }

    private mutating func index(_ name: String) -> Int? {
        if lastDevice < devices.count, devices[lastDevice].name == name { return lastDevice }
        if let found = devices.firstIndex(where: { $0.name == name }) {
            lastDevice = found
            return found
        }
        guard devices.count < SourceDevices.most else { return nil }
        devices.append(DestinationDevice(name))
        lastDevice = devices.count - 1
        return lastDevice
    }

    /// The last event; nil before the first.
    var last: Spot? { reporter.last }

    var names: DeviceNames { sections.names }

    mutating func handle(_ event: Event, at place: Place) {
        if case .migrateSetState(.setup) = event { begin() }
        reporter.advance(to: event, at: place)
        handleLoad(event)
    }

    /// Sections, approvals and ACKs; any other event is handed on.
    private mutating func handleLoad(_ event: Event) {
        switch event {
        case .qemuLoadvmStateSection:
            readsOn()
            isInAnnouncement = false
        case .qemuLoadvmStateSectionStartFull(let section, let idstr, _, _): sections.start(section, idstr)
        case .qemuLoadvmStateSectionPartEnd(let section): sections.goOn(section)
        case .vfioLoadState(let device, let tag):
            sections.sawLine(of: device)
            loaded(device, tag)
        case .vfioLoadStateDeviceData(let device, let size, let result): wrote(device, size, result)
        case .vfioLoadStateDeviceBufferIncoming(let device, _): if let index = index(device) { devices[index].incoming += 1 }
        case .vfioLoadStateDeviceBufferLoadEnd(let device, _): if let index = index(device) { devices[index].written += 1 }

        case .loadvmApproveSwitchover(let device):
            mode = mode ?? .perDevice
            approved(device, nil)
        case .loadvmApproveSwitchoverLegacy(let device, let pending):
            mode = mode ?? .legacy
            approved(device, pending)
        case .loadvmApproveSwitchoverCounted(let pending):
            mode = mode ?? .legacy
            // The line has no name and is written in the midst of the section: the device is the one whose marker was just read.
            approved(sections.isInRequesters ? circumstances.requester : lastMarker, pending)
        case .migrationRequestSwitchoverAckLegacy(let device, let pending): countedIn(device, Int(pending))
        case .loadvmStateSwitchoverAckNeeded(let pending):
            mode = mode ?? .legacy
            showsCapability = showsCapability ?? true
            counter = Int(pending)
            unnamedCountedIn += Int(pending)
            saidNoUsers = pending == 0
        case .migrateSendRPMessage(.switchoverAck, _): sentAck()
        case .migrateSendRPMessage(.pong, _): pongs += 1
        case .loadvmProcessCommand(.openReturnPath?, _):
            isOpeningReturnPath = true
            openedReturnPath = reporter.spot
        case .loadvmProcessCommand(nil, _): isInAnnouncement = circumstances.announcesRequests
        case .loadvmPostcopyHandleRun: run = reporter.spot
        case .qemuLoadvmStateSectionCommand(let result):
            if let run, result < 0 { refusesToRun(run, result) }
            run = nil
            if isOpeningReturnPath { returnPathIsOpen() }
            isOpeningReturnPath = false
        default: handleStatusAndDevices(event)
        }
    }

    private mutating func handleStatusAndDevices(_ event: Event) {
        switch event {
        case .migrateSetState(let next):
            if next != .failed { readsOn() }
            status.move(to: next, &reporter)
            arrival = reporter.spot
            if StatusArcs.finals.contains(next) { ending = reporter.spot }
        // 1: the package has ended with its order to run.
        case .qemuLoadvmStatePostMain(let result):
            if result == 1 { hasTakenOver = true }
            if result < 0 { failedLoad = reporter.spot.place }
        case .migrateError(let text): if error == nil { error = (text, reporter.spot.place) }
        case .runstateSet, .vmStateNotify, .migrateGlobalStatePostLoad: guest.handle(event, at: reporter.spot.place)
        case .vfioVMStateChangePrepare(let device, let running, _, let state): arcs.prepared(device, running: running, state, &reporter)
        case .vfioVMStateChange(let device, let running, _, let state):
            arcs.changed(device, running: running, state, &reporter)
            guest.handle(event, at: reporter.spot.place)
        case .vfioMigrationSetState(let device, let state, let recover): arcs.asked(device, state, recover: recover, &reporter)
        case .vfioMigrationRealize(let device): arcs.realized(device)
        case .vfioMigrationSetDeviceState(let device, let state): arcs.reached(device, state, &reporter)
        default: break
        }
    }

    // MARK: Loading

    private mutating func loaded(_ name: String, _ tag: VFIOLoadTag) {
        guard let index = index(name) else { return }
        switch tag {
        case .data:
            devices[index].announced += 1
            devices[index].unwritten = devices[index].unwritten ?? reporter.spot
        case .initDataSent:
            lastMarker = name
            if let marker = devices[index].marker {
                reporter.report(
                    .markerApproved, device: name, at: marker, with: [reporter.spot.place],
                    found: "another marker was loaded before marker \(devices[index].loadCount) was approved", legal: approvalLine)
            }
            loadedMarker(index)
        default: break
        }
    }

    private mutating func loadedMarker(_ index: Int) {
        devices[index].marker = reporter.spot
        devices[index].loadCount += 1
        if devices[index].loads.count < SourceDevice.mostMarkers { devices[index].loads.append(reporter.spot.place) }
    }

    private mutating func wrote(_ name: String, _ size: UInt64, _ result: Int64) {
        guard let index = index(name) else { return }
        devices[index].announced = max(devices[index].announced - 1, 0)
        if devices[index].announced == 0 { devices[index].unwritten = nil }
        if result == 0 {
            devices[index].bytes &+= size
        } else {
            devices[index].failedWrite = devices[index].failedWrite ?? (reporter.spot, result)
        }
    }

    /// The next section, or the end: what the last one began must be done, or the load have failed.
    private mutating func readsOn() {
        isAfterGap = false
        if let due = awaitingAck {
            reporter.report(
                .ackPerApproval, device: due.device, at: due.spot, with: [reporter.spot.place],
                found: mode == .legacy ? "the last device was approved, but no ACK was sent" : "the approval was followed by no ACK",
                legal: "migrate_send_rp_message 7: len 0 before the next section")
            awaitingAck = nil
        }
        for index in devices.indices {
            if let marker = devices[index].marker {
                reporter.report(
                    .markerApproved, device: devices[index].name, at: marker, with: [reporter.spot.place],
                    found: "the destination read on after marker \(devices[index].loadCount) without approving the device",
                    legal: approvalLine)
                devices[index].marker = nil
            }
            if let unwritten = devices[index].unwritten {
                reporter.report(
                    .dataWritten, device: devices[index].name, at: unwritten, with: [reporter.spot.place],
                    found: "data was announced, but the destination read on without writing it",
                    legal: "vfio_load_state_device_data before the section's end")
                devices[index].unwritten = nil
                devices[index].announced = 0
            }
            if let failed = devices[index].failedWrite {
                reporter.report(
                    .dataWritten, device: devices[index].name, at: failed.spot, with: [reporter.spot.place],
                    found: "data could not be written (ret \(failed.result)), but the destination read on", legal: "the load fails")
                devices[index].failedWrite = nil
            }
        }
    }

    private var approvalLine: String { mode == .legacy ? "loadvm_approve_switchover, counting down" : "loadvm_approve_switchover" }

    // MARK: Approvals and ACKs

    private mutating func approved(_ name: String?, _ pending: UInt32?) {
        showsCapability = showsCapability ?? true
        reporter.report(
            .capabilityOff, device: name, when: .capabilityOff, found: "a device was approved, with the capability off",
            legal: "no approval")
        if let due = awaitingAck, mode == .perDevice {
            reporter.report(
                .ackPerApproval, device: due.device, at: due.spot, with: [reporter.spot.place],
                found: "the approval was followed by another one, and no ACK",
                legal: "migrate_send_rp_message 7: len 0 after each")
        }
        if let pending { count(down: Int(pending), name) }
        awaitingAck = pending == nil || pending == 0 ? (reporter.spot, name) : nil
        if let name, let requester = circumstances.requester, names.idstr(of: name) == requester {
            return approvedRequester(name)
        }
        guard let name, let index = index(name) else {
            if name == nil { unnamedApprovals += 1 }
            reporter.report(
                .approvalMarker, found: "an approval without any marker before it",
                legal: "vfio_load_state with ...ef100005 before it")
            return
        }
        if isInAnnouncement { loadedMarker(index) }
        let device = devices[index]
        if device.marker == nil, !isAfterGap {
            reporter.report(
                .approvalMarker, device: name, with: [device.loads.last],
                found: "approval \(device.approvalCount + 1) of the device, with \(device.loadCount) markers loaded",
                legal: "one approval for each marker")
        }
        if let failed = device.failedWrite {
            reporter.report(
                .approvalAfterData, device: name, with: [failed.spot.place],
                found: "the device was approved though data before its marker could not be written (ret \(failed.result))",
                legal: "the load fails")
        } else if device.announced > 0 || device.incoming > device.written {
            reporter.report(
                .approvalAfterData, device: name,
                found:
                    "the device was approved with \(device.announced + max(device.incoming - device.written, 0)) blocks of data not "
                    + "written yet",
                legal: "vfio_load_state_device_data with ret 0 for each block first")
        }
        devices[index].marker = nil
        devices[index].approvalCount += 1
        if device.approvals.count < SourceDevice.mostMarkers {
            devices[index].approvals.append(MarkerPoint(place: reporter.spot.place, bytes: device.bytes))
        }
    }

    /// Its marker has no line: that the approval is written inside its section is all that shows.
    private mutating func approvedRequester(_ name: String) {
        requesterApprovalCount += 1
        if requesterApprovals.count < SourceDevice.mostMarkers { requesterApprovals.append(reporter.spot.place) }
        guard !sections.isInRequesters, !isInAnnouncement, !isAfterGap else { return }
        reporter.report(
            .approvalMarker, device: name, found: "an approval of the requester outside of its section",
            legal: "one approval for each marker, in its section")
    }

    private mutating func countedIn(_ name: String, _ pending: Int) {
        mode = mode ?? .legacy
        showsCapability = showsCapability ?? true
        if !hasGaps, pending != counter + 1 {
            reporter.report(
                .legacyCount, device: name, found: "the device was counted in as \(pending) after \(counter)",
                legal: "switchover_ack_pending_num_legacy \(counter + 1)")
        }
        counter = pending
        if countedIn[name] != nil || countedIn.count < SourceDevices.most { countedIn[name, default: 0] += 1 }
    }

    private mutating func count(down pending: Int, _ name: String?) {
        if !hasGaps, pending != counter - 1 {
            reporter.report(
                .legacyCount, device: name, found: "the approval left \(pending) pending after \(counter)",
                legal: counter > 0 ? "\(counter - 1) pending" : "no approval: none is pending")
        }
        counter = pending
    }

    private mutating func sentAck() {
        sent += 1
        reporter.report(.capabilityOff, when: .capabilityOff, found: "an ACK was sent, with the capability off", legal: "no ACK")
        if acks.count < SourceSide.mostPlaces { acks.append((reporter.spot.place, awaitingAck?.device)) }
        let isForNoUsers = isOpeningReturnPath && counter == 0 && mode != .perDevice && sent == 1
        if isForNoUsers { mode = .legacy }
        if mode == .legacy, sent > 1 {
            reporter.report(
                .legacyOneAck, with: [acks.first?.place], found: "ACK \(sent) was sent in legacy mode",
                legal: "one ACK for all devices")
        }
        if awaitingAck == nil, !isForNoUsers, !isAfterGap {
            reporter.report(
                .ackHasApproval, with: [acks.dropLast().last?.place], found: "ACK \(sent) was sent without an approval before it",
                legal: mode == .legacy ? "an ACK after the approval that leaves none pending" : "one ACK after each approval")
        }
        awaitingAck = nil
    }

    private mutating func refusesToRun(_ run: Spot, _ result: Int64) {
        reporter.report(
            .packageRuns, at: run, with: [reporter.spot.place],
            found: "the package is loaded, and its order to run the guest failed (\(result))",
            legal: "qemu_loadvm_state_section_command 1")
    }

    /// OPEN_RETURN_PATH is done.
    private mutating func returnPathIsOpen() {
        let isDue = saidNoUsers || (circumstances.destinationMode == .legacy && circumstances.destinationCapability == true && counter == 0)
        guard isDue, sent == 0, let opened = openedReturnPath else { return }
        reporter.report(
            .legacyNoUsers, at: opened, with: [reporter.spot.place],
            found: "the return path was opened, no device counts, and no ACK was sent",
            legal: "migrate_send_rp_message 7: len 0 before the command is done")
    }

    /// Lines are missing.
    mutating func lose() {
        hasGaps = true
        isAfterGap = true
        awaitingAck = nil
        isOpeningReturnPath = false
        for index in devices.indices {
            devices[index].marker = nil
            devices[index].announced = 0
            devices[index].unwritten = nil
            devices[index].incoming = 0
            devices[index].written = 0
        }
        arcs.lose()
        status.lose()
    }

    /// The last line is cut.
    mutating func cut(at place: Place) {
        isCut = true
        reporter.advance(toCutLineAt: place)
    }

    /// Another process writes from here on.
    mutating func restart() {
        if !hasBegun { reporter.forget() }
        guest.restart()
        arcs.restart()
    }
}
