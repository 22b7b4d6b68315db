/// The destination's side: what it loads, which devices it approves, and which ACK it sends for each approval.
///
/// One thread prints a marker, its approval and its ACK one after the other. Only buffers on multifd channels are written by other threads.
import MigrationTrace

struct DestinationDevice: Sendable {
    let name: String
    /// Data blocks that were announced and not written yet.
    var announced = 0
    /// The first of these data blocks.
    var unwritten: Spot?
    var bytes: UInt64 = 0
    var failedWrite: (spot: Spot, result: Int64)?
    /// Buffers that arrived on multifd channels, and those written.
    var incoming = 0
    var written = 0
    /// The marker that is not approved yet.
    var marker: Spot?
    var loads: [Place] = []
    var loadCount = 0
    var approvals: [MarkerPoint] = []
    var approvalCount = 0

    init(_ name: String) { self.name = name }
}

struct DestinationSide: LoggedSide {
    let circumstances: Circumstances
    private(set) var sections: LoadedSections
    private(set) var devices: [DestinationDevice] = []
    var arcs = DeviceArcs(.destination)
    var status = StatusArcs.destination
    var guest = GuestAccount()
    var reporter = RuleReporter()

    var hasBegun = false
    var hasGaps = false
    var isCut = false
    private(set) var ending: Spot?
    /// The last change of the destination's status.
    private(set) var arrival: Spot?
    /// The destination has loaded all devices and was told to run the guest, which still lacks pages (postcopy).
    private(set) var hasTakenOver = false
    /// The line that shows that the load has failed; the status may change late, or never.
    private(set) var failedLoad: Place?
    private(set) var error: (text: String, place: Place)?

