import Foundation
import Running
import TestSupport
import Testing

/// What the command says and how it exits, as a user meets it. Status 1 is a finding; everything else that goes wrong is 2.
@Suite struct ExitStatusTests {
    @Test(arguments: [
        (["--help"], 0, "switchover-ACK handshake"),
        (["run", "--help"], 0, "--cell"),
        (["no-such-command"], 2, "no-such-command"),
        (["run", "--repeat", "0"], 2, "expected 1 or more"),
        (["run", "--jobs", "0"], 2, "expected 1 or more"), (["run", "--tier", "huge"], 2, "quick"),
        (["run", "--format", "x"], 2, "brief"), (["run", "--tamper", "x"], 2, "decision-before-ack"),
        (["run", "--sides", "both"], 2, "engine"),
        (["run", "--engine", "9.9"], 2, "postcopy-device-v1"),
        (["list", "--sides", "engine", "--tier", "quick"], 0, "engine@10.0-engine@11.1+q35-10.0+2-devices"),
        (["list", "--engine", "8.1", "--tier", "quick"], 0, "engine@8.1-engine@8.1+q35-8.1"),
        (["list", "--engine", "11.1", "--cell", "again"], 0, "engine@11.1-engine@11.1+q35-11.1+0-devices+with-requester-again"),
        (["report", "--standalone", "engine@11.1-engine@11.1+q35-11.1"], 2, "no process that a script could drive"),
        (["inject", "--scenario", "no-devices"], 0, "all ended with one guest"),
        (["inject", "--generation", "11.1", "--scenario", "one-device", "--place", "back.3:break"], 1, "none without starts-before-shut"),
        (["inject", "--scenario", "one-device", "--place", "back.3:break"], 0, "ending: source runs"),
        (["inject", "--generation", "9.9"], 2, "10.0"), (["inject", "--scenario", "none"], 2, "postcopy-recovered"),
        (["inject", "--scenario", "no-devices", "--place", "back.1:eio"], 2, "found 'back.1:eio'"),
        (["inject", "--place", "back.1:break"], 2, "one --scenario"),
        (["check"], 2, "<PATH>"), (["check", "/nowhere"], 2, "no such file"), (["check", "/etc/hostname"], 2, "expected trace events"),
        (["check", "/etc"], 2, "no cell.trace"), (["explain", "--help"], 0, "60 lines"), (["list", "--coverage"], 0, " 0 open"),
        (["run", "--qemu", "11.1"], 2, "NAME=PATH"),
        (["run", "--qemu", "11.1=/nowhere"], 2, "executable file"),
        (["run", "--qemu", "11.1=/etc/init.d/../../usr/bin/ldd"], 2, "ELF"),
        (["script", "check", "/nowhere.script"], 2, "cannot be read"),
        (["log", "/nowhere.log"], 2, "/nowhere.log"),
        (["log", "/dev/null"], 2, "empty input"),
        (["log", "/proc/self/exe"], 2, "expected trace events"),
        (["trace", "check", "/dev/null"], 2, "refused"),
        (["trace", "check", "/etc/passwd"], 2, "line 1"),
    ])
    func theCommandTeachesAndExits(arguments: [String], status: Int32, words: String) throws {
        let (text, exit) = try output(arguments)
        #expect(exit == status, "\(text)")
        #expect(text.contains(words), "\(text)")
    }

    /// Two logs in either order, one alone, a log that lost an approval, two of a side, and a corpus.
    @Test func whatIsJudgedAndHowItExits() throws {
        let logs = TestCorpus.path("qemu")
        let (source, destination) = (logs + "/vfio-new-2.src.log", logs + "/vfio-new-2.dst.log")
        for pair in [[source, destination], [destination, source], [source], [destination]] {
            let (text, exit) = try output(["check"] + pair)
            #expect(exit == 0 && text.contains("nothing broken"), "\(text)")
        }
        let lost = FileManager.default.temporaryDirectory.path + "/ackmatrix-lost-\(UUID().uuidString).log"
        defer { try? FileManager.default.removeItem(atPath: lost) }
        var lines = try String(contentsOfFile: destination, encoding: .utf8).split(separator: "\n", omittingEmptySubsequences: false)
        let approval = try #require(lines.firstIndex { $0.contains("loadvm_approve_switchover") })
        lines.remove(at: approval)
        try lines.joined(separator: "\n").write(toFile: lost, atomically: true, encoding: .utf8)
        let (text, exit) = try output(["check", source, lost])
        #expect(exit == 1 && text.contains("marker-approved") && text.contains("destination:\(approval)"), "\(text)")
        #expect(try output(["check", source, source]).1 == 2)
        #expect(try output(["check", source, destination, lost]).1 == 2)
        #expect(try output(["check", repositoryFile("Traces")]).1 == 0)
    }

