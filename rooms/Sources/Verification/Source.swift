/// The source's side of a migration: its events in its own order, handed to those who keep account of them.
import MigrationTrace

struct SourceSide: Sendable {
    static let mostPlaces = 4096

    private let circumstances: Circumstances
    private(set) var account: SourceAccount
    private(set) var ledger: SourceLedger
    private(set) var devices: SourceDevices
    private(set) var switchover = Switchover()
    private(set) var arcs = DeviceArcs(.source)
    private(set) var status: StatusArcs
    private(set) var guest = GuestAccount()
    private(set) var progress = Progress()
    /// PART and END sections begun by the first half of the iterations that confirm that nothing happens any more.
    private(set) var sectionsHalfway = 0
    private(set) var iterationsAtUnderflow = 0
    private(set) var breaches = Breaches()

    private(set) var hasBegun = false
    private(set) var hasGaps = false
    private(set) var last: (event: Event, place: Place)?
    private(set) var isCut = false
    private(set) var ending: Spot?
    /// The last change of its status.
    private(set) var arrival: Spot?
    /// The guest was stopped for a snapshot, and goes on when that is saved.
    private(set) var isSnapshot = false
    /// All is sent, and the source waits for the return path's end.
    private(set) var joinsReturnPath: Place?
    private var runState: RunState?
    /// The first errors said, with their lines; the first is the one QEMU keeps.
    private(set) var error: (text: String, place: Place)?
    private(set) var returnPathEnd: (text: String, place: Place)?
    /// What the destination said at its end: 0 is well.
    private(set) var shut: (value: UInt64, place: Place)?
    /// The cancel, and the return path that was opened after it: nobody has shut it down.
    private(set) var lateReturnPath: (cancelled: Place, opened: Place)?
    private var cancelled: Place?
    private(set) var isCleanedUp = false
    private(set) var blocksActivated = false
    /// Its devices when the program was told to end; nil: it was not.
    private var devicesAtQuit: DeviceArcs?
    private(set) var runWasSent: Place?
    private(set) var runsAfterHandover: Spot?
    /// Of the first ACKs counted.
    private(set) var ackPlaces: [Place] = []

    init(_ circumstances: Circumstances) {
        self.circumstances = circumstances
        status = circumstances.doesWithoutDevice ? .sourceWithoutDevice : .source
        account = SourceAccount(circumstances, guestRuns: true)
        ledger = SourceLedger(mode: circumstances.sourceMode, hasRequester: circumstances.requester != nil)
        devices = SourceDevices(announcesRequests: circumstances.announcesRequests)
    }

