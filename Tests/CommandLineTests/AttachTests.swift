import Foundation
import Plan
import QEMUPeer
import TestSupport
import Testing

@testable import ackmatrix

/// What a side and a workload look like on the command line.
@Suite struct AttachOptionsTests {
    @Test(arguments: [
        ("src=ATTACH,qmp=/run/a.qmp,log=/a", "source /run/a.qmp /a"),
        ("dst=ATTACH,log=/b,qmp=unix:b.qmp", "destination b.qmp /b"),
        ("dst=ATTACH,log=/b,qmp=tcp:[::1]:4444", "destination [::1]:4444 /b"),
        ("dst=ATTACH,log=/b,qmp=192.0.2.7:4444", "destination 192.0.2.7:4444 /b"),
        ("src=ATTACH,log=/a=b", "source none /a=b"),
        ("src=ATTACH", "refused"), ("src=ATTACH,log=", "refused"), ("src=ATTACH,log=/a,log=/b", "refused"),
        ("src=ATTACH,dst=ATTACH,log=/a", "refused"), ("src=START,log=/a", "refused"), ("log=/a", "refused"),
        ("src=ATTACH,log=/a,qmp=7", "refused"), ("src=ATTACH,log=/a,qmp=host:0", "refused"),
        ("src=ATTACH,log=/a,qmp=host:65536", "refused"),
        ("src=ATTACH,log=/a,qmp=unix:", "refused"), ("src=ATTACH,log=/a,pid=7", "refused"), ("", "refused"),
    ])
    func sides(text: String, expected: String) {
        let side = AttachedSide(argument: text)
        #expect((side.map { "\($0.role.rawValue) \($0.qmp.map(\.description) ?? "none") \($0.log)" } ?? "refused") == expected)
    }

    @Test(arguments: [
        ("active=echo a=b", "active: echo a=b"), ("device=true", "device: true"), ("active=", "refused"), ("soon=true", "refused"),
        ("active", "refused"),
    ])
    func workloads(text: String, expected: String) {
        #expect((Workload(argument: text).map { "\($0.phase.rawValue): \($0.command)" } ?? "refused") == expected)
    }

    @Test(arguments: [
        (["--side", "src=ATTACH,log=/a", "--side", "src=ATTACH,log=/b"], "once for src"),
        (["--side", "src=ATTACH,log=/a", "--trace"], "expected qmp="),
        (["--side", "src=ATTACH,log=/a", "--limit", "0"], "seconds"),
        (["--side", "src=ATTACH,log=/a,qmp=/nowhere/a.qmp"], "the source at /nowhere/a.qmp"),
        (["--side", "src=ATTACH,log=/a", "--device", "both=x"], "src=DEVICE"),
        ([], "--side"),
    ])
    func whatIsWrongIsSaid(arguments: [String], words: String) throws {
        let (text, status) = try output(["attach"] + arguments)
        #expect(status == 2 && text.contains(words), "\(text)")
    }

    /// A limit without a migration is no finding.
    @Test func nothingBegins() throws {
        let (text, status) = try output(["attach", "--side", "src=ATTACH,log=/nowhere/a.log", "--limit", "0.3"])
        #expect(status == 3 && text.contains("no migration has begun"), "\(text)")
    }
}

/// Two QEMUs that somebody else's script starts and migrates; the harness looks on.
@Suite(
    .enabled(if: qemuAtHand, "needs fetched QEMU binaries (ackmatrix qemu fetch) and the shim named by ACKMATRIX_SHIM: run harness/test"))
struct AttachTests {
    private struct Seen {
        let script: (status: Int32, output: String)
        let output: String
        let status: Int32
    }

