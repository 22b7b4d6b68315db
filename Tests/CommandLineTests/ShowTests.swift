import Foundation
import TestSupport
import Testing

/// `ackmatrix show` and `ackmatrix diff`, as a user meets them.
@Suite struct ShowTests {
    private static let two = "Traces/11.1-11.1+q35-11.1+2-devices.trace"

    @Test(arguments: [
        (["show", "--help"], 0, "thick lane"), (["show"], 2, "<PATH>"), (["show", "/nowhere"], 2, "no such file"),
        (["show", "/etc/hostname"], 2, "expected trace events"), (["show", "-"], 2, "read twice"),
        (["show", "--ascii", "--format", "svg", two], 2, "expected --format text"),
        (["show", "--migration", "1", two], 2, "is a trace"),
        (["show", two, two, two], 2, "found 3 paths"),
        (["show", two], 0, "DECISION to switch over"),
        (["show", "--format", "svg", two], 0, "<svg"), (["show", "--format", "html", two], 0, "<!DOCTYPE html>"),
        (["show", "--format", "perfetto", two], 0, "traceEvents"),
        (["show", "Tests/Corpus/hostile/c1.trace"], 2, "control character"),
        (["diff", two, two], 0, "no difference"),
        (["diff", two, "Traces/10.0-10.0+q35-10.0+2-devices.trace"], 1, "first difference"),
        (["diff", two, "/nowhere"], 2, "no such file"),
    ])
    func theCommandsTeachAndExit(arguments: [String], status: Int32, words: String) throws {
        let paths = arguments.map { $0.hasPrefix("Traces/") || $0.hasPrefix("Tests/") ? repositoryFile($0) : $0 }
        let (text, exit) = try output(paths)
        #expect(exit == status, "\(text)")
        #expect(text.contains(words), "\(text)")
    }

    /// Two logs in either order give one picture, with the numbers of their lines; so does one that is compressed.
    @Test func logsAreShownWithTheirLines() throws {
        let logs = TestCorpus.path("qemu")
        let (source, destination) = (logs + "/vfio-new-2.src.log", logs + "/vfio-new-2.dst.log")
        let (text, exit) = try output(["show", source, destination])
        let (other, _) = try output(["show", destination, source])
        #expect(exit == 0)
        // The title has the paths as they were given.
        func picture(_ text: String) -> [Substring] { Array(text.split(separator: "\n").drop { !$0.hasPrefix("source:") }) }
        #expect(picture(text).count > 20 && picture(text) == picture(other))
        let lines = try String(contentsOfFile: source, encoding: .utf8).split(separator: "\n", omittingEmptySubsequences: false)
        let decision = try #require(lines.firstIndex { $0.contains("migration_thread_low_pending") }) + 1
        #expect(text.contains("src:\(decision) "), "\(text)")
        let (difference, status) = try output(["diff", source, source])
        #expect(status == 0 && difference.contains("no difference"), "\(difference)")
    }

    @Test func aFileIsWrittenWholeOrNotAtAll() throws {
        let file = NSTemporaryDirectory() + "show-\(UUID().uuidString).html"
        defer { try? FileManager.default.removeItem(atPath: file) }
        let (text, exit) = try output(["show", "--format", "html", "--output", file, repositoryFile(Self.two)])
        #expect(exit == 0 && text.isEmpty, "\(text)")
        #expect(try String(contentsOfFile: file, encoding: .utf8).hasSuffix("</html>\n"))
        let (refused, status) = try output(["show", "--output", "/nowhere/show.txt", repositoryFile(Self.two)])
        #expect(status == 2 && refused.contains("cannot be written"), "\(refused)")
    }
}
