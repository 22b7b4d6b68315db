import Foundation
import MigrationTrace
import Plan
import TestSupport
import Testing

@testable import Matrix
@testable import Reports
@testable import Running
@testable import Verification

/// The formats of a run's report: the page, Markdown, TAP, and the schemas of JSON Lines and JUnit.
@Suite struct RunFormatTests {
    private let golden = Golden("Tests/ReportsTests/Golden")
    private static let hostile = "<img src=x onerror=alert(1)></script>|`#\u{1B}[31m\u{202E}\n- 1. *x*"

    /// Real results: the cells of the engine's quick tier.
    private static let lines: [ResultLine] = {
        guard let matrix = try? MatrixFile(path: repositoryFile("harness/matrix/default.yaml")),
            let deviations = try? DeviationFile(path: repositoryFile("harness/matrix/deviations.yaml"), axes: matrix.axes),
            let cells = try? Recipe.cells(of: matrix, tier: .quick, binaries: ProbedBinary.engines).cells
        else { return [] }
        let runner = CellRunner(binaries: ProbedBinary.engines, shim: "", deviations: deviations)
        return cells.prefix(80).compactMap { cell in (try? runner.runInEngine(cell)).map { ResultLine($0) } }
    }()

    private var told: [ResultLine] {
        var deviating = finding("10.0-10.0+q35-10.0+deviating", [])
        (deviating.finding, deviating.seconds) = (false, 0.1)
        deviating.deviations.explained = [.init(id: "mode-differs", exactVersion: true, rules: ["ends"])]
        return [
            finding("11.1-10.0+q35-10.0+2-devices", ["ACKs counted: expected 2, found 1. The line is missing"]), deviating,
            finding("11.1-10.0+q35-10.0", [Self.hostile]),
        ]
    }

    private let known = Deviation(
        id: "mode-differs", cells: [:], names: [], sourceVersions: ["11.1.3"], destinationVersions: nil, rules: ["ends"],
        verdicts: ["waits forever"], sometimes: false, reason: "The mode is a local property. Nothing compares it.",
        reference: "not reported")

    // MARK: Markdown and TAP

    @Test func theTextsAreAsRecorded() throws {
        let markdown = MarkdownReport(title: "ackmatrix run", facts: ["complete"], lines: told, deviations: [known]).text
        try golden.expect(markdown, "run.md")
        try golden.expect(try RunTAP(told, facts: ["complete"]).text(), "run.tap")
    }

    @Test func noTextOfAResultIsMarkdown() {
        let markdown = MarkdownReport(title: Self.hostile, facts: [Self.hostile], lines: told, deviations: [known]).text
        #expect(!markdown.replacing("\\<", with: "").contains("<") && !markdown.contains("\u{1B}") && !markdown.contains("\u{202E}"))
        var command = told[0]
        command.reproduce = "a ``` b\n```` c"
        let fences = MarkdownReport(title: "", facts: [], lines: [command], deviations: []).text.split(separator: "\n")
            .filter { $0.hasPrefix("`````") }
        #expect(fences == ["`````sh", "`````"])
    }

    /// A reader of TAP 14: the plan, the points in order, and blocks whose strings are JSON.
    @Test func theTAPIsWellFormed() throws {
        let results = Self.lines + told
        try #require(results.count > 50)
        var lines = try RunTAP(results).text().split(separator: "\n", omittingEmptySubsequences: false).map(String.init)[...]
        #expect(lines.removeLast().isEmpty)
        #expect(lines.removeFirst() == "TAP version 14")
        #expect(lines.removeFirst() == "1..\(results.count)")
        var (points, failed, isInside) = (0, 0, false)
        for line in lines {
            if isInside {
                if line == "  ..." { isInside = false }
                #expect(line.hasPrefix("  "))
                for prefix in ["    - ", "  ending: ", "  reproduce: "] where line.hasPrefix(prefix) {
                    _ = try JSONDecoder().decode(String.self, from: Data(line.dropFirst(prefix.count).utf8))
                }
            } else if line == "  ---" {
                isInside = true
            } else {
                points += 1
                let point = try #require(line.wholeMatch(of: /(ok|not ok) ([0-9]+) - (.+)/), "\(line)")
                #expect(point.2 == "\(points)")
                #expect(!point.3.contains(/[^\\]#/))
                if point.1 == "not ok" { failed += 1 }
            }
        }
        #expect(points == results.count && !isInside)
        #expect(failed == results.count(where: \.finding))
    }

