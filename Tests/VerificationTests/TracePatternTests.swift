/// The list of `-trace` patterns is complete, and brings what judging needs.
import Foundation
import MigrationTrace
import TestSupport
import Testing

@testable import Verification

@Suite struct TracePatternTests {
    private static func isTraced(_ name: some StringProtocol) -> Bool {
        TracePatterns.all.contains { TracePatterns.matches($0, String(name)) }
    }

    /// Events that QEMU does not print: the devices' own begin with `device_`, the recorder's with `recorded_`.
    @Test func everyEventOfQEMUIsMatched() {
        let missing = Set(Event.vocabulary.map(\.name)).filter {
            !$0.hasPrefix("device_") && !$0.hasPrefix("recorded_") && !Self.isTraced($0)
        }
        #expect(missing.isEmpty)
    }

    @Test func everyPatternIsNeeded() {
        for pattern in TracePatterns.all {
            #expect(Event.vocabulary.contains { TracePatterns.matches(pattern, $0.name) }, "nothing matches \(pattern)")
            #expect(
                !TracePatterns.all.contains { $0 != pattern && TracePatterns.matches($0, pattern) }, "\(pattern) is part of another one")
        }
    }

    /// Good migrations of every driver that the corpus has: with exactly the list, nothing more is missing, and the verdict is that of the
    /// whole.
    @Test(arguments: LogLossTests.good) func realLogsOfExactlyTheListAreJudgedAlike(_ pair: LogLossTests.Pair) throws {
        func judged(_ logs: [[UInt8]]) throws -> [Judgement] {
            try judgeAll(logs.enumerated().map { LogSource(name: "log \($0.offset)", bytes: $0.element) }).migrations.map(\.judgement)
        }
        let filtered = pair.logs.map { log in
            let lines = log.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).filter { line in
                let words = String(decoding: line, as: UTF8.self).split { $0 == " " || $0 == ":" }
                guard let name = words.first(where: { $0.contains("_") && !$0.contains("-") && !$0.contains("@") }) else { return true }
                return Self.isTraced(name)
            }
            return Array(lines.joined(separator: [UInt8(ascii: "\n")]))
        }
        let (whole, some) = (try judged(pair.logs), try judged(filtered))
        #expect(whole.map(\.verdict) == some.map(\.verdict))
        #expect(some.allSatisfy { $0.findings.isEmpty })
        // An event that never happened is missing in the whole, too.
        func missing(_ judgements: [Judgement]) -> [Unjudged.Cause] {
            judgements.flatMap(\.unjudged).map(\.cause).filter {
                switch $0 {
                case .notTraced, .notSeen: true
                default: false
                }
            }
        }
        #expect(missing(some) == missing(whole))
    }

    /// A migration of each driver that the corpus has as a trace, printed as logs and cut to exactly the list: nothing is missing.
    @Test(arguments: [
        "colo", "legacy-10.0-11.1", "libvirt", "multifd", "postcopy", "postcopy-recovered", "snapshot", "two-devices",
    ])
    func theListBringsWhatEachDriverNeeds(cell: String) throws {
        let recording = try Recording.cell(cell)
        // A snapshot is not loaded while it is written.
        let sides: [StreamName] = cell == "snapshot" ? [.source] : [.source, .destination]
        let logs = try sides.map { side in
            let traced = try #require(recording.lines[side]).filter { Self.isTraced($0.prefix { $0 != " " }) }
            return LogSource(name: side.rawValue, bytes: Array((traced.joined(separator: "\n") + "\n").utf8))
        }
        let judgements = try judgeAll(logs).migrations.map(\.judgement)
        #expect(!judgements.isEmpty)
        for judgement in judgements {
            #expect(judgement.findings.isEmpty)
            #expect(judgement.unjudged.isEmpty, "\(judgement.unjudged)")
        }
    }
}
