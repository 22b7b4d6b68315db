/// Logs as they reach `ackmatrix check`: rebuilt small after public bug reports (Tests/Corpus/reports), and drifted or hostile ones
/// (Tests/Corpus/hostile). Each row is one case with its right answer.
import Foundation
import TestSupport
import Testing

@Suite struct ReportedLogsTests {
    struct Case: Sendable, CustomStringConvertible {
        let folder: String
        let arguments: [String]
        let status: Int32
        /// Words that the answer has.
        let has: [String]
        /// Words that it has not.
        let lacks: [String]

        init(_ folder: String, _ arguments: [String], _ status: Int32, _ has: [String], lacks: [String] = []) {
            (self.folder, self.arguments, self.status, self.has, self.lacks) = (folder, arguments, status, has, lacks)
        }

        var description: String { "\(folder): \(arguments.joined(separator: " "))" }
    }

    static let pair = ["source.log", "destination.log"]
    static let good = ["nothing broken", "completed"]
    static let twoGuests = ["two guests running", "one-guest", "FINDING"]

    static let cases = [
        Case("reports/01-line-after-final", pair, 1, twoGuests),
        Case("reports/03-hmp-prompt", pair, 0, good + ["QEMU's monitor prompt"]),
        Case("reports/04-torn-message", ["source.log.gz", "destination.log"], 0, good),
        Case("reports/07-head-rotated", pair, 0, ["completed", "the beginning of the migration is missing"], lacks: ["FINDING"]),
        Case(
            "reports/09-trace-migrat", pair, 0,
            ["not judged: source_return_path_thread_switchover_acked missing", "-trace 'source_return_path_*'", "-trace 'loadvm_*'"],
            lacks: ["FINDING"]),
        Case("reports/11-per-thread", ["src.82", "dst.66"], 0, ["the beginning of the migration is missing"], lacks: ["FINDING"]),
        Case("reports/11-per-thread", ["src.82"], 0, ["the beginning of the migration is missing"], lacks: ["FINDING"]),
        Case("reports/11-per-thread", ["src.72", "src.81", "src.82", "dst.66"], 0, good, lacks: ["beginning of the migration"]),
        Case("reports/11-per-thread", ["--source", "src.81", "src.82", "src.72", "--destination", "dst.66"], 0, good),
        Case(
            "reports/12-first-attempts-destination", ["source.log.gz", "destination.log"], 1,
            ["migration 1 of 2", "session-lasts", "migration 2 of 2"], lacks: ["no guest running", "a-guest"]),
        Case(
            "reports/12-first-attempts-destination", ["source.log.gz", "destination.log", "--migration", "2"], 0, good,
            lacks: ["FINDING"]),
        Case(
            "reports/12-first-attempts-destination", ["source.log.gz", "destination.log", "--migration", "3"], 2, ["from 1 to 2"]),
        Case("reports/14-wrong-legs", ["a.log", "a2.log"], 2, ["do not belong together", "different migrations"]),
        Case("reports/14-wrong-legs", ["a.log", "b.log.gz"], 0, good, lacks: ["FINDING"]),
        Case("reports/14-wrong-legs", ["a.log", "b.log.gz", "a2.log"], 0, good + ["migration 2 of 2"], lacks: ["FINDING"]),
        Case("reports/16-both-sides-one-file", ["both.log"], 1, twoGuests),
        Case("reports/18-qemu-8.2", pair, 0, good, lacks: ["cannot be read"]),
        Case("reports/20-global-long-form", ["source.log.gz", "destination.log"], 0, good + ["legacy mode"]),
        Case("reports/21-wrapped", ["source.log.gz", "destination.log"], 2, ["the lines are wrapped", "undecided"], lacks: ["FINDING"]),
        Case(
            "reports/22-capability-on-one-side", pair, 0,
            [
                "failed, source running", "destination:29: v0: Received INIT_DATA_SENT but switchover ack is not used",
                "on at the source and off at the destination",
            ]),
        Case("reports/25-stap", pair, 1, twoGuests + ["stap or dtrace"]),
        Case("reports/27-journal", pair, 1, twoGuests + ["journalctl -o short"]),
        Case("reports/28-trailing-space", pair, 1, twoGuests, lacks: ["marker-approved"]),
        Case("reports/29-compressed", ["source.log.gz", "destination.log.gz"], 1, twoGuests),
        Case("reports/29-compressed", ["source.utf16.log", "destination.utf16.log"], 1, twoGuests),
        Case("reports/31-avocado", pair, 1, twoGuests + ["avocado"]),
        Case(
            "reports/32-under-reported-stop-copy", ["source.log.gz", "destination.log.gz"], 0,
            good + [
                "128 bytes were pending at the decision", "65536 bytes", "the guest was stopped for 3", "downtime-limit of about 300 ms",
            ]),
        Case("reports/33-dir-and-dash", ["."], 1, twoGuests),
        Case("reports/33-dir-and-dash", ["/dev/zero"], 2, ["expected a file, found a device"]),
        Case("reports/33-dir-and-dash", ["/dev/urandom"], 2, ["expected a file, found a device"]),
        Case("reports/35-readme-selection-postcopy", pair, 0, ["completed"], lacks: ["FINDING"]),
        Case(
            "reports/37-selection-of-the-error-message", pair, 0, ["completed", "-trace 'source_return_path_*'"], lacks: ["FINDING"]),
        Case(
            "hostile", ["drift-request-text.src.log.gz", "good.dst.log"], 0,
            ["94 of vfio_state_pending cannot be read", "not judged: vfio_state_pending missing"],
            lacks: ["FINDING"]),
        Case(
            "hostile", ["pendmax.src.log.gz", "good.dst.log"], 0,
            ["of qemu_savevm_query_pending cannot be read", "not judged: qemu_savevm_query_pending missing"], lacks: ["FINDING"]),
        Case(
            "hostile", ["without-vfio_.src.log", "good.dst.log"], 0, ["not judged: vfio_save_block missing", "-trace 'vfio_*'"],
            lacks: ["FINDING"]),
        Case(
            "hostile", ["without-source_return_path_.src.log.gz", "good.dst.log"], 0,
            ["not judged: source_return_path_thread_switchover_acked missing"], lacks: ["FINDING"]),
        Case("hostile", ["bad-then-good.src.log.gz"], 1, ["migration 1 of 2", "migration 2 of 2", "FINDING", "nothing broken"]),
        // Its ACKs have no line at all, so the event may not have been traced.
        Case("hostile", ["bad1.src.log.gz"], 0, ["not judged: source_return_path_thread_switchover_acked missing"], lacks: ["FINDING"]),
        Case("hostile", ["merged.log.gz"], 2, ["lines of a source and of a destination mixed"]),
        Case("hostile", ["manyflags.src.log.gz", "good.dst.log"], 1, ["and 992 more of "]),
        Case("hostile", ["utf16.src.log.gz", "good.dst.log"], 0, good),
        Case("hostile", ["good.src.log.gz", "good.dst.log"], 0, good),
    ]

