/// From a selection of axis values to the cells it stands for: machine types, device scripts, schedule.
///
/// Nothing here waits for time: what must come first is waited for by what it logs, by a gate, or by a count of queries.
import Plan
import Prediction
import VFIO

/// What a selection cannot be made of, with the binaries at hand; the cell is left out and this is said.
package struct Unavailable: Error, Hashable, CustomStringConvertible {
    package let description: String
}

package struct Recipe: Sendable {
    /// The axes a recipe reads, with the values it gives a meaning to; a matrix file must have all of these axes.
    package static let axes: [String: [String]] = [
        "source": ["legacy-only", "per-device", "without"], "destination": ["legacy-only", "per-device", "without"],
        "board": ["q35", "i440fx", "microvm", "none"],
        "type": ["newest-legacy", "newest-per-device", "each-legacy", "unversioned", "alias"],
        "devices": ["0", "1", "2", "3", "4", "5", "6", "7", "8"], "ability": ["reinit", "precopy", "none"],
        "destination-ability": ["same", "reinit", "precopy", "none"], "odd": ["no", "1", "2", "3", "4"],
        "odd-ability": ["-", "none", "precopy", "reinit", "busy"], "p2p": ["all", "without", "first-without"],
        "reinits": (0...8).map(String.init) + ["for-ever"], "moment": ["window", "last-check", "after-check"],
        "order": ["same", "reversed"],
        "capability": ["both", "source", "destination", "off"], "legacy-property": ["machine", "source", "destination"],
        "activity": ["idle", "busy"], "pace": ["gated", "slow", "blocked"],
        "guest": ["running", "never-started", "stopped", "reset"], "destination-guest": ["starts", "paused"],
        "driver": [Driver.plain] + Driver.all.map(\.name), "estimate": ["small", "zero", "above-threshold"],
        "threshold": ["ample", "above", "at", "below"], "bandwidth": ["ample", "1M", "16M", "unlimited"],
        "race": ["natural", "ack-first", "decision-first"], "when": ["-"] + BreakMoment.allCases.map(\.rawValue),
        "call": ["-"] + FailingCall.allCases.map(\.rawValue),
        "errno": ["EIO", "EINVAL", "ENOMEM", "ENOTTY", "EBUSY", "EAGAIN", "EINTR", "ENODEV", "ENOMSG"], "reset": ["works", "fails"],
        ModuleChoice.axis: ModuleChoice.all.map(\.value),
    ]

    let selection: Selection
    let source: ProbedBinary
    let destination: ProbedBinary

    /// The cells of a matrix file up to a tier, in its order, and what cannot be shown with these binaries, a sentence each.
    package static func cells(of file: MatrixFile, tier: Tier, binaries: [ProbedBinary]) throws -> (cells: [Cell], missing: [Unavailable]) {
        try file.expect(axes: axes)
        var cells: [Cell] = []
        var missing: [Unavailable] = []
        var names: Set<String> = []
        for planned in file.selections(tier) {
            let made = try Self.cells(of: planned.selection, product: planned.product, binaries: binaries)
            // The newest of all machine types of a kind is also the newest one: the same cell, made twice.
            cells += made.cells.filter { names.insert($0.name).inserted }
            missing += made.missing.filter { !missing.contains($0) }
        }
        return (cells, missing)
    }

    /// Every cell that the selection stands for: one for each pair of fitting sides of one kind and each machine type it names.
    package static func cells(of selection: Selection, product: String, binaries: [ProbedBinary]) throws -> (
        cells: [Cell], missing: [Unavailable]
    ) {
        if let reason = Driver[selection["driver"]]?.needs?.missing { return ([], [Unavailable(description: reason)]) }
        var cells: [Cell] = []
        var missing: Set<Unavailable> = []
        for kind in SideKind.allCases {
            let sides = binaries.filter { $0.binary.kind == kind }
            guard !sides.isEmpty else { continue }
            if let reason = ModuleChoice.missing(selection[ModuleChoice.axis], kind) {
                missing.insert(reason)
                continue
            }
            let made = try Self.cells(of: selection, product: product, sides, kind)
            cells += made.cells
            missing.formUnion(made.missing)
        }
        return (cells, missing.sorted { $0.description < $1.description })
    }

    /// The same of sides that are all of one kind.
    private static func cells(of selection: Selection, product: String, _ sides: [ProbedBinary], _ kind: SideKind) throws -> (
        cells: [Cell], missing: Set<Unavailable>
    ) {
        var cells: [Cell] = []
        var missing: Set<Unavailable> = []
        let sources = sides.filter { fits($0, selection["source"]) }
        let destinations = sides.filter { fits($0, selection["destination"]) }
        for (side, found) in [("source", sources), ("destination", destinations)] where found.isEmpty {
            missing.insert(Unavailable(description: "no \(kind.sideAtHand) is \(selection[side]): the \(side) of its cells"))
        }
        for source in sources {
            for destination in destinations {
                let recipe = Recipe(selection: selection, source: source, destination: destination)
                let machines = recipe.machines()
                if machines.isEmpty {
                    missing.insert(
                        Unavailable(
                            description:
                                "\(source.binary.name) and \(destination.binary.name) share no \(selection["board"]) machine type that is \(selection["type"])"
                        ))
                }
                for machine in machines {
                    do {
                        cells.append(try recipe.cell(machine, product: product))
                    } catch let unavailable as Unavailable {
                        missing.insert(unavailable)
                    }
                }
            }
        }
        return (cells, missing)
    }

    /// Whether a binary is what the axis value asks for, by its probed features, never by its name.
    private static func fits(_ binary: ProbedBinary, _ generation: String) -> Bool {
        switch generation {
        case "legacy-only": binary.features.hasSwitchoverAck && !binary.features.hasLegacyProperty
        case "per-device": binary.features.hasLegacyProperty
        default: !binary.features.hasSwitchoverAck
        }
    }
}

