/// A process that migrates: its guest, its modules, its settings and its log. A host is a source, a destination, or a destination that
/// becomes a source.
import MigrationStream
import MigrationTrace
import SwitchoverProtocol
import VFIO

/// The settings of a host, beside its modules.
package struct HostSettings: Sendable {
    package var generation: Generation
    package var mode: AckMode
    package var machine = "pc-q35-11.1"
    package var capabilities: Set<Capability> = [.returnPath, .switchoverAck]
    /// Bytes per second; 0 is no limit.
    package var maxBandwidth: UInt64 = 128 << 20
    /// `avail-switchover-bandwidth`, in bytes per second; 0 if the threshold follows from the measured bandwidth.
    package var availableBandwidth: UInt64 = 0
    package var maxPostcopyBandwidth: UInt64 = 0
    /// `downtime-limit`, in milliseconds.
    package var downtimeLimit: UInt64 = 300
    /// The process was started with `-S`.
    package var startsPaused = false

    package init(generation: Generation, mode: AckMode) {
        self.generation = generation
        self.mode = mode
    }

    /// True if the source sends SWITCHOVER_START. Machine types up to 9.2 have a compat setting that leaves it out; types without a version
    /// send it.
    var sendsSwitchoverStart: Bool {
        machineRelease(machine).map { !$0.lexicographicallyPrecedes([10]) } ?? true
    }
}

/// The capabilities that the engine has, by QEMU's names.
package enum Capability: String, CaseIterable, Hashable, Sendable {
    case returnPath = "return-path"
    case switchoverAck = "switchover-ack"
    case pauseBeforeSwitchover = "pause-before-switchover"
    case postcopyRAM = "postcopy-ram"
    case dirtyBitmaps = "dirty-bitmaps"
    case lateBlockActivate = "late-block-activate"
    case colo = "x-colo"
    case events
}

/// Receives the events of a host's threads and devices, in order.
package protocol HostLog: AnyObject {
    func append(_ event: Event)
    func appendDevice(_ event: Event)
}

