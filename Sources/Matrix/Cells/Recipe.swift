/// From a selection of axis values to the cells that it stands for: machine types, device scripts, schedule.
///
/// Nothing here waits for time: what must come first is waited for by what it logs, by a gate, or by a count of queries.
import Plan
import Prediction
import VFIO

package struct Recipe: Sendable {
    let selection: Selection
    let choices: CellChoices
    let source: ProbedBinary
    let destination: ProbedBinary

    /// The cells that some selections make, and what cannot be made of them with the available sides.
    package struct Made {
        package var cells: [Cell] = []
        package var skipped = SkippedCells()

        package init() {}
    }

    /// The cells of a matrix file up to a tier that the available sides can run, in the file's order. Only cells whose name is wanted are
    /// made.
    package static func cells(
        of file: MatrixFile, tier: Tier, binaries: [ProbedBinary], isWanted: (String) -> Bool = { _ in true }
    ) throws -> Made {
        var all = Made()
        var names: Set<String> = []
        var machines: [MachineQuestion: [Machines]] = [:]
        for planned in file.selections(tier) {
            // A tier of the engine takes seconds to make.
            try Task.checkCancellation()
            let made = try cells(
                of: planned.selection, product: planned.product, binaries: binaries, machines: &machines, isWanted: isWanted)
            // The newest of all machine types is also one of each: that cell is made twice.
            all.cells += made.cells.filter { names.insert($0.name).inserted }
            all.skipped.formUnion(made.skipped)
        }
        return all
    }

    /// Every cell that the selection stands for: one for each pair of sides of one kind that fit and can do what the cell needs, and each
    /// machine type that it names.
    package static func cells(
        of selection: Selection, product: String, binaries: [ProbedBinary], isWanted: (String) -> Bool = { _ in true }
    ) throws -> Made {
        var machines: [MachineQuestion: [Machines]] = [:]
        return try cells(of: selection, product: product, binaries: binaries, machines: &machines, isWanted: isWanted)
    }

    /// What many selections ask of two sides, their machine types, is answered once: that takes most of the time of making names.
    private struct MachineQuestion: Hashable {
        let source: String
        let destination: String
        let board: MachineBoard
        let type: MachineKind
    }

    private static func cells(
        of selection: Selection, product: String, binaries: [ProbedBinary], machines: inout [MachineQuestion: [Machines]],
        isWanted: (String) -> Bool
    ) throws -> Made {
        let choices = try CellChoices(selection)
        var made = Made()
        for kind in SideKind.allCases {
            let sides = binaries.filter { $0.binary.kind == kind }
            guard !sides.isEmpty else { continue }
            if let reason = choices.modules.missing(on: kind) {
                made.skipped.insert(selection.name, reason)
                continue
            }
            try make(&made, selection, choices, product: product, sides, kind, machines: &machines, isWanted: isWanted)
        }
        return made
    }

    /// Adds the cells of sides that are all of one kind.
    private static func make(
        _ made: inout Made, _ selection: Selection, _ choices: CellChoices, product: String, _ sides: [ProbedBinary], _ kind: SideKind,
        machines known: inout [MachineQuestion: [Machines]], isWanted: (String) -> Bool
    ) throws {
        let sources = sides.filter { choices.source.fits($0.features) }
        let destinations = sides.filter { choices.destination.fits($0.features) }
        for (role, wanted, found) in [(Role.source, choices.source, sources), (.destination, choices.destination, destinations)]
        where found.isEmpty {
            made.skipped.insert(
                selection.name, Unavailable(description: "`\(role.rawValue): \(wanted.word)`; \(wanted.absence(among: kind))"))
        }
        for source in sources {
            for destination in destinations {
                let recipe = Recipe(selection: selection, choices: choices, source: source, destination: destination)
                let question = MachineQuestion(
                    source: source.binary.name, destination: destination.binary.name, board: choices.board, type: choices.type)
                let machines = known[question] ?? recipe.machines()
                known[question] = machines
                if machines.isEmpty {
                    let (one, other) = (source.binary.name, destination.binary.name)
                    let wanted = "\(choices.board.word) machine type that is \(choices.type.word)"
                    made.skipped.insert(selection.name, Unavailable(description: "\(one) and \(other) share no \(wanted)"))
                }
                for machine in machines {
                    let name = recipe.name(machine)
                    guard isWanted(name) else { continue }
                    do {
                        made.cells.append(try recipe.availableCell(machine, product: product))
                    } catch let unavailable as Unavailable {
                        made.skipped.insert(name, unavailable)
                    }
                }
            }
        }
    }
}

