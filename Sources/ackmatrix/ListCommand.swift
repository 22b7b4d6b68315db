/// `ackmatrix list`: the cells, and what of the matrix they cover.
import ArgumentParser
import Foundation
import Matrix

struct ListCommand: EndsInOrder {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Print the name of each cell that the available sides can run, or what the matrix covers.")

    @OptionGroup var binaries: BinaryOptions
    @OptionGroup var sides: SideOptions
    @OptionGroup var matrix: MatrixOptions

    @Flag(help: "For each pair of axis values print whether it is covered, excluded with a reason, or open. An open pair is a finding.")
    var coverage = false

    @Flag(help: "Print the name of each driver, and what it does around the migration.")
    var drivers = false

    func validate() throws {
        guard coverage || drivers else { return }
        let selecting = [
            ("--sides", sides.sides != nil), ("--engine", !sides.engine.isEmpty), ("--cell", !matrix.cell.isEmpty),
            ("--qemu", !binaries.own.isEmpty), ("--tier", drivers && matrix.tier != nil), ("--matrix", drivers && matrix.matrix != nil),
            ("--coverage", drivers && coverage),
        ]
        if let (name, _) = selecting.first(where: { $0.1 }) {
            throw ValidationError("\(name) selects nothing of \(drivers ? "--drivers" : "--coverage"); leave one of the two out")
        }
    }

    func run() async throws {
        if drivers {
            let width = Driver.all.map(\.name.count).max() ?? 0
            for driver in Driver.all { say(driver.name.padding(toLength: width + 2, withPad: " ", startingAt: 0) + driver.about) }
            return
        }
        guard coverage else {
            let made = try matrix.cells(of: matrix.file(), try await sides.probed(binaries, matrix))
            for line in made.skipped.lines { note(line) }
            for cell in made.cells { say(cell.name) }
            return
        }
        let coverage = Coverage(try matrix.file(), tier: matrix.tier ?? .default)
        sayLines(coverage.text)
        if !coverage.open.isEmpty {
            throw Finding(description: "\(coverage.open.count) pairs of axis values are neither covered nor excluded")
        }
    }
}
