/// `ackmatrix list`: the cells, and what of the matrix they cover.
import ArgumentParser
import EnginePeer
import Foundation
import Matrix

struct ListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Name the cells that the binaries at hand can show, a line each; or say what the matrix covers.")

    @OptionGroup var binaries: BinaryOptions
    @OptionGroup var sides: SideOptions
    @OptionGroup var matrix: MatrixOptions

    @Flag(help: "For every pair of axis values: covered, excluded with its reason, or open. Open pairs are a finding.")
    var coverage = false

    @Flag(help: "Name the drivers, with what each does around the migration.")
    var drivers = false

    func run() async throws {
        if drivers {
            let width = Driver.all.map(\.name.count).max() ?? 0
            for driver in Driver.all { print(driver.name.padding(toLength: width + 2, withPad: " ", startingAt: 0) + driver.about) }
            return
        }
        guard coverage else {
            let (cells, missing) = try matrix.cells(of: matrix.file(), try await sides.probed(binaries, matrix))
            for sentence in missing { Harness.note("skipped: \(sentence)") }
            // What the engine does not model is no cell of its own.
            let modelled = cells.filter { !$0.isEngine || EngineRefusal($0.plan) == nil }
            for cell in modelled { print(cell.name) }
            if modelled.count < cells.count {
                Harness.note("skipped: \(counted(cells.count - modelled.count, "cell")) that the engine does not model; summary.txt of a run has the reasons")
            }
            return
        }
        let coverage = Coverage(try matrix.file(), tier: matrix.tier)
        print(coverage.text)
        if !coverage.open.isEmpty {
            throw Finding(description: "\(coverage.open.count) pairs of axis values are neither covered nor excluded")
        }
    }
}
