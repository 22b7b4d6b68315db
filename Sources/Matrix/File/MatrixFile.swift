/// The matrix as a file: axes, the products that make cells of them, and the exclusions with their reasons.

/// How much of the matrix is run. A cell belongs to the lowest tier that makes it.
package enum Tier: String, CaseIterable, Comparable, Hashable, Sendable {
    case quick, `default`, full
    /// With selections of which there are too many for processes.
    case engine

    package static func < (first: Tier, second: Tier) -> Bool {
        allCases.firstIndex(of: first)! < allCases.firstIndex(of: second)!
    }
}

/// Every combination of some values, on the axes it names; all other axes have their plain value.
package struct Product: Hashable, Sendable {
    package let name: String
    /// What it shows, in one sentence.
    package let about: String
    package let tier: Tier
    package let line: Int
    package let exclusions: [Exclusion]
    /// For each of the product's alternatives the values of every axis, as bits.
    let branches: [[UInt64]]
}

package struct MatrixFile: Hashable, Sendable {
    /// Of selections that all products make together, before exclusions.
    package static let mostSelections = 20_000
    static let mostAxes = 64
    static let mostValues = 64
    /// Over all axes.
    static let mostValuesTogether = 1024
    static let mostProducts = 256
    static let mostExclusions = 256

    /// The name that errors give the file.
    package let file: String
    /// In the order of names.
    package let axes: [Axis]
    package let products: [Product]
    /// Apply to every product.
    package let exclusions: [Exclusion]
    package let alone: Alone?

    /// Axes of which one change at a time is tried, unless a product names two.
    package struct Alone: Hashable, Sendable {
        package let reason: String
        /// Positions in the file's axes.
        let axes: Set<Int>
    }

    /// Reads the matrix file at `path`, whose axes must be those of `CellAxis` with all of their values.
    package init(path: String) throws(MatrixFileError) {
        try self.init(try yamlText(path: path), file: path, vocabulary: .cells)
    }

    /// Reads a matrix file; `file` is only for the text of errors. Without a vocabulary its axes may be any, and no cells are made of it.
    init(_ text: String, file: String, vocabulary: AxisVocabulary? = nil) throws(MatrixFileError) {
        let root = try YAMLValue(document: text, file: file)
        let fields = try root.fields(of: "a matrix file", ["ackmatrix-matrix", "axes", "products"], optional: ["exclusions", "alone"])
        try fields["ackmatrix-matrix"]!.expectVersion("1", of: "a matrix file")
        let axes = try readAxes(fields["axes"]!, vocabulary)
        let reader = PatternReader(axes)

        var products: [Product] = []
        var made = 0
        for value in try fields["products"]!.list(of: "products", 1...Self.mostProducts) {
            let product = try reader.product(value)
            if let other = products.first(where: { $0.name == product.name }) {
                throw value.error("expected another name than '\(product.name)', which the product in line \(other.line) has")
            }
            for branch in product.branches { made = min(made + combinations(branch), Self.mostSelections + 1) }
            guard made <= Self.mostSelections else {
                throw value.error("expected at most \(Self.mostSelections) selections of all products, found more up to '\(product.name)'")
            }
            products.append(product)
        }
        self.file = file
        self.axes = axes
        self.products = products
        exclusions = try fields["exclusions"].map { value throws(MatrixFileError) in try reader.exclusions(value) } ?? []
        alone = try fields["alone"].map { value throws(MatrixFileError) in try reader.alone(value) }
    }
}

/// How many selections the masks make, up to more than a file may.
private func combinations(_ branch: [UInt64]) -> Int {
    branch.reduce(1) { min($0 * $1.nonzeroBitCount, MatrixFile.mostSelections + 1) }
}

/// The axes that a matrix file must have, and the values that it must list on each, all of them and no other: a value that the code does
/// not know has no meaning, and one that the file does not list is in no cell.
struct AxisVocabulary {
    let axes: [(name: String, values: [String])]

    /// What cells are made of.
    static let cells = AxisVocabulary(axes: CellAxis.allCases.map { ($0.rawValue, $0.words) })

    /// Where a value is declared, for the text of errors.
    private static let home = "Sources/Matrix/Cells/CellChoices.swift"

