import Foundation
import MigrationTrace
import Plan
import Prediction
import QEMUPeer
import Synchronization
import Testing
import Verification

@testable import Matrix
@testable import Running

/// What these tests need of the machine: fetched binaries and the built shim. Which binary plays which part follows from its features.
private let shim = ProcessInfo.processInfo.environment["ACKMATRIX_SHIM"] ?? ""
private let fetched = (try? QEMUBinaries().all) ?? []
private let atHand = FileManager.default.fileExists(atPath: shim) && !fetched.isEmpty

/// Cells on real QEMU binaries.
@Suite(
    .serialized,
    .enabled(if: atHand, "needs fetched QEMU binaries (ackmatrix qemu fetch) and the shim named by ACKMATRIX_SHIM: run harness/test"))
struct CellTests {
    /// One of each kind: pairings, rounds, an ability on one side only, both forced branches of a race, late REINITs, refusals.
    @Test(arguments: [
        ["source": "legacy-only", "destination": "legacy-only"], ["source": "legacy-only", "destination": "per-device", "devices": "2"],
        ["source": "per-device", "destination": "legacy-only", "ability": "precopy"],
        [
            "source": "per-device", "destination": "per-device", "type": "newest-per-device", "devices": "4", "reinits": "3",
            "order": "reversed",
        ],
        ["source": "per-device", "destination": "per-device", "ability": "none", "destination-ability": "precopy"],
        [
            "source": "per-device", "destination": "per-device", "type": "newest-per-device", "legacy-property": "source", "devices": "2",
            "race": "decision-first",
        ],
        [
            "source": "per-device", "destination": "per-device", "type": "newest-per-device", "legacy-property": "destination",
            "devices": "0",
            "race": "ack-first",
        ],
        ["source": "per-device", "destination": "per-device", "type": "newest-per-device", "moment": "last-check", "reinits": "1"],
        [
            "source": "per-device", "destination": "per-device", "type": "newest-per-device", "moment": "after-check", "reinits": "1",
            "p2p": "without",
        ],
        ["source": "legacy-only", "destination": "legacy-only", "p2p": "first-without", "devices": "2"],
        ["source": "without", "destination": "per-device", "devices": "0"],
        ["source": "per-device", "destination": "per-device", "type": "newest-per-device", "guest": "reset", "devices": "1"],
        ["source": "legacy-only", "destination": "legacy-only", "driver": "cancel-sent"],
        ["source": "legacy-only", "destination": "legacy-only", "driver": "device-reset-stopping"],
    ])
    func theCellIsAsPredictedAndItsTraceSaysSo(changes: [String: String]) async throws {
        let folder = try RunFolder()
        let set = try await MatrixAtHand()
        let cell = try set.cell(changes)
        let place = folder.path + "/c"
        let result = try await set.runner.run(cell, folder: place)
        #expect(result.findings == [], "\(cell.name)")
        #expect(result.last.oddOneOut == nil)
        guard let judgement = result.last.judgement else {
            #expect(result.ending.text == "refused")
            return
        }
        let trace = try Trace(path: place + "/" + Cell.traceFile)
        #expect(judge(trace) == judgement)
        #expect(RecordedJudgement(trace, judge(trace)).differences == [])
        #expect(trace.header.cell == cell.name)
        // The same logs, read as they lie there.
        let logs = try judge(logs: [place + "/source/qemu.log", place + "/destination/qemu.log"])
        #expect(logs.handshake == judgement.handshake)
    }

    /// Each leg is predicted, judged and told for itself: a retry of the same process counts afresh, a chain does at each hop.
    @Test(arguments: [
        (["driver": "cancel-waiting", "devices": "2"], "failed, source running", 1),
        (["driver": "chain-back", "devices": "2"], "completed", 2),
    ])
    func everyLegIsAsPredicted(changes: [String: String], first: String, acks: Int) async throws {
        let folder = try RunFolder()
        let set = try await MatrixAtHand()
        let plain = ["source": "per-device", "destination": "per-device", "type": "newest-per-device"]
        let result = try await set.runner.run(try set.cell(plain.merging(changes) { $1 }), folder: folder.path + "/c")
        #expect(result.findings == [])
        #expect(result.legs.dropLast().map(\.ending.text) == [first])
        #expect(result.legs.dropLast().map(\.judgement?.handshake.acksCounted) == [acks])
        #expect(result.last.judgement?.handshake.acksCounted == 2)
        #expect(result.last.isGating)
    }

    /// A source whose monitor answers no more is proved to wait forever, without a single iteration, and is ended.
    @Test func aSourceThatHangsIsProvedAndEnded() async throws {
        let folder = try RunFolder()
        let set = try await MatrixAtHand()
        let cell = try set.cell([
            "source": "per-device", "destination": "per-device", "type": "newest-per-device", "driver": "cancel-connecting",
        ])
        let result = try await set.runner.run(cell, folder: folder.path + "/c")
        #expect(result.findings == [])
        #expect(result.last.judgement?.verdict == .waitsForever)
        #expect(result.last.record?.sourceRunState == nil)
    }

