/// The files that are generated from the declarations of events.

/// A generated file: its name in Sources/MigrationTrace/Generated, and its text.
struct GeneratedFile: Hashable {
    var name: String
    var text: String

    /// All files of these declarations.
    static func all(for declarations: [EventDeclaration]) throws(DeclarationError) -> [GeneratedFile] {
        var files = [
            GeneratedFile(name: "Event.swift", text: eventFile(declarations)),
            GeneratedFile(name: "EventVocabulary.swift", text: vocabularyFile(declarations)),
        ]
        for group in unique(declarations.map(\.group)) {
            files.append(
                GeneratedFile(name: "EventFormat\(group).swift", text: formatFile(group, declarations.filter { $0.group == group })))
        }
        for file in files {
            let lines = file.text.count(where: { $0 == "\n" })
            guard lines <= 500 else {
                throw DeclarationError(line: 1, reason: "expected at most 500 lines in \(file.name), found \(lines); divide its group")
            }
            for function in file.text.split(separator: "mutating func ").dropFirst() {
                let lines = function.split(separator: "\n", omittingEmptySubsequences: false).prefix { $0 != "    }" }.count + 1
                guard lines <= 80 else {
                    let name = function.prefix { $0 != "<" }
                    throw DeclarationError(
                        line: 1, reason: "expected at most 80 lines in \(file.name), \(name), found \(lines); divide its section")
                }
            }
        }
        return files
    }
}

private let head = """
    // swift-format-ignore-file
    // Generated from harness/events/trace-events by `swift run EventGenerator`: do not edit.


    """

/// The enumeration.
private func eventFile(_ declarations: [EventDeclaration]) -> String {
    var text = head
    text += """
        /// A migration event: one trace line of QEMU, of the engine, or of a mock device, with typed arguments.
        ///
        /// A case has the event's name in camel case: `migrate_set_state` is `migrateSetState`. Where the text differs between releases, each
        /// form is either a case of its own or an optional argument. Sizes are bytes. `device` is the VFIO device's name (host PCI address, mdev
        /// UUID, or `id=`), which differs between the sides; `idstr` is the section's name (`0000:00:01.0/vfio`), which is equal on both sides.
        package enum Event: Hashable, Sendable {

        """
    for section in sections(declarations) {
        text += "    // MARK: \(section.title)\n\n"
        for declaration in section.declarations {
            for line in declaration.documentation + dates(declaration) { text += "    /// \(line)\n" }
            text += wrapped("    case \(declaration.caseName)", parameters(declaration))
        }
        text += "\n"
    }
    text.removeLast()
    return text + "}\n"
}

/// The table of all forms, and which function formats which case.
private func vocabularyFile(_ declarations: [EventDeclaration]) -> String {
    var text = head
    text += """
        extension Event {
            /// Every form of an event, with empty arguments.
            package static let vocabulary: [EventForm] = [

        """
    for declaration in declarations {
        let dates = [("since", declaration.since), ("until", declaration.until)].map { name, date in
            date.map { ", \(name): \"\($0)\"" } ?? ""
        }
        text += "        EventForm(\(prototype(declaration))\(dates.joined())),\n"
    }
    text += """
            ]

            mutating func format<Codec: FieldCodec>(_ c: inout Codec) {
                switch section {

        """
    for section in sections(declarations) { text += "        case .\(section.name): \(section.function)(&c)\n" }
    text += """
                }
            }

            /// The sections of `trace-events`, each of which has a function.
            private enum Section {

        """
    for section in sections(declarations) { text += "        case \(section.name)\n" }
    text += """
            }

            private var section: Section {
                switch self {

        """
    for section in sections(declarations) {
        text += filled("        case ", section.declarations.map { ".\($0.caseName)" }) + ":\n            .\(section.name)\n"
    }
    return text + "        }\n    }\n}\n"
}

/// How the texts of a group are read and printed. A section is a function that is not inlined: one function with all texts costs a quarter of
/// the compiler's time for the module, and is no faster.
private func formatFile(_ group: String, _ declarations: [EventDeclaration]) -> String {
    var text = head + "extension Event {\n"
    for section in sections(declarations) {
        text +=
            "    /// \(section.title)\n    @inline(never)\n    mutating func \(section.function)<Codec: FieldCodec>(_ c: inout Codec) {\n        switch consume self {\n"
        for declaration in section.declarations { text += format(declaration) }
        text += "        default: preconditionFailure(\"expected an event of this section\")\n        }\n    }\n\n"
    }
    text.removeLast()
    return text + "}\n"
}

private struct EventSection {
    var title: String
    /// In camel case.
    var name: String
    var declarations: [EventDeclaration]

    var function: String { "format" + name.prefix(1).uppercased() + name.dropFirst() }
}

private func sections(_ declarations: [EventDeclaration]) -> [EventSection] {
    let title = { (declaration: EventDeclaration) in "\(declaration.group): \(declaration.section)" }
    return unique(declarations.map(title)).map { name in
        let words = name.split { !$0.isLetter }.map(String.init)
        let capitalised = words.dropFirst().map { $0.prefix(1).uppercased() + $0.dropFirst() }
        return EventSection(
            title: name, name: words[0].lowercased() + capitalised.joined(), declarations: declarations.filter { title($0) == name })
    }
}

