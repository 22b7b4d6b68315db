/// A picture as text of at most 100 columns, for a terminal or a mail.
import MigrationTrace

package struct TerminalPicture: Sendable {
    package static let width = 100

    private let picture: Picture
    private let isASCII: Bool
    /// Columns of a lane, its blank included.
    private let laneWidth: Int
    private let placeWidth: Int
    /// Columns between the two sides.
    private static let gap = 2
    /// The fewest columns of a sentence.
    private static let leastText = 38

    /// `isASCII`: no character beyond ASCII is used for the drawing.
    package init(_ picture: Picture, isASCII: Bool = false) {
        self.picture = picture
        self.isASCII = isASCII
        placeWidth = picture.rows.map { Self.place($0).count }.max() ?? 4
        let room = Self.width - placeWidth - 2 - Self.gap - Self.leastText
        laneWidth = max(3, min(9, room / max(picture.lanes.count, 1)))
    }

    package var text: String {
        var lines = head
        lines.append("")
        lines += laneTitles
        for row in picture.rows { lines += draw(row) }
        lines += tail
        return lines.map { line in
            let line = escaped(line)
            return String(line.reversed().drop { $0 == " " }.reversed())
        }.joined(separator: "\n") + "\n"
    }

    private var head: [String] {
        var lines = folded(picture.title, indent: "    ")
        for side in picture.sides { lines += folded(side, indent: "    ") }
        if !picture.ending.isEmpty {
            lines += folded("ending: \(picture.ending)" + (picture.reason.isEmpty ? "" : " (\(picture.reason))"), indent: "    ")
        }
        for finding in picture.findings { lines += folded("! " + finding, indent: "    ") }
        return lines
    }

    private var laneTitles: [String] {
        let sides = PictureSide.allCases.map { side in picture.lanes.count { $0.side == side } * laneWidth }
        let blank = String(repeating: " ", count: placeWidth + 1)
        let line = isASCII ? "-" : "─"
        func title(_ text: String, _ width: Int) -> String {
            let text = text.count > width - 2 ? String(text.prefix(4)) : text
            return text + " " + String(repeating: line, count: max(width - text.count - 2, 0)) + " "
        }
        let labels = cells { lane in String(picture.lanes[lane].label.prefix(laneWidth - 1)) }
        return [
            blank + title("source", sides[0]) + String(repeating: " ", count: Self.gap) + title("destination", sides[1]), blank + labels,
        ]
    }

    private func draw(_ row: Picture.Row) -> [String] {
        let words = Dictionary(uniqueKeysWithValues: picture.words(of: row).map { ($0.lane, $0.texts) })
        let strip = cells { lane in
            guard let texts = words[lane] else { return line(row.busy, lane) }
            return texts.first { $0.count < laneWidth } ?? String(texts.last?.prefix(laneWidth - 1) ?? "")
        }
        let idle = cells { line(row.busy, $0) }
        let marked = row.rules.isEmpty ? row.sentence : row.sentence + "  ! " + row.rules.joined(separator: ", ")
        let room = Self.width - placeWidth - 2 - strip.count
        return wrapped(ascii(marked), to: room).enumerated().map { index, text in
            let place = index == 0 ? Self.place(row) : ""
            return place + String(repeating: " ", count: placeWidth - place.count + 1) + (index == 0 ? strip : idle) + " " + text
        }
    }

    /// A text for each lane, side by side.
    private func cells(_ text: (Int) -> String) -> String {
        var result = ""
        for (index, lane) in picture.lanes.enumerated() {
            if index > 0, picture.lanes[index - 1].side != lane.side { result += String(repeating: " ", count: Self.gap) }
            let text = ascii(text(index))
            result += text + String(repeating: " ", count: max(laneWidth - text.count, 0))
        }
        return result
    }

    private func line(_ busy: [Bool], _ lane: Int) -> String {
        let isBusy = lane < busy.count && busy[lane]
        return isASCII ? (isBusy ? "#" : "|") : isBusy ? "┃" : "┊"
    }

    private func ascii(_ text: String) -> String { isASCII ? text.replacing("…", with: "...") : text }

    private var tail: [String] {
        let (busy, idle) = isASCII ? ("#", "|") : ("┃", "┊")
        var lines = [""]
        if !picture.legend.isEmpty { lines += folded("devices: " + picture.legend.joined(separator: "; "), indent: "    ") }
        lines += folded("\(busy) \(Picture.laneNote); \(idle) none. \(Picture.orderNote)", indent: "    ")
        if picture.further > 0 { lines.append("\(picture.further) further steps are not shown") }
        return lines
    }

    private func folded(_ text: String, indent: String) -> [String] {
        wrapped(ascii(text), to: Self.width - indent.count).enumerated().map { ($0 == 0 ? "" : indent) + $1 }
    }

    private static func place(_ row: Picture.Row) -> String {
        let stream = row.steps[0].stream
        let short =
            switch stream {
            case .source: "src"
            case .destination: "dst"
            case .sourceDevices: "src.dev"
            case .destinationDevices: "dst.dev"
            }
        return "\(short):\(row.steps[0].lines.lowerBound)"
    }
}

/// The line without blanks at its end.
package func trimmed(_ line: String) -> String { String(line.reversed().drop { $0 == " " }.reversed()) }

/// The text on lines of at most `width` characters, escaped; a word that is longer is cut into pieces.
func wrapped(_ text: String, to width: Int) -> [String] {
    var lines: [String] = []
    var line = ""
    for word in escaped(text).split(separator: " ") {
        var word = word[...]
        if !line.isEmpty, line.count + 1 + word.count > width {
            lines.append(line)
            line = ""
        }
        while line.isEmpty, word.count > width {
            lines.append(String(word.prefix(width)))
            word = word.dropFirst(width)
        }
        line += (line.isEmpty ? "" : " ") + word
    }
    return line.isEmpty && !lines.isEmpty ? lines : lines + [line]
}
