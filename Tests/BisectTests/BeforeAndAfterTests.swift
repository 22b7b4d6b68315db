import MigrationTrace
import TestSupport
import Testing

@testable import Bisect

/// Recorded migrations of two devices in per-device mode: one completes, and in the other the destination sends one ACK for all devices.
@Suite struct BeforeAndAfterTests {
    private let completed: Trace
    private let waiting: Trace

    init() throws {
        completed = try Trace(path: repositoryFile("Traces/11.1-11.1+q35-11.1+2-devices.trace"))
        waiting = try Trace(path: repositoryFile("Traces/11.1-11.1+q35-11.1+2-devices+legacy-destination.trace"))
    }

    @Test func theCountsThatDifferAreMarked() throws {
        let table = BeforeAndAfter(before: completed, after: waiting)
        let differing = Set(table.rows.filter(\.differs).map(\.label))
        #expect(differing.isSuperset(of: ["counted-in", "acks-sent", "acks-counted", "decision", "ending"]), "\(table.rows)")
        #expect(!differing.contains("requests") && !differing.contains("approvals"), "\(table.rows)")
        let lines = table.lines(before: "before", after: "after")
        #expect(lines.contains { $0.hasPrefix("≠ acks-sent") } && lines.contains { $0.hasPrefix("  requests") }, "\(lines)")
        #expect(lines.allSatisfy { $0.count <= 100 }, "\(lines)")
    }

    /// The source waits since the ACK of the first approval is missing: that is the difference, and not what the source no longer does.
    @Test func theFirstDifferenceIsTheOneThatTheOthersFollowFrom() throws {
        let parting = try #require(BeforeAndAfter(before: completed, after: waiting).parting)
        #expect(!parting.thread.isSource, "\(parting)")
        #expect(
            [parting.before, parting.after].compactMap(\.self).contains { $0.contains("legacy") || $0.contains("rp_message") }, "\(parting)"
        )
        #expect(BeforeAndAfter(before: completed, after: completed).parting == nil)
    }

    @Test func aMigrationIsAsFarAsItsSourceHasLogged() {
        #expect(completed.reached == .end && waiting.reached == .precopy)
        #expect(completed.phase(at: .init(stream: .source, line: 1)).map { $0 <= .setup } == true)
        #expect(completed.phase(at: .init(stream: .sourceDevices, line: 1)) == nil)
        #expect(completed.phase(at: .init(stream: .source, line: completed.source.count)) == .end)
    }
}
