/// Repeated measurements of one thing: the middle one, and how far the others lie.

package struct Spread: Hashable, Sendable, Codable {
    package let median: Double
    package let least: Double
    package let most: Double
    package let count: Int

    /// nil without a value. Of an even number the median is the mean of the two in the middle.
    package init?(_ values: [Double]) {
        guard let least = values.min(), let most = values.max() else { return nil }
        let sorted = values.sorted()
        let middle = sorted.count / 2
        median = sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
        self.least = least
        self.most = most
        count = values.count
    }

    /// By how much the median of `other` is lower than this one, in percent.
    package func reduction(to other: Spread) -> Double { median == 0 ? 0 : (1 - other.median / median) * 100 }
}