    // MARK: Schemas

    /// Every key of a result is in the schema, every key of the schema is in a result, and what the schema requires is always there.
    @Test func theSchemaIsThatOfAResult() throws {
        let schema = try Schema()
        var whole = finding("cell", ["why"])
        whole.legs[0].reason = "because"
        whole.legs[0].oddOneOut = "verifier"
        whole.legs[0].processes = [.init(side: "source", binary: "11.1", end: "exited", answered: true, standardError: ["x"])]
        whole.deviations = .init(
            explained: [.init(id: "x", exactVersion: true, rules: ["ends"])], absent: [.init(id: "x", rules: [])],
            fixedSince: [.init(id: "x", rules: [])])
        let keys = try schema.keys()
        #expect(Schema.keys(of: try object(whole)) == keys.all)
        var least = whole
        (least.legs[0].reason, least.legs[0].oddOneOut, least.legs[0].processes) = (nil, nil, nil)
        (least.legs[0].broken[0].device, least.legs[0].broken[0].lastGood) = (nil, nil)
        #expect(keys.all.subtracting(keys.optional) == Schema.keys(of: try object(least)))
    }

    @Test func resultsAreValid() throws {
        let schema = try Schema()
        #expect(Self.lines.count > 50)
        for line in Self.lines + told { #expect(schema.violations(of: try object(line)).isEmpty, "\(line.cell)") }
        // And what is no result is not.
        var other = try object(told[0])
        other["seconds"] = "soon"
        #expect(schema.violations(of: other) == ["seconds: expected number"])
        other["seconds"] = nil
        #expect(schema.violations(of: other) == [": seconds is missing"])
        (other["seconds"], other["more"]) = (1, 1)
        #expect(schema.violations(of: other) == [": more is unknown"])
    }

    private func object(_ line: ResultLine) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: line.jsonLine()) as? [String: Any])
    }

    private static let xmllint = ["/usr/bin/xmllint", "/usr/local/bin/xmllint"].first { FileManager.default.isExecutableFile(atPath: $0) }

    @Test(.enabled(if: xmllint != nil, "needs xmllint (the package libxml2-utils)"))
    func theJUnitReportIsValid() throws {
        let folder = NSTemporaryDirectory() + "junit-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let report = JUnit(
            Self.lines + told, leftOut: [LeftOut(name: "left", product: "out", reason: Self.hostile)], wholeRun: [Self.hostile],
            deviations: [known], began: Date(timeIntervalSince1970: 0), seconds: 1)
        try report.write(path: folder + "/junit.xml")
        #expect(try validate(folder + "/junit.xml") == 0)
        let text = try String(contentsOfFile: folder + "/junit.xml", encoding: .utf8)
        #expect(text.contains("rule ends (") && text.contains("legal: the ACK"))
        // The schema refuses what no reader takes.
        try text.replacing("classname=", with: "class=").write(toFile: folder + "/other.xml", atomically: true, encoding: .utf8)
        #expect(try validate(folder + "/other.xml") != 0)
    }

    private func validate(_ path: String) throws -> Int32 {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try #require(Self.xmllint))
        process.arguments = ["--noout", "--schema", repositoryFile("harness/reports/junit.xsd"), path]
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        return process.terminationStatus
    }

    // MARK: The page

    private func page(_ lines: [ResultLine]) throws -> (html: String, data: [String: Any]) {
        let html = try RunPage(title: Self.hostile, facts: [Self.hostile], lines: lines, deviations: [known], kept: .init()).html()
        let bytes = Data(html.utf8)
        let start = try #require(bytes.range(of: Data("<script type=\"application/json\" id=\"data\">".utf8)))
        let end = try #require(bytes.range(of: Data("</script>".utf8), in: start.upperBound..<bytes.endIndex))
        let data = bytes[start.upperBound..<end.lowerBound]
        return (html, try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any]))
    }

    @Test func thePageHasEveryCellAndNoMarkupOfThem() throws {
        let lines = Self.lines + told
        let (html, data) = try page(lines)
        let cells = try #require(data["cells"] as? [[String: Any]])
        #expect(cells.map { $0["name"] as? String } == lines.map(\.cell))
        let templates = html.matches(of: /<template id="d([0-9]+)">/).map { Int($0.1) }
        #expect(templates == Array(0..<templates.count))
        for (cell, line) in zip(cells, lines) {
            let legs = try #require(cell["legs"] as? [[String: Any]])
            #expect(legs.count == line.legs.count)
            #expect(legs.allSatisfy { ($0["drawing"] as? Int).map { 0..<templates.count ~= $0 } ?? false })
            let commands = try #require(data["commands"] as? [String])
            let command = commands[try #require(cell["command"] as? Int)].replacing("{cell}", with: line.cell)
            #expect(command == line.reproduce)
        }
        #expect(!html.contains("<img") && !html.contains("\u{1B}") && !html.contains("\u{202E}"))
        // Nothing of a network: no address but those of the specification of SVG.
        #expect(html.matches(of: /https?:\/\//).isEmpty)
    }

    /// Equal handshakes share one drawing, so that a page of thousands of cells stays small.
    @Test func aPageOfThousandsOfCellsIsSmall() throws {
        let lines = (0..<6000).map { number in
            var line = Self.lines[number % Self.lines.count]
            line.cell += "+\(number)"
            line.reproduce = Reproduction.inRepository.command(line.cell)
            return line
        }
        let html = try page(lines).html
        #expect(html.utf8.count < 10_000_000, "\(html.utf8.count)")
        var (bytes, templates) = (Data(html.utf8), 0)
        while let next = bytes.range(of: Data("<template ".utf8)) {
            templates += 1
            bytes = bytes[next.upperBound...]
        }
        #expect(1..<100 ~= templates)
    }

    // MARK: Two runs

    @Test func theFirstDifferenceOfTwoRunsIsNamed() throws {
        let before = Self.lines
        #expect(RunDifference(before, before, names: ["a", "b"]).isSame)
        var after = before
        for index in after.indices { after[index].seconds += 1 }
        #expect(RunDifference(before, after, names: ["a", "b"]).isSame)
        after[3].legs[0].counts.acksSent += 1
        after[5].legs[0].ending = "waits forever"
        after.removeLast()
        let difference = RunDifference(before, after, names: ["a", "b"])
        #expect(difference.differing.map(\.name) == [before[3].cell, before[5].cell])
        #expect(difference.differing.map(\.what) == ["ACKs", "ending"])
        #expect(difference.onlyFirst == [before.last?.cell] && difference.onlySecond.isEmpty)
        let text = difference.lines(isWhole: false).joined(separator: "\n")
        #expect(text.contains("a:4: ") && text.contains("b:4: "), "\(text)")
        #expect(difference.verdict == "2 cells of \(before.count - 1) differ, first \(before[3].cell): ACKs")
    }
}