/// The machine type of each side; they differ where an alias stands for different ones.
struct Machines: Hashable {
    var title: String
    var source: String
    var destination: String
}

extension Recipe {
    private var prefix: String { "pc-\(selection["board"])-" }

    /// Machine types for the board and type selected, newest last.
    func machines() -> [Machines] {
        let from = source.features
        let to = destination.features
        func same(_ machine: String, _ title: String? = nil) -> Machines {
            Machines(title: title ?? String(machine.dropFirst("pc-".count)), source: machine, destination: machine)
        }
        let shared = from.machineTypes.filter { $0.hasPrefix(prefix) && to.machineTypes.contains($0) }
            .sorted { (machineRelease($0) ?? []).lexicographicallyPrecedes(machineRelease($1) ?? []) }
        func both(_ mode: SwitchoverAckMode) -> [String] {
            shared.filter { machine in [from, to].allSatisfy { $0.mode(machine: machine) == mode } }
        }
        switch (selection["board"], selection["type"]) {
        case ("microvm", _): return [same("microvm,pcie=on", "microvm")]
        case ("none", _): return [same("none", "none")]
        case (_, "newest-legacy"):
            // A side without the capability has no mode; it only has to have the type.
            guard from.hasSwitchoverAck, to.hasSwitchoverAck else { return shared.suffix(1).map { same($0) } }
            return both(.legacy).suffix(1).map { same($0) }
        case (_, "newest-per-device"): return both(.perDevice).suffix(1).map { same($0) }
        case (_, "each-legacy"): return both(.legacy).map { same($0) }
        case (let board, "alias"):
            guard from.aliases[board] != nil, to.aliases[board] != nil else { return [] }
            return [Machines(title: "\(board)-alias", source: board, destination: board)]
        default: return []
        }
    }
}

/// Bytes of initial data, and of each re-initialisation.
let initialSize = 16 << 10
let reinitSize = 8 << 10
/// Bytes a device has left for the stop.
let stopCopySize = 32 << 10

