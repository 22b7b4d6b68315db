/// Which pairs of values the cells of a tier cover, which are excluded and why, and which were forgotten.
///
/// For two values of different axes, the first of these that holds: some cell has both (covered); an exclusion's `where` takes away
/// every selection with both; a product names both, and exclusions that mention one of the two axes took all its combinations away;
/// both differ from their plain value on axes that are tried alone, and no product names both; else the pair is open.

package struct Coverage: Hashable, Sendable {
    /// A product, and how many cells are its own.
    package struct ProductUse: Hashable, Sendable {
        package let product: String
        package let cells: Int
    }

    /// A value of an axis, and how many cells have it.
    package struct ValueUse: Hashable, Sendable {
        package let axis: String
        package let value: String
        package let cells: Int
    }

    /// The pairs of values of two axes.
    package struct AxisPair: Hashable, Sendable {
        package let first: String
        package let second: String
        package internal(set) var covered = 0
        package internal(set) var excluded = 0
        package internal(set) var open = 0
    }

    /// What an exclusion accounts for.
    package struct ExclusionUse: Hashable, Sendable {
        package let reason: String
        /// Where it stands, for a reader.
        package let place: String
        /// Pairs excluded by it: where several would do, by the first.
        package internal(set) var pairs = 0
        /// Combinations of products, of any tier, that it matches.
        package internal(set) var combinations = 0
    }

    package struct Pair: Hashable, Sendable, CustomStringConvertible {
        package let firstAxis: String
        package let firstValue: String
        package let secondAxis: String
        package let secondValue: String

        package var description: String { "\(firstAxis) \(firstValue) with \(secondAxis) \(secondValue)" }
    }

    package let tier: Tier
    package let cells: Int
    /// In file order; those of higher tiers are left out.
    package let products: [ProductUse]
    package let values: [ValueUse]
    package let axisPairs: [AxisPair]
    /// Those of the file, then those of its products, then `alone`.
    package let exclusions: [ExclusionUse]
    package let open: [Pair]

    package var covered: Int { axisPairs.reduce(0) { $0 + $1.covered } }
    package var excluded: Int { axisPairs.reduce(0) { $0 + $1.excluded } }

    /// By axis and value, why a value's cells hold nothing back.
    package let ungated: [String: [String: String]]

    /// What in the file has no effect, a sentence each: values and products without a cell in any tier, exclusions with nothing to exclude.
    package let ineffective: [String]

    package init(_ file: MatrixFile, tier: Tier) {
        let planned = file.selections(tier)
        let everything = tier == .engine ? planned : file.selections(.engine)
        // Values that only the engine's own cells have are none of a lower tier's.
        let later = valuesOfTheEngine(file, everything)
        let removals = Removals(file, tier: tier)
        var seen = PairSet(file.axes)
        for entry in planned { seen.insertPairs(of: entry.selection.values) }

        var exclusions = removals.uses
        var axisPairs: [AxisPair] = []
        var open: [Pair] = []
        for first in file.axes.indices {
            for second in file.axes.indices.dropFirst(first + 1) {
                let (one, other) = (file.axes[first], file.axes[second])
                var count = AxisPair(first: one.name, second: other.name)
                for firstValue in one.values.indices where tier == .engine || !later.contains(one, firstValue) {
                    for secondValue in other.values.indices where tier == .engine || !later.contains(other, secondValue) {
                        let pair = (ValueIndex(axis: first, value: firstValue), ValueIndex(axis: second, value: secondValue))
                        if seen.contains(pair.0, pair.1) {
                            count.covered += 1
                        } else if let exclusion = removals.exclusion(of: pair.0, pair.1) {
                            count.excluded += 1
                            exclusions[exclusion].pairs += 1
                        } else {
                            count.open += 1
                            open.append(
                                Pair(
                                    firstAxis: one.name, firstValue: one.values[firstValue], secondAxis: other.name,
                                    secondValue: other.values[secondValue]))
                        }
                    }
                }
                axisPairs.append(count)
            }
        }
        self.tier = tier
        ungated = Dictionary(uniqueKeysWithValues: file.axes.map { ($0.name, $0.ungated) })
        cells = planned.count
        products = productUses(file, planned, upTo: tier)
        values = valueUses(file, planned).filter { tier == .engine || !later.contains($0) }
        ineffective =
            valueUses(file, everything).filter { $0.cells == 0 }.map { "no cell has \($0.axis) \($0.value)" }
            + productUses(file, everything, upTo: .engine).filter { $0.cells == 0 }.map { "product \($0.product) makes no cell of its own" }
            + exclusions.filter { $0.pairs == 0 && $0.combinations == 0 }.map { "\($0.place) excludes nothing: \($0.reason)" }
        self.axisPairs = axisPairs
        self.exclusions = exclusions
        self.open = open
    }
}

