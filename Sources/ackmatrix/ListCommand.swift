/// `ackmatrix list`: the cells, and what of the matrix they cover.
import ArgumentParser
import Foundation
import Matrix

struct ListCommand: EndsInOrder {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Print the name of each cell that the available sides can run, or what the matrix covers.",
        discussion:
            "Memory grows with the number of cells: below 200 MB for the names of all tiers, and below 500 MB for their JSON document.")

    @OptionGroup var binaries: BinaryOptions
    @OptionGroup var sides: SideOptions
    @OptionGroup var matrix: MatrixOptions

    @Flag(help: "For each pair of axis values print whether it is covered, excluded with a reason, or open. An open pair is a finding.")
    var coverage = false

    @Flag(help: "Print the name of each driver, and what it does around the migration.")
    var drivers = false

    @Flag(help: "Print the cells as one JSON document: name, product, kind of sides, versions, and the value on each axis.")
    var json = false

    func validate() throws {
        if json, coverage || drivers {
            throw ValidationError("--json: expected the list of cells, found --\(coverage ? "coverage" : "drivers"), which is for people")
        }
        guard coverage || drivers else { return }
        let selecting = [
            ("--sides", sides.sides != nil), ("--engine", !sides.engine.isEmpty), ("--cell", !matrix.cell.isEmpty),
            ("--where", matrix.condition != nil),
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
            if json {
                try sayJSON(CellList(cells: made.cells.map(CellList.Cell.init)))
            } else {
                for cell in made.cells { say(cell.name) }
            }
            return
        }
        let coverage = Coverage(try matrix.file(), tier: matrix.tier ?? .default)
        sayLines(coverage.text)
        if !coverage.open.isEmpty {
            throw Finding(description: "\(coverage.open.count) pairs of axis values are neither covered nor excluded")
        }
    }
}

/// The document of `list --json`.
private struct CellList: Encodable {
    var format = 1
    let cells: [Cell]

    struct Cell: Encodable {
        let name: String
        let product: String
        let sides: String
        let sourceVersion: String
        let destinationVersion: String
        let legs: Int
        let isRace: Bool
        let selection: [String: String]

        init(_ cell: Matrix.Cell) {
            name = cell.name
            product = cell.product
            sides = cell.kind == .engine ? "engine" : "qemu"
            (sourceVersion, destinationVersion) = (cell.sourceVersion, cell.destinationVersion)
            legs = cell.plan.legs.count
            isRace = cell.isRace
            let axes = cell.selection.axes.map(\.name)
            selection = Dictionary(uniqueKeysWithValues: axes.map { ($0, cell.selection[$0]) })
        }
    }
}
