/// What of a run differs from what was predicted: the words of an error, and the steps that were owed.
import EnginePeer
import Plan
import Prediction
import TestSupport
import Testing

@testable import Matrix
@testable import Running

@Suite struct ComparisonTests {
    private let cell: Cell

    init() throws {
        let matrix = try MatrixFile(path: repositoryFile("harness/matrix/default.yaml"))
        let engine = try #require(ProbedBinary.engine("11.1"))
        let sides = ["source": "per-device", "destination": "per-device", "type": "newest-per-device"]
        let selection = try #require(Selection(matrix.axes, sides))
        cell = try #require(try Recipe.cells(of: selection, product: "test", binaries: [engine]).cells.first)
    }

    /// Of a migration that failed, with this error and after these steps.
    private func differences(_ cell: Cell, error: String? = nil, done: [ScheduleStep] = []) -> [String] {
        let record = MigrationRecord(
            outcome: .ended("failed"), sourceStatuses: ["failed"], destinationStatuses: ["failed"], sourceRunState: "running",
            destinationRunState: nil, sourceCapabilities: [:], destinationCapabilities: [:], sourceError: error, downtime: nil,
            marks: done.map { ScheduleMark(step: $0, queries: nil, sourceIterated: true) }, seconds: 1)
        return Comparison(cell, leg: 0, ending: .verdict(.failed), judgement: nil, record: record).differences
    }

    static let words = ["Sibling indicated error 1", "Unable to write to socket"]

    /// Either error may be kept where it depends on who is faster, and no other.
    @Test(
        arguments: [
            (words[0], words[1], "load: Sibling indicated error 1", nil),
            (words[0], words[1], "Unable to write to socket: Broken pipe", nil),
            (
                words[0], words[1], "Unable to read",
                "expected 'Sibling indicated error 1' or 'Unable to write to socket', found 'Unable to read'"
            ),
            (words[0], words[1], nil, "expected 'Sibling indicated error 1' or 'Unable to write to socket', found none"),
            (words[0], nil, "Unable to write to socket", "expected 'Sibling indicated error 1', found 'Unable to write to socket'"),
            (nil, nil, "Unable to write to socket", nil), (nil, nil, nil, nil),
        ] as [(String?, String?, String?, String?)])
    func theErrorIsOneOfThosePredicted(words: String?, other: String?, error: String?, difference: String?) {
        var cell = cell
        var outcome = Outcome(.failed)
        (outcome.words, outcome.otherWords) = (words, other)
        cell.outcomes = [outcome]
        cell.plan.legs[0].schedule = []
        let done = cell.plan.legs[0].before + cell.plan.legs[0].afterwards
        #expect(differences(cell, error: error, done: done) == (difference.map { ["error of the source: \($0)"] } ?? []))
    }

    private static let waits = ScheduleStep.wait(.logged(.source, event: "migration_thread_low_pending", times: 1))
    private static let hears = ScheduleStep.wait(.logged(.destination, event: "process_incoming_migration_co_end", times: 1))
    private static let opens = ScheduleStep.open(.source, gate: "g")
    private static let cancels = ScheduleStep.execute(.source, command: "migrate_cancel", nil)

    /// Behind what breaks the migration nothing is owed that only lets go, nor anything behind a wait for the destination.
    @Test(
        arguments: [
            ([waits, .kill(.destination), opens], [waits, .kill(.destination)], nil),
            ([waits, .yank(.source), opens, opens], [waits, .yank(.source)], nil),
            ([waits, .cut(.whole), opens], [waits, .cut(.whole)], nil),
            ([waits, .cut(.whole), opens], [waits], 2),
            ([opens, .kill(.destination)], [.kill(.destination)], 1),
            ([waits, .kill(.destination), opens, cancels], [waits, .kill(.destination), cancels], 3),
            ([waits, cancels, opens], [waits, cancels], 3),
            ([waits, hears, cancels], [waits], nil),
            ([waits, hears, cancels], [], 1),
        ] as [([ScheduleStep], [ScheduleStep], Int?)])
    func stepsAreOwed(schedule: [ScheduleStep], done: [ScheduleStep], missing: Int?) {
        var cell = cell
        cell.outcomes = [Outcome(.failed)]
        cell.plan.legs[0].schedule = schedule
        (cell.plan.legs[0].before, cell.plan.legs[0].afterwards) = ([], [])
        let expected = missing.map { ["schedule step \($0) (\(schedule[$0 - 1])) was never done"] } ?? []
        #expect(differences(cell, done: done) == expected)
    }
}
