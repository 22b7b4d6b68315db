import Foundation
import Glibc
import Plan
import Running
import TestSupport
import Testing

/// A run in shards, killed, resumed and merged shows what one run shows.
@Suite struct ScaleTests {
    /// Engine cells, few enough for a test, with known deviations among them.
    private static let options = ["run", "--engine", "11.1", "--engine", "10.0", "--tier", "quick"]

    @Test func mergedShardsShowWhatOneRunShows() throws {
        try withFolder { folder in
            let whole = try run(Self.options + ["--results", folder + "/whole"])
            #expect(whole.status == 0, "\(whole.text)")
            var shards: [String] = []
            for number in 1...3 {
                shards.append("\(folder)/\(number)")
                let part = try run(Self.options + ["--shard", "\(number)/3", "--results", shards[number - 1]])
                #expect(part.status == 0 && part.text.contains("(shard \(number)/3 of "), "\(part.text)")
            }
            let merged = try run(["merge", "--results", folder + "/merged"] + shards)
            #expect(merged.status == 0, "\(merged.text)")
            #expect(try verdicts(folder + "/merged") == verdicts(folder + "/whole"))
            #expect(try testCases(folder + "/merged") == testCases(folder + "/whole"))
            #expect(block(merged.text) == block(whole.text), "\(merged.text)")
            let header = try #require(try ResultReader.header(ofRunIn: ResultPlace.run(at: folder + "/merged")))
            #expect(header.shard == nil && header.merged?.count == 3)
            let list = try run(["results", "--results", folder + "/merged"])
            #expect(list.text.contains("merged of 3 shards") && list.text.contains("complete"), "\(list.text)")
            #expect(try run(["results", "--results", shards[1]]).text.contains("shard 2/3"))
            // A shard is missing, and one differs: nothing is written.
            let missing = try run(["merge", "--results", folder + "/none", shards[0], shards[2]])
            #expect(missing.status == 2 && missing.text.contains("missing 2/3"), "\(missing.text)")
            _ = try run(Self.options + ["--seed", "5", "--shard", "2/3", "--results", folder + "/other"])
            let other = try run(["merge", "--results", folder + "/none", shards[0], folder + "/other", shards[2]])
            #expect(other.status == 2 && other.text.contains("option --seed: 5 and none"), "\(other.text)")
            #expect(!FileManager.default.fileExists(atPath: folder + "/none"))
        }
    }

