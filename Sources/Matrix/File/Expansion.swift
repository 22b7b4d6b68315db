/// From products to selections: every combination that no exclusion removes, once.

/// A selection, and the product that makes it.
package struct PlannedSelection: Hashable, Sendable {
    package let selection: Selection
    /// The name of the first product, in file order, that makes it in its tier.
    package let product: String
    /// The lowest tier that makes it.
    package let tier: Tier
}

extension MatrixFile {
    /// The selections up to a tier, each once, in the file's order of products; within a product the last axis changes fastest. A higher
    /// tier adds selections, and changes the product of none.
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

    /// The selection as it is planned up to a tier, and the position of the product that makes it; nil if none does.
    func plan(of selection: Selection, upTo tier: Tier) -> (planned: PlannedSelection, position: Int)? {
        for level in Tier.allCases where level <= tier {
            let position = products.firstIndex { product in
                product.tier == level && product.combines(selection.values) && !isExcluded(selection.values, of: product)
            }
            guard let position else { continue }
            return (PlannedSelection(selection: selection, product: products[position].name, tier: level), position)
        }
        return nil
    }

    private func isExcluded(_ values: [UInt8], of product: Product) -> Bool {
        exclusions.contains { $0.excludes(values) } || product.exclusions.contains { $0.excludes(values) }
    }

    /// Calls `body` with every combination of a product before any exclusion; a combination of several branches comes several times.
    func eachCombination(of product: Product, _ body: ([UInt8]) -> Void) {
        for branch in product.branches {
            var values = branch.map { UInt8($0.trailingZeroBitCount) }
            repeat { body(values) } while advance(&values, in: branch)
        }
    }
}

extension Product {
    /// True if the values are one of the product's combinations, before any exclusion.
    fileprivate func combines(_ values: [UInt8]) -> Bool {
        branches.contains { zip($0, values).allSatisfy { mask, value in mask >> UInt64(value) & 1 == 1 } }
    }
}

/// Advances to the next combination; false after the last one.
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
