/// What a whole run showed: how its cells ended, where the ACK gated, which known deviations showed, and the findings.
import Foundation
import Matrix
import MigrationTrace
import Running

package struct Summary: Sendable {
    /// Cells with a value of an axis.
    package struct ValueCount: Hashable, Sendable {
        package var cells = 0
        /// Cells in which the ACK held the decision back.
        package var gating = 0
        /// Cells that are to complete with ACKs.
        package var expectingACK = 0
        /// Those of them in which it was seen to hold the decision back.
        package var heldBack = 0
    }

    /// A value of an axis.
    package struct AxisValue: Hashable, Sendable, CustomStringConvertible {
        package let axis: String
        package let value: String

        package var description: String { "\(axis) \(value)" }
    }

    private struct Showing {
        var cells = 0
        /// `SOURCE -> DESTINATION`, exact.
        var versions: Set<String> = []
    }

    private let axes: [Axis]
    private let isWhole: Bool
    private let deviations: [String: Deviation]
    /// Identifiers in file order.
    private let order: [String]

    package private(set) var cells = 0
    package private(set) var gating = 0
    package private(set) var knownDeviations = 0
    /// The first results with a finding, in the order they came, and the number of all.
    package private(set) var findings: [ResultLine] = []
    package private(set) var findingCount = 0
    /// The most findings that are told one by one: a cell may run a million times, and results.jsonl has every result.
    package static let mostFindings = 1000
    private var endings: [String: (cells: Int, gating: Int, known: Int, findings: Int)] = [:]
    private var values: [AxisValue: ValueCount] = [:]
    private var shown: [String: Showing] = [:]
    private var absent: [String: Showing] = [:]
    private var fixed: [String: Showing] = [:]
    /// Deviations that showed on versions that the list does not have.
    private var new: Set<String> = []
    private var otherFindings: [String] = []
    private var otherFindingCount = 0
    /// Cells that are races, in the order they came: the endings they took.
    private var races: [(cell: String, endings: [String: Int])] = []

    /// `axes` and `deviations` are those the cells were made with. Only a run of all cells of its tier (`isWhole`) has to have a gating
    /// cell for each axis value.
    package init(axes: [Axis], deviations: [Deviation], isWhole: Bool = true) {
        self.axes = axes
        self.isWhole = isWhole
        self.deviations = Dictionary(deviations.map { ($0.id, $0) }) { first, _ in first }
        order = deviations.map(\.id)
    }

    package mutating func add(_ line: ResultLine) {
        cells += 1
        if line.isGating { gating += 1 }
        if line.isKnownDeviation { knownDeviations += 1 }
        if line.finding {
            findingCount += 1
            if findings.count < Self.mostFindings { findings.append(line) }
        }
        var ending = endings[line.ending] ?? (0, 0, 0, 0)
        ending.cells += 1
        if line.isGating { ending.gating += 1 }
        if line.isKnownDeviation { ending.known += 1 }
        if line.finding { ending.findings += 1 }
        endings[line.ending] = ending
        for axis in axes {
            let value = AxisValue(axis: axis.name, value: line.selection[axis.name] ?? axis.plain)
            values[value, default: ValueCount()].cells += 1
            if line.isGating { values[value]!.gating += 1 }
            if line.last.predicted.expectsACK { values[value]!.expectingACK += 1 }
            if line.last.predicted.expectsACK && line.isGating { values[value]!.heldBack += 1 }
        }
        let versions = "\(line.source.version) -> \(line.destination.version)"
        func note(_ id: String, _ showings: inout [String: Showing]) {
            showings[id, default: Showing()].cells += 1
            showings[id]!.versions.insert(versions)
        }
        for deviation in line.deviations.explained {
            note(deviation.id, &shown)
            if !deviation.exactVersion { new.insert(deviation.id) }
        }
        for deviation in line.deviations.absent { note(deviation.id, &absent) }
        for deviation in line.deviations.fixedSince { note(deviation.id, &fixed) }
        guard line.isRace else { return }
        if let index = races.firstIndex(where: { $0.cell == line.cell }) {
            races[index].endings[line.ending, default: 0] += 1
        } else {
            races.append((line.cell, [line.ending: 1]))
        }
    }

    /// A finding that belongs to no cell, in one sentence.
    package mutating func add(wholeRunFinding sentence: String) {
        otherFindingCount += 1
        if otherFindings.count < Self.mostFindings { otherFindings.append(sentence) }
    }

    /// The number of all findings, of cells and of the whole run.
    package var allFindings: Int { findingCount + wholeRunFindings.count + otherFindingCount - otherFindings.count }

    /// Identifiers of the deviations that showed on versions that the list does not have, in its order.
    package var newDeviations: [String] { order.filter(new.contains) }
    /// Identifiers of the deviations that did not show on the versions they were seen on.
    package var absentDeviations: [String] { order.filter { absent[$0] != nil } }
    /// Identifiers of the deviations that did not show on other versions.
    package var fixedDeviations: [String] { order.filter { fixed[$0] != nil } }

    /// Cells with this value, of `axes`.
    package func count(of value: String, on axis: String) -> ValueCount {
        values[AxisValue(axis: axis, value: value)] ?? ValueCount()
    }

    /// Axis values of cells that are to complete with ACKs, of which not one gated, though nothing in the matrix says why it should not:
    /// what these cells say of the value proves nothing.
    package var ungated: [AxisValue] {
        axes.flatMap { axis in axis.values.filter { axis.ungated[$0] == nil }.map { AxisValue(axis: axis.name, value: $0) } }
            .filter { value in values[value].map { $0.expectingACK > 0 && $0.heldBack == 0 } ?? false }
    }

    /// Those of which the matrix says that their ACKs hold nothing back, and that did.
    private var gatedAgainstTheMatrix: [AxisValue] {
        axes.flatMap { axis in axis.values.filter { axis.ungated[$0] != nil }.map { AxisValue(axis: axis.name, value: $0) } }
            .filter { (values[$0]?.heldBack ?? 0) > 0 }
    }

    /// Findings that belong to no cell, one sentence each.
    package var wholeRunFindings: [String] {
        otherFindings
            + (isWhole ? ungated : []).map {
                "axis \($0.axis): expected a gating cell with the value \($0.value), found none among the "
                    + "\(values[$0]?.expectingACK ?? 0) that complete with ACKs"
            }
            + (isWhole ? gatedAgainstTheMatrix : []).map {
                "axis \($0.axis): expected no gating cell with the value \($0.value), which the matrix lists as ungated, found "
                    + "\(values[$0]?.heldBack ?? 0)"
            }
    }
}

