/// A set of a block's pages, one bit each. A pass over the set costs one operation for each word of 64 pages.

package struct PageSet: Hashable, Sendable {
    /// Bit N of word W is page 64 W + N; bits after the last page are 0.
    package private(set) var words: [UInt64]
    /// How many pages the block has.
    package let pages: Int

    package init(pages: Int) {
        self.pages = pages
        words = Array(repeating: 0, count: (pages + 63) / 64)
    }

    /// Makes a set of the words of RECV_BITMAP; nil if the block does not need that many. Bits after the last page are dropped.
    package init?(pages: Int, words: [UInt64]) {
        guard words.count == (pages + 63) / 64 else { return nil }
        self.pages = pages
        self.words = words
        trim()
    }

    package var count: Int { words.reduce(0) { $0 + $1.nonzeroBitCount } }
    package var isEmpty: Bool { words.allSatisfy { $0 == 0 } }

    package func contains(_ page: Int) -> Bool { words[page >> 6] & (1 << UInt64(page & 63)) != 0 }

    /// How many pages of the range are in the set.
    package func count(in range: Range<Int>) -> Int {
        var count = 0
        Self.forEachWord(of: range) { word, mask in count += (words[word] & mask).nonzeroBitCount }
        return count
    }

    /// Inserts a page. Returns true if it is new.
    @discardableResult
    package mutating func insert(_ page: Int) -> Bool {
        let bit: UInt64 = 1 << UInt64(page & 63)
        defer { words[page >> 6] |= bit }
        return words[page >> 6] & bit == 0
    }

    package mutating func insert(_ range: Range<Int>) { Self.forEachWord(of: range) { word, mask in words[word] |= mask } }

    package mutating func insertAll() {
        for word in words.indices { words[word] = .max }
        trim()
    }

    package mutating func remove(_ page: Int) { words[page >> 6] &= ~(1 << UInt64(page & 63)) }

    package mutating func remove(_ range: Range<Int>) { Self.forEachWord(of: range) { word, mask in words[word] &= ~mask } }

    package mutating func removeAll() { for word in words.indices { words[word] = 0 } }

    /// Inserts all pages of the other set. Returns how many of them are new.
    package mutating func formUnion(_ other: PageSet) -> Int {
        var new = 0
        for word in words.indices where other.words[word] != 0 {
            new += (other.words[word] & ~words[word]).nonzeroBitCount
            words[word] |= other.words[word]
        }
        return new
    }

    /// Replaces the words from this one on by those of a stream, which must not be more. Bits after the last page are dropped.
    mutating func replace(from word: Int, with new: [UInt64]) {
        words.replaceSubrange(word..<word + new.count, with: new)
        trim()
    }

    /// The pages that are not in the set.
    package var inverted: PageSet {
        var result = self
        for word in words.indices { result.words[word] = ~words[word] }
        result.trim()
        return result
    }

    /// The first page at or after `start` that is in the set (with `present` false: that is not); the number of pages if there is none.
    package func first(from start: Int, present: Bool = true) -> Int {
        guard start < pages else { return pages }
        var word = start >> 6
        var bits = (present ? words[word] : ~words[word]) & (.max << UInt64(start & 63))
        while bits == 0 {
            word += 1
            guard word < words.count else { return pages }
            bits = present ? words[word] : ~words[word]
        }
        return min(word << 6 + bits.trailingZeroBitCount, pages)
    }

    /// The first run of pages without a gap at or after `start`; nil if there is none.
    package func run(from start: Int) -> Range<Int>? {
        let first = first(from: start)
        guard first < pages else { return nil }
        return first..<self.first(from: first, present: false)
    }

    /// All runs of the set, in order.
    package var runs: [Range<Int>] {
        var result: [Range<Int>] = []
        var start = 0
        while let run = run(from: start) {
            result.append(run)
            start = run.upperBound
        }
        return result
    }

    private mutating func trim() {
        let left = pages & 63
        if left != 0 { words[words.count - 1] &= (1 << UInt64(left)) - 1 }
    }

    private static func forEachWord(of range: Range<Int>, _ body: (Int, UInt64) -> Void) {
        guard !range.isEmpty else { return }
        let (first, last) = (range.lowerBound >> 6, (range.upperBound - 1) >> 6)
        for word in first...last {
            var mask = UInt64.max
            if word == first { mask &= .max << UInt64(range.lowerBound & 63) }
            if word == last { mask &= .max >> UInt64(63 - (range.upperBound - 1) & 63) }
            body(word, mask)
        }
    }
}
