/// Reads a filter by recursive descent:
///
///     any  = all { "|" all }
///     all  = not { "&" not }
///     not  = "!" not | "(" any ")" | test
///     test = SUBJECT ("=" | "!=" | "<" | "<=" | ">" | ">=" | "~" | "!~") VALUE [ "in" FOLDER ]
///          | SUBJECT "(" VALUE { "," VALUE } ")" [ "in" FOLDER ]
///          | ("failed" | "passed" | "ran") "in" FOLDER | "racy"
///
/// A word that does not exist is refused with the nearest ones that do.
import Plan

extension CellFilter {
    package init(_ text: String, _ vocabulary: FilterVocabulary) throws(FilterError) {
        var parser = FilterParser(tokens: try FilterLexer.tokens(text), vocabulary: vocabulary)
        root = try parser.filter()
    }
}

private struct FilterParser {
    /// The deepest nesting of parentheses and negations.
    static let deepest = 64
    /// The most tests and values together.
    static let mostTests = 512

    private let tokens: [FilterToken]
    private let vocabulary: FilterVocabulary
    private var at = 0
    private var depth = 0
    private var tests = 0

    init(tokens: [FilterToken], vocabulary: FilterVocabulary) {
        self.tokens = tokens
        self.vocabulary = vocabulary
    }

    private var next: FilterToken { tokens[at] }

    private mutating func take(_ sign: String) -> Bool {
        guard next.kind == .sign(sign) else { return false }
        at += 1
        return true
    }

    private mutating func take(word: String) -> Bool {
        guard next.kind == .word(word, isQuoted: false) else { return false }
        at += 1
        return true
    }

    private func expected(_ what: String) -> FilterError {
        FilterError(column: next.column, reason: "expected \(what), found \(next.shown)")
    }

    private mutating func word(_ what: String) throws(FilterError) -> (text: String, column: Int) {
        guard case .word(let text, _) = next.kind else { throw expected(what) }
        defer { at += 1 }
        return (text, next.column)
    }

    // MARK: Operators

    mutating func filter() throws(FilterError) -> CellFilter.Node {
        let node = try any()
        guard next.kind == .end else { throw expected("'&', '|' or the end") }
        return node
    }

    private mutating func any() throws(FilterError) -> CellFilter.Node {
        var node = try all()
        while take("|") { node = .or(node, try all()) }
        return node
    }

    private mutating func all() throws(FilterError) -> CellFilter.Node {
        var node = try not()
        while take("&") { node = .and(node, try not()) }
        return node
    }

    private mutating func not() throws(FilterError) -> CellFilter.Node {
        depth += 1
        defer { depth -= 1 }
        guard depth <= Self.deepest else {
            throw FilterError(column: next.column, reason: "expected at most \(Self.deepest) nested parentheses and negations")
        }
        if take("!") { return .not(try not()) }
        guard take("(") else { return try test() }
        let node = try any()
        guard take(")") else { throw expected("')', '&' or '|'") }
        return node
    }

    // MARK: Tests

    private mutating func test() throws(FilterError) -> CellFilter.Node {
        let subject = try subject()
        switch subject {
        case .ran, .failed, .passed:
            guard let folder = try folder() else { throw expected("'in' and the folder of a run") }
            return .test(CellFilter.Test(subject: subject, comparison: .equal, values: [], folder: folder))
        case .axis, .field: break
        }
        if take("(") {
            var values = [try value(of: subject, .equal)]
            while take(",") { values.append(try value(of: subject, .equal)) }
            guard take(")") else { throw expected("',' or ')'") }
            return .test(CellFilter.Test(subject: subject, comparison: .equal, values: values, folder: try folder(of: subject)))
        }
        guard case .sign(let sign) = next.kind, let (comparison, isNegated) = Self.comparison(sign) else {
            guard subject == .field(.racy) else { throw expected("'=', '!=', '<', '<=', '>', '>=', '~', '!~' or '(VALUE)'") }
            return .test(CellFilter.Test(subject: subject, comparison: .equal, values: ["yes"], folder: nil))
        }
        let column = next.column
        at += 1
        try requireOrder(subject, comparison, column: column)
        let value = try value(of: subject, comparison)
        let node = CellFilter.Node.test(
            CellFilter.Test(subject: subject, comparison: comparison, values: [value], folder: try folder(of: subject)))
        return isNegated ? .not(node) : node
    }