extension Recipe {
    func cell(_ machines: Machines, product: String) throws -> Cell {
        let scenario = scenario(machines)
        var plan = MigrationPlan(
            source: side(source, machines.source, scenario.source, .source),
            destination: side(destination, machines.destination, scenario.destination, .destination))
        plan.source.parameters = [
            "max-bandwidth": .integer(bandwidth), "avail-switchover-bandwidth": .integer(1 << 30), "downtime-limit": 300,
        ]
        if isHeldByBandwidth(scenario) { plan.source.parameters["max-bandwidth"] = .integer(20_000) }
        if isHeldByThreshold(scenario) { plan.source.parameters["avail-switchover-bandwidth"] = .integer(100_000) }
        setThreshold(scenario, &plan.source)
        for (index, device) in scenario.devices.enumerated() {
            let name = "v\(index)"
            let slot = 0x10 + index
            plan.source.devices.append(
                MockDevice(name: name, script: try DeviceScript(sourceScript(device, index, scenario), file: "\(name) source"), slot: slot))
            plan.leg.destination.devices.append(
                MockDevice(
                    name: name, script: try DeviceScript(destinationScript(device, index, scenario), file: "\(name) destination"),
                    slot: slot))
        }
        if selection["order"] == "reversed" { plan.leg.destination.devices.reverse() }
        plan.leg.schedule = schedule(scenario)
        plan.leg.haltsDestination = isHalted(scenario) || scenario.machinesDiffer
        plan.leg.limit = 15
        var draft = Draft(recipe: self, scenario: scenario, plan: plan)
        try Driver[selection["driver"]]?.make(&draft)
        return Cell(
            name: "\(source.binary.name)-\(destination.binary.name)+" + ([machines.title] + tokens).joined(separator: "+"),
            selection: selection, product: product, plan: draft.plan,
            devices: Dictionary(uniqueKeysWithValues: draft.plan.source.devices.map { ($0.idstr, $0.name) }),
            requester: modules.requester, scenario: draft.scenario,
            outcomes: predict(draft.scenario), earlier: draft.earlier.map { Forecast($0) }, sourceVersion: source.features.version,
            destinationVersion: destination.features.version)
    }

    /// Exact to the byte: QEMU multiplies the bytes of a millisecond with milliseconds.
    func setThreshold(_ scenario: Scenario, _ source: inout SideConfiguration) {
        guard let threshold = threshold(scenario) else { return }
        source.parameters["avail-switchover-bandwidth"] = .integer(Int64(threshold) * 1000)
        source.parameters["downtime-limit"] = 1
    }

    /// What the name says beside the sides and the machine.
    private var tokens: [String] {
        selection.changes.filter { !["source", "destination", "board", "type"].contains($0.axis) }.map(\.token)
    }

    private func side(_ binary: ProbedBinary, _ machine: String, _ side: Scenario.Side, _ role: Role) -> SideConfiguration {
        var configuration = SideConfiguration(binary: binary.binary, machine: machine)
        configuration.memoryMiB = 16
        configuration.traceEvents = binary.features.traceEvents
        configuration.capabilities = ["events": true, "return-path": true]
        if side.capability || side.hasSwitchoverAck { configuration.capabilities["switchover-ack"] = side.capability }
        configuration.startsPaused = side.startsPaused
        configuration.modules = modules
        if modules.hasDirtyBitmap { configuration.capabilities["dirty-bitmaps"] = true }
        if selection["legacy-property"] == role.rawValue { configuration.legacyProperty = true }
        return configuration
    }
}

// MARK: - What decides the outcome

extension Recipe {
    func scenario(_ machines: Machines) -> Scenario {
        var scenario = Scenario(
            source: side(source, machines.source, "source"), destination: side(destination, machines.destination, "destination"))
        scenario.machinesDiffer =
            (source.features.aliases[machines.source] ?? machines.source)
            != (destination.features.aliases[machines.destination] ?? machines.destination)
        scenario.late = Scenario.LateReinit(rawValue: selection["moment"])
        scenario.guest = Scenario.Guest(rawValue: selection["guest"]) ?? .running
        scenario.threshold = Threshold(rawValue: selection["threshold"])
        scenario.reinitsForever = selection["reinits"] == "for-ever"
        scenario.estimate = Scenario.Estimate(rawValue: selection["estimate"]) ?? .small
        scenario.race = Scenario.Race(rawValue: selection["race"]) ?? .natural
        scenario.requester = modules.requester.map { Prediction.Requester($0) }
        scenario.devices = (0..<(Int(selection["devices"]) ?? 0)).map { device($0, isLate: scenario.late != nil) }
        scenario.isGated = heldDevice(scenario) != nil || isHalted(scenario) || (selection["pace"] != "gated" && lastUser(scenario) != nil)
        return scenario
    }

    private func side(_ binary: ProbedBinary, _ machine: String, _ role: String) -> Scenario.Side {
        let features = binary.features
        let byHand = selection["legacy-property"] == role
        var side = Scenario.Side(
            knowsPerDevice: features.hasLegacyProperty, mode: byHand || features.mode(machine: machine) != .perDevice ? .legacy : .perDevice
        )
        side.hasSwitchoverAck = features.hasSwitchoverAck
        side.decidesAtThreshold = features.decidesAtThreshold
        side.switchesInDevice = features.switchesInDevice
        side.capability = ["both", role].contains(selection["capability"])
        side.startsPaused = role == "source" ? selection["guest"] == "never-started" : selection["destination-guest"] == "paused"
        return side
    }

