/// From a selection of axis values to the cells that it stands for: machine types, device scripts, schedule.
///
/// Nothing here waits for time: what must come first is waited for by what it logs, by a gate, or by a count of queries.
import Plan
import Prediction
import VFIO

/// Why a selection makes no cell with the available binaries. The cell is left out, and the report gives this reason.
package struct Unavailable: Error, Hashable, CustomStringConvertible {
    package let description: String
}

package struct Recipe: Sendable {
    let selection: Selection
    let choices: CellChoices
    let source: ProbedBinary
    let destination: ProbedBinary

    /// The cells of a matrix file up to a tier, in the file's order, and why others cannot be made with these binaries, a sentence each.
    /// Only cells whose name is wanted are made.
    package static func cells(
        of file: MatrixFile, tier: Tier, binaries: [ProbedBinary], isWanted: (String) -> Bool = { _ in true }
    ) throws -> (cells: [Cell], missing: [Unavailable]) {
        var cells: [Cell] = []
        var missing: [Unavailable] = []
        var names: Set<String> = []
        for planned in file.selections(tier) {
            // A tier of the engine takes seconds to make.
            try Task.checkCancellation()
            let made = try Self.cells(of: planned.selection, product: planned.product, binaries: binaries, isWanted: isWanted)
            // The newest of all machine types is also one of each: that cell is made twice.
            cells += made.cells.filter { names.insert($0.name).inserted }
            missing += made.missing.filter { !missing.contains($0) }
        }
        return (cells, missing)
    }

    /// Every cell that the selection stands for: one for each pair of sides of one kind that fit, and each machine type that it names.
    package static func cells(
        of selection: Selection, product: String, binaries: [ProbedBinary], isWanted: (String) -> Bool = { _ in true }
    ) throws -> (cells: [Cell], missing: [Unavailable]) {
        let choices = try CellChoices(selection)
        var cells: [Cell] = []
        var missing: Set<Unavailable> = []
        for kind in SideKind.allCases {
            let sides = binaries.filter { $0.binary.kind == kind }
            guard !sides.isEmpty else { continue }
            if let reason = choices.modules.missing(on: kind) {
                missing.insert(reason)
                continue
            }
            let made = try Self.cells(of: selection, choices, product: product, sides, kind, isWanted: isWanted)
            missing.formUnion(made.missing)
            guard kind == .qemu else {
                // A run counts what the engine does not model, by reason.
                cells += made.cells
                continue
            }
            let obstacles = Dictionary(sides.map { ($0.binary, $0.obstacle) }) { first, _ in first }
            for cell in made.cells {
                if let unmet = cell.plan.unmetNeed({ side, need in obstacles[side.binary]?(need) }) {
                    missing.insert(Unavailable(description: unmet.description))
                } else {
                    cells.append(cell)
                }
            }
        }
        return (cells, missing.sorted { $0.description < $1.description })
    }

    /// The same for sides that are all of one kind.
    private static func cells(
        of selection: Selection, _ choices: CellChoices, product: String, _ sides: [ProbedBinary], _ kind: SideKind,
        isWanted: (String) -> Bool
    ) throws -> (
        cells: [Cell], missing: Set<Unavailable>
    ) {
        var cells: [Cell] = []
        var missing: Set<Unavailable> = []
        let sources = sides.filter { choices.source.fits($0.features) }
        let destinations = sides.filter { choices.destination.fits($0.features) }
        for (role, wanted, found) in [(Role.source, choices.source, sources), (.destination, choices.destination, destinations)]
        where found.isEmpty {
            missing.insert(Unavailable(description: "`\(role.rawValue): \(wanted.word)`; \(wanted.absence(among: kind))"))
        }
        for source in sources {
            for destination in destinations {
                let recipe = Recipe(selection: selection, choices: choices, source: source, destination: destination)
                let machines = recipe.machines()
                if machines.isEmpty {
                    let (one, other) = (source.binary.name, destination.binary.name)
                    let wanted = "\(choices.board.word) machine type that is \(choices.type.word)"
                    missing.insert(Unavailable(description: "\(one) and \(other) share no \(wanted)"))
                }
                for machine in machines where isWanted(recipe.name(machine)) {
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
        source.parameters["avail-switchover-bandwidth"] = .integer(Int64(threshold) * 1000)
        source.parameters["downtime-limit"] = 1
    }

    /// The cell's name: its sides, its machine, and the token of every other choice that is not plain.
    private func name(_ machines: Machines) -> String {
        let tokens = selection.changes.filter { CellAxis(rawValue: $0.axis)?.isInSidesAndMachine != true }.map(\.token)
        return "\(source.binary.name)-\(destination.binary.name)+" + ([machines.title] + tokens).joined(separator: "+")
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
        if choices.legacyProperty.isSet(on: role) { configuration.legacyProperty = true }
        return configuration
    }
}
