/// What released binaries do wrong or surprisingly, as a text for their authors: from the list of findings, the known deviations, and the
/// golden corpus, so that each fact has one home.
import Foundation
import Matrix
import MigrationTrace
import Pictures
import Running
import Verification

/// An entry of `harness/matrix/findings.yaml`.
package struct KnownFinding: Hashable, Sendable {
    package enum Severity: String, CaseIterable, Hashable, Sendable {
        /// Two guests run, or none, or one whose device has lost its state.
        case critical
        /// A migration never ends, or cannot succeed.
        case high
        /// It completes or fails, and not as promised.
        case medium
        /// As documented, or harmless.
        case low

        var meaning: String {
            switch self {
            case .critical: "two guests run on what may be one disk, or none, or one whose device has lost its state"
            case .high: "a migration never ends, or cannot succeed"
            case .medium: "it completes or fails, and not as promised: a longer downtime, a needless failure"
            case .low: "as documented, or harmless"
            }
        }
    }

    /// What an entry says that breaks no rule; elsewhere the deviations say it.
    package struct Surprise: Hashable, Sendable {
        package let versions: String
        package let reason: String
        package let reference: String
        /// Names of the events that show it.
        package let events: [String]
    }

    package let id: String
    package let title: String
    package let severity: Severity
    /// The cell that shows it.
    package let cell: String
    /// Identifiers of the known deviations that are this finding, the one that the cell shows first.
    package let deviations: [String]
    package let surprise: Surprise?
}

package struct FindingsFile: Hashable, Sendable {
    package let findings: [KnownFinding]

    private static let mostFindings = 128

    /// Reads the findings at `path`; every deviation they name must be one of `known`, and be named once.
    package init(path: String, known: [Deviation]) throws(MatrixFileError) {
        try self.init(try yamlText(path: path), file: path, known: known)
    }

    /// `file` is only for the text of errors.
    package init(_ text: String, file: String, known: [Deviation]) throws(MatrixFileError) {
        let root = try YAMLValue(document: text, file: file)
        let fields = try root.fields(of: "a findings file", ["ackmatrix-findings", "findings"])
        try fields["ackmatrix-findings"]!.expectVersion("1", of: "a findings file")
        var findings: [KnownFinding] = []
        for value in try fields["findings"]!.list(of: "findings", 0...Self.mostFindings) {
            let finding = try KnownFinding(value, known: known)
            for earlier in findings {
                guard earlier.id != finding.id else {
                    throw value.error("expected another id than '\(finding.id)', which an earlier finding has")
                }
                if let twice = finding.deviations.first(where: earlier.deviations.contains) {
                    throw value.error("expected each deviation in one finding, found '\(twice)' in '\(earlier.id)', too")
                }
            }
            findings.append(finding)
        }
        self.findings = findings
    }
}

extension KnownFinding {
    fileprivate init(_ value: YAMLValue, known: [Deviation]) throws(MatrixFileError) {
        let own = ["versions", "reason", "reference", "events"]
        let fields = try value.fields(of: "a finding", ["id", "title", "severity", "cell"], optional: ["deviations"] + own)
        id = try fields["id"]!.word("a finding's id")
        title = try fields["title"]!.sentence("a title")
        severity = try fields["severity"]!.choice("a severity", Severity.self)
        cell = try fields["cell"]!.sentence("the name of a cell")
        var deviations: [String] = []
        for element in try fields["deviations"]?.listOrOne(of: "deviations", 1...32) ?? [] {
            let id = try element.word("a deviation's id")
            guard known.contains(where: { $0.id == id }) else { throw element.error("expected the id of a known deviation, found '\(id)'") }
            deviations.append(id)
        }
        self.deviations = deviations
        guard deviations.isEmpty else {
            if let surplus = own.first(where: { fields[$0] != nil }) {
                throw fields[surplus]!.error("expected no '\(surplus)' in a finding with deviations, which have their own")
            }
            surprise = nil
            return
        }
        let all = try value.fields(of: "a finding without deviations", ["id", "title", "severity", "cell"] + own)
        var events: [String] = []
        for element in try all["events"]!.listOrOne(of: "events", 1...16) { events.append(try element.word("the name of an event")) }
        surprise = Surprise(
            versions: try all["versions"]!.sentence("versions"), reason: try all["reason"]!.sentence("a reason"),
            reference: try all["reference"]!.sentence("a reference"), events: events)
    }
}

