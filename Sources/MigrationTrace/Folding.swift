/// Folding keeps a repeated block of entries once, with its count.
///
/// A source that waits for an ACK makes twelve thousand queries a second, each with the same lines; a source that drains a device prints
/// the same lines with numbers that shrink by a step. Folding keeps the events without loss, and of the times the first and the last. Folds
/// do not nest.

/// An entry of a repeated block.
package struct FoldedEntry: Hashable, Sendable {
    /// The entry of the first repetition, with its time.
    package var first: Entry
    /// The time of the last repetition.
    package var lastTime: Int64?
    /// By how much each number of the event grows from one repetition to the next, in the order of the text.
    package var step: EventNumbers

    package init(first: Entry, lastTime: Int64?, step: EventNumbers = .zero) {
        self.first = first
        self.lastTime = lastTime
        self.step = step
    }

    /// The event or message of a repetition, counted from 0.
    package func record(_ repetition: Int) -> Record {
        guard step != .zero, case .event(let event) = first.record else { return first.record }
        return .event(event.replacing(event.numbers.values &+ step &* EventNumbers(repeating: Int64(repetition))))
    }
}

package enum Fold: Hashable, Sendable {
    case once(Entry)
    /// `count` is 2 or more, and 3 or more if a number has a step.
    case times(Int, [FoldedEntry])

    /// The number of entries that the fold stands for.
    package var count: Int {
        switch self {
        case .once: 1
        case .times(let count, let block): count * block.count
        }
    }
}

/// Folds entries in the order in which they were printed.
///
/// Memory is bounded by four times the longest block, and the work for an entry by a constant: waiting entries are compared only with the
/// places where the oldest of them occurs again. An entry waits until enough of the following entries are known; `finish` releases the
/// rest.
package struct Folder: Sendable {
    /// The longest block, in entries.
    package static let longestBlock = 512
    /// The fewest entries that a fold must save; fewer are not worth its line.
    package static let leastSaved = 3

    private static let window = 2 * longestBlock
    /// The most similar places at which a block with steps is tried. Identical places need no limit, since many of them make a fold;
    /// similar places may make none.
    private static let similarPlaces = 8

    private struct Waiting {
        var entry: Entry
        /// The event or message with all numbers 0.
        var shape: Record
        var numbers: EventNumbers
        /// The place of the next equal entry; 0 if there is none yet.
        var nextSame = 0
        /// The place of the next entry that differs only in numbers; 0 if there is none yet.
        var nextSimilar = 0
        /// Hashes of what equal and of what similar entries have in common.
        var same = 0
        var similar = 0

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
            var hasher = Hasher()
            hasher.combine(entry.thread)
            hasher.combine(shape)
            similar = hasher.finalize()
            same = similar &* 31 &+ numbers.hashValue
        }

        @inline(__always)
        func isSimilar(to other: Waiting) -> Bool {
            similar == other.similar && entry.thread == other.entry.thread && shape == other.shape
        }
    }

    /// A block that still repeats. The entries of the current repetition are in `partial`.
    private struct Run {
        var block: [Waiting]
        var steps: [EventNumbers]
        var lastTimes: [Int64?]
        var count: Int
        var partial: [Entry] = []

        /// Adds the entry if it is that of the block, without a look at its numbers: of a source that waits, all entries are.
        mutating func repeats(_ entry: Entry) -> Bool {
            let place = partial.count
            guard steps[place] == .zero, block[place].entry.thread == entry.thread, block[place].entry.record == entry.record else {
                return false
            }
            add(entry)
            return true
        }

        private mutating func add(_ entry: Entry) {
            partial.append(entry)
            guard partial.count == block.count else { return }
            count += 1
            for place in partial.indices { lastTimes[place] = partial[place].time }
            partial.removeAll(keepingCapacity: true)
        }

        /// Adds the entry if it is the next one of the current repetition, and returns true; or else returns false.
        mutating func extend(_ waiting: Waiting) -> Bool {
            let place = partial.count
            let expected = block[place].numbers &+ steps[place] &* EventNumbers(repeating: Int64(count))
            guard waiting.numbers == expected, advances(expected &- steps[place], to: expected, by: steps[place]),
                waiting.isSimilar(to: block[place])
            else { return false }
            add(waiting.entry)
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
        if run?.repeats(entry) == true { return }
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
        waiting.append(entry)
        link(waiting.count - 1)
    }

    /// Makes the entry at the place the next one of those before it that are equal, and of those that are similar.
    private mutating func link(_ place: Int) {
        waiting[place].nextSame = 0
        waiting[place].nextSimilar = 0
        if let earlier = latestSame.updateValue(place, forKey: waiting[place].same) { waiting[earlier].nextSame = place }
        if let earlier = latestSimilar.updateValue(place, forKey: waiting[place].similar) { waiting[earlier].nextSimilar = place }
    }

    /// Completes the block; the entries of an unfinished repetition wait again.
    private mutating func endRun(_ folds: inout [Fold]) {
        guard let run else { return }
        folds.append(run.fold)
        self.run = nil
        for entry in run.partial { wait(Waiting(entry)) }
    }

    /// Folds waiting entries, the oldest first, until only `keeping` entries are left or a block still repeats.
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
                run.partial = waiting[end...].map(\.entry)
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
        waiting.removeFirst(count)
        latestSame.removeAll(keepingCapacity: true)
        latestSimilar.removeAll(keepingCapacity: true)
        for place in waiting.indices { link(place) }
    }

    /// The period that saves most entries at `head`, and the number of entries after the first block that repeat it.
    private func bestPeriod(at head: Int) -> (period: Int, matched: Int)? {
        var best: (period: Int, matched: Int)?
        var bestSaved = Self.leastSaved - 1
        var place = waiting[head].nextSame
        while place > 0, place - head <= Self.longestBlock {
            let period = place - head
            defer { place = waiting[place].nextSame }
            if let best {
                // This period can only save more if it continues where the best so far ends; most periods fail this one comparison.
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
            // Two blocks always differ by some step; only a third block with the same step shows a rule.
            if saved >= 2 * period, saved > bestSaved {
                bestSaved = saved
                best = (period, matched)
            }
            place = waiting[place].nextSimilar
        }
        return best
    }

    private func isSame(_ a: Int, _ b: Int) -> Bool {
        waiting[a].same == waiting[b].same && waiting[a].numbers == waiting[b].numbers && waiting[a].isSimilar(to: waiting[b])
    }

    /// The number of entries after the block at `head` that repeat it with constant steps.
    private func matchedWithSteps(_ head: Int, _ period: Int) -> Int {
        guard head + 2 * period < waiting.count else { return 0 }
        func step(_ place: Int) -> EventNumbers { waiting[place + period].numbers &- waiting[place].numbers }
        guard step(head) == step(head + period) else { return 0 }
        var matched = 0
        while head + period + matched < waiting.count {
            let place = head + matched
            guard waiting[place + period].isSimilar(to: waiting[place]) else { break }
            if matched >= period, step(place) != step(head + matched % period) { break }
            guard advances(waiting[place].numbers, to: waiting[place + period].numbers, by: step(place)) else { break }
            matched += 1
        }
        return matched
    }
}

