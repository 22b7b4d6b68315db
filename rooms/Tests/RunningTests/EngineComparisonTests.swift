import TestSupport
import Testing
import Verification

@testable import Matrix
@testable import Running

/// The list of known differences, and what a comparison of many cells comes to.
@Suite struct EngineComparisonTests {
    static let small = """
        ackmatrix-differences: 1
        differences:
          - id: large
            cells: {size: [2, 4]}
            versions: {source: 11.1.3}
            subjects: [migrate_error, requests, ends]
            reason: it is large
            reference: not reported
          - {id: other, names: "*+lid-*", versions: {destination: 10.0.13}, subjects: ending, sometimes: true, reason: c, reference: d}
        """

    static func list(_ text: String) throws -> KnownDifferences { try KnownDifferences(text, file: "d.yaml", axes: DeviationTests.axes) }

    @Test func aListIsRead() throws {
        let all = try Self.list(Self.small).all
        #expect(all.map(\.id) == ["large", "other"])
        #expect(all[0].subjects == ["migrate_error", "requests", "ends"])
        #expect(all[0].cells == ["size": ["2", "4"]])
        #expect(all[0].sourceVersions == ["11.1.3"] && all[0].destinationVersions == nil)
        #expect(all.map(\.sometimes) == [false, true])
        #expect(try Self.list("ackmatrix-differences: 1\ndifferences: []").all == [])
    }

    @Test(arguments: [
        ("another file", "ackmatrix-differences: 1", "ackmatrix-deviations: 1", 1, "expected a key of a list of differences"),
        ("another version", "differences: 1", "differences: 2", 1, "expected version 1 of a list of differences, found '2'"),
        ("no such event", "[migrate_error,", "[migrate_mistake,", 6, "found 'migrate_mistake'"),
        ("no such count", "requests,", "wishes,", 6, "found 'wishes'"),
        ("no such axis", "{size:", "{weight:", 4, "found 'weight'"),
        ("id twice", "id: other", "id: large", 9, "expected another id than 'large'"),
        ("no versions", "{source: 11.1.3}", "{}", 5, "found neither"),
        ("no place", "    cells: {size: [2, 4]}\n", "", 3, "found neither"),
    ]) func aListIsRefused(what: String, old: String, new: String, line: Int, words: String) throws {
        let text = Self.small.replacing(old, with: new, maxReplacements: 1)
        try #require(text != Self.small)
        let error = try #require(throws: MatrixFileError.self) { try Self.list(text) }
        #expect(error.reason.contains(words), "\(what): \(error)")
        #expect(error.line == line, "\(what): \(error)")
    }

    /// All that differs at one place is among the subjects, or it is not explained.
    @Test func subjectsMustCoverADifference() throws {
        let subjects = try Self.list(Self.small).all[0].subjects
        func covers(_ difference: Difference) -> Bool { subjects.isSuperset(of: difference.subjects) }
        #expect(covers(.count("requests", expected: "1", found: "2")))
        #expect(!covers(.count("approvals", expected: "1", found: "2")))
        #expect(covers(.rules(onlyExpected: ["ends"], onlyFound: [])))
        #expect(!covers(.rules(onlyExpected: ["ends"], onlyFound: ["one-guest"])))
        #expect(!covers(.ending(expected: "completed", found: "undecided")))
    }

    @Test func theListOfTheRepositoryIsRead() throws {
        let file = try MatrixFile(path: repositoryFile("harness/matrix/default.yaml"))
        _ = try KnownDifferences(path: repositoryFile("harness/matrix/differences.yaml"), axes: file.axes)
    }
}
