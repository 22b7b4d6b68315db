/// A declaration of a trace event, as `trace-events` has it.

/// A text of `trace-events` that is no declaration; the message says what was expected and where.
struct DeclarationError: Error, CustomStringConvertible {
    var line: Int
    var reason: String

    var description: String { "trace-events:\(line): \(reason)" }
}

/// How an argument stands in the text.
enum Conversion: Hashable {
    /// `%s`
    case text
    /// `%d` of a bool
    case boolean
    case decimal
    case hexadecimal
}

struct EventArgument: Hashable {
    /// In camel case: the name of a variable, or of a property of the structure that holds the arguments.
    var name: String
    /// nil: the argument of the case has no label.
    var label: String?
    var type: String
    var conversion: Conversion
    /// The literal text before the argument.
    var before: String

    /// Only some releases print it.
    var isOptional: Bool { type.hasSuffix("?") && conversion == .decimal }
}

struct EventDeclaration: Hashable {
    var group: String
    var section: String
    var documentation: [String]
    var name: String
    /// The case of `ThreadRole`.
    var thread = "any"
    var since: String?
    var until: String?
    var caseName: String
    /// The structure whose properties are the arguments; nil: the case has each argument.
    var structure: String?
    var arguments: [EventArgument]
    /// The literal text behind the last argument, or all of it.
    var ending: String
}

