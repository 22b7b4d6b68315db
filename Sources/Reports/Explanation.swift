/// Why a cell is what it is, in a text for a mail: what ran, how it ended, which rule broke, where, and what is known of it.
import Matrix
import MigrationTrace
import Pictures
import Plan
import Prediction
import QEMUPeer
import Running
import Verification

package struct Explanation: Sendable {
    /// The most lines of the text unless it is whole, and the most columns of a line that is no command.
    package static let mostLines = 60
    package static let width = 100

    package var trace: Trace
    package var ending: String
    /// The proof, the closing event, or the actor that owes the next step.
    package var reason: String
    package var findings: [Finding]
    /// The ways it was predicted to go, one sentence each; empty where there is no prediction.
    package var predicted: [String]
    /// What differs from the prediction.
    package var differences: [String]
    /// How processes ended that had not been asked to, one sentence each.
    package var processes: [String] = []
    /// The known deviation that explains what broke.
    package var deviation: Deviation?
    /// The commands each side was given, as sent.
    package var sourceCommands: [String]
    package var destinationCommands: [String]
    /// What the guest has beside memory and VFIO devices, in words.
    package var modules: [String] = []
    /// What was waited for and done while it ran, in order, a text for each leg.
    package var schedule: [String] = []
    /// The command that runs it again.
    package var reproduce = ""
    /// Leaves nothing out, however many lines that takes.
    package var isWhole = false

    package init(
        trace: Trace, judgement: Judgement, predicted: [String] = [], differences: [String] = [], deviation: Deviation? = nil,
        sourceCommands: [String] = [], destinationCommands: [String] = []
    ) {
        self.trace = trace
        ending = judgement.verdict.rawValue
        reason = judgement.reason
        findings = judgement.findings
        self.predicted = predicted
        self.differences = differences
        self.deviation = deviation
        self.sourceCommands = sourceCommands
        self.destinationCommands = destinationCommands
    }

    /// Of a cell that was run, or of its leg that has the most to tell; `trace` is that leg's, nil where a side refused and nothing was
    /// logged.
    package init(
        _ result: CellResult, trace: Trace?, sourceCommands: [String] = [], destinationCommands: [String] = [],
        reproduction: Reproduction = .inRepository
    ) {
        self.trace = trace ?? Trace(of: result.cell)
        let leg = result.telling
        let legs = result.cell.plan.legs
        ending = leg.ending.text + (leg.number < legs.count - 1 ? " (leg \(leg.number + 1) of \(legs.count))" : "")
        reason = leg.reason ?? ""
        findings = leg.judgement?.findings ?? []
        let forecast = result.cell.forecasts[leg.number]
        let ways = forecast.outcomes.map { $0.sentence(devices: forecast.scenario.devices.count) }
        predicted = ways.count > 1 ? ["a race: " + ways.joined(separator: "; or: ")] : ways
        modules = result.cell.plan.source.modules.descriptions
        schedule = legs.enumerated().map { index, leg in
            (legs.count > 1 ? "leg \(index + 1): " : "") + leg.steps.map(\.description).joined(separator: "; ")
        }
        reproduce = reproduction.command(result.name)
        differences = leg.differences
        processes = leg.ends.map(\.description)
        deviation = result.deviations.explained.first?.by.deviation
        self.sourceCommands = sourceCommands
        self.destinationCommands = destinationCommands
    }

    /// The finding it is about: the first that the deviation does not explain, else the first.
    var finding: Finding? {
        findings.first { deviation?.rules.contains($0.rule.id) != true } ?? findings.first
    }

    package var text: String {
        // Long lines of the logs leave room for fewer of them, unless everything fits.
        var parts = parts(excerpts: .max)
        if !isWhole, parts.reduce(0, { $0 + $1.length }) > Self.mostLines { parts = self.parts(excerpts: Self.mostExcerptLines) }
        // What broke and what is known of it stays longest, then what is needed to run it again.
        return fit(
            parts, within: isWhole ? Int.max : Self.mostLines, order: [11, 12, 4, 5, 6, 0, 1, 2, 3, 9, 10, 7, 8], whole: Self.rest
        ).map(escaped).joined(separator: "\n")
    }

    /// The parts of the text, with at most so many lines of each side's log.
    private func parts(excerpts: Int) -> [TextPart] {
        let header = trace.header
        return [
            TextPart(nil, head, least: 2),
            TextPart(nil, labelled("predicted", predicted), least: 1, isJoined: true),
            TextPart(nil, labelled("differs", differences) + labelled("process", processes), least: 2, isJoined: true),
            TextPart(nil, side("source", header.source) + side("destination", header.destination), least: 4, isJoined: true),
            TextPart(nil, rule, least: 8),
            TextPart(nil, consequence, least: 4, isJoined: true),
            TextPart(nil, known, least: 3),
            TextPart("source command line", commandLine(header.source), least: 1),
            TextPart("destination command line", commandLine(header.destination), least: 1),
            // Each side's own order; a destination is made ready before its source is told to migrate.
            TextPart(
                "QMP", destinationCommands.map { command($0, "destination") } + sourceCommands.map { command($0, "source") }, least: 3),
            TextPart("devices and schedule", scripts, least: 2),
            excerptPart(.source, most: excerpts),
            excerptPart(.destination, most: excerpts),
        ]
    }

    private static let rest = "--whole shows them"

    /// The lines; more than `most` of them only if the text is whole.
    private func limited(_ lines: [String], to most: Int) -> [String] {
        guard !isWhole, lines.count > most else { return lines }
        let indent = String(repeating: " ", count: labelWidth)
        return lines.prefix(most - 1) + ["\(indent)... \(counted(lines.count - most + 1, "line")): \(Self.rest)"]
    }

    /// A line that a shell or a monitor takes: never wrapped; longer than what anyone types only if the text is whole.
    private func command(_ text: String) -> String { isWhole ? text : cut(text, to: longestCommand) }
}