private func unique(_ names: [String]) -> [String] {
    names.reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
}

private func dates(_ declaration: EventDeclaration) -> [String] {
    switch (declaration.since, declaration.until) {
    case (nil, nil): []
    case (let since?, nil): ["Since \(since)."]
    case (nil, let until?): ["Before \(until)."]
    case (let since?, let until?): ["Since \(since), before \(until)."]
    }
}

private func parameters(_ declaration: EventDeclaration) -> [String] {
    if let structure = declaration.structure { return [structure] }
    return declaration.arguments.map { labelled($0, $0.type) }
}

private func prototype(_ declaration: EventDeclaration) -> String {
    let values = declaration.structure == nil ? declaration.arguments.map { labelled($0, emptyValue($0.type)) } : [".init()"]
    return ".\(declaration.caseName)" + (values.isEmpty ? "" : "(\(values.joined(separator: ", ")))")
}

private func emptyValue(_ type: String) -> String {
    switch type {
    case "String": "\"\""
    case "Bool": "false"
    case _ where isNumber(type): "0"
    default: ".placeholder"
    }
}

private func isNumber(_ type: String) -> Bool {
    ["Int64", "UInt16", "UInt32", "UInt64"].contains(type.last == "?" ? String(type.dropLast()) : type)
}

private func labelled(_ argument: EventArgument, _ value: String) -> String { (argument.label.map { "\($0): " } ?? "") + value }

/// The case of one event: it takes the arguments out, has the codec read or print each, and puts them back.
private func format(_ declaration: EventDeclaration) -> String {
    let event = "c.event(\"\(declaration.name)\", .\(declaration.thread))\n"
    let start = "        case .\(declaration.caseName)"
    if declaration.arguments.isEmpty {
        return "\(start):\n            \(event)            self = .\(declaration.caseName)\n"
    }
    let variables = declaration.structure == nil ? declaration.arguments.map { "var \($0.name)" } : ["var arguments"]
    var text = "\(start)(\(variables.joined(separator: ", "))):\n            \(event)"
    // The literal text before each argument and behind the last one; a call takes what it matches.
    var literals = declaration.arguments.map(\.before) + [declaration.ending]
    for (index, argument) in declaration.arguments.enumerated() {
        let variable = "&" + (declaration.structure == nil ? "" : "arguments.") + argument.name
        let call = call(
            argument, variable, before: literals[index], next: literals[index + 1], isLast: index == declaration.arguments.count - 1)
        literals[index + 1].removeFirst(call.matched)
        text += "            c.\(call.text)\n"
    }
    if let ending = literals.last, !ending.isEmpty { text += "            c.literal(\(quoted(ending)))\n" }
    let values = declaration.structure == nil ? declaration.arguments.map { labelled($0, $0.name) } : ["arguments"]
    return text + wrapped("            self = .\(declaration.caseName)", values)
}

/// The call of the codec for an argument, and how many characters of the literal text behind the argument it matches.
private func call(
    _ argument: EventArgument, _ variable: String, before: String, next: String, isLast: Bool
) -> (text: String, matched: Int) {
    let start = "\(quoted(before)), \(variable)"
    let withNext = next.isEmpty ? start : "\(start), \(quoted(next))"
    switch argument.conversion {
    case .text where argument.name == "device" && before == " (" && next.hasPrefix(")"): return ("device(\(variable))", 1)
    // A text ends where the literal text behind it begins; a number ends by itself.
    case .text: return ("\(argument.type == "String" ? "text" : "word")(\(withNext))", next.count)
    case .boolean: return ("flag(\(start))", 0)
    case .decimal where argument.isOptional: return ("optional(\(start))", 0)
    case .decimal where !isNumber(argument.type): return ("code(\(start))", 0)
    case .hexadecimal where argument.type != "UInt64": return ("code(\(start), hexadecimal: true)", 0)
    case .decimal: return ("number(\(isLast ? withNext : start))", isLast ? next.count : 0)
    case .hexadecimal: return ("hex(\(isLast ? withNext : start))", isLast ? next.count : 0)
    }
}

private func quoted(_ text: String) -> String { "\"" + text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\"" }

private let longestLine = 140

/// A name with its arguments in parentheses; on a line of their own where they do not fit.
private func wrapped(_ name: String, _ arguments: [String]) -> String {
    guard !arguments.isEmpty else { return name + "\n" }
    let list = arguments.joined(separator: ", ")
    if name.count + list.count + 2 <= longestLine { return "\(name)(\(list))\n" }
    let indent = String(repeating: " ", count: name.prefix { $0 == " " }.count)
    return "\(name)(\n\(indent)    \(list)\n\(indent))\n"
}

/// A list that fills its lines.
private func filled(_ start: String, _ names: [String]) -> String {
    let indent = String(repeating: " ", count: start.prefix { $0 == " " }.count + 4)
    var lines = [start + names[0]]
    for name in names.dropFirst() {
        lines[lines.count - 1] += ","
        if lines[lines.count - 1].count + name.count + 2 <= longestLine {
            lines[lines.count - 1] += " " + name
        } else {
            lines.append(indent + name)
        }
    }
    return lines.joined(separator: "\n")
}
