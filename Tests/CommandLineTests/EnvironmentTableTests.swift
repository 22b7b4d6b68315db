import Foundation
import Glibc
import Plan
import QEMUPeer
import Running
import TestSupport
import Testing

/// One row for each way in which an environment or a command line can be wrong: what is run, how it exits, and what it says. An environment
/// is never a finding.
@Suite struct EnvironmentTableTests {
    struct Row: Sendable, CustomTestStringConvertible {
        var arguments: [String]
        var status: Int32
        var words: [String]
        var environment: [String: String] = [:]
        /// Options of the shell's ulimit.
        var limit: String?

        init(_ arguments: String, _ status: Int32, _ words: String..., environment: [String: String] = [:], limit: String? = nil) {
            self.arguments = arguments.split(separator: " ").map { $0 == "''" ? "" : String($0) }
            self.status = status
            self.words = words
            self.environment = environment
            self.limit = limit
        }

        var testDescription: String {
            (limit.map { "ulimit \($0); " } ?? "")
                + environment.filter { $0.value.utf8.count < 40 }.map { "\($0.key)=\($0.value) " }.joined()
                + arguments.joined(separator: " ")
        }
    }

    private static let cell = "--cell engine@11.1-engine@11.1+q35-11.1"
    private static let noQEMU = ["ACKMATRIX_CACHE": "/nowhere/ackmatrix"]

    // MARK: Command lines

    private static let selections = [
        Row(
            "run --engine 11.1 --cell engine@11.1-engine@11.1+q35-11.1+2-device+nope", 2, "no cell's name contains",
            "the nearest names are"),
        Row("run --engine 11.1 \(cell) --cell reinist-1", 2, "contains 'reinist-1'", "+reinits-1"),
        Row("run --sides engine --cell ''", 2, "an empty text"),
        Row("explain engine@11.1-engine@11.1+q35-11.2", 2, "CELL: no cell's name", "engine@11.1-engine@11.1+q35-11.1"),
        Row("run --engine 11.1 --cell q35 --tier quick --cell with-requester-again", 2, "no cell of tier quick", "tier default has"),
        Row("run --engine 11.1 --cell engine@10.0-engine@10.0+q35-10.0", 2, "no cell's name contains"),
        Row("run --engine 11.1 --sides qemu", 2, "--engine 11.1 with --sides qemu"),
        Row("run --sides engine --qemu mine=/bin/true", 2, "expected cells of QEMU binaries"),
        Row("run --engine 11.1 --qemu mine=/bin/true", 2, "expected cells of QEMU binaries"),
        Row("run --tier engine --qemu mine=/bin/true", 2, "expected cells of QEMU binaries"),
        Row("explain engine@11.1-engine@11.1+q35-11.1 --qemu mine=/bin/true", 2, "expected a cell of QEMU binaries"),
        Row("run --tier engine --sides qemu", 2, "quick, default or full"), Row("run --seed 3 --sides qemu", 2, "--seed 3: expected cells"),
        Row("run --require-qemu --sides engine", 2, "only the engine is asked for"),
        Row("run --record all --sides engine", 2, "--record all"), Row("run --record all", 2, "golden corpus", environment: ["CI": "1"]),
        Row("run --repeat 0", 2, "expected 1 or more"), Row("run --repeat 9223372036854775807", 2, "a billion"),
        Row("run --jobs 0", 2, "expected 1 or more"), Row("compare --seeds 3 --left qemu", 2, "expected the engine as the left side"),
        Row("findings --only nope", 2, "no finding has the id nope", "the nearest are"),
        Row("findings --only mode-by-hand-waits-for-other-acks --repeat 2", 2, "expected --reproduce"),
        Row("findings --stubs --only nope", 2, "--stubs"), Row("list --coverage --cell q35", 2, "--cell selects nothing"),
        Row("list --drivers --engine 11.1", 2, "--engine selects nothing"),
        Row("list --drivers --coverage", 2, "--coverage selects nothing"),
        Row("results --results /nowhere", 2, "found none"), Row("results --results ''", 2, "an empty text"),
        Row("script check /dev/zero", 2, "65537 bytes"), Row("script check /dev/null", 2, "/dev/null:"),
        Row("script check /proc", 2, "found a folder"),
    ]