/// Bytes of a command that is shown.
private let longestCommand = 2000

extension Explanation {
    private var head: [String] {
        let name = trace.header.cell.isEmpty ? "migration" : trace.header.cell
        return wrap("\(name): \(ending)", width: Self.width, indent: "    ") + labelled("because", [reason])
    }

    /// Sentences behind a word, the lines that follow below them.
    private func labelled(_ label: String, _ sentences: [String]) -> [String] {
        sentences.filter { !$0.isEmpty }.flatMap { sentence in
            let indent = String(repeating: " ", count: labelWidth)
            let lines = wrap(sentence, width: Self.width - labelWidth)
            return lines.enumerated().map { ($0 == 0 ? padded(label, labelWidth) : indent) + $1 }
        }
    }

    private func side(_ label: String, _ side: TraceSide) -> [String] {
        let property = side.properties.last { $0.name == "switchover-ack-legacy" }
        let mode =
            property.map { ", mode \($0.value == "on" ? "legacy" : "per-device") (switchover-ack-legacy \($0.value))" }
            ?? side.traits.ackMode.map { ", mode \($0.rawValue)" } ?? ""
        let capability = side.capabilities.last { $0.name == "switchover-ack" }.map { ", switchover-ack \($0.value)" } ?? ""
        return limited(labelled(label, ["\(side.version), \(side.machine)\(mode)\(capability)"]), to: 2)
    }

    private var rule: [String] {
        guard let finding else { return [] }
        let rule = finding.rule
        let others = findings.brokenRules.filter { $0 != rule.id }
        let also = others.isEmpty ? "" : "; also broken: \(others.joined(separator: ", "))"
        let more = isWhole ? 0 : max(finding.places.count - 4, 0)
        let places = finding.places.dropLast(more).map(\.description).joined(separator: ", ") + (more > 0 ? " and \(more) more" : "")
        let good = finding.lastGood.map { "\($0.place): \($0.event)" }
        // None pushes out another.
        let parts: [(label: String, text: String?, most: Int)] = [
            ("broken", "\(rule.id) (\(rule.section); \(rule.generations))\(also)", 2), ("rule", rule.statement, 2),
            ("device", finding.device, 2),
            ("found", "\(places): \(finding.found)", 3), ("legal", finding.legal, 2), ("last good", good, 2),
        ]
        return parts.flatMap { label, text, most in limited(labelled(label, [text ?? ""]), to: most) }
    }

    /// What the broken rules led to, where that is another rule's: the lines that show it.
    private var consequence: [String] {
        let endings: Set = ["one-guest", "a-guest", "ends", "converges"]
        guard let end = findings.first(where: { endings.contains($0.rule.id) }), end != finding else { return [] }
        let lines = end.places.compactMap { place in
            trace[place.stream].excerpt(around: place.line).first { $0.line == place.line }.map {
                "\(place): \(trimmed($0.entry.record.line))"
            }
        }
        return lines.enumerated().flatMap { labelled($0 == 0 ? "led to" : "", [$1]) }
    }

    private var known: [String] {
        guard let deviation else { return [] }
        let versions = [("source", deviation.sourceVersions), ("destination", deviation.destinationVersions)].compactMap { side, versions in
            versions.map { "\(side) \($0.joined(separator: ", "))" }
        }
        return labelled("known as", ["\(deviation.id); seen with \(versions.joined(separator: "; ")); \(deviation.reference)"])
            + labelled("why", [deviation.reason])
    }

