import Foundation
import TestSupport
import Testing

/// The command on repositories and lists whose first bad entry is known; builds are engines with mutants, so that no QEMU is needed.
@Suite struct BisectTrialTests {
    private static let program = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
        .appendingPathComponent("ackmatrix").path
    private static let cell = "11.1-11.1+q35-11.1+2-devices"

    private func run(_ words: [String], _ variables: [String: String] = [:]) throws -> (text: String, status: Int32) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = words
        process.environment = ProcessInfo.processInfo.environment.merging(variables) { $1 }
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let data = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (String(decoding: data, as: UTF8.self), process.terminationStatus)
    }

    /// Twelve commits: an unrelated bug, a flaky commit, one that does not build, the switch of the mode, and a kill in between.
    @Test func aRepositoryOfTwelveCommitsLeadsToTheRightOne() throws {
        let (text, status) = try run(
            ["bash", repositoryFile("harness/bisect-trial"), "--commits", "12", "--engine-only"], ["ACKMATRIX": Self.program])
        #expect(status == 0 && text.contains("ok: commit 9"), "\(text)")
    }

    /// A folder with a stand-in for each text, and a cache without binaries.
    private func bisect(_ standIns: [String], _ options: [String]) throws -> (text: String, status: Int32) {
        let folder = FileManager.default.temporaryDirectory.path + "/ackmatrix-list-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder + "/cache", withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        var words = [Self.program, "bisect", "--state", folder + "/state"]
        for (index, text) in standIns.enumerated() {
            let path = "\(folder)/\(index)"
            try ("ackmatrix-build 1\n" + text).write(toFile: path, atomically: true, encoding: .utf8)
            words += ["--list", path]
        }
        return try run(words + options, ["ACKMATRIX_CACHE": folder + "/cache"])
    }

    private static let new = "engine 11.1\n"
    private static let wrong = "engine 11.1\nmutant ack-not-sent\n"
    private static let old = "engine 10.0\n"

    @Test(
        arguments: [
            // The bug comes after the switch, which is none; what is not startable is passed over.
            ([old, "engine 9.9\n", new, new, wrong, wrong], ["--side", "both"], 0, ["first bad binary: ", "/4: waits forever"]),
            // Only one side is the build.
            ([new, new, wrong], ["--side", "destination"], 0, ["/2: waits forever", "11.1-build+q35-11.1+2-devices, per-device mode"]),
            // What cannot be told before the first bad one leaves two.
            ([new, "engine 9.9\n", wrong], ["--side", "both"], 1, ["one of 2", "expected 'engine' with one of"]),
            // The bug comes with the switch: the report says that the two are not the same test.
            ([old, wrong], ["--side", "both"], 0, ["The two are not the same test", "build-build+q35-11.1+2-devices, per-device mode"]),
            ([old, old, wrong], ["--side", "both", "--mode", "per-device"], 2, ["the good end cannot be told", "legacy mode"]),
            // What shows in the other mode is not taken for the failure that is looked for.
            (
                [new, "engine 11.1\nmutant marker-missing\n", "engine 10.0\nmutant marker-missing\n"], ["--side", "both"], 1,
                ["per-device mode, which is not the same test", "one of 2"]
            ),
            // The switch itself.
            ([old, old, new, wrong], ["--side", "both", "--for", "mode"], 0, ["/2: the cell runs in per-device mode"]),
            // Ends that do not differ.
            ([old, new], ["--side", "both"], 2, ["the ends do not differ", "--for mode"]),
            ([wrong, wrong], ["--side", "both"], 2, ["the good end shows the failure of the bad end"]),
            ([new, new], ["--side", "both", "--for", "mode"], 2, ["runs the cell in the mode of the bad end"]),
            ([old, "engine 9.9\n"], ["--side", "both"], 2, ["the bad end cannot be told"]),
            // A failure that shows now and then.
            ([new, new, wrong + "chance 20\n", wrong + "chance 20\n"], ["--side", "both", "--rare", "40"], 0, ["/2: waits forever"]),
        ] as [([String], [String], Int32, [String])])
    func aListLeadsToItsFirstBadEntry(standIns: [String], options: [String], status: Int32, words: [String]) throws {
        let found = try bisect(standIns, options + ["--cell", Self.cell])
        #expect(found.status == status, "\(found.text)")
        for words in words { #expect(found.text.contains(words), "expected '\(words)' in: \(found.text)") }
    }

    @Test(
        arguments: [
            ([], "--repo: expected it"), (["--repo", "/"], "--good: expected it"),
            (["--list", "a"], "expected 2 to 1024 entries"), (["--list", "a", "--list", "b", "--repo", "/"], "--repo with --list"),
            (["--list", "a", "--list", "b", "--quorum", "0"], "--quorum"), (["--list", "a", "--list", "b", "--rare", "0"], "--rare"),
            (["--list", "a", "--list", "b"], "found 'b'"),
            (["--repo", "/nowhere", "--good", "a", "--bad", "b", "--build", "true", "--binary", "x"], "/nowhere"),
        ] as [([String], String)])
    func wrongUsageIsSaid(options: [String], words: String) throws {
        let found = try run([Self.program, "bisect", "--side", "both", "--cell", Self.cell] + options)
        #expect(found.status == 2 && found.text.contains(words), "\(found.text)")
    }
}
