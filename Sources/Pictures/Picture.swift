/// The picture of a handshake: time runs downwards, and each side and each device has a lane. A pure value; renderers draw it.
///
/// A row holds what the devices of a side do in one step. Rows of one side are in the order of its log; rows of the two sides only where a
/// link joins them (see `Story`). What repeats is folded.
import MigrationTrace
import Verification

package struct Picture: Sendable {
    package struct Lane: Hashable, Sendable {
        package var side: PictureSide
        /// By idstr; nil: the side itself.
        package var device: String?
        /// At most six characters.
        package var label: String
    }

    package struct Row: Sendable {
        package var side: PictureSide
        package var steps: [Step]
        /// What happens, in one sentence.
        package var sentence: String
        /// The broken rules that this row shows.
        package var rules: [String] = []
        /// After the row: by number of lane, whether initial bytes are left, or ACKs pending.
        package var busy: [Bool] = []
        /// A row that stands for others that are not shown.
        package var isFold = false

        package var kind: Step.Kind { steps[0].kind }
        /// The lines of the log, from the first to the last of the row's steps.
        package var lines: ClosedRange<Int> {
            (steps.map(\.lines.lowerBound).min() ?? 0)...(steps.map(\.lines.upperBound).max() ?? 0)
        }
        package var place: String { "\(steps[0].stream.rawValue):\(lines.lowerBound)" }
        package var devices: [DeviceMark] { steps.flatMap(\.devices) }
    }

    /// A content that leads from one row to another.
    package struct Arrow: Hashable, Sendable {
        package var kind: Story.Link.Kind
        package var from: Int
        package var to: Int
        package var device: String?
    }

    package var title: String
    /// One line for each side: what it is.
    package var sides: [String] = []
    package var ending = ""
    package var reason = ""
    /// The broken rules: the rule, what was found, and where.
    package var findings: [String] = []
    /// Which device a label stands for.
    package var legend: [String] = []
    package private(set) var lanes: [Lane] = []
    package private(set) var rows: [Row] = []
    package private(set) var arrows: [Arrow] = []
    package private(set) var further = 0

    /// What a busy lane means, and which rows have an order.
    package static let laneNote = "initial bytes left, or (source) ACKs pending"
    package static let orderNote =
        "Rows of one side are in the order of its log; between the sides only a marker and its load, an ACK and its count, "
        + "SWITCHOVER_START and SHUT have an order."

    /// The most devices of a side that have a lane of their own; the others share one.
    package static let mostDevices = 8
    /// The most rows; of more, those in the middle are left out.
    package static let mostRows = 400

    package init(_ story: Story, title: String) {
        self.title = title
        further = story.further
        (lanes, legend) = Self.lanes(of: story)
        var rowOfStep: [Int] = []
        for step in story.steps { rowOfStep.append(add(step)) }
        for link in story.links {
            let arrow = Arrow(kind: link.kind, from: rowOfStep[link.from], to: rowOfStep[link.to], device: link.device)
            if arrow.from != arrow.to { arrows.append(arrow) }
        }
        arrows = Array(Set(arrows)).sorted { ($0.from, $0.to, $0.device ?? "") < ($1.from, $1.to, $1.device ?? "") }
        for index in rows.indices { rows[index].sentence = sentence(of: rows[index], label: label) }
        foldRepeatedRows()
        leaveOutTheMiddle()
        markBusyLanes()
    }

    /// The picture of a recorded migration and its judgement.
    package init(_ trace: Trace, _ judgement: Judgement, title: String? = nil) {
        self.init(Story(trace), title: title ?? (trace.header.cell.isEmpty ? "a recorded migration" : trace.header.cell))
        sides = Self.sides(of: trace.header)
        add(judgement)
    }

    /// What each side is, in one line.
    package static func sides(of header: TraceHeader) -> [String] {
        let known = Circumstances(header)
        return [("source", header.source, known.sourceMode), ("destination", header.destination, known.destinationMode)].map {
            label, side, mode in
            let words = [side.version.isEmpty ? side.name : side.version, side.machine, mode.map { "\($0.rawValue) mode" } ?? ""]
            return "\(label): " + words.filter { !$0.isEmpty }.joined(separator: ", ")
        }
    }

    /// Adds how the migration ended, and marks the rows in which rules broke.
    package mutating func add(_ judgement: Judgement) {
        ending = judgement.verdict.rawValue
        reason = judgement.reason
        for finding in judgement.findings {
            let device = finding.device.map { " (\(label($0)))" } ?? ""
            let places = finding.places.map(\.description).joined(separator: ", ")
            findings.append("\(finding.rule.id)\(device): \(finding.found) [\(places)]")
            for place in finding.places.prefix(1) {
                guard let row = row(at: place), !rows[row].rules.contains(finding.rule.id) else { continue }
                rows[row].rules.append(finding.rule.id)
            }
        }
    }

    /// The row that shows a line, or else the last one of its log before the line.
    private func row(at place: Place) -> Int? {
        let own = rows.indices.filter { rows[$0].steps[0].stream == place.stream }
        return own.last { rows[$0].steps.contains { $0.lines.contains(place.line) } } ?? own.last {
            rows[$0].lines.lowerBound <= place.line
        }
            ?? own.first
    }

    /// The label of a device, by its idstr; `others` share one.
    package func label(_ device: String) -> String {
        lanes.first { $0.device == device }?.label ?? device
    }

    /// The number of the lane of a device of a side; nil: the side's own.
    package func lane(_ side: PictureSide, _ device: String?) -> Int {
        let own = lanes.indices.filter { lanes[$0].side == side }
        guard let device else { return own.first { lanes[$0].device == nil } ?? 0 }
        return own.first { lanes[$0].device == device } ?? own.last { lanes[$0].device != nil } ?? 0
    }
}