    /// One line, as a shell takes it.
    private func commandLine(_ side: TraceSide) -> [String] {
        guard let first = side.commandLine.first else { return [] }
        let words = (first.hasPrefix("-") ? ["qemu-system-x86_64"] : []) + side.commandLine.map(shellWord)
        return ["  " + command(words.joined(separator: " "))]
    }

    private func command(_ text: String, _ side: String) -> String { "  " + padded(side, labelWidth) + command(text) }

    /// Each script once, behind the devices that have it; the other modules; what was done when; and how to do it again.
    private var scripts: [String] {
        var blocks: [(devices: [String], script: [String])] = []
        for (role, side) in [("source", trace.header.source), ("destination", trace.header.destination)] {
            for device in side.devices where !device.script.isEmpty {
                let name = "\(role) \(device.name)"
                if let index = blocks.firstIndex(where: { $0.script == device.script }) {
                    blocks[index].devices.append(name)
                } else {
                    blocks.append(([name], device.script))
                }
            }
        }
        let devices = blocks.map { block in
            block.devices.joined(separator: ", ") + ": "
                + block.script.filter { !$0.hasPrefix("ackmatrix-device ") }.joined(separator: "; ")
        }
        let steps = schedule.filter { !$0.isEmpty }.map { "schedule: " + $0 }
        let again = reproduce.isEmpty ? [] : ["again: " + reproduce]
        return (devices + modules + steps).flatMap { wrap($0, width: Self.width - 2, indent: "    ").map { "  " + $0 } }
            + again.map { "  " + command($0) }
    }

    /// The most lines that an excerpt takes where not everything fits.
    private static let mostExcerptLines = 11

    private func excerptPart(_ side: StreamName, most: Int) -> TextPart {
        guard let place = trace.place(of: finding, on: side) else { return TextPart(nil, [], least: 1) }
        let marked = Set((finding?.places ?? [trace.turn].compactMap { $0 }).filter { $0.stream == place.stream }.map(\.line))
        let excerpt = trace[place.stream].excerpt(around: place.line)
        let numberWidth = excerpt.last.map { "\($0.line)".count } ?? 0
        let indent = String(repeating: " ", count: numberWidth + 6)
        var shown = excerpt.map { number, entry in
            let lead = (marked.contains(number) ? "> " : "  ") + padded("\(number)", numberWidth) + "  "
            let lines = wrapExactly(trimmed(entry.record.line), width: Self.width - indent.count)
            return (number: number, lines: lines.enumerated().map { ($0 == 0 ? lead : indent) + $1 })
        }
        // Long lines leave room for fewer: those that are farthest go first.
        while shown.count > 1, shown.reduce(0, { $0 + $1.lines.count }) > most {
            let isLastFarther = shown[shown.count - 1].number - place.line >= place.line - shown[0].number
            shown.remove(at: isLastFarther ? shown.count - 1 : 0)
        }
        return TextPart(
            "\(place.stream.rawValue), lines \(shown.first?.number ?? 0) to \(shown.last?.number ?? 0) of \(trace[place.stream].count)",
            shown.flatMap(\.lines), least: Self.mostExcerptLines)
    }
}

private let labelWidth = 13

extension Trace {
    /// What is known of a migration before it begins.
    fileprivate init(of cell: Cell) {
        self.init()
        func side(_ configuration: SideConfiguration, _ role: Role, _ version: String) -> TraceSide {
            var side = TraceSide()
            side.version = version
            side.machine = configuration.machine
            side.commandLine = commandLine(configuration, role: role)
            return side
        }
        header.cell = cell.name
        header.source = side(cell.plan.source, .source, cell.sourceVersion)
        header.destination = side(cell.plan.leg.destination, .destination, cell.destinationVersion)
    }
}

extension Outcome {
    /// The ending with its counts, by device in plug order, and of a requester behind them.
    package func sentence(devices: Int) -> String {
        func list(_ what: String, _ counts: [Int]?) -> String? {
            guard let counts, counts.contains(where: { $0 > 0 }) else { return nil }
            let named = counts.enumerated().filter { $1 > 0 }.map { "\(userName($0, devices: devices)) x\($1)" }
            return what + " " + named.joined(separator: " ")
        }
        let acks = [acksSent.map { "\(counted($0, "ACK")) sent" }, acksCounted.map { "\(counted($0, "ACK")) counted" }].compactMap { $0 }
        return [
            ending.rawValue, list("requests", requests), list("counted in", countedIn), list("approvals", approvals),
            acks.isEmpty ? nil : acks.joined(separator: ", "),
            isGating ? "the ACK gates the decision" : nil, words.map { "with the words '\($0)'" },
        ].compactMap { $0 }.joined(separator: "; ")
    }
}
