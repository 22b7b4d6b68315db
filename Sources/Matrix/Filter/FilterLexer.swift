/// The words and signs of a filter over cells.

/// Why a text is no filter, and where.
package struct FilterError: Error, Hashable, Sendable, CustomStringConvertible {
    /// From 1, in characters.
    package let column: Int
    package let reason: String

    package var description: String { "column \(column): \(reason)" }
}

struct FilterToken: Hashable {
    enum Kind: Hashable {
        /// A word as it stands, or what stands between quotation marks.
        case word(String, isQuoted: Bool)
        /// `=`, `!=`, `<`, `<=`, `>`, `>=`, `~`, `!~`, `&`, `|`, `!`, `(`, `)`, `,`.
        case sign(String)
        case end
    }

    let kind: Kind
    let column: Int

    /// The token in a message.
    var shown: String {
        switch kind {
        case .word(let text, _): "'\(text.prefix(60))'"
        case .sign(let text): "'\(text)'"
        case .end: "the end"
        }
    }
}

/// Splits a filter into tokens. Characters of a word are those of axis values, cell names and paths; any others need quotation marks.
struct FilterLexer {
    /// Bytes of the longest filter.
    static let longest = 4096

    static func tokens(_ text: String) throws(FilterError) -> [FilterToken] {
        guard text.utf8.count <= longest else {
            throw FilterError(column: 1, reason: "expected at most \(longest) bytes, found \(text.utf8.count)")
        }
        let characters = Array(text)
        var tokens: [FilterToken] = []
        var at = 0
        while at < characters.count {
            let character = characters[at]
            let column = at + 1
            if character.isWhitespace {
                at += 1
            } else if character == "\"" || character == "'" {
                guard let end = characters[(at + 1)...].firstIndex(of: character) else {
                    throw FilterError(column: column, reason: "expected a closing \(character), found the end")
                }
                tokens.append(FilterToken(kind: .word(String(characters[(at + 1)..<end]), isQuoted: true), column: column))
                at = end + 1
            } else if isOfWord(character) {
                let end = characters[at...].firstIndex { !isOfWord($0) } ?? characters.count
                tokens.append(FilterToken(kind: .word(String(characters[at..<end]), isQuoted: false), column: column))
                at = end
            } else {
                let sign = try sign(characters, at, column)
                at += sign.length
                tokens.append(FilterToken(kind: .sign(sign.text), column: column))
            }
        }
        return tokens + [FilterToken(kind: .end, column: characters.count + 1)]
    }

    private static func isOfWord(_ character: Character) -> Bool {
        character.isASCII && (character.isLetter || character.isNumber) || "-._@+/:*".contains(character)
    }

    /// A sign that is written twice, as in C, is the same sign.
    private static func sign(_ characters: [Character], _ at: Int, _ column: Int) throws(FilterError) -> (text: String, length: Int) {
        let pair = String(characters[at..<min(at + 2, characters.count)])
        switch pair {
        case "&&", "||", "==": return (String(pair.prefix(1)), 2)
        case "!=", "<=", ">=", "!~": return (pair, 2)
        default: break
        }
        let one = String(characters[at])
        guard "=<>~&|!(),".contains(one) else {
            throw FilterError(
                column: column, reason: "expected a word, a sign or a quoted text, found \(one.debugDescription); quote a text that has it")
        }
        return (one, 1)
    }
}
