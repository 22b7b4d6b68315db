import Foundation
import Glibc
import Plan
import TestSupport
import Testing

@testable import History
@testable import Running

/// What is filed is read back, by several processes at once and after a kill; and what changed between two runs.
@Suite struct HistoryTests {
    // MARK: Filing

    @Test func whatIsFiledIsReadBack() throws {
        try withFolder { folder in
            let path = folder + "/h.sqlite"
            let history = try History(path: path, creates: true)
            var bad = line("c-1", finding: true)
            bad.seconds = 3
            let first = try makeRun(
                folder, "20260101T000000.000Z-000001", [line("c-1"), bad, line("c-2")], started: "2026-01-01T00:00:00Z")
            let second = try makeRun(folder, "20260102T000000.000Z-000002", [line("c-1", acks: 2)], started: "2026-01-02T00:00:00Z")
            #expect(try history.add(runIn: first) == .added)
            #expect(try history.add(runIn: second) == .added)
            #expect(try history.add(runIn: first) == .replaced)
            // Another connection sees the same.
            let again = try History(path: path, creates: false)
            let runs = try again.runs(last: 10)
            #expect(runs.map(\.id) == ["20260102T000000.000Z-000002", "20260101T000000.000Z-000001"])
            #expect(runs[1].cells == 2 && runs[1].findings == 1 && runs[1].tool == "a" && runs[1].sides == "11.1 is 11.1.3")
            #expect(try again.runs(last: 1).count == 1)
            let entries = try again.entries(of: "c-1", last: 10)
            #expect(entries.map(\.outcome.verdict) == ["as predicted", "flaky, a finding in 1 of 2 runs"])
            #expect(entries[0].outcome.legs[0].text == "completed, gating, 1 requests, 1 counted in, 1 approvals, 2 ACKs sent, 2 counted")
            #expect(entries[1].outcome.seconds == 4 && entries[1].outcome.reason == "because")
            let found = try again.cells(containing: "c-", most: 1)
            #expect(found.names == ["c-1"] && found.count == 2)
            #expect(try again.cells(containing: "%", most: 10).count == 0)
            // The run as it was filed is the run as it stands in its folder.
            #expect(try again.outcomes(ofRun: "20260101").cells == RunOutcomes(ofRunIn: first).cells)
            for (id, words) in [("2026", "several runs have"), ("x", "no run has")] {
                let error = #expect(throws: Environment.self) { try again.outcomes(ofRun: id) }
                #expect(error?.description.contains(words) == true)
            }
        }
    }

