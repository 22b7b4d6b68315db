/// YAML as the matrix's files use it: mappings with known keys, lists and plain text, each with its place.
///
/// The reader takes a subset of YAML on purpose: one document of at most 1 MiB, without anchors, in which every scalar is text (`no` is no
/// Boolean). Anything unexpected is an error with its line and column, never a guess and never a crash.
import Foundation
import MigrationTrace
import Plan
import Yams

/// Why a YAML file of the matrix was refused.
package struct MatrixFileError: Error, Hashable, Sendable, CustomStringConvertible {
    package let file: String
    /// The line, from 1; 0 if the error is about the whole file.
    package let line: Int
    /// The column in characters, from 1; 0 if the error is about the whole file.
    package let column: Int
    /// What was expected, what was found, and what to do if that is not obvious.
    package let reason: String

    package var description: String { line == 0 ? "\(file): \(reason)" : "\(file):\(line):\(column): \(reason)" }
}

/// The most bytes that a file may have.
private let longestFile = 1 << 20
/// The most bytes that a word and a sentence may have.
private let longestWord = 40
private let longestSentence = 2000

/// Reads the text of a file. Throws if the file cannot be read, is larger than 1 MiB, or is not UTF-8.
package func yamlText(path: String) throws(MatrixFileError) -> String {
    func refusal(_ reason: String) -> MatrixFileError { MatrixFileError(file: path, line: 0, column: 0, reason: reason) }
    let data: Data
    do {
        let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
        data = try file.read(upToCount: longestFile + 1) ?? Data()
    } catch {
        throw refusal("cannot be read: \(systemReason(error))")
    }
    guard let text = String(data: data, encoding: .utf8) else {
        throw refusal(data.count > longestFile ? "expected at most \(longestFile) bytes, found more" : "expected UTF-8, found other bytes")
    }
    return text
}

/// A value of the document.
package struct YAMLValue {
    let file: String
    let node: Node

    /// True for a single word, number or text.
    package var isScalar: Bool { if case .scalar = node { true } else { false } }

    package func error(_ reason: String) -> MatrixFileError {
        MatrixFileError(file: file, line: node.mark?.line ?? 0, column: node.mark?.column ?? 0, reason: reason)
    }

    /// The line on which the value begins.
    var line: Int { node.mark?.line ?? 0 }

    /// The value as an error describes it.
    private var found: String {
        switch node {
        case .scalar(let scalar) where scalar.string.isEmpty: "nothing"
        case .scalar(let scalar): "'\(escaped(String(scalar.string.prefix(60))))'"
        case .sequence(let list): "a list of \(list.count)"
        case .mapping: "a mapping"
        case .alias: "an alias"
        }
    }
}

extension YAMLValue {
    /// Reads the only document of `text`.
    package init(document text: String, file: String) throws(MatrixFileError) {
        func refusal(_ reason: String, line: Int = 0, column: Int = 0) -> MatrixFileError {
            MatrixFileError(file: file, line: line, column: column, reason: reason)
        }
        guard text.utf8.count <= longestFile else { throw refusal("expected at most \(longestFile) bytes, found \(text.utf8.count)") }
        // An anchor lets a small file describe a huge one. Yams resolves aliases while it reads, so anchors are refused before.
        if let (line, column) = firstAnchor(text) {
            throw refusal(
                "expected no anchor, found '&' right before a word: write the value out, or 'and' in a text", line: line, column: column)
        }
        do {
            guard let root = try Parser(yaml: text, resolver: .basic, encoding: .utf8).singleRoot() else {
                throw refusal("expected a document, found an empty file")
            }
            self.init(file: file, node: root)
        } catch let error as MatrixFileError {
            throw error
        } catch YamlError.scanner(let context, let problem, let mark, _), YamlError.parser(let context, let problem, let mark, _),
            YamlError.composer(let context, let problem, let mark, _)
        {
            throw refusal("not YAML: \(context.map { "\($0.text), " } ?? "")\(problem)", line: mark.line, column: mark.column)
        } catch YamlError.duplicatedKeysInMapping(let keys, let context) {
            throw refusal(
                "expected each key once, found '\(escaped(keys.first ?? ""))' twice", line: context.mark.line, column: context.mark.column)
        } catch YamlError.reader(let problem, let offset, _, _) {
            let lines = text.prefix(offset ?? 0).split(separator: "\n", omittingEmptySubsequences: false)
            throw refusal("not YAML: \(problem)", line: max(lines.count, 1), column: (lines.last?.count ?? 0) + 1)
        } catch {
            throw refusal("not YAML: \(error)")
        }
    }

