/// The source's side of a migration: hands each event, in the source's print order, to the ledgers and checks that it concerns.
import MigrationTrace

struct SourceSide: LoggedSide {
    static let mostPlaces = 4096

    let circumstances: Circumstances
    private(set) var names: DeviceNames
    private(set) var ledger: SourceLedger
    private(set) var devices: SourceDevices
    private(set) var heldBack = HeldBackSteps()
    private(set) var starved = StarvedWindows()
    private(set) var switchover = Switchover()
    private(set) var queries = QueryAccount()
    var arcs = DeviceArcs(.source)
    var status: StatusArcs
    var guest = GuestAccount()
    private(set) var progress = Progress()
    /// PART and END sections begun when half of the iterations had passed that confirm that nothing happens any more.
    private(set) var sectionsHalfway = 0
    private(set) var iterationsAtUnderflow = 0
    /// Bytes that the source may leave for the stopped guest; nil before the first window of 100 ms ended.
    private(set) var threshold: Int64?
    /// The last window of 100 ms.
    private(set) var window: TransferWindow?
    var reporter = RuleReporter()

    var hasBegun = false
    var hasGaps = false
    var isCut = false
    private(set) var ending: Spot?
    /// The last change of the source's status.
    private(set) var arrival: Spot?
    /// The migration is a snapshot: the guest is stopped and runs again once the snapshot is saved.
    private(set) var isSnapshot = false
    /// The source has sent everything and waits for the return-path thread to end.
    private(set) var joinsReturnPath: Place?
    private(set) var isReturnPathOpen = false
    private var runState: RunState?
    /// The first error that the source stored; QEMU keeps the first one.
    private(set) var error: (text: String, place: Place)?
    private(set) var returnPathEnd: (text: String, place: Place)?
    /// The value of SHUT, which the destination sends at its end; 0 is success.
    private(set) var shut: (value: UInt64, place: Place)?
    /// A return path that was opened after the migration was cancelled, so that nothing shuts it down.
    private(set) var lateReturnPath: (cancelled: Place, opened: Place)?
    private var cancelled: Place?
    private(set) var isCleanedUp = false
    private(set) var blocksActivated = false
    /// The source's devices when the program was told to quit; nil if it was not.
    private var devicesAtQuit: DeviceArcs?
    private(set) var runWasSent: Place?
    private(set) var runsAfterHandover: Spot?
    /// The section ids and idstrs that were written, each once.
    private(set) var sections = SectionIds()
    /// The lines of the first ACKs counted.
    private(set) var ackPlaces: [Place] = []

    init(_ circumstances: Circumstances) {
        self.circumstances = circumstances
        status = Self.arcs(circumstances)
        names = DeviceNames(circumstances.sourceIdstrs)
        ledger = SourceLedger(mode: circumstances.sourceMode, hasRequester: circumstances.requester != nil)
        devices = SourceDevices(announcesRequests: circumstances.announcesRequests)
    }

    private static func arcs(_ circumstances: Circumstances) -> StatusArcs {
        (circumstances.doesWithoutDevice ? StatusArcs.sourceWithoutDevice : .source).limited(to: circumstances.sourceTraits.newestStatus)
    }

    private mutating func begin() {
        let isSnapshot = runState == .saveVM
        beginMigration()
        self.isSnapshot = isSnapshot
        if isSnapshot { status = .snapshot }
    }

    /// The last event; nil before the first.
    var last: Spot? { reporter.last }

    mutating func handle(_ event: Event, at place: Place) {
        if case .migrateSetState(.setup) = event { begin() }
        reporter.advance(to: event, at: place)
        handleIteration(event)
    }

