/// A cell as one shell script that needs only the two QEMU binaries and the shim, for readers who have neither this repository nor Swift.
///
/// What the script compares is what was seen when the cell was run here: endings, guests, counts, and the lines that show each broken
/// rule. How it drives QEMU is the same for every cell, and is in `harness/standalone.sh`.
import Foundation
import MigrationTrace
import Plan
import Prediction
import QEMUPeer
import Running
import VFIO
import Verification

/// What a shell cannot do, or this does not render.
package struct Unrenderable: Error, CustomStringConvertible {
    package let description: String
}

package struct Standalone: Sendable {
    /// The text of `harness/standalone.sh`.
    package var driver: String
    /// The shim that the script uses unless SHIM names another one.
    package var shim: String
    /// What was seen here.
    package var result: CellResult
    /// Of each leg that was driven.
    package var traces: [Trace]

    package init(_ result: CellResult, traces: [Trace], driver: String, shim: String) {
        self.result = result
        self.traces = traces
        self.driver = driver
        self.shim = shim
    }

    /// Further iterations after which a source that only waits is said to wait forever: as many as are watched after a proof.
    private static let iterations = 200
    /// The same in windows of 100 ms, where the link is the limit.
    private static let windows = 20

    /// The script. `folder` is an existing one, where the gate boards are made whose bytes it carries.
    package func script(folder: String) throws -> String {
        let plan = result.cell.plan
        let sides =
            [Process(folder: "source", configuration: plan.source, role: .source)]
            + plan.legs.enumerated().map {
                Process(folder: MigrationPlan.destinationFolder(ofLeg: $0), configuration: $1.destination, role: .destination)
            }
        guard sides.count <= 7 else {
            throw Unrenderable(description: "a shell has descriptors for 7 processes, the cell has \(sides.count)")
        }
        var boards: [String: Board] = [:]
        for side in sides where !side.configuration.devices.isEmpty {
            boards[side.folder] = try Board(side.configuration, path: "\(folder)/\(side.folder)")
        }
        var lines = try head() + [driver, rule]
        lines += files(sides, boards)
        for side in sides {
            // A chain may lead back to the source's binary; the first destination is one of its own, even where it is the same.
            let isSource = side.folder != MigrationPlan.destinationFolder(ofLeg: 0) && side.configuration.binary == plan.source.binary
            let binary = isSource ? "QEMU_SOURCE" : "QEMU_DESTINATION"
            let arguments = qemuArguments(side.configuration, role: side.role, monitor: "stdio").map(shellWord).joined(separator: " ")
            lines.append("start \(side.folder) \"$\(binary)\" \(arguments)")
        }
        lines += sides.map { "greet \($0.folder)" }
        // A leg that went on forever was the last one.
        for index in plan.legs.indices.prefix(result.legs.count) { lines += [""] + (try leg(index, sides, boards)) }
        lines += [""] + sides.map { "excerpt \($0.folder)" }
        lines += ["verdict \(shellQuoted(escaped("\(result.name): \(result.ending.text)")))", ""]
        return lines.joined(separator: "\n")
    }
}

/// A QEMU of the script.
private struct Process {
    let folder: String
    let configuration: SideConfiguration
    let role: Role
}

/// A gate board as a file: its bytes, and where what is.
private struct Board {
    let bytes: Data
    let places: GateBoard.Places

    init(_ configuration: SideConfiguration, path: String) throws {
        let board = try GateBoard(path: path)
        let gates = (configuration.devices.compactMap(\.script).flatMap(\.gates) + [configuration.connectGate].compactMap { $0 }).reduce(
            into: [String]()
        ) { if !$0.contains($1) { $0.append($1) } }
        places = try board.places(gates: gates, devices: configuration.devices.map(\.name))
        bytes = try Data(contentsOf: URL(fileURLWithPath: path))
    }
}

// MARK: - Head and files

