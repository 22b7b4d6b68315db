/// A run, or one cell, as Markdown for a mail or a merge request.
import Matrix
import MigrationTrace
import Pictures
import Running
import Verification

/// The text in one line of Markdown: what has a meaning there is escaped, and so is what no screen may get. A mail is read as it is, too,
/// so that nothing else is escaped: a `_` within a word, and a `-` that begins no line, mean nothing.
package func markdown(_ text: String) -> String {
    let scalars = Array(escaped(text).unicodeScalars)
    var result = ""
    func isOfWord(_ index: Int) -> Bool { scalars.indices.contains(index) && scalars[index].properties.isAlphabetic }
    for (index, scalar) in scalars.enumerated() {
        let isSpecial: Bool =
            switch scalar {
            case "\\", "`", "*", "[", "]", "<", ">", "|", "~", "&": true
            case "_": !isOfWord(index - 1) || !isOfWord(index + 1)
            // The mark of a heading or of a list, as `1.` is.
            case "#", "+", "-", "=": index == 0
            case ".", ")": index > 0 && index < 10 && scalars[..<index].allSatisfy { "0"..."9" ~= $0 }
            default: false
            }
        if isSpecial { result += "\\" }
        result.unicodeScalars.append(scalar)
    }
    return result
}

/// Lines that are shown as they are; the fence is longer than any in the lines.
func fenced(_ text: String, as language: String = "") -> [String] {
    let text = escapedLines(text)
    var (longest, current) = (2, 0)
    for character in text {
        current = character == "`" ? current + 1 : 0
        longest = max(longest, current)
    }
    let fence = String(repeating: "`", count: longest + 1)
    return [fence + language] + text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init) + [fence]
}

package struct MarkdownReport: Sendable {
    package var title: String
    /// Sentences about the run.
    package var facts: [String]
    package var lines: [ResultLine]
    package var deviations: [Deviation]

    /// Findings that are told one by one.
    private static let mostFindings = 20

    package init(title: String, facts: [String], lines: [ResultLine], deviations: [Deviation]) {
        (self.title, self.facts, self.lines, self.deviations) = (title, facts, lines, deviations)
    }

    package var text: String {
        let findings = lines.filter(\.finding)
        var text = ["## \(markdown(title))", ""]
        text.append("**\(counted(lines.count, "cell")), \(counted(findings.count, "finding")), \(known.count) as known deviations**")
        text += [""] + facts.map { "- \(markdown($0))" } + ["", "| ending | cells |", "|---|---|"]
        let endings = Dictionary(grouping: lines, by: \.ending).mapValues(\.count)
        for (ending, count) in endings.sorted(by: { ($1.value, $0.key) < ($0.value, $1.key) }) {
            text.append("| \(markdown(ending)) | \(count) |")
        }
        if !findings.isEmpty { text += ["", "### Findings"] }
        for line in findings.prefix(Self.mostFindings) { text += finding(line) }
        if findings.count > Self.mostFindings {
            text += ["", "\(findings.count - Self.mostFindings) further findings are in results.jsonl."]
        }
        if !known.isEmpty {
            text += ["", "### Known deviations", "", "| deviation | versions | cells | what happens |", "|---|---|---|---|"]
            let shown = Dictionary(grouping: known.flatMap { $0.deviations.explained.map(\.id) }, by: { $0 }).mapValues(\.count)
            for (id, count) in shown.sorted(by: { $0.key < $1.key }) {
                let deviation = deviations.first { $0.id == id }
                let words = [id, deviation?.versions ?? "", "\(count)", deviation.map { firstSentence($0.reason) } ?? ""]
                text.append("| \(words.map(markdown).joined(separator: " | ")) |")
            }
        }
        return text.joined(separator: "\n") + "\n"
    }

    private var known: [ResultLine] { lines.filter(\.isKnownDeviation) }

    private func finding(_ line: ResultLine) -> [String] {
        var text = ["", "#### \(markdown(line.cell)): \(markdown(line.ending))", ""]
        text.append(
            "\(markdown("\(line.source.version) \(line.source.machine)")) to "
                + markdown("\(line.destination.version) \(line.destination.machine)"))
        text += [""] + line.findings.map { "- \(markdown($0))" }
        text += line.explanation.map { "- \(markdown($0))" }
        return text + [""] + fenced(line.reproduce, as: "sh")
    }
}

/// One cell: how it ended, the picture of its handshake, and the command that runs it again.
package struct CellMarkdown: Sendable {
    private let result: CellResult
    private let trace: Trace?
    private let reproduction: Reproduction

    /// `trace`: of the leg that has the most to tell; nil where a side refused and nothing was logged.
    package init(_ result: CellResult, trace: Trace?, reproduction: Reproduction = .inRepository) {
        (self.result, self.trace, self.reproduction) = (result, trace, reproduction)
    }

    package var text: String {
        let line = ResultLine(result, reproduction: reproduction)
        var text = ["## \(markdown(line.cell)): \(markdown(line.ending))", ""]
        text.append(
            "\(markdown("\(line.source.version) \(line.source.machine)")) to "
                + markdown("\(line.destination.version) \(line.destination.machine)"))
        text += [""] + line.findings.map { "- finding: \(markdown($0))" } + line.explanation.map { "- \(markdown($0))" }
        for known in result.deviations.explained.map(\.by.deviation) {
            text.append(
                "- known as \(markdown(known.id)) (\(markdown(known.versions)); \(markdown(known.reference))): \(markdown(known.reason))")
        }
        if let trace { text += [""] + fenced(TerminalPicture(Picture(trace, judge(trace))).text) }
        return (text + [""] + fenced(line.reproduce, as: "sh")).joined(separator: "\n") + "\n"
    }
}

extension ResultLine {
    /// Why the cell ended as it did, one sentence each: the reason, what broke, where, and what would have been legal.
    var explanation: [String] {
        legs.enumerated().flatMap { number, leg -> [String] in
            let which = legs.count > 1 ? "leg \(number + 1): " : ""
            var sentences = leg.reason.map { ["\(which)because \($0)"] } ?? []
            for broken in leg.broken {
                let device = broken.device.map { " (\($0))" } ?? ""
                sentences.append(
                    "\(which)\(broken.rule)\(device) at \(broken.places.joined(separator: ", ")): \(broken.found); legal: \(broken.legal)")
                if let rule = Rule[id: broken.rule] { sentences.append("\(which)rule \(rule.id) (\(rule.section)): \(rule.statement)") }
                if let good = broken.lastGood { sentences.append("\(which)last good line: \(good)") }
            }
            for process in leg.processes ?? [] { sentences.append("\(which)the \(process.side) (\(process.binary)) \(process.end)") }
            if let odd = leg.oddOneOut { sentences.append("\(which)the odd one out of the judges is the \(odd)") }
            return sentences
        }
    }
}