    private func device(_ index: Int, isLate: Bool) -> Scenario.Device {
        let isOdd = selection["odd"] == "\(index + 1)"
        let named = isOdd ? selection["odd-ability"] : selection["ability"]
        let source = Ability(rawValue: named) ?? Ability(rawValue: selection["ability"]) ?? .none
        let destination = Ability(rawValue: selection["destination-ability"]) ?? source
        var device = Scenario.Device(source: source, destination: destination)
        device.hasP2P = selection["p2p"] == "all" || (selection["p2p"] == "first-without" && index > 0)
        if source == .reinit && !isLate { device.reinits = Int(selection["reinits"]) ?? 0 }
        return device
    }

    /// A busy device goes on dirtying its state.
    private func isBusy(_ index: Int) -> Bool {
        selection["activity"] == "busy" || (selection["odd"] == "\(index + 1)" && selection["odd-ability"] == "busy")
    }

    /// The decision is made to fall on a known query, since the one that follows it is the last check.
    private func isPlaced(_ scenario: Scenario) -> Bool {
        scenario.late == .lastCheck && scenario.devices.contains { $0.source == .reinit && $0.hasP2P }
    }

    /// Where nothing is held, and no decision may come before the ACKs: the threshold stays low until they have.
    private func isHeldByThreshold(_ scenario: Scenario) -> Bool {
        scenario.race == .acksFirst && scenario.devices.contains { $0.source.hasPrecopy }
    }

    /// The same without a device that could report more than a low threshold.
    private func isHeldByBandwidth(_ scenario: Scenario) -> Bool {
        scenario.race == .acksFirst && !scenario.devices.contains { $0.source.hasPrecopy }
    }

    /// The last device whose marker the destination takes.
    private func lastUser(_ scenario: Scenario) -> Int? {
        guard scenario.source.capability, scenario.destination.capability else { return nil }
        return scenario.devices.lastIndex { $0.source.hasPrecopy && $0.destination.hasPrecopy }
    }

    /// A legacy destination without users sends its ACK at once, and a requester's marker is answered at once; no device's load can hold
    /// that back: the whole process is held.
    func isHalted(_ scenario: Scenario) -> Bool {
        let (source, destination) = (scenario.source, scenario.destination)
        return selection["pace"] == "gated" && scenario.race == .natural && scenario.estimate == .small && scenario.guest == .running
            && !scenario.machinesDiffer && source.capability && destination.capability
            && (source.mode == .legacy && destination.mode == .legacy || scenario.requester != nil)
            && !scenario.devices.contains { $0.source.hasPrecopy || $0.destination.hasPrecopy || !$0.hasP2P && scenario.devices.count > 1 }
    }

    /// A legacy destination refuses the marker of a REINIT; its one ACK is counted before it gets to it.
    private func isMarkerTooMany(_ scenario: Scenario) -> Bool {
        heldDevice(scenario) != nil && scenario.source.mode == .perDevice && scenario.destination.mode == .legacy
            && scenario.devices.contains { $0.reinits > 0 }
    }

    /// The device whose load is held until the source has decided: the second, since the first ACK is what sets the source free.
    private func raceDevice(_ scenario: Scenario) -> Int? {
        scenario.race == .decisionFirst && !scenario.devices.isEmpty ? min(1, scenario.devices.count - 1) : nil
    }

    /// The device whose load a gate holds until only its ACK is missing; nil where nothing is held.
    func heldDevice(_ scenario: Scenario) -> Int? {
        guard selection["pace"] == "gated", scenario.race == .natural, scenario.estimate != .zero, !scenario.requestsForever,
            scenario.guest != .neverStarted,
            !scenario.machinesDiffer, let last = lastUser(scenario)
        else { return nil }
        // A legacy source that the first of several ACKs sets free would never make the queries that open the gate.
        let users = scenario.devices.filter { $0.source.hasPrecopy && $0.destination.hasPrecopy }.count
        if scenario.source.mode == .legacy, scenario.destination.mode == .perDevice, users > 1 { return nil }
        return last
    }
}

extension Recipe {
    /// What the destination writes of the held device before its last marker.
    func initialBytes(ofHeld scenario: Scenario) -> Int {
        guard let held = heldDevice(scenario) else { return initialSize }
        let isAcknowledgedEach = scenario.source.mode == .perDevice && scenario.destination.mode == .perDevice
        return initialSize + (isAcknowledgedEach ? scenario.devices[held].reinits * reinitSize : 0)
    }
}

