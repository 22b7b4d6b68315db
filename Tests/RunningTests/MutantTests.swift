import EnginePeer
import Foundation
import Matrix
import Plan
import SwitchoverProtocol
import TestSupport
import Testing

@testable import Running

/// The engine with one thing wrong is noticed, by the rule that names the cause.
@Suite struct MutantTests {
    private let generation: Generation
    private let run: MutantRun
    /// The same with the cells of one product.
    private let pairings: MutantRun

    init() throws {
        generation = try #require(Generation(named: "11.1"))
        let file = try MatrixFile(path: repositoryFile("harness/matrix/default.yaml"))
        let engines = ["11.1", "10.0"].compactMap(ProbedBinary.engine)
        let cells = try Recipe.cells(of: file, tier: .quick, binaries: engines).cells.filter { cell in
            cell.plan.sides.contains { $0.binary.name == engines[0].binary.name }
        }
        let deviations = try DeviationFile(path: repositoryFile("harness/matrix/deviations.yaml"), axes: file.axes)
        let runner = CellRunner(binaries: engines, shim: "", deviations: deviations)
        run = MutantRun(runner, cells: cells, quick: Set(cells.map(\.name)), jobs: 2)
        pairings = MutantRun(runner, cells: cells.filter { $0.product == "pairings" }, quick: Set(cells.map(\.name)), jobs: 2)
    }

    @Test func thereAreMoreThanAHundredAndEachHasItsName() {
        let mutants = Mutant.all(of: generation)
        #expect(mutants.count > 100)
        #expect(Set(mutants.map(\.name)).count == mutants.count)
        #expect(Set(mutants.map(\.generation)).count == mutants.count)
        #expect(mutants.allSatisfy { $0.about.hasSuffix(".") && $0.generation != generation })
        #expect(Mutant.equivalents.keys.allSatisfy { name in mutants.contains { $0.name == name } })
    }

    @Test func whatIsRightIsNotNoticed() async throws {
        let results = try await run.run([.none(of: generation)]) { _ in }
        #expect(results.map(\.isKilled) == [false] && results[0].cells > 5)
    }

    private static let causes = [
        ("ack-uncounted", "ack-number"), ("ledger-ignored", "decision-awaits-acks"), ("one-pending-allowed", "decision-awaits-acks"),
        ("requests-uncounted", "surplus-ack"), ("reinit-ignored", "reinit-requests"), ("request-repeated", "request-cause"),
        ("first-request-missing", "setup-request"), ("marker-missing", "marker-due"), ("marker-repeated", "marker-per-request"),
        ("initial-misreported", "initial-bytes"), ("request-unreported", "collected-requests"), ("ack-sent-twice", "surplus-ack"),
        ("approval-before-data", "approval-after-initial"), ("approval-names-another", "marker-approved"),
        ("decides-on-estimate", "exact-decision"), ("pending-ignored", "decision-fits"), ("stop-copy-uncounted", "decision-fits"),
        ("decides-above-threshold", "decision-fits"), ("precopy-unasked", "exact-query-asks"), ("size-unasked", "exact-query-asks"),
        ("stopped-guest-waits", "decision-due"), ("waits-without-capability", "decision-due"),
        ("failed-check-ignored", "failed-check-requests"), ("last-check-missing", "last-check"), ("dirty-uncounted", "dirty-bytes"),
        ("reinit-before-marker", "request-after-marker"), ("without-failing", "status-arc"),
        ("compat-entry-lost", "legacy-requests"), ("without-final-query", "final-query"), ("guest-runs-on", "one-guest"),
    ]

    @Test func theRuleNamesTheCause() async throws {
        let mutants = Mutant.all(of: generation)
        let chosen = try Self.causes.map { cause in try #require(mutants.first { $0.name == cause.0 }) }
        let results = try await run.run(chosen) { _ in }
        for (result, cause) in zip(results, Self.causes) {
            #expect(result.isKilled && result.rule == cause.1, "\(cause.0): \(result.firstRules)")
        }
    }

    @Test func theSameSeedChoosesTheSamePairs() {
        let pairs = Mutant.pairs(50, of: generation, seed: 3)
        #expect(pairs == Mutant.pairs(50, of: generation, seed: 3) && pairs != Mutant.pairs(50, of: generation, seed: 4))
        #expect(pairs.allSatisfy { $0.generation != generation && $0.name.contains("+") })
    }

    @Test func theSummarySaysWhatSurvives() async throws {
        let mutants = Mutant.all(of: generation).filter { ["ack-uncounted", "ledger-kept", "with-overflow-error"].contains($0.name) }
        let summary = MutantSummary(try await pairings.run(mutants) { _ in })
        #expect(
            summary.closingLine
                == "3 mutants: 1 killed, 1 of them in the quick tier; 1 with the cause named, 1 of them by a rule; 1 equivalent; 1 survive")
        #expect(summary.findings == ["ledger-kept survives: The source keeps the counter of the migration before."])
        #expect(summary.table(namesCells: false).map { $0.prefix(10) } == ["killed    ", "SURVIVES  ", "equivalent"])
    }
}