/// The part of JSON Schema that Traces/results.schema.json uses; a keyword that is not known is a violation.
private struct Schema {
    let root: [String: Any]

    init() throws {
        let data = try Data(contentsOf: URL(fileURLWithPath: repositoryFile("Traces/results.schema.json")))
        root = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
    }

    func violations(of value: Any) -> [String] { violations(of: value, root, "") }

    private func violations(of value: Any, _ schema: [String: Any], _ path: String) -> [String] {
        var found: [String] = []
        let type = schema["type"] as? String
        let number = value as? NSNumber
        let isBool = number.map { String(cString: $0.objCType) == "c" } ?? false
        let isOfType =
            switch type {
            case nil: true
            case "object": value is [String: Any]
            case "array": value is [Any]
            case "string": value is String
            case "boolean": isBool
            case "integer": number.map { !isBool && $0.doubleValue == $0.doubleValue.rounded() } ?? false
            case "number": number != nil && !isBool
            default: false
            }
        guard isOfType else { return ["\(path): expected \(type ?? "")"] }
        let known = [
            "type", "properties", "required", "additionalProperties", "items", "minItems", "minimum", "minLength", "const", "enum",
            "description", "title", "$schema", "$id",
        ]
        found += schema.keys.filter { !known.contains($0) }.map { "\(path): keyword \($0)" }
        if let least = schema["minimum"] as? Double, let number, number.doubleValue < least { found.append("\(path): below \(least)") }
        if let least = schema["minLength"] as? Int, let text = value as? String, text.count < least { found.append("\(path): too short") }
        if let constant = schema["const"] as? NSNumber, constant != number { found.append("\(path): not \(constant)") }
        if let values = schema["enum"] as? [String], !values.contains(value as? String ?? "") { found.append("\(path): none of \(values)") }
        if let object = value as? [String: Any] {
            let properties = schema["properties"] as? [String: Any] ?? [:]
            for key in schema["required"] as? [String] ?? [] where object[key] == nil { found.append("\(path): \(key) is missing") }
            for (key, value) in object {
                let more = (schema["additionalProperties"] as? [String: Any])
                if let schema = properties[key] as? [String: Any] ?? more {
                    found += violations(of: value, schema, path.isEmpty ? key : "\(path).\(key)")
                } else {
                    found.append("\(path): \(key) is unknown")
                }
            }
        }
        if let list = value as? [Any] {
            if let least = schema["minItems"] as? Int, list.count < least { found.append("\(path): too few") }
            if let items = schema["items"] as? [String: Any] { found += list.flatMap { violations(of: $0, items, path + "[]") } }
        }
        return found
    }