    /// The events that come by the thousand while the source iterates; passes any other event on.
    private mutating func handleIteration(_ event: Event) {
        switch event {
        case .qemuSavevmQueryPending(let query): queryEnded(query)
        case .vfioStatePending(let pending):
            starved.reported(pending.device, initial: pending.initial)
            ledger.deviceReported(requestsAck: pending.requestsAck, &reporter)
            devices.reported(pending, mode: ledger.mode, usesInfoV2: arcs.usesInfoV2(pending.device), &reporter)
            queries.deviceReported(pending)
            if pending.requestsAck { progress.happened() }
        case .vfioStatePendingEstimate(let device, _, _, let initial, _), .vfioStatePendingExact(let device, _, _, _, let initial, _):
            starved.reported(device, initial: initial)
        case .migratePendingEstimate(let total, _, _): oldQueryEnded(total, exact: false)
        case .migratePendingExact(let total, _, _): oldQueryEnded(total, exact: true)
        case .savevmStateIterate:
            progress.iterated()
            queries.iterates(waits: ledger.acks == 0 && guestRuns, &reporter)
            if progress.settled == EndlessProof.confirmations / 2 { sectionsHalfway = progress.sections }
            switchover.iterates(&reporter)
            heldBack.iterated()
        case .savevmSectionStart(let idstr, let section):
            names.enterSection(idstr)
            sections.add(section, idstr)
            starved.wroteSection(of: idstr)
            progress.wroteSection()
        case .savevmSectionEnd: names.leaveSection()
        case .vfioQueryPrecopySize(let device, let initial, let dirty, let reinit, let result):
            devices.queried(
                device, initial: initial, dirty: dirty, reinit: reinit, result: result, isLastCheck: switchover.decision != nil,
                mode: ledger.mode ?? circumstances.sourceMode, &reporter)
        case .vfioSaveIterateStart(let device): names.sawLine(of: device)
        case .vfioSaveIterate(let device, let initial, let dirty):
            names.sawLine(of: device)
            devices.iterated(
                device, initial: initial, dirty: dirty, printsMarkers: ledger.counts == true, mode: ledger.mode, &reporter)
        case .vfioSaveBlock(let device, let size): devices.wroteBlock(device, size, &reporter)
        case .vfioSaveBlockPrecopyEmptyHit(let device): devices.readNothing(device)
        case .migrateTransferred(let window):
            self.window = window
            threshold = window.maxSize
            queries.windowEnded(at: reporter.spot.place)
            starved.windowEnded(names)
            progress.windowEnded()
        case .sourceReturnPathThreadLoopTop: ledger.returnPathWaits()
        case .vfioQueryStopCopySize(let device, _, _): devices.askedSize(device)
        case .migrationBitmapSyncStart, .migrationBitmapSyncEnd: break
        default: handleHandshake(event)
        }
    }

    /// Requests, markers, ACKs and the return path.
    private mutating func handleHandshake(_ event: Event) {
        switch event {
        case .vfioQueryPrecopySizeRequestSwitchoverAck(let device):
            devices.requested(device, mode: ledger.mode, &reporter)
            progress.happened()
            progress.reinitialised()
            showsCapability("a device requested an ACK")
        case .vfioSendInitDataFlag(let device):
            devices.wroteMarker(device, mode: ledger.mode, &reporter)
            progress.happened()
            showsCapability("the source wrote a device's marker")
        case .vfioSaveCompletePrecopyStart(let device):
            // A device without PRE_COPY has its first line in a section when it completes.
            names.sawLine(of: device)
            devices.completes(device)
        case .vfioSaveCompletePrecopyThreadStart(let device, let idstr, _):
            names.name(device, idstr)
            devices.completes(device)
        case .sourceReturnPathThreadSwitchoverAcked(let number):
            ledger.countedAck(number, &reporter)
            switchover.countedAck()
            progress.happened()
            if ledger.underflow != nil, iterationsAtUnderflow == 0 { iterationsAtUnderflow = progress.iterations }
            if ackPlaces.count < Self.mostPlaces { ackPlaces.append(reporter.spot.place) }
            showsCapability("the source counted an ACK")
        case .openReturnPathOnSource:
            isReturnPathOpen = true
            lateReturnPath = cancelled.map { ($0, reporter.spot.place) }
        case .sourceReturnPathThreadBadEnd: returnPathEnded("with an error")
        case .sourceReturnPathThreadEnd: returnPathEnded("")
        case .sourceReturnPathThreadShut(let value):
            shut = (value, reporter.spot.place)
            returnPathEnded("by SHUT \(value)")
        case .migrationReturnPathEndBefore: joinsReturnPath = reporter.spot.place
        case .migrationReturnPathEndAfter: joinsReturnPath = nil
        default: handleSwitchover(event)
        }
    }

