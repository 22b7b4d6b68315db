/// A process that migrates: its guest, its modules, its settings and its log. A host may be a source, a destination, or first one and then the other.
import MigrationStream
import MigrationTrace
import SwitchoverProtocol
import VFIO

/// What a host is set to, beside its modules.
package struct HostSettings: Sendable {
    package var generation: Generation
    package var mode: AckMode
    package var machine = "pc-q35-11.1"
    package var capabilities: Set<Capability> = [.returnPath, .switchoverAck]
    /// Bytes a second; 0 is no limit.
    package var maxBandwidth: UInt64 = 128 << 20
    /// Bytes a second that the threshold is made of; 0: as measured.
    package var availableBandwidth: UInt64 = 0
    package var maxPostcopyBandwidth: UInt64 = 0
    /// Milliseconds.
    package var downtimeLimit: UInt64 = 300
    /// Started with `-S`.
    package var startsPaused = false

    package init(generation: Generation, mode: AckMode) {
        self.generation = generation
        self.mode = mode
    }

    /// Machine types up to 9.2 have the compat setting that leaves SWITCHOVER_START out; those without a version send it.
    var sendsSwitchoverStart: Bool {
        guard let version = machine.split(separator: "-").last?.split(separator: "."), version.count == 2, let major = Int(version[0])
        else {
            return true
        }
        return major >= 10
    }
}

/// Capabilities by QEMU's names.
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

/// Receives what a host's threads and devices log, in order.
package protocol HostLog: AnyObject {
    func take(_ event: Event)
    func takeDevice(_ event: Event)
}

package final class Host {
    package var settings: HostSettings
    /// In list order: by priority, then as registered.
    package private(set) var modules: [any SaveVMHandlers] = []
    /// Section ids by registration, one a module.
    package private(set) var sections: [UInt32] = []
    private var nextSection: UInt32
    package let log: any HostLog
    /// Gates of the host's devices that are open.
    private var openGates: Set<String> = []
    private var allGatesAreOpen = false
    package private(set) var runState = RunState.prelaunch
    /// The approver of a migration that comes in.
    package var approver: DestinationApprover
    /// The guest's memory, where it has any that migrates.
    package private(set) var memory: RAM?
    /// The section that says in which state the guest was.
    package private(set) var globalState: GlobalState?
    /// Devices in the order they were plugged.
    package private(set) var devices: [any MigrationDevice] = []
    /// Threads that are not over, and some that are.
    var threads: [EngineThread] = []
    /// Who has the lock: a thread that is not over.
    var lockOwner: EngineThread?
    /// The process is stopped where it stands.
    package var isHalted = false
    /// Why the process is ending itself: a module could not leave its device in a state that anything may follow.
    package var abortion: String?
    /// The process has ended.
    package private(set) var isGone = false
    /// Changes of a status that its generation does not know. They were not made: each is a mistake of the engine.
    package private(set) var illegalArcs: Set<StatusArc> = []

    package var generation: Generation { settings.generation }
    /// The guest's processors run.
    package var guestRuns: Bool { runState == .running }

    package init(_ settings: HostSettings, log: any HostLog, firstSection: UInt32 = 1) {
        self.settings = settings
        self.log = log
        nextSection = firstSection
        approver = DestinationApprover(settings.generation, mode: settings.mode, capability: settings.capabilities.contains(.switchoverAck))
    }

    package func has(_ capability: Capability) -> Bool { settings.capabilities.contains(capability) }

    package func emit(_ event: Event) { log.take(event) }

    func note(_ illegal: StatusArc?) { if let illegal { illegalArcs.insert(illegal) } }

    /// Adds a module behind those of the same priority.
    package func register(_ module: any SaveVMHandlers, device: (any MigrationDevice)? = nil) {
        let place = modules.firstIndex { $0.priority < module.priority } ?? modules.endIndex
        modules.insert(module, at: place)
        sections.insert(nextSection, at: place)
        nextSection += 1
        if let device { devices.append(device) }
        if let memory = module as? RAM { self.memory = memory }
        if let state = module as? GlobalState { globalState = state }
    }

    /// The run state changes; it is logged where it really does.
    package func enter(_ state: RunState) {
        guard state != runState else { return }
        emit(.runstateSet(from: runState.number, runState, to: state.number, state))
        runState = state
    }

    /// The run state a process begins with, which nothing logs.
    package func begin(in state: RunState) { runState = state }

    /// The process ends: its threads do nothing any more.
    package func end() {
        isGone = true
        for thread in threads { thread.end() }
        threads = []
        sendReturnPath = nil
    }

    // MARK: Gates

    package func isOpen(_ gate: String) -> Bool { allGatesAreOpen || openGates.contains(gate) }

    package func open(_ gate: String) {
        guard openGates.insert(gate).inserted else { return }
        for device in devices { device.gateOpened(gate) }
        for thread in threads { thread.gateOpened() }
    }

    package func openAllGates() {
        for device in devices { for gate in device.gates { open(gate) } }
        allGatesAreOpen = true
        for thread in threads { thread.gateOpened() }
    }

    // MARK: The handshake, as modules use it

    /// What modules request is counted: capability on, per-device mode.
    package var countsRequests: Bool { has(.switchoverAck) && settings.mode == .perDevice && generation.has(.perDeviceAcks) }

    /// The core itself tells the destination who is to answer, and no module does (the variant with a message of its own).
    package var announcesRequests: Bool { countsRequests && generation.has(.requestMessage) }

    /// Sends a message of the return path, if it is open; false where the channel has ended.
    package var sendReturnPath: ((ReturnMessage) -> Bool)?

    /// A user of switchover-ack counts itself in, in its loadSetup (11.1; before, users are asked). Nothing happens but in legacy mode with
    /// the capability on.
    package func requestLegacyAck(_ requester: String) {
        guard approver.counts, generation.has(.perDeviceAcks) else { return }
        approver.countIn()
        emit(.migrationRequestSwitchoverAckLegacy(requester: requester, pending: approver.pending))
    }

    /// A user's marker has come.
    package func approveSwitchover(_ user: String) throws(ModuleError) {
        let isDue: Bool
        do { isDue = try approver.approve() } catch { throw ModuleError("\(user): \(error.text)", result: -22) }
        switch (approver.mode, generation.has(.perDeviceAcks)) {
        case (.perDevice, _): emit(.loadvmApproveSwitchover(approver: user))
        case (.legacy, true): emit(.loadvmApproveSwitchoverLegacy(approver: user, pending: approver.pending))
        case (.legacy, false): emit(.loadvmApproveSwitchoverCounted(pending: approver.pending))
        }
        guard isDue else { return }
        guard let sendReturnPath, sendReturnPath(.switchoverAck) else {
            throw ModuleError("\(user): qemu_loadvm_approve_switchover failed, err=-5 (Input/output error)")
        }
    }
}

extension MigrationDevice {
    /// Which of these gates are not open.
    func closed(_ gates: UInt32, on host: Host) -> UInt32 {
        self.gates.indices.reduce(gates) { host.isOpen(self.gates[$1]) ? $0 & ~(1 << $1) : $0 }
    }

    /// Tells the device which gates begin to hold its call, or let it go.
    func tell(_ gates: UInt32, begins: Bool) {
        for index in self.gates.indices where gates & (1 << index) != 0 { hold(gate: index, begins: begins) }
    }
}