    /// The prediction is not a formality: the same run against another prediction is a finding.
    @Test func aWrongPredictionIsAFinding() async throws {
        let folder = try RunFolder()
        let set = try await MatrixAtHand()
        var cell = try set.cell(["source": "per-device", "destination": "per-device", "type": "newest-per-device", "devices": "2"])
        cell.lastForecast.outcomes[0].acksSent = 3
        cell.lastForecast.outcomes[0].acksCounted = 3
        let result = try await set.runner.run(cell, folder: folder.path + "/c")
        #expect(result.findings == ["ACKs sent: expected 3, found 2", "ACKs counted: expected 3, found 2"])
        cell.lastForecast.outcomes[0].ending = .waitsForever
        let other = try await set.runner.run(cell, folder: folder.path + "/d")
        #expect(other.findings.first?.hasPrefix("ending: expected waits forever, found completed") == true)
        #expect(other.last.oddOneOut == Judge(name: "closed form", says: "waits forever"))
    }

    /// A known deviation is one only where the list says so, and only as long as it shows.
    @Test func deviationsAreExpectedStrictOrAbsent() async throws {
        let folder = try RunFolder()
        let set = try await MatrixAtHand()
        let cell = try set.cell(
            ["source": "per-device", "destination": "per-device", "type": "newest-per-device", "moment": "after-check", "reinits": "1"])
        var runner = set.runner
        #expect(try await runner.run(cell, folder: folder.path + "/a").findings == [])
        runner.policy = .strict
        #expect(
            try await runner.run(cell, folder: folder.path + "/b").findings.first?.contains("known deviation reinit-after-last-check")
                == true)
        runner.policy = .expected
        runner.deviations = try DeviationFile("ackmatrix-deviations: 1\ndeviations: []\n", file: "none", axes: set.matrix.axes)
        #expect(try await runner.run(cell, folder: folder.path + "/c").findings.first?.contains("no known deviation explains it") == true)
        // The same cell without its late REINIT breaks nothing: what is listed for it is missed.
        var healthy = try set.cell(["source": "per-device", "destination": "per-device", "type": "newest-per-device"])
        healthy.selection = cell.selection
        let absent = try await set.runner.run(healthy, folder: folder.path + "/d")
        #expect(absent.findings.first?.contains("reinit-after-last-check: expected unnoticed-reinit to be broken") == true)
    }

    /// A source that ignores the ACK decides at the first query at which only the ACK is missing. Whatever gates must turn red then.
    @Test func aSourceThatIgnoresTheACKTurnsEveryGatingCellRed() async throws {
        let folder = try RunFolder()
        let set = try await MatrixAtHand()
        var runner = set.runner
        runner.tampering = .decisionBeforeAck
        let gating = try set.cells(.quick).filter { $0.lastForecast.outcomes.contains(where: \.isGating) }
        #expect(gating.count >= 8)
        for (index, cell) in gating.enumerated() {
            let result = try await runner.run(cell, folder: "\(folder.path)/\(index)")
            #expect(result.isFinding, "\(cell.name)")
            #expect(result.last.judgement?.findings.contains { $0.rule.id == "decision-awaits-acks" } == true, "\(cell.name)")
        }
    }

    /// The gate decides, not the machine's speed: 20 of 20, on an idle machine and with every processor kept busy.
    @Test(arguments: [false, true])
    func theGateHoldsTwentyTimes(busy: Bool) async throws {
        let folder = try RunFolder()
        let set = try await MatrixAtHand()
        let cell = try set.cell(["source": "per-device", "destination": "per-device", "type": "newest-per-device", "reinits": "1"])
        let load = Load(threads: busy ? ProcessInfo.processInfo.activeProcessorCount : 0)
        defer { load.stop() }
        for round in 1...20 {
            let result = try await set.runner.run(cell, folder: "\(folder.path)/\(round)")
            #expect(result.findings == [], "round \(round)")
            let queries = try #require(result.last.record?.marks.compactMap(\.queries).first)
            #expect(queries.upperBound - queries.lowerBound >= 50)
            #expect(result.last.record?.marks.allSatisfy(\.sourceIterated) == true)
        }
    }

    /// Slow is not stuck: half a second a write, and a source that stays blocked on a full socket.
    @Test(arguments: ["slow", "blocked"])
    func aSlowDestinationIsNotCalledEndless(pace: String) async throws {
        let folder = try RunFolder()
        let set = try await MatrixAtHand()
        let cell = try set.cell(["source": "per-device", "destination": "per-device", "type": "newest-per-device", "pace": pace])
        let result = try await set.runner.run(cell, folder: folder.path + "/c")
        #expect(result.ending == .verdict(.completed))
        #expect(result.findings == [])
    }

    @Test func whatABinaryCannotShowIsSaidNotDropped() async throws {
        let set = try await MatrixAtHand()
        let selection = try #require(Selection(set.matrix.axes, ["source": "per-device", "destination": "per-device"]))
        let old = set.binaries.filter { !$0.features.hasLegacyProperty }
        let made = try Recipe.cells(of: selection, product: "p", binaries: old)
        #expect(made.cells.isEmpty)
        #expect(
            made.skipped.lines.contains {
                $0.contains("`source: per-device`; no available QEMU binary has the per-device mode")
            })
    }

    /// A break that has nothing to break is not run as a cell in which nothing breaks.
    @Test(arguments: [
        (["driver": "destination-killed", "when": "waiting", "devices": "0"], "needs a device whose load a gate can hold"),
        (["driver": "destination-killed"], "the axis 'when' names none"), (["driver": "call-fails"], "the axis 'call' names none"),
    ])
    func aBreakWithoutItsMomentIsNoCell(values: [String: String], words: String) async throws {
        let set = try await MatrixAtHand()
        let selection = try #require(Selection(set.matrix.axes, values))
        let made = try Recipe.cells(of: selection, product: "p", binaries: set.binaries)
        #expect(made.cells.isEmpty)
        #expect(!made.skipped.reasons.isEmpty && made.skipped.reasons.allSatisfy { $0.description.contains(words) })
    }
}