extension Standalone {
    private func head() throws -> [String] {
        let cell = result.cell
        let known = result.deviations.explained.first?.by.deviation
        func binary(_ variable: String, _ configuration: SideConfiguration, _ version: String) throws -> String {
            guard case .qemu(let binary) = configuration.binary else {
                throw Unrenderable(description: "a shell script starts QEMU, and \(configuration.binary.name) is none")
            }
            return "\(variable)=${\(variable):-\(shellWord(binary.path))} # \(escaped(version))"
        }
        return try [
            "#!/bin/sh", "# \(escaped("\(cell.name): \(result.ending.text)"))", "#",
        ] + comment(result.last.reason ?? "") + (known.map { comment("Known as \($0.id): \($0.reason)") } ?? []) + [
            "#", "# Needs Linux, POSIX tools, two QEMU binaries and the preload shim; set these in the environment to use others.",
            "# Exit status: 0 reproduced, 1 not reproduced, 2 broken environment. KEEP=1 keeps the folder with both logs.",
            binary("QEMU_SOURCE", cell.plan.source, cell.sourceVersion),
            binary("QEMU_DESTINATION", cell.plan.leg.destination, cell.destinationVersion), "SHIM=${SHIM:-\(shellWord(shim))}", "", rule,
        ]
    }

    private var rule: String { "# " + String(repeating: "-", count: 100) }

    private func comment(_ text: String) -> [String] { wrap(text, width: 110).map { "# " + $0 } }

    /// Commands that make each side's folder; what two sides have alike is there once.
    private func files(_ sides: [Process], _ boards: [String: Board]) -> [String] {
        var lines = sides.map { "mkdir \($0.folder)" }
        var written: [Data: String] = [:]
        for side in sides {
            var contents = filesBeforeStart(side.configuration, SideFiles(folder: side.folder))
            if let board = boards[side.folder] { contents.append((SideFiles(folder: side.folder).board, board.bytes)) }
            for (path, bytes) in contents {
                if let other = written[bytes] {
                    lines.append("cp \(other) \(path)")
                } else {
                    lines += file(path, bytes)
                    written[bytes] = path
                }
            }
        }
        return lines
    }

    private static let end = "END_OF_FILE"

    private func file(_ path: String, _ bytes: Data) -> [String] {
        if let text = String(data: bytes, encoding: .utf8), text.hasSuffix("\n"), escapedLines(text) == text, !text.contains(Self.end) {
            return ["cat >\(path) <<'\(Self.end)'\n\(text)\(Self.end)"]
        }
        return ["{\n" + octal(bytes).map { "    \($0)\n" }.joined() + "} >\(path)"]
    }

    /// Bytes as commands: long runs of one byte by its count, the rest one by one.
    private func octal(_ bytes: Data) -> [String] {
        var commands: [String] = []
        var some = ""
        func flush() {
            if !some.isEmpty { commands.append("printf '\(some)'") }
            some = ""
        }
        var place = bytes.startIndex
        while place < bytes.endIndex {
            let byte = bytes[place]
            let run = bytes[place...].prefix { $0 == byte }.count
            let digits = String(repeating: "0", count: 3 - String(byte, radix: 8).count) + String(byte, radix: 8)
            if run >= 16 {
                flush()
                commands.append("fill \(run) \(digits)")
                place += run
            } else {
                some += "\\" + digits
                place += 1
                if some.utf8.count > 100 { flush() }
            }
        }
        flush()
        return commands
    }
}

// MARK: - Legs

extension Standalone {
    /// The names of a leg's two folders.
    private func folders(_ index: Int) -> (source: String, destination: String) {
        let from =
            index == 0 || result.cell.plan.legs[index].origin == .source ? "source" : MigrationPlan.destinationFolder(ofLeg: index - 1)
        return (from, MigrationPlan.destinationFolder(ofLeg: index))
    }