    @Test(
        .enabled(
            if: qemuAtHand, "needs fetched QEMU binaries (ackmatrix qemu fetch) and the shim named by ACKMATRIX_SHIM: run harness/test"),
        arguments: [
            (["list"], 0, "+reinits-1"),
            (["run", "--cell", "no such cell"], 2, "ackmatrix list"),
            (["run", "--qemu", "a/b=/bin/true"], 2, "NAME of at most 40"),
            (["run", "--qemu", "a=/bin/true", "--qemu", "a=/bin/true"], 2, "twice"),
            (["qemu", "list"], 0, "add a custom build (--qemu NAME=PATH)"),
        ])
    func withQEMUAtHand(arguments: [String], status: Int32, words: String) throws {
        let (text, exit) = try output(arguments)
        #expect(exit == status, "\(text)")
        #expect(text.contains(words), "\(text)")
    }

    @Test func noQEMUWhereOneIsAskedForIsABrokenEnvironmentAndNeverGreen() throws {
        let empty = FileManager.default.temporaryDirectory.path + "/ackmatrix-empty-\(UUID().uuidString)"
        for arguments in [["run", "--sides", "qemu"], ["run", "--cell", "11.1-11.1+q35-11.1"], ["qemu", "list"]] {
            let (text, exit) = try output(arguments, environment: ["ACKMATRIX_CACHE": empty])
            #expect(exit == 2)
            #expect(text.contains("ackmatrix qemu fetch"))
        }
    }

    @Test(
        .enabled(
            if: qemuAtHand, "needs fetched QEMU binaries (ackmatrix qemu fetch) and the shim named by ACKMATRIX_SHIM: run harness/test"))
    func aTemporaryFolderMayHaveALongPathWithBlanksColonsAndCommas() throws {
        let long = FileManager.default.temporaryDirectory.path + "/a b:c,d;e=f%'\"" + String(repeating: "x", count: 90)
        try FileManager.default.createDirectory(atPath: long, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: long) }
        let shim = long + "/a shim:one.so"
        try FileManager.default.copyItem(atPath: shimPath, toPath: shim)
        let (text, exit) = try output(
            ["run", "--cell", "11.1-11.1+q35-11.1", "--results", long + "/r"], environment: ["TMPDIR": long, "ACKMATRIX_SHIM": shim])
        #expect(exit == 0, "\(text)")
        #expect(text.contains("1 as predicted, 0 findings"), "\(text)")
    }

    /// A run in a pipe prints at most 40 lines; summary.txt has the rest.
    @Test func aRunInAPipeIsShort() throws {
        let folder = FileManager.default.temporaryDirectory.path + "/ackmatrix-results-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let (text, exit) = try output(["run", "--sides", "engine", "--tier", "quick", "--results", folder])
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        #expect(exit == 0, "\(text)")
        #expect(lines.count <= 40, "\(text)")
        #expect(text.contains("canary ok: the tampered log of engine@"), "\(text)")
        let run = ResultPlace.run(at: folder)
        #expect(run != folder && text.contains("results: \(run) (summary.txt, results.jsonl, junit.xml, cells/)"), "\(text)")
        let summary = try String(contentsOfFile: run + "/summary.txt", encoding: .utf8)
        #expect(summary.contains("endings ") && summary.contains("known deviations"), "\(summary)")
    }

    /// Files that no run has written are not removed, and the exit status says so.
    @Test func aFolderOfSomebodyElseIsNotEmptied() throws {
        let folder = FileManager.default.temporaryDirectory.path + "/ackmatrix-results-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder + "/cells", withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try Data("mine".utf8).write(to: URL(fileURLWithPath: folder + "/cells/honeycomb"))
        let (text, exit) = try output(["run", "--sides", "engine", "--tier", "quick", "--results", folder])
        #expect(exit == 2 && text.contains("name another folder with --results"), "\(text)")
        #expect(FileManager.default.fileExists(atPath: folder + "/cells/honeycomb"))
    }

    @Test func aMissingShimIsABrokenEnvironment() throws {
        let (text, exit) = try output(["run", "--sides", "qemu"], environment: ["ACKMATRIX_SHIM": "/nowhere/shim.so"])
        #expect(exit == 2)
        #expect(text.contains("harness/run") || text.contains("qemu fetch"))
    }

    @Test func aWrongScriptIsRefusedWithFileLineAndReason() throws {
        let path = FileManager.default.temporaryDirectory.path + "/ackmatrix-\(UUID().uuidString).script"
        try "ackmatrix-device 1\nhas precopy p2p\non state RUNING do error\n".write(toFile: path, atomically: true, encoding: .utf8)
        defer { try? FileManager.default.removeItem(atPath: path) }
        let (text, exit) = try output(["script", "check", path])
        #expect(exit == 2)
        #expect(text.contains("\(path):3: "))
        #expect(text.contains("RUNING"))
    }
}

/// What the command says, on both outputs, and its exit status. `through`: the words of a program that starts it. CI is not set unless
/// `environment` has it.
func output(
    _ arguments: [String], environment: [String: String] = [:], folder: String? = nil, through: [String] = [], program: String = command
) throws -> (String, Int32) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: through.isEmpty ? program : "/usr/bin/env")
    process.arguments = through.isEmpty ? arguments : through + [program] + arguments
    process.environment = ProcessInfo.processInfo.environment.filter { $0.key != "CI" }.merging(environment) { $1 }
    if let folder { process.currentDirectoryURL = URL(fileURLWithPath: folder) }
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = pipe
    try process.run()
    let data = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return (String(decoding: data, as: UTF8.self), process.terminationStatus)
}
