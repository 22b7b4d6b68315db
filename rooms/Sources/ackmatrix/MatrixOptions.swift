/// Which cells a command is about.
import ArgumentParser
import EnginePeer
import Foundation
import Matrix
import Plan
import Reports
import Running

extension Tier: ExpressibleByArgument {}
extension DeviationPolicy: ExpressibleByArgument {}
extension Tampering: ExpressibleByArgument {}
extension RecordMode: ExpressibleByArgument {}
extension RunFormat: ExpressibleByArgument {}

/// Which kinds of sides the cells are of.
enum Sides: String, CaseIterable, ExpressibleByArgument {
    case qemu, engine, all
}

struct SideOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The sides of the cells: qemu binaries, the engine in this process, or all, first one and then the other.",
            discussion:
                "Sides of two kinds are not paired. (default: all; with --cell engine where a name has engine@ in it, else qemu; with --tier engine, engine)"
        ))
    var sides: Sides?

    @Option(
        help: ArgumentHelp(
            "Only the engine of this generation; may repeat. 8.1, postcopy-device-v1 and request-message are there only when named.",
            valueName: "GENERATION"))
    var engine: [String] = []

    func validate() throws {
        for name in engine where ProbedBinary.engine(name) == nil {
            throw ValidationError(
                "--engine: expected a generation out of \(ProbedBinary.engineNames.joined(separator: ", ")), found '\(name)'")
        }
    }

    /// The kinds that are meant.
    func kinds(_ matrix: MatrixOptions) -> Sides {
        if let sides { return sides }
        if matrix.tier == .engine || !engine.isEmpty { return .engine }
        let ofEngine = matrix.cell.count { $0.contains(QEMUBinary.enginePrefix) }
        return matrix.cell.isEmpty ? .all : ofEngine == 0 ? .qemu : ofEngine == matrix.cell.count ? .engine : .all
    }

    /// The engines that are meant, among them those that a cell's name asks for.
    func engines(_ matrix: MatrixOptions) -> [ProbedBinary] {
        if !engine.isEmpty { return engine.compactMap(ProbedBinary.engine) }
        let named = ProbedBinary.enginesWhenNamed.filter { engine in matrix.cell.contains { $0.contains(engine.binary.name) } }
        return ProbedBinary.engines + named
    }

    func probed(_ binaries: BinaryOptions, _ matrix: MatrixOptions) async throws -> [ProbedBinary] {
        try await Harness.sides(kinds(matrix), binaries.binaries(), engines: engines(matrix))
    }
}

struct MatrixOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The matrix file. (default: harness/matrix/default.yaml)", valueName: "FILE"))
    var matrix: String?

    @Option(
        help:
            "How much of it: quick is a part of default, default of full, and full of engine, whose cells are many and of the engine only.")
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
        // A cell that is asked for by name may be of any tier that its sides have.
        let made =
            try cell.isEmpty
            ? [Recipe.cells(of: file, tier: tier, binaries: binaries)]
            : SideKind.allCases.map { kind in
                try Recipe.cells(
                    of: file, tier: kind == .engine ? .engine : .full, binaries: binaries.filter { $0.binary.kind == kind })
            }
        let (cells, missing) = (made.flatMap(\.cells), made.flatMap(\.missing).map(\.description))
        guard !cells.isEmpty else { throw Environment("no cell can be run with the binaries at hand; see: ackmatrix qemu list") }
        let names = Set(cells.map(\.name))
        guard !cell.isEmpty else { return (cells, missing) }
        let chosen = cells.filter { candidate in
            cell.contains { names.contains($0) ? candidate.name == $0 : candidate.name.contains($0) }
        }
        guard !chosen.isEmpty else {
            try refuseEnginesAlone(file, binaries)
            throw ValidationError("--cell: no cell's name contains \(cell.joined(separator: " or ")); see: ackmatrix list --tier full")
        }
        return (chosen, missing)
    }
}

extension MatrixOptions {
    /// Says of cells that the engine has, and that were asked for without it, why no binary here has them.
    private func refuseEnginesAlone(_ file: MatrixFile, _ binaries: [ProbedBinary]) throws {
        guard !binaries.contains(where: \.binary.isEngine) else { return }
        let engines = try Recipe.cells(of: file, tier: .engine, binaries: ProbedBinary.engines).cells
        guard let own = engines.first(where: { engine in cell.contains { engine.sharedName.contains($0) } }) else { return }
        if let reason = own.engineAlone {
            throw ValidationError("--cell: only the engine has such a cell, as \(own.name): \(reason)")
        }
        let isOfLowerTier = try Recipe.cells(of: file, tier: .full, binaries: ProbedBinary.engines).cells.contains { $0.name == own.name }
        guard isOfLowerTier else {
            throw ValidationError(
                "--cell: only the engine has such a cell, as \(own.name): its tier is that of the engine; add --sides engine")
        }
        let missing = try Recipe.cells(of: own.selection, product: own.product, binaries: binaries).missing.first?.description
        throw ValidationError(
            "--cell: no binary at hand has such a cell\(missing.map { " (\($0))" } ?? ""); the engine has, as \(own.name): --sides engine")
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