    /// Refuses an axis that nobody knows, or values that differ from the known ones.
    func check(_ axis: Axis, key: YAMLValue, values: [YAMLValue]) throws(MatrixFileError) {
        guard let known = axes.first(where: { $0.name == axis.name }) else {
            throw key.error(
                "expected an axis out of \(axes.map(\.name).joined(separator: ", ")), found '\(axis.name)'; a new axis is declared in "
                    + "\(Self.home)"
            )
        }
        let all = known.values.joined(separator: ", ")
        if let unknown = axis.values.firstIndex(where: { !known.values.contains($0) }) {
            throw values[unknown].error(
                "expected a value of axis '\(axis.name)' (\(all)), found '\(axis.values[unknown])'; a new value is declared in \(Self.home)"
            )
        }
        if let missing = known.values.first(where: { !axis.values.contains($0) }) {
            throw key.error("expected all values of axis '\(axis.name)' (\(all)), found none that is '\(missing)': add it to 'values'")
        }
    }

    /// Refuses axes among which a known one is missing.
    func checkComplete(_ found: [Axis], _ value: YAMLValue) throws(MatrixFileError) {
        if let missing = axes.first(where: { known in !found.contains { $0.name == known.name } }) {
            throw value.error(
                "expected an axis '\(missing.name)', found none of that name: add it with values \(missing.values.joined(separator: ", "))")
        }
    }
}

private func readAxes(_ value: YAMLValue, _ vocabulary: AxisVocabulary?) throws(MatrixFileError) -> [Axis] {
    let pairs = try value.pairs(of: "axes")
    guard 1...MatrixFile.mostAxes ~= pairs.count else {
        throw value.error("expected 1 to \(MatrixFile.mostAxes) axes, found \(pairs.count)")
    }
    var axes: [Axis] = []
    var total = 0
    // Names are unique when no word can stand for two values.
    var meanings = [Selection.plainName: "the selection without changes"]
    for (key, value) in pairs {
        let axis = try readAxis(key, value, vocabulary)
        total += axis.values.count
        guard total <= MatrixFile.mostValuesTogether else {
            throw value.error("expected at most \(MatrixFile.mostValuesTogether) values on all axes, found more up to '\(axis.name)'")
        }
        for word in axis.values.dropFirst() {
            let token = axis.token(of: word)
            if let other = meanings.updateValue("\(axis.name) \(word)", forKey: token) {
                throw key.error(
                    "expected a name's word for \(axis.name) \(word) of its own, found '\(token)', which is \(other): give a 'token'")
            }
        }
        axes.append(axis)
    }
    try vocabulary?.checkComplete(axes, value)
    return axes
}

private func readAxis(_ key: YAMLValue, _ value: YAMLValue, _ vocabulary: AxisVocabulary?) throws(MatrixFileError) -> Axis {
    let name = try key.word("an axis' name")
    guard name != PatternReader.changed else { throw key.error("expected another name than '\(name)', which patterns use") }
    let fields = try value.fields(of: "axis '\(name)'", ["values", "about"], optional: ["token", "ungated"])
    var values: [String] = []
    let elements = try fields["values"]!.list(of: "values of axis '\(name)'", 2...MatrixFile.mostValues)
    for element in elements {
        let word = try element.word("a value of axis '\(name)'")
        guard !values.contains(word) else { throw element.error("expected each value of axis '\(name)' once, found '\(word)' twice") }
        values.append(word)
    }
    var token = "{}"
    if let field = fields["token"] {
        token = try field.scalar("a token of axis '\(name)'")
        let parts = token.split(separator: "{}", omittingEmptySubsequences: false)
        guard parts.count == 2, isWord(parts.joined(separator: "-")), token.utf8.count <= 40 else {
            throw field.error("expected a token like '{}-\(name)' with '{}' once and else up to 38 letters, digits, '.', '_' or '-'")
        }
    }
    var axis = Axis(name: name, values: values, about: try fields["about"]!.sentence("what axis '\(name)' is about"), token: token)
    for (key, reason) in try fields["ungated"]?.pairs(of: "ungated values of axis '\(name)'") ?? [] {
        let value = try key.word("a value of axis '\(name)'")
        guard values.contains(value) else { throw key.error("expected a value of axis '\(name)', found '\(value)'") }
        axis.ungated[value] = try reason.sentence("why \(value) holds nothing back")
    }
    try vocabulary?.check(axis, key: key, values: elements)
    return axis
}
