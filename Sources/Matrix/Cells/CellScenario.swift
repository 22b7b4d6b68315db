/// What decides the outcome of a cell: its scenario, and what holds back its ACKs and its decision.
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
        side.hasPostcopyDevice = features.hasPostcopyDevice
        side.replicates = features.replicates
        side.hasCPRExec = features.hasPostcopyDevice
        side.namesMemoryOfCPR = features.replicates
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
            // `Scenario.reinitsForever` says this of all devices together.
            case .forever: device.reinits = 0
            }
        }
        return device
    }

    /// How the device differs from the others; nil if it does not.
    private func oddity(_ index: Int) -> OddAbility? { choices.odd?.index == index ? choices.oddAbility : nil }

    private func ability(_ index: Int) -> Ability {
        switch oddity(index) {
        case .none?: .none
        case .precopy?: .precopy
        case .reinit?: .reinit
        case .busy?, nil: choices.ability
        }
    }

    /// True if the device goes on dirtying its state.
    func isBusy(_ index: Int) -> Bool { choices.activity == .busy || oddity(index) == .busy }

    /// True if gates place the decision on a known query, since the REINIT comes with that query, or with the last check that follows.
    func isPlaced(_ scenario: Scenario) -> Bool {
        switch scenario.late {
        case .decidingQuery: scenario.devices.contains { $0.source == .reinit }
        case .lastCheck: scenario.devices.contains { $0.source == .reinit && $0.hasP2P }
        case .beforeMarker, .afterCheck, nil: false
        }
    }

    /// True if a low threshold, and no gate, keeps the decision from coming before the ACKs.
    func isHeldByThreshold(_ scenario: Scenario) -> Bool {
        scenario.race == .acksFirst && scenario.devices.contains { $0.source.hasPrecopy }
    }

    /// True if a low bandwidth does the same, where no device could report more than a low threshold.
    func isHeldByBandwidth(_ scenario: Scenario) -> Bool {
        scenario.race == .acksFirst && !scenario.devices.contains { $0.source.hasPrecopy }
    }

    /// The last device whose marker the destination takes; nil if there is none.
    private func lastUser(_ scenario: Scenario) -> Int? {
        guard scenario.source.capability, scenario.destination.capability else { return nil }
        return scenario.devices.lastIndex { $0.source.hasPrecopy && $0.destination.hasPrecopy }
    }

    /// True if the whole destination process is halted. A legacy destination without users sends its ACK at once and answers a requester's
    /// marker at once; no device's load can hold that back.
    func isHalted(_ scenario: Scenario) -> Bool {
        let (source, destination) = (scenario.source, scenario.destination)
        return choices.pace == .gated && scenario.race == .natural && scenario.estimate == .small && scenario.guest == .running
            && !scenario.machinesDiffer && source.capability && destination.capability
            && (source.mode == .legacy && destination.mode == .legacy || scenario.requester != nil)
            && !scenario.devices.contains { $0.source.hasPrecopy || $0.destination.hasPrecopy || !$0.hasP2P && scenario.devices.count > 1 }
    }

    /// True if a legacy destination refuses the marker of a REINIT, and a gate holds that marker until the one ACK is counted.
    func isMarkerTooMany(_ scenario: Scenario) -> Bool {
        heldDevice(scenario) != nil && scenario.source.mode == .perDevice && scenario.destination.mode == .legacy
            && scenario.devices.contains { $0.reinits > 0 }
    }

    /// The device whose load is held until the source has decided: the second one, since the first ACK is what frees the source.
    func raceDevice(_ scenario: Scenario) -> Int? {
        scenario.race == .decisionFirst && !scenario.devices.isEmpty ? min(1, scenario.devices.count - 1) : nil
    }

    /// The device whose load a gate holds until only its ACK is missing; nil if no load is held.
    func heldDevice(_ scenario: Scenario) -> Int? {
        guard choices.pace == .gated, scenario.race == .natural, scenario.estimate != .zero, !scenario.requestsForever,
            scenario.guest != .neverStarted,
            !scenario.machinesDiffer, let last = lastUser(scenario)
        else { return nil }
        // The first of several ACKs frees a legacy source, which then never makes the queries that open the gate.
        let users = scenario.devices.filter { $0.source.hasPrecopy && $0.destination.hasPrecopy }.count
        if scenario.source.mode == .legacy, scenario.destination.mode == .perDevice, users > 1 { return nil }
        return last
    }
}

extension Recipe {
    /// The bytes that the destination writes to the held device before its last marker.
    func initialBytes(ofHeld scenario: Scenario) -> Int {
        guard let held = heldDevice(scenario) else { return initialSize }
        let isAcknowledgedEach = scenario.source.mode == .perDevice && scenario.destination.mode == .perDevice
        let isOfFirstRound = scenario.late == .beforeMarker && scenario.devices[held].source == .reinit
        return initialSize + (isAcknowledgedEach ? scenario.devices[held].reinits * reinitSize : 0) + (isOfFirstRound ? reinitSize : 0)
    }
}
