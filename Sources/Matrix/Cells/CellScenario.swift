/// What decides the outcome of a cell: its scenario, and what holds its ACKs and its decision back.
import Plan
import Prediction

extension Recipe {
    func scenario(_ machines: Machines) -> Scenario {
        var scenario = Scenario(
            source: side(source, machines.source, .source), destination: side(destination, machines.destination, .destination))
        scenario.machinesDiffer =
            (source.features.aliases[machines.source] ?? machines.source)
            != (destination.features.aliases[machines.destination] ?? machines.destination)
        scenario.late = choices.late
        scenario.guest = choices.guest
        scenario.threshold = choices.threshold
        scenario.reinitsForever = choices.reinits == .forever
        scenario.estimate = choices.estimate
        scenario.race = choices.race
        scenario.requester = modules.requester.map { Prediction.Requester($0) }
        scenario.devices = (0..<choices.devices.rawValue).map { device($0, isLate: scenario.late != nil) }
        scenario.isGated = heldDevice(scenario) != nil || isHalted(scenario) || (choices.pace != .gated && lastUser(scenario) != nil)
        return scenario
    }

    private func side(_ binary: ProbedBinary, _ machine: String, _ role: Role) -> Scenario.Side {
        let features = binary.features
        let byHand = choices.legacyProperty.isSet(on: role)
        var side = Scenario.Side(
            knowsPerDevice: features.hasLegacyProperty, mode: byHand || features.mode(machine: machine) != .perDevice ? .legacy : .perDevice
        )
        side.hasSwitchoverAck = features.hasSwitchoverAck
        side.decidesAtThreshold = features.decidesAtThreshold
        side.switchesInDevice = features.switchesInDevice
        side.capability = choices.capability.has(role)
        side.startsPaused =
            switch role {
            case .source: choices.guest == .neverStarted
            case .destination: choices.destinationGuest == .paused
            }
        return side
    }

    private func device(_ index: Int, isLate: Bool) -> Scenario.Device {
        let source = ability(index)
        var device = Scenario.Device(source: source, destination: choices.destinationAbility ?? source)
        device.hasP2P = choices.p2p.has(index)
        if source == .reinit && !isLate {
            switch choices.reinits {
            case .times(let count): device.reinits = count
            // The scenario says so of all devices together.
            case .forever: device.reinits = 0
            }
        }
        return device
    }

    /// How the device differs from the others; nil where it does not.
    private func oddity(_ index: Int) -> OddAbility? { choices.odd?.index == index ? choices.oddAbility : nil }

    private func ability(_ index: Int) -> Ability {
        switch oddity(index) {
        case .none?: .none
        case .precopy?: .precopy
        case .reinit?: .reinit
        case .busy?, nil: choices.ability
        }
    }

    /// A busy device goes on dirtying its state.
    func isBusy(_ index: Int) -> Bool { choices.activity == .busy || oddity(index) == .busy }

    /// The decision is made to fall on a known query, since the one that follows it is the last check.
    func isPlaced(_ scenario: Scenario) -> Bool {
        scenario.late == .lastCheck && scenario.devices.contains { $0.source == .reinit && $0.hasP2P }
    }

    /// Where nothing is held, and no decision may come before the ACKs: the threshold stays low until they have.
    func isHeldByThreshold(_ scenario: Scenario) -> Bool {
        scenario.race == .acksFirst && scenario.devices.contains { $0.source.hasPrecopy }
    }

    /// The same without a device that could report more than a low threshold.
    func isHeldByBandwidth(_ scenario: Scenario) -> Bool {
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
        return choices.pace == .gated && scenario.race == .natural && scenario.estimate == .small && scenario.guest == .running
            && !scenario.machinesDiffer && source.capability && destination.capability
            && (source.mode == .legacy && destination.mode == .legacy || scenario.requester != nil)
            && !scenario.devices.contains { $0.source.hasPrecopy || $0.destination.hasPrecopy || !$0.hasP2P && scenario.devices.count > 1 }
    }

    /// A legacy destination refuses the marker of a REINIT; its one ACK is counted before it gets to it.
    func isMarkerTooMany(_ scenario: Scenario) -> Bool {
        heldDevice(scenario) != nil && scenario.source.mode == .perDevice && scenario.destination.mode == .legacy
            && scenario.devices.contains { $0.reinits > 0 }
    }

    /// The device whose load is held until the source has decided: the second, since the first ACK is what sets the source free.
    func raceDevice(_ scenario: Scenario) -> Int? {
        scenario.race == .decisionFirst && !scenario.devices.isEmpty ? min(1, scenario.devices.count - 1) : nil
    }

    /// The device whose load a gate holds until only its ACK is missing; nil where nothing is held.
    func heldDevice(_ scenario: Scenario) -> Int? {
        guard choices.pace == .gated, scenario.race == .natural, scenario.estimate != .zero, !scenario.requestsForever,
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