extension FindingsFile {
    /// Entries to be filled in, for the known deviations that have none: each with the first cell that shows it on the versions it was seen
    /// on, one with a golden trace before others, one where nothing is left to chance before a race.
    package func stubs(_ known: DeviationFile, cells: [Cell], golden: Set<String>) -> String {
        let named = Set(findings.flatMap(\.deviations))
        return known.deviations.filter { !named.contains($0.id) }.map { deviation in
            let showing = cells.filter { cell in
                known.deviations(
                    for: cell.selection, cellName: cell.name, sourceVersion: cell.sourceVersion, destinationVersion: cell.destinationVersion
                ).contains { $0.deviation == deviation && $0.exactVersion }
            }
            let cell = showing.first { golden.contains($0.name) } ?? showing.first { !$0.isRace } ?? showing.first
            return """
                  - id: \(deviation.id)
                    title: ?
                    severity: ?
                    cell: \(cell?.name ?? "?")
                    deviations: [\(deviation.id)]

                """
        }.joined(separator: "\n")
    }
}

/// The text of `Traces/FINDINGS.md`.
package struct FindingsText: Sendable {
    package let findings: [KnownFinding]
    package let deviations: [Deviation]
    /// The golden trace of a cell.
    package let trace: @Sendable (String) throws -> Trace

    package init(findings: [KnownFinding], deviations: [Deviation], trace: @escaping @Sendable (String) throws -> Trace) {
        self.findings = findings
        self.deviations = deviations
        self.trace = trace
    }

    package func text() throws -> String {
        let entries = try findings.enumerated().map { try entry($0 + 1, $1) }
        let legend = KnownFinding.Severity.allCases.map { "*\($0.rawValue)*: \($0.meaning)" }.joined(separator: "; ")
        let introduction = """
            # Findings

            What released versions of QEMU do wrong or surprisingly where the switchover-ACK handshake meets the rest of migration. Each \
            was seen on the versions named, and each is shown by one command; lines are those of the cell's trace in this folder, \
            `STREAM:LINE`. A rule's section is that of the protocol's description.

            Severity: \(legend).

            Written by `ackmatrix findings` from [findings.yaml](../harness/matrix/findings.yaml), \
            [deviations.yaml](../harness/matrix/deviations.yaml) and the traces here; not by hand. `ackmatrix findings --reproduce` runs \
            each one's standalone script, as `ackmatrix report CELL --standalone` writes it, in an empty environment.
            """
        let overview =
            ["| | finding | severity | versions |", "|---|---|---|---|"]
            + findings.enumerated().map { number, finding in
                "| \(number + 1) | [\(finding.title)](#\(finding.id)) | \(finding.severity.rawValue) | "
                    + "\(versions(finding).joined(separator: "; ")) |"
            }
        return ([introduction, overview.joined(separator: "\n")] + entries + rest).joined(separator: "\n\n") + "\n"
    }

    private func deviations(of finding: KnownFinding) -> [Deviation] {
        finding.deviations.compactMap { id in deviations.first { $0.id == id } }
    }

    private func versions(_ finding: KnownFinding) -> [String] {
        if let surprise = finding.surprise { return [surprise.versions] }
        return deviations(of: finding).map(\.versions).reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
    }

    private func entry(_ number: Int, _ finding: KnownFinding) throws -> String {
        let trace = try trace(finding.cell)
        let judgement = judge(trace)
        let known = deviations(of: finding)
        let reason = finding.surprise?.reason ?? known.first?.reason ?? ""
        let reference =
            finding.surprise?.reference
            ?? known.map(\.reference).reduce(into: []) { if !$0.contains($1) { $0.append($1) } }.joined(separator: "; ")
        var lines = [
            "## <a id=\"\(finding.id)\"></a>\(number). \(finding.title)", "", "- severity: \(finding.severity.rawValue)",
            "- versions: \(versions(finding).joined(separator: "; "))",
            "- ends: \(judgement.verdict.rawValue)",
        ]
        for id in judgement.broken {
            guard let rule = Rule[id: id] else { continue }
            lines.append("- rule `\(id)` (\(rule.section)): \(rule.statement)")
        }
        lines += ["- reported: \(reference)"]
        if !known.isEmpty { lines.append("- known as: " + known.map { "`\($0.id)`" }.joined(separator: ", ")) }
        lines += ["", reason.split(whereSeparator: \.isWhitespace).joined(separator: " "), ""]
        lines += [
            "    .build/release/ackmatrix explain \(finding.cell)",
            "    .build/release/ackmatrix report \(finding.cell) --standalone --output finding.sh && sh finding.sh", "", "```",
        ]
        lines +=
            findingLines(judgement, trace, events: finding.surprise?.events ?? []).flatMap { wrapExactly($0, width: 200, indent: "    ") }
            + ["```"]
        return lines.joined(separator: "\n")
    }

    private var rest: [String] {
        let named = Set(findings.flatMap(\.deviations))
        let others = deviations.filter { !named.contains($0.id) }
        guard !others.isEmpty else { return [] }
        let rows = others.map { deviation in
            "| `\(deviation.id)` | \(deviation.versions) | \(deviation.verdicts.joined(separator: ", ")) | "
                + "\(deviation.reason.split(whereSeparator: \.isWhitespace).joined(separator: " ")) |"
        }
        return [
            (["## Known deviations without an entry", "", "| id | versions | ends | |", "|---|---|---|---|"] + rows).joined(separator: "\n")
        ]
    }
}