/// True if each number that has a step moves in the direction of its step, read as signed and as unsigned: a number that wraps around does
/// not grow steadily, so that a fold could not be read again.
private func advances(_ before: EventNumbers, to after: EventNumbers, by step: EventNumbers) -> Bool {
    if step == .zero { return true }
    let flip = EventNumbers(repeating: .min)
    let rises = (before .< after) .& ((before ^ flip) .< (after ^ flip))
    let falls = (after .< before) .& ((after ^ flip) .< (before ^ flip))
    return all((step .== .zero) .| ((step .> .zero) .& rises) .| ((step .< .zero) .& falls))
}

/// The entries of a stream, folded, in the order in which they were printed.
package struct FoldedStream: Hashable, Sendable {
    package private(set) var folds: [Fold] = []
    /// The number of entries that the folds stand for.
    package private(set) var count = 0

    package init() {}

    package init(_ entries: some Sequence<Entry>) {
        var folder = Folder()
        for entry in entries { folder.append(entry, to: &folds) }
        folder.finish(into: &folds)
        count = folds.reduce(0) { $0 + $1.count }
    }

    /// Folds the events and messages of a log: all of them, or those of one episode.
    package init(_ reader: inout LogReader, episode: Int? = nil) throws {
        var folder = Folder()
        while let line = try reader.next() {
            guard episode == nil || line.episode == episode, let entry = Entry(line) else { continue }
            folder.append(entry, to: &folds)
        }
        folder.finish(into: &folds)
        count = folds.reduce(0) { $0 + $1.count }
    }

    package mutating func append(_ fold: Fold) {
        folds.append(fold)
        count += fold.count
    }
}

/// Unfolds one entry at a time, so that memory does not grow with the counts.
extension FoldedStream: Sequence {
    package struct Iterator: IteratorProtocol {
        private let folds: [Fold]
        private var fold = 0
        private var repetition = 0
        private var place = 0

        init(_ folds: [Fold]) { self.folds = folds }

        /// The next entry. Only the first and the last repetition of an entry have a time.
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