    /// Starts the script and, once both monitors are there, the harness; then lets the script migrate. Both are processes of their own from
    /// the start, since tasks may wait long for a thread while all tests run.
    private func attached(
        _ cell: String, _ options: [String], body: (_ harness: Process, _ letMigrate: () throws -> Void) throws -> Void
    ) throws -> Seen {
        let place = try Elsewhere()
        defer { place.remove() }
        var text = try place.script(cell)
        for side in ["source", "destination"] {
            let start = "start \(side) \"$QEMU_\(side.uppercased())\" "
            #expect(text.contains(start))
            text = text.replacing(start, with: start + "-qmp unix:\(place.folder)/\(side).qmp,server=on,wait=off ")
        }
        text = text.replacing(
            "\nleg source destination ", with: "\nwhile [ ! -e \"$TMPDIR/go\" ]; do sleep 0.02; done\nleg source destination ")
        try place.write(text)
        func started(_ program: String, _ arguments: [String], output: String) throws -> Process {
            let process = Process()
            process.executableURL = URL(fileURLWithPath: program)
            process.arguments = arguments
            if program == "/bin/sh" {
                process.environment = ["SHIM": place.folder + "/shim.so", "TMPDIR": place.folder, "KEEP": "1", "PATH": "/usr/bin:/bin"]
            }
            try Data().write(to: URL(fileURLWithPath: output))
            let file = try #require(FileHandle(forWritingAtPath: output))
            (process.standardOutput, process.standardError) = (file, file)
            try process.run()
            return process
        }
        func read(_ path: String) -> String { (try? String(contentsOfFile: path, encoding: .utf8)) ?? "" }
        func wait(_ process: Process, until holds: () -> Bool) {
            let deadline = Deadline.after(seconds: 120)
            while !holds(), process.isRunning, deadline.remaining > 0 { usleep(5_000) }
        }
        let (said, shown) = (place.folder + "/said", place.folder + "/shown")
        let script = try started("/bin/sh", [place.folder + "/finding.sh"], output: said)
        defer { if script.isRunning { script.terminate() } }
        wait(script) { ["source", "destination"].allSatisfy { FileManager.default.fileExists(atPath: "\(place.folder)/\($0).qmp") } }
        let run = try #require(try place.leftOver().first.map { place.folder + "/" + $0 }, "\(read(said))")
        let sides = [("src", "source"), ("dst", "destination")].flatMap {
            ["--side", "\($0.0)=ATTACH,qmp=\(place.folder)/\($0.1).qmp,log=\(run)/\($0.1)/qemu.log"]
        }
        let harness = try started(command, ["attach"] + options + sides, output: shown)
        defer { if harness.isRunning { kill(harness.processIdentifier, SIGKILL) } }
        wait(harness) { read(shown).contains("destination: QEMU ") }
        try body(harness) { try Data().write(to: URL(fileURLWithPath: place.folder + "/go")) }
        wait(script) { false }
        wait(harness) { false }
        try #require(!script.isRunning && !harness.isRunning, "\(read(said))\n\(read(shown))")
        return Seen(
            script: (script.terminationStatus, read(said)), output: read(shown),
            status: harness.terminationStatus)
    }

    @Test func aMigrationOfSomebodyElseIsJudged() throws {
        let seen = try attached("11.1-11.1+q35-11.1+2-devices", ["--workload", "active=echo the workload ran >&2"]) { _, letMigrate in
            try letMigrate()
        }
        #expect(seen.script.status == 0, "\(seen.script.output)")
        #expect(seen.status == 0, "\(seen.output)")
        #expect(seen.output.contains("source: QEMU 11.1") && seen.output.contains("switchover-ack is off now"), "\(seen.output)")
        #expect(seen.output.contains("\nthe workload ran\n"), "\(seen.output)")
        let devices = seen.output.split(separator: "\n").filter { $0.hasPrefix("device ") }
        #expect(devices.count == 2, "\(seen.output)")
        for line in devices {
            #expect(
                line.contains("1 requests; 1 markers; marker to ACK ") && line.contains("; 0 initial bytes unread at STOP_COPY"), "\(line)")
        }
        #expect(seen.output.contains("completed  ") && seen.output.contains("1 checked, 0 with findings"), "\(seen.output)")
    }

    @Test func aWorkloadThatFailsIsNoAnswer() throws {
        let seen = try attached("11.1-11.1+q35-11.1", ["--workload", "active=exit 7"]) { _, letMigrate in try letMigrate() }
        #expect(seen.script.status == 0, "\(seen.script.output)")
        #expect(seen.status == 2 && seen.output.contains("a workload failed"), "\(seen.output)")
    }

    /// However the harness ends, the migration is as it would have been.
    @Test(arguments: [SIGKILL, SIGTERM]) func aKilledHarnessLeavesBothAlone(signal: Int32) throws {
        let seen = try attached("11.1-11.1+q35-11.1", []) { harness, letMigrate in
            kill(harness.processIdentifier, signal)
            harness.waitUntilExit()
            try letMigrate()
        }
        #expect(seen.script.status == 0, "\(seen.script.output)")
        #expect(seen.status == signal, "\(seen.output)")
    }
}
