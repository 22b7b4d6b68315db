import EnginePeer
import Foundation
import Plan
import Running
import TestSupport
import Testing

@testable import Matrix

/// Which sides cells are made of, and what they are called.
@Suite struct SidesTests {
    private let matrix: MatrixFile
    /// As if QEMUs of two releases were available, and a custom build.
    private let qemus: [ProbedBinary]

    init() throws {
        matrix = try MatrixFile(path: repositoryFile("harness/matrix/default.yaml"))
        qemus = try [("10.0", "10.0", "10.0.13"), ("11.1", "11.1", "11.1.3"), ("mine", "11.1", "11.1.50")].map {
            name, generation, version in
            var features = try #require(ProbedBinary.engine(generation)).features
            features.version = version
            return ProbedBinary(QEMUBinary(name: name, start: .executable("/qemu")), features: features)
        }
    }

    private struct Row: CustomTestStringConvertible {
        var name: String
        var isPerDevice: Bool
        var decidesAtThreshold: Bool
        var newest: String
        /// What a probe takes it for; the postings have every feature of a release that can be asked for.
        var probed: String
        var testDescription: String { name }
    }

    @Test(arguments: [
        Row(name: "8.1", isPerDevice: false, decidesAtThreshold: false, newest: "8.1", probed: "8.1"),
        Row(name: "10.0", isPerDevice: false, decidesAtThreshold: false, newest: "10.0", probed: "10.0"),
        Row(name: "10.1", isPerDevice: false, decidesAtThreshold: true, newest: "10.1", probed: "10.1"),
        Row(name: "postcopy-device-v1", isPerDevice: false, decidesAtThreshold: true, newest: "10.1", probed: "10.2"),
        Row(name: "10.2", isPerDevice: false, decidesAtThreshold: true, newest: "10.2", probed: "10.2"),
        Row(name: "11.0", isPerDevice: false, decidesAtThreshold: true, newest: "11.0", probed: "11.0"),
        Row(name: "v1", isPerDevice: true, decidesAtThreshold: true, newest: "11.1", probed: "11.1"),
        Row(name: "v2", isPerDevice: true, decidesAtThreshold: true, newest: "11.1", probed: "11.1"),
        Row(name: "11.1", isPerDevice: true, decidesAtThreshold: true, newest: "11.1", probed: "11.1"),
    ])
    private func anEnginesFactsAreThoseOfItsGeneration(row: Row) throws {
        let engine = try #require(ProbedBinary.engine(row.name))
        let features = engine.features
        #expect(engine.binary.name == "engine@" + row.name)
        #expect(engine.binary == .engine(generation: row.name) && engine.generation == row.name)
        #expect(features.hasSwitchoverAck)
        #expect(features.hasLegacyProperty == row.isPerDevice)
        #expect(features.decidesAtThreshold == row.decidesAtThreshold)
        #expect(features.generation == row.probed)
        #expect(features.aliases == ["q35": "pc-q35-\(row.newest)", "pc": "pc-i440fx-\(row.newest)"])
        #expect(features.machineTypes.contains("pc-q35-8.1") && features.machineTypes.contains("microvm"))
        for machine in ["q35", "pc-q35-\(row.newest)", "pc-i440fx-\(row.newest)", "microvm,pcie=on", "none"] {
            #expect(features.mode(machine: machine) == (row.isPerDevice ? .perDevice : .legacy), "\(machine)")
        }
        for machine in ["pc-q35-8.1", "pc-i440fx-10.0", "pc-q35-11.0"] { #expect(features.mode(machine: machine) == .legacy, "\(machine)") }
    }

    @Test func unconfirmedGenerationsAreSidesOnlyWhenNamed() {
        #expect(
            ProbedBinary.engines.map(\.binary.name)
                == ["engine@10.0", "engine@10.1", "engine@10.2", "engine@11.0", "engine@v1", "engine@v2", "engine@11.1"])
        #expect(
            ProbedBinary.enginesWhenNamed.map(\.binary.name) == [
                "engine@8.1", "engine@postcopy-device-v1", "engine@request-message",
            ])
        #expect(ProbedBinary.engine("9.9") == nil)
    }

    /// A cell has sides of one kind, and its name is the same on both kinds but for what makes it an engine.
    @Test func kindsAreNotPairedAndNamesAreShared() throws {
        let selection = try #require(Selection(matrix.axes, ["source": "legacy-only", "destination": "per-device", "devices": "2"]))
        let made = try Recipe.cells(of: selection, product: "test", binaries: qemus + ProbedBinary.engines)
        #expect(made.skipped == SkippedCells())
        let names = made.cells.map(\.name)
        #expect(names.prefix(2) == ["10.0-11.1+q35-10.0+2-devices", "10.0-mine+q35-10.0+2-devices"])
        #expect(names.count == 2 + 4 * 3)
        #expect(Set(names).count == names.count)
        for cell in made.cells { #expect(cell.plan.source.binary.kind == cell.plan.leg.destination.binary.kind, "\(cell.name)") }
        let pairs = SharedCell.pairs(made.cells.filter { $0.kind == .qemu }, made.cells.filter { $0.kind == .engine })
        #expect(pairs.map(\.engine.name) == ["engine@10.0-engine@11.1+q35-10.0+2-devices"])
        #expect(pairs.map(\.name) == ["10.0-11.1+q35-10.0+2-devices"])
        #expect(pairs.map(\.qemu.name) == pairs.map(\.name))
    }

    @Test func aCustomBuildHasNoCounterpart() throws {
        #expect(qemus.map { $0.counterpart?.binary.name } == ["engine@10.0", "engine@11.1", nil])
        #expect(ProbedBinary.engines.allSatisfy { $0.counterpart == nil })
    }

    /// Every cell of QEMUs that have counterparts is one of the engine's, with the same plan and prediction.
    @Test func sharedCellsAreTheSameMigration() throws {
        let two = Array(qemus.prefix(2))
        var (count, skippedCount) = (0, 0)
        for planned in matrix.selections(.default) {
            let cells = try Recipe.cells(of: planned.selection, product: planned.product, binaries: two).cells
            let engines = try Recipe.cells(of: planned.selection, product: planned.product, binaries: two.compactMap(\.counterpart))
            let shared = SharedCell.pairs(cells, engines.cells)
            // A cell that has no engine is skipped there for a reason.
            let skipped = engines.skipped.reasonBySharedName
            #expect(cells.map(\.name).filter { skipped[$0] == nil } == shared.map(\.qemu.name))
            count += shared.count
            skippedCount += cells.count - shared.count
            for cell in shared {
                #expect(cell.qemu.lastForecast.outcomes == cell.engine.lastForecast.outcomes, "\(cell.name)")
                // The engine is asked for fewer queries; all else is done and waited for alike.
                func steps(_ cell: Cell) -> [String] {
                    cell.plan.legs.flatMap(\.steps).map { String($0.description.filter { !$0.isNumber }) }
                }
                #expect(steps(cell.qemu) == steps(cell.engine), "\(cell.name)")
                #expect(cell.qemu.plan.source.devices == cell.engine.plan.source.devices, "\(cell.name)")
            }
        }
        #expect(count + skippedCount > 500 && count > 450)
    }

    /// The tier of the engine has the many cells that processes have no time for.
    @Test func theTierOfTheEngineHasManyDevicesAndManyREINITs() throws {
        let cells = try matrix.selections(.engine).filter { $0.tier == .engine }.flatMap {
            try Recipe.cells(of: $0.selection, product: $0.product, binaries: ProbedBinary.engines).cells
        }
        #expect(cells.count >= 2_000)
        let many = cells.filter { cell in
            cell.lastForecast.scenario.devices.count >= 4 && cell.lastForecast.scenario.devices.contains { $0.reinits >= 2 }
        }
        #expect(many.count >= 200)
        #expect(Set(cells.map(\.lastForecast.scenario.devices.count)).isSuperset(of: [1, 2, 3, 4, 8]))
    }
}
