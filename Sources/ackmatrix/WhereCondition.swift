/// `--where`: the cells for which a condition holds, with the results of runs that the condition asks.
import ArgumentParser
import Foundation
import Matrix
import Plan
import Prediction
import Running
import Verification

struct WhereCondition {
    private let text: String
    private let filter: CellFilter
    private let sources: FilterSources

    /// Throws `ValidationError` with the column where the text is no condition, or where a folder has no results. `known`: the deviations
    /// whose rules are asked; nil: those of the default list.
    init(_ text: String, _ file: MatrixFile, _ binaries: [ProbedBinary], _ known: DeviationFile?) throws {
        let names = binaries.map(\.binary.name)
        try self.init(text, file, sides: names + names.map(sharedCellName), known)
    }

    /// `sides` are the names that the axes `source` and `destination` have as values.
    init(_ text: String, _ file: MatrixFile, sides: [String], _ known: DeviationFile?) throws {
        self.text = text
        let vocabulary = FilterVocabulary(
            axes: file.axes, sides: sides, products: file.products.map(\.name), rules: Rule.all.map(\.id),
            verdicts: Verdict.allCases.map(\.rawValue) + [Prediction.Ending.refused.rawValue, CellResult.brokenEnding])
        do { filter = try CellFilter(text, vocabulary) } catch { throw ValidationError("--where: \(error)") }
        var runs: [String: [String: CellOutcome]] = [:]
        for folder in filter.folders { runs[folder] = try Self.outcomes(in: folder) }
        let deviations = try known ?? DeviationFile(path: Harness.root() + "/harness/matrix/deviations.yaml", axes: file.axes)
        sources = FilterSources(runs: runs) { cell in
            deviations.deviations(
                for: cell.selection, cellName: cell.name, sourceVersion: cell.sourceVersion, destinationVersion: cell.destinationVersion
            ).flatMap(\.deviation.rules)
        }
    }

    /// The cells for which the condition holds. Throws `ValidationError` where there is none.
    func select(_ cells: [Cell]) throws -> [Cell] {
        let selected = cells.filter { filter.accepts($0, sources) }
        guard !selected.isEmpty else {
            throw ValidationError("--where: expected cells for which '\(text)' holds, found none among \(counted(cells.count, "cell"))")
        }
        return selected
    }

    /// What a run has found, by the name of the cell; of a place of several runs the newest one's. A cell that ran several times has failed
    /// if one of its runs did.
    private static func outcomes(in folder: String) throws -> [String: CellOutcome] {
        let path = ResultPlace.run(at: folder) + "/results.jsonl"
        guard FileManager.default.fileExists(atPath: path) else {
            throw ValidationError("--where: expected the folder of a run's results, found no results.jsonl in '\(folder)'")
        }
        var outcomes: [String: CellOutcome] = [:]
        for line in try ResultLog.read(path: path) {
            let rules = Set(line.legs.flatMap(\.broken).map(\.rule))
            var outcome = outcomes[line.cell] ?? CellOutcome(isFinding: false, verdicts: [], rules: [])
            outcome.isFinding = outcome.isFinding || line.finding
            outcome.verdicts.insert(line.ending)
            outcome.rules.formUnion(rules)
            outcomes[line.cell] = outcome
        }
        return outcomes
    }
}
