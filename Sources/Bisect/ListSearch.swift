/// A binary search over an ordered list whose first entry is good and whose last is bad, and some of which cannot be told.

package struct ListSearch: Hashable, Sendable {
    /// The last entry that is known to be good, and the first that is known to be bad.
    package private(set) var good: Int
    package private(set) var bad: Int
    package private(set) var skipped: Set<Int> = []

    /// `count` is at least 2.
    package init(count: Int) { (good, bad) = (0, max(count - 1, 1)) }

    private var untested: [Int] { (good + 1..<bad).filter { !skipped.contains($0) } }

    /// The entry to be tested next: the one nearest to the middle; nil where the search is over.
    package var next: Int? {
        let middle = good + (bad - good) / 2
        return untested.min { (abs($0 - middle), $0) < (abs($1 - middle), $1) }
    }

    /// The most entries that are still to be tested where none has to be skipped.
    package var stepsLeft: Int { untested.isEmpty ? 0 : Int.bitWidth - untested.count.leadingZeroBitCount }

    /// The entries of which one is the first bad one: `bad` alone, or those before it, too, that could not be told.
    package var candidates: [Int] { Array(good + 1...bad) }

    package mutating func set(_ entry: Int, _ judgment: Judgment) {
        guard good < entry, entry < bad else { return }
        switch judgment {
        case .good: good = entry
        case .bad: bad = entry
        case .skip: skipped.insert(entry)
        }
    }
}