extension EventDeclaration {
    /// The declarations of a file, in its order.
    static func all(in text: String) throws(DeclarationError) -> [EventDeclaration] {
        var declarations: [EventDeclaration] = []
        var place: (group: String, section: String)?
        var documentation: [String] = []
        var annotation: [String: String] = [:]
        // What the head of the file says is about the file.
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let number = index + 1
            if line.hasPrefix("## ") {
                let parts = line.dropFirst(3).split(separator: ":", maxSplits: 1)
                guard parts.count == 2 else {
                    throw DeclarationError(line: number, reason: "expected `## GROUP: SECTION`, found `\(line)`")
                }
                place = (String(parts[0]), parts[1].trimmed)
            } else if line.isEmpty {
                guard annotation.isEmpty else {
                    throw DeclarationError(line: number, reason: "expected a declaration after `#:`, found an empty line")
                }
                documentation = []
            } else if line.hasPrefix("#:") {
                annotation = try Self.annotation(line.dropFirst(2), at: number)
            } else if line.hasPrefix("#") {
                documentation.append(line.dropFirst(line.hasPrefix("# ") ? 2 : 1).description)
            } else {
                guard let place else {
                    throw DeclarationError(line: number, reason: "expected `## GROUP: SECTION` before the first declaration")
                }
                var declaration = try EventDeclaration(line, at: number)
                (declaration.group, declaration.section, declaration.documentation) = (place.group, place.section, documentation)
                try declaration.apply(annotation, at: number)
                declarations.append(declaration)
                (documentation, annotation) = ([], [:])
            }
        }
        guard !declarations.isEmpty else { throw DeclarationError(line: 1, reason: "expected declarations of events, found none") }
        var cases: Set<String> = []
        for declaration in declarations where !cases.insert(declaration.caseName).inserted {
            throw DeclarationError(
                line: 1, reason: "expected each case once, found \(declaration.caseName) twice; name one with `#: swift CASE`")
        }
        return declarations
    }

    private static func annotation(_ text: Substring, at line: Int) throws(DeclarationError) -> [String: String] {
        var values: [String: String] = [:]
        for part in text.split(separator: ";") {
            let words = part.trimmed.split(separator: " ", maxSplits: 1)
            guard words.count == 2, ["thread", "since", "until", "swift"].contains(words[0]) else {
                throw DeclarationError(
                    line: line, reason: "expected `thread`, `since`, `until` or `swift` with a value, found `\(part.trimmed)`")
            }
            values[String(words[0])] = words[1].trimmed
        }
        return values
    }

    /// `name(const char *text, int64_t number) "text %s, number %" PRId64`
    private init(_ line: Substring, at number: Int) throws(DeclarationError) {
        guard let open = line.firstIndex(of: "("), let close = line.firstIndex(of: ")"), open < close else {
            throw DeclarationError(line: number, reason: "expected `NAME(ARGUMENTS) \"FORMAT\"`, found `\(line)`")
        }
        let name = String(line[..<open])
        let parameters = line[line.index(after: open)..<close]
        let (literals, conversions) = try Self.format(line[line.index(after: close)...], at: number)
        var arguments: [EventArgument] = []
        for parameter in parameters == "void" ? [] : parameters.split(separator: ",") {
            let words = parameter.replacing("*", with: "* ").split(separator: " ")
            let type = words.dropLast().joined(separator: " ")
            guard let known = cTypes[type], let word = words.last else {
                let types = cTypes.keys.sorted().joined(separator: ", ")
                throw DeclarationError(line: number, reason: "expected a type out of \(types), found `\(parameter.trimmed)`")
            }
            guard arguments.count < conversions.count, let conversion = known.conversions[conversions[arguments.count]] else {
                let found = arguments.count < conversions.count ? "%\(conversions[arguments.count])" : "none"
                throw DeclarationError(line: number, reason: "expected a conversion for `\(parameter.trimmed)`, found \(found)")
            }
            let label = camelCase(String(word))
            arguments.append(
                EventArgument(name: label, label: label, type: known.swift, conversion: conversion, before: literals[arguments.count]))
        }
        guard arguments.count == conversions.count else {
            throw DeclarationError(line: number, reason: "expected \(arguments.count) conversions, found \(conversions.count)")
        }
        self.init(
            group: "", section: "", documentation: [], name: name, caseName: camelCase(name), arguments: arguments,
            ending: literals[conversions.count])
    }

    /// The literal texts and the conversions between them, of string literals and the macros of <inttypes.h>.
    private static func format(_ text: Substring, at line: Int) throws(DeclarationError) -> (literals: [String], conversions: [String]) {
        var format = ""
        for (index, part) in text.split(separator: "\"", omittingEmptySubsequences: false).enumerated() {
            if index % 2 == 1 {
                format += part
            } else if !part.trimmed.isEmpty {
                guard format.hasSuffix("%"), part.trimmed.hasPrefix("PRI") else {
                    throw DeclarationError(
                        line: line, reason: "expected a string or a macro such as PRIu64 after `%`, found `\(part.trimmed)`")
                }
                format += "\(part.trimmed) "
            }
        }
        var literals = [""]
        var conversions: [String] = []
        var rest = format[...]
        while let percent = rest.firstIndex(of: "%") {
            literals[conversions.count] += rest[..<percent]
            rest = rest[rest.index(after: percent)...]
            let conversion = rest.hasPrefix("PRI") ? rest.prefix { $0 != " " } : rest.prefix(1)
            rest = rest.dropFirst(conversion.count + (conversion.hasPrefix("PRI") ? 1 : 0))
            conversions.append(String(conversion))
            literals.append("")
        }
        literals[conversions.count] += rest
        return (literals, conversions)
    }

    private mutating func apply(_ annotation: [String: String], at line: Int) throws(DeclarationError) {
        since = annotation["since"]
        until = annotation["until"]
        thread = annotation["thread"].map { camelCase($0.replacing("-", with: "_")) } ?? "any"
        guard let swift = annotation["swift"] else { return }
        let open = swift.firstIndex(of: "(") ?? swift.endIndex
        if open > swift.startIndex { caseName = String(swift[..<open]) }
        guard open < swift.endIndex else { return }
        let types = swift[open...].dropFirst().dropLast().split(separator: ",").map(\.trimmed)
        if types.count == 1, !types[0].contains(":") {
            structure = types[0]
            return
        }
        guard types.count == arguments.count else {
            throw DeclarationError(line: line, reason: "expected \(arguments.count) arguments in `swift`, found \(types.count)")
        }
        for (index, type) in types.enumerated() {
            let words = type.split(separator: ":").map(\.trimmed)
            guard words.count == 2 else { throw DeclarationError(line: line, reason: "expected `LABEL: TYPE`, found `\(type)`") }
            arguments[index].label = words[0] == "_" ? nil : words[0]
            arguments[index].type = words[1]
            if arguments[index].isOptional, index < types.count - 1 || !ending.isEmpty {
                throw DeclarationError(line: line, reason: "expected an optional number at the end of the text, found `\(type)` before it")
            }
        }
    }
}

/// The types of arguments: their Swift type, and what their conversions mean.
private let cTypes: [String: (swift: String, conversions: [String: Conversion])] = [
    "const char *": ("String", ["s": .text]),
    "bool": ("Bool", ["d": .boolean]),
    "int": ("Int64", ["d": .decimal]),
    "int64_t": ("Int64", ["PRId64": .decimal]),
    "uint16_t": ("UInt16", ["u": .decimal, "x": .hexadecimal]),
    "uint32_t": ("UInt32", ["u": .decimal, "x": .hexadecimal]),
    "uint64_t": ("UInt64", ["PRIu64": .decimal, "PRIx64": .hexadecimal]),
]

/// `vm_state_notify` is `vmStateNotify`, and `migration_completion_vm_stop` is `migrationCompletionVMStop`.
func camelCase(_ name: String) -> String {
    let words = name.split(separator: "_").map(String.init)
    return words.dropFirst().reduce(words.first ?? "") { name, word in
        name + (["vm", "ram", "rp"].contains(word) ? word.uppercased() : word.prefix(1).uppercased() + word.dropFirst())
    }
}

extension StringProtocol {
    var trimmed: String {
        let start = drop { $0 == " " }
        return String(String(start.reversed()).drop { $0 == " " }.reversed())
    }
}
