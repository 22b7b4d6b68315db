import Foundation
import Testing

/// The README shows what the command prints.
@Suite struct ReadmeTests {
    /// The excerpt starts with the command, `$ .build/release/ackmatrix ...`. Seconds and the place of the results are not compared.
    @Test func theExcerptIsWhatTheCommandPrints() throws {
        let prompt = "    $ .build/release/ackmatrix "
        let readme = try String(contentsOfFile: repository + "/README.md", encoding: .utf8).split(
            separator: "\n", omittingEmptySubsequences: false)
        #expect(readme.count <= 121, "expected at most 120 lines, found \(readme.count - 1)")
        let start = try #require(readme.firstIndex { $0.hasPrefix(prompt) }, "README.md has no excerpt that starts with '\(prompt)'")
        let arguments = readme[start].dropFirst(prompt.count).split(separator: " ").map(String.init)
        let excerpt = readme[(start + 1)...].prefix { $0.hasPrefix("    ") }.map { String($0.dropFirst(4)) }
        let results = FileManager.default.temporaryDirectory.path + "/ackmatrix-readme-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: results) }
        let (text, status) = try output(arguments + ["--results", results])
        #expect(status == 0, "\(text)")
        // Without a terminal a counter is printed every 10 s, and blank lines do not belong to the excerpt.
        let printed = text.replacing(results, with: ".build/results").replacing(
            /[0-9]{8}T[0-9]{6}\.[0-9]{3}Z-[0-9a-f]{6}/, with: "20261129T171033.402Z-1a2b3c"
        ).split(separator: "\n").map(String.init).filter { !$0.hasPrefix("[") }
        #expect(excerpt.count >= 4)
        #expect(excerpt.map(withoutSeconds) == printed.map(withoutSeconds))
    }

    private func withoutSeconds(_ line: String) -> String { line.replacing(/[0-9]+\.[0-9]+ s\b/, with: "N s") }

    private let repository = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path
}