    /// SIGKILL in the middle: what has a result stays, the rest runs, and the whole is as if nothing had happened.
    @Test func aKilledRunGoesOn() throws {
        try withFolder { folder in
            let options = ["run", "--engine", "11.1", "--cell", "+2-devices", "--tier", "quick", "--repeat", "60", "--seed", "3"]
            #expect(try run(options + ["--results", folder + "/whole"]).status == 0)
            let process = Process()
            process.executableURL = URL(fileURLWithPath: command)
            process.arguments = options + ["--jobs", "1", "--results", folder + "/killed"]
            process.standardOutput = FileHandle.nullDevice
            process.standardError = FileHandle.nullDevice
            try process.run()
            let deadline = Date().addingTimeInterval(60)
            func count() -> Int {
                let path = ResultPlace.run(at: folder + "/killed") + "/results.jsonl"
                return FileManager.default.contents(atPath: path)?.count { $0 == UInt8(ascii: "\n") } ?? 0
            }
            while count() < 20 && process.isRunning && Date() < deadline { usleep(500) }
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
            try #require(process.terminationReason == .uncaughtSignal, "the run ended before it was killed")
            let killed = ResultPlace.run(at: folder + "/killed")
            let before = try ResultLog.read(path: killed + "/results.jsonl")
            let isKilled = KeptRun(killed)?.state == "killed"
            #expect(isKilled && !before.isEmpty)
            // Another command line would go on with something else.
            let refused = try run(["run", "--resume", folder + "/killed", "--seed", "4"])
            #expect(refused.status == 2 && refused.text.contains("option --seed: 4 and 3"), "\(refused.text)")
            let resumed = try run(["run", "--resume", folder + "/killed"])
            #expect(resumed.status == 0, "\(resumed.text)")
            let after = try ResultLog.read(path: killed + "/results.jsonl")
            #expect(Array(after.prefix(before.count)) == before)
            let (gone, whole) = (try verdicts(folder + "/killed"), try verdicts(folder + "/whole"))
            let other = zip(gone, whole).first { $0 != $1 }
            #expect(gone == whole, "\(gone.count) and \(whole.count) lines; \(other.map { "\($0.0)\n\($0.1)" } ?? "the same so far")")
            #expect(try testCases(folder + "/killed") == testCases(folder + "/whole"))
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder + "/killed").count == 2)
            // Resumed once more, it has nothing left to do.
            #expect(try run(["run", "--resume", killed]).status == 0)
            #expect(try ResultLog.read(path: killed + "/results.jsonl") == after)
        }
    }

    /// What failed runs again, with its options, and nothing else.
    @Test func onlyFindingsRunAgain() throws {
        try withFolder { folder in
            // Known deviations are findings.
            let strict = try run(Self.options + ["--deviations", "strict", "--results", folder + "/r"])
            #expect(strict.status == 1, "\(strict.text)")
            let first = ResultPlace.run(at: folder + "/r")
            let failed = try ResultLog.read(path: first + "/results.jsonl").filter(\.finding).map(\.cell)
            try #require(!failed.isEmpty)
            let again = try run(["run", "--rerun-failed", folder + "/r", "--repeat", "2"])
            #expect(
                again.status == 1 && again.text.contains("repeated: \(failed.count) cells failed in each run, 0 cells flaky"),
                "\(again.text)")
            let second = ResultPlace.run(at: folder + "/r")
            #expect(second != first)
            #expect(try ResultLog.read(path: second + "/results.jsonl").map(\.cell).sorted() == (failed + failed).sorted())
            let fixed = try run(["run", "--rerun-failed", first, "--deviations", "expected", "--results", folder + "/fixed"])
            #expect(fixed.status == 0, "\(fixed.text)")
            let none = try run(["run", "--rerun-failed", folder + "/fixed"])
            #expect(none.status == 2 && none.text.contains("nothing runs again"), "\(none.text)")
        }
    }

    /// Several processes file runs in a history that does not exist yet, and others are killed while they do: every run is there whole or
    /// not at all, and at the end all are.
    @Test func aHistoryHasManyWritersAndSurvivesAKill() throws {
        try withFolder { folder in
            let file = folder + "/h.sqlite"
            let first = try run(Self.options + ["--results", folder + "/r", "--history", folder + "/own.sqlite"])
            #expect(first.status == 0 && first.text.contains("history: filed"), "\(first.text)")
            let made = ResultPlace.run(at: folder + "/r")
            let cells = try ResultLog.read(path: made + "/results.jsonl").count
            let id = URL(fileURLWithPath: made).lastPathComponent
            // Copies of the run, each with an id of its own.
            let runs = try (0..<6).map { number in
                let copy = "\(folder)/copy-\(number)"
                try FileManager.default.copyItem(atPath: made, toPath: copy)
                let log = copy + "/results.jsonl"
                try String(contentsOfFile: log, encoding: .utf8).replacing(id, with: "copy-\(number)")
                    .write(toFile: log, atomically: true, encoding: .utf8)
                return copy
            }
            func add(_ runs: [String]) throws -> Process {
                let process = Process()
                process.executableURL = URL(fileURLWithPath: command)
                process.arguments = ["history", "add", "--history", file] + runs
                process.standardOutput = FileHandle.nullDevice
                try process.run()
                return process
            }
            func filed() throws -> [String] {
                let (text, status) = try run(["history", "--history", file])
                #expect(status == 0, "\(text)")
                let lines = text.split(separator: "\n").map(String.init)
                for line in lines { #expect(line.contains("  \(cells) cells  0 findings  "), "\(line)") }
                return lines.compactMap { line in runs.indices.map { "copy-\($0)" }.first { line.contains("  \($0)  ") } }.sorted()
            }
            // Killed after a while of its own, in the middle of whatever it does.
            var generator = SeededGenerator(seed: testSeed)
            for _ in 0..<6 {
                let process = try add([runs[0], runs[1]])
                usleep(UInt32.random(in: 5_000...120_000, using: &generator))
                kill(process.processIdentifier, SIGKILL)
                process.waitUntilExit()
                if FileManager.default.fileExists(atPath: file), (try? run(["history", "--history", file]).status) == 0 { _ = try filed() }
            }
            let writers = try [Array(runs[0...1]), Array(runs[2...3]), Array(runs[4...5]), Array(runs[0...1])].map(add)
            for writer in writers {
                writer.waitUntilExit()
                #expect(writer.terminationReason == .exit && writer.terminationStatus == 0)
            }
            #expect(try filed() == (0..<6).map { "copy-\($0)" })
            let (text, status) = try run(["history", "engine@11.1-engine@11.1+q35-11.1", "--history", file, "--last", "3"])
            #expect(status == 0 && text.contains("as predicted  completed, gating") && text.contains("  copy-5"), "\(text)")
            let same = try run(["regressions", "copy-1", "copy-2", "--history", file])
            #expect(
                same.status == 0 && same.text.contains("0 new failures, 0 fixed, 0 still failing, 0 with another handshake"), "\(same.text)"
            )
        }
    }

    /// Two generations have no cell in common; side by side, the handshake differs although every cell is as predicted.
    @Test func anotherReleaseHasAnotherHandshake() throws {
        try withFolder { folder in
            for name in ["10.0", "11.1"] {
                let (text, status) = try run(["run", "--engine", name, "--tier", "quick", "--results", "\(folder)/\(name)"])
                #expect(status == 0, "\(text)")
            }
            let (text, status) = try run(["regressions", folder + "/10.0", folder + "/11.1"])
            #expect(status == 0, "\(text)")
            #expect(text.contains("engine@10.0 of the first is compared with engine@11.1 of the second"), "\(text)")
            // Two devices: one ACK for all up to 11.0, one for each from 11.1 on.
            #expect(text.contains("ACKs sent: 1 -> 2"), "\(text)")
            let wrong = try run(["regressions", folder + "/10.0", folder + "/11.1", "--rename", "9.9=11.1"])
            #expect(wrong.status == 2 && wrong.text.contains("it has engine@10.0"), "\(wrong.text)")
        }
    }

    @Test(arguments: [
        (["run", "--shard", "5/4"], "expected K/N with K from 1 to N"), (["run", "--resume", "/nowhere"], "cannot be read"),
        (["run", "--resume", "/x", "--rerun-failed", "/x"], "expected one of them"), (["merge"], "DIR"),
        (["run", "--shard", "1/2", "--tamper", "ack-ignored"], "is not merged"), (["merge", "/nowhere"], "with its run.json, found none"),
        (["history", "--history", "/nowhere/h"], "no history"),
        (["history", "add", "/nowhere", "--history", "/nowhere/h"], "cannot be opened"),
        (["regressions", "/nowhere", "/nowhere"], "cannot be read"), (["history", "--last", "0"], "expected 1 or more"),
    ])
    func wrongUseIsNoFinding(arguments: [String], words: String) throws {
        let (text, status) = try run(arguments)
        #expect(status == 2 && text.contains(words), "\(text)")
    }

    private func run(_ arguments: [String]) throws -> (text: String, status: Int32) { try output(arguments) }

    private func withFolder(_ body: (String) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.path + "/ackmatrix-scale-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try body(folder)
    }

    /// Every result of the newest run in a place without what differs from run to run, sorted.
    private func verdicts(_ place: String) throws -> [String] {
        try ResultLog.read(path: ResultPlace.run(at: place) + "/results.jsonl").map { line in
            var line = line
            (line.seconds, line.reproduce) = (0, "")
            return String(decoding: try line.jsonLine(), as: UTF8.self)
        }.sorted()
    }

    /// The test cases of JUnit without their times, sorted.
    private func testCases(_ place: String) throws -> [String] {
        try String(contentsOfFile: ResultPlace.run(at: place) + "/junit.xml", encoding: .utf8).split(separator: "\n")
            .filter { $0.contains("<testcase") }.map { $0.replacing(/time="[^"]*"/, with: "") }.map {
                $0.trimmingCharacters(in: .whitespaces)
            }
            .sorted()
    }

    /// The closing block without times and places, and without the canary, of which each shard has its own.
    private func block(_ text: String) -> [String] {
        text.split(separator: "\n").map(String.init).filter { $0.contains(" as predicted") || $0.hasPrefix("deviations: ") }
            .map { $0.replacing(/[0-9.]+ s$/, with: "N s") }
    }
}
