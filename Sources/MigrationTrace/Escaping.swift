/// Makes untrusted text safe to show: names and versions of a trace, lines of a log, QEMU's error texts, words of a command line. Every
/// text that a terminal, a report, a JUnit file or a script gets from outside comes through here.
///
/// Control characters (C0, DEL, C1) move a cursor or end a line, and format characters (bidi controls, zero-width characters) make a text
/// look like another one. Each is written in ASCII: `\xHH` below 0x100, `\u{HHHH}` above. The result holds none of them, so that escaping
/// it again changes nothing.

/// The text in one line.
package func escaped(_ text: String) -> String { escaped(text, keeping: []) }

/// A text of several lines; its line ends and tabs stay.
package func escapedLines(_ text: String) -> String { escaped(text, keeping: ["\n", "\t"]) }

/// The bytes as text in one line; a byte that belongs to no UTF-8 character is written `\xHH`, too.
package func escaped(bytes: some Collection<UInt8>) -> String {
    var text = ""
    var rest = bytes[...]
    while let first = rest.first {
        // A character takes one to four bytes, and the shortest valid beginning is the only one.
        let length = (1...4).first { $0 <= rest.count && String(validating: rest.prefix($0), as: UTF8.self) != nil }
        text += length.map { String(decoding: rest.prefix($0), as: UTF8.self) } ?? hexadecimal("\\x", UInt32(first), width: 2)
        rest = rest.dropFirst(length ?? 1)
    }
    return escaped(text)
}

/// The text for a string of a JSON document, which JSON's own encoder has already written: what it leaves raw is written `\uHHHH`.
package func escapedJSON(_ json: String) -> String {
    guard json.unicodeScalars.contains(where: { $0 != "\n" && isUnsafe($0) }) else { return json }
    var result = ""
    for scalar in json.unicodeScalars {
        if scalar == "\n" || !isUnsafe(scalar) {
            result.unicodeScalars.append(scalar)
        } else {
            for unit in String(scalar).utf16 { result += hexadecimal("\\u", UInt32(unit), width: 4) }
        }
    }
    return result
}

/// The text in one line, as the content of an element or the value of an attribute in HTML, SVG and XML.
package func escapedMarkup(_ text: String) -> String {
    var result = ""
    for scalar in escaped(text).unicodeScalars {
        switch scalar {
        case "&": result += "&amp;"
        case "<": result += "&lt;"
        case ">": result += "&gt;"
        case "\"": result += "&quot;"
        case "'": result += "&#39;"
        default: result.unicodeScalars.append(scalar)
        }
    }
    return result
}

/// True if the character may not reach a reader's screen as it is.
package func isUnsafe(_ scalar: Unicode.Scalar) -> Bool {
    if 0x20..<0x7F ~= scalar.value { return false }
    switch scalar.properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate: return true
    default: return scalar.properties.isNoncharacterCodePoint
    }
}

private func escaped(_ text: String, keeping kept: [Unicode.Scalar]) -> String {
    guard text.unicodeScalars.contains(where: { isUnsafe($0) && !kept.contains($0) }) else { return text }
    var result = ""
    for scalar in text.unicodeScalars {
        if !isUnsafe(scalar) || kept.contains(scalar) {
            result.unicodeScalars.append(scalar)
        } else if scalar.value < 0x100 {
            result += hexadecimal("\\x", scalar.value, width: 2)
        } else {
            result += hexadecimal("\\u{", scalar.value, width: 4) + "}"
        }
    }
    return result
}

private func hexadecimal(_ prefix: String, _ value: UInt32, width: Int) -> String {
    let digits = String(value, radix: 16, uppercase: true)
    return prefix + String(repeating: "0", count: max(width - digits.utf8.count, 0)) + digits
}
