/// The destination's part of the canonical sequence.
import MigrationTrace

struct DestinationOrder: Sendable {
    private struct Device: Sendable {
        var data = ByteCount()
        /// The device's state is loaded over channels of its own (multifd).
        var isOnChannels = false
    }

    private(set) var steps = StepDrafts(isSource: false)
    private(set) var names: DeviceNames
    private(set) var isQuitting = false
    private(set) var stateChanges: [String: Int] = [:]
    private var hasBegun = false
    /// Two threads read the stream: one the postcopy package, the listen thread the rest.
    private var listens = false
    private var status = MigrationStatus.none
    private var idstrs: [UInt32: String] = [:]
    private var section = SectionType.eof
    private var hasLoadedOthers = false
    private var devices: [String: Device] = [:]

    init(_ idstrs: [String: String]) { names = DeviceNames(idstrs) }

    private var isFinal: Bool { StatusArcs.isFinal(status) || status == .none }

    mutating func handle(_ event: Event, at place: Place) {
        if case .runstateSet(_, _, _, .shutdown) = event { isQuitting = true }
        guard !isQuitting else { return }
        if case .vfioMigrationSetDeviceState(let device, _) = event { stateChanges[device, default: 0] += 1 }
        if case .migrateSetState(.setup) = event { begin() }
        guard hasBegun else { return }
        handleStatus(event, at: place)
        handleStream(event, at: place)
        handleDevice(event, at: place)
    }

    private mutating func begin() {
        hasBegun = true
        listens = false
        hasLoadedOthers = false
        idstrs = [:]
        devices = [:]
    }

    // MARK: Status and run state

    private mutating func handleStatus(_ event: Event, at place: Place) {
        switch event {
        case .migrateSetState(let new):
            status = new
            steps.add(listens ? .statuses : .main, event, new.rawValue, at: place)
        case .migrateError(let text): steps.add(.errors, event, text, at: place)
        case .migrationBlockActivation(let activation): steps.add(.main, event, activation.rawValue, at: place)
        case .runstateSet(_, let from, _, let to): steps.add(.main, event, "\(from.rawValue) -> \(to.rawValue)", at: place)
        case .vmStateNotify(let running, _, let reason): steps.add(.main, event, "\(running ? 1 : 0) \(reason.rawValue)", at: place)
        case .migrationCancel: if !isFinal { steps.add(.main, event, at: place) }
        case .migrateGlobalStatePostLoad(let state): steps.add(.main, event, state, at: place)
        case .loadvmStateSetup: steps.add(.main, event, at: place)
        case .loadvmStateCleanup: steps.add(listens ? .listen : .main, event, at: place)
        case .postcopyRAMListenThreadStart, .postcopyRAMListenThreadExit: steps.add(.listen, event, at: place)
        case .qemuLoadvmStatePostMain(let result): steps.add(.main, event, "\(result)", at: place)
        case .processIncomingMigrationCoEnd(let result, _): steps.add(.main, event, "ret \(result)", at: place)
        case .processIncomingMigrationCoPostcopyEndMain: steps.add(.main, event, at: place)
        default: break
        }
    }

    // MARK: Stream and return path

