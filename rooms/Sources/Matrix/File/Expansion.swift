/// From products to selections: every combination that no exclusion takes away, once.

/// A selection, and what it is made for.
package struct PlannedSelection: Hashable, Sendable {
    package let selection: Selection
    /// The name of the first product, in file order, that makes it in its tier.
    package let product: String
    /// The lowest tier that makes it.
    package let tier: Tier
}

extension MatrixFile {
    /// The selections up to a tier, each once: products in file order, within one the last axis changes fastest. With a higher tier
    /// selections are added, and none changes its product.
    package func selections(_ tier: Tier) -> [PlannedSelection] {
        var first: [[UInt8]: Int] = [:]
        for level in Tier.allCases where level <= tier {
            for (index, product) in products.enumerated() where product.tier == level {
                eachCombination(of: product) { values in
                    if first[values] == nil, !isExcluded(values, of: product) { first[values] = index }
                }
            }
        }
        var planned: [PlannedSelection] = []
        for (index, product) in products.enumerated() where product.tier <= tier {
            eachCombination(of: product) { values in
                guard first[values] == index else { return }
                first[values] = nil
                planned.append(
                    PlannedSelection(selection: Selection(axes: axes, values: values), product: product.name, tier: product.tier))
            }
        }
        return planned
    }

    private func isExcluded(_ values: [UInt8], of product: Product) -> Bool {
        exclusions.contains { $0.excludes(values) } || product.exclusions.contains { $0.excludes(values) }
    }

    /// All combinations of a product, those of several branches several times, before any exclusion.
    func eachCombination(of product: Product, _ body: ([UInt8]) -> Void) {
        for branch in product.branches {
            var values = branch.map { UInt8($0.trailingZeroBitCount) }
            repeat { body(values) } while advance(&values, in: branch)
        }
    }
}

/// The next combination; false after the last.
private func advance(_ values: inout [UInt8], in branch: [UInt64]) -> Bool {
    for axis in values.indices.reversed() {
        let later = branch[axis] & (UInt64.max << (UInt64(values[axis]) + 1))
        if later != 0 {
            values[axis] = UInt8(later.trailingZeroBitCount)
            return true
        }
        values[axis] = UInt8(branch[axis].trailingZeroBitCount)
    }
    return false
}
