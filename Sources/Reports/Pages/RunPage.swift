/// A run as one HTML page that needs nothing else: the matrix as a grid with filters, and each cell with its handshake, why it ended as it
/// did, and the command that runs it again.
///
/// The skeleton is fixed and has a dozen places for text, so that typed code writes it; a template language would add a second syntax and
/// untyped values. Text from outside goes through `markup`, or into one JSON block that the script reads and shows as text only.
import Foundation
import Matrix
import MigrationTrace
import Pictures
import Running
import Verification

package struct RunPage: Sendable {
    /// What the folders of cells have kept.
    package struct Kept: Sendable {
        /// By what a handshake means, which is equal for two that take the same steps.
        private(set) var pictures: [String: Picture] = [:]
        private(set) var meanings: [String: String] = [:]
        private(set) var explanations: [String: String] = [:]
        private var explained = 0

        package init() {}

        /// Adds the handshake of a cell. `explanation` is made only where there is room for it.
        package mutating func add(_ cell: String, meaning: String, explanation: (() -> String)?, picture: () -> Picture) {
            meanings[cell] = meaning
            if pictures[meaning] == nil { pictures[meaning] = picture() }
            guard let explanation, explained < RunPage.mostExplanations else { return }
            let text = explanation()
            explained += text.utf8.count
            explanations[cell] = text
        }
    }

    /// Bytes of the explanations of single cells.
    static let mostExplanations = 1 << 20
    /// Bytes of drawings of single handshakes; what does not fit has the drawing of its counts alone.
    package static let mostDrawings = 6 << 20

    private let title: String
    private let facts: [String]
    private let lines: [ResultLine]
    private let deviations: [String: Deviation]
    private let kept: Kept

    /// `facts`: sentences about the run.
    package init(title: String, facts: [String], lines: [ResultLine], deviations: [Deviation], kept: Kept) {
        self.title = title
        self.facts = facts
        self.lines = lines
        self.deviations = Dictionary(deviations.map { ($0.id, $0) }) { first, _ in first }
        self.kept = kept
    }

    package func html() throws -> String {
        var drawings = Drawings()
        let data = data(&drawings)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // In a script element, `<` could end it.
        let json = escapedJSON(String(decoding: try encoder.encode(data), as: UTF8.self)).replacing("<", with: "\\u003c")
        let counts = [
            "\(counted(lines.count, "cell"))", "\(counted(lines.count(where: \.finding), "finding"))",
            "\(lines.count(where: \.isKnownDeviation)) as known deviations",
        ]
        return """
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width,initial-scale=1">
            <meta http-equiv="Content-Security-Policy" content="default-src 'none';style-src 'unsafe-inline';script-src 'unsafe-inline'">
            <title>\(escapedMarkup(title))</title>
            <style>
            \(pictureStyle)
            \(RunPage.style)
            \(HTMLPicture.style)
            </style>
            </head>
            <body>
            <header>
            <h1>\(escapedMarkup(title))</h1>
            <p id="counts">\(escapedMarkup(counts.joined(separator: ", ")))</p>
            \(facts.map { "<p class=\"dim\">\(escapedMarkup($0))</p>" }.joined(separator: "\n"))
            </header>
            <noscript><p>The grid needs JavaScript; summary.txt and junit.xml have the same results.</p></noscript>
            <form id="filters">
            <input id="text" type="search" placeholder="part of a name, a rule, a deviation" aria-label="Filter by text">
            <select id="state" aria-label="Filter by result"></select>
            <select id="ending" aria-label="Filter by ending"></select>
            <select id="product" aria-label="Filter by product"></select>
            <select id="sides" aria-label="Filter by sides"></select>
            <output id="shown"></output>
            </form>
            <p class="dim legend"><i class="c ok">&#10003;</i> as predicted <i class="c known">d</i> known deviation
            <i class="c finding">&#10007;</i> finding</p>
            <main>
            <div id="grid" tabindex="0" role="region" aria-label="Cells"></div>
            <section id="detail" aria-live="polite"><p class="dim">Choose a cell to see its handshake.</p></section>
            </main>
            \(drawings.templates.joined(separator: "\n"))
            <script type="application/json" id="data">\(json)</script>
            <script>
            \(RunPage.script)
            </script>
            </body>
            </html>

            """
    }
}