    /// The decision, and what follows from it.
    private mutating func handleSwitchover(_ event: Event) {
        switch event {
        case .migrationThreadSetupComplete: switchover.threadBegins()
        case .migrationThreadLowPending(let pending): decides(pending: pending, isPostcopy: false)
        case .postcopyStart: decides(pending: progress.latest ?? 0, isPostcopy: true)
        case .migrationPrecopyComplete: switchover.precopyCompletes(counts: ledger.counts == true, &reporter)
        case .savevmSendSwitchoverStart: switchover.goesOn(&reporter)
        case .savevmSendPostcopyRun: runWasSent = reporter.spot.place
        case .migrationCancel: cancelled = cancelled ?? reporter.spot.place
        case .migrateError(let text), .migrateFDError(let text):
            if error == nil { error = (text, reporter.spot.place) }
            switchover.storedError(text, &reporter)
        // A QEMU that is told to quit cancels even what nobody could cancel before.
        case .migrateSetState(.cancelling) where status.status == .postcopyPaused: break
        case .migrateSetState(let next):
            status.move(to: next, &reporter, mayLackDevice: circumstances.isForeign && ledger.counts != true)
            switchover.status(next, counts: ledger.counts, acks: ledger.acks, &reporter)
            progress.happened()
            if next == .completed { devices.completed(&reporter) }
            arrival = reporter.spot
            if StatusArcs.isFinal(next) { ending = reporter.spot }
        case .migrationCleanup: isCleanedUp = true
        case .migrationBlockActivation(let activation): blocksActivated = activation == .active
        default: handleGuestAndDevices(event)
        }
    }

    private mutating func handleGuestAndDevices(_ event: Event) {
        switch event {
        case .runstateSet(_, let from, _, let to):
            runState = to
            if to != .running { switchover.stopped(to, ran: from == .running && to == .finishMigrate) }
            guestChanges(event)
        case .vmStateNotify(let running, _, let reason):
            if !running, reason == .shutdown, devicesAtQuit == nil { devicesAtQuit = arcs }
            if !running { switchover.stopped(reason, ran: reason == .finishMigrate) }
            guestChanges(event)
        case .migrateGlobalStatePreSave(let state):
            switchover.saved(state)
            guestChanges(event)
        case .vfioVMStateChangePrepare(let device, let running, let reason, let state):
            if !running { switchover.stopped(reason, ran: reason == .finishMigrate) }
            arcs.prepared(device, running: running, state, &reporter)
        case .vfioVMStateChange(let device, let running, let reason, let state):
            if !running { switchover.stopped(reason, ran: reason == .finishMigrate) }
            arcs.changed(device, running: running, state, &reporter)
            if running { devices.started(device, state, iterates: status.status == .active, &reporter) }
            guestChanges(event)
        case .vfioMigrationSetState(let device, let state, let recover): arcs.asked(device, state, recover: recover, &reporter)
        case .vfioMigrationInit(let device, let flags, let infoV2, _): arcs.found(device, flags: flags, precopyInfoV2: infoV2)
        case .vfioMigrationRealize(let device): arcs.realized(device)
        case .vfioMigrationSetDeviceState(let device, let state), .vfioMigrationStateSet(let device, let state):
            arcs.reached(device, state, &reporter)
            devices.entered(device, state, at: switchover.decision == nil ? nil : reporter.spot.place)
            progress.happened()
        default: break
        }
    }

    // MARK: Queries and the decision

    /// The source's line about a whole query (11.1).
    private mutating func queryEnded(_ query: PendingQuery) {
        ledger.queryEnded(query, &reporter)
        devices.queryEnded(mode: ledger.mode, &reporter)
        queries.queryEnded(query, &reporter)
        switchover.query(query, isColo: status.has(reached: .colo), &reporter)
        progress.query(query.total, exact: query.exact)
        let ackMissing = query.pendingAcks > 0 && !query.final
        noteStep(
            query.total, exact: query.exact, fits: query.total <= limit, ackMissing: ackMissing, waits: ackMissing && guestRuns)
        if query.collectedAcks > 0 {
            progress.happened()
            showsCapability("a query collected \(count(Int(query.collectedAcks), "request"))")
        }
    }

    /// A query up to 11.0.
    private mutating func oldQueryEnded(_ total: UInt64, exact: Bool) {
        ledger.oldQueryEnded(&reporter)
        switchover.queried(&reporter)
        progress.query(total, exact: exact)
        let decidesAtThreshold = circumstances.decidesBelowThreshold == false
        noteStep(
            total, exact: exact, fits: total == 0 || total < limit || total == limit && decidesAtThreshold,
            ackMissing: ledger.acks == 0, waits: queries.wasWaitingAtStep)
    }

