/// `ackmatrix mutants`: the engine with one thing wrong at a time, judged as a QEMU would be.
import ArgumentParser
import Foundation
import Matrix
import Plan
import Running
import SwitchoverProtocol

struct MutantsCommand: EndsInOrder {
    static let configuration = CommandConfiguration(
        commandName: "mutants", abstract: "Make one thing wrong with the engine at a time, and report which cells and rules notice.",
        discussion: """
            A mutant is the engine of a generation with one thing wrong, as a regression makes it: a mutation of the handshake, a feature \
            that is missing or surplus, a known defect that is gone or new. Each mutant runs through the cells of a tier in which its \
            generation is a side, with itself and with the engine of another release. The prediction and the verifier know nothing of it.

            A mutant is killed if a cell is a finding; one that twenty cells have noticed runs through no further ones, unless it is \
            named. Its cause is named by a rule that breaks in such a cell (`truncated` names none), or by the feature on which the \
            prediction of such a cell rests. A mutant that no log can tell from the release is equivalent, and listed with the reason. \
            A mutant that survives, and an equivalent one that is killed, is a finding (exit status 1).

            The last lines name the rules without which some mutant would be noticed by no rule. A rule that is not among them is \
            redundant for these mutants.

            Memory stays below 150 MB.

            Examples:
              ackmatrix mutants                              every mutant of 11.1
              ackmatrix mutants --mutant ack-not-sent        one, with its cells
              ackmatrix mutants --pairs 100 --seed 7         a hundred random pairs of mutants
            """)

    @Option(help: "The engine's generation.")
    var generation = "11.1"

    @Option(help: ArgumentHelp("Only this mutant; may repeat. Its cells are named, too.", valueName: "NAME"))
    var mutant: [String] = []

    @Option(help: "The tier whose cells run: quick, default, full or engine.")
    var tier = Tier.default

    @Option(help: ArgumentHelp("Run so many random pairs of mutants instead of single ones.", valueName: "COUNT"))
    var pairs: Int?

    @Option(help: "Chooses the pairs.")
    var seed: UInt64 = 1

    @OptionGroup var jobs: JobOptions

    func validate() throws {
        if let pairs {
            guard 1...10_000 ~= pairs else { throw ValidationError("--pairs: expected 1 to 10000, found \(pairs)") }
            guard mutant.isEmpty else { throw ValidationError("--pairs: expected no --mutant beside it, found \(mutant[0])") }
        }
        guard let known = Generation(named: generation), ProbedBinary.engine(generation) != nil else {
            throw ValidationError(
                "--generation: expected one of \(ProbedBinary.engineNames.joined(separator: ", ")), found '\(generation)'")
        }
        let names = Mutant.all(of: known).map(\.name)
        if let unknown = mutant.first(where: { !names.contains($0) }) {
            throw ValidationError("--mutant: expected one of \(names.joined(separator: ", ")), found '\(unknown)'")
        }
    }

    func run() async throws {
        let jobs = try self.jobs.allowed([.engine])
        guard let original = Generation(named: generation) else { return }
        let mutants = chosen(of: original)
        var (run, cells) = try mutantRun(jobs)
        if !mutant.isEmpty { run.mostKilling = .max }
        let screen = Screen()
        let began = ContinuousClock.now
        if let finding = try await run.run([.none(of: original)], report: { _ in }).first?.finding {
            throw Finding(description: "the engine \(generation) is a finding by itself, so that no mutant can be judged: \(finding)")
        }
        var done = 0
        let results = try await run.run(mutants) { result in
            done += 1
            screen.show { width in String("[\(done)/\(mutants.count)]  \(result.mutant.name)".prefix(width)) }
        }
        screen.clear()
        let summary = MutantSummary(results)
        for line in summary.table(namesCells: !mutant.isEmpty) { say(line) }
        say("")
        for line in summary.rules { say(line) }
        let seconds = (ContinuousClock.now - began) / .seconds(1)
        say("engine@\(generation), \(counted(cells, "cell")) of tier \(tier.rawValue) each; " + String(format: "%.1f s", seconds))
        for finding in summary.findings { say("finding: \(finding)") }
        say(summary.closingLine)
        guard summary.findings.isEmpty else {
            throw Finding(description: "\(counted(summary.findings.count, "finding")); see: ackmatrix mutants --mutant NAME")
        }
    }

    private func chosen(of original: Generation) -> [Mutant] {
        let all = Mutant.all(of: original)
        guard let pairs else { return mutant.isEmpty ? all : all.filter { mutant.contains($0.name) } }
        return Mutant.pairs(pairs, of: original, seed: seed)
    }

    /// The cells of the generation with itself and with a release before or after it; and their number.
    private func mutantRun(_ jobs: Int) throws -> (MutantRun, Int) {
        let file = try MatrixFile(path: Harness.root() + "/harness/matrix/default.yaml")
        let other = generation == "10.0" ? "11.1" : "10.0"
        let engines = [generation, other].compactMap(ProbedBinary.engine)
        func cells(_ tier: Tier) throws -> [Cell] {
            try Recipe.cells(of: file, tier: tier, binaries: engines).cells.filter { $0.uses(engines[0]) }
        }
        let deviations = try DeviationFile(path: Harness.root() + "/harness/matrix/deviations.yaml", axes: file.axes)
        let chosen = try cells(tier)
        let run = MutantRun(
            CellRunner(binaries: engines, shim: "", deviations: deviations), cells: chosen, quick: Set(try cells(.quick).map(\.name)),
            jobs: jobs)
        return (run, chosen.count)
    }
}
