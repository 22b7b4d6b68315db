import Foundation
import Glibc
import QEMUPeer
import Running
import TestSupport
import Testing

/// The command itself, as built beside these tests.
let command = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent().appendingPathComponent(
    "ackmatrix"
).path
let shimPath = ProcessInfo.processInfo.environment["ACKMATRIX_SHIM"] ?? ""
private let fetched = (try? QEMUBinaries().all) ?? []
let qemuAtHand = FileManager.default.fileExists(atPath: shimPath) && !fetched.isEmpty

@Suite(
    .serialized,
    .enabled(if: qemuAtHand, "needs fetched QEMU binaries (ackmatrix qemu fetch) and the shim named by ACKMATRIX_SHIM: run harness/test"))
struct ProcessDeathTests {
    /// SIGKILL at random points of a run: no child lives on, and the next run sweeps the files.
    @Test func noChildSurvivesAKilledRun() throws {
        let folder = try temporaryFolder()
        defer { for made in [folder, folder + "-results"] { try? FileManager.default.removeItem(atPath: made) } }
        let caches = try temporaryFolder()
        defer { try? FileManager.default.removeItem(atPath: caches) }
        func freshCache(_ round: Int) throws -> String {
            let cache = "\(caches)/\(round)"
            try FileManager.default.createDirectory(atPath: cache, withIntermediateDirectories: false)
            try FileManager.default.createSymbolicLink(atPath: cache + "/qemu", withDestinationPath: QEMUBinaries.cache + "/qemu")
            return cache
        }
        var generator = SeededGenerator(seed: testSeed)
        var sawChildren = 0
        for round in 1...20 {
            // Every other round nothing is remembered, so that kills fall into probing and its trial migrations too.
            let process = try start(["run"], temporary: folder, cache: round.isMultiple(of: 2) ? freshCache(round) : nil)
            // The kill's moment is random. In half of the rounds it counts from the first QEMU on, which a busy machine starts late.
            let seesChildren = round % 4 < 2
            let patience = Deadline.after(seconds: 60)
            while seesChildren, processes(under: folder).isEmpty, patience.remaining > 0 { usleep(2_000) }
            let delay = UInt32.random(in: 0..<(seesChildren ? 500_000 : 1_500_000), using: &generator)
            usleep(delay)
            if !processes(under: folder).isEmpty { sawChildren += 1 }
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
            // The kernel ends the children; on a busy machine that takes a while.
            let deadline = Deadline.after(seconds: 20)
            while !processes(under: folder).isEmpty && deadline.remaining > 0 { usleep(2_000) }
            #expect(processes(under: folder) == [], "round \(round), killed after \(delay) microseconds")
        }
        #expect(sawChildren >= 5, "only \(sawChildren) of 20 rounds killed the run while a QEMU was alive")

        let last = try start(["run", "--cell", "2-devices+first-without-p2p"], temporary: folder)
        last.waitUntilExit()
        #expect(last.terminationStatus == 0)
        let left = try FileManager.default.contentsOfDirectory(atPath: folder).flatMap {
            try FileManager.default.contentsOfDirectory(atPath: folder + "/" + $0)
        }
        #expect(left == [])
    }

    /// A signal that can be caught ends the run in order: children reaped, files gone, and the process ended by that signal.
    @Test(arguments: [SIGINT, SIGTERM])
    func aSignalEndsTheRunInOrder(number: Int32) throws {
        let folder = try temporaryFolder()
        defer { for made in [folder, folder + "-results"] { try? FileManager.default.removeItem(atPath: made) } }
        let process = try start(["run"], temporary: folder)
        let deadline = Deadline.after(seconds: 20)
        while processes(under: folder).isEmpty && deadline.remaining > 0 { usleep(2_000) }
        #expect(!processes(under: folder).isEmpty)
        kill(process.processIdentifier, number)
        process.waitUntilExit()
        #expect(process.terminationReason == .uncaughtSignal)
        #expect(process.terminationStatus == number)
        #expect(processes(under: folder) == [])
        let left = try FileManager.default.contentsOfDirectory(atPath: folder).flatMap {
            try FileManager.default.contentsOfDirectory(atPath: folder + "/" + $0)
        }
        #expect(left == [])
    }

    /// What was found before the signal is in the file, whole lines and a tally.
    @Test func resultsBeforeASignalAreWritten() throws {
        let folder = try temporaryFolder()
        defer { for made in [folder, folder + "-results"] { try? FileManager.default.removeItem(atPath: made) } }
        let path = folder + "/out"
        try Data().write(to: URL(fileURLWithPath: path))
        let process = try start(
            ["run", "--cell", "2-devices+first-without-p2p", "--repeat", "100000", "--format", "lines"], temporary: folder,
            output: FileHandle(forWritingAtPath: path))
        let deadline = Deadline.after(seconds: 20)
        func text() throws -> String { try String(contentsOfFile: path, encoding: .utf8) }
        while try !text().contains("refused") && deadline.remaining > 0 { usleep(2_000) }
        process.terminate()
        process.waitUntilExit()
        let written = try text()
        #expect(written.hasSuffix("\n"))
        #expect(written.contains("stopped after "))
        let results = try ResultLog.read(path: ResultPlace.run(at: folder + "-results") + "/results.jsonl")
        #expect(!results.isEmpty && results.allSatisfy { $0.ending == "refused" && !$0.finding })
        #expect(try String(contentsOfFile: ResultPlace.run(at: folder + "-results") + "/junit.xml", encoding: .utf8).contains("<testcase"))
    }

    private func temporaryFolder() throws -> String {
        var template = Array("/tmp/ackmatrix-death.XXXXXX".utf8CString)
        let made = template.withUnsafeMutableBufferPointer { mkdtemp($0.baseAddress!) }
        return String(cString: try #require(made))
    }

    private func start(_ arguments: [String], temporary: String, cache: String? = nil, output: FileHandle? = nil) throws -> Process {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: command)
        process.arguments = arguments + ["--results", temporary + "-results"]
        process.environment = ProcessInfo.processInfo.environment.merging([
            "TMPDIR": temporary, "ACKMATRIX_CACHE": cache ?? QEMUBinaries.cache,
        ]) { $1 }
        process.standardOutput = output ?? FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        return process
    }
}
