/// A picture as SVG: lanes from top to bottom, arrows for contents, a sentence beside each row. It stands alone, in light and dark.
import MigrationTrace

package struct SVGPicture: Sendable {
    private let picture: Picture
    private let laneWidth: Double
    private let textStart: Double
    private var tops: [Double] = []
    private var rowLines: [[String]] = []
    private let headLines: [(text: String, style: String)]
    private let tailLines: [String]
    private let height: Double

    private let placeWidth: Double
    private static let gap = 26.0
    private static let textColumns = 58
    private static let lineHeight = 15.0
    /// Of a character of the text in 12 pixels.
    private static let characterWidth = 7.25

    package init(_ picture: Picture) {
        self.picture = picture
        placeWidth = 20 + Double(picture.rows.map(\.place.count).max() ?? 0) * Self.characterWidth
        laneWidth = picture.lanes.count <= 6 ? 78 : picture.lanes.count <= 10 ? 60 : 44
        textStart = placeWidth + Double(picture.lanes.count) * laneWidth + Self.gap + 14
        let columns = Int((textStart + Double(Self.textColumns) * Self.characterWidth) / Self.characterWidth) - 2
        var head = wrapped(picture.title, to: columns * 12 / 15).map { ($0, "hs-title") }
        for side in picture.sides { head += wrapped(side, to: columns).map { ($0, "hs-dim") } }
        if !picture.ending.isEmpty {
            let reason = picture.reason.isEmpty ? "" : ": \(picture.reason)"
            head += wrapped(picture.ending + reason, to: columns).map { ($0, "hs-text") }
        }
        for finding in picture.findings { head += wrapped("broken: " + finding, to: columns).map { ($0, "hs-broken") } }
        headLines = head
        // The titles of the sides and the lanes stand above the first row.
        var top = 20 + Double(head.count) * 18 + 58
        for row in picture.rows {
            let sentence = row.rules.isEmpty ? row.sentence : row.sentence + " — broken: " + row.rules.joined(separator: ", ")
            let lines = wrapped(sentence, to: Self.textColumns)
            tops.append(top)
            rowLines.append(lines)
            top += max(26, Double(lines.count) * Self.lineHeight + 11)
        }
        let note = "A thick lane has \(Picture.laneNote). \(Picture.orderNote)"
        tailLines = picture.legend.flatMap { wrapped($0, to: columns) } + wrapped(note, to: columns)
        height = top + 24 + Double(tailLines.count) * 16
    }

    private var width: Double { textStart + Double(Self.textColumns) * Self.characterWidth + 12 }

    /// The document. `isAlone`: with the style that a page has already.
    package func svg(isAlone: Bool = true) -> String {
        let size = "width=\"\(number(width))\" height=\"\(number(height))\" viewBox=\"0 0 \(number(width)) \(number(height))\""
        var parts = ["<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"hs\" role=\"img\" \(size)>"]
        parts.append("<title>\(escapedMarkup("Handshake of \(picture.title)"))</title>")
        if isAlone { parts.append("<style>\(pictureStyle)\n\(Self.style)</style>") }
        parts.append("<rect class=\"hs-bg\" width=\"\(number(width))\" height=\"\(number(height))\"/>")
        parts.append(
            "<defs><marker id=\"hs-head\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\">"
                + "<path class=\"hs-head\" d=\"M0 0 8 4 0 8z\"/></marker></defs>")
        parts += head + laneLines + arrows
        for index in picture.rows.indices { parts += draw(index) }
        for (index, line) in tailLines.enumerated() {
            parts.append(text(line, x: 12, y: height - Double(tailLines.count - index) * 16, style: "hs-dim"))
        }
        return parts.joined(separator: "\n") + "\n</svg>\n"
    }

    package static let style = """
        .hs{font:12px ui-monospace,"DejaVu Sans Mono",Menlo,Consolas,monospace;max-width:none}.hs-bg{fill:var(--bg)}\
        .hs text{fill:var(--fg)}.hs .hs-title{font-size:15px;font-weight:700}.hs .hs-dim{fill:var(--dim)}.hs .hs-broken{fill:var(--bad)}\
        .hs .hs-lane{font-weight:700;text-anchor:middle}.hs .hs-side{fill:var(--dim);text-anchor:middle}\
        .hs-rule{stroke:var(--line);stroke-width:1}.hs-idle{stroke:var(--line);stroke-width:1.5}.hs-busy{stroke:var(--busy);stroke-width:5}\
        .hs-band{fill:var(--panel)}.hs-arrow{stroke-width:1.2;fill:none;opacity:.75}.hs-head{fill:context-stroke}\
        .hs .hs-word{font-size:11px;text-anchor:middle;font-weight:600}.hs-chip{fill:var(--chip);stroke-width:1.5}
        """
        + LaneWord.Colour.allCases.map {
            ".hs .hs-\($0.rawValue){fill:var(--\($0.rawValue))}.hs-box-\($0.rawValue){stroke:var(--\($0.rawValue))}"
        }
        .joined()

    // MARK: Parts

    private var head: [String] {
        var parts = headLines.enumerated().map { text($1.text, x: 12, y: 22 + Double($0) * 18, style: $1.style) }
        let y = 20 + Double(headLines.count) * 18 + 22
        for side in PictureSide.allCases {
            let own = picture.lanes.indices.filter { picture.lanes[$0].side == side }
            guard let first = own.first, let last = own.last else { continue }
            let (left, right) = (x(first) - laneWidth / 2 + 3, x(last) + laneWidth / 2 - 3)
            parts.append(text(side.rawValue, x: (left + right) / 2, y: y - 6, style: "hs-side"))
            parts.append("<path class=\"hs-rule\" d=\"M\(number(left)) \(number(y))H\(number(right))\"/>")
        }
        let columns = Int(laneWidth / Self.characterWidth)
        for (index, lane) in picture.lanes.enumerated() {
            parts.append(text(String(lane.label.prefix(columns)), x: x(index), y: y + 18, style: "hs-lane"))
        }
        return parts
    }

    /// Each lane as lines of one thickness, joined over the rows.
    private var laneLines: [String] {
        guard let first = tops.first else { return [] }
        var parts: [String] = []
        for lane in picture.lanes.indices {
            var (start, isBusy) = (first - 12, false)
            for (index, row) in picture.rows.enumerated() {
                let next = lane < row.busy.count && row.busy[lane]
                guard next != isBusy else { continue }
                let y = middle(index)
                parts.append(laneLine(lane, start, y, isBusy))
                (start, isBusy) = (y, next)
            }
            parts.append(laneLine(lane, start, height - 20 - Double(tailLines.count) * 16, isBusy))
        }
        return parts
    }

    private func laneLine(_ lane: Int, _ from: Double, _ to: Double, _ isBusy: Bool) -> String {
        "<path class=\"hs-\(isBusy ? "busy" : "idle")\" d=\"M\(number(x(lane))) \(number(from))V\(number(to))\"/>"
    }

    private var arrows: [String] {
        picture.arrows.map { arrow in
            let (from, to) = (picture.rows[arrow.from], picture.rows[arrow.to])
            let colour: LaneWord.Colour = arrow.kind == .marker ? .marker : arrow.kind == .ack ? .ack : .plain
            let start = picture.lane(from.side, from.devices.isEmpty ? nil : arrow.device)
            let end = picture.lane(to.side, to.devices.isEmpty ? nil : arrow.device)
            let inset = laneWidth / 2 - 4
            let direction = x(end) > x(start) ? 1.0 : -1.0
            let path =
                "M\(number(x(start) + direction * inset)) \(number(middle(arrow.from)))"
                + "L\(number(x(end) - direction * inset)) \(number(middle(arrow.to)))"
            return "<path class=\"hs-arrow hs-box-\(colour.rawValue)\" marker-end=\"url(#hs-head)\" d=\"\(path)\"/>"
        }
    }

    private func draw(_ index: Int) -> [String] {
        let row = picture.rows[index]
        let y = middle(index)
        var parts = [text(row.isFold ? "" : row.place, x: 12, y: y + 4, style: "hs-dim")]
        for word in picture.words(of: row) {
            let columns = Int((laneWidth - 8) / 6.7)
            let shown = word.texts.first { $0.count <= columns } ?? String(word.texts.last?.prefix(columns) ?? "")
            if shown == "*" {
                parts.append(
                    "<circle class=\"hs-chip hs-box-\(word.colour.rawValue)\" cx=\"\(number(x(word.lane)))\" cy=\"\(number(y))\" r=\"5\"/>")
                continue
            }
            let width = Double(shown.count) * 6.7 + 8
            parts.append(
                "<rect class=\"hs-chip hs-box-\(word.colour.rawValue)\" x=\"\(number(x(word.lane) - width / 2))\" y=\"\(number(y - 9))\" "
                    + "width=\"\(number(width))\" height=\"18\" rx=\"4\"/>")
            parts.append(text(shown, x: x(word.lane), y: y + 4, style: "hs-word hs-\(word.colour.rawValue)"))
        }
        for (line, sentence) in rowLines[index].enumerated() {
            let style = row.rules.isEmpty ? (row.isFold ? "hs-dim" : "hs-text") : "hs-broken"
            parts.append(text(sentence, x: textStart, y: tops[index] + 13 + Double(line) * Self.lineHeight, style: style))
        }
        return parts
    }

    private func text(_ text: String, x: Double, y: Double, style: String) -> String {
        text.isEmpty ? "" : "<text class=\"\(style)\" x=\"\(number(x))\" y=\"\(number(y))\">\(escapedMarkup(text))</text>"
    }

    private func x(_ lane: Int) -> Double {
        let isAcross = picture.lanes[lane].side == .destination
        return placeWidth + (Double(lane) + 0.5) * laneWidth + (isAcross ? Self.gap : 0)
    }

    private func middle(_ row: Int) -> Double { tops[row] + 9 }
}

/// At most one digit after the point.
private func number(_ value: Double) -> String {
    let tenths = Int((value * 10).rounded())
    return tenths % 10 == 0 ? "\(tenths / 10)" : "\(tenths / 10).\(abs(tenths % 10))"
}
