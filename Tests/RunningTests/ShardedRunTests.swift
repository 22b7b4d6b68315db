import Foundation
import Glibc
import Matrix
import Plan
import QEMUPeer
import TestSupport
import Testing

@testable import Running

/// Which shard a cell belongs to, what a run's header tells, and which shards make one run.
@Suite struct ShardedRunTests {
    // MARK: Shards

    /// The hash is fixed: a machine with another version of this program, or another day, must not shuffle the cells.
    @Test(arguments: [
        ("10.0-10.0+q35-10.0", [2, 2, 2]), ("11.1-11.1+q35-11.1+2-devices", [2, 4, 7]),
        ("11.1-10.0+q35+2-devices+reinits-1", [1, 3, 3]), ("x", [1, 3, 3]),
    ])
    func aNameHasItsShardForGood(name: String, numbers: [Int]) throws {
        for (count, number) in zip([2, 4, 7], numbers) {
            #expect(try #require(Shard(number: number, count: count)).contains(name), "\(name) in \(count) shards")
        }
    }

    @Test func eachCellIsInOneShardAndItsWitnessInTheSame() throws {
        let matrix = try MatrixFile(path: repositoryFile("harness/matrix/default.yaml"))
        let names = try Recipe.cells(of: matrix, tier: .quick, binaries: ProbedBinary.engines).cells.map(\.name)
        try #require(names.count > 100)
        for count in [1, 2, 3, 4, 16, 1000] {
            let shards = (1...count).compactMap { Shard(number: $0, count: count) }
            var sizes: [Int] = []
            for name in names {
                let own = shards.filter { $0.contains(name) }
                #expect(own.count == 1, "\(name) is in \(own)")
                #expect(own == shards.filter { $0.contains(sharedCellName(name)) })
                sizes.append(own.first?.number ?? 0)
            }
            // No shard has more than twice its share of a few hundred cells.
            let most = Dictionary(grouping: sizes) { $0 }.values.map(\.count).max() ?? 0
            if count <= 4 { #expect(most <= 2 * names.count / count, "\(most) of \(names.count) in one of \(count)") }
        }
    }

    @Test(arguments: [
        ("1/1", true), ("4/4", true), ("10000/10000", true), ("0/4", false), ("5/4", false), ("-1/4", false), ("1/0", false),
        ("1/10001", false), ("1", false), ("1/", false), ("/1", false), ("1/2/3", false), ("a/b", false), ("", false),
        ("99999999999999999999/99999999999999999999", false),
    ])
    func aShardIsReadOrRefused(text: String, isShard: Bool) throws {
        #expect((Shard(text) != nil) == isShard)
        let json = try JSONEncoder().encode([text])
        #expect(((try? JSONDecoder().decode([Shard].self, from: json)) != nil) == isShard)
    }

    @Test func aTallyTellsSetsApartWithoutTheirOrder() {
        let names = (0..<100).map { "cell-\($0)" }
        #expect(CellTally(names) == CellTally(names.reversed()))
        #expect(CellTally(names) != CellTally(names.dropLast() + ["cell-98"]))
        #expect(CellTally(names) != CellTally(names.dropLast() + ["other"]))
    }

    // MARK: Repetition

    @Test func aFlakyCellIsToldFromOneThatFails() {
        var repetition = Repetition()
        for round in 0..<4 {
            for (cell, isFinding) in [("good", false), ("bad", true), ("flaky", round == 2)] {
                #expect(repetition.add(line(cell, finding: isFinding)) == nil)
            }
            // It is as predicted each time, and yet not the same.
            var varying = line("varies", finding: false)
            varying.legs[0].gating = round != 1
            #expect((repetition.add(varying) != nil) == (round == 1))
        }
        #expect(repetition.failing.map(\.text) == ["bad, a finding in 4 of 4 runs"])
        #expect(repetition.flaky.map(\.text) == ["flaky, a finding in 1 of 4 runs", "varies, a finding in 0 of 4 runs"])
    }

    // MARK: The header

    @Test func aHeaderIsReadBackBeforeTheResults() throws {
        try withFolder { folder in
            let path = folder + "/results.jsonl"
            let written = header(shard: Shard("2/3"))
            let log = try ResultLog(path: path)
            try log.append(written.jsonLine())
            let lines = ["a", "b"].map { line($0) }
            for line in lines { try log.append(line) }
            var reader = try ResultReader(path: path)
            #expect(reader.header == written && reader.lineNumber == 1)
            #expect(try reader.next()?.line == lines[0] && reader.lineNumber == 2)
            let last = try reader.next()
            let json = try lines[1].jsonLine()
            #expect(last?.line == lines[1] && last?.json == json)
            #expect(try reader.next() == nil)
            #expect(try ResultLog.read(path: path) == lines)
            #expect(try ResultReader.header(ofRunIn: folder) == written)
        }
    }

    /// A log of an earlier version has no header, and is read all the same.
    @Test func aLogWithoutAHeaderIsRead() throws {
        let line = line("a")
        var reader = try ResultReader(line.jsonLine() + line.jsonLine(), path: "r")
        #expect(reader.header == nil)
        for _ in 1...2 { #expect(try reader.next()?.line == line) }
        #expect(try reader.next() == nil)
        #expect(try ResultReader(Data(), path: "r").header == nil)
    }

    @Test func aDamagedHeaderIsRefusedWithItsPlace() throws {
        let good = String(decoding: try header().jsonLine(), as: UTF8.self)
        func change(_ from: String, _ to: String) throws -> String {
            #expect(good.contains(from), "\(good)")
            return good.replacing(from, with: to)
        }
        let rows = [
            (try change("\"format\":1", "\"format\":2"), 1, "expected a header of format 1, found 2"),
            ("{\"header\":{\"format\":9}}\n", 1, "expected a header of format 1, found 9"),
            ("{\"header\":{\"format\":1}}\n", 1, "is missing"), ("{\"header\":7}\n", 1, "expected a run's header"),
            (try change("\"rounds\":1", "\"rounds\":0"), 1, "expected 1 round or more"),
            (try change("\"rounds\":1", "\"rounds\":9999999999"), 1, "at most a billion"),
            (try change("\"rounds\":1", "\"rounds\":\"1\""), 1, "'header.rounds' is of another type"),
            (try change("\"rounds\":1", "\"rounds\":1,\"shard\":\"9/4\""), 1, "expected a shard K/N"),
            (good + good, 2, "a header, which stands in the first line alone"),
            (good + "{\"cell\":", 2, "it is not JSON"),
        ]
        for (text, number, words) in rows {
            let error = #expect(throws: ResultLogError.self) { _ = try ResultLog.lines(Data((text + "\n").utf8), path: "r") }
            #expect(error?.line == number && error?.reason.contains(words) == true, "\(text.prefix(80)): \(String(describing: error))")
        }
    }

    /// A line without an end, in a file of any size, is not held.
    @Test func anEndlessLineIsRefused() throws {
        try withFolder { folder in
            let path = folder + "/results.jsonl"
            try Data(count: ResultLog.longestLine + 100_000).write(to: URL(fileURLWithPath: path))
            let error = #expect(throws: ResultLogError.self) { try ResultReader(path: path) }
            #expect(error?.line == 1 && error?.reason.contains("expected a line of at most") == true)
        }
    }

    @Test func whateverDecidesResultsIsCompared() throws {
        let one = header()
        #expect(one.differences(from: one) == [])
        func changed(_ change: (inout RunHeader) -> Void) -> [String] {
            var other = one
            change(&other)
            return one.differences(from: other)
        }
        let rows: [([String], String)] = [
            (changed { $0.tool.commit = "b" }, ""), (changed { $0.tool = .init(version: "1", commit: "b", digest: "f") }, "ackmatrix"),
            (changed { $0.tool = .init(version: "1", commit: nil, digest: nil) }, "ackmatrix"),
            (changed { $0.options = [.init("--seed", "6")] }, "option --seed: 5 and 6"),
            (changed { $0.options += [.init("--own-modes")] }, "option --own-modes: none and given"),
            (changed { $0.matrix.digest = "b" }, "matrix file"), (changed { $0.deviations.digest = nil }, "list of deviations"),
            (changed { $0.shim?.digest = "b" }, "preload shim"), (changed { $0.shim = nil }, "preload shim"),
            (changed { $0.binaries[0].file?.digest = "b" }, "binary 11.1: 11.1.3, SHA-256 c and 11.1.3, SHA-256 b"),
            (changed { $0.binaries[0].version = "11.1.4" }, "binary 11.1"), (changed { $0.binaries = [] }, "binary 11.1"),
            (changed { $0.cells = CellTally(["x", "z"]) }, "cells: 2 each, with other names"),
            (changed { $0.cells = CellTally(["x"]) }, "cells: 2 and 1"),
            (changed { $0.machines[0].host = "other" }, ""), (changed { $0.otherOptions = [.init("--matrix", "/m")] }, ""),
        ]
        for (differences, words) in rows {
            #expect(
                words.isEmpty ? differences.isEmpty : differences.count == 1 && differences[0].contains(words), "\(differences): \(words)")
        }
        // An unknown digest equals no other, and a changed checkout is told by its executable.
        var unknown = one
        unknown.matrix.digest = nil
        #expect(unknown.differences(from: unknown).count == 1)
        var dirty = one
        dirty.tool.commit = "a-dirty"
        #expect(dirty.differences(from: dirty) == [])
        var rebuilt = dirty
        rebuilt.tool.digest = "other"
        #expect(dirty.differences(from: rebuilt).count == 1)
        // On devices of the kernel, the kernel decides results, too.
        var kernel = one
        kernel.options += [.init("--vfio", "kernel:/dev/x")]
        var other = kernel
        other.machines[0].kernel += "-other"
        #expect(kernel.differences(from: other).map { $0.hasPrefix("kernels") } == [true])
    }

    // MARK: Merging

    @Test func allShardsMakeOneRun() throws {
        try withShards { folders, names in
            let merging = try Merging(folders.reversed())
            #expect(merging.parts.map(\.path) == folders && merging.header.shard == nil)
            #expect(merging.header.merged == folders.map { URL(fileURLWithPath: $0).lastPathComponent })
            var found: [String] = []
            try merging.results { found.append($0.line.cell) }
            #expect(found.sorted() == names.sorted())
        }
    }

    @Test(arguments: [
        "missing", "doubled", "whole", "other seed", "running", "no header", "no run", "stranger", "twice", "lost", "renamed",
    ])
    func shardsThatMakeNoRunAreRefused(flaw: String) throws {
        try withShards { folders, names in
            var folders = folders
            let log = folders[1] + "/results.jsonl"
            func rewrite(_ change: (inout RunHeader, inout [ResultLine]) throws -> Void) throws {
                var header = try #require(try ResultReader.header(ofRunIn: folders[1]))
                var lines = try ResultLog.read(path: log)
                try change(&header, &lines)
                try (header.jsonLine() + lines.reduce(into: Data()) { try $0.append($1.jsonLine()) }).write(to: URL(fileURLWithPath: log))
            }
            let words: String
            switch flaw {
            case "missing":
                folders.remove(at: 1)
                words = "missing 2/3"
            case "doubled":
                folders.append(folders[1])
                words = "found shard 2/3 in \(folders[1]) and \(folders[1])"
            case "whole":
                try rewrite { header, _ in header.shard = nil }
                words = "found a run of all cells"
            case "other seed":
                try rewrite { header, _ in header.options = [.init("--seed", "6")] }
                words = "option --seed: 6 and 5"
            case "running":
                let record = folders[1] + "/run.json"
                try String(contentsOfFile: record, encoding: .utf8).replacing("\"complete\"", with: "\"running\"")
                    .write(toFile: record, atomically: true, encoding: .utf8)
                words = "found one that is killed; go on with it: ackmatrix run --resume"
            case "no header":
                try line("a").jsonLine().write(to: URL(fileURLWithPath: log))
                words = "found none: an earlier version made it"
            case "no run":
                folders[1] += "/cells"
                words = "with its run.json, found none"
            case "stranger":
                let shard = try #require(Shard("2/3"))
                let stranger = try #require(names.first { !shard.contains($0) })
                try rewrite { _, lines in lines.append(line(stranger)) }
                words = "expected a cell of shard 2/3, found '\(stranger)'"
            case "twice":
                try rewrite { _, lines in lines.append(lines[0]) }
                words = "expected 1 result of"
            case "lost":
                try rewrite { _, lines in lines.removeLast() }
                words = "found \(names.count - 1) with a result and 0 that could not run"
            default:
                let shard = try #require(Shard("2/3"))
                let other = try #require((0..<100).map { "renamed-\($0)" }.first(where: shard.contains))
                try rewrite { _, lines in lines[0].cell = other }
                words = "with other names"
            }
            let error = #expect(throws: (any Error).self) { try Merging(folders).results { _ in } }
            #expect("\(error.map { "\($0)" } ?? "")".contains(words), "\(String(describing: error))")
        }
    }

    /// Cells whose binaries do not migrate to each other here are counted, and are not missing.
    @Test func cellsThatCouldNotRunAreNotMissing() throws {
        try withShards(lost: 1) { folders, names in
            let merging = try Merging(folders)
            var found = 0
            try merging.results { _ in found += 1 }
            #expect(found == names.count - 1 && merging.notRun.count == 1)
        }
    }

    /// A hidden folder is no run until it is published, and a killed process's is removed.
    @Test func aMergedRunAppearsWholeOrNotAtAll() throws {
        try withFolder { folder in
            let place = try ResultPlace(folder)
            let record = RunRecord(command: ["merge"], cells: 1)
            var left: ResultFolder? = try place.beginHidden(record, keepsAll: true)
            let leftPath = try #require(left?.path)
            #expect(ResultPlace.runs(in: folder).isEmpty)
            let alive = try place.beginHidden(record, keepsAll: true)
            #expect(FileManager.default.fileExists(atPath: leftPath))
            // Its lock goes with it, as with a process.
            left = nil
            let next = try place.beginHidden(record, keepsAll: true)
            #expect(!FileManager.default.fileExists(atPath: leftPath) && FileManager.default.fileExists(atPath: alive.path))
            try place.publish(next)
            #expect(ResultPlace.runs(in: folder).map(\.path) == [next.finalPath] && ResultPlace.run(at: folder) == next.finalPath)
        }
    }

    // MARK: Files for the tests

    private func withFolder(_ body: (String) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.path + "/ackmatrix-shards-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try body(folder)
    }

    /// Three complete shards of ten cells; `lost` of them could not run.
    private func withShards(lost: Int = 0, _ body: (_ folders: [String], _ names: [String]) throws -> Void) throws {
        try withFolder { folder in
            let names = (0..<10).map { "cell-\($0)" }
            let folders = try (1...3).map { number in
                let shard = try #require(Shard(number: number, count: 3))
                let place = try ResultPlace("\(folder)/\(number)")
                var run = try place.begin(RunRecord(command: ["ackmatrix", "run"], cells: 0), keepsAll: true)
                try run.begin(header(shard: shard, cells: names))
                let log = try ResultLog(path: run.log)
                for name in names.dropLast(lost) where shard.contains(name) { try log.append(line(name)) }
                for name in names.suffix(lost) where shard.contains(name) {
                    run.notRun.insert(name, Unavailable(description: "environment: no migration"))
                }
                try run.end(.complete, done: 0, findings: 0)
                return run.path
            }
            try body(folders, names)
        }
    }

    private func header(shard: Shard? = nil, cells: [String] = ["x", "y"]) -> RunHeader {
        RunHeader(
            tool: .init(version: "1", commit: "a", digest: "e"),
            binaries: [.init(name: "11.1", version: "11.1.3", file: .init(path: "/q", digest: "c"))],
            shim: .init(path: "/s", digest: "d"), matrix: .init(path: "/m", digest: "a"), deviations: .init(path: "/d", digest: "a"),
            options: [.init("--seed", "5")], otherOptions: [], rounds: 1, cells: CellTally(cells), shard: shard, isWhole: true,
            skipped: SkippedCells())
    }

    private func line(_ cell: String, finding: Bool = false) -> ResultLine {
        let leg = ResultLine.Leg(
            predicted: .init(endings: ["completed"], expectsACK: true, counts: []), ending: "completed", reason: nil, gating: true,
            gatedSteps: 1, counts: .init(), judges: [], oddOneOut: nil, differences: [], broken: [])
        return ResultLine(
            cell: cell, product: "p", source: .init(binary: "b", version: "1", machine: "m"),
            destination: .init(binary: "b", version: "1", machine: "m"), selection: [:], legs: [leg], deviations: .init(),
            finding: finding, findings: finding ? ["x"] : [], seconds: 1, reproduce: "")
    }
}