/// What of the default matrix can be said without running it.
@Suite(.enabled(if: atHand, "needs fetched QEMU binaries (ackmatrix qemu fetch) and the shim named by ACKMATRIX_SHIM: run harness/test"))
struct DefaultMatrixTests {
    @Test func namesAreUniqueAndTheDefaultHasTwoHundredCells() async throws {
        let cells = try await MatrixAtHand().cells(.default)
        #expect(cells.count >= 200)
        #expect(Set(cells.map(\.name)).count == cells.count)
    }

    /// Whatever is predicted to end badly is a known deviation, and what no deviation speaks of is predicted to end well.
    @Test func everyUnhealthyPredictionIsAKnownDeviation() async throws {
        let set = try await MatrixAtHand()
        let healthy: Set<Prediction.Ending> = [.completed, .failed, .refused, .paused, .replicates]
        for cell in try set.cells(.default) {
            let known = set.runner.deviations.deviations(
                for: cell.selection, cellName: cell.name, sourceVersion: cell.sourceVersion, destinationVersion: cell.destinationVersion)
            // Who kills the source, or leaves it no memory, takes its guest's life.
            let isKilled = ["source-killed", "source-no-memory"].contains(cell.selection["driver"])
            for outcome in cell.lastForecast.outcomes where !healthy.contains(outcome.ending) && !(isKilled && outcome.ending == .noGuest) {
                #expect(
                    known.contains { $0.deviation.verdicts.contains(outcome.ending.rawValue) }, "\(cell.name): \(outcome.ending.rawValue)")
            }
            for match in known where !match.deviation.sometimes {
                #expect(
                    cell.lastForecast.outcomes.contains { match.deviation.verdicts.contains($0.ending.rawValue) },
                    "\(cell.name): \(match.deviation.id)")
            }
        }
    }

    /// Gates force each branch of a race in a cell of its own.
    @Test func everyBranchOfARaceIsForcedSomewhere() async throws {
        let cells = try await MatrixAtHand().cells(.default)
        let forced = Set(
            cells.filter { !$0.isRace && $0.lastForecast.scenario.race != .natural }.flatMap { $0.lastForecast.outcomes.map(\.ending) })
        // Where the destination's own threads race, no gate stands between them.
        for race in cells where race.isRace {
            let (scenario, outcomes) = (race.lastForecast.scenario, race.lastForecast.outcomes)
            guard scenario.source.capability, !scenario.sendsStateUnexpected else { continue }
            for outcome in outcomes where outcome.ending != .failed { #expect(forced.contains(outcome.ending), "\(race.name)") }
        }
    }
}

/// The default matrix and the fetched binaries.
private struct MatrixAtHand {
    let binaries: [ProbedBinary]
    let matrix: MatrixFile
    let runner: CellRunner

    init() async throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path
        binaries = try await FeatureStore(cache: QEMUBinaries.cache).probed(fetched, shim: shim, folder: RunFolder())
        matrix = try MatrixFile(path: root + "/harness/matrix/default.yaml")
        runner = CellRunner(
            binaries: binaries, shim: shim, deviations: try DeviationFile(path: root + "/harness/matrix/deviations.yaml", axes: matrix.axes)
        )
    }

    func cell(_ changes: [String: String]) throws -> Cell {
        let selection = try #require(Selection(matrix.axes, changes))
        return try #require(try Recipe.cells(of: selection, product: "test", binaries: binaries).cells.last)
    }

    func cells(_ tier: Tier) throws -> [Cell] {
        try Recipe.cells(of: matrix, tier: tier, binaries: binaries).cells
    }
}

/// Threads that do nothing but compute.
private final class Load: Sendable {
    private let running = Atomic(true)

    init(threads: Int) {
        for _ in 0..<threads {
            Thread.detachNewThread { [self] in while running.load(ordering: .relaxed) {} }
        }
    }

    func stop() { running.store(false, ordering: .relaxed) }
}
