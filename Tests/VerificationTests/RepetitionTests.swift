import Foundation
import MigrationTrace
import TestSupport
import Testing

@testable import Verification

/// Folds are judged without unfolding all of them, and the judgement is that of every entry one by one.
@Suite struct RepetitionTests {
    static let traces: [String] = {
        let files = FileManager.default
        return [repositoryFile("Traces"), TestCorpus.path("cells")].flatMap { folder in
            ((try? files.contentsOfDirectory(atPath: folder)) ?? []).filter { $0.hasSuffix(".trace") }.sorted().map { "\(folder)/\($0)" }
        }
    }()

    /// Those with a block of which something is counted: the others are judged entry by entry anyway.
    static let long = traces.filter { path in
        guard let trace = try? Trace(path: path) else { return false }
        return StreamName.allCases.contains { stream in
            trace[stream].folds.contains { if case .times(let count, _) = $0 { count > 402 } else { false } }
        }
    }

    /// Every entry is handed over.
    private static let all = Unfolding(whole: .max, mostUnfolded: .max)
    /// Every block that only counts is counted from its 402nd repetition on.
    private static let least = Unfolding(whole: 0, mostUnfolded: .max)

    @Test(arguments: long) func countingARepetitionIsJudgingIt(path: String) throws {
        let trace = try Trace(path: path)
        #expect(judge(trace, Self.least) == judge(trace, Self.all))
    }

    /// The logs of a source that waits are judged with most of their rounds only counted.
    @Test(arguments: long) func countingTheRoundsOfALogIsJudgingThem(path: String) throws {
        let trace = try Trace(path: path)
        var recording = Recording(lines: [:])
        for stream in [StreamName.source, .destination] { recording.lines[stream] = trace[stream].compactMap { $0.event?.line } }
        let sources = recording.logs.enumerated().map { LogSource(name: "log \($0.offset)", bytes: $0.element) }
        guard let judged = try? judgeAll(sources).migrations, judged.count == 1 else { return }
        var circumstances = Circumstances()
        circumstances.isForeign = true
        var verifier = Verifier(circumstances)
        for (stream, log) in zip([StreamName.source, .destination], recording.logs) {
            var reader = LogReader(log)
            try verifier.read(&reader, as: stream)
            verifier.limit(stream, to: reader.namesSeen)
        }
        #expect(judged[0].judgement == verifier.judgement())
    }

    /// The comparison says something only where something is counted.
    @Test func someTracesHaveBlocksThatAreCounted() { #expect(Self.long.count >= 5, "\(Self.long)") }

    /// A wait that goes on a billion times as long is the same wait: only the counts in its words differ.
    @Test(arguments: long) func aLongerWaitIsJudgedLikeTheShorterOne(path: String) throws {
        var trace = try Trace(path: path)
        let before = judge(trace)
        guard before.verdict == .waitsForever || before.verdict == .endlessAfterUnderflow || before.verdict == .doesNotConverge else {
            return
        }
        var isLonger = false
        for stream in StreamName.allCases {
            var longer = FoldedStream()
            for fold in trace[stream].folds {
                if case .times(let count, let block) = fold, count > 402, block.allSatisfy({ $0.step == .zero }) {
                    longer.append(.times(count << 30, block))
                    isLonger = true
                } else {
                    longer.append(fold)
                }
            }
            trace[stream] = longer
        }
        let after = judge(trace)
        #expect(after.verdict == before.verdict && after.broken == before.broken)
        #expect(!isLonger || after.reason != before.reason || after.handshake.gatedSteps >= before.handshake.gatedSteps)
    }

    /// Markers, requests and numbers that grow are judged one by one, as far as that ends; beyond, the middle counts as missing lines.
    @Test(arguments: [
        [Event.vfioSendInitDataFlag(device: "v0")], [.migrateError("again"), .savevmStateIterate], [.migrateSetState(.active)],
        [.sourceReturnPathThreadSwitchoverAcked(pending: 0)],
    ])
    func whatCannotBeCountedIsLeftOutAndSaid(block: [Event]) {
        var source = FoldedStream([Entry(.migrateSetState(.setup)), Entry(.migrateSetState(.active))])
        source.append(.times(1 << 40, block.map { FoldedEntry(first: Entry($0), lastTime: nil) }))
        var trace = Trace()
        trace.source = source
        let judgement = judge(trace)
        #expect(judgement.reason.contains(" repeated entries were left out of the judgement"), "\(judgement.reason)")
        #expect(judgement.findings.allSatisfy { $0.places.allSatisfy { $0.line <= source.count } })
    }

    @Test func numbersThatGrowAreLeftOutToo() {
        var trace = Trace()
        var query = PendingQuery()
        query.total = 1 << 50
        var step = EventNumbers.zero
        step[3] = -1
        trace.source = FoldedStream([Entry(.migrateSetState(.setup)), Entry(.migrateSetState(.active))])
        trace.source.append(.times(1 << 39, [FoldedEntry(first: Entry(.qemuSavevmQueryPending(query)), lastTime: nil, step: step)]))
        #expect(judge(trace).reason.contains("left out"))
    }
}
