import EnginePeer
import Foundation
import MigrationTrace
import Plan
import TestSupport
import Testing

@testable import Matrix

/// A build that is not as its release has it loses cells, and says which pairing lost how many.
@Suite struct LostCellsTests {
    private let matrix: MatrixFile
    private let released: ProbedFeatures

    init() throws {
        matrix = try MatrixFile(path: repositoryFile("harness/matrix/default.yaml"))
        released = try #require(ProbedBinary.engine("11.1")).features
    }

    private func binaries(_ mine: ProbedFeatures) -> [ProbedBinary] {
        [("11.1", released), ("mine", mine)].map { name, features in
            ProbedBinary(binary: .qemu(QEMUBinary(name: name, start: .executable("/qemu"))), features: features) { _ in nil }
        }
    }

    private func made(_ mine: ProbedFeatures) throws -> (made: Recipe.Made, losses: [PairingLoss]) {
        let binaries = binaries(mine)
        let made = try Recipe.cells(of: matrix, tier: .default, binaries: binaries)
        return (made, try Recipe.losses(of: matrix, tier: .default, binaries: binaries, cells: made.cells))
    }

    @Test func aReleaseLosesNothing() throws {
        #expect(try made(released).losses.isEmpty)
    }

    /// Such a type runs legacy on the one side and per device on the other, and its cells say so.
    @Test func aBuildWithoutItsCompatEntryHasCellsInMixedModes() throws {
        var mine = released
        for type in mine.machineTypes where SwitchoverAckMode.ruled(machine: type) == .legacy { mine.modes[type] = .perDevice }
        let (made, losses) = try made(mine)
        let mixed = made.cells.filter { cell in
            let machine = cell.plan.source.machine
            return cell.plan.source.binary.name == "11.1" && cell.plan.leg.destination.binary.name == "mine"
                && released.mode(machine: machine) == .legacy && mine.mode(machine: machine) == .perDevice
        }
        #expect(!mixed.isEmpty)
        for cell in mixed { #expect(cell.forecasts[0].scenario.source.mode != cell.forecasts[0].scenario.destination.mode, "\(cell.name)") }
        #expect(losses.contains { $0.source == "mine" && $0.destination == "mine" })
        #expect(losses.allSatisfy { $0.lost * 10 > $0.whole && [$0.source, $0.destination].contains("mine") })
    }

    @Test func whatABuildLacksIsAReason() throws {
        var mine = released
        mine.parts = BuildParts(capabilities: ["events", "return-path", "switchover-ack"], deviceTypes: [], blockDrivers: [])
        let reasons = try made(mine).made.skipped.reasons.map(\.description)
        for part in ["migration capability multifd", "device loader"] {
            #expect(reasons.contains("mine is built without \(part)"), "\(reasons)")
        }
    }
}