    /// The paths of all keys, and of those that may be missing.
    func keys() throws -> (all: Set<String>, optional: Set<String>) {
        var (all, optional): (Set<String>, Set<String>) = ([], [])
        func visit(_ schema: [String: Any], _ path: String) {
            let required = schema["required"] as? [String] ?? []
            for (key, value) in schema["properties"] as? [String: Any] ?? [:] {
                let place = path.isEmpty ? key : "\(path).\(key)"
                all.insert(place)
                if !required.contains(key) { optional.insert(place) }
                if let value = value as? [String: Any] { visit(value, place) }
            }
            if let items = schema["items"] as? [String: Any] { visit(items, path) }
        }
        visit(root, "")
        // What is inside of an optional key is missing with it.
        return (all, optional.union(all.filter { key in optional.contains { key.hasPrefix($0 + ".") } }))
    }

    /// The keys whose names are those of axes, devices or the like.
    private static let dictionaries: Set<String> = [
        "selection", "legs.counts.requests", "legs.counts.countedIn", "legs.counts.approvals",
    ]

    /// The paths of all keys of a value.
    static func keys(of value: Any, _ path: String = "") -> Set<String> {
        if let list = value as? [Any] { return list.reduce(into: []) { $0.formUnion(keys(of: $1, path)) } }
        guard let object = value as? [String: Any], !dictionaries.contains(path) else { return [] }
        return object.reduce(into: []) { found, pair in
            let place = path.isEmpty ? pair.key : "\(path).\(pair.key)"
            found.insert(place)
            found.formUnion(keys(of: pair.value, place))
        }
    }
}
