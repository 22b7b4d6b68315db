/// The results of all injected failures as a table, and the findings, each with the command that repeats it.
import EnginePeer

package struct InjectionSummary: Sendable {
    /// A kind of place, as the table has it.
    enum Row: Int, CaseIterable, Hashable, Sendable {
        case call, element, message, status, step

        init(_ point: FaultPlace.Point) {
            self =
                switch point {
                case .call: .call
                case .element: .element
                case .message: .message
                case .status: .status
                case .step: .step
                }
        }

        var name: String {
            switch self {
            case .call: "device calls"
            case .element: "elements written"
            case .message: "return-path messages"
            case .status: "statuses"
            case .step: "thread steps"
            }
        }
    }

    private struct Key: Hashable {
        let scenario: String
        let row: Row
    }

    private struct Account {
        var places = 0
        var chosen = 0
        var runs = 0
        var findings = 0
        var endings: [InjectionEnding: Int] = [:]
    }

    private let generation: String
    private let options: [String]
    private var scenarios: [String] = []
    private var accounts: [Key: Account] = [:]
    private var allowed: [String: Int] = [:]
    package private(set) var findings: [InjectionResult] = []

    /// `options`: those of the command that another run needs to be the same.
    package init(generation: String, options: [String]) { (self.generation, self.options) = (generation, options) }

    package mutating func take(_ counted: CountedPlaces) {
        scenarios.append(counted.scenario.name)
        for place in counted.places { accounts[key(counted.scenario.name, place), default: Account()].places += 1 }
        for place in counted.chosen { accounts[key(counted.scenario.name, place), default: Account()].chosen += 1 }
        if counted.base.wrong != nil { findings.append(counted.base) }
    }

    private func key(_ scenario: String, _ place: PassedPlace) -> Key { Key(scenario: scenario, row: Row(place.place.point)) }

    package mutating func take(_ result: InjectionResult) {
        guard let injection = result.injection else { return }
        // No recovery followed the failed call: the run is the one with that call alone.
        if injection.fault == .eioRecovery, result.record.injected == 1, result.wrong == nil { return }
        let key = Key(scenario: result.scenario, row: Row(injection.place.point))
        accounts[key, default: Account()].runs += 1
        if result.wrong == nil {
            accounts[key, default: Account()].endings[result.ending, default: 0] += 1
        } else {
            accounts[key, default: Account()].findings += 1
            findings.append(result)
        }
        for rule in Set(result.allowed) { allowed[rule, default: 0] += 1 }
    }

    package var runs: Int { accounts.values.reduce(0) { $0 + $1.runs } }
    package var places: Int { accounts.values.reduce(0) { $0 + $1.chosen } }
    package var counted: Int { accounts.values.reduce(0) { $0 + $1.places } }

    // MARK: Text

    private static let shown: [InjectionEnding] = [.sourceRuns, .completed, .recovered, .refused, .killedWithGuest]

    package func table() -> [String] {
        let header = ["scenario", "kind of place", "places", "injected at", "runs"] + Self.shown.map(\.rawValue) + ["findings"]
        var rows: [[String]] = []
        func cells(_ account: Account) -> [String] {
            [account.places, account.chosen, account.runs].map(String.init)
                + (Self.shown.map { account.endings[$0] ?? 0 } + [account.findings]).map { $0 == 0 ? "-" : String($0) }
        }
        var all = Account()
        for scenario in scenarios {
            for row in Row.allCases {
                guard let account = accounts[Key(scenario: scenario, row: row)] else { continue }
                rows.append([scenario, row.name] + cells(account))
                all.places += account.places
                all.chosen += account.chosen
                all.runs += account.runs
                all.findings += account.findings
                all.endings.merge(account.endings) { $0 + $1 }
            }
        }
        rows.append(["all", ""] + cells(all))
        let table = [header] + rows
        let widths = header.indices.map { column in table.map { $0[column].count }.max() ?? 0 }
        return table.map { row in
            let line = row.indices.map { column in
                let space = String(repeating: " ", count: widths[column] - row[column].count)
                return column < 2 ? row[column] + space : space + row[column]
            }
            return line.joined(separator: "  ")
        }
    }

    /// The rules that broke where a rule may break, and why it may.
    package func allowances() -> [String] {
        InjectionAllowance.all.compactMap { allowance in
            allowed[allowance.rule].map { "rule \(allowance.rule) broke in \($0) runs, as it may: \(allowance.reason)" }
        }
    }

    /// The findings by what is wrong and what explains it, the most frequent first, each with its first places, or with all of them.
    package func findingLines(whole: Bool = false) -> [String] {
        struct Group: Hashable {
            let wrong: String
            let quirks: [String]
        }
        var groups: [Group: [InjectionResult]] = [:]
        for finding in findings { groups[Group(wrong: sentence(finding), quirks: finding.quirks), default: []].append(finding) }
        return groups.sorted { ($1.value.count, $0.key.wrong) < ($0.value.count, $1.key.wrong) }.flatMap { group, findings in
            let why =
                group.quirks.isEmpty
                ? "no known defect of \(generation) alone explains it" : "none without \(group.quirks.joined(separator: ", or "))"
            let shown = findings.prefix(whole ? .max : 2)
            let more = findings.count - shown.count
            return ["\(findings.count) x \(group.wrong); \(why)"] + shown.map { "    " + command($0) }
                + (more > 0 ? ["    ... \(more) more; see --verbose"] : [])
        }
    }

    /// What is wrong, up to the text that differs from run to run.
    private func sentence(_ finding: InjectionResult) -> String {
        let text = finding.wrong ?? ""
        return finding.injection == nil ? "without a failure: \(text)" : text.replacing(/[a-z-]+:[0-9]+/, with: "LINE")
    }

    private func command(_ finding: InjectionResult) -> String {
        (["ackmatrix inject --generation \(generation)"] + options + ["--scenario \(finding.scenario)"]
            + (finding.injection.map { ["--place \($0)"] } ?? [])).joined(separator: " ")
    }

    package var closingLine: String {
        findings.isEmpty
            ? "\(runs) failures injected at \(places) places: all ended with one guest"
            : "\(runs) failures injected at \(places) places: \(findings.count) findings"
    }
}