extension Summary {
    /// The whole in some `lines` lines of at most `width` columns; commands may be longer. Whatever showed is named, so that a long list of
    /// known deviations may take more lines. `seconds` is the wall time of the run.
    package func text(seconds: Double, width: Int = 140, lines: Int = 60) -> String {
        var parts = [endingsPart, axesPart(width)]
        let rest = [racesPart(width), missingPart("absent", absent, width), missingPart("fixed since", fixed, width), findingsPart(width)]
        // First sentences where whole reasons do not fit.
        let used = (parts + rest).reduce(2) { $0 + $1.lines.count + 1 }
        let whole = shownPart(width, isWhole: true)
        parts.append(used + whole.lines.count <= lines ? whole : shownPart(width, isWhole: false))
        parts += rest
        let least = parts.reduce(1) { $0 + ($1.lines.isEmpty ? 0 : min($1.lines.count, $1.least) + 1) }
        // Findings stay longest.
        let order = [parts.count - 1] + parts.indices.dropLast()
        return (fit(parts, within: max(lines, least) - 1, order: order, whole: "summary.txt has them") + [closingLine(seconds: seconds)])
            .map(escaped).joined(
                separator: "\n")
    }

    package func closingLine(seconds: Double) -> String {
        let asPredicted = cells - findingCount
        return
            "\(counted(cells, "cell")): \(asPredicted) as predicted (\(knownDeviations) of them known deviations of released versions), "
            + "\(counted(allFindings, "finding")); the ACK gated the decision in \(gating); "
            + String(format: "%.1f s, %.2f s a cell", seconds, cells > 0 ? seconds / Double(cells) : 0)
    }

