/// The source's part of the canonical sequence: the thread of each event, and the arguments that are compared.
///
/// From 10.1 on, no line names its thread. If several threads may log an event, the event and its context tell which one did; this was
/// checked against the thread ids in logs of 10.0.13.
import MigrationTrace

struct SourceOrder: Sendable {
    private enum Phase {
        case setUp, iterating, stopping
    }

    private struct Device: Sendable {
        var blocks = ByteCount()
        /// Initial bytes are being sent, and their marker is not written yet.
        var awaitsInitial = false
        /// The device's state is sent over channels of its own (multifd).
        var isOnChannels = false
        var isCompleting = false
        /// The thread that changes the device's state.
        var role = ProtocolThread.Role.migration
    }

    private(set) var steps = StepDrafts(isSource: true)
    private(set) var names: DeviceNames
    /// Devices that reported dirty bytes while the source iterated.
    private(set) var working: Set<String> = []
    private(set) var isQuitting = false
    /// By device name, changes of state from the log's beginning until the program was told to quit.
    private(set) var stateChanges: [String: Int] = [:]
    private var hasBegun = false
    private var phase = Phase.setUp
    private var status = MigrationStatus.none
    /// True from 11.0 on: notifiers have other numbers, and an event of their own.
    private var hasNotifierEvents = false
    private var hasMigrationThread = false
    private var hasChannelEnded = false
    private var isCleaningUp = false
    /// The thread that starts or stops the guest.
    private var actor = ProtocolThread.Role.main
    /// The source writes END and FULL sections.
    private var isSaving = false
    private var hasSavedOthers = false
    private var hasSyncedLast = false
    private var devices: [String: Device] = [:]

    init(_ idstrs: [String: String]) { names = DeviceNames(idstrs) }

    private var isFinal: Bool { StatusArcs.isFinal(status) || status == .none }

    mutating func handle(_ event: Event, at place: Place) {
        if case .runstateSet(_, _, _, .shutdown) = event { isQuitting = true }
        guard !isQuitting else { return }
        if case .vfioMigrationSetDeviceState(let device, _) = event { stateChanges[device, default: 0] += 1 }
        if case .migrateSetState(.setup) = event { begin() }
        learn(event)
        guard hasBegun else {
            // The thread is known from before the migration.
            if case .runstateSet = event { actor = .main }
            return
        }
        handleStatus(event, at: place)
        handleSending(event, at: place)
        handleReturnPath(event, at: place)
        handleDevice(event, at: place)
    }

    private mutating func begin() {
        hasBegun = true
        phase = .setUp
        hasMigrationThread = false
        hasChannelEnded = false
        isCleaningUp = false
        isSaving = false
        hasSavedOthers = false
        hasSyncedLast = false
        devices = [:]
    }

    private mutating func learn(_ event: Event) {
        switch event {
        case .savevmSectionStart(let idstr, _): names.enterSection(idstr)
        case .savevmSectionEnd: names.leaveSection()
        case .vfioSaveIterate(let device, _, _), .vfioSaveIterateStart(let device), .vfioSaveCompletePrecopyStart(let device):
            names.sawLine(of: device)
        case .vfioSaveCompletePrecopyThreadStart(let device, let idstr, _): names.name(device, idstr)
        default: break
        }
    }

    // MARK: Status and run state

