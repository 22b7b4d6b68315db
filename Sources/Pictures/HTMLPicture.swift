/// A picture as HTML: the drawing on a wide screen, a list of its rows on a narrow one.
import MigrationTrace

package struct HTMLPicture: Sendable {
    private let picture: Picture

    package init(_ picture: Picture) { self.picture = picture }

    /// A page of its own: no script, nothing from a network.
    package var page: String {
        """
        <!DOCTYPE html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width,initial-scale=1">
        <meta http-equiv="Content-Security-Policy" content="default-src 'none';style-src 'unsafe-inline'">
        <title>\(escapedMarkup("Handshake of \(picture.title)"))</title>
        <style>
        \(pictureStyle)
        body{margin:0;padding:12px;background:var(--bg);color:var(--fg);font:15px/1.4 system-ui,sans-serif}
        \(Self.style)
        </style>
        </head>
        <body>
        \(drawing(withTitle: true))</body>
        </html>

        """
    }

    /// The drawing and the list; the style decides which of the two is shown.
    package func drawing(withTitle: Bool) -> String {
        var shown = picture
        if !withTitle { (shown.title, shown.sides, shown.ending, shown.reason, shown.findings) = ("", [], "", "", []) }
        return "<figure class=\"hs-wide\">\n" + SVGPicture(shown).svg(isAlone: false) + "</figure>\n<div class=\"hs-narrow\">\n"
            + (withTitle ? title : "") + list + "</div>\n"
    }

    package static let style =
        SVGPicture.style + """

            .hs-wide{margin:0;overflow-x:auto}.hs-narrow{display:none}
            @media(max-width:860px){.hs-wide{display:none}.hs-narrow{display:block}}
            .hs-list{list-style:none;margin:0;padding:0;font-size:14px;overflow-wrap:anywhere}
            .hs-list li{border-left:3px solid var(--line);padding:3px 0 5px 8px;margin:0}
            .hs-list li.hs-across{border-left-color:transparent;border-right:3px solid var(--line);padding:3px 8px 5px 40px}
            .hs-list li.hs-busy-row{border-left-color:var(--busy)}
            .hs-list small{color:var(--dim);display:block;font:12px ui-monospace,monospace}
            .hs-list b{font:600 12px ui-monospace,monospace;border:1.5px solid;border-radius:4px;padding:0 3px;margin-right:4px;\
            white-space:nowrap}
            .hs-list em{color:var(--bad);font-style:normal;display:block}
            """ + "\n"
        + LaneWord.Colour.allCases.map { ".hs-list .hs-\($0.rawValue){color:var(--\($0.rawValue))}" }.joined()

    private var title: String {
        var lines = ["<h1 style=\"font-size:18px;overflow-wrap:anywhere\">\(escapedMarkup(picture.title))</h1>"]
        lines += picture.sides.map { "<p style=\"margin:2px 0;color:var(--dim)\">\(escapedMarkup($0))</p>" }
        if !picture.ending.isEmpty {
            let reason = picture.reason.isEmpty ? "" : ": \(picture.reason)"
            lines.append("<p><strong>\(escapedMarkup(picture.ending))</strong>\(escapedMarkup(reason))</p>")
        }
        lines += picture.findings.map { "<p style=\"color:var(--bad)\">broken: \(escapedMarkup($0))</p>" }
        return lines.joined(separator: "\n") + "\n"
    }

    private var list: String {
        let rows = picture.rows.map { row in
            let words = picture.words(of: row).compactMap { word -> String? in
                guard let text = word.texts.first, text != "*", text != "…" else { return nil }
                let label = picture.lanes[word.lane].device == nil ? "" : picture.lanes[word.lane].label + " "
                return "<b class=\"hs-\(word.colour.rawValue)\">\(escapedMarkup(label + text))</b>"
            }
            let isBusy = row.busy.first == true
            let style = row.side == .destination ? "hs-across" : isBusy ? "hs-busy-row" : ""
            let rules = row.rules.map { "<em>broken: \(escapedMarkup($0))</em>" }.joined()
            let place = "<small>\(escapedMarkup(row.isFold ? "" : row.place))</small>"
            return
                "<li class=\"\(style)\">\(place)\(words.joined()) \(escapedMarkup(row.sentence))\(rules)</li>"
        }
        return "<ol class=\"hs-list\">\n" + rows.joined(separator: "\n") + "\n</ol>\n"
            + (picture.legend + [Picture.orderNote]).map { "<p style=\"color:var(--dim);overflow-wrap:anywhere\">\(escapedMarkup($0))</p>" }
            .joined(separator: "\n") + "\n"
    }
}
