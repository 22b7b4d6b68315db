/// The report of a run for CI systems: JUnit's XML. A suite is a product of the matrix, a test case is a cell.
///
/// Of the dialects it keeps to what all read: counts, time in seconds, and an ISO 8601 time stamp (UTC, without a zone) on each suite; a
/// test case with `skipped`, `failure` and `system-out` in this order.
import Foundation
import MigrationTrace
import Plan
import Running
import XMLCoder

/// A cell, or a selection of axis values, that was not run.
package struct LeftOut: Hashable, Sendable {
    package var name: String
    package var product: String
    package var reason: String

    package init(name: String, product: String, reason: String) {
        self.name = name
        self.product = product
        self.reason = reason
    }
}

package struct JUnit: Hashable, Sendable {
    var suites: Suites

    /// Lines in the order of the run; suites in that of their first cell. `wholeRun` are findings that belong to no cell; they make a suite
    /// of their own, which is there without any, too. `seconds` is the wall time of the run. A finding of a cell that is one of `flaky` has
    /// that type.
    package init(
        _ lines: [ResultLine], leftOut: [LeftOut] = [], wholeRun: [String] = [], deviations: [Deviation], began: Date, seconds: Double,
        flaky: Set<String> = []
    ) {
        let reasons = Dictionary(deviations.map { ($0.id, $0) }) { first, _ in first }
        var cases: [(product: String, cases: [Case])] = []
        func add(_ testCase: Case, to product: String) {
            if let index = cases.firstIndex(where: { $0.product == product }) {
                cases[index].cases.append(testCase)
            } else {
                cases.append((product, [testCase]))
            }
        }
        for line in lines {
            var result = Case(line, reasons)
            if flaky.contains(line.cell) { result.failure?.type = "flaky" }
            add(result, to: line.product)
        }
        for cell in leftOut { add(Case(cell), to: cell.product) }
        let whole = Case(classname: Self.wholeRun, name: "findings of the whole run", seconds: 0, findings: wholeRun, text: wholeRun)
        let stamp = began.formatted(
            Date.ISO8601FormatStyle(timeZoneSeparator: .omitted).year().month().day().time(includingFractionalSeconds: false))
        suites = Suites(
            name: "ackmatrix", seconds: seconds, stamp: stamp,
            (cases + [(Self.wholeRun, [whole])]).map { Suite(name: $0.product, stamp: stamp, $0.cases) })
    }

    private static let wholeRun = "whole run"

    /// The document.
    package func xml() throws -> Data {
        let encoder = XMLEncoder()
        encoder.outputFormatting = .prettyPrinted
        encoder.prettyPrintIndentation = .spaces(2)
        return try encoder.encode(suites, withRootKey: "testsuites", header: XMLHeader(version: 1.0, encoding: "UTF-8"))
    }

    /// Writes the whole report or nothing: a temporary file beside `path` is renamed to it. Throws `Environment`.
    package func write(path: String) throws {
        let data = try xml()
        do { try data.write(to: URL(fileURLWithPath: path), options: .atomic) } catch {
            throw Environment("\(path): the JUnit report cannot be written: \(systemReason(error))")
        }
    }
}

/// An element whose values are attributes, but for those that are elements of their own, or its text.
protocol JUnitElement: Hashable, Codable, DynamicNodeEncoding {
    static var elements: [String] { get }
}

extension JUnitElement {
    static func nodeEncoding(for key: any CodingKey) -> XMLEncoder.NodeEncoding {
        elements.contains(key.stringValue) ? .element : .attribute
    }
}

extension JUnit {
    struct Suites: JUnitElement {
        static let elements: [String] = ["testsuite"]

        var name: String
        var tests: Int
        var failures: Int
        var errors: Int
        var skipped: Int
        var time: String
        var timestamp: String
        var testsuite: [Suite]
    }

    struct Suite: JUnitElement {
        static let elements: [String] = ["testcase"]

