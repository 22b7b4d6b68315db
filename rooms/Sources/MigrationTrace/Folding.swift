/// Folding: a repeated block of entries is kept once, with its count.
///
/// A source that waits for an ACK makes twelve thousand queries a second, each with the same lines; one that drains a
/// device prints the same lines with each number smaller by a step. Folding keeps what was said, without loss, and of
/// the times the first and the last. Folds do not nest.

/// An entry of a repeated block.
package struct FoldedEntry: Hashable, Sendable {
    /// As first said, with its time.
    package var first: Entry
    /// The time of its last repetition.
    package var lastTime: Int64?
    /// What each number of the event grows by from one repetition to the next, in the order of its text.
    package var step: EventNumbers

    package init(first: Entry, lastTime: Int64?, step: EventNumbers = .zero) {
        self.first = first
        self.lastTime = lastTime
        self.step = step
    }

    /// What the repetition says, from 0; without a time.
    package func record(_ repetition: Int) -> Record {
        guard step != .zero, case .event(let event) = first.record else { return first.record }
        return .event(event.replacing(event.numbers.values &+ step &* EventNumbers(repeating: Int64(repetition))))
    }
}

package enum Fold: Hashable, Sendable {
    case once(Entry)
    /// `count` is 2 or more; 3 or more where a number has a step.
    case times(Int, [FoldedEntry])

    /// How many entries it stands for.
    package var count: Int {
        switch self {
        case .once: 1
        case .times(let count, let block): count * block.count
        }
    }
}

