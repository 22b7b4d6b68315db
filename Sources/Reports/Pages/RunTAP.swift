/// The results of a run as TAP 14, the Test Anything Protocol, which kselftest's and many other tools read.
///
/// A cell is a test point. What went wrong stands behind it as a YAML block, whose strings are JSON strings, which are YAML, too.
import Foundation
import MigrationTrace
import Running

package struct RunTAP: Sendable {
    package var lines: [ResultLine]
    /// Comments before the first point.
    package var facts: [String]

    package init(_ lines: [ResultLine], facts: [String] = []) { (self.lines, self.facts) = (lines, facts) }

    package func text() throws -> String {
        var text = ["TAP version 14", "1..\(lines.count)"] + facts.map { "# " + escaped($0) }
        for (index, line) in lines.enumerated() {
            text.append("\(line.finding ? "not ok" : "ok") \(index + 1) - \(description(line.cell))")
            if line.finding || line.isKnownDeviation { text += try block(line) }
        }
        return text.joined(separator: "\n") + "\n"
    }

    /// A `#` would begin a directive.
    private func description(_ text: String) -> String {
        escaped(text).replacing("\\", with: "\\\\").replacing("#", with: "\\#")
    }

    private func block(_ line: ResultLine) throws -> [String] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.withoutEscapingSlashes]
        func string(_ text: String) throws -> String { escapedJSON(String(decoding: try encoder.encode(text), as: UTF8.self)) }
        func list(_ name: String, _ texts: [String]) throws -> [String] {
            texts.isEmpty ? [] : ["\(name):"] + (try texts.map { "  - " + (try string($0)) })
        }
        let lines =
            ["ending: \(try string(line.ending))", "duration_ms: \(Int((line.seconds * 1000).rounded()))"]
            + (try list("findings", line.findings)) + (try list("explanation", line.explanation))
            + (try list("deviations", line.deviations.explained.map(\.id))) + ["reproduce: \(try string(line.reproduce))"]
        return (["---"] + lines + ["..."]).map { "  " + $0 }
    }
}