    /// A merged run takes the place of its shards, whichever is filed first.
    @Test(arguments: [true, false]) func aMergedRunReplacesItsShards(shardsFirst: Bool) throws {
        try withFolder { folder in
            let history = try History(path: folder + "/h.sqlite", creates: true)
            let ids = ["20260101T000000.000Z-000001", "20260101T000000.000Z-000002"]
            let shards = try ids.enumerated().map { number, id in
                try makeRun(folder, id, [line("c-\(number)")], shard: Shard(number: number + 1, count: 2))
            }
            let merged = try makeRun(folder, "20260101T000000.000Z-000003", [line("c-0"), line("c-1")], merged: ids)
            if shardsFirst { for shard in shards { #expect(try history.add(runIn: shard) == .added) } }
            #expect(try history.add(runIn: merged) == .added)
            for shard in shards { #expect(try history.add(runIn: shard) == .isPartOf("20260101T000000.000Z-000003")) }
            #expect(try history.runs(last: 10).map(\.cells) == [2])
            #expect(try history.entries(of: "c-0", last: 10).count == 1)
        }
    }

    @Test func whatIsNoHistoryIsRefused() throws {
        try withFolder { folder in
            func refusal(_ path: String, creates: Bool = true) -> String {
                let error = #expect(throws: Environment.self) { try History(path: path, creates: creates) }
                return error?.description ?? ""
            }
            #expect(refusal(folder + "/none", creates: false).contains("no history"))
            #expect(!FileManager.default.fileExists(atPath: folder + "/none"))
            try Data(repeating: 0x41, count: 5000).write(to: URL(fileURLWithPath: folder + "/text"))
            #expect(refusal(folder + "/text").contains("file is not a database"))
            #expect(refusal(folder).contains("cannot be opened"))
            let other = try Database(path: folder + "/other", creates: true)
            try other.execute("create table t (a)")
            #expect(refusal(folder + "/other").contains("another database"))
            let later = try History(path: folder + "/later", creates: true)
            withExtendedLifetime(later) {}
            try Database(path: folder + "/later", creates: false).execute("pragma user_version = 9")
            #expect(refusal(folder + "/later").contains("format 1, found 9"))
            // A file that somebody has changed is an error with its place, not a crash.
            let run = try makeRun(folder, "20260101T000000.000Z-000001", [line("c")])
            let history = try History(path: folder + "/changed", creates: true)
            #expect(try history.add(runIn: run) == .added)
            try Database(path: folder + "/changed", creates: false).execute("update outcome set legs = '[{'")
            let error = #expect(throws: Environment.self) { try history.entries(of: "c", last: 1) }
            #expect(error?.description.contains("the entry of c in the run 20260101T000000.000Z-000001 was changed") == true)
        }
    }

    /// A damaged result leaves nothing of its run.
    @Test func aRunIsFiledWholeOrNotAtAll() throws {
        try withFolder { folder in
            let history = try History(path: folder + "/h.sqlite", creates: true)
            let run = try makeRun(folder, "20260101T000000.000Z-000001", [line("c")])
            #expect(try history.add(runIn: run) == .added)
            let log = run + "/results.jsonl"
            try ((FileManager.default.contents(atPath: log) ?? Data()) + Data("{}\n".utf8)).write(to: URL(fileURLWithPath: log))
            #expect(throws: ResultLogError.self) { try history.add(runIn: run) }
            #expect(try history.entries(of: "c", last: 10).count == 1)
        }
    }

    // MARK: Regressions

    @Test func whatChangedIsTold() {
        let before = outcomes([
            line("same"), line("worse"), line("better", finding: true), line("bad", finding: true), line("handshake"), line("gone"),
            race("race", "completed"),
        ])
        let after = outcomes([
            line("same"), line("worse", finding: true), line("better"), line("bad", finding: true), line("handshake", acks: 3), line("new"),
            race("race", "two guests running"),
        ])
        let found = Regressions(from: before, to: after, renamed: [:])
        #expect(found.newFailures.map(\.after) == ["worse"] && found.newFailures.first?.what == "FINDING: because")
        #expect(found.fixed.map(\.after) == ["better"] && found.stillFailing.map(\.after) == ["bad"])
        #expect(found.changed == [.init(before: "handshake", after: "handshake", what: "ACKs sent: 1 -> 3; ACKs counted: 1 -> 3")])
        #expect(found.onlyBefore == ["gone"] && found.onlyAfter == ["new"] && found.compared == 6)
        #expect(Regressions(from: before, to: before, renamed: [:]).changed.isEmpty)
    }

    /// A count that depends on timing is not compared, nor how devices are named by one release and not by the other.
    @Test func onlyWhatIsPredictedIsCompared() {
        var one = line("c")
        var other = line("c")
        one.legs[0].predicted.counts = ["requests", "countedIn"]
        (one.legs[0].counts.acksSent, other.legs[0].counts.acksSent) = (7, 1)
        (other.legs[0].counts.countedIn, other.legs[0].counts.countedInUnnamed) = ([:], 1)
        #expect(Regressions(from: outcomes([one]), to: outcomes([other]), renamed: [:]).changed.isEmpty)
        other.legs[0].counts.requests = ["v0": 2, "v1": 1]
        let changed = Regressions(from: outcomes([one]), to: outcomes([other]), renamed: [:]).changed
        #expect(changed.map(\.what) == ["requests: 1 (v0) -> 3 (v0 2, v1 1)"])
    }

    @Test func sidesAreRenamed() {
        let before = outcomes([
            line("10.0-10.0+q35-10.0+2-devices", side: "10.0"), line("10.0-10.0+q35", side: "10.0"),
            line("10.0-10.0+q35-9.2", side: "10.0"),
        ])
        let after = outcomes([
            line("11.1-11.1+q35-11.1+2-devices", acks: 2), line("11.1-11.1+q35"), line("11.1-11.1+q35-9.2"), line("11.1-11.1+q35-10.0"),
        ])
        let renamed = Regressions.renamed(from: before, to: after)
        #expect(renamed == ["10.0": "11.1"])
        let found = Regressions(from: before, to: after, renamed: renamed)
        #expect(found.compared == 3 && found.onlyBefore.isEmpty && found.onlyAfter == ["11.1-11.1+q35-10.0"])
        #expect(found.changed.map(\.before) == ["10.0-10.0+q35-10.0+2-devices"])
        // Where cells are shared, nothing is guessed.
        #expect(Regressions.renamed(from: before, to: before) == [:])
    }

    // MARK: Files for the tests

    private func withFolder(_ body: (String) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.path + "/ackmatrix-history-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try body(folder)
    }

    private func outcomes(_ lines: [ResultLine]) -> RunOutcomes {
        var run = RunOutcomes(label: "r")
        for line in lines { run.cells[line.cell] = CellOutcome(line) }
        return run
    }

    private func race(_ cell: String, _ ending: String) -> ResultLine {
        var race = line(cell)
        (race.legs[0].ending, race.legs[0].predicted.endings) = (ending, ["completed", "two guests running"])
        return race
    }

    private func line(_ cell: String, finding: Bool = false, acks: Int = 1, side: String = "11.1") -> ResultLine {
        let counts = ResultLine.Counts(
            requests: ["v0": 1], countedIn: ["v0": 1], approvals: ["v0": 1], acksSent: acks, acksCounted: acks)
        let leg = ResultLine.Leg(
            predicted: .init(
                endings: ["completed"], expectsACK: true, counts: ["requests", "countedIn", "approvals", "acksSent", "acksCounted"]),
            ending: "completed", reason: nil, gating: true, gatedSteps: 1, counts: counts, judges: [], oddOneOut: nil, differences: [],
            broken: [])
        let side = ResultLine.Side(binary: side, version: side + ".3", machine: "pc-q35-\(side)")
        return ResultLine(
            cell: cell, product: "p", source: side, destination: side, selection: [:], legs: [leg], deviations: .init(), finding: finding,
            findings: finding ? ["because"] : [], seconds: 1, reproduce: "")
    }

    /// The folder of a complete run.
    private func makeRun(
        _ folder: String, _ id: String, _ lines: [ResultLine], started: String = "2026-01-01T00:00:00Z", shard: Shard? = nil,
        merged: [String]? = nil
    ) throws -> String {
        let run = try ResultFolder("\(folder)/\(id)", RunRecord(command: ["ackmatrix", "run"], cells: lines.count), keepsAll: true)
        var header = RunHeader(
            tool: .init(version: "1", commit: "a", digest: "e"), binaries: [], shim: nil, matrix: .init(path: "/m", digest: "a"),
            deviations: .init(path: "/d", digest: "a"), options: [], otherOptions: [], rounds: 1, cells: CellTally(lines.map(\.cell)),
            shard: shard, isWhole: true, skipped: .init())
        (header.started, header.merged) = (started, merged)
        try run.begin(header)
        let log = try ResultLog(path: run.log)
        for line in lines { try log.append(line) }
        try run.end(.complete, done: lines.count, findings: 0)
        return run.path
    }
}