    private static let withoutQEMU = [
        Row("run --require-qemu --tier quick", 2, "no QEMU binary runs any of the cells", environment: noQEMU),
        Row("run --tier quick", 2, "CI is set", "--no-require-qemu", environment: noQEMU.merging(["CI": "true"]) { $1 }),
        Row("run --sides qemu", 2, "qemu fetch", environment: noQEMU),
        Row("run \(cell) --bisect-exit", 0, "bisect: good"),
        Row("run \(cell) --bisect-exit --tamper decision-before-ack", 1, "bisect: bad"),
        Row("run --engine 11.1 \(cell)x --bisect-exit", 125, "no cell's name"),
        Row("run --bisect-exit --no-such-option", 125, "no-such-option"),
        Row("run --bisect-exit --jobs 0", 125, "expected 1 or more"),
        Row("run --bisect-exit --sides qemu", 125, "qemu fetch", environment: noQEMU),
        Row("run --bisect-exit --cell engine@10.0-engine@10.0+microvm", 125, "expected per-device mode", "found legacy mode"),
        Row("run \(cell) --bisect-exit --results /dev/null", 125, "found a file"),
        Row("run \(cell) --jobs 9223372036854775807", 0, "1 cell in the engine: 1 as predicted", "this machine and its limits allow"),
        Row("run \(cell) --tier quick", 0, "1 cell of tier quick, selected by --cell"),
    ]

    private static let limits = [
        Row("run \(cell)", 2, "open files of a process: expected at least 40, found 20", "ulimit -n", limit: "-n 20"),
        Row("run \(cell) --bisect-exit", 125, "open files of a process", limit: "-n 20"),
        Row("run \(cell)", 2, "size of a file: expected at least 16 MiB, found 1 MiB", limit: "-f 2047"),
        Row("run \(cell)", 2, "processor time of a process", limit: "-t 5"),
        Row("run --sides qemu", 2, "open files of a process: expected at least 256", limit: "-n 100"),
        Row("run --sides qemu", 2, "size of a file: expected at least 320 MiB", limit: "-f 100000"),
        Row("run --sides qemu", 2, "memory of a process", limit: "-v 2000000"),
        Row("compare", 2, "open files of a process", limit: "-n 100"),
    ]

    @Test(arguments: selections + withoutQEMU + limits) func theCommandSaysWhatIsWrong(row: Row) throws { try check(row) }

    // MARK: Folders of results