package final class Host {
    package var settings: HostSettings
    /// The modules in QEMU's list order: by priority, then as registered.
    package private(set) var modules: [any SaveVMHandlers] = []
    /// The section ids of the modules, which count registrations.
    package private(set) var sections: [UInt32] = []
    private var nextSection: UInt32
    package let log: any HostLog
    /// The gates that are open.
    private var openGates: Set<String> = []
    private var allGatesAreOpen = false
    package private(set) var runState = RunState.prelaunch
    /// The destination's part of the handshake, for an incoming migration.
    package var approver: DestinationApprover
    /// True once a load has begun: another one may follow in the same process.
    var hasLoaded = false
    /// The ledger of the last outgoing migration.
    var lastLedger: SourceLedger?
    /// The module of the guest's memory; nil for a guest without memory that migrates.
    package private(set) var memory: RAM?
    /// The module of the guest's run state.
    package private(set) var globalState: GlobalState?
    /// Devices in the order they were plugged.
    package private(set) var devices: [any MigrationDevice] = []
    /// Those that can be held at gates.
    private var scripted: [any ScriptedDevice] = []
    /// What the device calls of the present step leave to wait for.
    package let delay = DeviceDelay()
    /// All threads that are not over, and some that are.
    var threads: [EngineThread] = []
    /// The thread that holds the lock; it is not over.
    var lockOwner: EngineThread?
    /// The process is stopped, as by SIGSTOP.
    package var isHalted = false
    /// Why the process ends itself: a module could not bring its device into a usable state.
    package var abortion: String?
    /// The process has ended.
    package private(set) var isGone = false
    /// Changes of a status that the generation does not know. They were not made; each is a defect of the engine.
    package private(set) var illegalArcs: Set<StatusArc> = []

    package var generation: Generation { settings.generation }
    /// True if the guest's processors run.
    package var guestRuns: Bool { runState == .running }

    package init(_ settings: HostSettings, log: any HostLog, firstSection: UInt32 = 1) {
        self.settings = settings
        self.log = log
        nextSection = firstSection
        approver = DestinationApprover(settings.generation, mode: settings.mode, capability: settings.capabilities.contains(.switchoverAck))
    }

    package func has(_ capability: Capability) -> Bool { settings.capabilities.contains(capability) }

    package func emit(_ event: Event) { log.append(event) }

    func note(_ illegal: StatusArc?) { if let illegal { illegalArcs.insert(illegal) } }

    /// Adds a module after those of the same priority, and its device; `scripted` is that device where it can be held at gates.
    package func register(
        _ module: any SaveVMHandlers, device: (any MigrationDevice)? = nil, scripted: (any ScriptedDevice)? = nil
    ) {
        let place = modules.firstIndex { $0.priority < module.priority } ?? modules.endIndex
        modules.insert(module, at: place)
        sections.insert(nextSection, at: place)
        nextSection += 1
        if let device { devices.append(device) }
        if let scripted { self.scripted.append(scripted) }
        if let memory = module as? RAM { self.memory = memory }
        if let state = module as? GlobalState { globalState = state }
    }

    /// Changes the run state, and logs the change; a change to the present state is none.
    package func enter(_ state: RunState) {
        guard state != runState else { return }
        emit(.runstateSet(from: runState.number, runState, to: state.number, state))
        runState = state
    }

    /// Sets the run state that a process begins with, which nothing logs.
    package func begin(in state: RunState) { runState = state }

    /// Ends the process: its threads take no further step.
    package func end() {
        isGone = true
        for thread in threads { thread.end() }
        threads = []
        sendReturnPath = nil
        delay.clear()
    }

    // MARK: Gates

    package func isOpen(_ gate: String) -> Bool { allGatesAreOpen || openGates.contains(gate) }

    package func open(_ gate: String) {
        guard openGates.insert(gate).inserted else { return }
        for device in scripted { device.gateOpened(gate) }
        for thread in threads { thread.gateOpened() }
    }

    package func openAllGates() {
        for device in scripted { for gate in device.gates { open(gate) } }
        allGatesAreOpen = true
        for thread in threads { thread.gateOpened() }
    }

    // MARK: The handshake, as modules use it

    /// True if the source counts the modules' requests: the capability is on, and the mode is per-device.
    package var countsRequests: Bool { has(.switchoverAck) && settings.mode == .perDevice && generation.has(.perDeviceAcks) }

    /// True if the core itself tells the destination which module's requests to answer, and no module does (the request-message variant).
    package var announcesRequests: Bool { countsRequests && generation.has(.requestMessage) }

    /// Sends a message on the return path, if it is open; returns false if the channel has ended.
    package var sendReturnPath: ((ReturnMessage) -> Bool)?

    /// Counts a user of switchover-ack, from its loadSetup (11.1; earlier releases ask the users). Has an effect only in legacy mode with
    /// the capability on.
    package func requestLegacyAck(_ requester: String) {
        guard approver.countsUsers, generation.has(.perDeviceAcks) else { return }
        approver.countUser()
        emit(.migrationRequestSwitchoverAckLegacy(requester: requester, pending: approver.pending))
    }

    /// Approves the switchover for a user whose marker has arrived, and sends the ACK that is due.
    package func approveSwitchover(_ user: String) throws(ModuleError) {
        let isDue: Bool
        do { isDue = try approver.approve() } catch { throw ModuleError("\(user): \(error.text)", result: -22) }
        switch (approver.mode, generation.has(.perDeviceAcks)) {
        case (.perDevice, _): emit(.loadvmApproveSwitchover(approver: user))
        case (.legacy, true): emit(.loadvmApproveSwitchoverLegacy(approver: user, pending: approver.pending))
        case (.legacy, false): emit(.loadvmApproveSwitchoverCounted(pending: approver.pending))
        }
        guard isDue else { return }
        if generation.isWrong(.ackSentTwice) { _ = sendReturnPath?(.switchoverAck) }
        guard let sendReturnPath, sendReturnPath(.switchoverAck) else {
            throw ModuleError("\(user): qemu_loadvm_approve_switchover failed, err=-5 (Input/output error)")
        }
    }
}

extension ScriptedDevice {
    /// The gates among these that are not open.
    func closed(_ gates: UInt32, on host: Host) -> UInt32 {
        self.gates.indices.reduce(gates) { host.isOpen(self.gates[$1]) ? $0 & ~(1 << $1) : $0 }
    }

    /// Tells the device which gates begin to hold its call, or let it go.
    func tell(_ gates: UInt32, begins: Bool) {
        for index in self.gates.indices where gates & (1 << index) != 0 { hold(gate: index, begins: begins) }
    }
}
