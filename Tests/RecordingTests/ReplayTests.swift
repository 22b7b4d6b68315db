/// A recording as a device: the calls that were recorded get the same answers, and the first other call is named.
import MigrationTrace
import TestSupport
import Testing
import VFIO

@testable import Recording

@Suite struct ReplayTests {
    private func replayed(_ calls: RecordedDevice, countsPolls: Bool, _ exercise: Exercise) throws -> (events: [Event], left: Int) {
        var events: [Event] = []
        let device = ReplayMigrationDevice(name: "v0", try ReplayText(calls, countsPolls: countsPolls)) { events.append($0) }
        exercise.save(device)
        return (events, device.left)
    }

    private func departures(_ events: [Event]) -> [(position: UInt64, expected: String, found: String)] {
        events.compactMap {
            if case .deviceDeparted(_, let position, let expected, let found) = $0 { (position, expected, found) } else { nil }
        }
    }

    @Test(arguments: DistillationTests.scripts.map(\.script)) func theSameCallsDoNotDepart(script: String) throws {
        let exercise = Exercise()
        let device = try #require(try RecordedDevice.all(in: exercise.recording(of: script)).first)
        for countsPolls in [true, false] {
            let (events, left) = try replayed(device, countsPolls: countsPolls, exercise)
            #expect(departures(events).isEmpty, "\(script)")
            #expect(left == 0)
        }
        // The answers are those of the recording: a recording of the replay has the same calls.
        var entries: [Entry] = []
        let replay = ReplayMigrationDevice(name: "v0", try ReplayText(device, countsPolls: true)) { _ in }
        exercise.save(RecordingDevice(replay, clock: { 0 }) { entries.append(Entry($0)) })
        let again = try #require(try RecordedDevice.all(in: trace(entries)).first)
        for (one, other) in zip(device.calls, again.calls) { #expect(one.withoutData == other.withoutData) }
        #expect(again.calls.count == device.calls.count)
    }

    @Test func anAlteredCallIsNamed() throws {
        let exercise = Exercise()
        let device = try #require(try RecordedDevice.all(in: exercise.recording(of: "on query 2 do reinit 8K\n")).first)
        var generator = SeededGenerator(seed: testSeed)
        for place in (0..<20).map({ _ in Int.random(in: device.calls.indices, using: &generator) }) {
            var calls = device.calls
            // A call that no exercise makes.
            calls[place].kind = .write(size: 1, hash: 0)
            calls[place].result = 1
            let (events, _) = try replayed(RecordedDevice(name: "v0", stream: .sourceDevices, calls: calls), countsPolls: true, exercise)
            let departure = try #require(departures(events).first, "call \(place), seed \(testSeed)")
            #expect(departure.position == UInt64(calls[place].position))
            #expect(departure.expected == "write size 1 (ret 1)")
            #expect(departures(events).count == 1)
        }
    }

    @Test func fewerOrMoreQueriesDepartUnlessPollsAreFree() throws {
        let device = try #require(try RecordedDevice.all(in: Exercise().recording(of: "on query 2 do reinit 8K\n")).first)
        for queries in [5, 9] {
            let user = Exercise(queries: queries)
            #expect(try departures(replayed(device, countsPolls: true, user).events).count == 1)
            #expect(try departures(replayed(device, countsPolls: false, user).events).isEmpty)
        }
        // The REINIT of the recording is never seen.
        #expect(try departures(replayed(device, countsPolls: false, Exercise(queries: 2)).events).count == 1)
        // The end of the recording is not reached.
        let cut = Exercise(completes: false)
        #expect(try departures(replayed(device, countsPolls: false, cut).events).map(\.expected) == ["set PRE_COPY_P2P (ret 0)"])
    }
}

extension RecordedCall {
    /// The call without what a replay does not reproduce.
    fileprivate var withoutData: String {
        switch kind {
        case .read(let size, _): "read \(size) \(result)"
        case .feature(let flags, let output): "feature \(flags) \(output) \(result)"
        default: "\(kind) \(result)"
        }
    }
}