/// Folds entries as they come, in the order they were printed.
///
/// Memory is bounded by four times the longest block, and the work of an entry by a constant: the entries that wait are
/// compared with the places where the oldest of them occurs again. An entry waits until enough of what follows is
/// known; `finish` gives the rest.
package struct Folder: Sendable {
    /// The longest block, in entries.
    package static let longestBlock = 512
    /// A fold that saves fewer entries than this is not worth its line.
    package static let leastSaved = 3

    private static let window = 2 * longestBlock
    /// At how many of the next similar places a block with steps is looked for. Identical places need no limit: many of
    /// them make a fold. Similar ones need not.
    private static let similarPlaces = 8

    private struct Waiting {
        var entry: Entry
        /// The record without its numbers.
        var shape: Record
        var numbers: EventNumbers
        /// The next entry that says the same, and the next that says something similar; 0 when there is none yet.
        var nextSame = 0
        var nextSimilar = 0

        init(_ entry: Entry) {
            self.entry = entry
            shape = entry.record
            numbers = .zero
            if case .event(let event) = entry.record {
                let (values, count) = event.numbers
                if count > 0 {
                    numbers = values
                    shape = .event(event.replacing(.zero))
                }
            }
        }

        func isSimilar(to other: Waiting) -> Bool { entry.thread == other.entry.thread && shape == other.shape }
    }

    /// A block that repeats on; the entries of the repetition in progress wait in `partial`.
    private struct Run {
        var block: [Waiting]
        var steps: [EventNumbers]
        var lastTimes: [Int64?]
        var count: Int
        var partial: [Waiting] = []

        /// Whether `entry` is what the repetition in progress says next.
        mutating func extend(_ waiting: Waiting) -> Bool {
            let place = partial.count
            let expected = block[place].numbers &+ steps[place] &* EventNumbers(repeating: Int64(count))
            guard waiting.numbers == expected, waiting.isSimilar(to: block[place]) else { return false }
            partial.append(waiting)
            if partial.count == block.count {
                count += 1
                for (place, repeated) in partial.enumerated() { lastTimes[place] = repeated.entry.time }
                partial.removeAll(keepingCapacity: true)
            }
            return true
        }

        var fold: Fold {
            .times(count, block.indices.map { FoldedEntry(first: block[$0].entry, lastTime: lastTimes[$0], step: steps[$0]) })
        }
    }

    private var waiting: [Waiting] = []
    private var latestSame: [Int: Int] = [:]
    private var latestSimilar: [Int: Int] = [:]
    private var run: Run?

    package init() {}

    package mutating func append(_ entry: Entry, to folds: inout [Fold]) {
        let entry = Waiting(entry)
        if run != nil {
            if run!.extend(entry) { return }
            endRun(&folds)
        }
        wait(entry)
        if waiting.count >= 2 * Self.window { settle(keeping: Self.window, &folds) }
    }

    package mutating func finish(into folds: inout [Fold]) {
        repeat {
            endRun(&folds)
            settle(keeping: 0, &folds)
        } while run != nil
    }

    private mutating func wait(_ entry: Waiting) {
        var entry = entry
        entry.nextSame = 0
        entry.nextSimilar = 0
        var hasher = Hasher()
        hasher.combine(entry.entry.thread)
        hasher.combine(entry.shape)
        let similar = hasher.finalize()
        let same = similar &* 31 &+ entry.numbers.hashValue
        if let earlier = latestSame.updateValue(waiting.count, forKey: same) { waiting[earlier].nextSame = waiting.count }
        if let earlier = latestSimilar.updateValue(waiting.count, forKey: similar) { waiting[earlier].nextSimilar = waiting.count }
        waiting.append(entry)
    }

    /// The block is complete; what was begun of one more repetition waits again.
    private mutating func endRun(_ folds: inout [Fold]) {
        guard let run else { return }
        folds.append(run.fold)
        self.run = nil
        for entry in run.partial { wait(entry) }
    }

    /// Decides about waiting entries, the oldest first, until only `keeping` are left or a block repeats on.
    private mutating func settle(keeping: Int, _ folds: inout [Fold]) {
        var head = 0
        while waiting.count - head > keeping {
            guard let (period, matched) = bestPeriod(at: head) else {
                folds.append(.once(waiting[head].entry))
                head += 1
                continue
            }
            let count = matched / period + 1
            let end = head + count * period
            var run = Run(
                block: Array(waiting[head..<head + period]),
                steps: (head..<head + period).map { waiting[$0 + period].numbers &- waiting[$0].numbers },
                lastTimes: waiting[end - period..<end].map { $0.entry.time },
                count: count)
            if head + period + matched == waiting.count {
                run.partial = Array(waiting[end...])
                self.run = run
                forget(waiting.count)
                return
            }
            folds.append(run.fold)
            head = end
        }
        forget(head)
    }

    private mutating func forget(_ count: Int) {
        let kept = Array(waiting[count...])
        waiting.removeAll(keepingCapacity: true)
        latestSame.removeAll(keepingCapacity: true)
        latestSimilar.removeAll(keepingCapacity: true)
        for entry in kept { wait(entry) }
    }

    /// The period that saves most at `head`, and how many of the entries behind the first block repeat it.
    private func bestPeriod(at head: Int) -> (period: Int, matched: Int)? {
        var best: (period: Int, matched: Int)?
        var bestSaved = Self.leastSaved - 1
        var place = waiting[head].nextSame
        while place > 0, place - head <= Self.longestBlock {
            let period = place - head
            defer { place = waiting[place].nextSame }
            if let best {
                // Where the best so far breaks off, this period must go on to save more: one look spares most of them.
                let end = head + best.period + best.matched
                if end - place <= bestSaved, place <= end, !isSame(end - period, end) { continue }
            }
            var matched = 0
            while place + matched < waiting.count, isSame(head + matched, place + matched) { matched += 1 }
            let saved = matched / period * period
            if saved > bestSaved {
                bestSaved = saved
                best = (period, matched)
                if place + matched == waiting.count { return best }
            }
        }
        place = waiting[head].nextSimilar
        for _ in 0..<Self.similarPlaces where place > 0 && place - head <= Self.longestBlock {
            let period = place - head
            let matched = matchedWithSteps(head, period)
            let saved = matched / period * period
            // Two blocks always differ by some step; only a third shows that it is one.
            if saved >= 2 * period, saved > bestSaved {
                bestSaved = saved
                best = (period, matched)
            }
            place = waiting[place].nextSimilar
        }
        return best
    }

    private func isSame(_ a: Int, _ b: Int) -> Bool {
        waiting[a].numbers == waiting[b].numbers && waiting[a].isSimilar(to: waiting[b])
    }

    /// How many entries behind the block at `head` repeat it with constant steps.
    private func matchedWithSteps(_ head: Int, _ period: Int) -> Int {
        guard head + 2 * period < waiting.count else { return 0 }
        func step(_ place: Int) -> EventNumbers { waiting[place + period].numbers &- waiting[place].numbers }
        guard step(head) == step(head + period) else { return 0 }
        var matched = 0
        while head + period + matched < waiting.count {
            let place = head + matched
            guard waiting[place + period].isSimilar(to: waiting[place]) else { break }
            if matched >= period, step(place) != step(head + matched % period) { break }
            matched += 1
        }
        return matched
    }
}

/// Entries in print order, folded.
package struct FoldedStream: Hashable, Sendable {
    package private(set) var folds: [Fold] = []
    /// How many entries the folds stand for.
    package private(set) var count = 0

    package init() {}

    package init(_ entries: some Sequence<Entry>) {
        var folder = Folder()
        for entry in entries { folder.append(entry, to: &folds) }
        folder.finish(into: &folds)
        count = folds.reduce(0) { $0 + $1.count }
    }

    /// Folds a log's records: all of them, or those of one episode.
    package init(_ reader: inout LogReader, episode: Int? = nil) throws {
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
    package struct Iterator: IteratorProtocol {
        private let folds: [Fold]
        private var fold = 0
        private var repetition = 0
        private var place = 0

        init(_ folds: [Fold]) { self.folds = folds }

        /// Of a repeated entry only the first and the last repetition have their time.
        package mutating func next() -> Entry? {
            guard fold < folds.count else { return nil }
            switch folds[fold] {
            case .once(let entry):
                fold += 1
                return entry
            case .times(let count, let block):
                var entry = block[place].first
                if repetition > 0 {
                    entry.record = block[place].record(repetition)
                    entry.time = repetition == count - 1 ? block[place].lastTime : nil
                }
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

    package func makeIterator() -> Iterator { Iterator(folds) }

    package var underestimatedCount: Int { count }
}