    private static func comparison(_ sign: String) -> (CellFilter.Comparison, isNegated: Bool)? {
        switch sign {
        case "!=": (.equal, true)
        case "!~": (.contains, true)
        default: CellFilter.Comparison(rawValue: sign).map { ($0, false) }
        }
    }

    private mutating func subject() throws(FilterError) -> CellFilter.Subject {
        tests += 1
        guard tests <= Self.mostTests else {
            throw FilterError(column: next.column, reason: "expected at most \(Self.mostTests) tests and values")
        }
        let (text, column) = try word("an axis or a field, '!' or '('")
        switch text {
        case "ran": return .ran
        case "failed": return .failed
        case "passed": return .passed
        default: break
        }
        if vocabulary.axes.contains(where: { $0.name == text }) { return .axis(text) }
        if let field = FilterField(rawValue: text) { return .field(field) }
        throw FilterError(
            column: column, reason: "expected an axis or a field, found '\(text.prefix(60))'" + nearest(to: text, vocabulary.subjects))
    }

    private mutating func value(of subject: CellFilter.Subject, _ comparison: CellFilter.Comparison) throws(FilterError) -> String {
        tests += 1
        guard tests <= Self.mostTests else {
            throw FilterError(column: next.column, reason: "expected at most \(Self.mostTests) tests and values")
        }
        let (text, column) = try word("a value")
        switch comparison {
        case .contains: return text
        case .less, .atMost, .greater, .atLeast:
            guard filterRank(text) != nil else {
                throw FilterError(column: column, reason: "expected a number or a release, found '\(text.prefix(60))'")
            }
            return text
        case .equal:
            guard let values = vocabulary.values(of: subject), !values.contains(text) else { return text }
            throw FilterError(
                column: column,
                reason: "expected a value of \(Self.name(of: subject)), found '\(text.prefix(60))'" + nearest(to: text, values))
        }
    }

    /// Throws where the values of a subject have no order.
    private func requireOrder(
        _ subject: CellFilter.Subject, _ comparison: CellFilter.Comparison, column: Int
    ) throws(FilterError) {
        guard comparison != .equal, comparison != .contains, let values = vocabulary.values(of: subject),
            !values.contains(where: { filterRank($0) != nil })
        else { return }
        throw FilterError(
            column: column,
            reason: "expected '=', '!=', '~' or '!~', since \(Self.name(of: subject)) has no order, found '\(comparison.rawValue)'")
    }

    /// The folder behind `in`, if there is one.
    private mutating func folder() throws(FilterError) -> String? {
        guard take(word: "in") else { return nil }
        return try word("the folder of a run").text
    }

    private mutating func folder(of subject: CellFilter.Subject) throws(FilterError) -> String? {
        let column = next.column
        guard let folder = try folder() else { return nil }
        guard subject == .field(.rule) || subject == .field(.verdict) else {
            throw FilterError(
                column: column, reason: "expected 'in' behind rule, verdict, failed, passed or ran, found it behind another word")
        }
        return folder
    }

    private static func name(of subject: CellFilter.Subject) -> String {
        switch subject {
        case .axis(let name): "axis '\(name)'"
        case .field(let field): "'\(field.rawValue)'"
        case .ran, .failed, .passed: "a run"
        }
    }

    private func nearest(to text: String, _ names: [String]) -> String {
        let nearest = nearestNames(to: text, among: names, count: 3)
        return nearest.isEmpty ? "" : "; the nearest are \(nearest.map { "'\($0)'" }.joined(separator: ", "))"
    }
}
