/// `ackmatrix report`: what a bug report about a cell needs.
import ArgumentParser
import Foundation
import Matrix
import Plan
import Reports

struct ReportCommand: EndsInOrder {
    static let configuration = CommandConfiguration(
        commandName: "report", abstract: "Run a cell, and write what a bug report about it needs.",
        discussion: """
            --standalone writes one POSIX shell script that drives the two QEMUs as the cell does, without this repository, and tells \
            whether the finding is reproduced: exit status 0 if it is, 1 if it is not, 2 if the environment is broken. The script needs \
            two QEMU binaries and the preload shim: QEMU_SOURCE, QEMU_DESTINATION and SHIM in its environment, by default those used here. \
            Memory grows with the trace of the cell: it takes some 20 times the size of its file.
            """)

    @OptionGroup var options: CellOptions

    @Flag(help: "Write a shell script that reproduces the cell without this repository.")
    var standalone = false

    @Option(help: ArgumentHelp("The file to write. (default: standard output)", valueName: "FILE"))
    var output: String?

    @Argument(help: ArgumentHelp("A cell's name.", valueName: "CELL")) var cell: String

    func run() async throws {
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
            text = try ShortReport(
                result, trace: result.telling.number < traces.count ? traces[result.telling.number] : nil,
                reproduction: options.reproduction()
            ).text
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