    /// The fields of a mapping, which must have all of `required` and no key that is not named here.
    package func fields(of what: String, _ required: [String], optional: [String] = []) throws(MatrixFileError) -> [String: YAMLValue] {
        let known = required + optional
        var fields: [String: YAMLValue] = [:]
        for (key, value) in try pairs(of: what) {
            let name = try key.scalar("a key of \(what)")
            guard known.contains(name) else {
                throw key.error("expected a key of \(what) (\(known.joined(separator: ", "))), found '\(escaped(String(name.prefix(60))))'")
            }
            fields[name] = value
        }
        if let missing = required.first(where: { fields[$0] == nil }) {
            throw error("expected '\(missing)' in \(what), which needs \(required.joined(separator: ", "))")
        }
        return fields
    }

    /// The keys and values of a mapping, in file order.
    package func pairs(of what: String) throws(MatrixFileError) -> [(key: YAMLValue, value: YAMLValue)] {
        guard case .mapping(let mapping) = node else { throw error("expected a mapping for \(what), found \(found)") }
        return mapping.map { (YAMLValue(file: file, node: $0.key), YAMLValue(file: file, node: $0.value)) }
    }

    package func list(of what: String, _ counts: ClosedRange<Int>) throws(MatrixFileError) -> [YAMLValue] {
        guard case .sequence(let list) = node else { throw error("expected a list of \(what), found \(found)") }
        guard counts.contains(list.count) else {
            throw error("expected \(counts.lowerBound) to \(counts.upperBound) \(what), found \(list.count)")
        }
        return list.map { YAMLValue(file: file, node: $0) }
    }

    /// The elements of a list, or a scalar as a list of one.
    package func listOrOne(of what: String, _ counts: ClosedRange<Int>) throws(MatrixFileError) -> [YAMLValue] {
        if case .scalar = node { [self] } else { try list(of: what, counts) }
    }

    /// A name: letters, digits, `.`, `_` and `-`.
    package func word(_ what: String) throws(MatrixFileError) -> String {
        let text = try scalar(what)
        guard isWord(text), text.utf8.count <= longestWord else {
            throw error("expected \(what), up to \(longestWord) letters, digits, '.', '_' or '-', found \(found)")
        }
        return text
    }

    /// A text for readers, without the line break that YAML leaves at its end.
    package func sentence(_ what: String) throws(MatrixFileError) -> String {
        let text = try scalar(what).trimmingCharacters(in: .whitespacesAndNewlines)
        guard !text.isEmpty else { throw error("expected \(what), found nothing") }
        guard text.utf8.count <= longestSentence else {
            throw error("expected \(what) of at most \(longestSentence) bytes, found \(text.utf8.count)")
        }
        guard text.unicodeScalars.allSatisfy({ $0.properties.generalCategory != .control || $0 == "\n" }) else {
            throw error("expected \(what) without control characters")
        }
        return text
    }

    /// One of a closed set of words.
    package func choice<Choice: RawRepresentable<String> & CaseIterable>(_ what: String, _: Choice.Type) throws(MatrixFileError) -> Choice {
        let text = try scalar(what)
        guard let choice = Choice(rawValue: text) else {
            throw error("expected \(what) (\(Choice.allCases.map(\.rawValue).joined(separator: ", "))), found \(found)")
        }
        return choice
    }

    package func scalar(_ what: String) throws(MatrixFileError) -> String {
        guard case .scalar(let scalar) = node else { throw error("expected \(what), found \(found)") }
        return scalar.string
    }

    /// Checks the version after a file's first key.
    package func expectVersion(_ version: String, of what: String) throws(MatrixFileError) {
        guard try scalar("the version of \(what)") == version else { throw error("expected version \(version) of \(what), found \(found)") }
    }
}

func isWord(_ text: String) -> Bool {
    !text.isEmpty
        && text.utf8.allSatisfy {
            switch $0 {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
            case UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"): true
            default: false
            }
        }
}

/// The first `&` that is followed by what could be an anchor's name, wherever it is: stricter than YAML, so that no anchor is missed.
private func firstAnchor(_ text: String) -> (line: Int, column: Int)? {
    var line = 1
    var column = 1
    var afterAmpersand = false
    for scalar in text.unicodeScalars {
        if afterAmpersand, scalar != " ", scalar != "\n", scalar != "\r", scalar != "\t" { return (line, column - 1) }
        afterAmpersand = scalar == "&"
        if scalar == "\n" {
            line += 1
            column = 1
        } else {
            column += 1
        }
    }
    return nil
}
