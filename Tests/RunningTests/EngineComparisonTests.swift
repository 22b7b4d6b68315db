import MigrationTrace
import TestSupport
import Testing
import Verification

@testable import Matrix
@testable import Running

/// The list of what two runs may do differently, as a file.
@Suite struct EngineComparisonTests {
    static let small = """
        ackmatrix-differences: 2
        chance:
          - id: pongs
            versions: all
            open: [approvals, acks-sent]
            legs: 1
            race: true
            seen: migrate_set_state failed
            threads: [source return-path, destination]
            events: [source_return_path_thread_pong]
            texts: "*_pong 0x1"
            steps: any
            sometimes: It is rare.
            reason: a channel breaks
        differences:
          - id: large
            cells: {size: [2, 4]}
            versions: {source: 11.1.3}
            events: [migrate_error]
            counts: requests
            rules: ends
            reason: it is large
            reference: not reported
          - {id: other, names: "*+lid-*", versions: {destination: 10.0.13}, counts: ending, sometimes: Rare., reason: c, reference: d}
        """

    static func list(_ text: String) throws -> DifferenceList { try DifferenceList(text, file: "d.yaml", axes: DeviationTests.axes) }

    @Test func aListIsRead() throws {
        let all = try Self.list(Self.small).all
        #expect(all.map(\.id) == ["pongs", "large", "other"])
        #expect(all.map(\.kind) == [.chance, .difference, .difference])
        let pongs = all[0]
        #expect(pongs.scope.open == ["approvals", "acks-sent"] && pongs.scope.legs == [1] && pongs.scope.isRace)
        #expect(pongs.scope.seen == ["migrate_set_state failed"])
        #expect(pongs.scope.sourceVersions == nil && pongs.scope.destinationVersions == nil)
        #expect(pongs.pattern.threads == [ThreadPattern(isSource: true, kind: .returnPath), ThreadPattern(isSource: false, kind: nil)])
        #expect(pongs.pattern.events == ["source_return_path_thread_pong"] && pongs.pattern.texts == ["*_pong 0x1"])
        #expect(pongs.pattern.steps == .any && pongs.sometimes == "It is rare." && pongs.reference == nil)
        #expect(all[1].scope.cells == ["size": ["2", "4"]])
        #expect(all[1].scope.sourceVersions == ["11.1.3"] && all[1].scope.destinationVersions == nil)
        #expect(all[1].pattern.counts == ["requests"] && all[1].pattern.rules == ["ends"] && all[1].sometimes == nil)
        #expect(all[2].pattern.steps == nil && all[2].pattern.counts == ["ending"])
        #expect(try Self.list("ackmatrix-differences: 2\nchance: []\ndifferences: []").all == [])
    }

    @Test(arguments: [
        ("another file", "ackmatrix-differences: 2", "ackmatrix-deviations: 1", 1, "expected a key of a list of differences"),
        ("another version", "differences: 2", "differences: 3", 1, "expected version 2 of a list of differences, found '3'"),
        ("no such event", "[migrate_error]", "[migrate_mistake]", 19, "found 'migrate_mistake'"),
        ("no such event seen", "seen: migrate_set_state failed", "seen: migrate_set_mood failed", 8, "found 'migrate_set_mood failed'"),
        ("no such count", "counts: requests", "counts: wishes", 20, "found 'wishes'"),
        ("no such open count", "[approvals,", "[ending,", 5, "found 'ending'"),
        ("no such rule", "rules: ends", "rules: begins", 21, "found 'begins'"),
        ("no such thread", "[source return-path,", "[source idle,", 9, "found 'source idle'"),
        ("no such side", "[source return-path,", "[third,", 9, "found 'third'"),
        ("no such way to differ", "steps: any", "steps: some", 12, "found 'some'"),
        ("no such axis", "{size:", "{weight:", 17, "found 'weight'"),
        ("no such value", "[2, 4]", "[2, 400]", 17, "found '400'"),
        ("no such leg", "legs: 1", "legs: 9", 6, "found '9'"),
        ("id twice", "id: other", "id: large", 24, "expected another id than 'large'"),
        ("no versions", "{source: 11.1.3}", "{}", 18, "found neither"),
        ("other versions", "versions: all", "versions: most", 4, "found 'most'"),
        ("no place", "    cells: {size: [2, 4]}\n", "", 16, "found neither"),
        ("nothing differs", ", counts: ending", "", 24, "found none"),
        ("texts of no event", "    events: [source_return_path_thread_pong]\n", "", 10, "expected 'events' beside 'texts'"),
        (
            "alike to nothing", "    texts: \"*_pong 0x1\"\n    steps: any\n", "    steps: alike\n", 11,
            "expected the 'texts' that say the same"
        ),
    ]) func aListIsRefused(what: String, old: String, new: String, line: Int, words: String) throws {
        let text = Self.small.replacing(old, with: new, maxReplacements: 1)
        try #require(text != Self.small)
        let error = try #require(throws: MatrixFileError.self) { try Self.list(text) }
        #expect(error.reason.contains(words), "\(what): \(error)")
        #expect(error.line == line, "\(what): \(error)")
    }
}