// MARK: - Scripts

extension Recipe {
    /// Bytes that a destination's device is given before the source's stops.
    func precopySize(_ device: Scenario.Device) -> Int {
        device.source.hasPrecopy ? initialSize + device.reinits * reinitSize : 0
    }

    private func abilities(_ ability: Ability, hasP2P: Bool) -> String {
        var words = ability == .none ? (hasP2P ? [] : ["stop-copy"]) : ["precopy"]
        if hasP2P { words.append("p2p") }
        if ability == .reinit { words.append("reinit") }
        let size = selection["pace"] == "blocked" ? "24M" : "\(initialSize)"
        return "ackmatrix-device 1\nhas \(words.joined(separator: " "))\nstop-copy \(stopCopySize)\n"
            + (ability.hasPrecopy ? "initial \(size)\n" : "")
    }

    private func sourceScript(_ device: Scenario.Device, _ index: Int, _ scenario: Scenario) -> String {
        var script = abilities(device.source, hasP2P: device.hasP2P)
        if device.reinits > 0 { script += "on query 2 when=1..\(device.reinits) do reinit \(reinitSize)\n" }
        // Each query takes a moment: a hundred REINITs show it, and thousands make a long log.
        if scenario.reinitsForever, device.source == .reinit { script += "cost precopy-info 5ms\non query 1 do reinit \(reinitSize)\n" }
        switch scenario.estimate {
        case .zero: script += "estimate stop-copy 0\n"
        case .aboveThreshold: script += "estimate stop-copy 1G\n"
        case .small: break
        }
        // A source that fails shuts the connection down, and what the destination then still says resets it: so the source goes on when
        // the destination has said everything, and fails when that has read everything. Its guest's start is the first RUNNING.
        if index == raceDevice(scenario), scenario.source.knowsPerDevice {
            script += "on state STOP_COPY do hold send\non state RUNNING when=2 do hold resume\n"
        }
        guard device.source.hasPrecopy else { return script }
        // After the reset nothing is read that would fail earlier: what the last check makes of it is what is looked at.
        if scenario.guest == .reset { script += "dirty-tracking no\non call read when=2.. do fail ENOMSG\n" }
        if isBusy(index) { script += "on call precopy-info when=1+2 do dirty 4K\n" }
        if isHeldByThreshold(scenario) {
            // The estimate stays above the first threshold, and no read comes back empty.
            script += "estimate dirty 64M\non call read do dirty 512\n"
        }
        if let late = scenario.late, device.source == .reinit {
            if !device.hasP2P {
                // It is not asked again; it re-initialises before its second change of state stops it.
                script += "on call set-state when=2 do reinit 4K\n"
            } else if late == .afterCheck {
                script += "on state PRE_COPY_P2P do reinit 4K\n"
            } else if index == scenario.devices.count - 1 {
                // The first query after the gate drops the estimate, the second lets the source decide, the third is the last check.
                script += "on gate wait do estimate stop-copy 1G\non gate-query decide 1 do estimate stop-copy exact\n"
                script += "on gate-query decide 3 do reinit 4K\n"
            } else {
                // When the guest stops devices are prepared from the last to the first: this one's check comes when the last is.
                script += "on peer v\(scenario.devices.count - 1) PRE_COPY_P2P when=1 do reinit 4K\n"
            }
        }
        return script
    }

    func destinationScript(_ device: Scenario.Device, _ index: Int, _ scenario: Scenario) -> String {
        var script = abilities(device.destination, hasP2P: device.hasP2P)
        switch selection["pace"] {
        case "slow": script += "cost write 500ms\n"
        case "blocked": script += "rate write 24M/s\n"
        default: break
        }
        if index == heldDevice(scenario) {
            script += "on written \(initialBytes(ofHeld: scenario)) do hold load\n"
        }
        if index == 0, isMarkerTooMany(scenario) { script += "on written \(initialSize + reinitSize) do hold refuse\n" }
        if index == raceDevice(scenario) {
            // Without users the ACK is sent right after the load was set up.
            script += device.destination.hasPrecopy ? "on written \(initialSize) do hold load\n" : "on state RESUMING do hold load\n"
        }
        return script
    }
}

// MARK: - Schedule

