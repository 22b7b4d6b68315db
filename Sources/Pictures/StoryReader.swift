/// Makes a story of a recorded trace, or of the logs of the two sides, which are handed over line by line.
///
/// Memory grows with the steps, of which so many are kept, and not with the lines. Of a fold only the first and the last repetitions are
/// looked at one by one, as long as those between only wait.
import MigrationTrace
import Verification

package struct StoryReader {
    private var source: SourceSteps
    private var destination: DestinationSteps
    private var mocks = [MockSteps(.source), MockSteps(.destination)]
    /// Entries of folds that may still be looked at one by one, beyond those at both ends of a fold.
    private var mostUnfolded = 1 << 20

    /// `known`: what is known from outside the logs, such as the idstrs of the devices.
    package init(_ known: Circumstances = Circumstances()) {
        source = SourceSteps(
            names: known.sourceIdstrs, decidesBelowThreshold: known.sourceTraits.decision == .belowThreshold,
            requester: known.requester)
        destination = DestinationSteps(names: known.destinationIdstrs)
    }

    package func story() -> Story { Story(source, destination, mocks: mocks) }

    /// Handles the next line of a stream. `time` is in nanoseconds since 1970.
    package mutating func handle(_ record: Record, at place: Place, time: Int64?) {
        let line = StepLine(record: record, place: place, time: time)
        switch place.stream {
        case .source: source.handle(line)
        case .destination: destination.handle(line)
        case .sourceDevices: mocks[0].handle(line)
        case .destinationDevices: mocks[1].handle(line)
        }
    }

    /// Handles a whole stream; entries count as the numbers of its lines.
    package mutating func handle(_ folded: FoldedStream, as stream: StreamName) {
        var line = 0
        for fold in folded.folds {
            switch fold {
            case .once(let entry): handle(entry.record, at: Place(stream: stream, line: line + 1), time: entry.time)
            case .times(let count, let block): handle(block, count, as: stream, after: line)
            }
            line += fold.count
        }
    }

    /// Repetitions at the beginning of a fold that are looked at: the third shows by how much the counters grow.
    private static let leading = 3

    private mutating func handle(_ block: [FoldedEntry], _ count: Int, as stream: StreamName, after line: Int) {
        func repetition(_ number: Int, _ reader: inout StoryReader) {
            for (index, entry) in block.enumerated() {
                let time = number == 0 ? entry.first.time : number == count - 1 ? entry.lastTime : nil
                let place = Place(stream: stream, line: line + number * block.count + index + 1)
                reader.handle(entry.record(number), at: place, time: time)
            }
        }
        guard count > Self.leading + 1 else {
            for number in 0..<count { repetition(number, &self) }
            return
        }
        for number in 0..<Self.leading - 1 { repetition(number, &self) }
        let before = (steps: steps(of: stream), waiting: source.waiting)
        repetition(Self.leading - 1, &self)
        let between = count - Self.leading - 1
        let onlyWaits = steps(of: stream) == before.steps && block.allSatisfy { $0.step == .zero }
        if onlyWaits {
            if stream == .source { source.repeatWait(between, since: before.waiting) }
        } else if between * block.count <= mostUnfolded {
            mostUnfolded -= between * block.count
            for number in Self.leading..<count - 1 { repetition(number, &self) }
        } else {
            leaveOut(block[0], between * block.count, stream, from: line + Self.leading * block.count + 1)
        }
        repetition(count - 1, &self)
    }

    private func steps(of stream: StreamName) -> Int {
        switch stream {
        case .source: source.list.steps.count + source.list.further
        case .destination: destination.stepCount
        case .sourceDevices: mocks[0].list.steps.count + (mocks[0].list.steps.last?.count ?? 0)
        case .destinationDevices: mocks[1].list.steps.count + (mocks[1].list.steps.last?.count ?? 0)
        }
    }

    private mutating func leaveOut(_ entry: FoldedEntry, _ lines: Int, _ stream: StreamName, from first: Int) {
        let line = StepLine(record: entry.first.record, place: Place(stream: stream, line: first), time: nil)
        switch stream {
        case .source: source.leaveOut(lines, from: line, to: first + lines - 1)
        case .destination: destination.leaveOut(lines, from: line, to: first + lines - 1)
        case .sourceDevices, .destinationDevices: break
        }
    }
}

extension Story {
    /// The story of a recorded migration.
    package init(_ trace: Trace) {
        var reader = StoryReader(Circumstances(trace.header))
        for stream in StreamName.allCases { reader.handle(trace[stream], as: stream) }
        self = reader.story()
    }
}
