/// Which cells a command is about.
import ArgumentParser
import Foundation
import Matrix
import Peers

extension Tier: ExpressibleByArgument {}
extension DeviationPolicy: ExpressibleByArgument {}
extension Tampering: ExpressibleByArgument {}
extension RecordMode: ExpressibleByArgument {}

struct MatrixOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The matrix file. (default: harness/matrix/default.yaml)", valueName: "FILE"))
    var matrix: String?

    @Option(help: "How much of it: quick is a part of default, default of full.")
    var tier = Tier.default

    @Option(
        help: ArgumentHelp("Only this cell; where no cell has this very name, those whose names contain it. May repeat.", valueName: "TEXT")
    )
    var cell: [String] = []

    func file() throws -> MatrixFile {
        try MatrixFile(path: matrix ?? Harness.root() + "/harness/matrix/default.yaml")
    }

    /// The cells of `file` that are selected, in its order, and what cannot be shown with these binaries.
    func cells(of file: MatrixFile, _ binaries: [ProbedBinary]) throws -> (cells: [Cell], missing: [String]) {
        // A cell that is asked for by name may be of any tier.
        let made = try Recipe.cells(of: file, tier: cell.isEmpty ? tier : .full, binaries: binaries)
        let (cells, missing) = (made.cells, made.missing.map(\.description))
        guard !cells.isEmpty else { throw Environment("no cell can be run with the binaries at hand; see: ackmatrix qemu list") }
        let names = Set(cells.map(\.name))
        guard !cell.isEmpty else { return (cells, missing) }
        let chosen = cells.filter { candidate in
            cell.contains { names.contains($0) ? candidate.name == $0 : candidate.name.contains($0) }
        }
        guard !chosen.isEmpty else {
            throw ValidationError("--cell: no cell's name contains \(cell.joined(separator: " or ")); see: ackmatrix list --tier full")
        }
        return (chosen, missing)
    }
}

struct DeviationOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "What known deviations of released versions are: findings (strict), as expected, or ignored.",
            discussion:
                "With `expected` a deviation that does not show on the versions it was seen on is a finding; on others it is reported as fixed since."
        ))
    var deviations = DeviationPolicy.expected

    @Option(help: ArgumentHelp("The list of known deviations. (default: harness/matrix/deviations.yaml)", valueName: "FILE"))
    var deviationList: String?

    func file(_ matrix: MatrixFile) throws -> DeviationFile {
        try DeviationFile(path: deviationList ?? Harness.root() + "/harness/matrix/deviations.yaml", axes: matrix.axes)
    }
}