    private var limit: UInt64 { UInt64(max(threshold ?? 0, 0)) }

    private var guestRuns: Bool { guest.runs != false && !guest.isQuitting }

    /// `waits`: an ACK is missing, and the guest runs, at the moment of the step at which the source asks.
    private mutating func noteStep(_ total: UInt64, exact: Bool, fits: Bool, ackMissing: Bool, waits: Bool) {
        let mustWait = waits && circumstances.sourceCapability != false
        let isPrecopy = status.status == .active && switchover.decision == nil && !isSnapshot && cancelled == nil
        queries.queryEnded(
            total: total, exact: exact, mustDecide: fits && !mustWait && isPrecopy && threshold != nil, at: reporter.spot)
        heldBack.queried(
            ackMissing: ackMissing, mayDecide: fits && guestRuns && threshold != nil && switchover.decision == nil)
    }

    private mutating func decides(pending: UInt64, isPostcopy: Bool) {
        devices.decided(&reporter)
        if isPostcopy {
            queries.startsPostcopy()
        } else {
            queries.decides(
                pending: pending, threshold: limit, decidesBelow: circumstances.decidesBelowThreshold,
                isPrecopy: switchover.decision == nil, &reporter)
        }
        switchover.decide(ledger, pending: pending, threshold: threshold, guest: guest, isPostcopy: isPostcopy, &reporter)
        heldBack.decided()
        progress.happened()
    }

    private mutating func guestChanges(_ event: Event) {
        let ran = guest.runs
        guest.handle(event, at: reporter.spot.place)
        guard ran != guest.runs else { return }
        progress.happened()
        if guest.runs == true, status.has(reached: .postcopyActive), runWasSent != nil {
            runsAfterHandover = runsAfterHandover ?? reporter.spot
        }
    }

    private mutating func returnPathEnded(_ how: String) {
        if returnPathEnd == nil { returnPathEnd = (how, reporter.spot.place) }
        progress.happened()
        // The thread reads no message after SHUT.
        switchover.returnPathEnded(at: reporter.spot.place)
        ledger.returnPathEnded(&reporter)
    }

    /// Something happened that only a migration with switchover-ack does.
    private mutating func showsCapability(_ what: String) {
        reporter.report(
            .capabilityOff, when: .capabilityOff, found: "\(what) with switchover-ack off", legal: "no request, marker, approval or ACK")
    }

    /// Section idstr of the user of switchover-ack that is no VFIO device.
    var requester: String? { circumstances.requester }

    mutating func loseLedgers(isDeclared: Bool) {
        ledger.lose(isDeclared: isDeclared)
        devices.lose(isDeclared: isDeclared)
        switchover.lose(isDeclared: isDeclared)
        queries.lose()
        progress.lose()
    }

    /// True if nothing happened, or nothing that could help, for as many iterations as confirm a proof.
    var isLongUnchanged: Bool {
        progress.settled >= EndlessProof.confirmations || progress.roundsShown >= EndlessProof.roundConfirmations
            || starved.inARow >= EndlessProof.windowConfirmations
            || (circumstances.reinitsForever && progress.reinits >= EndlessProof.reinitConfirmations)
            || (ledger.underflow != nil && progress.iterations - iterationsAtUnderflow >= EndlessProof.confirmations)
    }

    /// The source's devices at the end, before the program quit and took them down.
    var devicesAtEnd: DeviceArcs { devicesAtQuit ?? arcs }

    /// True if the log shows that switchover-ack is on; nil if nothing shows it.
    var showsCapability: Bool? { circumstances.sourceCapability ?? (devices.showsCapability || heldBack.count > 0 ? true : nil) }
}

extension SourceSide {
    /// Counts what has happened since `before` so many times more.
    mutating func repeatWhatHappened(_ times: Int, since before: SourceSide) {
        ledger.repeatWhatHappened(times, since: before.ledger)
        devices.repeatWhatHappened(times, since: before.devices)
        heldBack.repeatWhatHappened(times, since: before.heldBack)
        starved.repeatWhatHappened(times, since: before.starved)
        progress.repeatWhatHappened(times, since: before.progress)
    }
}