    private mutating func handleStatus(_ event: Event, at place: Place) {
        switch event {
        case .migrateSetState(let new):
            steps.add(thread(setting: new), event, new.rawValue, at: place)
            status = new
            if new == .postcopyActive || new == .postcopyDevice { isSaving = false }
        case .migrateError(let text):
            let isEnd = isFromFailedPeer(text)
            // Any of several threads finds it ended first, and the others may find it once more: one end, said once.
            if isEnd, hasChannelEnded { return }
            hasChannelEnded = hasChannelEnded || isEnd
            let role = isEnd ? (isInPostcopy ? .errors : .returnPath) : thread(storing: text)
            steps.add(role, event, text, at: place)
        case .migrationCallNotifiers(let type):
            hasNotifierEvents = true
            actor = thread(notifying: type)
            steps.add(actor, event, "\(type)", at: place)
        case .migrationBlockActivation(let activation):
            let role: ProtocolThread.Role = hasMigrationThread && !isFinal && !isCleaningUp ? .migration : .main
            steps.add(role, event, activation.rawValue, at: place)
        case .runstateSet(_, let from, _, let to):
            actor = thread(from: from, to: to)
            steps.add(actor, event, "\(from.rawValue) -> \(to.rawValue)", at: place)
        case .vmStateNotify(let running, _, let reason): steps.add(actor, event, "\(running ? 1 : 0) \(reason.rawValue)", at: place)
        case .migrationCancel: if !isFinal { steps.add(.main, event, at: place) }
        case .migrationCleanup:
            isCleaningUp = true
            actor = .main
            steps.add(.main, event, at: place)
        case .savevmStateCleanup:
            actor = .main
            steps.add(.main, event, at: place)
        case .migrationThreadSetupComplete:
            phase = .iterating
            steps.add(.migration, event, at: place)
        case .migrationThreadAfterLoop, .migrationThreadFileErr, .migrationCompletionFileErr: steps.add(.migration, event, at: place)
        case .migrateGlobalStatePreSave(let state): steps.add(.migration, event, state, at: place)
        case .migrationThreadLowPending, .postcopyStart:
            phase = .stopping
            steps.add(.migration, event, at: place)
        case .migrationCompletionVMStop(let result): steps.add(.migration, event, "ret \(result)", at: place)
        case .migrationPrecopyComplete:
            isSaving = true
            steps.add(.migration, event, at: place)
        case .postcopyPreemptEnabled(let value): steps.add(.migration, event, "\(value)", at: place)
        case .migrationCompletionPostcopyEnd:
            isSaving = true
            steps.add(.migration, event, at: place)
        case .migrationCompletionPostcopyEndAfterComplete:
            isSaving = false
            steps.add(.migration, event, at: place)
        case .postcopyStartSetRun: steps.add(.migration, event, at: place)
        default: break
        }
    }

    /// As seen in logs of 10.0.13. The clean-up sets `failed` from 11.0 on, and if there was no migration thread.
    private func thread(setting new: MigrationStatus) -> ProtocolThread.Role {
        switch new {
        case .none, .setup, .cancelling, .cancelled, .postcopyRecoverSetup, .postcopyRecover: .main
        case .failed: hasMigrationThread && status != .failing ? .migration : .main
        case .failing: hasMigrationThread ? .migration : .main
        default: .migration
        }
    }

    private func thread(notifying type: Int64) -> ProtocolThread.Role {
        switch type {
        case 1: hasNotifierEvents ? .migration : .main
        case 3: hasMigrationThread ? .migration : .main
        default: .main
        }
    }

    private func thread(from: RunState, to: RunState) -> ProtocolThread.Role {
        switch (from, to) {
        case (_, .finishMigrate), (.finishMigrate, _), (_, .postmigrate), (_, .colo), (.colo, _), (_, .saveVM), (.saveVM, _): .migration
        default: .main
        }
    }

    /// The thread of an error that only one thread stores; several threads may store the others.
    private func thread(storing error: String) -> ProtocolThread.Role {
        func begins(_ texts: [String]) -> Bool { texts.contains(where: error.hasPrefix) }
        if begins([
            "Switchover ack pending num underflowed", "Received ", "Failed reading data for message", "MIG_RP_MSG",
            "Req_Page_id",
        ]) {
            return .returnPath
        }
        if begins(["Switchover ACK was requested", "Switchover is interrupted", "Unable to write to"]) { return .migration }
        return .errors
    }

    private var isInPostcopy: Bool {
        [.postcopyDevice, .postcopyActive, .postcopyPaused, .postcopyRecoverSetup, .postcopyRecover].contains(status)
    }

    // MARK: Stream