private let raiseThreshold = ScheduleStep.execute(
    .source, command: "migrate-set-parameters", ["avail-switchover-bandwidth": .integer(1 << 30)])

/// The event of an ACK that the source has counted.
let countedAck = "source_return_path_thread_switchover_acked"

extension Recipe {
    /// Queries that show that only the ACK is missing. Those of a QEMU are left to its clock, which may put several into one window; the
    /// engine's are not, and a few will do, but where devices that nothing holds have several rounds to go.
    private var furtherQueries: UInt64 { source.binary.isEngine && ["0", "1"].contains(selection["reinits"]) ? 16 : 50 }

    /// Up to where the held device's ACK is all that keeps the source from switching over.
    func onlyTheAckIsMissing(_ held: Int) -> [ScheduleStep] {
        let device = "v\(held)"
        return [
            .wait(.held(.destination, device: device)),
            // The first window has ended: from here on there is a threshold.
            .wait(.logged(.source, event: "migrate_transferred", times: 1)),
            .wait(.furtherQueries(.source, device: device, furtherQueries)),
        ]
    }

    func schedule(_ scenario: Scenario) -> [ScheduleStep] {
        if let held = heldDevice(scenario) {
            let onlyTheAckIsMissing = onlyTheAckIsMissing(held)
            switch scenario.guest {
            case .stopped:
                return onlyTheAckIsMissing + [
                    .execute(.source, command: "stop", nil), .wait(.logged(.source, event: "migration_thread_low_pending", times: 1)),
                    .open(.destination, gate: "load"),
                ]
            case .reset:
                return onlyTheAckIsMissing + [.execute(.source, command: "system_reset", nil), .open(.destination, gate: "load")]
            default: break
            }
            if isMarkerTooMany(scenario) {
                return onlyTheAckIsMissing + [
                    .open(.destination, gate: "load"), .wait(.logged(.source, event: countedAck, times: 1)),
                    .open(.destination, gate: "refuse"),
                ]
            }
            guard isPlaced(scenario) else {
                return onlyTheAckIsMissing + askAgain(.wait(.furtherQueries(.source, device: "v\(held)", furtherQueries)))
                    + [.open(.destination, gate: "load")]
            }
            return onlyTheAckIsMissing + [
                .open(.source, gate: "wait"), .wait(.furtherQueries(.source, device: "v\(held)", 2)), .open(.destination, gate: "load"),
                .wait(.logged(.source, event: countedAck, times: predict(scenario).first?.acksCounted ?? 1)),
                .open(.source, gate: "decide"),
            ]
        }
        // The destination refuses the first thing it reads: not before the source has made its first query.
        if scenario.machinesDiffer { return [.wait(.logged(.source, event: "savevm_state_iterate", times: 1)), .resumeDestination] }
        if isHalted(scenario) {
            let further = ScheduleStep.wait(.furtherLogged(.source, event: "savevm_state_iterate", times: Int(furtherQueries)))
            return [.wait(.logged(.source, event: "migrate_transferred", times: 1)), further] + askAgain(further) + [.resumeDestination]
        }
        switch scenario.race {
        case .acksFirst where isHeldByBandwidth(scenario):
            return [
                .wait(.logged(.source, event: countedAck, times: 1)),
                .execute(.source, command: "migrate-set-parameters", ["max-bandwidth": .integer(1 << 30)]),
            ]
        case .acksFirst:
            return [.wait(.logged(.source, event: countedAck, times: 2)), raiseThreshold]
        case .decisionFirst:
            guard let held = raceDevice(scenario) else { return [] }
            // An old source that has decided goes on by itself, until there is no doubt which came first.
            let decision = scenario.source.knowsPerDevice ? "migration_thread_low_pending" : "migration_precopy_complete"
            let decided: [ScheduleStep] = [
                .wait(.held(.destination, device: "v\(held)")), .wait(.logged(.source, event: decision, times: 1)),
                .open(.destination, gate: "load"),
            ]
            // It takes no notice of the ACKs that come then, and completes.
            guard scenario.source.knowsPerDevice else { return decided }
            return decided + [
                // Every ACK, and the PONG.
                .wait(.logged(.destination, event: "migrate_send_rp_message", times: (predict(scenario).first?.acksSent ?? 0) + 1)),
                .open(.source, gate: "send"), .wait(.logged(.destination, event: "process_incoming_migration_co_end", times: 1)),
                .open(.source, gate: "resume"),
            ]
        case .natural: break
        }
        return []
    }
}