    private var endingsPart: TextPart {
        let rows = endings.sorted { ($1.value.cells, $0.key) < ($0.value.cells, $1.key) }.map { ending, count in
            [ending] + [count.cells, count.gating, count.known, count.findings].map { $0 == 0 ? "-" : "\($0)" }
        }
        let lines =
            rows.isEmpty
            ? [] : table([["endings", "cells", "gating", "known deviations", "findings"]] + rows.map { ["  " + $0[0]] + $0.dropFirst() })
        return TextPart(nil, lines, least: lines.count)
    }

    /// Puts two short axes on one line. Leaves out an axis whose cells all have one value.
    private func axesPart(_ width: Int) -> TextPart {
        let rows = axes.compactMap { axis -> (name: String, values: [String])? in
            let values = axis.values.compactMap { value -> String? in
                let count = count(of: value, on: axis.name)
                return count.cells == 0 ? nil : "\(value) \(count.cells)/\(count.gating)"
            }
            return values.count > 1 ? (axis.name, values) : nil
        }
        let nameWidth = rows.map(\.name.count).max() ?? 0
        let column = (width - 2) / 2 - 2
        var lines: [String] = []
        var left: String?
        for row in rows {
            var text = padded(row.name, nameWidth)
            var whole: [String] = []
            for value in row.values {
                if text.count + 2 + value.count > width - 2 {
                    whole.append(text)
                    text = padded("", nameWidth)
                }
                text += "  " + value
            }
            if let first = left, whole.isEmpty, text.count <= column {
                lines.append(padded(first, column + 2) + text)
                left = nil
            } else {
                if let first = left { lines.append(first) }
                left = whole.isEmpty && text.count <= column ? text : nil
                if left == nil { lines += whole + [text] }
            }
        }
        if let left { lines.append(left) }
        return TextPart("axes (value cells/gating)", lines.map { "  " + $0 }, least: lines.count)
    }

    /// Each with its whole reason, or with the first sentence.
    private func shownPart(_ width: Int, isWhole: Bool) -> TextPart {
        let lines = order.filter { shown[$0] != nil }.flatMap { id -> [String] in
            let showing = shown[id]!
            let reason = deviations[id]?.reason ?? ""
            let text = isWhole || firstSentence(reason) == reason ? reason : firstSentence(reason) + " ..."
            let versions = showing.versions.sorted().joined(separator: ", ")
            return wrap("\(id), \(counted(showing.cells, "cell")), \(versions): \(text)", width: width - 2, indent: "    ").map {
                "  " + $0
            }
        }
        return TextPart("known deviations", lines, least: lines.count)
    }

    private func missingPart(_ title: String, _ missing: [String: Showing], _ width: Int) -> TextPart {
        let lines = order.flatMap { id in
            missing[id].map {
                wrapExactly(
                    "  \(id)  \(counted($0.cells, "cell"))  \($0.versions.sorted().joined(separator: ", "))", width: width, indent: "      "
                )
            } ?? []
        }
        return TextPart("known deviations, \(title)", lines, least: 2)
    }

    private func racesPart(_ width: Int) -> TextPart {
        let nameWidth = races.map(\.cell.count).max() ?? 0
        let lines = races.flatMap { race in
            let ways = race.endings.sorted { $0.key < $1.key }.map { $0.value > 1 ? "\($0.key) x\($0.value)" : $0.key }
            return wrapExactly("  \(padded(race.cell, nameWidth))  \(ways.joined(separator: ", "))", width: width, indent: "      ")
        }
        return TextPart("races", lines, least: 3)
    }

    private func findingsPart(_ width: Int) -> TextPart {
        var lines = wholeRunFindings.flatMap { wrap($0, width: width - 4, indent: "  ").map { "  " + $0 } }
        for line in findings {
            let text = "\(line.cell), \(line.ending): \(line.findings.joined(separator: "; "))"
            lines += wrap(text, width: width - 2, indent: "    ").map { "  " + $0 }
            lines.append("      " + line.reproduce)
        }
        let rest = allFindings - findings.count - wholeRunFindings.count
        if rest > 0 { lines.append("  \(counted(rest, "further finding")) in results.jsonl") }
        return TextPart("findings", lines, least: 10)
    }
}