extension Recipe {
    /// The cell, which its sides can run. Throws `Unavailable` where one of them cannot do what the plan needs.
    private func availableCell(_ machines: Machines, product: String) throws -> Cell {
        let cell = try cell(machines, product: product)
        let sides = [source, destination]
        let unmet = cell.plan.unmetNeed { configuration, need in
            sides.first { $0.binary == configuration.binary }?.obstacle(to: need)
        }
        if let unmet { throw Unavailable(description: unmet.description) }
        return cell
    }
}

extension Recipe {
    func cell(_ machines: Machines, product: String) throws -> Cell {
        let scenario = scenario(machines)
        var plan = MigrationPlan(
            source: side(source, machines.source, scenario.source, .source),
            destination: side(destination, machines.destination, scenario.destination, .destination))
        plan.source.parameters = [
            "max-bandwidth": .integer(choices.bandwidth.maxBandwidth), "avail-switchover-bandwidth": .integer(1 << 30),
            "downtime-limit": 300,
        ]
        if isHeldByBandwidth(scenario) { plan.source.parameters["max-bandwidth"] = .integer(20_000) }
        if isHeldByThreshold(scenario) { plan.source.parameters["avail-switchover-bandwidth"] = .integer(100_000) }
        setThreshold(scenario, &plan.source)
        for (index, device) in scenario.devices.enumerated() {
            let name = "v\(index)"
            let slot = 0x10 + index
            plan.source.devices.append(
                PlannedDevice(
                    name: name, .mock(try DeviceScript(sourceScript(device, index, scenario), file: "\(name) source")), slot: slot))
            plan.leg.destination.devices.append(
                PlannedDevice(
                    name: name, .mock(try DeviceScript(destinationScript(device, index, scenario), file: "\(name) destination")),
                    slot: slot))
        }
        switch choices.order {
        case .same: break
        case .reversed: plan.leg.destination.devices.reverse()
        }
        plan.leg.schedule = schedule(scenario)
        plan.leg.haltsDestination = isHalted(scenario) || scenario.machinesDiffer
        plan.leg.limit = 15
        var draft = Draft(recipe: self, scenarios: [scenario], plan: plan)
        try choices.driver?.make(&draft)
        return Cell(
            name: name(machines),
            selection: selection, product: product, plan: draft.plan,
            devices: Dictionary(uniqueKeysWithValues: draft.plan.source.devices.map { ($0.idstr, $0.name) }),
            requester: modules.requester, forecasts: draft.scenarios.map { Forecast($0) }, sourceVersion: source.features.version,
            destinationVersion: destination.features.version)
    }

    /// Sets a threshold that is exact to the byte: QEMU multiplies the bytes of a millisecond by the milliseconds of the downtime limit.
    func setThreshold(_ scenario: Scenario, _ source: inout SideConfiguration) {
        guard let threshold = threshold(scenario) else { return }
        // Where fractions of a byte per millisecond count, the bandwidth has one, so that a side that loses it has another threshold.
        let downtime: Int64 = self.source.features.keepsBandwidthFraction ? 3 : 1
        source.parameters["avail-switchover-bandwidth"] = .integer((Int64(threshold) * 1000 + downtime - 1) / downtime)
        source.parameters["downtime-limit"] = .integer(downtime)
    }

    /// The cell's name: its sides, its machine, and the token of every other choice that is not plain.
    private func name(_ machines: Machines) -> String {
        let tokens = selection.changes.filter { CellAxis(rawValue: $0.axis)?.isInSidesAndMachine != true }.map(\.token)
        return "\(source.binary.name)-\(destination.binary.name)+" + ([machines.title] + tokens).joined(separator: "+")
    }

    private func side(_ binary: ProbedBinary, _ machine: String, _ side: Scenario.Side, _ role: Role) -> SideConfiguration {
        var configuration = SideConfiguration(binary: binary.binary, machine: machine)
        configuration.memoryMiB = 16
        configuration.traceAll(of: binary.features)
        configuration.capabilities = ["events": true, "return-path": true]
        if side.capability || side.hasSwitchoverAck { configuration.capabilities["switchover-ack"] = side.capability }
        configuration.startsPaused = side.startsPaused
        configuration.modules = modules
        if modules.hasDirtyBitmap { configuration.capabilities["dirty-bitmaps"] = true }
        if choices.legacyProperty.isSet(on: role) { configuration.legacyProperty = true }
        return configuration
    }
}