    /// Given from outside, else concluded from approvals and requests.
    private(set) var mode: SwitchoverAckMode?
    private(set) var showsCapability: Bool?
    /// Legacy mode: devices counted in minus approvals.
    private(set) var counter = 0
    /// The log says that no user of switchover-ack was counted in.
    private var hasNoUsers = false
    /// ACKs sent.
    private(set) var sent = 0
    /// The first of them was sent when the return path was opened, since no device counts.
    private(set) var sentForNoUsers = false
    /// The first ACKs: their lines, and the device whose approval each is for.
    private(set) var acks: [(place: Place, device: String?)] = []
    /// The approval whose ACK is due.
    private(set) var awaitingAck: (spot: Spot, device: String?)?
    private(set) var openedReturnPath: Spot?
    private(set) var isOpeningReturnPath = false
    /// The command POSTCOPY_RUN, until its result.
    private var run: Spot?
    private(set) var pongs = 0
    /// Lines are missing right before, and a marker or an approval may be among them.
    private var isAfterGap = false
    private var lastDevice = 0
    private var lastMarker: String?
    /// The destination reads the command of the variant `request-message` by which the source announces requests; it stands for the marker.
    private var isInAnnouncement = false
    /// How often each device was counted in; up to 11.0 only the number of devices, whose names are not logged.
    private(set) var countedIn: [String: Int] = [:]
    private(set) var unnamedCountedIn = 0
    /// Approvals without a name and before any marker.
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
        if case .migrateSetState(.setup) = event { beginMigration() }
        reporter.advance(to: event, at: place)
        handleLoad(event)
    }

    /// Sections, approvals and ACKs; passes any other event on.
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
            hasNoUsers = pending == 0
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
            if StatusArcs.isFinal(next) { ending = reporter.spot }
        // 1: the package has ended with its order to run.
        case .qemuLoadvmStatePostMain(let result):
            if result == 1 { hasTakenOver = true }
            if result < 0 { failedLoad = reporter.spot.place }
        case .migrateError(let text), .migrateFDError(let text): if error == nil { error = (text, reporter.spot.place) }
        case .runstateSet, .vmStateNotify, .migrateGlobalStatePostLoad: guest.handle(event, at: reporter.spot.place)
        case .vfioVMStateChangePrepare(let device, let running, _, let state): arcs.prepared(device, running: running, state, &reporter)
        case .vfioVMStateChange(let device, let running, _, let state):
            arcs.changed(device, running: running, state, &reporter)
            guest.handle(event, at: reporter.spot.place)
        case .vfioMigrationSetState(let device, let state, let recover): arcs.asked(device, state, recover: recover, &reporter)
        case .vfioMigrationRealize(let device): arcs.realized(device)
        case .vfioMigrationSetDeviceState(let device, let state), .vfioMigrationStateSet(let device, let state):
            arcs.reached(device, state, &reporter)
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
                    found: "the destination loaded another marker before it had approved marker \(devices[index].loadCount)",
                    legal: approvalLine)
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

    /// The next section begins, or the load ends: the previous section must be finished, unless the load has failed.
    private mutating func readsOn() {
        isAfterGap = false
        if let due = awaitingAck {
            reporter.report(
                .ackPerApproval, device: due.device, at: due.spot, with: [reporter.spot.place],
                found: mode == .legacy
                    ? "the destination approved the last device, but sent no ACK" : "the destination sent no ACK after the approval",
                legal: "migrate_send_rp_message 7: len 0 before the next section")
            awaitingAck = nil
        }
        for index in devices.indices {
            if let marker = devices[index].marker {
                reporter.report(
                    .markerApproved, device: devices[index].name, at: marker, with: [reporter.spot.place],
                    found: "the destination read the next section after marker \(devices[index].loadCount) without approving the device",
                    legal: approvalLine)
                devices[index].marker = nil
            }
            if let unwritten = devices[index].unwritten {
                reporter.report(
                    .dataWritten, device: devices[index].name, at: unwritten, with: [reporter.spot.place],
                    found: "data was announced, but the destination read the next section without writing the data",
                    legal: "vfio_load_state_device_data before the section's end")
                devices[index].unwritten = nil
                devices[index].announced = 0
            }
            if let failed = devices[index].failedWrite {
                reporter.report(
                    .dataWritten, device: devices[index].name, at: failed.spot, with: [reporter.spot.place],
                    found: "data could not be written (ret \(failed.result)), but the destination read the next section",
                    legal: "a failed load")
                devices[index].failedWrite = nil
            }
        }
    }

    private var approvalLine: String { mode == .legacy ? "loadvm_approve_switchover, counting down" : "loadvm_approve_switchover" }

    // MARK: Approvals and ACKs

    private mutating func approved(_ name: String?, _ pending: UInt32?) {
        showsCapability = showsCapability ?? true
        reporter.report(
            .capabilityOff, device: name, when: .capabilityOff, found: "the destination approved a device with switchover-ack off",
            legal: "no approval")
        if let due = awaitingAck, mode == .perDevice {
            reporter.report(
                .ackPerApproval, device: due.device, at: due.spot, with: [reporter.spot.place],
                found: "the destination sent no ACK between this approval and the next",
                legal: "migrate_send_rp_message 7: len 0 after each approval")
        }
        if let pending { countedDown(to: Int(pending), name) }
        awaitingAck = pending == nil || pending == 0 ? (reporter.spot, name) : nil
        if let name, let requester = circumstances.requester, names.idstr(of: name) == requester {
            return approvedRequester(name)
        }
        guard let name, let index = index(name) else {
            if name == nil { unnamedApprovals += 1 }
            // The line has no name where its marker is missing.
            if hasGaps { return }
            reporter.report(
                .approvalMarker, found: "the destination approved a device before any marker",
                legal: "vfio_load_state with data 0xffffffffef100005 before the approval")
            return
        }
        if isInAnnouncement { loadedMarker(index) }
        let device = devices[index]
        if device.marker == nil, !isAfterGap {
            reporter.report(
                .approvalMarker, device: name, with: [device.loads.last],
                found:
                    "the destination approved the device \(count(device.approvalCount + 1, "time")), but loaded "
                    + "\(count(device.loadCount, "marker"))",
                legal: "one approval for each marker")
        }
        if let failed = device.failedWrite {
            reporter.report(
                .approvalAfterData, device: name, with: [failed.spot.place],
                found: "the destination approved the device, but data before the marker could not be written (ret \(failed.result))",
                legal: "a failed load")
        } else if device.announced > 0 || device.incoming > device.written {
            reporter.report(
                .approvalAfterData, device: name,
                found:
                    "the destination approved the device before it had written "
                    + "\(count(device.announced + max(device.incoming - device.written, 0), "block")) of data",
                legal: "vfio_load_state_device_data with ret 0 for each block before the approval",
                on: (device.announced > 0 ? ["vfio_load_state_device_data"] : [])
                    + (device.incoming > device.written ? ["vfio_load_state_device_buffer_load_end"] : []))
        }
        devices[index].marker = nil
        devices[index].approvalCount += 1
        if device.approvals.count < SourceDevice.mostMarkers {
            devices[index].approvals.append(MarkerPoint(place: reporter.spot.place, bytes: device.bytes))
        }
    }

    /// The marker of a user that is no VFIO device has no line. All that can be checked is that the approval is inside the user's section.
    private mutating func approvedRequester(_ name: String) {
        requesterApprovalCount += 1
        if requesterApprovals.count < SourceDevice.mostMarkers { requesterApprovals.append(reporter.spot.place) }
        guard !sections.isInRequesters, !isInAnnouncement, !isAfterGap else { return }
        reporter.report(
            .approvalMarker, device: name, found: "the destination approved \(name) outside of its section",
            legal: "one approval for each marker, inside the section")
    }

    private mutating func countedIn(_ name: String, _ pending: Int) {
        mode = mode ?? .legacy
        showsCapability = showsCapability ?? true
        if !hasGaps, pending != counter + 1 {
            reporter.report(
                .legacyCount, device: name, found: "counting the device in took the counter from \(counter) to \(pending)",
                legal: "switchover_ack_pending_num_legacy \(counter + 1)")
        }
        counter = pending
        if countedIn[name] != nil || countedIn.count < SourceDevices.most { countedIn[name, default: 0] += 1 }
    }

    private mutating func countedDown(to pending: Int, _ name: String?) {
        if !hasGaps, pending != counter - 1 {
            reporter.report(
                .legacyCount, device: name, found: "the approval took the counter from \(counter) to \(pending)",
                legal: counter > 0 ? "\(counter - 1) pending" : "no approval, because none is pending")
        }
        counter = pending
    }

    private mutating func sentAck() {
        sent += 1
        reporter.report(.capabilityOff, when: .capabilityOff, found: "the destination sent an ACK with switchover-ack off", legal: "no ACK")
        if acks.count < SourceSide.mostPlaces { acks.append((reporter.spot.place, awaitingAck?.device)) }
        let isForNoUsers = isOpeningReturnPath && counter == 0 && mode != .perDevice && sent == 1
        if isForNoUsers { (mode, sentForNoUsers) = (.legacy, true) }
        if mode == .legacy, sent > 1 {
            reporter.report(
                .legacyOneAck, with: [acks.first?.place], found: "the destination sent ACK \(sent) in legacy mode",
                legal: "one ACK for all devices")
        }
        if awaitingAck == nil, !isForNoUsers, !isAfterGap {
            reporter.report(
                .ackHasApproval, with: [acks.dropLast().last?.place],
                found: "the destination sent ACK \(sent) without an approval before it",
                legal: mode == .legacy ? "an ACK after the approval that leaves none pending" : "one ACK after each approval")
        }
        awaitingAck = nil
    }

    private mutating func refusesToRun(_ run: Spot, _ result: Int64) {
        reporter.report(
            .packageRuns, at: run, with: [reporter.spot.place],
            found: "the package is loaded, but its command POSTCOPY_RUN failed (ret \(result))",
            legal: "qemu_loadvm_state_section_command 1")
    }

    /// The command OPEN_RETURN_PATH is done.
    private mutating func returnPathIsOpen() {
        let isDue = hasNoUsers || (circumstances.destinationMode == .legacy && circumstances.destinationCapability == true && counter == 0)
        guard isDue, sent == 0, let opened = openedReturnPath else { return }
        reporter.report(
            .legacyNoUsers, at: opened, with: [reporter.spot.place],
            found: "the return path is open and no device counts, but the destination sent no ACK",
            legal: "migrate_send_rp_message 7: len 0 before the command is done")
    }

    mutating func loseLedgers(isDeclared: Bool) {
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
    }
}

extension DestinationSide {
    /// Counts what has happened since `before` so many times more.
    mutating func repeatWhatHappened(_ times: Int, since before: DestinationSide) {
        sections.repeatWhatHappened(times, since: before.sections)
        for index in devices.indices.prefix(before.devices.count) {
            devices[index].bytes &+= (devices[index].bytes &- before.devices[index].bytes) &* UInt64(times)
        }
    }
}
