/// Folding: a repeated block of entries is kept once, with its count.
///
/// A source that waits for an ACK makes twelve thousand queries a second, each with the same lines. Folding keeps
/// what was said, without loss, and of the times the first and the last. Folds do not nest.

/// An entry of a repeated block, with the times of its first and last repetition.
public struct FoldedEntry: Hashable, Sendable {
    public var first: Entry
    public var lastTime: Int64?

    public init(first: Entry, lastTime: Int64?) {
        self.first = first
        self.lastTime = lastTime
    }
}

public enum Fold: Hashable, Sendable {
    case once(Entry)
    /// `count` is 2 or more.
    case times(Int, [FoldedEntry])

    /// How many entries it stands for.
    public var count: Int {
        switch self {
        case .once: 1
        case .times(let count, let block): count * block.count
        }
    }
}

/// Folds entries as they come, in the order they were printed.
///
/// Memory is bounded by twice the longest period, work per entry by a constant: the entries waiting are compared
/// with the places where their first one occurs again, nothing is looked at further back. An entry is held back until
/// enough of what follows is known; `finish` gives the rest.
public struct Folder: Sendable {
    /// The longest block, in entries.
    public static let longestBlock = 512
    /// A fold that saves fewer entries than this is not worth its line.
    public static let leastSaved = 3

    private static let window = 2 * longestBlock

    /// Blocks that repeat on: the entries of the repetition in progress wait in `partial`.
    private struct Run {
        var block: [FoldedEntry]
        var count: Int
        var partial: [Entry]
    }

    private var waiting: [Entry] = []
    private var hashes: [Int] = []
    /// For each waiting entry the next one with the same hash, or 0.
    private var following: [Int] = []
    private var latest: [Int: Int] = [:]
    private var run: Run?

    public init() {}

    public mutating func append(_ entry: Entry, to folds: inout [Fold]) {
        if run != nil {
            if extend(entry) { return }
            endRun(&folds)
        }
        wait(entry)
        if waiting.count >= 2 * Self.window { settle(keeping: Self.window, &folds) }
    }

    public mutating func finish(into folds: inout [Fold]) {
        repeat {
            if run != nil { endRun(&folds) }
            settle(keeping: 0, &folds)
        } while run != nil
    }

    private mutating func wait(_ entry: Entry) {
        var hasher = Hasher()
        hasher.combine(entry.thread)
        hasher.combine(entry.record)
        let hash = hasher.finalize()
        if let earlier = latest.updateValue(waiting.count, forKey: hash) { following[earlier] = waiting.count }
        waiting.append(entry)
        hashes.append(hash)
        following.append(0)
    }

    private mutating func extend(_ entry: Entry) -> Bool {
        guard run!.block[run!.partial.count].first.says(theSameAs: entry) else { return false }
        run!.partial.append(entry)
        if run!.partial.count == run!.block.count {
            run!.count += 1
            for (place, repeated) in run!.partial.enumerated() { run!.block[place].lastTime = repeated.time }
            run!.partial.removeAll(keepingCapacity: true)
        }
        return true
    }

    /// The block is complete; what was begun of one more repetition waits again.
    private mutating func endRun(_ folds: inout [Fold]) {
        guard let run else { return }
        folds.append(.times(run.count, run.block))
        self.run = nil
        for entry in run.partial { wait(entry) }
    }

    /// Decides about waiting entries, the oldest first, until only `keeping` are left or a block repeats on.
    private mutating func settle(keeping: Int, _ folds: inout [Fold]) {
        var head = 0
        while waiting.count - head > keeping {
            guard let (period, matched) = bestPeriod(at: head) else {
                folds.append(.once(waiting[head]))
                head += 1
                continue
            }
            let count = matched / period + 1
            let end = head + count * period
            let block = (0..<period).map { FoldedEntry(first: waiting[head + $0], lastTime: waiting[end - period + $0].time) }
            if head + period + matched == waiting.count {
                run = Run(block: block, count: count, partial: Array(waiting[end...]))
                forget(waiting.count)
                return
            }
            folds.append(.times(count, block))
            head = end
        }
        forget(head)
    }

    private mutating func forget(_ count: Int) {
        let kept = Array(waiting[count...])
        waiting.removeAll(keepingCapacity: true)
        hashes.removeAll(keepingCapacity: true)
        following.removeAll(keepingCapacity: true)
        latest.removeAll(keepingCapacity: true)
        for entry in kept { wait(entry) }
    }

    /// The period that saves most at `head`, and for how many entries what follows repeats it.
    private func bestPeriod(at head: Int) -> (period: Int, matched: Int)? {
        var best: (period: Int, matched: Int)?
        var bestSaved = Self.leastSaved - 1
        var place = following[head]
        while place > 0, place - head <= Self.longestBlock {
            let period = place - head
            var matched = 0
            while place + matched < waiting.count, isSame(head + matched, place + matched) { matched += 1 }
            let saved = matched / period * period
            if saved > bestSaved {
                bestSaved = saved
                best = (period, matched)
                if place + matched == waiting.count { break }
            }
            place = following[place]
        }
        return best
    }

    private func isSame(_ a: Int, _ b: Int) -> Bool {
        hashes[a] == hashes[b] && waiting[a].says(theSameAs: waiting[b])
    }
}

/// Entries in print order, folded.
public struct FoldedStream: Hashable, Sendable {
    public private(set) var folds: [Fold] = []
    /// How many entries the folds stand for.
    public private(set) var count = 0

    public init() {}

    public init(_ entries: some Sequence<Entry>) {
        var folder = Folder()
        for entry in entries { folder.append(entry, to: &folds) }
        folder.finish(into: &folds)
        count = folds.reduce(0) { $0 + $1.count }
    }

    /// Folds a log's records: all of them, or those of one episode.
    public init(_ reader: inout LogReader, episode: Int? = nil) throws {
        var folder = Folder()
        while let line = try reader.next() {
            guard episode == nil || line.episode == episode, let entry = Entry(line) else { continue }
            folder.append(entry, to: &folds)
        }
        folder.finish(into: &folds)
        count = folds.reduce(0) { $0 + $1.count }
    }

    mutating func append(_ fold: Fold) {
        folds.append(fold)
        count += fold.count
    }
}

/// Unfolding, one entry at a time, whatever the counts.
extension FoldedStream: Sequence {
    public struct Iterator: IteratorProtocol {
        private let folds: [Fold]
        private var fold = 0
        private var repetition = 0
        private var place = 0

        init(_ folds: [Fold]) { self.folds = folds }

        /// Of a repeated entry only the first and the last repetition have their time.
        public mutating func next() -> Entry? {
            guard fold < folds.count else { return nil }
            switch folds[fold] {
            case .once(let entry):
                fold += 1
                return entry
            case .times(let count, let block):
                var entry = block[place].first
                if repetition > 0 { entry.time = repetition == count - 1 ? block[place].lastTime : nil }
                place += 1
                if place == block.count {
                    place = 0
                    repetition += 1
                }
                if repetition == count {
                    repetition = 0
                    fold += 1
                }
                return entry
            }
        }
    }

    public func makeIterator() -> Iterator { Iterator(folds) }

    public var underestimatedCount: Int { count }
}
