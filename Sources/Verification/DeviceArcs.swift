/// The states that QEMU asks its VFIO devices for: only those of its role, source or destination; and that QEMU prepares all devices
/// before it changes the first one (10.0.13, 11.1.3).
import MigrationTrace

struct DeviceArcs: Sendable {
    enum Role: Sendable {
        case source
        case destination
    }

    private struct Device: Sendable {
        let name: String
        /// The state, as QEMU assumes it; nil if it is not known.
        var state: VFIOState? = .running
        var asked: (state: VFIOState, recover: VFIOState)?
        var hasChanged = false
        /// QEMU reset the device because it refused a state.
        var reset: Spot?
        /// QEMU prepared the device for a change of the guest's state, as it does only for a device with P2P.
        var wasPrepared = false
    }

    private let role: Role
    private var devices: [Device] = []
    private var last = 0
    /// Lines are missing: a device that comes up only later may be in any state.
    private var hasLost = false
    /// Abilities as QEMU found them when the device was plugged (11.1).
    private var flags: [String: UInt64] = [:]
    /// The devices whose precopy infos have flags (11.1).
    private var withInfoV2: Set<String> = []
    /// The round of callbacks in progress: the guest's new state, and the first device that changed.
    private var round: (running: Bool, changed: Spot?)?

    init(_ role: Role) { self.role = role }

    /// Devices that refused a state and were reset since the migration began.
    var resets: [(device: String, spot: Spot)] { devices.compactMap { device in device.reset.map { (device.name, $0) } } }

    /// The state of each device, as QEMU knows it; nil where it is not known.
    var states: [(device: String, state: VFIOState?)] { devices.map { ($0.name, $0.state) } }

    mutating func found(_ name: String, flags: UInt64, precopyInfoV2: Bool) {
        guard self.flags.count < SourceDevices.most else { return }
        self.flags[name] = flags
        if precopyInfoV2 { withInfoV2.insert(name) } else { withInfoV2.remove(name) }
    }

    /// True if the log shows that the device's precopy infos have flags: its driver has MIG_PRECOPY_INFOv2, and QEMU opted in.
    func usesInfoV2(_ name: String) -> Bool { withInfoV2.contains(name) }

    /// By the device's abilities; if no line tells them, by the callbacks of the last change of the guest's state.
    func lacksP2P(_ name: String) -> Bool {
        if let flags = flags[name] { return flags & 2 == 0 }
        return devices.contains { $0.name == name && $0.hasChanged && !$0.wasPrepared }
    }

    /// A migration begins. The devices keep their states.
    mutating func begin() {
        for index in devices.indices { devices[index].reset = nil }
    }

    private mutating func index(_ name: String) -> Int? {
        if last < devices.count, devices[last].name == name { return last }
        if let found = devices.firstIndex(where: { $0.name == name }) {
            last = found
            return found
        }
        guard devices.count < SourceDevices.most else { return nil }
        devices.append(Device(name: name, state: hasLost ? nil : .running))
        last = devices.count - 1
        return last
    }

    mutating func asked(_ name: String, _ state: VFIOState, recover: VFIOState, _ reporter: inout RuleReporter) {
        guard let index = index(name) else { return }
        // No line shows that the last request was fulfilled: it failed, and the device was reset or recovered.
        if let asked = devices[index].asked, asked.state != devices[index].state { devices[index].state = nil }
        let from = devices[index].state
        if !isLegal(from, state, recover) {
            let known = from.map { " in \($0.rawValue)" } ?? ""
            let legal = VFIOState.allCases.flatMap { to in
                VFIOState.allCases.filter { isLegal(from, to, $0) }.map { "\(to.rawValue) (recover \($0.rawValue))" }
            }
            reporter.report(
                .qemuDeviceState, device: name,
                found: "the \(role) asked a device\(known) for \(state.rawValue) with recover state \(recover.rawValue)",
                legal: legal.joined(separator: ", "))
        }
        devices[index].asked = (state, recover)
    }