    private func leg(_ index: Int, _ sides: [Process], _ boards: [String: Board]) throws -> [String] {
        let leg = result.cell.plan.legs[index]
        let (from, to) = folders(index)
        let final = (["completed", "failed", "cancelled"] + leg.alsoFinal.sorted()).joined(separator: "|")
        let render = StepRendering(source: from, destination: to, places: boards.mapValues(\.places))
        var lines = ["leg \(from) \(to) \(Int(leg.limit.rounded(.up))) \(shellQuoted(final))"]
        for folder in [to, from] {
            guard let side = sides.first(where: { $0.folder == folder }) else { continue }
            for (command, arguments) in side.configuration.settingCommands {
                lines.append("settings \(folder) \(shellQuoted(try qmpLine(command, arguments)))")
            }
        }
        if leg.channel == .tcp { lines.append("listen") }
        lines += try leg.before.flatMap(render.lines)
        func incoming(_ uri: JSONValue) throws -> String {
            "settings \(to) \(shellQuoted(try qmpLine("migrate-incoming", ["uri": uri])))"
        }
        switch leg.channel {
        case .tcp: lines.append("migrate \(leg.haltsDestination ? "halted" : "running")")
        case .file: lines.append("migrate running file:../channel")
        case .pipe: lines += ["mkfifo channel", "migrate running 'exec:cat > ../channel'", try incoming("exec:cat ../channel")]
        default: throw Unrenderable(description: "a shell script has no channel of the kind of leg \(index + 1): \(leg.channel)")
        }
        lines += try leg.schedule.flatMap(render.lines)
        let seen = try observation(index)
        guard let record = seen.record else { return lines + ["check_refusal \(shellQuoted(seen.refusal))"] }
        if record.outcome.isEnd {
            lines.append("await_end \(boards.values.first?.places.allGates ?? 0)")
            if leg.channel == .file, record.outcome == .ended("completed") { lines.append(try incoming("file:../channel")) }
            lines += try leg.afterwards.flatMap(render.lines)
        } else if record.sourceRunState == nil {
            lines.append("await_silence")
        } else if record.sourceStatuses.last == "device" {
            throw Unrenderable(description: "the source neither ends nor iterates, and a shell has no proof that it waits forever")
        } else {
            // Every ACK that is sure to come has come before.
            let outcomes = result.cell.forecasts[index].outcomes.filter { $0.ending.rawValue == seen.judgement?.verdict.rawValue }
            let isSure = outcomes.allSatisfy { $0.acksCounted != nil }
            lines.append("await_endless \(Self.iterations) \(Self.windows) \(isSure ? seen.judgement?.handshake.acksCounted ?? 0 : 0)")
        }
        return lines + [""] + checks(index, leg, record, seen.judgement)
    }

    /// What was seen of a leg.
    private func observation(_ index: Int) throws -> (record: MigrationRecord?, judgement: Judgement?, refusal: String) {
        let leg = result.legs[index]
        switch leg.ending {
        case .verdict: return (leg.record, leg.judgement, "")
        case .refused(let refusal):
            guard result.cell.plan.legs.count == 1 else {
                throw Unrenderable(description: "one of several legs was refused, and which is not recorded: \(refusal)")
            }
            return (nil, nil, refusal.text)
        case .broken(let reason): throw Unrenderable(description: "the cell could not be driven to an end: \(reason)")
        }
    }

    private func checks(_ index: Int, _ leg: MigrationLeg, _ record: MigrationRecord, _ judgement: Judgement?) -> [String] {
        var lines: [String] = []
        func check(_ what: String, _ expected: String, _ found: String) { lines.append("check \(shellQuoted(what)) \(expected) \(found)") }
        let ended =
            switch record.outcome {
            case .ended(let status): status
            case .endless, .limitReached, .logLimitReached: "goes on"
            default: "gone"
            }
        let owed = record.outcome.isEnd ? record.marks.filter { !leg.isLeftToChance($0.step) }.count : leg.steps.count
        lines += ["check_ending \(shellQuoted(ended))", "check_steps \(owed)"]
        if record.outcome.isEnd {
            let finals = Set(["completed", "failed", "cancelled"]).union(leg.alsoFinal)
            let status = record.destinationStatuses.last { finals.contains($0) } ?? "none"
            lines.append("check_guests \(record.sourceRunState ?? "gone") \(status) \(record.destinationRunState ?? "gone")")
        }
        guard let judgement, index < traces.count else { return lines }
        let (from, to) = folders(index)
        let outcomes = result.cell.forecasts[index].outcomes.filter { $0.ending.rawValue == judgement.verdict.rawValue }
        func isCertain<Count>(_ count: KeyPath<Outcome, Count?>) -> Bool { outcomes.allSatisfy { $0[keyPath: count] != nil } }
        let seen = judgement.handshake
        if isCertain(\.requests) {
            check("ACKs requested", "\(seen.requests.values.reduce(0, +))", "\"$(sum \(from) 'collected switchover ack pending=')\"")
        }
        if isCertain(\.approvals) {
            check("approvals", "\(seen.approvals.values.reduce(0, +))", "\"$(count \(to) 'loadvm_approve_switchover(_legacy)?')\"")
        }
        if isCertain(\.acksSent) { check("ACKs sent", "\(seen.acksSent)", "\"$(count \(to) migrate_send_rp_message 7:)\"") }
        if isCertain(\.acksCounted) {
            check("ACKs counted", "\(seen.acksCounted)", "\"$(count \(from) source_return_path_thread_switchover_acked)\"")
        }
        return lines + evidence(judgement, traces[index], from, to)
    }