private func productUses(_ file: MatrixFile, _ planned: [PlannedSelection], upTo tier: Tier) -> [Coverage.ProductUse] {
    let counts = Dictionary(grouping: planned, by: \.product).mapValues(\.count)
    return file.products.filter { $0.tier <= tier }.map { Coverage.ProductUse(product: $0.name, cells: counts[$0.name] ?? 0) }
}

private func valueUses(_ file: MatrixFile, _ planned: [PlannedSelection]) -> [Coverage.ValueUse] {
    var counts = file.axes.map { [Int](repeating: 0, count: $0.values.count) }
    for entry in planned {
        for (axis, value) in entry.selection.values.enumerated() { counts[axis][Int(value)] += 1 }
    }
    return zip(file.axes, counts).flatMap { axis, counts in
        zip(axis.values, counts).map { Coverage.ValueUse(axis: axis.name, value: $0, cells: $1) }
    }
}

/// Values that the tier `engine` alone makes cells with.
private struct ValuesOfTheEngine {
    let all: Set<String>
    func contains(_ axis: Axis, _ value: Int) -> Bool { all.contains("\(axis.name) \(axis.values[value])") }
    func contains(_ use: Coverage.ValueUse) -> Bool { all.contains("\(use.axis) \(use.value)") }
}

private func valuesOfTheEngine(_ file: MatrixFile, _ everything: [PlannedSelection]) -> ValuesOfTheEngine {
    func used(_ planned: [PlannedSelection]) -> Set<String> {
        Set(valueUses(file, planned).filter { $0.cells > 0 }.map { "\($0.axis) \($0.value)" })
    }
    return ValuesOfTheEngine(all: used(everything).subtracting(used(everything.filter { $0.tier < .engine })))
}

/// A set of pairs of values of different axes.
private struct PairSet {
    private let offsets: [Int]
    private let width: Int
    private var bits: [Bool]

    init(_ axes: [Axis]) {
        var total = 0
        offsets = axes.map { axis in
            defer { total += axis.values.count }
            return total
        }
        width = total
        bits = [Bool](repeating: false, count: total * total)
    }

    func position(_ first: ValueIndex, _ second: ValueIndex) -> Int {
        (offsets[first.axis] + first.value) * width + offsets[second.axis] + second.value
    }

    func contains(_ first: ValueIndex, _ second: ValueIndex) -> Bool { bits[position(first, second)] }

    mutating func insertPairs(of values: [UInt8]) {
        for first in values.indices {
            let row = (offsets[first] + Int(values[first])) * width
            for second in (first + 1)..<values.count { bits[row + offsets[second] + Int(values[second])] = true }
        }
    }
}

/// Which exclusion takes which pair away.
private struct Removals {
    /// Uses with their combinations counted, the pairs still to be.
    private(set) var uses: [Coverage.ExclusionUse] = []
    private let global: [Exclusion]
    private let alone: MatrixFile.Alone?
    /// The values of the branches of all products of the tier.
    private let branches: [[UInt64]]
    /// Pairs of removed combinations, by the first exclusion that mentions one of the two axes.
    private var removed: [RemovedPair: Int] = [:]

    private struct RemovedPair: Hashable {
        let first: ValueIndex
        let second: ValueIndex
    }

