import EnginePeer
import Plan
import TestSupport
import Testing
import Verification

@testable import Matrix
@testable import Running

/// Known deviations: reading them, finding those of a cell, and what they make of its findings.
@Suite struct DeviationTests {
    static let small = """
        ackmatrix-deviations: 1
        deviations:
          - id: large
            cells: {size: [2, 4], colour: green}
            versions: {source: [11.1.3, 11.1.4], destination: 10.0.13}
            rules: [ends]
            verdicts: [waits forever]
            reason: >
              It is
              large.
            reference: not reported
          - id: lids
            names: ["*+lid-*", "lid-*"]
            versions: {destination: [11.1.3]}
            rules: [one-guest, ends]
            verdicts: [two guests running, endless after underflow]
            sometimes: true
            reason: lids
            reference: a thread
          - {id: both, cells: {lid: yes}, names: "10.0-*", versions: {source: 10.0.13}, rules: ends, verdicts: waits forever, reason: c, reference: d}
        """

    static let axes = [
        Axis(name: "colour", values: ["red", "green"], about: "the colour", token: "{}"),
        Axis(name: "size", values: ["1", "2", "4"], about: "the size", token: "{}-big"),
        Axis(name: "lid", values: ["no", "yes"], about: "a lid", token: "lid-{}"),
    ]

    static func file(_ text: String) throws -> DeviationFile { try DeviationFile(text, file: "d.yaml", axes: axes) }

    @Test func aFileIsRead() throws {
        let deviations = try Self.file(Self.small).deviations
        #expect(deviations.map(\.id) == ["large", "lids", "both"])
        #expect(deviations[0].cells == ["size": ["2", "4"], "colour": ["green"]])
        #expect(deviations[0].reason == "It is large.")
        #expect(deviations[0].sourceVersions == ["11.1.3", "11.1.4"])
        #expect(deviations[0].destinationVersions == ["10.0.13"])
        #expect(deviations[1].sourceVersions == nil)
        #expect(deviations[1].rules == ["one-guest", "ends"])
        #expect(deviations[1].verdicts == ["two guests running", "endless after underflow"])
        #expect(deviations.map(\.sometimes) == [false, true, false])
        #expect(deviations[1].reference == "a thread")
        #expect(try Self.file("ackmatrix-deviations: 1\ndeviations: []").deviations == [])
    }