    private func isLegal(_ from: VFIOState?, _ to: VFIOState, _ recover: VFIOState) -> Bool {
        func isIn(_ states: VFIOState...) -> Bool { from.map(states.contains) ?? true }
        switch (to, recover) {
        // No release asks for these: the engine leaves a loaded device that refuses to run as it is, so that the load can fail.
        case (.runningP2P, .resuming), (.running, .resuming), (.running, .runningP2P): return role == .destination && isIn(recover)
        case (.preCopy, .running): return role == .source && isIn(.running)
        case (.preCopyP2P, .error): return role == .source && isIn(.preCopy)
        case (.runningP2P, .error): return isIn(.running, .runningP2P, .stop, .stopCopy, .resuming, .preCopyP2P)
        case (.stopCopy, .error): return role == .source && isIn(.preCopy, .preCopyP2P)
        case (.stopCopy, .stop): return role == .source
        case (.stop, .error): return true
        case (.running, .error): return true
        case (.resuming, _): return role == .destination && (from == nil || from == recover)
        default: return false
        }
    }

    mutating func reached(_ name: String, _ state: VFIOState, _ reporter: inout RuleReporter) {
        guard let index = index(name) else { return }
        // Without a state to recover to, or if the device refuses that one too, QEMU resets the device, which is in RUNNING then.
        let isReset = devices[index].asked.map { $0.recover != .running && state == .running && $0.state != .running } ?? false
        if isReset {
            devices[index].reset = devices[index].reset ?? reporter.spot
        } else if let asked = devices[index].asked, state != asked.state, state != asked.recover {
            reporter.report(
                .qemuDeviceState, device: name,
                found: "the device's state is \(state.rawValue), but QEMU asked for \(asked.state.rawValue)",
                legal: "\(asked.state.rawValue), or \(asked.recover == .error ? "RUNNING" : asked.recover.rawValue) after a failure")
        }
        devices[index].state = state
    }

    mutating func prepared(_ name: String, running: Bool, _ state: VFIOState, _ reporter: inout RuleReporter) {
        guard let index = index(name) else { return }
        devices[index].wasPrepared = true
        called(index, state, &reporter)
        if let round, round.running == running, let changed = round.changed, !devices[index].hasChanged {
            reporter.report(
                .callbackOrder, device: name, with: [changed.place],
                found: "QEMU prepared the device after it had changed the state of another one",
                legal: "vfio_vmstate_change_prepare of every device first")
        } else if round?.running != running || round?.changed != nil {
            begin(running)
        }
    }

    mutating func changed(_ name: String, running: Bool, _ state: VFIOState, _ reporter: inout RuleReporter) {
        guard let index = index(name) else { return }
        called(index, state, &reporter)
        if round?.running != running || devices[index].hasChanged { begin(running) }
        if round?.changed == nil { round?.changed = reporter.spot }
        devices[index].hasChanged = true
    }

    private mutating func begin(_ running: Bool) {
        round = (running, nil)
        for index in devices.indices { devices[index].hasChanged = false }
    }

    /// The line at the end of a callback has the state that the callback asked for.
    private mutating func called(_ index: Int, _ state: VFIOState, _ reporter: inout RuleReporter) {
        guard let asked = devices[index].asked, asked.state != state else { return }
        reporter.report(
            .qemuDeviceState, device: devices[index].name,
            found: "the callback's line has \(state.rawValue), but QEMU asked for \(asked.state.rawValue)",
            legal: "device state \(asked.state.rawValue)")
    }

    /// A new device, or a device of a new process.
    mutating func realized(_ name: String) { devices.removeAll { $0.name == name } }

    /// Lines are missing here.
    mutating func lose(isDeclared: Bool) {
        if !isDeclared { hasLost = true }
        for index in devices.indices {
            devices[index].state = nil
            devices[index].asked = nil
        }
        round = nil
    }

    /// Another process writes the log from here on.
    mutating func restart() {
        hasLost = false
        devices = []
        flags = [:]
        withInfoV2 = []
        round = nil
    }
}
