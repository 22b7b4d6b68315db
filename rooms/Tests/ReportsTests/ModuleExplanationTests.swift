import Plan
import TestSupport
import Testing

@testable import Matrix
@testable import Reports
@testable import Running

@Suite struct ModuleExplanationTests {
    /// The explanation of a cell names the modules of its guest.
    @Test(arguments: [
        (
            "requester-late",
            ["requester: asks for 1 ACK in the first query; for 1 in the final query; markers 2 PARTs behind each request"]
        ),
        ("requester-again", ["requester 'r0': asks for 1 ACK in the first query; for another when gate 'again' is open"]),
        ("guest-faults", ["modules: 8 missing pages touched in postcopy"]),
        (
            "all",
            [
                "modules: a dirty bitmap, storage attributes, a balloon that hints free pages",
                "requester 'r0': asks for 1 ACK in the first query",
            ]
        ),
        ("none", []),
    ]) func theModulesAreExplained(modules: String, expected: [String]) throws {
        let matrix = try MatrixFile(path: repositoryFile("harness/matrix/default.yaml"))
        let runner = CellRunner(
            binaries: ProbedBinary.engines, shim: "",
            deviations: try DeviationFile(path: repositoryFile("harness/matrix/deviations.yaml"), axes: matrix.axes))
        let selection = try #require(
            Selection(
                matrix.axes,
                [
                    "source": "per-device", "destination": "per-device", "type": "newest-per-device", "modules": modules, "devices": "1",
                ]))
        let engine = try #require(ProbedBinary.engine("11.1"))
        let cell = try #require(try Recipe.cells(of: selection, product: "test", binaries: [engine]).cells.first)
        let text = Explanation(try runner.runInEngine(cell), trace: try runner.engineTraces(cell).traces[0]).text
        #expect(cell.plan.source.modules.descriptions == expected)
        let oneLine = text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        for description in expected { #expect(oneLine.contains(description), "\(text)") }
    }
}
