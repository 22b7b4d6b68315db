/// What known deviations mean for a cell: which broken rules they explain, and which of them were expected and did not show.

package enum DeviationPolicy: String, CaseIterable, Hashable, Sendable {
    /// A known deviation is a finding like any other.
    case strict
    /// A known deviation is no finding; its absence on the versions it was seen on is.
    case expected
    /// What a known deviation explains is no finding, and its absence is none either.
    case ignore
}

/// The broken rules of a cell against the deviations known for it.
package struct DeviationAccount: Hashable, Sendable {
    /// A broken rule, and the deviation that explains it.
    package struct Explanation: Hashable, Sendable {
        package let rule: String
        package let by: MatchedDeviation
    }

    /// A deviation, and those of its rules that held although they were listed.
    package struct Absence: Hashable, Sendable {
        package let deviation: Deviation
        package let rules: [String]
    }

    package let policy: DeviationPolicy
    /// In the order of the broken rules; each by the first deviation that lists it, one of exactly these versions before others.
    package let explained: [Explanation]
    /// Broken rules that nothing explains: findings under every policy.
    package let unexplained: [String]
    /// Not there, on versions they were seen on, and no races: findings.
    package let absent: [Absence]
    /// Not there, on other versions: fixed since, or not yet broken. No findings.
    package let fixed: [Absence]

    /// `broken` are identifiers of rules, each once. In a cell that is forced one way nothing is left to chance: `sometimes` is always.
    package init(broken: [String], verdict: String, deviations: [MatchedDeviation], policy: DeviationPolicy, isForced: Bool = false) {
        let fitting = deviations.filter { $0.deviation.verdicts.contains(verdict) }
        let exactFirst = fitting.filter(\.exactVersion) + fitting.filter { !$0.exactVersion }
        let explained = broken.compactMap { rule in
            exactFirst.first { $0.deviation.rules.contains(rule) }.map { Explanation(rule: rule, by: $0) }
        }
        self.policy = policy
        self.explained = explained
        unexplained = broken.filter { rule in !explained.contains { $0.rule == rule } }
        func absences(exact: Bool) -> [Absence] {
            guard policy != .ignore else { return [] }
            return deviations.compactMap { match in
                guard match.exactVersion == exact, isForced || !match.deviation.sometimes else { return nil }
                let shows = match.deviation.verdicts.contains(verdict)
                let rules = match.deviation.rules.filter { !shows || !broken.contains($0) }
                return rules.isEmpty ? nil : Absence(deviation: match.deviation, rules: rules)
            }
        }
        absent = absences(exact: true)
        fixed = absences(exact: false)
    }

    /// Whether the cell has a finding after this account.
    package var hasFinding: Bool { !unexplained.isEmpty || !absent.isEmpty || policy == .strict && !explained.isEmpty }
}
