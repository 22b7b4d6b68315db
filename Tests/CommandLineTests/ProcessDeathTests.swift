import Foundation
import Glibc
import Peers
import Testing

/// The command itself, as built beside these tests.
let command = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent().appendingPathComponent(
    "ackmatrix"
).path
let shimPath = ProcessInfo.processInfo.environment["ACKMATRIX_SHIM"] ?? ""
private let fetched = (try? QEMUBinaries().all) ?? []
let qemuAtHand =
    FileManager.default.fileExists(atPath: shimPath) && ["10.0", "11.1"].allSatisfy { name in fetched.contains { $0.name == name } }

/// Living processes that were started for a run in this folder, by their command line.
private func processes(under folder: String) -> [Int32] {
    let needle = Data(folder.utf8)
    return ((try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []).compactMap { Int32($0) }.filter {
        FileManager.default.contents(atPath: "/proc/\($0)/cmdline")?.range(of: needle) != nil
    }
}

@Suite(
    .serialized,
    .enabled(if: qemuAtHand, "needs QEMU 10.0 and 11.1 (ackmatrix qemu fetch) and the shim named by ACKMATRIX_SHIM: run harness/test"))
struct ProcessDeathTests {
    /// SIGKILL at random points of a run: no child lives one second later, and the next run sweeps the files.
    @Test func noChildSurvivesAKilledRun() throws {
        let folder = try temporaryFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        var generator = SeededGenerator.announced()
        var sawChildren = 0
        for round in 1...20 {
            let process = try start(["run"], temporary: folder)
            let delay = UInt32.random(in: 0..<1_500_000, using: &generator)
            // The kill's moment is what is random here; nothing is waited for.
            usleep(delay)
            if !processes(under: folder).isEmpty { sawChildren += 1 }
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
            let deadline = Deadline.after(seconds: 1)
            while !processes(under: folder).isEmpty && deadline.remaining > 0 { usleep(2_000) }
            #expect(processes(under: folder) == [], "round \(round), killed after \(delay) microseconds")
        }
        #expect(sawChildren > 0, "no round killed the run while a QEMU was alive")

        let last = try start(["run", "--cell", "reinit-gate"], temporary: folder)
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
        defer { try? FileManager.default.removeItem(atPath: folder) }
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

    private func temporaryFolder() throws -> String {
        var template = Array("/tmp/ackmatrix-death.XXXXXX".utf8CString)
        let made = template.withUnsafeMutableBufferPointer { mkdtemp($0.baseAddress!) }
        return String(cString: try #require(made))
    }

    private func start(_ arguments: [String], temporary: String) throws -> Process {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: command)
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(["TMPDIR": temporary]) { $1 }
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        return process
    }
}

/// A generator whose seed is printed, and taken from ACKMATRIX_SEED to replay.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    static func announced() -> SeededGenerator {
        let seed = ProcessInfo.processInfo.environment["ACKMATRIX_SEED"].flatMap { UInt64($0) } ?? UInt64.random(in: 0...UInt64.max)
        print("seed \(seed) (replay with ACKMATRIX_SEED=\(seed))")
        return SeededGenerator(state: seed)
    }

    /// SplitMix64.
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = state
        value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
        return value ^ (value >> 31)
    }
}