// MARK: Lanes

extension Picture {
    /// The source, its devices, the devices of the destination, and the destination.
    private static func lanes(of story: Story) -> ([Lane], [String]) {
        var seen: [String] = []
        for step in story.steps {
            for mark in step.devices where !seen.contains(mark.device) && seen.count < 256 { seen.append(mark.device) }
        }
        seen.sort()
        let isCut = seen.count > mostDevices
        let shown = seen.prefix(isCut ? mostDevices - 1 : mostDevices)
        var legend: [String] = []
        var labels: [String: String] = [:]
        for (number, device) in shown.enumerated() {
            let names = [story.names[.source]?[device], story.names[.destination]?[device]].compactMap { $0 } + [device]
            let short = names.first { $0.count <= 6 } ?? "dev\(number)"
            labels[device] = labels.values.contains(short) ? "dev\(number)" : short
            let others = ([device] + names).reduce(into: [String]()) { if !$0.contains($1), $1 != labels[device] { $0.append($1) } }
            legend.append(([labels[device]!] + others).joined(separator: " = "))
        }
        if isCut { legend.append("others = \(seen.count - shown.count) further devices") }
        func devices(_ side: PictureSide) -> [Lane] {
            shown.map { Lane(side: side, device: $0, label: labels[$0]!) }
                + (isCut ? [Lane(side: side, device: seen[shown.count], label: "others")] : [])
        }
        return (
            [Lane(side: .source, device: nil, label: "src")] + devices(.source) + devices(.destination)
                + [Lane(side: .destination, device: nil, label: "dst")], legend
        )
    }
}

// MARK: Rows

extension Picture {
    /// Adds a step to the row that it belongs to, or as a row of its own; the number of the row.
    private mutating func add(_ step: Step) -> Int {
        if let row = joined(by: step) {
            rows[row].steps.append(step)
            return row
        }
        rows.append(Row(side: step.side, steps: [step], sentence: ""))
        return rows.count - 1
    }

    /// The row of the same kind that the step belongs to: rows of other devices may stand between, rows of the side itself and of the other
    /// side may not.
    private func joined(by step: Step) -> Int? {
        guard step.kind.isJoined else { return nil }
        for index in rows.indices.reversed().prefix(8) {
            let row = rows[index]
            guard row.side == step.side else { return nil }
            let isOther = Set(row.devices.map(\.device)).isDisjoint(with: step.devices.map(\.device))
            if row.kind == step.kind, row.steps[0].stream == step.stream, isOther || step.devices.isEmpty {
                return step.devices.isEmpty != row.devices.isEmpty ? nil : index
            }
            guard isOther, !row.devices.isEmpty, !step.devices.isEmpty, row.kind != .query else { return nil }
        }
        return nil
    }

