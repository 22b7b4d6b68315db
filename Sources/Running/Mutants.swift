/// The engine with one thing wrong at a time, and which cells and rules notice.
import EnginePeer
import Matrix
import MigrationEngine
import Plan
import SwitchoverProtocol
import Verification

/// A generation with something wrong.
package struct Mutant: Hashable, Sendable {
    package let name: String
    /// What is wrong, as a sentence.
    package let about: String
    /// The name of the feature or known defect that is missing or surplus; nil for a mutation.
    package var feature: String?
    package let generation: Generation

    /// Every mutant of a generation: each mutation, and each feature and each known defect that it has and does not have.
    package static func all(of generation: Generation) -> [Mutant] {
        let mutations = Mutation.allCases.map { mutation in
            var wrong = generation
            wrong.mutations = [mutation]
            return Mutant(name: mutation.rawValue, about: mutation.about, generation: wrong)
        }
        let features = Feature.table.map { feature in
            var wrong = generation
            let has = generation.has(feature.feature)
            wrong.features.formSymmetricDifference(feature.feature)
            let what = feature.isQuirk ? "known defect" : "feature"
            return Mutant(
                name: (has ? "without-" : "with-") + feature.name,
                about: "The \(what) \(feature.name) is \(has ? "missing" : "there").", feature: feature.name, generation: wrong)
        }
        return mutations + features
    }

    /// Random pairs of mutants that logs can tell from the release; the same seed chooses the same pairs.
    package static func pairs(_ count: Int, of generation: Generation, seed: UInt64) -> [Mutant] {
        let visible = all(of: generation).filter { equivalents[$0.name] == nil }
        var random = RandomSource(seed: seed)
        return (0..<count).map { _ in
            let one = Int.random(in: visible.indices, using: &random)
            let step = Int.random(in: 1..<visible.count, using: &random)
            return visible[one].with(visible[(one + step) % visible.count], of: generation)
        }
    }

    /// The generation as it is, which no cell may find anything wrong with.
    package static func none(of generation: Generation) -> Mutant {
        Mutant(name: generation.name, about: "Nothing is wrong.", generation: generation)
    }

    /// A mutant with what is wrong with two.
    package func with(_ other: Mutant, of generation: Generation) -> Mutant {
        var wrong = generation
        wrong.mutations = self.generation.mutations.union(other.generation.mutations)
        for one in [self, other] {
            wrong.features.formSymmetricDifference(one.generation.features.symmetricDifference(generation.features))
        }
        return Mutant(name: "\(name)+\(other.name)", about: "\(about) \(other.about)", generation: wrong)
    }
}

/// What some cells showed of a mutant.
package struct MutantResult: Hashable, Sendable {
    package let mutant: Mutant
    package fileprivate(set) var cells = 0
    /// The cells that are findings.
    package fileprivate(set) var killing: [String] = []
    /// The cells among them of the tier `quick`.
    package fileprivate(set) var killingInQuick = 0
    /// By rule, the cells in which it is the first that no known deviation explains.
    package fileprivate(set) var firstRules: [String: Int] = [:]
    /// The rules that break in a cell, and that no known deviation explains, of any cell.
    package fileprivate(set) var rules: Set<String> = []
    /// True if a cell ends otherwise than predicted, and the prediction names the feature or known defect that it rests on.
    package fileprivate(set) var isNamedByPrediction = false
    /// The first finding of the first cell.
    package fileprivate(set) var finding: String?

    package var isKilled: Bool { !killing.isEmpty }

    /// What names the cause: a rule, or the feature on which the prediction of a cell rests; nil: nothing does.
    package var cause: String? {
        if let rule { return "rule \(rule)" }
        return isNamedByPrediction ? mutant.feature.map { "the prediction rests on \($0)" } : nil
    }

    /// The rule that names the cause in the most cells: any but `truncated`, which says only that a log ends early. nil: the cells differ
    /// from their predictions, and no rule says why.
    package var rule: String? {
        firstRules.filter { $0.key != Rule.truncated.id }.max { ($0.value, $1.key) < ($1.value, $0.key) }?.key
    }

    fileprivate mutating func add(_ result: CellResult, isQuick: Bool) {
        cells += 1
        guard result.isFinding else { return }
        killing.append(result.name)
        if isQuick { killingInQuick += 1 }
        finding = finding ?? result.findings.first
        if let feature = mutant.feature, result.cell.forecasts.contains(where: { $0.outcomes.contains { $0.restsOn.contains(feature) } }) {
            isNamedByPrediction = true
        }
        let unexplained = Set(result.deviations.unexplained)
        rules.formUnion(unexplained)
        let first = result.judgements.lazy.flatMap(\.findings).map(\.rule.id).first { unexplained.contains($0) }
        if let first { firstRules[first, default: 0] += 1 }
    }
}

/// Runs mutants through the cells in which their generation is a side.
package struct MutantRun: Sendable {
    private let runner: CellRunner
    /// Those of the tier `quick` first.
    private let cells: [Cell]
    private let quick: Set<String>
    /// How many mutants run at once.
    private let jobs: Int
    /// A mutant that so many cells have noticed runs through no further ones.
    package var mostKilling = 20

    /// `cells` are those of the engine of a generation, with itself and with others; `quick` names those of the tier `quick`.
    package init(_ runner: CellRunner, cells: [Cell], quick: Set<String>, jobs: Int) {
        self.runner = runner
        self.cells = cells.filter { quick.contains($0.name) } + cells.filter { !quick.contains($0.name) }
        self.quick = quick
        self.jobs = jobs
    }

    /// The results in the mutants' order; each is reported when it is known. A mutant of the generation as it is must not be killed.
    package func run(_ mutants: [Mutant], report: (MutantResult) throws -> Void) async throws -> [MutantResult] {
        var results: [Int: MutantResult] = [:]
        try await withThrowingTaskGroup(of: (Int, MutantResult).self) { group in
            var rest = mutants.indices.makeIterator()
            func start() {
                guard let index = rest.next() else { return }
                group.addTask { (index, try result(of: mutants[index])) }
            }
            for _ in 0..<max(jobs, 1) { start() }
            while let (index, result) = try await group.next() {
                start()
                results[index] = result
                try report(result)
            }
        }
        return mutants.indices.compactMap { results[$0] }
    }

    private func result(of mutant: Mutant) throws -> MutantResult {
        var runner = runner
        runner.mutant = mutant.generation
        var result = MutantResult(mutant: mutant)
        for cell in cells {
            try Task.checkCancellation()
            guard result.killing.count < mostKilling else { break }
            result.add(try runner.runInEngine(cell), isQuick: quick.contains(cell.name))
        }
        return result
    }
}
