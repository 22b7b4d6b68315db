import EnginePeer
import Foundation
import MigrationTrace
import Plan
import Prediction
import TestSupport
import Testing
import Verification

@testable import Matrix
@testable import Running

/// Cells of the axis `modules`, which the engine alone has: what they come to, who is counted, and that wrong traces of a requester are
/// found.
@Suite struct ModuleCellTests {
    private let matrix: MatrixFile
    private let runner: CellRunner

    init() throws {
        matrix = try MatrixFile(path: repositoryFile("harness/matrix/default.yaml"))
        runner = CellRunner(
            binaries: ProbedBinary.engines + ProbedBinary.enginesWhenNamed, shim: "",
            deviations: try DeviationFile(path: repositoryFile("harness/matrix/deviations.yaml"), axes: matrix.axes))
    }

    private func cell(_ generation: String, _ changes: [String: String]) throws -> Cell {
        let engine = try #require(ProbedBinary.engine(generation))
        let isPerDevice = engine.features.hasLegacyProperty
        let sides = ["source": isPerDevice ? "per-device" : "legacy-only", "destination": isPerDevice ? "per-device" : "legacy-only"]
        let type = ["type": isPerDevice ? "newest-per-device" : "newest-legacy"]
        let selection = try #require(Selection(matrix.axes, sides.merging(type) { $1 }.merging(changes) { $1 }))
        return try #require(try Recipe.cells(of: selection, product: "test", binaries: [engine]).cells.first)
    }

    struct Row: CustomTestStringConvertible, Sendable {
        var modules: String
        var changes: [String: String] = ["devices": "1"]
        var ending = "completed"
        /// By device, and of the requester.
        var requests: [String: Int]
        var approvals: [String: Int]
        var acks: Int
        var isGating = true
        var testDescription: String { "\(modules) \(changes.values.sorted())" }
    }

    static let rows = [
        Row(modules: "dirty-bitmap", requests: ["v0": 1], approvals: ["v0": 1], acks: 1),
        Row(modules: "storage-attributes", requests: ["v0": 1], approvals: ["v0": 1], acks: 1),
        Row(modules: "free-page-hints", requests: ["v0": 1], approvals: ["v0": 1], acks: 1),
        Row(modules: "all", requests: ["v0": 1, "requester": 1], approvals: ["v0": 1, "requester": 1], acks: 2),
        Row(modules: "requester-1", changes: ["devices": "0"], requests: ["requester": 1], approvals: ["requester": 1], acks: 1),
        Row(modules: "requester-1", changes: ["capability": "off"], requests: [:], approvals: [:], acks: 0, isGating: false),
        Row(modules: "requester-3", changes: ["devices": "0"], requests: ["requester": 3], approvals: ["requester": 3], acks: 3),
        Row(
            modules: "requester-3", changes: ["devices": "2", "reinits": "1"], requests: ["v0": 2, "v1": 2, "requester": 3],
            approvals: ["v0": 2, "v1": 2, "requester": 3], acks: 7),
        Row(modules: "requester-again", changes: ["devices": "0"], requests: ["requester": 2], approvals: ["requester": 2], acks: 2),
        Row(modules: "requester-again", requests: ["v0": 1, "requester": 2], approvals: ["v0": 1, "requester": 2], acks: 3),
        Row(
            modules: "requester-late", ending: "failed, source running", requests: ["v0": 1, "requester": 2],
            approvals: ["v0": 1, "requester": 1], acks: 2),
        Row(
            modules: "requester-postcopy", changes: ["devices": "0", "driver": "postcopy"], ending: "failed, source running",
            requests: ["requester": 2], approvals: ["requester": 1], acks: 1),
        Row(
            modules: "requester-3", changes: ["devices": "0", "driver": "postcopy"], requests: ["requester": 3],
            approvals: ["requester": 3],
            acks: 3),
        Row(
            modules: "guest-faults", changes: ["devices": "0", "driver": "postcopy-recovered"], requests: [:], approvals: [:], acks: 0,
            isGating: false),
    ]