/// The lines that show what a judgement found: what was found under each rule, and the lines it stands on.
func findingLines(_ judgement: Judgement, _ trace: Trace, events: [String] = []) -> [String] {
    var lines: [String] = []
    var shown: Set<Place> = []
    func show(_ place: Place, _ line: String) {
        if shown.insert(place).inserted { lines.append("\(place): \(trimmed(line))") }
    }
    for id in judgement.broken {
        guard let finding = judgement.findings.first(where: { $0.rule.id == id }) else { continue }
        lines += wrap("\(id): \(finding.found)", width: 140, indent: "    ")
        for line in finding.tellingLines(in: trace) { show(line.place, line.text) }
        // What a source goes on to say that waits.
        if finding.isOfAbsence, let last = trace.lastQuery { show(last.place, last.text) }
    }
    // What a side that fails has to say of it.
    for name in ["migrate_error"] + events {
        for stream in StreamName.allCases {
            if let line = trace[stream].enumerated().first(where: { $0.element.event?.name == name }), let event = line.element.event {
                show(Place(stream: stream, line: line.offset + 1), event.line)
            }
        }
    }
    return lines
}

extension Trace {
    /// The source's last word on what is pending.
    fileprivate var lastQuery: (place: Place, text: String)? {
        let names: Set = ["qemu_savevm_query_pending", "migrate_pending_exact", "migrate_pending_estimate"]
        let query = source.enumerated().reduce(into: (line: 0, event: Event?.none)) { last, next in
            if let event = next.element.event, names.contains(event.name) { last = (next.offset + 1, event) }
        }
        return query.event.map { (Place(stream: .source, line: query.line), $0.line) }
    }

    /// The golden trace of a cell in the corpus; where it has several legs, that of the first that breaks a rule.
    package static func golden(_ cell: String, in corpus: String) throws -> Trace {
        let legs = (1...8).map { "\(corpus)/\(cell).leg-\($0).trace" }.filter { FileManager.default.fileExists(atPath: $0) }
        for path in legs {
            let trace = try Trace(path: path)
            if !trace.header.broken.isEmpty { return trace }
        }
        return try Trace(path: "\(corpus)/\(cell).trace")
    }
}

extension Deviation {
    /// `11.1.3 -> 10.0.13`; a side that plays no part is any.
    var versions: String {
        func side(_ versions: [String]?) -> String { versions?.joined(separator: ", ") ?? "any" }
        return "\(side(sourceVersions)) -> \(side(destinationVersions))"
    }
}
