import Foundation
import Plan
import QEMUPeer
import TestSupport
import Testing

/// Scripts of `report --standalone`, as a stranger runs them: elsewhere, with an empty environment, and a shim that is not ours.
@Suite(
    .enabled(if: qemuAtHand, "needs fetched QEMU binaries (ackmatrix qemu fetch) and the shim named by ACKMATRIX_SHIM: run harness/test"))
struct StandaloneTests {
    /// One that never ends, one that ends in two guests, one that fails.
    @Test func findingsAreReproducedWithoutTheRepository() async throws {
        let (text, status) = try output(
            ["findings", "--reproduce", "--repeat", "2"]
                + ["underflow-seen-too-late", "one-ack-where-many-are-awaited", "reset-fails-the-switchover"].flatMap { ["--only", $0] })
        #expect(status == 0, "\(text)")
        #expect(text.contains("6 reproduced, 0 not reproduced, 0 without a script"), "\(text)")
    }

    /// The early ACK needs the legacy source: without it the same migration is healthy.
    @Test func whatIsNotThereIsNotReproduced() async throws {
        let place = try Elsewhere()
        defer { place.remove() }
        let script = try place.script("11.1-11.1+q35-11.1+0-devices+legacy-source")
        let global = "-global migration.switchover-ack-legacy=on"
        #expect(script.contains(global))
        let healthy = try await place.run(script.replacingOccurrences(of: global, with: ""))
        #expect(healthy.status == 1 && healthy.output.contains("not reproduced: "), "\(healthy.output)")
        #expect(healthy.output.contains("the source's migration: expected goes on, found completed"), "\(healthy.output)")
        let asItIs = try await place.run(script)
        #expect(asItIs.status == 0 && asItIs.output.contains("\nreproduced: "), "\(asItIs.output)")
        #expect(try place.leftOver() == [])
    }

    /// A cell of two migrations from one process.
    @Test func everyLegIsDriven() async throws {
        let place = try Elsewhere()
        defer { place.remove() }
        let result = try await place.run(try place.script("11.1-11.1+q35-11.1+2-devices+cancel-waiting"))
        #expect(result.status == 0, "\(result.output)")
        #expect(
            result.output.contains("source -> destination\n") && result.output.contains("source -> destination-2\n"), "\(result.output)")
    }

    @Test func aBrokenEnvironmentIsNoAnswer() async throws {
        let place = try Elsewhere()
        defer { place.remove() }
        let script = try place.script("11.1-11.1+q35-11.1")
        for (variables, words) in [
            (["SHIM": "/nowhere.so"], "SHIM=/nowhere.so cannot be read"),
            (["QEMU_SOURCE": "/nowhere"], "QEMU_SOURCE=/nowhere is no program"),
            (["QEMU_DESTINATION": "/bin/false"], "the destination's QEMU ended at start-up"), (["TMPDIR": "/nowhere"], "no folder"),
        ] {
            let result = try await place.run(script, variables)
            #expect(
                result.status == 2 && result.output.contains("environment broken: ") && result.output.contains(words), "\(result.output)")
        }
        #expect(try place.leftOver() == [])
    }

    /// Its QEMUs end with it, however it ends: by its own trap, or by the shim's, whose parent is gone.
    @Test(arguments: [SIGTERM, SIGKILL]) func nothingOutlivesTheScript(signal: Int32) throws {
        let place = try Elsewhere()
        defer { place.remove() }
        try place.write(try place.script("11.1-11.1+q35-11.1+estimate-above-threshold"))
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = [place.folder + "/finding.sh"]
        process.environment = ["TMPDIR": place.folder]
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        let started = Deadline.after(seconds: 20)
        while processes(under: place.folder).count < 3, started.remaining > 0 { usleep(2_000) }
        kill(process.processIdentifier, signal)
        process.waitUntilExit()
        let ended = Deadline.after(seconds: 1)
        while !processes(under: place.folder).isEmpty, ended.remaining > 0 { usleep(2_000) }
        #expect(processes(under: place.folder) == [])
        if signal == SIGTERM { #expect(try place.leftOver() == []) }
    }

    @Test func whatHasNoOneCellIsWrongUsage() throws {
        #expect(try output(["report", "no such cell"]).1 == 2)
        #expect(try output(["findings", "--reproduce", "--only", "nobody"]).1 == 2)
        let (text, status) = try output(["report", "11.1-11.1+q35-11.1+guest-reset"])
        #expect(status == 0 && text.contains("known as reset-counts-as-request"), "\(text)")
    }
}

/// A folder that has nothing to do with the repository.
struct Elsewhere {
    let folder: String

    init() throws {
        folder = FileManager.default.temporaryDirectory.path + "/elsewhere-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
    }

    func remove() { try? FileManager.default.removeItem(atPath: folder) }

    /// What a script must not leave behind.
    func leftOver() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasPrefix("ackmatrix-report") }
    }

    func script(_ cell: String) throws -> String {
        let (text, status) = try output(["report", cell, "--standalone", "--output", folder + "/\(UUID().uuidString).sh"])
        guard status == 0 else { throw Environment(text) }
        let name = try FileManager.default.contentsOfDirectory(atPath: folder).first { $0.hasSuffix(".sh") && $0 != "finding.sh" }
        defer { try? FileManager.default.removeItem(atPath: "\(folder)/\(name ?? "")") }
        return try String(contentsOfFile: "\(folder)/\(name ?? "")", encoding: .utf8)
    }

    func write(_ script: String) throws {
        try Data(script.utf8).write(to: URL(fileURLWithPath: folder + "/finding.sh"))
        let copy = folder + "/shim.so"
        if !FileManager.default.fileExists(atPath: copy) { try FileManager.default.copyItem(atPath: shimPath, toPath: copy) }
    }

    func run(_ script: String, _ variables: [String: String] = [:]) async throws -> ScriptResult {
        try write(script)
        return try await runShellScript(
            folder + "/finding.sh", folder: folder,
            environment: ["SHIM": folder + "/shim.so", "TMPDIR": folder].merging(variables) { $1 })
    }
}
