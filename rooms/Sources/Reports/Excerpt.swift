/// A few lines of a stream around a place, without unfolding the rest.
import MigrationTrace
import Verification

extension FoldedStream {
    /// The most lines of an excerpt.
    static let excerptLength = 10

    /// Up to ten entries around the one of this number, which counts from 1; fewer where the stream is shorter.
    func excerpt(around line: Int) -> [(line: Int, entry: Entry)] {
        let last = Swift.max(Swift.min(line + 4, count), Swift.min(Self.excerptLength, count))
        let first = Swift.max(last - Self.excerptLength + 1, 1)
        guard first <= last else { return [] }
        var excerpt: [(line: Int, entry: Entry)] = []
        var before = 0
        for fold in folds where before < last {
            for line in stride(from: Swift.max(first, before + 1), through: Swift.min(last, before + fold.count), by: 1) {
                excerpt.append((line, fold.entry(line - before - 1)))
            }
            before += fold.count
        }
        return excerpt
    }
}

extension Fold {
    /// The entry of this number, from 0; without a time where it is repeated.
    fileprivate func entry(_ number: Int) -> Entry {
        switch self {
        case .once(let entry): return entry
        case .times(_, let block):
            let folded = block[number % block.count]
            return Entry(thread: folded.first.thread, record: folded.record(number / block.count))
        }
    }
}

extension Record {
    /// As QEMU prints it.
    var line: String {
        switch self {
        case .event(let event): event.line
        case .message(let message): message.line
        }
    }
}

extension Trace {
    /// Where it turned out as it did: the first error that the source stored, else its decision to switch over.
    var turn: Place? {
        first { if case .migrateError = $0 { true } else { false } }
            ?? first { if case .migrationThreadLowPending = $0 { true } else { false } }
    }

    /// The first such event of the source.
    private func first(_ isMeant: (Event) -> Bool) -> Place? {
        var before = 0
        for fold in source.folds {
            let block: [Entry] =
                switch fold {
                case .once(let entry): [entry]
                case .times(_, let block): block.map(\.first)
                }
            if let index = block.firstIndex(where: { $0.event.map(isMeant) ?? false }) {
                return Place(stream: .source, line: before + index + 1)
            }
            before += fold.count
        }
        return nil
    }

    /// Where to look on a side: where the finding (nil: where it turned) is there, else at what is connected with it, else at the end. nil
    /// where nothing was logged.
    func place(of finding: Finding?, on side: StreamName) -> Place? {
        let places = finding?.places ?? [turn].compactMap { $0 }
        let devices: StreamName = side == .source ? .sourceDevices : .destinationDevices
        // A stranger's finding may name a line that is not there.
        if let place = places.first(where: { [side, devices].contains($0.stream) && 1...Swift.max(self[$0.stream].count, 1) ~= $0.line }),
            self[place.stream].count > 0
        {
            return place
        }
        guard self[side].count > 0 else { return nil }
        let connected = places.lazy.compactMap { place in edges.compactMap { $0.end(on: side, before: place) }.max() }.first
        return Place(stream: side, line: connected ?? self[side].count)
    }
}

extension ContentEdge {
    /// The end on one side of an edge whose other end is not behind the place.
    fileprivate func end(on side: StreamName, before place: Place) -> Int? {
        for (here, there) in [(from, to), (to, from)]
        where here.stream == side && there.stream == place.stream && there.ordinal <= place.line {
            return here.ordinal
        }
        return nil
    }
}