    /// For each broken rule what it says, and the lines that show it.
    private func evidence(_ judgement: Judgement, _ trace: Trace, _ from: String, _ to: String) -> [String] {
        judgement.broken.flatMap { id -> [String] in
            guard let finding = judgement.findings.first(where: { $0.rule.id == id }) else { return [] }
            let heading = "rule \(id) \(shellQuoted(finding.rule.statement)) \(shellQuoted(escaped(finding.found)))"
            let shown = finding.tellingLines(in: trace).map { line in
                let side = [.source, .sourceDevices].contains(line.place.stream) ? from : to
                let log = [.source, .destination].contains(line.place.stream) ? "qemu.log" : "device.log"
                return "shows \(side) \(log) \(line.isFirst ? "first" : "last") \(shellQuoted(line.expression))"
            }
            return [heading] + shown
        }
    }
}

extension MigrationLeg {
    /// A source that has ended may leave a step that waits for its destination.
    fileprivate func isLeftToChance(_ step: ScheduleStep) -> Bool {
        guard let first = schedule.firstIndex(where: { if case .wait(.logged(.destination, _, _)) = $0 { true } else { false } }) else {
            return false
        }
        return schedule[first...].contains(step)
    }
}

// MARK: - Lines

/// A line that shows a broken rule, as another run would have it.
struct TellingLine {
    let place: Place
    /// As it was logged.
    let text: String
    /// An extended regular expression for the same line of another run, where sizes, times and counters are others.
    let expression: String
    /// True if it is the first line of its kind.
    let isFirst: Bool
}

extension Finding {
    /// Rules that break by what does not come: where they break nothing is to be seen.
    private static let ofAbsence: Set = ["ends", "converges", "truncated"]

    var isOfAbsence: Bool { Self.ofAbsence.contains(rule.id) }

    /// The lines it stands on: the place where it broke, and those it is in conflict with.
    func tellingLines(in trace: Trace) -> [TellingLine] {
        guard !isOfAbsence else { return [] }
        return places.prefix(4).compactMap { place in
            // The last line of a log is wherever it was cut off.
            guard place.line < trace[place.stream].count else { return nil }
            let stream = trace[place.stream]
            guard let event = stream.excerpt(around: place.line).first(where: { $0.line == place.line })?.entry.event else { return nil }
            let isFirst = !stream.lazy.prefix(place.line - 1).contains { earlier in
                earlier.event.map { $0.name == event.name && kind(of: $0.line) == kind(of: event.line) } ?? false
            }
            return TellingLine(place: place, text: event.line, expression: expression(for: event.line), isFirst: isFirst)
        }
    }
}

/// A line without what differs from run to run: numbers of three digits and more, but for a counter below zero.
private func kind(of line: String) -> String {
    line.replacing(#/[0-9]+/#) { $0.output.utf8.count > 2 && $0.output != "4294967295" ? "#" : String($0.output) }
}

private func expression(for line: String) -> String {
    let escaped = kind(of: line).map { ".*[]^$()+?{}|\\".contains($0) ? "\\\($0)" : String($0) }.joined()
    return "[ :]" + escaped.replacing("#", with: "[0-9]+")
}
