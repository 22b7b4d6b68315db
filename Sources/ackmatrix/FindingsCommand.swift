/// `ackmatrix findings`: writes the text about what released versions do wrong, and reproduces each finding by its script alone.
import ArgumentParser
import Foundation
import Matrix
import MigrationTrace
import Plan
import QEMUPeer
import Reports
import Running

struct FindingsCommand: EndsInOrder {
    static let configuration = CommandConfiguration(
        commandName: "findings", abstract: "Print Traces/FINDINGS.md, generated from its data, or reproduce each finding.",
        discussion: """
            The text is generated from harness/matrix/findings.yaml, the known deviations, and the golden traces in Traces. --reproduce \
            writes the standalone script of each finding's cell and runs it in a folder outside the repository, with an empty environment \
            and a copy of the shim. The last line has the counts; exit status 1 means that at least one finding was not reproduced. \
            One golden trace is held at a time, so that memory stays below 100 MB.
            """)

    @OptionGroup var options: CellOptions

    @Flag(help: "Run the standalone script of each finding, and count what is reproduced.")
    var reproduce = false

    @Flag(help: "Print a template for each known deviation without a finding, with a cell that shows the deviation.")
    var stubs = false

    @Option(help: ArgumentHelp("Only the finding with this identifier; may repeat.", valueName: "ID"))
    var only: [String] = []

    @Option(help: "With --reproduce: the number of times that each script runs.")
    var `repeat` = 1

    func validate() throws {
        guard `repeat` >= 1 else { throw ValidationError("--repeat: expected 1 or more, found \(`repeat`)") }
        guard `repeat` == 1 || reproduce else { throw ValidationError("--repeat \(`repeat`): expected --reproduce beside it") }
        guard !stubs || !reproduce && only.isEmpty else {
            throw ValidationError("--stubs: expected neither --reproduce nor --only beside it")
        }
    }

    func run() async throws {
        let matrix = try options.matrixFile()
        let deviations = try options.deviations.file(matrix)
        let known = deviations.deviations
        let root = try Harness.root()
        let file = try FindingsFile(path: root + "/harness/matrix/findings.yaml", known: known)
        if stubs {
            let cells = try await Recipe.cells(of: matrix, tier: .full, binaries: Harness.probed(options.binaries.binaries())).cells
            let golden = try Corpus.traces(in: root + "/Traces").map { URL(fileURLWithPath: $0).deletingPathExtension().lastPathComponent }
            sayLines(file.stubs(deviations, cells: cells, golden: Set(golden)))
            return
        }
        let chosen = file.findings.filter { only.isEmpty || only.contains($0.id) }
        if let unknown = only.first(where: { id in !file.findings.contains { $0.id == id } }) {
            let nearest = nearestNames(to: unknown, among: file.findings.map(\.id), count: 3)
            throw ValidationError("--only: no finding has the id \(unknown); the nearest are \(nearest.joined(separator: ", "))")
        }
        guard reproduce else {
            sayLines(try FindingsText(findings: chosen, deviations: known) { try Trace.golden($0, in: root + "/Traces") }.text())
            return
        }
        try await reproduce(chosen)
    }

    private func reproduce(_ findings: [KnownFinding]) async throws {
        let binaries = try await Harness.probed(options.binaries.binaries())
        var (shown, lost, without) = (0, 0, 0)
        for finding in findings {
            let driven = try await options.drive(finding.cell, binaries)
            let place = try driven.folder.folder("elsewhere")
            do {
                try Data(driven.standalone().utf8).write(to: URL(fileURLWithPath: place + "/finding.sh"))
            } catch let error as ValidationError {
                without += 1
                say("\(finding.id)  no script: \(error.message)")
                continue
            }
            // Nothing of the repository is left to it.
            try FileManager.default.copyItem(atPath: Harness.shim(), toPath: place + "/shim.so")
            for _ in 0..<`repeat` {
                let began = Date()
                let result = try await runShellScript(
                    place + "/finding.sh", folder: place, environment: ["SHIM": place + "/shim.so", "TMPDIR": place])
                guard result.status != 2 else { throw Environment("\(finding.id): \(result.output)") }
                let seconds = String(format: "%.1f s", Date().timeIntervalSince(began))
                if result.status == 0 { shown += 1 } else { lost += 1 }
                say("\(finding.id)  \(result.status == 0 ? "reproduced" : "NOT REPRODUCED")  \(finding.cell)  \(seconds)")
                if result.status != 0 { sayLines(result.output) }
            }
        }
        say("\(shown) reproduced, \(lost) not reproduced, \(without) without a script")
        if lost > 0 { throw Finding(description: "\(lost) of \(shown + lost) runs did not show their finding") }
    }
}