    private mutating func handleSending(_ event: Event, at place: Place) {
        switch event {
        case .savevmStateHeader:
            hasMigrationThread = true
            steps.add(.migration, event, at: place)
        case .savevmStateSetup, .savevmStateResumePrepare, .savevmSendOpenReturnPath, .savevmSendSwitchoverStart, .savevmSendPostcopyListen,
            .savevmSendPostcopyRun, .savevmSendPostcopyResume, .qemuSavevmSendPostcopyAdvise, .qemuSavevmSendPackaged:
            steps.add(.migration, event, at: place)
        case .savevmSendPing(let value): steps.add(.migration, event, "0x" + String(value, radix: 16), at: place)
        case .savevmCommandSend(let number, _):
            let command = StreamCommand(rawValue: number)
            steps.add(.migration, event, command?.name ?? "\(number)", at: place, once: command?.isForEachBlock ?? false)
        case .savevmSectionStart(let idstr, _):
            guard isSaving else { return }
            if isIterable(section: idstr) {
                steps.add(.migration, event, idstr, at: place)
            } else if !hasSavedOthers {
                hasSavedOthers = true
                steps.add(.migration, event, "(other modules)", at: place)
            }
        case .savevmSectionEnd(let idstr, _, let result):
            if result < 0 || isSaving && isIterable(section: idstr) { steps.add(.migration, event, "\(idstr) -> \(result)", at: place) }
        case .migrationBitmapSyncStart:
            guard phase == .stopping, !hasSyncedLast else { return }
            hasSyncedLast = true
            steps.add(.migration, event, "(guest stopped)", at: place)
        case .qemuSavevmQueryPending(let query):
            guard query.final else { return }
            steps.add(.migration, event, "exact \(query.exact ? 1 : 0), final 1, collected \(query.collectedAcks)", at: place)
        default: break
        }
    }

    // MARK: Return path

    private mutating func handleReturnPath(_ event: Event, at place: Place) {
        switch event {
        case .openReturnPathOnSource, .openReturnPathOnSourceContinue: steps.add(.main, event, at: place)
        case .sourceReturnPathThreadEntry:
            hasChannelEnded = false
            steps.add(.returnPath, event, at: place)
        case .sourceReturnPathThreadPostcopyPackageLoaded, .sourceReturnPathThreadBadEnd,
            .sourceReturnPathThreadEnd:
            steps.add(.returnPath, event, at: place)
        case .sourceReturnPathThreadPong(let value): steps.add(.returnPath, event, "0x" + String(value, radix: 16), at: place)
        case .sourceReturnPathThreadSwitchoverAcked(let pending):
            steps.add(.returnPath, event, pending == .max ? "(underflow)" : "", at: place)
        case .sourceReturnPathThreadResumeAck(let value): steps.add(.returnPath, event, "\(value)", at: place)
        // SHUT 1 is compared by the error that follows from it, as the end of the channel is.
        case .sourceReturnPathThreadShut(let value): if value == 0 { steps.add(.returnPath, event, "0", at: place) }
        case .migrationReturnPathEndBefore, .migrationReturnPathEndAfter: steps.add(.join, event, at: place)
        default: break
        }
    }

    // MARK: Devices

