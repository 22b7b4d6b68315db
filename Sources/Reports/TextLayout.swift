/// Text for terminals and mails: wrapped, aligned, and kept within a number of lines, with what is left out said.
import MigrationTrace
import Pictures

/// A part of a text that may be shortened.
struct TextPart {
    var title: String?
    var lines: [String]
    /// How many of its lines stay whatever else is there, the one that says what was left out among them.
    var least: Int
    /// Goes on where the part before it ends, without an empty line.
    var isJoined: Bool

    init(_ title: String? = nil, _ lines: [String], least: Int, isJoined: Bool = false) {
        self.title = title
        self.lines = lines
        self.least = max(least, 1)
        self.isJoined = isJoined
    }

    fileprivate var titleLines: Int { title == nil ? 0 : 1 }

    /// The lines that it takes as a whole.
    var length: Int { lines.isEmpty ? 0 : titleLines + lines.count }

    /// `whole` says where all of the lines are.
    fileprivate func shown(_ count: Int, whole: String) -> [String] {
        let body = lines.count <= count ? lines : lines.prefix(count - 1) + ["  ... \(lines.count - count + 1) lines: \(whole)"]
        return (title.map { [$0] } ?? []) + body
    }
}

/// The parts that have lines, one after the other, in at most `limit` lines: where they do not fit, the earlier ones of `order` are the
/// last to be shortened. Empty lines stand between the parts where there is room. The least of all parts together must fit. `whole` says
/// where the lines are that are left out.
func fit(_ parts: [TextPart], within limit: Int, order: [Int]? = nil, whole: String) -> [String] {
    let order = (order ?? Array(parts.indices)).filter { !parts[$0].lines.isEmpty }
    var shown = parts.map { min($0.lines.count, $0.least) }
    var room = limit - order.reduce(0) { $0 + parts[$1].titleLines + shown[$1] }
    for index in order {
        let more = min(parts[index].lines.count - shown[index], max(room, 0))
        shown[index] += more
        room -= more
    }
    let present = parts.indices.filter { !parts[$0].lines.isEmpty }
    let isAiry = room >= present.dropFirst().count { !parts[$0].isJoined }
    return present.flatMap { index in
        (isAiry && index != present.first && !parts[index].isJoined ? [""] : []) + parts[index].shown(shown[index], whole: whole)
    }
}

/// Words on lines of at most `width` columns, escaped; lines after the first begin with `indent`. A word longer than a line is cut into
/// pieces.
package func wrap(_ text: String, width: Int, indent: String = "") -> [String] {
    var lines: [String] = []
    var line = ""
    for word in text.split(whereSeparator: \.isWhitespace) {
        var word = escaped(String(word))[...]
        if !line.isEmpty, line.count + 1 + word.count <= width {
            line += " " + word
            continue
        }
        while true {
            if !line.isEmpty { lines.append(line) }
            let lead = lines.isEmpty ? "" : indent
            let room = max(width - lead.count, 1)
            line = lead + word.prefix(room)
            word = word.dropFirst(room)
            if word.isEmpty { break }
        }
    }
    return line.isEmpty ? lines : lines + [line]
}

/// The text in one line, escaped, and cut where it is longer than `width`.
func cut(_ text: String, to width: Int) -> String {
    let line = escaped(text)
    if line.count <= width { return line }
    return width > 0 ? line.prefix(width - 1) + "…" : ""
}

/// The text on lines of at most `width` columns, escaped, with the blanks that it has within a line; lines after the first begin with
/// `indent`. A line ends at a blank where it has one.
func wrapExactly(_ text: String, width: Int, indent: String = "") -> [String] {
    var lines: [String] = []
    var rest = escaped(text)[...]
    repeat {
        let lead = lines.isEmpty ? "" : indent
        var part = rest.prefix(max(width - lead.count, 1))
        if part.endIndex < rest.endIndex, rest[part.endIndex] != " ", let blank = part.lastIndex(of: " "),
            part[..<blank].contains(where: { $0 != " " })
        {
            part = part[...blank]
        }
        rest = rest[part.endIndex...].drop { $0 == " " }
        lines.append(lead + trimmed(String(part)))
    } while !rest.isEmpty
    return lines
}

/// Up to the end of the first sentence.
func firstSentence(_ text: String) -> String {
    text.firstRange(of: ". ").map { String(text[..<$0.lowerBound]) } ?? text
}

/// Rows with aligned columns, two spaces apart: the first to the left, numbers to the right.
func table(_ rows: [[String]]) -> [String] {
    let columns = rows.map(\.count).max() ?? 0
    let widths = (0..<columns).map { column in rows.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0 }
    return rows.map { row in
        let cells = zip(row, widths).enumerated().map { $0 == 0 ? padded($1.0, $1.1) : rightPadded($1.0, $1.1) }
        return trimmed(cells.joined(separator: "  "))
    }
}

package func padded(_ text: String, _ width: Int) -> String { text + String(repeating: " ", count: max(width - text.count, 0)) }

private func rightPadded(_ text: String, _ width: Int) -> String { String(repeating: " ", count: max(width - text.count, 0)) + text }
