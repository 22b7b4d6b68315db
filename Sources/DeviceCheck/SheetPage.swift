/// A result sheet as one HTML page that needs nothing else: no network, no script.
import MigrationTrace

package enum SheetPage {
    package static func html(_ sheet: ResultSheet) -> String {
        let device = sheet.facts.first { $0.name == "device" }?.value ?? "a device"
        let title = "VFIO migration driver of \(device)"
        let facts = sheet.facts.map { "<tr><th>\(escapedMarkup($0.name))</th><td>\(escapedMarkup($0.value))</td></tr>" }
        let failed = sheet.checks.enumerated().filter { $0.element.outcome == .failed }
        let broken = sheet.brokenOff.map { "<p class=\"failed\">The check ended early: \(escapedMarkup($0))</p>\n" } ?? ""
        return """
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width">
            <title>\(escapedMarkup(title))</title>
            <style>\(style)</style>
            </head>
            <body>
            <h1>\(escapedMarkup(title))</h1>
            <p>\(sheet.summary), of \(sheet.checks.count) checks against linux/vfio.h</p>
            \(broken)<table class="facts">\(facts.joined())</table>
            \(failed.isEmpty ? "" : "<h2>Failed</h2>\n" + table(failed.map { ($0.offset, $0.element) }))
            <h2>All checks</h2>
            \(table(sheet.checks.enumerated().map { ($0.offset, $0.element) }))
            </body>
            </html>

            """
    }

    private static func table(_ lines: [(Int, ResultSheet.Line)]) -> String {
        let rows = lines.map { number, line in
            let why =
                switch line.outcome {
                case .passed: ""
                case .failed:
                    "<br><span class=\"why\">expected: \(escapedMarkup(line.expected ?? ""))<br>"
                        + "found: \(escapedMarkup(line.found ?? ""))</span>"
                case .skipped: "<br><span class=\"why\">\(escapedMarkup(line.reason ?? ""))</span>"
                }
            return """
                <tr><td class="number">\(number + 1)</td><td class="\(line.outcome.rawValue)">\(line.outcome.rawValue)</td>\
                <td><code>\(escapedMarkup(line.name))</code> \(escapedMarkup(line.statement))\(why)\
                <br><span class="reference">\(escapedMarkup(line.reference))</span></td></tr>
                """
        }
        return "<table>\n" + rows.joined(separator: "\n") + "\n</table>"
    }

    private static let style = """

        :root { color-scheme: light dark; --line: #d0d0d0; --failed: #b00020; --passed: #1b6e2b; --quiet: #666; }
        @media (prefers-color-scheme: dark) { :root { --line: #444; --failed: #ff7b8a; --passed: #7fd491; --quiet: #aaa; } }
        body { font: 16px/1.45 system-ui, sans-serif; margin: 1rem auto; max-width: 60rem; padding: 0 0.75rem; }
        h1 { font-size: 1.4rem; overflow-wrap: anywhere; }
        h2 { font-size: 1.1rem; }
        table { border-collapse: collapse; width: 100%; }
        td, th { border-top: 1px solid var(--line); padding: 0.35rem 0.5rem; text-align: left; vertical-align: top;
            overflow-wrap: anywhere; }
        .facts th { font-weight: 600; width: 9rem; }
        .number { text-align: right; color: var(--quiet); width: 2.5rem; }
        .passed { color: var(--passed); width: 4.5rem; }
        .failed { color: var(--failed); font-weight: 700; width: 4.5rem; }
        .skipped, .why, .reference { color: var(--quiet); }
        .reference { font-size: 0.8rem; }

        """
}