/// The drawings of a page, each once.
private struct Drawings {
    var templates: [String] = []
    private var numbers: [String: Int] = [:]
    private var bytes = 0

    /// The number of the drawing with this key, which `make` draws if it is the first; nil where there is no more room.
    mutating func number(_ key: String, isBounded: Bool, _ make: () -> String) -> Int? {
        if let number = numbers[key] { return number }
        let html = make()
        if isBounded {
            guard bytes + html.utf8.count <= RunPage.mostDrawings else { return nil }
            bytes += html.utf8.count
        }
        let number = templates.count
        numbers[key] = number
        templates.append("<template id=\"d\(number)\">\(html)</template>")
        return number
    }
}

// MARK: The data of the grid

extension RunPage {
    private struct PageData: Encodable {
        var cells: [PageCell]
        var deviations: [String: PageDeviation]
        /// By rule id.
        var rules: [String: String]
        /// The commands, with `{cell}` for the name.
        var commands: [String]
    }

    private struct PageDeviation: Encodable {
        var reason: String
        var versions: String
        var reference: String
    }

    private struct PageCell: Encodable {
        var name: String
        var product: String
        /// The two sides, and what is the row of the grid.
        var pair: String
        var row: String
        var kind: String
        var state: String
        var ending: String
        var sides: String
        var seconds: Double
        var command: Int
        var legs: [PageLeg]
        var findings: [String]?
        var deviations: [String]?
        var explanation: String?
    }

    private struct PageLeg: Encodable {
        var ending: String
        var predicted: String
        var reason: String?
        var gating: Bool
        var gated: Int
        /// The number of the drawing.
        var drawing: Int
        var judges: String
        var processes: [String]?
        var broken: [PageRule]?
    }

    private struct PageRule: Encodable {
        var rule: String
        var text: String

        init(_ broken: ResultLine.BrokenRule) {
            rule = broken.rule
            let device = broken.device.map { " (\($0))" } ?? ""
            text =
                "\(device) \(broken.found) [\(broken.places.joined(separator: ", "))]; legal: \(broken.legal)"
                + (broken.lastGood.map { "; last good: \($0)" } ?? "")
        }
    }

    private func data(_ drawings: inout Drawings) -> PageData {
        var commands: [String: Int] = [:]
        var rules: [String: String] = [:]
        let cells = lines.map { line in
            let template = line.reproduce.replacing(line.cell, with: "{cell}")
            let command = commands[template, default: commands.count]
            commands[template] = command
            for rule in line.legs.flatMap(\.broken) where rules[rule.rule] == nil { rules[rule.rule] = Rule[id: rule.rule]?.statement }
            return cell(line, command, &drawings)
        }
        let shown = Set(lines.flatMap { $0.deviations.explained.map(\.id) })
        return PageData(
            cells: cells,
            deviations: deviations.filter { shown.contains($0.key) }.mapValues {
                PageDeviation(reason: $0.reason, versions: $0.versions, reference: $0.reference)
            }, rules: rules, commands: commands.sorted { $0.value < $1.value }.map(\.key))
    }

