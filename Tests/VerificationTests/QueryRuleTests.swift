import MigrationTrace
import Testing

@testable import Verification

/// Good migrations in which a query or the decision is altered: each must break the rule of what a query asks, adds up or allows.
@Suite struct QueryRuleTests {
    private func expect(
        _ recording: Recording, breaks rule: Rule, at line: Int, _ what: String, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let judgement = try recording.judgement()
        #expect(
            judgement.breaks(rule, at: line, of: .source), "\(what): \(judgement.findings.map { ($0.rule.id, $0.places) })",
            sourceLocation: sourceLocation)
    }

    /// A few of the lines, from all over the log: each alteration is judged anew.
    private func some(_ recording: Recording, _ text: String) throws -> [Int] {
        let all = try recording.some(.source, text)
        return stride(from: 0, to: all.count, by: max(all.count / 6, 1)).map { all[$0] }
    }

    private func text(_ recording: Recording, _ line: Int) -> String { recording.lines[.source]![line - 1] }

    /// The last line with the text before a line, if no query ended in between.
    private func line(_ recording: Recording, _ words: String, ofQueryBefore line: Int) -> Int? {
        let query = recording.numbers(.source, "qemu_savevm_query_pending").last { $0 < line } ?? 0
        return recording.numbers(.source, words).last { query < $0 && $0 < line }
    }

    @Test(
        arguments: MutationTests.counting,
        [("vfio_query_stop_copy_size", "exact 1, final 0"), ("vfio_query_precopy_size ", "exact 1, final 0")])
    func anExactQueryAsksTooLittle(name: String, question: (line: String, part: String)) throws {
        let recording = try Recording.named(name)
        var altersALine = false
        defer { #expect(altersALine) }
        for part in try some(recording, question.part) {
            let device = try #require(text(recording, part).split(separator: "(").last?.split(separator: ")").first)
            guard let asked = line(recording, "\(question.line.trimmingCharacters(in: [" "]))  (\(device))", ofQueryBefore: part) else {
                continue
            }
            altersALine = true
            try expect(recording.removing(.source, asked), breaks: .exactQueryAsks, at: part - 1, "question at \(asked)")
        }
    }

    @Test(arguments: MutationTests.counting) func aQueryFindsLessThanItsDevicesReport(name: String) throws {
        let recording = try Recording.named(name)
        var altersALine = false
        defer { #expect(altersALine) }
        for query in try some(recording, "qemu_savevm_query_pending exact=1, final=0") {
            let words = text(recording, query).split(separator: " ").first { $0.hasPrefix("stopcopy=") }
            guard let words, words != "stopcopy=0," else { continue }
            altersALine = true
            try expect(
                recording.replacing(.source, query, " \(words)", " stopcopy=0,"), breaks: .querySums, at: query, "query at \(query)")
        }
    }

    @Test(arguments: MutationTests.counting) func theDecision(name: String) throws {
        let recording = try Recording.named(name)
        let decision = try #require(recording.number(.source, "migration_thread_low_pending"))
        let pending = try #require(text(recording, decision).split(separator: " ").last)
        let query = try #require(recording.numbers(.source, "qemu_savevm_query_pending exact=1").last { $0 < decision })
        if pending != "0" {
            let estimate = recording.replacing(.source, query, "exact=1", "exact=0")
            try expect(estimate, breaks: .exactDecision, at: decision, "estimate")
        }
        // Behind missing lines the threshold is not known.
        guard !recording.gap(.source, before: decision, since: "migrate_transferred") else { return }
        // More is pending than any link carries.
        let much = recording.replacing(.source, decision, "low_pending \(pending)", "low_pending 9999999999999")
        try expect(much, breaks: .decisionFits, at: decision, "too much")
        // The source goes on although nothing holds it back. A query that still waits for an ACK holds it back.
        guard text(recording, query).contains("total switchover ack pending=0") else { return }
        let iterate = try #require(recording.number(.source, "savevm_state_iterate"))
        let late = recording.inserting(.source, text(recording, iterate), before: decision)
        try expect(late, breaks: .decisionDue, at: query, "late")
    }

    @Test(arguments: MutationTests.counting) func dirtyBytesComeFromNowhere(name: String) throws {
        let recording = try Recording.named(name)
        for part in try some(recording, "exact 1, final 0").filter({ text(recording, $0).contains("precopy dirty size 0,") }) {
            let altered = recording.replacing(.source, part, "precopy dirty size 0,", "precopy dirty size 4096,")
            try expect(altered, breaks: .dirtyBytes, at: part, "part at \(part)")
        }
    }

    @Test(arguments: ["cell reinit-gate", "cell two-devices"]) func theLastCheckIsMissing(name: String) throws {
        let recording = try Recording.named(name)
        let decision = try #require(recording.number(.source, "migration_thread_low_pending"))
        let check = try #require(recording.number(.source, "vfio_query_precopy_size ", after: decision))
        let device = try #require(text(recording, check).split(separator: "(").last?.split(separator: ")").first)
        let part = try #require(
            recording.numbers(.source, "vfio_state_pending  (\(device))").first { $0 > check && text(recording, $0).contains("final 1") })
        try expect(recording.removing(.source, check), breaks: .lastCheck, at: part - 1, "check at \(check)")
    }

    @Test(arguments: ["cell reinit-gate", "cell two-devices"]) func anAnswerIsTakenForAnother(name: String) throws {
        let recording = try Recording.named(name)
        for query in try recording.some(.source, "vfio_query_precopy_size ").prefix(5) {
            let old = text(recording, query).contains("reinit 0") ? "reinit 0" : "reinit 1"
            let altered = recording.replacing(.source, query, old, old == "reinit 0" ? "reinit 1" : "reinit 0")
            try expect(altered, breaks: .queryAsAnswered, at: query, "query at \(query)")
        }
    }

    /// A release's source sets the statuses that it has, and no others.
    @Test func theStatusesOfARelease() throws {
        var recording = try Recording.cell("postcopy-recovered")
        let recover = try #require(recording.number(.source, "migrate_set_state new state postcopy-recover"))
        func findings(_ newest: SideTraits.NewestStatus?) throws -> [Int] {
            recording.circumstances.sourceTraits.newestStatus = newest
            return try recording.judgement().findings.filter { $0.rule == .statusArc }.map { $0.places[0].line }
        }
        let unlimited = try findings(nil)
        #expect(unlimited == [])
        let text = recording.lines[.source]![recover - 1]
        let hasSetup = text.hasSuffix("postcopy-recover-setup")
        #expect(try findings(.device).contains(recover) == hasSetup)
        #expect(try findings(.failing).contains(recover) == !hasSetup)
    }
}
