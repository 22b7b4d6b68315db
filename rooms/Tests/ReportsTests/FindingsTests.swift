import Foundation
import MigrationTrace
import QEMUPeer
import TestSupport
import Testing
import Verification

@testable import Matrix
@testable import Reports
@testable import Running

private let corpus = repositoryFile("Traces")
private let shim = ProcessInfo.processInfo.environment["ACKMATRIX_SHIM"] ?? ""
private let fetched = (try? QEMUBinaries().all) ?? []
private let qemuAtHand = FileManager.default.fileExists(atPath: shim) && !fetched.isEmpty

/// Traces/FINDINGS.md and what it is made from.
@Suite struct FindingsTests {
    private let matrix: MatrixFile
    private let deviations: [Deviation]
    private let file: FindingsFile

    init() throws {
        matrix = try MatrixFile(path: repositoryFile("harness/matrix/default.yaml"))
        deviations = try DeviationFile(path: repositoryFile("harness/matrix/deviations.yaml"), axes: matrix.axes).deviations
        file = try FindingsFile(path: repositoryFile("harness/matrix/findings.yaml"), known: deviations)
    }

    @Test func theTextInTheRepositoryIsUpToDate() throws {
        let text = try FindingsText(findings: file.findings, deviations: deviations) { try Trace.golden($0, in: corpus) }.text()
        let kept = try String(contentsOfFile: corpus + "/FINDINGS.md", encoding: .utf8)
        #expect(text == kept, "write it anew: .build/release/ackmatrix findings > Traces/FINDINGS.md")
        #expect(file.findings.count >= 8)
    }

    /// The golden trace shows what the deviation says: its rules, its verdict, its versions.
    @Test func everyFindingIsShownByItsGoldenTrace() throws {
        for finding in file.findings {
            let trace = try Trace.golden(finding.cell, in: corpus)
            guard let first = finding.deviations.first, let deviation = deviations.first(where: { $0.id == first }) else { continue }
            #expect(Set(trace.header.broken).isSuperset(of: deviation.rules), "\(finding.id)")
            #expect(deviation.verdicts.contains(trace.header.verdict), "\(finding.id)")
            for (side, versions) in [
                (trace.header.source, deviation.sourceVersions), (trace.header.destination, deviation.destinationVersions),
            ] {
                #expect(versions?.contains(String(side.version.prefix { $0 != " " })) != false, "\(finding.id)")
            }
            #expect(!findingLines(judge(trace), trace).isEmpty, "\(finding.id)")
        }
    }

    @Test(.enabled(if: qemuAtHand, "needs fetched QEMU binaries and the shim named by ACKMATRIX_SHIM: run harness/test"))
    func everyFindingsCellIsInTheMatrixAndMeantByItsDeviation() async throws {
        let binaries = try await FeatureStore(cache: QEMUBinaries.cache).probed(fetched, shim: shim, folder: RunFolder())
        let known = try DeviationFile(path: repositoryFile("harness/matrix/deviations.yaml"), axes: matrix.axes)
        let cells = try Recipe.cells(of: matrix, tier: .full, binaries: binaries).cells
        for finding in file.findings {
            guard let cell = cells.first(where: { $0.name == finding.cell }) else {
                Issue.record("\(finding.id): no cell of the matrix is named \(finding.cell)")
                continue
            }
            let meant = known.deviations(
                for: cell.selection, cellName: cell.name, sourceVersion: cell.sourceVersion, destinationVersion: cell.destinationVersion)
            if let first = finding.deviations.first { #expect(meant.contains { $0.deviation.id == first }, "\(finding.id)") }
        }
    }

    @Test func aDeviationWithoutAnEntryIsListedAtTheEnd() throws {
        let text = try FindingsText(findings: [], deviations: Array(deviations.prefix(2))) { _ in Trace() }.text()
        for deviation in deviations.prefix(2) { #expect(text.contains("| `\(deviation.id)` |")) }
    }

    @Test(arguments: [
        (
            "{id: a, title: t, severity: dire, cell: c, deviations: ends-late}",
            "expected a severity (critical, high, medium, low), found 'dire'"
        ),
        ("{id: a, title: t, severity: low, cell: c, deviations: nobody}", "expected the id of a known deviation, found 'nobody'"),
        (
            "{id: a, title: t, severity: low, cell: c, deviations: ends-late, reason: r}",
            "expected no 'reason' in a finding with deviations"
        ),
        ("{id: a, title: t, severity: low, cell: c}", "expected 'versions' in a finding without deviations"),
        ("{id: a, title: t, severity: low, deviations: ends-late}", "expected 'cell' in a finding"),
        (
            "{id: a, title: t, severity: low, cell: c, deviations: ends-late}\n  - {id: a, title: t, severity: low, cell: c, deviations: other}",
            "expected another id than 'a'"
        ),
        (
            "{id: a, title: t, severity: low, cell: c, deviations: ends-late}\n  - {id: b, title: t, severity: low, cell: c, deviations: ends-late}",
            "expected each deviation in one finding, found 'ends-late' in 'a', too"
        ),
    ])
    func aWrongEntryIsRefused(entry: String, words: String) throws {
        func deviation(_ id: String) -> Deviation {
            Deviation(
                id: id, cells: [:], names: ["*"], sourceVersions: ["1"], destinationVersions: nil, rules: ["ends"],
                verdicts: ["waits forever"], sometimes: false, reason: "r", reference: "n")
        }
        let known = [deviation("ends-late"), deviation("other")]
        let error = #expect(throws: MatrixFileError.self) {
            try FindingsFile("ackmatrix-findings: 1\nfindings:\n  - \(entry)\n", file: "f.yaml", known: known)
        }
        #expect(error?.description.contains(words) == true, "\(String(describing: error))")
    }

    /// A finding that breaks no rule has its own facts, and its lines by name.
    @Test func aSurpriseIsToldFromItsTrace() throws {
        let entry = """
            ackmatrix-findings: 1
            findings:
              - {id: a, title: A title, severity: low, cell: "11.1-11.1+q35-11.1", versions: 11.1.3, reason: As it is., reference: none,
                 events: [migration_thread_low_pending]}
            """
        let file = try FindingsFile(entry, file: "f.yaml", known: [])
        let text = try FindingsText(findings: file.findings, deviations: []) { try Trace.golden($0, in: corpus) }.text()
        #expect(text.contains("As it is.") && text.contains(": migration_thread_low_pending "), "\(text)")
    }
}

/// Lines of one run as another run has them.
@Suite struct TellingLineTests {
    @Test func sizesAndTimesDifferAndWhatTellsDoesNot() throws {
        let trace = try Trace.golden("11.1-11.1+q35-11.1+2-devices+legacy-source+decision-first", in: corpus)
        let finding = try #require(judge(trace).findings.first { $0.rule.id == "surplus-ack" })
        let line = try #require(finding.tellingLines(in: trace).first)
        #expect(line.expression == "[ :]source_return_path_thread_switchover_acked switchover_ack_pending_num 4294967295")
        let early = try #require(judge(trace).findings.first { $0.rule.id == "approved-before-decision" })
        #expect(early.tellingLines(in: trace).map(\.expression).contains("[ :]migration_thread_low_pending [0-9]+"))
        #expect(early.tellingLines(in: trace).map(\.isFirst) == [true, false, true])
    }
}