    @Test(arguments: [
        ("a matrix file", "ackmatrix-deviations: 1", "ackmatrix-matrix: 1", 1, "expected a key of a deviations file"),
        ("other version", "deviations: 1", "deviations: 9", 1, "expected version 1 of a deviations file, found '9'"),
        ("no list", "deviations:\n  - id: large\n", "more:\n  - id: large\n", 2, "found 'more'"),
        ("no id", "- id: lids\n    names", "- names", 12, "expected 'id' in a deviation"),
        ("id twice", "id: both", "id: lids", 20, "expected another id than 'lids'"),
        ("id with blanks", "id: lids", "id: some lids", 12, "found 'some lids'"),
        ("unknown key", "sometimes: true", "often: true", 17, "found 'often'"),
        ("no place", "cells: {size: [2, 4], colour: green}\n    versions", "versions", 3, "found neither"),
        ("unknown axis", "{size: [2, 4]", "{weight: [2, 4]", 4, "found 'weight'"),
        ("unknown value", "{size: [2, 4]", "{size: [2, 8]", 4, "found '8'"),
        ("pattern with a blank", "\"lid-*\"", "\"lid *\"", 13, "1 to 200 characters without blanks"),
        ("empty pattern", "\"lid-*\"", "\"\"", 13, "1 to 200 characters without blanks"),
        ("pattern twice", "\"lid-*\"", "\"*+lid-*\"", 13, "found '*+lid-*' twice"),
        ("no versions", "{destination: [11.1.3]}", "{}", 14, "found neither"),
        ("unknown side", "{destination: [11.1.3]}", "{target: [11.1.3]}", 14, "found 'target'"),
        ("no version", "{destination: [11.1.3]}", "{destination: []}", 14, "expected 1 to 64 versions, found 0"),
        ("version with blanks", "{destination: [11.1.3]}", "{destination: [QEMU 11.1.3]}", 14, "expected a version like 11.1.3"),
        ("rule twice", "[one-guest, ends]", "[ends, ends]", 15, "found 'ends' twice"),
        ("no rule", "[one-guest, ends]", "[]", 15, "expected 1 to 64 rules, found 0"),
        ("rule with blanks", "[one-guest, ends]", "[one guest]", 15, "expected a rule's identifier"),
        ("no verdict", "verdicts: [waits forever]", "verdicts: []", 7, "expected 1 to 64 verdicts, found 0"),
        ("no truth", "sometimes: true", "sometimes: yes", 17, "expected a truth value (true, false), found 'yes'"),
        ("no reason", "reason: lids\n    ", "", 12, "expected 'reason'"),
        ("no reference", "reference: a thread", "reference:", 19, "expected a reference, found nothing"),
        ("no such rule", "rules: [ends]", "rules: [endz]", 6, "expected the identifier of a rule, found 'endz'"),
        ("no such verdict", "verdicts: [waits forever]", "verdicts: [waits]", 7, "expected a verdict out of completed; "),
        ("anchor", "id: large", "id: &large large", 3, "anchor"),
    ])
    func aFileIsRefusedWithItsPlace(description: String, old: String, new: String, line: Int, words: String) {
        let text = Self.small.replacing(old, with: new, maxReplacements: 1)
        #expect(text != Self.small)
        #expect {
            _ = try Self.file(text)
        } throws: { error in
            let error = error as? MatrixFileError
            #expect(error?.line == line, "\(error?.description ?? "")")
            #expect(error?.reason.contains(words) == true, "\(error?.description ?? "")")
            return error?.file == "d.yaml"
        }
    }

    @Test(arguments: [
        // Axis values: any of one axis, and every axis.
        (["size": "2", "colour": "green"], "x+y", "11.1.3", "10.0.13", ["large exact"]),
        (["size": "4", "colour": "green"], "x+y", "11.1.4", "10.0.13", ["large exact"]),
        (["size": "4", "colour": "green"], "x+y", "11.1.5", "10.0.13", ["large"]),
        (["size": "4", "colour": "green"], "x+y", "11.1.3", "10.0.14", ["large"]),
        (["size": "4", "colour": "green"], "x+y", "11.1", "10.0.13", ["large"]),
        (["size": "4"], "x+y", "11.1.3", "10.0.13", []),
        (["colour": "green"], "x+y", "11.1.3", "10.0.13", []),
        // Name patterns: any of them; a side that is not named plays no part.
        ([:], "x+lid-yes", "7.2.0", "11.1.3", ["lids exact"]),
        ([:], "lid-", "7.2.0", "11.1.3", ["lids exact"]),
        ([:], "x+lid-yes+y", "7.2.0", "11.1.4", ["lids"]),
        ([:], "x+lid", "7.2.0", "11.1.3", []),
        ([:], "xlid-yes", "7.2.0", "11.1.3", []),
        // Both.
        (["lid": "yes"], "10.0-11.1+x", "10.0.13", "11.1.3", ["both exact"]),
        (["lid": "yes"], "11.1-11.1+x", "10.0.13", "11.1.3", []),
        (["lid": "no"], "10.0-11.1+x", "10.0.13", "11.1.3", []),
        (["lid": "yes", "size": "2", "colour": "green"], "10.0-11.1+lid-yes", "10.0.13", "11.1.3", ["large", "lids exact", "both exact"]),
    ])
    func deviationsOfACell(changes: [String: String], name: String, source: String, destination: String, expected: [String]) throws {
        let selection = try #require(Selection(Self.axes, changes))
        let found = try Self.file(Self.small).deviations(
            for: selection, cellName: name, sourceVersion: source, destinationVersion: destination)
        #expect(found.map { $0.deviation.id + ($0.exactVersion ? " exact" : "") } == expected)
    }

    @Test(arguments: [
        ("*", "", true), ("*", "abc", true), ("abc", "abc", true), ("abc", "abcd", false), ("abc", "ab", false), ("a*c", "ac", true),
        ("a*c", "abcbc", true), ("a*c", "abcb", false), ("*b*", "abc", true), ("*bb*", "abab", false), ("a**c", "abc", true),
        ("*ab", "aab", true), ("*aab", "aaab", true), ("a*b*c", "a-c-b-c", true), ("a*b*c", "a-c-b", false), ("?", "a", false),
    ])
    func namePatterns(pattern: String, name: String, fits: Bool) throws {
        let text =
            "ackmatrix-deviations: 1\ndeviations:\n"
            + "  - {id: one, names: '\(pattern)', versions: {source: 1}, rules: ends, verdicts: waits forever, reason: c, reference: d}"
        let found = try Self.file(text).deviations(
            for: try #require(Selection(Self.axes, [:])), cellName: name, sourceVersion: "1", destinationVersion: "1")
        #expect(found.isEmpty == !fits)
    }

    // MARK: Policy

    /// A deviation of rules `a` and `b` and the verdict `bad`, where not said otherwise.
    static func known(
        _ id: String = "k", rules: [String] = ["a", "b"], verdicts: [String] = ["bad"], sometimes: Bool = false, exact: Bool = true
    ) -> MatchedDeviation {
        MatchedDeviation(
            deviation: Deviation(
                id: id, cells: [:], names: [], sourceVersions: ["1"], destinationVersions: nil, rules: rules, verdicts: verdicts,
                sometimes: sometimes, reason: "r", reference: "not reported"),
            exactVersion: exact)
    }

    struct Row: CustomTestStringConvertible, Sendable {
        var testDescription: String
        var broken: [String]
        var verdict = "bad"
        var known: [MatchedDeviation]
        /// `rule id`, of the expected policy.
        var explained: [String] = []
        var unexplained: [String] = []
        /// `id rule rule`.
        var absent: [String] = []
        var fixed: [String] = []
        /// Under which policies the cell has a finding.
        var findings: [DeviationPolicy] = []
    }

    static let every = DeviationPolicy.allCases

    static let rows = [
        Row(testDescription: "good and nothing known", broken: [], verdict: "completed", known: []),
        Row(testDescription: "broken and nothing known", broken: ["a"], known: [], unexplained: ["a"], findings: every),
        Row(testDescription: "as known", broken: ["a", "b"], known: [known()], explained: ["a k", "b k"], findings: [.strict]),
        Row(
            testDescription: "as known, on another version", broken: ["a", "b"], known: [known(exact: false)], explained: ["a k", "b k"],
            findings: [.strict]),
        Row(
            testDescription: "more than known", broken: ["c", "b", "a"], known: [known()], explained: ["b k", "a k"], unexplained: ["c"],
            findings: every),
        Row(
            testDescription: "less than known", broken: ["b"], known: [known()], explained: ["b k"], absent: ["k a"],
            findings: [.strict, .expected]),
        Row(
            testDescription: "less than known, on another version", broken: ["b"], known: [known(exact: false)], explained: ["b k"],
            fixed: ["k a"], findings: [.strict]),
        Row(
            testDescription: "gone", broken: [], verdict: "completed", known: [known()], absent: ["k a b"], findings: [.strict, .expected]),
        Row(testDescription: "gone on another version", broken: [], verdict: "completed", known: [known(exact: false)], fixed: ["k a b"]),
        Row(testDescription: "a race that did not show", broken: [], verdict: "completed", known: [known(sometimes: true)]),
        Row(
            testDescription: "a race that showed", broken: ["a", "b"], known: [known(sometimes: true)], explained: ["a k", "b k"],
            findings: [.strict]),
        Row(
            testDescription: "a race that did not show on another version", broken: [], verdict: "completed",
            known: [known(sometimes: true, exact: false)]),
        Row(
            testDescription: "another verdict is not explained", broken: ["a", "b"], verdict: "worse", known: [known()],
            unexplained: ["a", "b"], absent: ["k a b"], findings: every),
        Row(
            testDescription: "one branch of a race", broken: ["b", "a"], verdict: "worse",
            known: [known(sometimes: true), known("w", rules: ["b", "c", "a"], verdicts: ["worst", "worse"], sometimes: true)],
            explained: ["b w", "a w"], findings: [.strict]),
        Row(
            testDescription: "exact versions explain before others", broken: ["a", "b"],
            known: [known("old", rules: ["a"], exact: false), known("new", rules: ["a"]), known("b", rules: ["b"])],
            explained: ["a new", "b b"], findings: [.strict]),
        Row(
            testDescription: "two of which one is gone", broken: ["a"], known: [known("x", rules: ["a"]), known("y", rules: ["b"])],
            explained: ["a x"], absent: ["y b"], findings: [.strict, .expected]),
    ]

    @Test(arguments: rows, DeviationPolicy.allCases) func anAccountIsGiven(row: Row, policy: DeviationPolicy) {
        let account = DeviationAccount(broken: row.broken, verdict: row.verdict, deviations: row.known, policy: policy)
        func words(_ absences: [DeviationAccount.Absence]) -> [String] {
            absences.map { ([$0.deviation.id] + $0.rules).joined(separator: " ") }
        }
        #expect(account.explained.map { "\($0.rule) \($0.by.deviation.id)" } == row.explained)
        #expect(account.unexplained == row.unexplained)
        #expect(words(account.absent) == (policy == .ignore ? [] : row.absent))
        #expect(words(account.fixed) == (policy == .ignore ? [] : row.fixed))
        #expect(account.hasFinding == row.findings.contains(policy))
    }

    // MARK: The deviations of released binaries

    /// An engine is expected to do what any version of its release was seen to do, and no other.
    @Test(arguments: [
        ("11.1.3", "11.1.3", true), ("11.1.4", "11.1.4", false), ("engine@11.1", "engine@11.1", true),
        ("engine@11.0", "engine@11.0", false), ("engine@v2", "engine@v2", false), ("engine@1", "engine@1", false),
        ("engine@11.1-corrected", "engine@11.1-corrected", false),
    ])
    func deviationsOfAReleaseAreThoseOfItsEngine(source: String, destination: String, isExact: Bool) throws {
        let matrix = try MatrixFile(path: repositoryFile("harness/matrix/default.yaml"))
        let deviations = try DeviationFile(path: repositoryFile("harness/matrix/deviations.yaml"), axes: matrix.axes)
        let selection = try #require(
            Selection(
                matrix.axes,
                ["source": "per-device", "destination": "per-device", "type": "newest-per-device", "moment": "after-check", "reinits": "1"])
        )
        let known = deviations.deviations(
            for: selection, cellName: "\(source)-\(destination)+q35-11.1", sourceVersion: source, destinationVersion: destination)
        let match = try #require(known.first { $0.deviation.id == "reinit-after-last-check" })
        #expect(match.exactVersion == isExact)
    }

    @Test func everyKnownDeviationMeansSomeCellOfTheDefaultMatrix() throws {
        let matrix = try MatrixFile(path: repositoryFile("harness/matrix/default.yaml"))
        let file = try DeviationFile(path: repositoryFile("harness/matrix/deviations.yaml"), axes: matrix.axes)
        #expect(!file.deviations.isEmpty)
        // Some are of releases that the engine alone is a side of.
        let engines = try Recipe.cells(of: matrix, tier: .default, binaries: ProbedBinary.engines).cells
        let cells =
            matrix.selections(.default).map { (selection: $0.selection, name: $0.selection.name) }
            + engines.map { (selection: $0.selection, name: $0.name) }
        for deviation in file.deviations {
            let meant = cells.lazy.filter { cell in
                file.deviations(for: cell.selection, cellName: cell.name, sourceVersion: "", destinationVersion: "").contains {
                    $0.deviation == deviation
                }
            }
            #expect(!meant.isEmpty, "\(deviation.id)")
        }
    }

    @Test func everyKnownDeviationSpeaksOfRulesAndVerdictsThatThereAre() throws {
        let matrix = try MatrixFile(path: repositoryFile("harness/matrix/default.yaml"))
        for deviation in try DeviationFile(path: repositoryFile("harness/matrix/deviations.yaml"), axes: matrix.axes).deviations {
            #expect(deviation.rules.filter { Rule[id: $0] == nil } == [], "\(deviation.id)")
            #expect(deviation.verdicts.filter { Verdict(rawValue: $0) == nil } == [], "\(deviation.id)")
        }
    }

    /// Where the outcome is no race one deviation at most explains a broken rule.
    @Test func certainDeviationsDoNotOverlap() throws {
        let matrix = try MatrixFile(path: repositoryFile("harness/matrix/default.yaml"))
        let file = try DeviationFile(path: repositoryFile("harness/matrix/deviations.yaml"), axes: matrix.axes)
        for cell in matrix.selections(.full).map(\.selection) {
            let certain = file.deviations(for: cell, cellName: cell.name, sourceVersion: "", destinationVersion: "")
                .map(\.deviation).filter { !$0.sometimes }
            let rules = certain.flatMap(\.rules)
            #expect(Set(rules).count == rules.count, "\(cell.name): \(certain.map(\.id))")
        }
    }
}
