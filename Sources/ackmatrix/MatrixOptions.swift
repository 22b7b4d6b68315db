/// The options that select cells.
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

/// The kinds of sides.
enum Sides: String, CaseIterable, ExpressibleByArgument {
    case qemu, engine, all
}

struct SideOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The kind of sides: qemu binaries, the engine in this process, or all (first the one, then the other).",
            discussion: "A cell never mixes the two kinds. (default: all; with --cell: engine for a name with engine@ in it, else qemu; "
                + "with --tier engine: engine)"
        ))
    var sides: Sides?

    @Option(
        help: ArgumentHelp(
            "Only the engine of this generation; may repeat. 8.1, postcopy-device-v1 and request-message run only if they are named.",
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
        let ofEngine = matrix.cell.count { $0.contains(SideImplementation.enginePrefix) }
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
            "How much of the matrix runs. Each tier contains the one before it: quick, default, full, engine (only the engine runs it).")
    var tier = Tier.default

    @Option(
        help: ArgumentHelp("Only the cell of this name or, if no cell has it, those whose names contain it; may repeat.", valueName: "TEXT")
    )
    var cell: [String] = []

    func file() throws -> MatrixFile {
        try MatrixFile(path: matrix ?? Harness.root() + "/harness/matrix/default.yaml")
    }

    /// The cells of `file` that are selected, and what cannot be shown with these binaries. Without `--cell` they come in the file's order;
    /// else those that have such a name, in the order of the options, and then those whose names contain such a text.
    func cells(of file: MatrixFile, _ binaries: [ProbedBinary]) throws -> Recipe.Made {
        guard !cell.isEmpty else {
            let made = try Recipe.cells(of: file, tier: tier, binaries: binaries)
            guard !made.cells.isEmpty else {
                throw Environment("no cell can run with the available binaries; see: ackmatrix qemu list")
            }
            return made
        }
        var chosen = Recipe.Made()
        var texts: [String] = []
        for name in cell {
            let found = try Recipe.cell(named: name, of: file, binaries: binaries)
            if let cell = found.cell {
                if !chosen.cells.contains(where: { $0.name == name }) { chosen.cells.append(cell) }
            } else if let reason = found.skipped.reasons.first {
                throw ValidationError("--cell: \(name) cannot be made here: \(reason)")
            } else {
                texts.append(name)
            }
        }
        guard !texts.isEmpty else { return chosen }
        let names = Set(chosen.cells.map(\.name))
        // A cell that is asked for by name may be of any tier that its sides have.
        for kind in SideKind.allCases {
            let made = try Recipe.cells(of: file, tier: kind.widestTier, binaries: binaries.filter { $0.binary.kind == kind }) { name in
                !names.contains(name) && texts.contains { name.contains($0) }
            }
            chosen.cells += made.cells
            chosen.skipped.formUnion(made.skipped)
        }
        guard !chosen.cells.isEmpty else {
            try refuseEnginesAlone(file, binaries)
            throw ValidationError("--cell: no cell's name contains \(cell.joined(separator: " or ")); see: ackmatrix list --tier full")
        }
        return chosen
    }
}

extension MatrixOptions {
    /// Says of cells that the engine has, and that were asked for without it, why no binary here has them.
    private func refuseEnginesAlone(_ file: MatrixFile, _ binaries: [ProbedBinary]) throws {
        guard !binaries.contains(where: { $0.binary.kind == .engine }) else { return }
        let engines = try Recipe.cells(of: file, tier: .engine, binaries: ProbedBinary.engines) { name in
            cell.contains { sharedCellName(name).contains($0) }
        }
        guard let own = engines.cells.first else { return }
        if let reason = own.engineAlone {
            throw ValidationError("--cell: only the engine has such a cell, as \(own.name): \(reason)")
        }
        let isOfLowerTier = try !Recipe.cells(of: file, tier: .full, binaries: ProbedBinary.engines) { $0 == own.name }.cells.isEmpty
        guard isOfLowerTier else {
            throw ValidationError(
                "--cell: only the engine has such a cell, as \(own.name): its tier is that of the engine; add --sides engine")
        }
        let skipped = try Recipe.cells(of: own.selection, product: own.product, binaries: binaries).skipped.reasons.first
        let reason = skipped.map { " (\($0))" } ?? ""
        throw ValidationError("--cell: no available binary has such a cell\(reason); the engine has \(own.name): use --sides engine")
    }
}

struct DeviationOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "How known deviations of released versions count: as findings (strict), as expected, or not at all (ignore).",
            discussion:
                "With `expected`, a deviation that does not show on the versions listed for it is a finding; on others it is reported as "
                + "fixed since."
        ))
    var deviations = DeviationPolicy.expected

    @Option(help: ArgumentHelp("The list of known deviations. (default: harness/matrix/deviations.yaml)", valueName: "FILE"))
    var deviationList: String?

    func file(_ matrix: MatrixFile) throws -> DeviationFile {
        try DeviationFile(path: deviationList ?? Harness.root() + "/harness/matrix/deviations.yaml", axes: matrix.axes)
    }
}
