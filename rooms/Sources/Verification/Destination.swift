/// The destination's side: what it loads, what it approves, and which ACK it sends for it.
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
    private(set) var account: DestinationAccount
    private(set) var devices: [DestinationDevice] = []
    private(set) var arcs = DeviceArcs(.destination)
    private(set) var status = StatusArcs.destination
    private(set) var guest = GuestAccount()
    private(set) var breaches = Breaches()

    private(set) var hasBegun = false
    private(set) var hasGaps = false
    private(set) var last: (event: Event, place: Place)?
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
    /// PART and END sections begun.
    private(set) var sections = 0
    /// Lines are missing before: a marker or an approval may be among them.
    private var isAfterGap = false
    private var lastDevice = 0
    private var lastMarker: String?
    /// The command that is being read is one that no release has, and the source's core announces requests by it: it is the marker.
    private var isInAnnouncement = false
    /// Approvals of the requester.
    private(set) var requesterApprovals: [Place] = []
    private(set) var requesterApprovalCount = 0

    init(_ circumstances: Circumstances) {
        self.circumstances = circumstances
        account = DestinationAccount(idstrs: circumstances.destinationIdstrs, requester: circumstances.requester)
        mode = circumstances.destinationMode
        showsCapability = circumstances.destinationCapability
    }

    private mutating func begin() {
        // What the process did before its first migration is told with that one.
        let (guest, arcs, last, earlier) = (guest, arcs, last, hasBegun ? Breaches() : breaches)
        self = DestinationSide(circumstances)
        self.guest = guest
        self.guest.begin()
        self.arcs = arcs
        self.arcs.begin()
        self.last = last
        breaches = earlier
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

    mutating func take(_ event: Event, at place: Place) {
        if case .migrateSetState(.setup) = event { begin() }
        let spot = Spot(place: place, event: event, before: last?.event, beforeLine: last?.place.line ?? 0)
        handOut(event, spot)
        account.take(event)
        last = (event, place)
    }

    private mutating func handOut(_ event: Event, _ spot: Spot) {
        switch event {
        case .qemuLoadvmStateSection:
            readsOn(spot)
            isInAnnouncement = false
        case .qemuLoadvmStateSectionPartEnd: sections += 1
        case .vfioLoadState(let device, let tag): loaded(device, tag, spot)
        case .vfioLoadStateDeviceData(let device, let size, let result): wrote(device, size, result, spot)
        case .vfioLoadStateDeviceBufferIncoming(let device, _): if let index = index(device) { devices[index].incoming += 1 }
        case .vfioLoadStateDeviceBufferLoadEnd(let device, _): if let index = index(device) { devices[index].written += 1 }

        case .loadvmApproveSwitchover(let device):
            mode = mode ?? .perDevice
            approved(device, nil, spot)
        case .loadvmApproveSwitchoverLegacy(let device, let pending):
            mode = mode ?? .legacy
            approved(device, pending, spot)
        case .loadvmApproveSwitchoverCounted(let pending):
            mode = mode ?? .legacy
            approved(account.unnamedApprover, pending, spot)
        case .migrationRequestSwitchoverAckLegacy(let device, let pending): countedIn(device, Int(pending), spot)
        case .loadvmStateSwitchoverAckNeeded(let pending):
            mode = mode ?? .legacy
            showsCapability = showsCapability ?? true
            counter = Int(pending)
            saidNoUsers = pending == 0
        case .migrateSendRPMessage(.switchoverAck, _): sentAck(spot)
        case .migrateSendRPMessage(.pong, _): pongs += 1
        case .loadvmProcessCommand(.openReturnPath?, _):
            isOpeningReturnPath = true
            openedReturnPath = spot
        case .loadvmProcessCommand(nil, _): isInAnnouncement = circumstances.announcesRequests
        case .loadvmPostcopyHandleRun: run = spot
        case .qemuLoadvmStateSectionCommand(let result):
            if let run, result < 0 { refusesToRun(run, result, spot) }
            run = nil
            if isOpeningReturnPath { openedReturnPath(spot) }
            isOpeningReturnPath = false

        case .migrateSetState(let next):
            if next != .failed { readsOn(spot) }
            status.move(to: next, at: spot, &breaches)
            arrival = spot
            if StatusArcs.finals.contains(next) { ending = spot }
        // 1: the package has ended with its order to run.
        case .qemuLoadvmStatePostMain(let result):
            if result == 1 { hasTakenOver = true }
            if result < 0 { failedLoad = spot.place }
        case .migrateError(let text): if error == nil { error = (text, spot.place) }
        case .runstateSet, .vmStateNotify, .migrateGlobalStatePostLoad: guest.take(event, at: spot.place)
        case .vfioVMStateChangePrepare(let device, let running, _, let state):
            arcs.prepared(device, running: running, state, at: spot, &breaches)
        case .vfioVMStateChange(let device, let running, _, let state):
            arcs.changed(device, running: running, state, at: spot, &breaches)
            guest.take(event, at: spot.place)
        case .vfioMigrationSetState(let device, let state, let recover): arcs.asks(device, state, recover: recover, at: spot, &breaches)
        case .vfioMigrationRealize(let device): arcs.realized(device)
        case .vfioMigrationSetDeviceState(let device, let state): arcs.did(device, state, at: spot, &breaches)
        default: break
        }
    }

    // MARK: Loading

    private mutating func loaded(_ name: String, _ tag: VFIOLoadTag, _ spot: Spot) {
        guard let index = index(name) else { return }
        switch tag {
        case .data:
            devices[index].announced += 1
            devices[index].unwritten = devices[index].unwritten ?? spot
        case .initDataSent:
            lastMarker = name
            if let marker = devices[index].marker {
                breaches.report(
                    .markerApproved, device: name, at: marker, with: [spot.place],
                    found: "another marker was loaded before marker \(devices[index].loadCount) was approved", legal: approvalLine)
            }
            loadedMarker(index, spot)
        default: break
        }
    }

    private mutating func loadedMarker(_ index: Int, _ spot: Spot) {
        devices[index].marker = spot
        devices[index].loadCount += 1
        if devices[index].loads.count < SourceDevice.mostMarkers { devices[index].loads.append(spot.place) }
    }

    private mutating func wrote(_ name: String, _ size: UInt64, _ result: Int64, _ spot: Spot) {
        guard let index = index(name) else { return }
        devices[index].announced = max(devices[index].announced - 1, 0)
        if devices[index].announced == 0 { devices[index].unwritten = nil }
        if result == 0 {
            devices[index].bytes &+= size
        } else {
            devices[index].failedWrite = devices[index].failedWrite ?? (spot, result)
        }
    }

    /// The next section, or the end: what the last one began must be done, or the load have failed.
    private mutating func readsOn(_ spot: Spot) {
        isAfterGap = false
        if let due = awaitingAck {
            breaches.report(
                .ackPerApproval, device: due.device, at: due.spot, with: [spot.place],
                found: mode == .legacy ? "the last device was approved, but no ACK was sent" : "the approval was followed by no ACK",
                legal: "migrate_send_rp_message 7: len 0 before the next section")
            awaitingAck = nil
        }
        for index in devices.indices {
            if let marker = devices[index].marker {
                breaches.report(
                    .markerApproved, device: devices[index].name, at: marker, with: [spot.place],
                    found: "the destination read on after marker \(devices[index].loadCount) without approving the device",
                    legal: approvalLine)
                devices[index].marker = nil
            }
            if let unwritten = devices[index].unwritten {
                breaches.report(
                    .dataWritten, device: devices[index].name, at: unwritten, with: [spot.place],
                    found: "data was announced, but the destination read on without writing it",
                    legal: "vfio_load_state_device_data before the section's end")
                devices[index].unwritten = nil
                devices[index].announced = 0
            }
            if let failed = devices[index].failedWrite {
                breaches.report(
                    .dataWritten, device: devices[index].name, at: failed.spot, with: [spot.place],
                    found: "data could not be written (ret \(failed.result)), but the destination read on", legal: "the load fails")
                devices[index].failedWrite = nil
            }
        }
    }

    private var approvalLine: String { mode == .legacy ? "loadvm_approve_switchover, counting down" : "loadvm_approve_switchover" }

    // MARK: Approvals and ACKs

    private mutating func approved(_ name: String?, _ pending: UInt32?, _ spot: Spot) {
        showsCapability = showsCapability ?? true
        breaches.report(
            .capabilityOff, device: name, at: spot, when: .capabilityOff, found: "a device was approved, with the capability off",
            legal: "no approval")
        if let due = awaitingAck, mode == .perDevice {
            breaches.report(
                .ackPerApproval, device: due.device, at: due.spot, with: [spot.place],
                found: "the approval was followed by another one, and no ACK",
                legal: "migrate_send_rp_message 7: len 0 after each")
        }
        if let pending { count(down: Int(pending), name, spot) }
        awaitingAck = pending == nil || pending == 0 ? (spot, name) : nil
        if let name, let requester = circumstances.requester, account.devices.idstr(of: name) == requester {
            return approvedRequester(name, spot)
        }
        guard let name, let index = index(name) else {
            breaches.report(
                .approvalMarker, at: spot, found: "an approval without any marker before it",
                legal: "vfio_load_state with ...ef100005 before it")
            return
        }
        if isInAnnouncement { loadedMarker(index, spot) }
        let device = devices[index]
        if device.marker == nil, !isAfterGap {
            breaches.report(
                .approvalMarker, device: name, at: spot, with: [device.loads.last],
                found: "approval \(device.approvalCount + 1) of the device, with \(device.loadCount) markers loaded",
                legal: "one approval for each marker")
        }
        if let failed = device.failedWrite {
            breaches.report(
                .approvalAfterData, device: name, at: spot, with: [failed.spot.place],
                found: "the device was approved though data before its marker could not be written (ret \(failed.result))",
                legal: "the load fails")
        } else if device.announced > 0 || device.incoming > device.written {
            breaches.report(
                .approvalAfterData, device: name, at: spot,
                found:
                    "the device was approved with \(device.announced + max(device.incoming - device.written, 0)) blocks of data not written yet",
                legal: "vfio_load_state_device_data with ret 0 for each block first")
        }
        devices[index].marker = nil
        devices[index].approvalCount += 1
        if device.approvals.count < SourceDevice.mostMarkers {
            devices[index].approvals.append(MarkerPoint(place: spot.place, bytes: device.bytes))
        }
    }

    /// Its marker has no line: that the approval is written inside its section is all that shows.
    private mutating func approvedRequester(_ name: String, _ spot: Spot) {
        requesterApprovalCount += 1
        if requesterApprovals.count < SourceDevice.mostMarkers { requesterApprovals.append(spot.place) }
        guard !account.readsRequester, !isInAnnouncement, !isAfterGap else { return }
        breaches.report(
            .approvalMarker, device: name, at: spot, found: "an approval of the requester outside of its section",
            legal: "one approval for each marker, in its section")
    }

    private mutating func countedIn(_ name: String, _ pending: Int, _ spot: Spot) {
        mode = mode ?? .legacy
        showsCapability = showsCapability ?? true
        if !hasGaps, pending != counter + 1 {
            breaches.report(
                .legacyCount, device: name, at: spot, found: "the device was counted in as \(pending) after \(counter)",
                legal: "switchover_ack_pending_num_legacy \(counter + 1)")
        }
        counter = pending
    }

    private mutating func count(down pending: Int, _ name: String?, _ spot: Spot) {
        if !hasGaps, pending != counter - 1 {
            breaches.report(
                .legacyCount, device: name, at: spot, found: "the approval left \(pending) pending after \(counter)",
                legal: counter > 0 ? "\(counter - 1) pending" : "no approval: none is pending")
        }
        counter = pending
    }

    private mutating func sentAck(_ spot: Spot) {
        sent += 1
        breaches.report(.capabilityOff, at: spot, when: .capabilityOff, found: "an ACK was sent, with the capability off", legal: "no ACK")
        if acks.count < SourceSide.mostPlaces { acks.append((spot.place, awaitingAck?.device)) }
        let isForNoUsers = isOpeningReturnPath && counter == 0 && mode != .perDevice && sent == 1
        if isForNoUsers { mode = .legacy }
        if mode == .legacy, sent > 1 {
            breaches.report(
                .legacyOneAck, at: spot, with: [acks.first?.place], found: "ACK \(sent) was sent in legacy mode",
                legal: "one ACK for all devices")
        }
        if awaitingAck == nil, !isForNoUsers, !isAfterGap {
            breaches.report(
                .ackHasApproval, at: spot, with: [acks.dropLast().last?.place], found: "ACK \(sent) was sent without an approval before it",
                legal: mode == .legacy ? "an ACK after the approval that leaves none pending" : "one ACK after each approval")
        }
        awaitingAck = nil
    }

    private mutating func refusesToRun(_ run: Spot, _ result: Int64, _ spot: Spot) {
        breaches.report(
            .packageRuns, at: run, with: [spot.place], found: "the package is loaded, and its order to run the guest failed (\(result))",
            legal: "qemu_loadvm_state_section_command 1")
    }

    /// OPEN_RETURN_PATH is done.
    private mutating func openedReturnPath(_ spot: Spot) {
        let isDue = saidNoUsers || (circumstances.destinationMode == .legacy && circumstances.destinationCapability == true && counter == 0)
        guard isDue, sent == 0, let opened = openedReturnPath else { return }
        breaches.report(
            .legacyNoUsers, at: opened, with: [spot.place], found: "the return path was opened, no device counts, and no ACK was sent",
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
        if last == nil { last = (.migrationCancel, place) }
        last!.place = place
    }

    /// Another process writes from here on.
    mutating func restart() {
        if !hasBegun { breaches = Breaches() }
        guest.restart()
        arcs.restart()
    }
}