        var name: String
        var tests: Int
        var failures: Int
        var errors: Int
        var skipped: Int
        var time: String
        var timestamp: String
        var testcase: [Case]
    }

    struct Case: JUnitElement {
        static let elements: [String] = ["skipped", "failure", "system-out"]

        var classname: String
        var name: String
        var time: String
        var skipped: Skipped?
        var failure: Failure?
        var output: String?

        private enum CodingKeys: String, CodingKey {
            case classname, name, time, skipped, failure
            case output = "system-out"
        }
    }

    struct Skipped: JUnitElement {
        static let elements: [String] = []

        var message: String
    }

    struct Failure: JUnitElement {
        static let elements: [String] = [""]

        var message: String
        var type: String
        var text: String

        private enum CodingKeys: String, CodingKey {
            case message, type
            case text = ""
        }
    }
}

extension JUnit.Suites {
    fileprivate init(name: String, seconds: Double, stamp: String, _ suites: [JUnit.Suite]) {
        self.init(
            name: name, tests: suites.reduce(0) { $0 + $1.tests }, failures: suites.reduce(0) { $0 + $1.failures }, errors: 0,
            skipped: suites.reduce(0) { $0 + $1.skipped }, time: inSeconds(seconds), timestamp: stamp, testsuite: suites)
    }
}

extension JUnit.Suite {
    fileprivate init(name: String, stamp: String, _ cases: [JUnit.Case]) {
        self.init(
            name: attribute(name), tests: cases.count, failures: cases.count { $0.failure != nil }, errors: 0,
            skipped: cases.count { $0.skipped != nil }, time: inSeconds(cases.reduce(0) { $0 + (Double($1.time) ?? 0) }), timestamp: stamp,
            testcase: cases)
    }
}

extension JUnit.Case {
    fileprivate init(classname: String, name: String, seconds: Double, findings: [String], text: [String]) {
        self.init(classname: attribute(classname), name: attribute(name), time: inSeconds(seconds))
        if let first = findings.first {
            failure = .init(message: attribute(first), type: "finding", text: characters(text.joined(separator: "\n")))
        }
    }

    fileprivate init(_ line: ResultLine, _ deviations: [String: Deviation]) {
        let sides = "\(line.source.version) \(line.source.machine) -> \(line.destination.version) \(line.destination.machine)"
        self.init(
            classname: line.product, name: line.cell, seconds: line.seconds, findings: line.findings,
            text: line.findings + [sides] + line.explanation + [line.reproduce])
        let known = line.deviations.explained.map { shown in
            let deviation = deviations[shown.id]
            return [
                "known deviation \(shown.id) of \(shown.exactVersion ? "these versions" : "other versions"), breaks "
                    + shown.rules.joined(separator: ", "), deviation?.reason, deviation.map { "reference: \($0.reference)" },
            ].compactMap { $0 }.joined(separator: "\n")
        }
        let fixed = line.deviations.fixedSince.map { "fixed since: known deviation \($0.id) did not show" }
        if !(known + fixed).isEmpty { output = characters((known + fixed).joined(separator: "\n")) }
    }

    fileprivate init(_ cell: LeftOut) {
        self.init(
            classname: attribute(cell.product), name: attribute(cell.name), time: inSeconds(0),
            skipped: .init(message: attribute(cell.reason)))
    }
}

private func inSeconds(_ seconds: Double) -> String { String(format: "%.3f", seconds.isFinite ? max(seconds, 0) : 0) }

/// Text of an element. What XML 1.0 cannot hold is among what is escaped.
private func characters(_ text: String) -> String { escapedLines(text) }

/// An attribute has no line ends: a reader would make spaces of them.
private func attribute(_ text: String) -> String {
    escaped(String(String.UnicodeScalarView(text.unicodeScalars.map { $0 == "\n" || $0 == "\t" ? " " : $0 })))
}
