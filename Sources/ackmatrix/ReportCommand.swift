/// `ackmatrix report`: what a bug report about a cell needs.
import ArgumentParser
import Foundation
import Matrix
import Plan
import Reports

enum ReportFormat: String, CaseIterable, ExpressibleByArgument {
    case text
    case markdown
    case html
    case tap
    case junit

    var about: String {
        switch self {
        case .text: "of a cell: what a bug report needs, in a few lines (the default)"
        case .markdown: "of a cell or a run: for a mail or a merge request"
        case .html: "of a run: one page without a network, with the matrix as a grid and each cell's handshake"
        case .tap: "of a run: TAP 14"
        case .junit: "of a run: JUnit's XML, with the explanation in each failure"
        }
    }
}

struct ReportCommand: EndsInOrder {
    static let configuration = CommandConfiguration(
        commandName: "report", abstract: "Run a cell and write what a bug report about it needs, or report a run that has ended.",
        discussion: """
            With the name of a cell, the cell runs. --standalone writes one POSIX shell script that drives the two QEMUs as the cell does, \
            without this repository, and tells whether the finding is reproduced: exit status 0 if it is, 1 if it is not, 2 if the \
            environment is broken. The script needs two QEMU binaries and the preload shim: QEMU_SOURCE, QEMU_DESTINATION and SHIM in its \
            environment, by default those used here. Memory grows with the trace of the cell: it takes some 20 times the size of its file.

            With the folder of a run (or the place of runs, which stands for its newest), the results that the run has left are reported. \
            results.jsonl is described by Traces/results.schema.json. The page draws the handshake of each finding and known deviation \
            whose folder the run has kept (of deviations with `ackmatrix run --keep-all`), and of the others their counts.

            The formats (--format) are
            \(ReportFormat.allCases.map { "  \($0.rawValue): \($0.about)" }.joined(separator: "\n"))

            Examples:
              ackmatrix report 11.1-11.1+q35-11.1+2-devices --format markdown
              ackmatrix report .build/results --format html --output run.html
            """)

    @OptionGroup var options: CellOptions

    @Flag(help: "Write a shell script that reproduces the cell without this repository.")
    var standalone = false

    @Option(help: "What to write: text, markdown, html, tap or junit.")
    var format = ReportFormat.text

    @Option(help: ArgumentHelp("The file to write. (default: standard output)", valueName: "FILE"))
    var output: String?

    @Argument(help: ArgumentHelp("A cell's name, or the folder of a run.", valueName: "CELL|RUN")) var cell: String

    func validate() throws {
        guard !standalone || format == .text else {
            throw ValidationError("--standalone: expected no --format beside it, found --format \(format.rawValue)")
        }
    }

    func run() async throws {
        if FileManager.default.fileExists(atPath: cell) {
            let text = try RunReportText(path: cell, format: format, options: options).text()
            return try output.map { try ackmatrix.write(text, to: $0) } ?? sayLines(text)
        }
        guard [.text, .markdown].contains(format) else {
            throw ValidationError("--format \(format.rawValue): expected the folder of a run, found no folder \(cell)")
        }
        guard !standalone || !cell.contains(SideImplementation.enginePrefix) else {
            throw ValidationError(
                "\(cell): an engine has no process that a script could drive; the same cell of QEMU may have a standalone script: "
                    + cell.replacing(SideImplementation.enginePrefix, with: ""))
        }
        let driven = try await options.drive(cell)
        let result = driven.result
        let text: String
        if standalone {
            text = try driven.standalone()
        } else {
            let traces = try driven.traces()
            let trace = result.telling.number < traces.count ? traces[result.telling.number] : nil
            text =
                try format == .markdown
                ? CellMarkdown(result, trace: trace, reproduction: options.reproduction()).text
                : ShortReport(result, trace: trace, reproduction: options.reproduction()).text
        }
        guard let output else {
            sayLines(text)
            return
        }
        try write(text, executable: standalone, to: output)
    }

    private func write(_ text: String, executable: Bool, to path: String) throws {
        do {
            try Data(text.utf8).write(to: URL(fileURLWithPath: path))
            if executable { try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path) }
        } catch {
            throw Environment("\(path): cannot be written: \(systemReason(error))")
        }
    }
}

extension DrivenCell {
    /// The script that reproduces the cell elsewhere.
    func standalone() throws -> String {
        let driver = try Harness.root() + "/harness/standalone.sh"
        guard let text = try? String(contentsOfFile: driver, encoding: .utf8) else { throw Environment("\(driver): cannot be read") }
        do {
            return try Standalone(result, traces: traces(), driver: text, shim: Harness.shim()).script(folder: folder.folder("boards"))
        } catch let error as Unrenderable {
            throw ValidationError("\(result.name) has no standalone script: \(error)")
        }
    }
}