    private func cell(_ line: ResultLine, _ command: Int, _ drawings: inout Drawings) -> PageCell {
        let parts = line.cell.split(separator: "+", maxSplits: 2, omittingEmptySubsequences: false).map(String.init)
        let meaning = line.finding || line.isKnownDeviation ? kept.meanings[line.cell] : nil
        let legs = line.legs.enumerated().map { number, leg in
            var drawing: Int?
            if let meaning, let picture = kept.pictures[meaning], number == line.legs.count - 1 {
                drawing = drawings.number("trace " + meaning, isBounded: true) { HTMLPicture(picture).drawing(withTitle: false) }
            }
            let counted = HandshakeSketch(leg)
            return PageLeg(
                ending: leg.ending, predicted: leg.predicted.endings.joined(separator: ", or "), reason: leg.reason, gating: leg.gating,
                gated: leg.gatedSteps, drawing: drawing ?? drawings.number(counted.key, isBounded: false) { counted.html } ?? 0,
                judges: leg.judges.map { "\($0.judge): \($0.says)" }.joined(separator: "; "),
                processes: leg.processes?.map { "\($0.side) (\($0.binary)) \($0.end)" },
                broken: leg.broken.isEmpty ? nil : leg.broken.map(PageRule.init))
        }
        let shown = line.deviations.explained.map(\.id)
        return PageCell(
            name: line.cell, product: line.product, pair: parts[0], row: parts.count > 2 ? parts[2] : "plain",
            kind: line.cell.hasPrefix("engine@") ? "engine" : "QEMU",
            state: line.finding ? "finding" : line.isKnownDeviation ? "known" : "ok", ending: line.ending,
            sides: "\(line.source.version) \(line.source.machine) -> \(line.destination.version) \(line.destination.machine)",
            seconds: line.seconds, command: command, legs: legs, findings: line.findings.isEmpty ? nil : line.findings,
            deviations: shown.isEmpty ? nil : shown, explanation: kept.explanations[line.cell])
    }
}

/// A handshake drawn from its counts alone, where no trace is kept: one drawing for all legs with the same counts and ending.
struct HandshakeSketch {
    let leg: ResultLine.Leg

    init(_ leg: ResultLine.Leg) { self.leg = leg }

    private func list(_ counts: [String: Int]) -> String {
        counts.sorted { $0.key < $1.key }.map { $0.value > 1 ? "\($0.key) x\($0.value)" : $0.key }.joined(separator: " ")
    }

    private var countedIn: String {
        let named = list(leg.counts.countedIn)
        let unnamed = leg.counts.countedInUnnamed
        return unnamed > 0 ? (named.isEmpty ? "" : named + " ") + "\(unnamed) unnamed" : named
    }

    /// The steps as text: the side, the word in its box, its colour, and the sentence.
    private var steps: [(side: String, word: String, colour: LaneWord.Colour, text: String)] {
        let counts = leg.counts
        var steps: [(String, String, LaneWord.Colour, String)] = []
        if !countedIn.isEmpty { steps.append(("destination", "count", .request, "counts in: \(countedIn)")) }
        if !counts.requests.isEmpty { steps.append(("source", "REQ", .request, "collects requests: \(list(counts.requests))")) }
        if !counts.approvals.isEmpty { steps.append(("destination", "APPROVE", .marker, "approves: \(list(counts.approvals))")) }
        if counts.acksSent > 0 {
            steps.append(("destination", "ACK x\(counts.acksSent)", .ack, "sends \(counted(counts.acksSent, "ACK"))"))
        }
        if counts.acksCounted > 0 {
            steps.append(("source", "ACK x\(counts.acksCounted)", .ack, "counts \(counted(counts.acksCounted, "ACK"))"))
        }
        if leg.gating { steps.append(("source", "HELD", .hold, "only a missing ACK held the decision back")) }
        if steps.isEmpty { steps.append(("source", "none", .plain, "no ACK is asked for, sent or counted")) }
        let isGood = leg.ending == Verdict.completed.rawValue
        steps.append(("source", isGood ? "done" : "END", isGood ? .good : .bad, leg.ending))
        return steps
    }

    var key: String { steps.map { "\($0.side) \($0.word) \($0.text)" }.joined(separator: "\n") }

    var html: String {
        "<ol class=\"hs-list\">"
            + steps.map { step in
                "<li class=\"\(step.side == "destination" ? "hs-across" : "")\"><small>\(step.side)</small>"
                    + "<b class=\"hs-\(step.colour.rawValue)\">\(escapedMarkup(step.word))</b> \(escapedMarkup(step.text))</li>"
            }.joined() + "</ol>"
    }
}