    private mutating func handleDevice(_ event: Event, at place: Place) {
        switch event {
        case .vfioMigrationStateNotifier(let device, let state):
            let role = hasNotifierEvents ? actor : thread(notifying: state)
            actor = role
            steps.add(role, event, "state \(state)", of: device, at: place)
        case .vfioMigrationSetState(let device, let state, let recover):
            let role = thread(of: device, setting: state, recover: recover)
            change(device) { $0.role = role }
            steps.add(role, event, "\(state.rawValue), recover \(recover.rawValue)", of: device, at: place)
        case .vfioMigrationSetDeviceState(let device, let state):
            steps.add(devices[device]?.role ?? actor, event, state.rawValue, of: device, at: place)
        case .vfioVMStateChangePrepare(let device, let running, let reason, let state),
            .vfioVMStateChange(let device, let running, let reason, let state):
            steps.add(actor, event, "\(running ? 1 : 0) \(reason.rawValue) \(state.rawValue)", of: device, at: place)
        case .vfioSaveSetup(let device, let size):
            change(device) { $0.awaitsInitial = true }
            steps.add(.migration, event, "data buffer size \(size)", of: device, at: place)
        case .vfioQueryStopCopySize(let device, let size, let result):
            if phase == .setUp { steps.add(.migration, event, "\(size) ret \(result)", of: device, at: place) }
        case .vfioQueryPrecopySize(let device, let initial, let dirty, let reinit, let result):
            works(device, dirty)
            let flag = reinit ? 1 : 0
            switch phase {
            case .setUp:
                steps.add(.migration, event, "init \(initial), dirty \(dirty), reinit \(flag), ret \(result)", of: device, at: place)
            case .iterating: if reinit { steps.add(.iteration(device), event, "reinit 1, ret \(result)", of: device, at: place) }
            case .stopping: steps.add(actor, event, "reinit \(flag), ret \(result)", of: device, at: place)
            }
        case .vfioStatePendingEstimate(let device, _, _, _, let dirty), .vfioStatePendingExact(let device, _, _, _, _, let dirty):
            works(device, dirty)
        case .vfioQueryPrecopySizeRequestSwitchoverAck(let device):
            change(device) { $0.awaitsInitial = true }
            steps.add(phase == .iterating ? .iteration(device) : actor, event, of: device, at: place)
        case .vfioStatePending(let pending):
            guard pending.requestsAck || pending.final else { return }
            let flags =
                "request switchover ack \(pending.requestsAck ? 1 : 0), exact \(pending.exact ? 1 : 0), final \(pending.final ? 1 : 0)"
            steps.add(pending.final ? .migration : .iteration(pending.device), event, flags, of: pending.device, at: place)
        case .vfioSaveIterateStart(let device): steps.add(.iteration(device), event, of: device, at: place)
        case .vfioSaveBlock(let device, let size): change(device) { $0.blocks.add(UInt64(max(size, 0))) }
        case .vfioSendInitDataFlag(let device):
            let bytes = change(device) { device in
                device.awaitsInitial = false
                return device.blocks.taken()
            }
            steps.add(.iteration(device), event, bytes: bytes, of: device, at: place)
        case .vfioSaveIterate(let device, let initial, _):
            guard initial == 0, devices[device]?.awaitsInitial == true else { return }
            let bytes = change(device) { device in
                device.awaitsInitial = false
                return device.blocks.taken()
            }
            steps.add(.iteration(device), event, "initial 0", bytes: bytes, of: device, at: place)
        case .vfioSaveCompletePrecopyStart(let device):
            change(device) { _ = $0.blocks.taken() }
            steps.add(.migration, event, of: device, at: place)
        case .vfioSaveCompletePrecopy(let device, let result):
            let bytes = change(device) { $0.blocks.taken() }
            steps.add(.migration, event, "ret \(result)", bytes: bytes, of: device, at: place)
        case .vfioSaveCompletePrecopyThreadStart(let device, let idstr, let instance):
            change(device) { device in
                device.isOnChannels = true
                _ = device.blocks.taken()
            }
            steps.add(.multifd(device), event, "\(idstr) \(instance)", of: device, at: place)
        case .vfioSaveCompletePrecopyThreadEnd(let device, let result):
            let bytes = change(device) { device in
                device.isOnChannels = false
                return device.blocks.taken()
            }
            steps.add(.multifd(device), event, "ret \(result)", bytes: bytes, of: device, at: place)
        case .vfioSaveDeviceConfigState(let device):
            steps.add(devices[device]?.isOnChannels == true ? .multifd(device) : .migration, event, of: device, at: place)
        case .vfioSaveCleanup(let device): steps.add(.main, event, of: device, at: place)
        default: break
        }
    }

    private func thread(of device: String, setting state: VFIOState, recover: VFIOState) -> ProtocolThread.Role {
        switch (state, recover) {
        case (.preCopy, .running): .migration
        case (_, .stop): devices[device]?.isOnChannels == true ? .multifd(device) : .migration
        default: actor
        }
    }

    private mutating func works(_ device: String, _ dirty: UInt64) {
        if dirty > 0, phase == .iterating, working.count < SourceDevices.most { working.insert(device) }
    }

    @discardableResult
    private mutating func change<Value>(_ name: String, _ body: (inout Device) -> Value) -> Value {
        var device = devices[name] ?? Device()
        let value = body(&device)
        if devices[name] != nil || devices.count < SourceDevices.most { devices[name] = device }
        return value
    }
}

/// What a source stores when its destination has failed. A destination says SHUT 1 and closes; where something of the stream was not read
/// yet, the close resets the connection, and what was said is lost.
private func isFromFailedPeer(_ error: String) -> Bool {
    ["Sibling indicated error", "Channel error: Input/output error", "Unable to read from socket: "].contains(where: error.hasPrefix)
}

/// The PING that the destination's listen thread answers.
let listenPing: UInt64 = 4

/// Modules with START and END sections; all others have one FULL section each.
func isIterable(section idstr: String) -> Bool { idstr == "ram" || idstr == "dirty-bitmap" || idstr.hasSuffix("/vfio") }

extension StreamCommand {
    /// True if the command comes once for each block of RAM, or for each part of a block.
    var isForEachBlock: Bool { self == .postcopyRAMDiscard || self == .recvBitmap }
}
