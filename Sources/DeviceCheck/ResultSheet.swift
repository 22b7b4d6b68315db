/// The results of one check as a document, which is kept and compared: of two drivers, two firmware versions, two kernels.

package struct ResultSheet: Codable, Hashable, Sendable {
    /// The format of the sheets that are written; no other one is read.
    package static let newestFormat = 1
    /// In bytes; no sheet is longer.
    package static let longest = 1 << 20

    /// What was checked and where, such as the driver and its version. Names are unique.
    package struct Fact: Codable, Hashable, Sendable {
        package let name: String
        package let value: String

        package init(_ name: String, _ value: String) { (self.name, self.value) = (name, value) }
    }

    package enum Outcome: String, Codable, Hashable, Sendable { case passed, failed, skipped }

    package struct Line: Codable, Hashable, Sendable {
        package let name: String
        package let statement: String
        /// The part of `linux/vfio.h` that says so.
        package let reference: String
        package let outcome: Outcome
        /// Of a failed check.
        package var expected: String?
        package var found: String?
        /// Of a skipped one.
        package var reason: String?

        package init(_ result: CheckResult) {
            (name, statement, reference) = (result.check.name, result.check.statement, result.check.reference)
            switch result.outcome {
            case .passed: outcome = .passed
            case .deviates(let expected, let found):
                outcome = .failed
                (self.expected, self.found) = (expected, found)
            case .skipped(let reason):
                outcome = .skipped
                self.reason = reason
            }
        }
    }

    package var format = newestFormat
    package let facts: [Fact]
    package let checks: [Line]
    /// Why the check ended before its last line; nil if it did not.
    package let brokenOff: String?

    package init(facts: [Fact], checks: [Line], brokenOff: String? = nil) {
        (self.facts, self.checks, self.brokenOff) = (facts, checks, brokenOff)
    }

    package func count(_ outcome: Outcome) -> Int { checks.count { $0.outcome == outcome } }

    /// `97 passed, 1 failed, 4 skipped`
    package var summary: String { "\(count(.passed)) passed, \(count(.failed)) failed, \(count(.skipped)) skipped" }

    /// What is wrong with a sheet that was read; nil if nothing is.
    package var flaw: String? {
        if format != Self.newestFormat { return "expected format \(Self.newestFormat), found \(format)" }
        if let twice = Self.firstTwice(checks.map(\.name)) { return "the check \(twice) is there twice" }
        if let twice = Self.firstTwice(facts.map(\.name)) { return "the fact \(twice) is there twice" }
        if checks.isEmpty { return "it has no checks" }
        return nil
    }

    private static func firstTwice(_ names: [String]) -> String? {
        var seen: Set<String> = []
        return names.first { !seen.insert($0).inserted }
    }
}

/// What differs between the sheets of two checks.
package struct SheetDifference: Hashable, Sendable {
    package enum Kind: Int, CaseIterable, Hashable, Sendable {
        case failsNow, lost, failsOtherwise, mended, shownNow

        package var title: String {
            switch self {
            case .failsNow: "failed in the second alone"
            case .lost: "made in the first alone"
            case .failsOtherwise: "failed in both, in another way"
            case .mended: "failed in the first alone"
            case .shownNow: "made in the second alone"
            }
        }

        /// True if the second device or driver is worse, or nothing shows that it is not.
        package var isWorse: Bool { self == .failsNow || self == .lost }
    }

    package struct Entry: Hashable, Sendable {
        package let kind: Kind
        package let name: String
        package let statement: String
        /// What the first and the second sheet say.
        package let first: String
        package let second: String
    }

    /// Facts with different values; one that a sheet lacks is nil.
    package let facts: [(name: String, first: String?, second: String?)]
    package let entries: [Entry]

    package init(_ first: ResultSheet, _ second: ResultSheet) {
        func value(_ name: String, _ sheet: ResultSheet) -> String? { sheet.facts.first { $0.name == name }?.value }
        let names = first.facts.map(\.name) + second.facts.map(\.name).filter { value($0, first) == nil }
        facts = names.compactMap { name in
            let (one, other) = (value(name, first), value(name, second))
            return one == other ? nil : (name, one, other)
        }
        let others = Dictionary(second.checks.map { ($0.name, $0) }) { first, _ in first }
        let known = Set(first.checks.map(\.name))
        var entries = first.checks.compactMap { Self.entry($0, others[$0.name]) }
        entries += second.checks.filter { !known.contains($0.name) }.compactMap { Self.entry(nil, $0) }
        self.entries = entries.enumerated().sorted { ($0.element.kind.rawValue, $0.offset) < ($1.element.kind.rawValue, $1.offset) }
            .map(\.element)
    }

    package static func == (a: Self, b: Self) -> Bool {
        a.entries == b.entries && a.facts.elementsEqual(b.facts) { $0 == $1 }
    }

    package func hash(into hasher: inout Hasher) { hasher.combine(entries) }

    package var isWorse: Bool { entries.contains { $0.kind.isWorse } }

    private static func entry(_ first: ResultSheet.Line?, _ second: ResultSheet.Line?) -> Entry? {
        guard let kind = kind(first, second), let line = second ?? first else { return nil }
        return Entry(kind: kind, name: line.name, statement: line.statement, first: words(first), second: words(second))
    }

    private static func kind(_ first: ResultSheet.Line?, _ second: ResultSheet.Line?) -> Kind? {
        switch (first?.outcome, second?.outcome) {
        case (.failed, .failed): (first?.expected, first?.found) == (second?.expected, second?.found) ? nil : .failsOtherwise
        case (_, .failed): .failsNow
        case (.passed, .skipped), (.passed, nil), (.failed, .skipped), (.failed, nil): .lost
        case (.failed, .passed): .mended
        case (.skipped, .passed), (nil, .passed): .shownNow
        case (.passed, .passed), (.skipped, .skipped), (nil, .skipped), (.skipped, nil), (nil, nil): nil
        }
    }

    private static func words(_ line: ResultSheet.Line?) -> String {
        guard let line else { return "not in the list" }
        switch line.outcome {
        case .passed: return "passed"
        case .failed: return "expected: \(line.expected ?? ""); found: \(line.found ?? "")"
        case .skipped: return "skipped: \(line.reason ?? "")"
        }
    }
}