    /// A migration begins: what the guest and the devices were before stays.
    private mutating func begin() {
        // What the process did before its first migration is told with that one.
        let (guest, arcs, last, earlier, runState) = (guest, arcs, last, hasBegun ? Breaches() : breaches, runState)
        self = SourceSide(circumstances)
        isSnapshot = runState == .saveVM
        if isSnapshot { status = .snapshot }
        self.guest = guest
        self.guest.begin()
        self.arcs = arcs
        self.arcs.begin()
        self.last = last
        breaches = earlier
        account = SourceAccount(circumstances, guestRuns: guest.runs ?? true)
        hasBegun = true
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
        // The lines that come by the thousand.
        case .qemuSavevmQueryPending(let query):
            ledger.query(query, at: spot, &breaches)
            devices.queryEnded(mode: ledger.mode, at: spot, &breaches)
            switchover.query(query, isColo: status.has(reached: .colo), at: spot, &breaches)
            progress.query(query.total, exact: query.exact)
            if query.collectedAcks > 0 {
                progress.happened()
                capabilityIsOn("a query collected \(query.collectedAcks)", spot)
            }
        case .vfioStatePending(let pending):
            ledger.stateOfDevice(requestsAck: pending.requestsAck, &breaches)
            devices.reported(pending, mode: ledger.mode, at: spot, &breaches)
            if pending.requestsAck { progress.happened() }
        case .migratePendingEstimate(let total, _, _):
            ledger.oldQuery()
            switchover.queried(at: spot, &breaches)
            progress.query(total, exact: false)
        case .migratePendingExact(let total, _, _):
            ledger.oldQuery()
            switchover.queried(at: spot, &breaches)
            progress.query(total, exact: true)
        case .savevmStateIterate:
            progress.iterated()
            if progress.settled == EndlessProof.confirmations / 2 { sectionsHalfway = progress.sections }
            switchover.iterates(at: spot, &breaches)
        case .savevmSectionStart: progress.wroteSection()
        case .vfioQueryPrecopySize(let device, let initial, let dirty, let reinit, let result):
            devices.queried(
                device, initial: initial, dirty: dirty, reinit: reinit, result: result, isLastCheck: switchover.decision != nil,
                mode: ledger.mode ?? circumstances.sourceMode, at: spot, &breaches)
        case .vfioSaveIterate(let device, let initial, let dirty):
            devices.iterated(
                device, initial: initial, dirty: dirty, printsMarkers: ledger.counts == true, mode: ledger.mode, at: spot, &breaches)
        case .migrateTransferred: progress.windowEnded()
        case .vfioQueryStopCopySize, .savevmSectionEnd, .migrationBitmapSyncStart, .migrationBitmapSyncEnd: break

        // Requests, markers, ACKs.
        case .vfioQueryPrecopySizeRequestSwitchoverAck(let device):
            devices.requested(device, mode: ledger.mode, at: spot, &breaches)
            progress.happened()
            progress.reinitialised()
            capabilityIsOn("a device requested an ACK", spot)
        case .vfioSaveBlock(let device, let size): devices.wroteBlock(device, size, at: spot, &breaches)
        case .vfioSaveBlockPrecopyEmptyHit(let device): devices.readNothing(device)
        case .vfioSendInitDataFlag(let device):
            devices.wroteMarker(device, mode: ledger.mode, at: spot, &breaches)
            progress.happened()
            capabilityIsOn("a device wrote its marker", spot)
        case .vfioSaveCompletePrecopyStart(let device), .vfioSaveCompletePrecopyThreadStart(let device, _, _): devices.completes(device)
        case .sourceReturnPathThreadSwitchoverAcked(let number):
            ledger.ack(number, at: spot, &breaches)
            switchover.acked()
            progress.happened()
            if ledger.underflow != nil, iterationsAtUnderflow == 0 { iterationsAtUnderflow = progress.iterations }
            if ackPlaces.count < Self.mostPlaces { ackPlaces.append(spot.place) }
            capabilityIsOn("an ACK was counted", spot)
        case .migrationCancel: cancelled = cancelled ?? spot.place
        case .openReturnPathOnSource: lateReturnPath = cancelled.map { ($0, spot.place) }
        case .sourceReturnPathThreadLoopTop: ledger.returnPathWaits()
        case .sourceReturnPathThreadBadEnd: returnPathEnded("with an error", spot)
        case .sourceReturnPathThreadEnd: returnPathEnded("", spot)
        case .sourceReturnPathThreadShut(let value):
            shut = (value, spot.place)
            returnPathEnded("by SHUT \(value)", spot)

        // The decision and what follows.
        case .migrationThreadSetupComplete: switchover.threadBegins()
        case .migrationThreadLowPending: decides(isPostcopy: false, spot)
        case .postcopyStart: decides(isPostcopy: true, spot)
        case .migrationPrecopyComplete: switchover.precopyCompletes(counts: ledger.counts == true, at: spot, &breaches)
        case .savevmSendSwitchoverStart: switchover.goesOn(at: spot, &breaches)
        case .migrateError(let text):
            if error == nil { error = (text, spot.place) }
            switchover.error(text, at: spot, &breaches)
        // A QEMU that is told to quit cancels even what it would not let anybody cancel.
        case .migrateSetState(.cancelling) where status.status == .postcopyPaused: break
        case .migrateSetState(let next):
            status.move(to: next, at: spot, &breaches)
            switchover.status(next, counts: ledger.counts, acks: ledger.acks, at: spot, &breaches)
            progress.happened()
            arrival = spot
            if StatusArcs.finals.contains(next) { ending = spot }
        case .migrationReturnPathEndBefore: joinsReturnPath = spot.place
        case .migrationReturnPathEndAfter: joinsReturnPath = nil
        case .migrationCleanup: isCleanedUp = true
        case .migrationBlockActivation(let activation): blocksActivated = activation == .active
        case .savevmSendPostcopyRun: runWasSent = spot.place

        // Guest and devices.
        case .runstateSet(_, let from, _, let to):
            runState = to
            if to != .running { switchover.stopped(to, ran: from == .running && to == .finishMigrate) }
            guestChanges(event, spot)
        case .vmStateNotify(let running, _, let reason):
            if !running, reason == .shutdown, devicesAtQuit == nil { devicesAtQuit = arcs }
            if !running { switchover.stopped(reason, ran: reason == .finishMigrate) }
            guestChanges(event, spot)
        case .migrateGlobalStatePreSave(let state):
            switchover.saved(state)
            guestChanges(event, spot)
        case .vfioVMStateChangePrepare(let device, let running, let reason, let state):
            if !running { switchover.stopped(reason, ran: reason == .finishMigrate) }
            arcs.prepared(device, running: running, state, at: spot, &breaches)
        case .vfioVMStateChange(let device, let running, let reason, let state):
            if !running { switchover.stopped(reason, ran: reason == .finishMigrate) }
            arcs.changed(device, running: running, state, at: spot, &breaches)
            if running { devices.started(device, state, iterates: status.status == .active, at: spot, &breaches) }
            guestChanges(event, spot)
        case .vfioMigrationSetState(let device, let state, let recover): arcs.asks(device, state, recover: recover, at: spot, &breaches)
        case .vfioMigrationInit(let device, let flags, _, _): arcs.found(device, flags: flags)
        case .vfioMigrationRealize(let device): arcs.realized(device)
        case .vfioMigrationSetDeviceState(let device, let state):
            arcs.did(device, state, at: spot, &breaches)
            devices.entered(device, state)
            progress.happened()
        default: break
        }
    }

    private mutating func decides(isPostcopy: Bool, _ spot: Spot) {
        devices.decided(at: spot, &breaches)
        switchover.decide(missing: ledger.missing, acks: ledger.acks, guest: guest, isPostcopy: isPostcopy, at: spot, &breaches)
        progress.happened()
    }

    private mutating func guestChanges(_ event: Event, _ spot: Spot) {
        let ran = guest.runs
        guest.take(event, at: spot.place)
        guard ran != guest.runs else { return }
        progress.happened()
        if guest.runs == true, status.has(reached: .postcopyActive), runWasSent != nil { runsAfterHandover = runsAfterHandover ?? spot }
    }

    private mutating func returnPathEnded(_ how: String, _ spot: Spot) {
        if returnPathEnd == nil { returnPathEnd = (how, spot.place) }
        progress.happened()
        // Behind SHUT the thread reads no other message.
        switchover.returnPathEnded(at: spot.place)
        ledger.returnPathEnded(at: spot, &breaches)
    }

    private mutating func capabilityIsOn(_ how: String, _ spot: Spot) {
        breaches.report(.capabilityOff, at: spot, when: .capabilityOff, found: "\(how), with the capability off", legal: "none of it")
    }

    /// Section idstr of a user that is no VFIO device.
    var requester: String? { circumstances.requester }

    /// Lines are missing.
    mutating func lose() {
        hasGaps = true
        ledger.lose()
        devices.lose()
        switchover.lose()
        arcs.lose()
        status.lose()
        progress.lose()
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

    /// For as many iterations as confirm a proof nothing happened, or nothing that could help.
    var isLongUnchanged: Bool {
        progress.settled >= EndlessProof.confirmations || progress.roundsShown >= EndlessProof.roundConfirmations
            || account.starvedInARow >= EndlessProof.windowConfirmations
            || (circumstances.reinitsForever && progress.reinits >= EndlessProof.reinitConfirmations)
            || (ledger.underflow != nil && progress.iterations - iterationsAtUnderflow >= EndlessProof.confirmations)
    }

    /// Its devices as they were to the end, before they were taken down with the program.
    var devicesAtEnd: DeviceArcs { devicesAtQuit ?? arcs }

    /// Without the capability none of this happens; nil where nothing tells.
    var showsCapability: Bool? { circumstances.sourceCapability ?? (devices.showsCapability || account.gatedSteps > 0 ? true : nil) }
}
