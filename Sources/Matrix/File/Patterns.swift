/// Patterns of selections, and how they are read: axes with the values that a selection may have on them.

/// A set of values for some axes; an axis that a pattern does not mention may have any value. Values are bits, in the order of the axis.
struct Pattern: Hashable, Sendable {
    struct Term: Hashable, Sendable {
        var axis: Int
        var values: UInt64

        func holds(_ value: ValueIndex) -> Bool { axis == value.axis && values >> UInt64(value.value) & 1 == 1 }
    }

    /// One term for each axis that the pattern mentions, in the order of the axes.
    let terms: [Term]

    init(_ masks: [Int: UInt64]) { terms = masks.sorted { $0.key < $1.key }.map { Term(axis: $0.key, values: $0.value) } }

    func matches(_ values: [UInt8]) -> Bool { terms.allSatisfy { $0.values >> UInt64(values[$0.axis]) & 1 == 1 } }

    /// True if every selection with these two values matches.
    func matchesAll(with first: ValueIndex, _ second: ValueIndex) -> Bool { terms.allSatisfy { $0.holds(first) || $0.holds(second) } }
}

/// A value, by the position of its axis and its own position on the axis.
struct ValueIndex: Hashable, Sendable {
    var axis: Int
    var value: Int
}

/// Selections that no product makes, and the reason.
package struct Exclusion: Hashable, Sendable {
    package let reason: String
    /// The line of the file on which the exclusion begins.
    package let line: Int
    /// A selection is excluded if one of these matches.
    let patterns: [Pattern]

    package func excludes(_ selection: Selection) -> Bool { excludes(selection.values) }

    func excludes(_ values: [UInt8]) -> Bool { patterns.contains { $0.matches(values) } }
}

/// Reads the parts of a file that name axes and their values.
package struct PatternReader {
    /// The key of a pattern for axes of which at least one has another value than its plain one.
    static let changed = "changed"

    let axes: [Axis]
    let positions: [String: Int]

    package init(_ axes: [Axis]) {
        self.axes = axes
        positions = Dictionary(uniqueKeysWithValues: axes.enumerated().map { ($1.name, $0) })
    }

    func axis(_ value: YAMLValue) throws(MatrixFileError) -> Int {
        let name = try value.scalar("an axis' name")
        guard let position = positions[name] else {
            throw value.error("expected an axis (\(axes.map(\.name).joined(separator: ", "))), found '\(name.prefix(60))'")
        }
        return position
    }

    func values(_ value: YAMLValue, of position: Int) throws(MatrixFileError) -> UInt64 {
        let axis = axes[position]
        var mask: UInt64 = 0
        for element in try value.listOrOne(of: "values of axis '\(axis.name)'", 1...axis.values.count) {
            let word = try element.scalar("a value of axis '\(axis.name)'")
            guard let index = axis.values.firstIndex(of: word) else {
                throw element.error(
                    "expected a value of axis '\(axis.name)' (\(axis.values.joined(separator: ", "))), found '\(word.prefix(60))'")
            }
            guard mask >> UInt64(index) & 1 == 0 else { throw element.error("expected each value once, found '\(word)' twice") }
            mask |= 1 << UInt64(index)
        }
        return mask
    }

    /// Axes with their permitted values, by name.
    package func values(_ value: YAMLValue, of what: String) throws(MatrixFileError) -> [String: [String]] {
        let pairs = try masks(value, what).map { position, mask in
            (axes[position].name, axes[position].values.enumerated().filter { mask >> UInt64($0.offset) & 1 == 1 }.map(\.element))
        }
        return Dictionary(uniqueKeysWithValues: pairs)
    }

    /// Axes with their permitted values as bits, by position.
    func masks(_ value: YAMLValue, _ what: String) throws(MatrixFileError) -> [Int: UInt64] {
        var masks: [Int: UInt64] = [:]
        for (key, value) in try value.pairs(of: what) {
            let position = try axis(key)
            masks[position] = try values(value, of: position)
        }
        return masks
    }

    func exclusions(_ value: YAMLValue) throws(MatrixFileError) -> [Exclusion] {
        try value.list(of: "exclusions", 0...MatrixFile.mostExclusions).map { value throws(MatrixFileError) in try exclusion(value) }
    }

    private func exclusion(_ value: YAMLValue) throws(MatrixFileError) -> Exclusion {
        let fields = try value.fields(of: "an exclusion", ["where", "reason"])
        let condition = fields["where"]!
        var masks: [Int: UInt64] = [:]
        var changes: [Int] = []
        for (key, value) in try condition.pairs(of: "an exclusion's 'where'") {
            if try key.scalar("an axis' name") == Self.changed {
                for element in try value.listOrOne(of: "axes", 1...MatrixFile.mostAxes) { changes.append(try axis(element)) }
            } else {
                let position = try axis(key)
                masks[position] = try values(value, of: position)
            }
        }
        guard !masks.isEmpty || !changes.isEmpty else {
            throw condition.error("expected an axis with values, found none: everything is excluded")
        }
        if let twice = changes.first(where: { axis in masks[axis] != nil || changes.count { $0 == axis } > 1 }) {
            throw condition.error("expected axis '\(axes[twice].name)' once, found it again in '\(Self.changed)'")
        }
        let patterns =
            changes.isEmpty
            ? [Pattern(masks)] : changes.map { axis in Pattern(masks.merging([axis: changedBits(axis)]) { mask, _ in mask }) }
        return Exclusion(reason: try fields["reason"]!.sentence("a reason"), line: value.line, patterns: patterns)
    }

    /// All values of the axis but the plain one, as bits.
    private func changedBits(_ axis: Int) -> UInt64 { UInt64.max >> UInt64(64 - axes[axis].values.count) & ~1 }

    func product(_ value: YAMLValue) throws(MatrixFileError) -> Product {
        let fields = try value.fields(of: "a product", ["name", "about", "tier"], optional: ["axes", "each", "exclude"])
        let name = try fields["name"]!.word("a product's name")
        let common = try fields["axes"].map { value throws(MatrixFileError) in try masks(value, "a product's axes") } ?? [:]
        var branches: [[Int: UInt64]] = [[:]]
        if let each = fields["each"] {
            branches = []
            for value in try each.list(of: "axes with values", 1...MatrixFile.mostProducts) {
                let own = try masks(value, "an element of 'each'")
                if let twice = own.keys.sorted().first(where: { common[$0] != nil }) {
                    throw value.error("expected axis '\(axes[twice].name)' either in 'axes' or in 'each', found it in both")
                }
                branches.append(own)
            }
        }
        return Product(
            name: name, about: try fields["about"]!.sentence("what product '\(name)' shows"),
            tier: try fields["tier"]!.choice("a tier", Tier.self), line: value.line,
            exclusions: try fields["exclude"].map { value throws(MatrixFileError) in try exclusions(value) } ?? [],
            branches: branches.map { own in axes.indices.map { own[$0] ?? common[$0] ?? 1 } })
    }

    func alone(_ value: YAMLValue) throws(MatrixFileError) -> MatrixFile.Alone {
        let fields = try value.fields(of: "'alone'", ["axes", "reason"])
        var positions: Set<Int> = []
        for element in try fields["axes"]!.list(of: "axes", 2...MatrixFile.mostAxes) {
            let position = try axis(element)
            guard positions.insert(position).inserted else {
                throw element.error("expected each axis once, found '\(axes[position].name)' twice")
            }
        }
        return MatrixFile.Alone(reason: try fields["reason"]!.sentence("a reason"), axes: positions)
    }
}