    @Test(arguments: cases) func theRightAnswer(_ row: Case) throws {
        let folder = TestCorpus.path(row.folder)
        let arguments = row.arguments.map { $0.hasPrefix("/") || $0.hasPrefix("-") || Int($0) != nil ? $0 : "\(folder)/\($0)" }
        let (text, status) = try output(["check"] + arguments)
        #expect(status == row.status, "\(text)")
        for words in row.has { #expect(text.contains(words), "expected '\(words)' in: \(text)") }
        for words in row.lacks { #expect(!text.contains(words), "expected no '\(words)' in: \(text)") }
        #expect(!text.unicodeScalars.contains { $0.value < 0x20 && $0 != "\n" || 0x7F...0x9F ~= $0.value }, "raw bytes in the answer")
    }

    /// A pipe without a writer would never be opened.
    @Test func aNamedPipeIsRefusedAtOnce() throws {
        let path = FileManager.default.temporaryDirectory.path + "/ackmatrix-pipe-\(UUID().uuidString)"
        #expect(mkfifo(path, 0o600) == 0)
        defer { unlink(path) }
        let (text, status) = try output(["check", path])
        #expect(status == 2 && text.contains("expected a file, found a named pipe"), "\(text)")
    }

    @Test func standardInputIsRead() throws {
        let log = TestCorpus.path("reports/33-dir-and-dash/source.log")
        let (text, status) = try shell("cat '\(log)' | '\(command)' check -")
        #expect(status == 1 && text.contains("standard input") && text.contains("surplus-ack"), "\(text)")
    }

    /// A log that ends before its migration does, a log of a migration that was cut, and JSON.
    @Test func aMigrationThatHasNotEndedHasAStatusOfItsOwn() throws {
        let log = TestCorpus.path("qemu/vfio-new-1.src.log")
        let (text, status) = try shell("head -60 '\(log)' | '\(command)' check -")
        #expect(status == 3 && text.contains("not ended yet") && !text.contains("FINDING"), "\(text)")
        let (json, end) = try output(["check", "--json", log, TestCorpus.path("qemu/vfio-new-1.dst.log")])
        let object = try #require(try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any])
        #expect(end == 0 && object["verdict"] as? String == "completed" && object["outcome"] as? String == "nothing broken")
    }

    /// One trace that cannot be read does not keep the others of a folder from being judged.
    @Test func oneBadTraceDoesNotHideTheRest() throws {
        let folder = FileManager.default.temporaryDirectory.path + "/ackmatrix-traces-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try FileManager.default.copyItem(atPath: TestCorpus.path("cells/pipe.trace"), toPath: folder + "/a.trace")
        try Data("ackmatrix-trace 2\ncell broken\n".utf8).write(to: URL(fileURLWithPath: folder + "/b.trace"))
        try FileManager.default.copyItem(atPath: TestCorpus.path("cells/file.trace"), toPath: folder + "/c.trace")
        let (text, status) = try output(["check", folder])
        #expect(status == 2 && text.contains("a.trace") && text.contains("c.trace") && text.contains("b.trace: "), "\(text)")
        #expect(text.contains("3 checked, 0 with findings"), "\(text)")
    }

    @Test func theEventsToTraceHaveThreeForms() throws {
        #expect(try output(["trace-events"]).0.split(separator: "\n").contains("vfio_*"))
        #expect(try output(["trace-events", "--form", "options"]).0.contains("-trace 'source_return_path_*'"))
        #expect(try output(["trace-events", "--form", "libvirt"]).0.contains("<qemu:arg value='postcopy_*'/>"))
        let readme = try String(contentsOfFile: repositoryFile("README.md"), encoding: .utf8)
        #expect(readme.contains("ackmatrix trace-events"))
    }
}

private func shell(_ line: String) throws -> (String, Int32) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/bin/sh")
    process.arguments = ["-c", line]
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = pipe
    try process.run()
    let data = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return (String(decoding: data, as: UTF8.self), process.terminationStatus)
}