    /// Folders that cannot hold results; nothing in them changes.
    @Test func aResultsFolderThatCannotBeUsedIsRefused() throws {
        let folder = FileManager.default.temporaryDirectory.path + "/ackmatrix-places-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        func make(_ name: String) throws -> String {
            try FileManager.default.createDirectory(atPath: folder + "/" + name, withIntermediateDirectories: true)
            return folder + "/" + name
        }
        try Data("mine".utf8).write(to: URL(fileURLWithPath: try make("files") + "/file"))
        for name in ["junit.xml", "results.jsonl", "summary.txt", "cells"] {
            try Data("mine".utf8).write(to: URL(fileURLWithPath: try make("foreign-" + name) + "/" + name))
        }
        try FileManager.default.createSymbolicLink(atPath: folder + "/dangling", withDestinationPath: "/nowhere/at/all")
        let rows: [(place: String, words: String)] = [
            ("", "an empty text"), (folder + "/files/file", "found a file"), (folder + "/files/file/below", "Not a directory"),
            (folder + "/dangling", "No such file or directory"), ("/proc/nowhere", "cannot be made"), ("/dev/null", "found a file"),
            (folder + "/" + String(repeating: "x", count: 300), "File name too long"),
            (folder + "/foreign-junit.xml", "found junit.xml, which no run has written"),
            (folder + "/foreign-results.jsonl", "found results.jsonl"),
            (folder + "/foreign-summary.txt", "found summary.txt"), (folder + "/foreign-cells", "found cells"),
        ]
        for row in rows {
            let (text, status) = try output(["run"] + Self.cell.split(separator: " ").map(String.init) + ["--results", row.place])
            #expect(status == 2 && text.contains(row.words), "\(row.place): \(text)")
            #expect(!text.contains("NSCocoaErrorDomain"), "\(text)")
        }
        for name in ["junit.xml", "results.jsonl", "summary.txt", "cells"] {
            #expect(FileManager.default.contents(atPath: "\(folder)/foreign-\(name)/\(name)") == Data("mine".utf8))
        }
    }

    /// A finding's command runs the cell again from any folder, with what mattered, and leaves the results that it comes from as they are.
    @Test func aReproduceLineWorksFromAnywhereAndDestroysNothing() throws {
        let folder = FileManager.default.temporaryDirectory.path + "/ackmatrix a:b-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try FileManager.default.copyItem(atPath: repositoryFile("harness/matrix/default.yaml"), toPath: folder + "/m.yaml")
        let (text, status) = try output(
            [
                "run", "--engine", "11.1", "--cell", "engine@11.1-engine@11.1+q35-11.1", "--matrix", "m.yaml", "--seed", "5", "--tamper",
                "decision-before-ack", "--results", "r",
            ], folder: folder)
        #expect(status == 1, "\(text)")
        let run = ResultPlace.run(at: folder + "/r")
        let line = try #require(try ResultLog.read(path: run + "/results.jsonl").first)
        for option in ["--engine 11.1", "--seed 5", "--tamper decision-before-ack", "m.yaml'", "/r/reproduced'"] {
            #expect(line.reproduce.contains(option), "\(line.reproduce)")
        }
        let before = try contents(of: run)
        let shell = Process()
        shell.executableURL = URL(fileURLWithPath: "/bin/sh")
        shell.arguments = ["-c", line.reproduce]
        shell.currentDirectoryURL = URL(fileURLWithPath: "/")
        shell.standardOutput = FileHandle.nullDevice
        try shell.run()
        shell.waitUntilExit()
        #expect(shell.terminationStatus == 1)
        #expect(try contents(of: run) == before)
        let again = try #require(try ResultLog.read(path: ResultPlace.run(at: folder + "/r/reproduced") + "/results.jsonl").first)
        #expect(again.findings == line.findings && again.reproduce == line.reproduce)
        #expect(try output(["results", "--results", folder + "/r", "--newest"]).0 == run + "\n")
        // A command that takes results takes the place of the runs, too.
        let (checked, checkedStatus) = try output(["check", folder + "/r"])
        #expect(checkedStatus == 0 && checked.contains(run + "/cells/"), "\(checked)")
    }

    private func contents(of folder: String) throws -> [String: Data?] {
        let names = try FileManager.default.subpathsOfDirectory(atPath: folder)
        return Dictionary(uniqueKeysWithValues: names.map { ($0, FileManager.default.contents(atPath: folder + "/" + $0)) })
    }

    // MARK: QEMUs that misbehave

    private static let fakes: [(behaviour: String, arguments: String, status: Int32, words: [String])] = [
        ("exit", "run", 2, ["mine", "exited with status 3 before it answered", "fake: boom"]),
        ("exit", "run --bisect-exit", 125, ["exited with status 3"]),
        ("silent-exit", "run", 2, ["exited with status 0 before it answered", "it printed nothing on standard error"]),
        ("crash", "run", 2, ["signal 11 (SIGSEGV) before it answered"]),
        ("crash", "qemu list", 2, ["signal 11 (SIGSEGV)"]),
        ("flood", "run", 2, ["printed more than 64 MiB on standard error"]),
        ("stop", "run", 2, ["no answer for 20", "whose process is stopped"]),
        ("nonsense", "run", 2, ["expected a JSON object on a line"]),
        ("no-vfio", "run", 2, ["vfio-pci", "CONFIG_VFIO_PCI=y"]),
        ("no-vfio", "run --bisect-exit", 125, ["vfio-pci"]),
        ("no-memory", "run", 2, ["Cannot allocate memory", "ulimit -v"]),
        ("no-firmware", "run", 2, ["mine", "could not load PC BIOS", "exited with status 1"]),
        (
            "cannot-load", "run", 2,
            ["mine does not migrate to mine with microvm,pcie=on, none, pc-q35-10.0, q35", "Unknown savevm section or instance 'timer' 0"]
        ),
        ("cannot-load", "run --bisect-exit", 125, ["mine does not migrate to mine"]),
        ("cannot-load", "explain mine-mine+q35-10.0", 2, ["mine does not migrate to mine"]),
        ("crash-in-migration", "run --cell mine-mine+q35-10.0", 1, ["signal 11 (SIGSEGV) after it had answered", "guest memory is gone"]),
        ("crash-in-migration", "run --bisect-exit --cell mine-mine+q35-10.0", 125, ["signal 11 (SIGSEGV)"]),
        ("exit-in-migration", "run --cell mine-mine+q35-10.0", 1, ["exited with status 7 after it had answered", "fake: no more"]),
        ("stop-in-migration", "run --cell mine-mine+q35-10.0", 1, ["no answer for 10", "whose process is stopped"]),
    ]

    @Test(
        .enabled(if: FakeQEMU.path != nil, "needs gcc, which compiles a program that plays QEMU"),
        .enabled(if: FileManager.default.fileExists(atPath: shimPath), "needs the shim named by ACKMATRIX_SHIM: run harness/test"),
        arguments: fakes.indices)
    func aQEMUThatMisbehavesIsToldOf(index: Int) throws {
        let (behaviour, arguments, status, words) = Self.fakes[index]
        var row = Row(arguments, status, environment: FakeQEMU.environment(behaviour))
        row.arguments += ["--qemu", "mine=\(FakeQEMU.path ?? "")"]
        if arguments.hasPrefix("run") && !arguments.contains("--cell") { row.arguments += ["--sides", "qemu"] }
        row.words = words
        try check(row)
    }

    @Test(
        .enabled(if: FakeQEMU.path != nil, "needs gcc, which compiles a program that plays QEMU"),
        .enabled(if: FileManager.default.fileExists(atPath: shimPath), "needs the shim named by ACKMATRIX_SHIM: run harness/test"))
    func whatTheShimAndTheTraceEventsLackIsSaidBeforeTheCells() throws {
        let fake = "run --sides qemu --qemu mine=\(FakeQEMU.path ?? "")"
        let well = FakeQEMU.environment("well")
        try check(
            Row(
                fake, 2, "trace events by which a migration is judged", "migration_thread_low_pending", "--enable-trace-backends",
                environment: FakeQEMU.environment("well", without: ["migration_thread_low_pending"])))
        for (shim, words) in [
            ("/etc/passwd", "expected the preload shim, a shared library"), ("/bin/true/nowhere", "is not there"),
            ("/lib/x86_64-linux-gnu/libm.so.6", "is not the preload shim"),
        ] {
            try check(Row(fake, 2, words, environment: FakeQEMU.environment("well").merging(["ACKMATRIX_SHIM": shim]) { $1 }))
        }
        // What the process has said is on the result's line, in the JSON, and in the JUnit report; nothing of it moves a cursor.
        let results = FileManager.default.temporaryDirectory.path + "/ackmatrix-results-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: results) }
        let crash = FakeQEMU.environment("crash-in-migration")
        let (text, status) = try output(
            ["run", "--cell", "mine-mine+q35-10.0", "--results", results, "--qemu", "mine=\(FakeQEMU.path ?? "")"], environment: crash)
        #expect(status == 1, "\(text)")
        let run = ResultPlace.run(at: results)
        let process = try #require(try ResultLog.read(path: run + "/results.jsonl").first?.last.processes?.first)
        #expect(process.side == "source" && process.binary == "mine" && process.answered)
        #expect(process.end == "was ended by signal 11 (SIGSEGV)" && process.standardError == ["fake: guest memory is gone"])
        #expect(try String(contentsOfFile: run + "/junit.xml", encoding: .utf8).contains("signal 11 (SIGSEGV)"))
        let (controls, _) = try output(
            fake.split(separator: " ").map(String.init), environment: well.merging(["FAKE": "controls"]) { $1 })
        #expect(
            !controls.contains("\u{1B}") && !controls.contains("\u{202E}") && controls.contains("red\\x07 \\u{202E}dexet"), "\(controls)")
    }

    @Test(
        .enabled(if: canUnshareNetwork, "needs unshare -rn, which makes a network without loopback"),
        .enabled(if: FakeQEMU.path != nil, "needs gcc, which compiles a program that plays QEMU"),
        .enabled(if: FileManager.default.fileExists(atPath: shimPath), "needs the shim named by ACKMATRIX_SHIM: run harness/test"))
    func withoutLoopbackNothingRuns() throws {
        let (text, status) = try output(
            ["run", "--sides", "qemu", "--qemu", "mine=\(FakeQEMU.path ?? "")"], environment: FakeQEMU.environment("well"),
            through: ["unshare", "-rn"])
        #expect(status == 2 && text.contains("loopback") && text.contains("ip link set lo up"), "\(text)")
    }

    /// The limit counts what all programs of a user have, and does not hold for root, so that root becomes somebody else.
    @Test(
        .enabled(if: startsAsNobody, "needs a user that ulimit -u limits: root needs setpriv, and a build that others may read"),
        arguments: [
            ("1", "run --engine 11.1", 2), ("3", "check --help", 2), ("3", "run --engine 11.1 --bisect-exit", 125),
            ("60", "run --sides qemu", 2),
        ])
    func tooFewProcessesAreSaidOnce(limit: String, arguments: String, status: Int32) throws {
        let (text, exit) = try output(
            arguments.split(separator: " ").map(String.init), folder: "/",
            through: asNobody + ["bash", "-c", "ulimit -u \(limit) && exec \"$0\" \"$@\""])
        #expect(exit == status, "\(text)")
        #expect(text.contains("ulimit -u") && text.split(separator: "\n").count <= 3, "\(text)")
    }

    /// What is to be fetched is larger than any disk. Nothing is downloaded.
    @Test(.enabled(if: FileManager.default.fileExists(atPath: "/usr/bin/apt-get"), "needs apt")) func aFullDiskIsSaidAsSuch() throws {
        let folder = FileManager.default.temporaryDirectory.path + "/ackmatrix-full-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let script = """
            line="qemu-system-x86 1:9.9-1 amd64 $(printf x | sha256sum | cut -d' ' -f1)"
            name=9.9_$(printf '%s\n' "$line" | sha256sum | cut -c1-10)
            printf 'root %s 9.9 sid\npackage %s pool/q.deb 900000000000000000\n' "$name" "$line" >'\(folder)/lock'
            exec bash '\(repositoryFile("harness/qemu/fetch"))' --lock '\(folder)/lock' --cache '\(folder)/cache'
            """
        let (text, status) = try output(["-c", script], program: "/bin/bash")
        #expect(status == 2, "\(text)")
        #expect(
            text.contains("no space left on the file system of \(folder)/cache/qemu/debs: needs ") && text.contains(" MB are left"),
            "\(text)")
    }

    private func check(_ row: Row) throws {
        let through = row.limit.map { ["bash", "-c", "ulimit \($0) && exec \"$0\" \"$@\""] } ?? []
        var arguments = row.arguments
        let results = FileManager.default.temporaryDirectory.path + "/ackmatrix-table-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: results) }
        if arguments[0] == "run", !arguments.contains("--results") { arguments += ["--results", results] }
        let (text, status) = try output(arguments, environment: row.environment, through: through)
        #expect(status == row.status, "\(text)")
        for words in row.words { #expect(text.contains(words), "expected '\(words)' in: \(text)") }
    }
}

private let canUnshareNetwork = succeeds(["unshare", "-rn", "true"])

/// Starts a program as the user nobody where this one is root.
private let asNobody = geteuid() == 0 ? ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"] : []
private let startsAsNobody = succeeds(asNobody + [command, "--version"])

private func succeeds(_ words: [String]) -> Bool {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = words
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    guard (try? process.run()) != nil else { return false }
    process.waitUntilExit()
    return process.terminationStatus == 0
}
