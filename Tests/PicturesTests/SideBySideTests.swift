import MigrationTrace
import TestSupport
import Testing
import Verification

@testable import Pictures

@Suite struct SideBySideTests {
    private func trace(_ name: String) throws -> Trace { try Trace(path: repositoryFile("Traces/\(name).trace")) }

    private func sides(_ first: Trace, _ second: Trace) -> SideBySide {
        SideBySide(.init(first, title: "first"), .init(second, title: "second"))
    }

    @Test(arguments: ["11.1-11.1+q35-11.1+4-devices+reinits-3", "10.0-10.0+q35-10.0+2-devices", "11.1-11.1+q35-11.1+reinits-for-ever"])
    func aHandshakeIsLikeItself(name: String) throws {
        let trace = try trace(name)
        let sides = sides(trace, trace)
        #expect(sides.isSame && sides.firstDifference == nil)
        #expect(sides.lines().last == "no difference: both take the same steps")
    }

    /// Times and the number of queries differ between any two runs of a cell.
    @Test func timesAndCountsAreNoDifference() throws {
        let trace = try trace("11.1-11.1+q35-11.1+2-devices")
        var other = trace
        for stream in [StreamName.source, .destination] {
            var folds = FoldedStream()
            for fold in trace[stream].folds {
                switch fold {
                case .once(var entry):
                    entry.time = nil
                    folds.append(.once(entry))
                case .times(let count, let block): folds.append(.times(block.allSatisfy { $0.step == .zero } ? count * 3 : count, block))
                }
            }
            other[stream] = folds
        }
        #expect(Story(other).queries > Story(trace).queries)
        #expect(sides(trace, other).isSame)
    }

    /// The switch from one ACK for all to one ACK for each request.
    @Test func theSwitchToPerDeviceACKsIsTold() throws {
        let sides = sides(try trace("10.0-10.0+q35-10.0+2-devices"), try trace("11.1-11.1+q35-11.1+2-devices"))
        try Golden("Tests/PicturesTests/Golden").expect(sides.lines().joined(separator: "\n") + "\n", "legacy-and-per-device.txt")
        #expect(sides.lines().allSatisfy { $0.count <= SideBySide.width })
    }

    /// One line less: the first difference is at that line, with the line of the other run.
    @Test(arguments: [
        ("loadvm_approve_switchover", StreamName.destination, "marker loaded, approved | marker loaded"),
        ("migrate_send_rp_message", .destination, "ACK sent | nothing"),
        ("migration_thread_low_pending", .source, "decision to switch over | nothing"),
        ("source_return_path_thread_switchover_acked", .source, "ACK counted | nothing"),
        ("savevm_send_switchover_start", .source, "SWITCHOVER_START | nothing"),
    ])
    func theFirstDifferenceIsNamed(event: String, stream: StreamName, words: String) throws {
        let trace = try trace("11.1-11.1+q35-11.1+2-devices")
        var other = trace
        var folds = FoldedStream()
        var isRemoved = false
        for fold in trace[stream].folds {
            if case .once(let entry) = fold, let found = entry.event, found.name == event, !isRemoved, !found.isPONG {
                isRemoved = true
                continue
            }
            folds.append(fold)
        }
        other[stream] = folds
        try #require(isRemoved)
        let sides = sides(trace, other)
        let verdict = sides.verdict.joined(separator: "\n")
        #expect(verdict.contains(words), "\(verdict)")
        let line = try #require(sides.firstDifference?.left)
        #expect(line.line.hasPrefix(event) || line.line.hasPrefix("vfio_load_state"), "\(line)")
        // Long lines are wrapped.
        func inOneLine(_ text: String) -> String { text.split { $0 == " " || $0 == "\n" }.joined(separator: " ") }
        #expect(inOneLine(verdict).contains(inOneLine("A \(line.place): \(line.line)")), "\(verdict)")
    }

    /// An actor whose steps are too many is told, and not compared to its end.
    @Test func whatIsNotComparedIsTold() {
        func run(_ count: Int) -> SideBySide.Run {
            var stream = FoldedStream()
            stream.append(.once(Entry(.migrateSetState(.setup))))
            for number in 0..<count {
                stream.append(.once(Entry(.vfioMigrationSetDeviceState(device: "v0", number % 2 == 0 ? .preCopy : .running))))
            }
            let trace = Trace(header: TraceHeader(), source: stream, destination: FoldedStream())
            return .init(Story(trace), judge(trace), title: "many")
        }
        let sides = SideBySide(run(5000), run(5001))
        #expect(sides.cut.map(\.description) == ["source, v0"])
        #expect(sides.lines().contains { $0.hasPrefix("source, v0: only the first 2000 steps") })
    }
}

extension Event {
    /// A message of the return path that is no ACK.
    fileprivate var isPONG: Bool {
        if case .migrateSendRPMessage(let message, _) = self { message != .switchoverAck } else { false }
    }
}