    /// The closed form, the verifier and what the modules hold agree, whatever is left to chance.
    @Test(arguments: rows, ["v1", "v2", "11.1", "request-message"]) func theCellIsAsPredicted(row: Row, generation: String) throws {
        let cell = try cell(generation, row.changes.merging(["modules": row.modules]) { $1 })
        for seed in [0, 1, 2, 3] as [UInt64] {
            var runner = runner
            runner.seed = seed
            let result = try runner.runInEngine(cell)
            #expect(result.findings == [], "\(cell.name), seed \(seed)")
            #expect(result.ending.text == row.ending, "\(cell.name), seed \(seed)")
            let seen = try #require(result.last.judgement)
            #expect(cell.named(seen.handshake.requests) == row.requests, "\(cell.name), seed \(seed)")
            #expect(cell.named(seen.handshake.approvals) == row.approvals, "\(cell.name), seed \(seed)")
            #expect(seen.handshake.acksSent == row.acks && seen.handshake.acksCounted == row.acks, "\(cell.name), seed \(seed)")
            if seed == 0 { #expect(seen.isGating == row.isGating, "\(cell.name)") }
        }
    }

    /// In legacy mode each user is counted in and has one marker, and one ACK is sent for all.
    @Test(arguments: ["10.0", "10.1", "11.0"], ["0", "2"]) func aLegacyRequesterIsCountedIn(generation: String, devices: String) throws {
        let cell = try cell(generation, ["modules": "requester-1", "devices": devices])
        let result = try runner.runInEngine(cell)
        #expect(result.findings == [])
        let seen = try #require(result.last.judgement).handshake
        #expect(seen.requests == [:] && seen.unnamedCountedIn == Int(devices)! + 1)
        #expect(cell.named(seen.approvals)["requester"] == 1)
        #expect((seen.acksSent, seen.acksCounted) == (1, 1))
    }

    /// Requests for pages happen, and those that a broken channel swallowed are made again over the next one.
    @Test(arguments: ["10.0", "10.2", "11.1"]) func theGuestsFaultsAreServed(generation: String) throws {
        for (driver, resent) in [("postcopy", 0), ("postcopy-recovered", 1)] {
            let cell = try cell(generation, ["modules": "guest-faults", "devices": "0", "driver": driver])
            let (records, traces) = try runner.engineTraces(cell)
            #expect(records.map(\.outcome.description) == ["completed"], "\(driver)")
            let asked = traces[0].destination.count {
                if case .migrateSendRPMessage(let message, _) = $0.event { [.reqPages, .reqPagesID].contains(message) } else { false }
            }
            #expect(asked == 8 + resent, "\(driver)")
            let heard = traces[0].source.count { if case .migrateHandleRPReqPages = $0.event { true } else { false } }
            #expect(heard == 8 + resent, "\(driver)")
        }
    }

    /// The header names the requester, so that a reader of the trace judges it as it was judged when it was made.
    @Test func theTraceSaysWhoTheRequesterWas() throws {
        let cell = try cell("11.1", ["modules": "requester-3", "devices": "1"])
        let trace = try runner.engineTraces(cell).traces[0]
        let judgement = judge(trace)
        #expect(judgement.broken == [])
        #expect(judgement.handshake.requests["requester"] == 3 && judgement.handshake.approvals["requester"] == 3)
        #expect(trace.header.destination.devices.contains { $0.idstr == "requester" })
    }

    // MARK: Wrong traces

    struct Wrong: CustomTestStringConvertible, Sendable {
        var testDescription: String
        /// Ids of rules.
        var broken: [String]
        var change: @Sendable (inout [Entry], inout [Entry]) throws -> Void
    }

    private static func index(_ entries: [Entry], last: Bool = false, _ test: (Event) -> Bool) throws -> Int {
        let fits = { (entry: Entry) in entry.event.map(test) ?? false }
        return try #require(last ? entries.lastIndex(where: fits) : entries.firstIndex(where: fits))
    }

    private static func isAck(_ event: Event) -> Bool { if case .sourceReturnPathThreadSwitchoverAcked = event { true } else { false } }
    private static func isApproval(_ event: Event) -> Bool { if case .loadvmApproveSwitchover = event { true } else { false } }
    private static func isDecision(_ event: Event) -> Bool { if case .migrationThreadLowPending = event { true } else { false } }

    /// Changes the query that collects, or the final one.
    private static func change(_ entries: inout [Entry], final: Bool, collected: UInt32) throws {
        let place = try index(entries) {
            if case .qemuSavevmQueryPending(let query) = $0 { final ? query.final : query.collectedAcks > 0 } else { false }
        }
        guard case .qemuSavevmQueryPending(var query) = entries[place].event else { return }
        query.pendingAcks = query.pendingAcks &+ collected &- query.collectedAcks
        query.collectedAcks = collected
        entries[place] = Entry(.qemuSavevmQueryPending(query))
    }

    static let wrongs = [
        Wrong(testDescription: "the last ACK is not counted", broken: ["pending-number", "decision-awaits-acks", "all-answered"]) {
            source, _ in
            source.remove(at: try index(source, last: true, isAck))
        },
        Wrong(testDescription: "an ACK too many is counted", broken: ["ack-number", "all-answered", "counts-across"]) { source, _ in
            let place = try index(source, last: true, isAck)
            source.insert(source[place], at: place + 1)
        },
        Wrong(testDescription: "the decision comes before the last ACK", broken: ["decision-awaits-acks", "no-iteration-after-decision"]) {
            source, _ in
            let decision = source.remove(at: try index(source, isDecision))
            source.insert(decision, at: try index(source, last: true, isAck))
        },
        Wrong(testDescription: "an approval is missing", broken: ["ack-has-approval", "all-answered"]) { _, destination in
            destination.remove(at: try index(destination, last: true, isApproval))
        },
        Wrong(testDescription: "an approval and its ACK are missing", broken: ["all-answered", "counts-across"]) { _, destination in
            let place = try index(destination, last: true, isApproval)
            destination.removeSubrange(place...place + 1)
        },
        Wrong(testDescription: "an approval without an ACK", broken: ["ack-per-approval", "all-answered", "counts-across"]) {
            _, destination in
            let place = try index(destination, isApproval)
            destination.insert(destination[place], at: place)
        },
        Wrong(testDescription: "an approval and an ACK too many", broken: ["all-answered", "counts-across"]) { _, destination in
            let place = try index(destination, isApproval)
            destination.insert(contentsOf: destination[place...place + 1], at: place)
        },
        Wrong(testDescription: "approved before its section", broken: ["approval-has-marker"]) { _, destination in
            let place = try index(destination, isApproval)
            let moved = destination[place...place + 1]
            destination.removeSubrange(place...place + 1)
            let first = try index(destination) { if case .qemuLoadvmStateSection(.start) = $0 { true } else { false } }
            destination.insert(contentsOf: moved, at: first)
        },
        Wrong(testDescription: "an ACK fewer was collected than is counted", broken: ["pending-number", "all-answered", "counts-across"]) {
            source, _ in
            try change(&source, final: false, collected: 2)
        },
        Wrong(testDescription: "the final query collects, and the source goes on", broken: ["final-request-fails", "all-answered"]) {
            source, _ in
            try change(&source, final: true, collected: 1)
        },
    ]

    @Test(arguments: wrongs) func whatIsWrongWithARequesterIsFound(wrong: Wrong) throws {
        let cell = try cell("11.1", ["modules": "requester-3", "devices": "0"])
        var trace = try runner.engineTraces(cell).traces[0]
        #expect(judge(trace).broken == [])
        var (source, destination) = (Array(trace.source), Array(trace.destination))
        try wrong.change(&source, &destination)
        (trace.source, trace.destination) = (FoldedStream(source), FoldedStream(destination))
        #expect(judge(trace).broken == wrong.broken, "\(judge(trace).findings)")
    }

    // MARK: QEMU

    /// No QEMU is started with any of it, and who asks is told why.
    @Test func aQEMUHasNoModules() throws {
        let features = try #require(ProbedBinary.engine("11.1")).features
        let qemu = ProbedBinary(QEMUBinary(name: "11.1", start: .executable("/qemu")), features: features)
        let sides = ["source": "per-device", "destination": "per-device", "type": "newest-per-device"]
        for choice in GuestModules.allCases where choice != .none {
            let selection = try #require(Selection(matrix.axes, sides.merging(["modules": choice.word]) { $1 }))
            let made = try Recipe.cells(of: selection, product: "test", binaries: [qemu])
            #expect(made.cells.isEmpty)
            #expect(
                made.skipped.lines.contains { $0.contains("only the engine has modules") && $0.contains("--sides engine") })
        }
        #expect(try Recipe.cells(of: #require(Selection(matrix.axes, sides)), product: "test", binaries: [qemu]).cells.count == 1)
    }
}