    /// Blocks of rows that come again and again: the first and the last one stay.
    private mutating func foldRepeatedRows() {
        var hashes: [Int] = []
        for row in rows {
            var hasher = Hasher()
            hasher.combine(row.side)
            hasher.combine(row.kind)
            hasher.combine(row.steps[0].stream)
            for mark in row.devices { hasher.combine(mark) }
            hashes.append(hasher.finalize())
        }
        var kept: [(row: Row, old: Int?)] = []
        var index = 0
        while index < rows.count {
            guard let (period, times) = repetition(hashes, at: index), times > 3 else {
                kept.append((rows[index], index))
                index += 1
                continue
            }
            kept += (index..<index + period).map { (rows[$0], $0) }
            let above = period == 1 ? "row above comes" : "\(period) rows above come"
            kept.append((foldRow(index + period..<index + (times - 1) * period, "the \(above) \(times - 2) more times"), nil))
            kept += (index + (times - 1) * period..<index + times * period).map { (rows[$0], $0) }
            index += times * period
        }
        keep(kept)
    }

    /// The shortest period with which the rows repeat from a place on, and how often.
    private func repetition(_ hashes: [Int], at index: Int) -> (period: Int, times: Int)? {
        for period in 1...24 where index + 4 * period <= hashes.count {
            guard hashes[index..<index + period].elementsEqual(hashes[index + period..<index + 2 * period]) else { continue }
            var times = 2
            while index + (times + 1) * period <= hashes.count,
                hashes[index..<index + period].elementsEqual(hashes[index + times * period..<index + (times + 1) * period])
            { times += 1 }
            if times > 3 { return (period, times) }
        }
        return nil
    }

    private mutating func leaveOutTheMiddle() {
        guard rows.count > Self.mostRows else { return }
        let (head, tail) = (Self.mostRows * 5 / 8, Self.mostRows * 3 / 8)
        let fold = foldRow(head..<rows.count - tail, "\(rows.count - head - tail) rows are left out")
        keep(
            rows.indices.prefix(head).map { (rows[$0], $0) } + [(fold, nil)] + rows.indices.suffix(tail).map { (rows[$0], $0) })
    }

    private func foldRow(_ range: Range<Int>, _ words: String) -> Row {
        var row = Row(side: rows[range.lowerBound].side, steps: rows[range.lowerBound].steps, sentence: "… \(words)")
        row.isFold = true
        return row
    }

    private mutating func keep(_ kept: [(row: Row, old: Int?)]) {
        var places = [Int?](repeating: nil, count: rows.count)
        for (new, entry) in kept.enumerated() { if let old = entry.old { places[old] = new } }
        rows = kept.map(\.row)
        arrows = arrows.compactMap { arrow in
            guard let from = places[arrow.from], let to = places[arrow.to] else { return nil }
            return Arrow(kind: arrow.kind, from: from, to: to, device: arrow.device)
        }
    }

    /// A lane is busy while a device has initial bytes left, or while the source waits for an ACK.
    private mutating func markBusyLanes() {
        var busy = [Bool](repeating: false, count: lanes.count)
        for index in rows.indices {
            let row = rows[index]
            for step in row.steps where row.side == .source {
                for mark in step.devices {
                    switch step.kind {
                    case .deviceState(.preCopy), .query, .finalQuery:
                        if let bytes = mark.bytes { busy[lane(.source, mark.device)] = bytes > 0 }
                    case .marker, .initialSent, .deviceState: busy[lane(.source, mark.device)] = false
                    default: break
                    }
                }
                if let pending = step.pendingACKs { busy[lane(.source, nil)] = pending > 0 }
                if case .status(let status) = step.kind, [.completed, .failed, .cancelled].contains(status) {
                    busy = busy.map { _ in false }
                }
            }
            rows[index].busy = busy
        }
    }
}

extension Step.Kind {
    /// True if steps of several devices, or several ones that follow each other, are one row.
    fileprivate var isJoined: Bool {
        switch self {
        case .deviceState, .initialSent, .marker, .answer, .countedIn, .ackCounted, .lastCheck, .injected, .held, .released: true
        default: false
        }
    }
}
