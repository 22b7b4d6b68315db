/// Runs cells on real QEMU binaries, one folder and one verdict each.
import Foundation
import MigrationTrace
import Peers
import VFIO
import Verification

/// What came of a cell.
public struct CellResult: Sendable {
    public enum Verdict: Hashable, Sendable {
        case asPredicted
        /// What differs, one sentence each.
        case finding([String])
    }

    public let cell: Cell
    public let verdict: Verdict
    public let handshake: Handshake?
    public let record: MigrationRecord?
    /// The refusal of a cell that predicts one.
    public let refusal: SideRefusal?
    public let seconds: Double
}

extension CellResult {
    /// A cell that could not be driven to a verdict.
    public init(broken cell: Cell, reason: String) {
        self.init(cell: cell, verdict: .finding([reason]), handshake: nil, record: nil, refusal: nil, seconds: 0)
    }
}

public struct CellRunner: Sendable {
    /// The trace's file in a cell's folder.
    public static let traceFile = "cell.trace"

    public var binaries: [String: ProbedBinary]
    public var shim: String

    public init(binaries: [String: ProbedBinary], shim: String) {
        self.binaries = binaries
        self.shim = shim
    }

    /// Runs one cell in `folder`, which must not exist yet, and leaves its logs and its trace there.
    public func run(_ cell: Cell, folder: String) async throws -> CellResult {
        let began = Deadline.now
        func result(
            _ verdict: CellResult.Verdict, _ handshake: Handshake? = nil, _ record: MigrationRecord? = nil, refusal: SideRefusal? = nil
        )
            -> CellResult
        {
            CellResult(
                cell: cell, verdict: verdict, handshake: handshake, record: record, refusal: refusal,
                seconds: Double(Deadline.now.nanoseconds - began.nanoseconds) / 1e9)
        }
        guard let source = binaries[cell.source], let destination = binaries[cell.destination] else {
            let name = binaries[cell.source] == nil ? cell.source : cell.destination
            throw Environment("\(cell.name): no QEMU named \(name) is at hand")
        }
        let plan = MigrationPlan(cell: cell, source: source, destination: destination)
        let record: MigrationRecord
        do {
            record = try await migrate(plan, shim: shim, folder: folder)
        } catch let refusal as SideRefusal {
            guard case .refused(let role, let words) = cell.prediction else { return result(.finding([refusal.description])) }
            let isPredicted = refusal.role == role && refusal.text.contains(words)
            return result(
                isPredicted ? .asPredicted : .finding(["expected the \(role.rawValue) to refuse with '\(words)', found: \(refusal)"]),
                refusal: refusal)
        }
        let trace = try recordTrace(cell, plan: plan, record: record, source: source, destination: destination)
        try trace.write(path: folder + "/" + Self.traceFile)
        let handshake = Handshake(trace)
        guard case .completes(let expectation) = cell.prediction else {
            return result(
                .finding(["expected a refusal, but the migration went as far as: \(record.outcome.description)"]), handshake, record)
        }
        let differences = differences(record: record, handshake: handshake, expectation: expectation, cell: cell)
        return result(differences.isEmpty ? .asPredicted : .finding(differences), handshake, record)
    }
}

/// What the handshake showed against what was predicted, a sentence each; empty when they agree.
func differences(record: MigrationRecord, handshake: Handshake, expectation: Cell.Expectation, cell: Cell) -> [String] {
    var found: [String] = []
    func compare<Value: Equatable>(_ what: String, _ expected: Value, _ seen: Value?) {
        if expected != seen { found.append("\(what): expected \(expected), found \(seen.map { "\($0)" } ?? "none")") }
    }
    let names = namesByIdstr(cell)
    func named(_ counts: [String: Int]) -> [String: Int] {
        Dictionary(counts.map { (names[$0.key] ?? $0.key, $0.value) }) { $0 + $1 }
    }
    compare("outcome", "completed", record.outcome.description)
    compare("mode of the source", expectation.mode.rawValue, handshake.mode?.rawValue)
    compare("run state of the destination", "running", record.destinationRunState)
    compare("run state of the source", "postmigrate", record.sourceRunState)
    if handshake.unnamedRequests > 0 {
        compare("requests", expectation.requests.values.reduce(0, +), handshake.requestCount)
    } else {
        compare("requests", expectation.requests, named(handshake.requests))
    }
    compare("approvals", expectation.approvals, named(handshake.approvals))
    compare("ACKs sent", expectation.acks, handshake.acksSent)
    compare("ACKs counted", expectation.acks, handshake.acksCounted)
    if let decision = handshake.decision, handshake.decidedAfterAllAcks == false {
        found.append("the source decided with \(decision.outstanding) ACKs outstanding, after \(decision.acksBefore)")
    }
    if handshake.decision == nil { found.append("the source logged no decision (migration_thread_low_pending)") }
    if !handshake.isGating { found.append("not gating: at no query was only the ACK missing, so the ACK held nothing back") }
    for (index, step) in cell.schedule.enumerated() {
        guard index < record.marks.count else {
            found.append("schedule step \(index + 1) (\(step)) was never reached")
            break
        }
        if !record.marks[index].sourceIterated {
            found.append("the source switched over before schedule step \(index + 1) (\(step)) was done")
        }
    }
    return found
}

/// Section idstrs of a cell's devices: QEMU puts the vfio-pci devices at 01.0, 02.0, ... of the root bus in plug order.
public func namesByIdstr(_ cell: Cell) -> [String: String] {
    Dictionary(
        uniqueKeysWithValues: cell.devices.enumerated().map { index, device in
            let slot = index + 1
            return ("0000:00:\(slot < 16 ? "0" : "")\(String(slot, radix: 16)).0/vfio", device.name)
        })
}

extension MigrationPlan {
    /// The plan of a cell: capabilities on both sides, and a threshold so wide that only the ACK can hold the decision back.
    init(cell: Cell, source: ProbedBinary, destination: ProbedBinary) {
        func side(_ binary: ProbedBinary) -> SideConfiguration {
            var side = SideConfiguration(binary: binary.binary, machine: cell.machine)
            side.memoryMiB = 16
            side.traceEvents = binary.features.traceEvents
            side.capabilities = ["events": true, "return-path": true, "switchover-ack": true]
            return side
        }
        var from = side(source)
        var to = side(destination)
        from.devices = cell.devices.map { MockDevice(name: $0.name, script: $0.source) }
        to.devices = cell.devices.map { MockDevice(name: $0.name, script: $0.destination) }
        from.parameters = [
            "max-bandwidth": .integer(1 << 30), "avail-switchover-bandwidth": .integer(1 << 30), "downtime-limit": 300,
        ]
        self.init(source: from, destination: to)
        schedule = cell.schedule
    }
}