    private mutating func handleStream(_ event: Event, at place: Place) {
        switch event {
        case .qemuLoadvmStateSection(let type):
            section = type
            names.leaveSection()
            if type == .eof { steps.add(reader, event, "EOF", at: place) }
        case .qemuLoadvmStateSectionStartFull(let number, let idstr, let instance, let version):
            if idstrs.count < 4 * SourceDevices.most { idstrs[number] = idstr }
            names.enterSection(idstr)
            guard isIterable(section: idstr) else {
                guard !hasLoadedOthers else { return }
                hasLoadedOthers = true
                return steps.add(.main, event, "(other modules)", at: place)
            }
            steps.add(.main, event, "\(section == .full ? "FULL" : "START") \(idstr) \(instance) \(version)", at: place)
        case .qemuLoadvmStateSectionPartEnd(let number):
            guard let idstr = idstrs[number] else { return }
            names.enterSection(idstr)
            if section == .end { steps.add(reader, event, "END \(idstr)", at: place) }
        // The thread that reads commands; in postcopy that is the thread that reads the package.
        case .qemuLoadvmStateSectionCommand(let result): if result != 0 { steps.add(.main, event, "\(result)", at: place) }
        case .loadvmProcessCommand(let command, _):
            // PING has an event of its own, with the value.
            guard command != .ping else { return }
            // From here on a second thread reads, whose first line may be printed late.
            if command == .postcopyListen { listens = true }
            let role: ProtocolThread.Role = command == .recvBitmap || command == .postcopyResume ? .listen : .main
            steps.add(role, event, command?.name ?? "(null)", at: place, once: command?.isForEachBlock ?? false)
        case .loadvmProcessCommandPing(let value):
            steps.add(listens && value == listenPing ? .listen : .main, event, "0x" + String(value, radix: 16), at: place)
        case .loadvmHandleCmdPackagedMain(let result): steps.add(.main, event, "\(result)", at: place)
        case .loadvmPostcopyHandleListen(let step): steps.add(.main, event, step, at: place)
        case .loadvmPostcopyHandleAdvise, .loadvmPostcopyHandleRun: steps.add(.main, event, at: place)
        case .loadvmPostcopyHandleResume: steps.add(.listen, event, at: place)
        case .loadvmStateSwitchoverAckNeeded(let pending), .loadvmApproveSwitchoverCounted(let pending):
            steps.add(.main, event, "\(pending)", at: place)
        case .migrationRequestSwitchoverAckLegacy(let device, let pending), .loadvmApproveSwitchoverLegacy(let device, let pending):
            steps.add(.main, event, "\(pending)", of: device, at: place)
        case .loadvmApproveSwitchover(let device): steps.add(.main, event, of: device, at: place)
        case .migrateSendRPMessage(let message, _):
            switch message {
            case .reqPagesID, .reqPages: break
            // No line tells which thread answers a PING.
            default: steps.add(listens ? .messages("\(message)") : .main, event, "\(message)", at: place, once: message == .recvBitmap)
            }
        default: break
        }
    }

    /// The thread that reads END sections and EOF: a package has none.
    private var reader: ProtocolThread.Role { listens ? .listen : .main }

    // MARK: Devices

    private mutating func handleDevice(_ event: Event, at place: Place) {
        switch event {
        case .vfioMigrationSetState(let device, let state, let recover):
            steps.add(.main, event, "\(state.rawValue), recover \(recover.rawValue)", of: device, at: place)
        case .vfioMigrationSetDeviceState(let device, let state): steps.add(.main, event, state.rawValue, of: device, at: place)
        case .vfioVMStateChangePrepare(let device, let running, let reason, let state),
            .vfioVMStateChange(let device, let running, let reason, let state):
            steps.add(.main, event, "\(running ? 1 : 0) \(reason.rawValue) \(state.rawValue)", of: device, at: place)
        case .vfioLoadState(let device, let tag):
            names.sawLine(of: device)
            // The bytes of data are counted, not its pieces. An unknown tag comes from a stream that was cut within a tag.
            guard let word = tag.word else { return }
            let bytes = taken(device)
            steps.add(.main, event, word, bytes: tag == .initDataSent ? bytes : nil, of: device, at: place)
        case .vfioLoadStateDeviceData(let device, let size, let result):
            names.sawLine(of: device)
            guard result == 0 else { return steps.add(.main, event, "ret \(result)", of: device, at: place) }
            count(device, size)
        case .vfioLoadDeviceConfigStateStart(let device), .vfioLoadDeviceConfigStateEnd(let device):
            steps.add(devices[device]?.isOnChannels == true ? .multifd(device) : .main, event, of: device, at: place)
        case .vfioLoadBufsThreadStart(let device), .vfioLoadBufsThreadEnd(let device):
            if devices[device] != nil || devices.count < SourceDevices.most { devices[device, default: Device()].isOnChannels = true }
            steps.add(.multifd(device), event, of: device, at: place)
        case .vfioLoadCleanup(let device): steps.add(.main, event, of: device, at: place)
        default: break
        }
    }

    private mutating func count(_ name: String, _ size: UInt64) {
        guard devices[name] != nil || devices.count < SourceDevices.most else { return }
        devices[name, default: Device()].data.add(size)
    }

    private mutating func taken(_ name: String) -> UInt64 { devices[name]?.data.taken() ?? 0 }
}

extension VFIOLoadTag {
    /// nil for data and for an unknown tag.
    fileprivate var word: String? {
        switch self {
        case .config: "CONFIG"
        case .setup: "SETUP"
        case .initDataSent: "INIT_DATA_SENT"
        case .configLoadReady: "CONFIG_LOAD_READY"
        default: nil
        }
    }
}