    init(_ file: MatrixFile, tier: Tier) {
        global = file.exclusions
        alone = file.alone
        branches = file.products.filter { $0.tier <= tier }.flatMap(\.branches)
        uses = global.map { Coverage.ExclusionUse(reason: $0.reason, place: "the exclusion in line \($0.line)") }
        for product in file.products {
            let own = uses.count
            uses += product.exclusions.map {
                Coverage.ExclusionUse(reason: $0.reason, place: "the exclusion in line \($0.line), of product \(product.name)")
            }
            let exclusions = Array(global.enumerated()) + product.exclusions.enumerated().map { (own + $0.offset, $0.element) }
            file.eachCombination(of: product) { values in
                var matching: [(exclusion: Int, axes: UInt64)] = []
                for (use, exclusion) in exclusions {
                    var axes: UInt64 = 0
                    for pattern in exclusion.patterns where pattern.matches(values) {
                        for term in pattern.terms { axes |= 1 << UInt64(term.axis) }
                    }
                    if axes != 0 { matching.append((use, axes)) }
                }
                for (exclusion, _) in matching { uses[exclusion].combinations += 1 }
                if product.tier <= tier, !matching.isEmpty { remove(values, matching) }
            }
        }
        if let alone { uses.append(Coverage.ExclusionUse(reason: alone.reason, place: "'alone'")) }
    }

    private mutating func remove(_ values: [UInt8], _ matching: [(exclusion: Int, axes: UInt64)]) {
        for first in values.indices {
            for second in (first + 1)..<values.count {
                let axes: UInt64 = 1 << UInt64(first) | 1 << UInt64(second)
                guard let exclusion = matching.first(where: { $0.axes & axes != 0 })?.exclusion else { continue }
                let pair = RemovedPair(
                    first: ValueIndex(axis: first, value: Int(values[first])), second: ValueIndex(axis: second, value: Int(values[second])))
                if removed[pair] == nil { removed[pair] = exclusion }
            }
        }
    }

    /// The use that an uncovered pair counts for; nil when nothing excludes it.
    func exclusion(of first: ValueIndex, _ second: ValueIndex) -> Int? {
        if let index = global.firstIndex(where: { $0.patterns.contains { $0.matchesAll(with: first, second) } }) { return index }
        if let index = removed[RemovedPair(first: first, second: second)] { return index }
        guard let alone, first.value > 0, second.value > 0, alone.axes.isSuperset(of: [first.axis, second.axis]) else { return nil }
        let isNamed = branches.contains {
            $0[first.axis] >> UInt64(first.value) & 1 == 1 && $0[second.axis] >> UInt64(second.value) & 1 == 1
        }
        return isNamed ? nil : uses.count - 1
    }
}

extension Coverage {
    /// Open pairs that the text lists.
    static let longestList = 100

    /// The coverage as lines for a reader, the last without its end.
    package var text: String {
        var lines = ["tier \(tier.rawValue): \(cells) cells", "", "by product"]
        lines += products.map { "  \(padded($0.cells)) \($0.product)" }
        lines += ["", "by axis"]
        for axis in axisNames {
            let counts = values.filter { $0.axis == axis }.map { "\($0.value) \($0.cells)" }.joined(separator: ", ")
            lines.append("  \(axis): \(counts)")
            for (value, reason) in ungated[axis, default: [:]].sorted(by: { $0.key < $1.key }) {
                lines.append("    \(value) is not expected to gate: \(reason)")
            }
        }
        lines += ["", "pairs of values of two axes: \(covered) covered, \(excluded) excluded, \(open.count) open"]
        if !exclusions.isEmpty { lines += ["", "excluded"] }
        lines += exclusions.map { "  \(padded($0.pairs)) pairs, \(padded($0.combinations)) combinations: \($0.place): \($0.reason)" }
        if !open.isEmpty { lines += ["", "open"] + open.prefix(Self.longestList).map { "  \($0)" } }
        if open.count > Self.longestList { lines.append("  and \(open.count - Self.longestList) more") }
        if !ineffective.isEmpty { lines += ["", "without effect"] + ineffective.map { "  \($0)" } }
        return lines.joined(separator: "\n")
    }

    private var axisNames: [String] {
        values.map(\.axis).reduce(into: []) { names, axis in
            if names.last != axis { names.append(axis) }
        }
    }
}

private func padded(_ number: Int) -> String {
    let digits = String(number)
    return String(repeating: " ", count: max(0, 5 - digits.count)) + digits
}
