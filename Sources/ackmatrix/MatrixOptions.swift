/// The options that select cells.
import ArgumentParser
import EnginePeer
import Foundation
import Matrix
import MigrationTrace
import Plan
import Reports
import Running

extension Tier: ExpressibleByArgument {}
extension SwitchoverAckMode: ExpressibleByArgument {}
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
            """
            Only the engine of this generation, and no QEMU unless --sides says so; may repeat. 8.1, postcopy-device-v1 and \
            request-message run only if they are named.
            """,
            valueName: "GENERATION"))
    var engine: [String] = []

    func validate() throws {
        for name in engine where ProbedBinary.engine(name) == nil {
            throw ValidationError(
                "--engine: expected a generation out of \(ProbedBinary.engineNames.joined(separator: ", ")), found '\(name)'")
        }
        if sides == .qemu, let name = engine.first {
            throw ValidationError("--engine \(name) with --sides qemu: expected sides with the engine among them; leave one of the two out")
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

    /// The sides that the options stand for. Throws `ValidationError` where options contradict each other.
    func probed(_ binaries: BinaryOptions, _ matrix: MatrixOptions) async throws -> [ProbedBinary] {
        let kinds = kinds(matrix)
        if kinds == .engine, let own = binaries.own.first {
            throw ValidationError(
                "--qemu \(own): expected cells of QEMU binaries, found that only the engine is asked for (--sides engine, --engine, "
                    + "--tier engine, or cells of the engine); leave one of the two out")
        }
        if matrix.tier == .engine, kinds == .qemu {
            throw ValidationError("--tier engine with --sides qemu: expected a tier that QEMU binaries run: quick, default or full")
        }
        return try await Harness.sides(kinds, binaries.binaries(), engines: engines(matrix))
    }
}

struct MatrixOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The matrix file. (default: harness/matrix/default.yaml)", valueName: "FILE"))
    var matrix: String?

    @Option(
        help:
            """
            How much of the matrix runs. Each tier contains the one before it: quick, default, full, engine (only the engine runs it). \
            (default: default; with --cell: any)
            """)
    var tier: Tier?

    @Option(
        help: ArgumentHelp("Only the cell of this name or, if no cell has it, those whose names contain it; may repeat.", valueName: "TEXT")
    )
    var cell: [String] = []

    @Option(
        name: .customLong("where"),
        help: ArgumentHelp(
            "Of the cells that the other options select, only those for which this holds: 'source = 11.1 & reinits > 0 & !driver(colo)'.",
            discussion: "Asks axes, name, machine, mode, kind, product, legs, racy, verdict and rule with = != < <= > >= ~ (contains) or "
                + "AXIS(VALUE, ...); & | ! and parentheses join; 'failed in FOLDER', passed, ran, and 'rule(ends) in FOLDER' ask a run.",
            valueName: "CONDITION"))
    var condition: String?

    /// True if the cells of a tier are selected as a whole.
    var isWholeTier: Bool { cell.isEmpty && condition == nil }

    func file() throws -> MatrixFile {
        try MatrixFile(path: matrix ?? Harness.root() + "/harness/matrix/default.yaml")
    }

    /// The cells of `file` that are selected, and what cannot be shown with these binaries. Without `--cell` they are those of the tier, in
    /// the file's order. `known`: the deviations that the condition asks; nil: the default list.
    func cells(of file: MatrixFile, _ binaries: [ProbedBinary], known: DeviationFile? = nil) throws -> Recipe.Made {
        var made = try cellsWithoutCondition(of: file, binaries)
        if let condition { made.cells = try WhereCondition(condition, file, binaries, known).select(made.cells) }
        return made
    }

    private func cellsWithoutCondition(of file: MatrixFile, _ binaries: [ProbedBinary]) throws -> Recipe.Made {
        guard cell.isEmpty else { return try CellSelection(texts: cell, tier: tier).cells(of: file, binaries) }
        let made = try Recipe.cells(of: file, tier: tier ?? .default, binaries: binaries)
        guard !made.cells.isEmpty else {
            throw Environment("no cell can run with the available binaries; see: ackmatrix qemu list")
        }
        return made
    }

    /// What is selected, in words.
    var selectionInWords: String {
        let selected = (cell.isEmpty ? [] : ["--cell"]) + (condition == nil ? [] : ["--where"])
        let tier = tier ?? (cell.isEmpty ? .default : nil)
        let parts = [tier.map { "of tier \($0.rawValue)" }, selected.isEmpty ? nil : "selected by " + selected.joined(separator: " and ")]
        return parts.compactMap(\.self).joined(separator: ", ")
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
