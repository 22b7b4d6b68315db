import Foundation
import Plan
import TestSupport
import Testing

@testable import Bisect

@Suite struct BuildFileTests {
    @Test func standInsAreRead() throws {
        #expect(try BuildFile("ackmatrix-build 1\nqemu 10.0\n").side == .qemu(name: "10.0", arguments: []))
        #expect(
            try BuildFile("ackmatrix-build 1\n# with an argument\n\nqemu 11.1\nargument -global\nargument a.b=c d\n").side
                == .qemu(name: "11.1", arguments: ["-global", "a.b=c d"]))
        #expect(
            try BuildFile("ackmatrix-build 1\nengine 11.1\nmutant one\nmutant two\nchance 30").side
                == .engine(generation: "11.1", mutants: ["one", "two"], chance: 30))
        #expect(BuildFile.isDescription(Array("ackmatrix-build 9".utf8)) && !BuildFile.isDescription(Array("#!/bin/sh".utf8)))
    }

    @Test(arguments: [
        ("", 1, "expected 'ackmatrix-build 1'"), ("ackmatrix-build 2\nqemu 1", 1, "ackmatrix-build 2"),
        ("ackmatrix-build 1\n", 2, "found neither"), ("ackmatrix-build 1\nqemu 10.0\nqemu 11.1", 3, "once"),
        ("ackmatrix-build 1\nqemu 10.0\nengine 11.1", 3, "found both"), ("ackmatrix-build 1\nqemu", 2, "a word and its value"),
        ("ackmatrix-build 1\nqemu 10.0\nmutant x", 3, "found a qemu"), ("ackmatrix-build 1\nengine 10.0\nargument x", 3, "no command line"),
        ("ackmatrix-build 1\nengine 10.0\nchance 30", 3, "a mutant beside"),
        ("ackmatrix-build 1\nengine 10.0\nmutant x\nchance 0", 4, "1 to 100"),
        ("ackmatrix-build 1\nengine 10.0\nmutant x\nchance 101", 4, "1 to 100"), ("ackmatrix-build 1\nwhat ever", 2, "found 'what'"),
        ("ackmatrix-build 1\n" + String(repeating: "#\n", count: 300), 257, "at most 256 lines"),
        (String(repeating: "x", count: 70000), 1, "at most 65536 bytes"),
    ])
    func otherTextsAreRefusedWithTheirLine(text: String, line: Int, words: String) throws {
        let error = try #require(throws: BuildFile.Malformed.self) { try BuildFile(text) }
        #expect(error.line == line && error.reason.contains(words), "\(error)")
    }
}

@Suite struct BisectStateTests {
    private func folder() throws -> String {
        let folder = FileManager.default.temporaryDirectory.path + "/ackmatrix-bisect-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        return folder
    }

    @Test func aStateIsReadAsItWasWritten() throws {
        let folder = try folder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let path = BisectFolder(folder).state
        #expect(try BisectState(path: path) == nil)
        var question = BisectQuestion(repository: nil, list: ["10.0", "11.1"], side: .both, cell: "11.1-11.1+q35-11.1", lead: 5)
        var state = BisectState(question)
        state.failure = Signature(ending: "waits forever", parts: [.init(what: "ends", side: "source", phase: .precopy)])
        var record = RevisionRecord(.bad, "5 of 5")
        record.mode = .perDevice
        state.add(record, of: "entry-1")
        state.add(RevisionRecord(.skip, "it does not build"), of: "entry-0")
        try state.write(path: path)
        #expect(try BisectState(path: path) == state)
        #expect(state.order == ["entry-1", "entry-0"])
        let digest = try question.digest
        question.lead = 6
        #expect(try digest == state.question.digest && digest != question.digest)
    }

    @Test(arguments: ["", "{", "{}", "{\"format\": 2}", "{\"format\": 1}", "[]", "\u{0}"])
    func anotherFileIsRefused(text: String) throws {
        let folder = try folder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try text.write(toFile: folder + "/state.json", atomically: true, encoding: .utf8)
        #expect(throws: Environment.self) { try BisectState(path: folder + "/state.json") }
    }
}

@Suite struct BisectLogTests {
    private static let one = String(repeating: "1a", count: 20)
    private static let two = String(repeating: "2b", count: 20)

    @Test func theEndOfALogNamesTheCommits() {
        let begun = "# bad: [\(Self.two)] x\n# good: [\(Self.one)] y\ngit bisect start '\(Self.two)' '\(Self.one)'\n"
        #expect(Repository.outcome(ofLog: begun) == nil)
        #expect(Repository.outcome(ofLog: begun + "# first bad commit: [\(Self.two)] a [\(Self.one)]\n")?.candidates == [Self.two])
        let skipped = begun + "# only skipped commits left to test\n"
        #expect(Repository.outcome(ofLog: skipped) == nil)
        #expect(
            Repository.outcome(
                ofLog: skipped + "# possible first bad commit: [\(Self.two)] a\n# possible first bad commit: [\(Self.one)] b\n")?.candidates
                == [Self.two, Self.one])
        #expect(Repository.outcome(ofLog: "# first bad commit: [zz] a\n# first bad commit: ][\n") == nil)
    }
}
