/// What mutants have shown, as lines of text.
import Matrix
import Plan
import Verification

extension Mutant {
    /// The mutants that no log can tell from the release, and why.
    package static let equivalents = [
        "with-final-returns-early": "the final query decides nothing with its bytes, which the second posting left out",
        "with-request-handler": "the source counts the same requests in the same query; it prints one event more, which no rule forbids",
        "with-thread-leaves-postcopy-device": "only a race shows it, as ackmatrix schedules --experiment package-flag does",
        "without-stores-load-errors": "only the wording of an error shows it, which no rule judges",
        "without-stores-switchover-errors": "only the wording of an error shows it, which no rule judges",
        "cancel-unnoticed": "only a race shows it: a device call that is held after the decision holds the monitor, too",
        "without-counts-sent-stop-copy": "only postcopy of dirty bitmaps beside devices shows it, which QEMU alone has cells for",
        "without-fails-with-package-on-its-way": "no cell cuts the channel while a postcopy package is on its way",
        "with-overflow-error": "no cell has 4294967296 requests",
        "with-final-skips-statistics": "no event shows the statistics",
        "reinit-without-opt-in": "a device that was not opted in never sets the flag: the mock follows the uAPI there",
        "approver-kept": "a process loads once: after a load it is a source, or it has ended",
        "without-colo-requires-return-path": "the engine refuses COLO in every form",
    ]
}

package struct MutantSummary: Sendable {
    private let results: [MutantResult]

    package init(_ results: [MutantResult]) { self.results = results }

    private var killed: [MutantResult] { results.filter(\.isKilled) }
    private var survivors: [MutantResult] { results.filter { !$0.isKilled && Mutant.equivalents[$0.mutant.name] == nil } }

    /// A line for each mutant. `namesCells`: with the cells that notice it.
    package func table(namesCells: Bool) -> [String] {
        let width = results.map(\.mutant.name.count).max() ?? 0
        return results.flatMap { result in
            let name = result.mutant.name.padding(toLength: width)
            guard result.isKilled else {
                let reason = Mutant.equivalents[result.mutant.name].map { "equivalent  \(name)  \($0)" }
                return [reason ?? "SURVIVES    \(name)  \(result.mutant.about)"]
            }
            let cells = "\(result.killing.count) of \(counted(result.cells, "cell")), \(result.killingInQuick) quick"
            let cause = result.cause ?? "no cause: " + (result.finding ?? "")
            return ["killed      \(name)  \(cells); \(cause)"]
                + (namesCells ? ["    " + result.mutant.about] + result.killing.map { "    \($0)" } : [])
        }
    }

    /// The rules that alone notice some mutant, and those that broke and never did.
    package var rules: [String] {
        let needed = Set(killed.compactMap { $0.rules.count == 1 ? $0.rules.first : nil })
        let redundant = Set(killed.flatMap(\.rules)).subtracting(needed)
        func list(_ rules: Set<String>) -> String { rules.isEmpty ? "none" : rules.sorted().joined(separator: ", ") }
        return [
            "rules that alone notice some mutant: \(list(needed))",
            "rules that break, and without which another one notices each mutant: \(list(redundant))",
        ]
    }

    package var closingLine: String {
        let quick = killed.count { $0.killingInQuick > 0 }
        let equivalent = results.count { !$0.isKilled && Mutant.equivalents[$0.mutant.name] != nil }
        return "\(counted(results.count, "mutant")): \(killed.count) killed, \(quick) of them in the quick tier; "
            + "\(killed.count { $0.cause != nil }) with the cause named, \(killed.count { $0.rule != nil }) of them by a rule; "
            + "\(equivalent) equivalent; \(survivors.count) survive"
    }

    /// Why the mutants are a finding, one sentence each.
    package var findings: [String] {
        survivors.map { "\($0.mutant.name) survives: \($0.mutant.about)" }
            + killed.compactMap { result in
                Mutant.equivalents[result.mutant.name].map { "\(result.mutant.name) is killed, and was held to be equivalent: \($0)" }
            }
    }
}

extension String {
    fileprivate func padding(toLength length: Int) -> String { self + String(repeating: " ", count: max(length - count, 0)) }
}
