/// `ackmatrix run`: drives cells and prints for each who requested, who approved, and before which decision.
import ArgumentParser
import Foundation
import Matrix
import Peers
import Verification

struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Drive cells on real QEMU binaries.",
        discussion: "Each cell is one migration over mock devices; `ackmatrix list` names them.")

    @OptionGroup var binaries: BinaryOptions

    @Option(help: ArgumentHelp("Only cells whose name contains this; may repeat.", valueName: "TEXT"))
    var cell: [String] = []

    @Option(help: "How often each cell runs.")
    var `repeat` = 1

    @Option(
        help: ArgumentHelp("Keep every cell's logs, scripts and command lines in this folder, which must not exist.", valueName: "FOLDER"))
    var keep: String?

    func validate() throws {
        guard `repeat` >= 1 else { throw ValidationError("--repeat: expected 1 or more, found \(`repeat`)") }
        if let keep, FileManager.default.fileExists(atPath: keep) { throw ValidationError("--keep: \(keep) exists already") }
    }

    func run() async throws {
        let binaries = try await Harness.probed(self.binaries.binaries())
        let matrix = try FirstCells(binaries)
        for sentence in matrix.missing { Harness.note("missing: \(sentence)") }
        guard !matrix.cells.isEmpty else { throw Environment("no cell can be run with the binaries at hand; see: ackmatrix qemu list") }
        let cells = matrix.cells.filter { candidate in cell.isEmpty || cell.contains { candidate.name.contains($0) } }
        guard !cells.isEmpty else {
            throw ValidationError("--cell: no cell's name contains \(cell.joined(separator: " or ")); see: ackmatrix list")
        }
        let runner = CellRunner(
            binaries: Dictionary(binaries.map { ($0.binary.name, $0) }) { _, later in later }, shim: try Harness.shim())
        let folder = try RunFolder()
        if let keep { try FileManager.default.createDirectory(atPath: keep, withIntermediateDirectories: true) }

        var tally = Tally()
        do {
            for round in 1...`repeat` {
                for cell in cells {
                    let place = "\(folder.path)/c"
                    let result = try await self.result(of: cell, runner: runner, place: place)
                    if let keep, FileManager.default.fileExists(atPath: place) {
                        try FileManager.default.copyItem(atPath: place, toPath: "\(keep)/\(cell.name)" + (`repeat` > 1 ? ".\(round)" : ""))
                    }
                    try? FileManager.default.removeItem(atPath: place)
                    say(render(result))
                    tally.add(result)
                }
            }
        } catch {
            say("stopped after \(tally.line)")
            throw error
        }
        say(tally.line)
        if tally.findings > 0 { throw Finding(description: "\(tally.findings) of \(tally.total) runs differ from the prediction") }
    }

    /// A QEMU that does not do its part is a finding; everything else that goes wrong is the environment and ends the run.
    private func result(of cell: Cell, runner: CellRunner, place: String) async throws -> CellResult {
        do {
            return try await runner.run(cell, folder: place)
        } catch let error as SideError where !Task.isCancelled {
            return CellResult(broken: cell, reason: error.description)
        } catch let error as QMPError where error.isOfQEMU && !Task.isCancelled {
            return CellResult(broken: cell, reason: error.description)
        }
    }
}

/// Counts over a run.
private struct Tally {
    var asPredicted = 0
    var findings = 0
    var gating = 0
    var total: Int { asPredicted + findings }

    mutating func add(_ result: CellResult) {
        switch result.verdict {
        case .asPredicted: asPredicted += 1
        case .finding: findings += 1
        }
        if result.handshake?.isGating == true { gating += 1 }
    }

    var line: String {
        "\(total) runs: \(asPredicted) as predicted, \(findings) findings; the ACK gated the decision in \(gating)"
    }
}

/// The lines of one cell.
func render(_ result: CellResult) -> String {
    let cell = result.cell
    let word =
        switch result.verdict {
        case .asPredicted: "as predicted"
        case .finding: "FINDING"
        }
    var lines = ["\(cell.name)  \(word)  \(String(format: "%.2f", result.seconds)) s"]
    if let record = result.record, let handshake = result.handshake {
        lines.append(
            "    sides      \(cell.source) -> \(cell.destination), \(cell.machine), mode \(handshake.mode?.rawValue ?? "unknown"), \(record.outcome.description)"
        )
        lines += handshakeLines(handshake, names: namesByIdstr(cell))
        for mark in record.marks {
            if case .wait(.furtherQueries(_, let device, _)) = mark.step, let queries = mark.queries {
                lines.append(
                    "    held       \(queries.upperBound - queries.lowerBound) further queries of \(device) while its load was held; the source \(mark.sourceIterated ? "was still iterating" : "HAD SWITCHED OVER")"
                )
            }
        }
    }
    if let refusal = result.refusal { lines.append("    refused    \(cell.source) -> \(cell.destination), \(cell.machine): \(refusal)") }
    switch result.verdict {
    case .finding(let differences):
        lines += differences.map { "    finding    \($0)" }
        lines.append("    again      ackmatrix run --cell '\(cell.name)' --keep FOLDER")
    case .asPredicted: break
    }
    return lines.joined(separator: "\n")
}

private func handshakeLines(_ handshake: Handshake, names: [String: String]) -> [String] {
    func list(_ counts: [String: Int], unnamed: Int = 0) -> String {
        var parts = counts.map { "\(names[$0.key] ?? $0.key) x\($0.value)" }.sorted()
        if unnamed > 0 { parts.append("\(unnamed) counted by the destination, unnamed up to 11.0") }
        return parts.isEmpty ? "nobody" : parts.joined(separator: ", ")
    }
    var lines = [
        "    requested  \(list(handshake.requests, unnamed: handshake.unnamedRequests))",
        "    approved   \(list(handshake.approvals))",
        "    ACKs       \(handshake.acksSent) sent, \(handshake.acksCounted) counted",
    ]
    if let decision = handshake.decision {
        lines.append(
            "    decision   after \(decision.acksBefore) ACKs and \(decision.queries) queries, \(decision.pending) bytes pending, threshold "
                + "\(decision.threshold.map(String.init) ?? "0"); "
                + (handshake.isGating ? "the ACK held it back at \(handshake.gatedQueries) queries" : "not gating"))
    } else {
        lines.append("    decision   none")
    }
    return lines
}

struct ListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Name the cells that the binaries at hand can show, a line each.")

    @OptionGroup var binaries: BinaryOptions

    func run() async throws {
        let matrix = try FirstCells(try await Harness.probed(binaries.binaries()))
        for sentence in matrix.missing { Harness.note("missing: \(sentence)") }
        for cell in matrix.cells { print(cell.name) }
    }
}
