/// Two handshakes side by side, aligned by what the steps mean: requests, markers, approvals, ACKs, the decision, statuses, endings. Times,
/// numbers of queries and sizes play no part.
///
/// Each side, its return path and each of its devices is aligned by itself, since between them a log has no order that a second run must
/// repeat. The account of both runs is in the order of the first one.
import MigrationTrace
import Verification

package struct SideBySide: Sendable {
    /// One of the two migrations.
    package struct Run: Sendable {
        package var title: String
        package var story: Story
        /// How it ended.
        package var ending: String

        package init(_ story: Story, _ judgement: Judgement, title: String) {
            self.title = title
            self.story = story
            ending = judgement.verdict.rawValue
        }

        package init(_ trace: Trace, title: String) {
            self.init(Story(trace), judge(trace), title: title)
        }
    }

    /// The actor of a step.
    package struct Actor: Hashable, Sendable {
        package enum Part: Hashable, Sendable {
            case core
            case returnPath
            /// By the order of the section idstrs, from 0.
            case device(Int)
        }

        package var side: PictureSide
        package var part: Part

        package var description: String {
            switch part {
            case .core: side.rawValue
            case .returnPath: "\(side.rawValue), return path"
            case .device(let number): "\(side.rawValue), v\(number)"
            }
        }
    }

    /// A step as it is compared.
    package struct Item: Hashable, Sendable {
        package var actor: Actor
        package var meaning: String
        /// The line of the log, and where it is.
        package var line: String
        package var place: Place
        /// The place in the story of its run.
        fileprivate var order: Int
    }

    /// What both do at one point; one of the two may do nothing.
    package struct Point: Hashable, Sendable {
        package var left: Item?
        package var right: Item?
        package var isSame: Bool { left?.meaning == right?.meaning }
        package var actor: Actor { (left ?? right)!.actor }
    }

    package let left: Run
    package let right: Run
    package let points: [Point]
    /// The actors whose steps were too many to be aligned to their end.
    package let cut: [Actor]

    /// The most steps of an actor that are aligned.
    private static let most = 2000

    package init(_ left: Run, _ right: Run) {
        (self.left, self.right) = (left, right)
        let items = (left: Self.items(left.story), right: Self.items(right.story))
        let (before, after) = (Dictionary(grouping: items.left, by: \.actor), Dictionary(grouping: items.right, by: \.actor))
        let actors = Set(before.keys).union(after.keys)
        var points: [Point] = []
        var cut: [Actor] = []
        for actor in actors {
            let (first, second) = (before[actor] ?? [], after[actor] ?? [])
            if max(first.count, second.count) > Self.most { cut.append(actor) }
            points += align(Array(first.prefix(Self.most)), Array(second.prefix(Self.most)))
        }
        self.cut = cut.sorted { $0.description < $1.description }
        self.points = inOrder(points)
    }

    /// True if the two end alike and take the same steps.
    package var isSame: Bool { left.ending == right.ending && points.allSatisfy(\.isSame) }

    /// The first point at which the two part.
    package var firstDifference: Point? { points.first { !$0.isSame } }

    // MARK: What is compared

    fileprivate static func items(_ story: Story) -> [Item] {
        var devices = Set<String>()
        for step in story.steps { for mark in step.devices where devices.count < 256 { devices.insert(mark.device) } }
        let numbers = Dictionary(uniqueKeysWithValues: devices.sorted().enumerated().map { ($1, $0) })
        let lastCountedIn = story.steps.lastIndex { $0.kind == .countedIn }
        return story.steps.enumerated().flatMap { order, step -> [Item] in
            if step.kind == .countedIn, order != lastCountedIn { return [] }
            return meanings(step).enumerated().map { index, named in
                let (name, meaning) = named
                let part: Actor.Part =
                    switch name {
                    case .core: .core
                    case .returnPath: .returnPath
                    case .device(let device): .device(numbers[device] ?? 0)
                    }
                return Item(
                    actor: Actor(side: step.side, part: part), meaning: meaning, line: step.text, place: step.place,
                    order: order * 512 + index)
            }
        }
    }

    private enum NamedPart {
        case core
        case returnPath
        case device(String)
    }

    private static func meanings(_ step: Step) -> [(NamedPart, String)] {
        func ofDevices(_ meaning: (DeviceMark) -> String) -> [(NamedPart, String)] {
            step.devices.map { (.device($0.device), meaning($0)) }
        }
        switch step.kind {
        case .status(let status): return [(.core, "status \(status.rawValue)")]
        case .guest(let from, let to): return [(.core, "guest: \(from.rawValue) -> \(to.rawValue)")]
        case .deviceState(let state): return ofDevices { _ in state.rawValue }
        case .query:
            return ofDevices { $0.reinitialises ? $0.requests ? "REINIT, request of an ACK" : "REINIT, no request" : "request of an ACK" }
        // A source up to 11.0 prints no marker.
        case .marker, .initialSent: return ofDevices { _ in "initial bytes sent" }
        case .answer(let isLoaded, let isApproved, let sendsACK):
            let words = [isLoaded ? "marker loaded" : nil, isApproved ? "approved" : nil].compactMap { $0 }.joined(separator: ", ")
            let own: [(NamedPart, String)] = words.isEmpty ? [] : step.devices.isEmpty ? [(.core, words)] : ofDevices { _ in words }
            return own + (sendsACK ? [(.returnPath, "ACK sent")] : [])
        case .countedIn: return [(.core, "legacy mode: \(step.pendingACKs ?? 0) counted in")]
        case .ackCounted: return [(.returnPath, step.pendingACKs == .max ? "ACK counted, underflow" : "ACK counted")]
        case .decision: return [(.core, "decision to switch over")]
        case .lastCheck(true): return ofDevices { _ in "last check: REINIT" }
        case .switchoverStart: return [(.core, "SWITCHOVER_START")]
        case .shut: return [(.returnPath, step.side == .source ? "SHUT \(step.size ?? 0)" : "SHUT")]
        case .postcopy(let text): return [(.core, text)]
        case .cancel: return [(.core, "cancel")]
        case .error(let text): return [(.core, "error: \(text)")]
        case .channelError(let text): return [(.core, text)]
        case .finalQuery: return ofDevices { _ in "request of an ACK at the final query" }
        case .queries, .lastCheck(false), .injected, .held, .released, .leftOut: return []
        }
    }
}

/// The steps of one actor in both runs: what only one of them does stands opposite what the other does instead, if anything.
private func align(_ left: [SideBySide.Item], _ right: [SideBySide.Item]) -> [SideBySide.Point] {
    var (removed, inserted): (Set<Int>, Set<Int>) = ([], [])
    for change in right.map(\.meaning).difference(from: left.map(\.meaning)) {
        switch change {
        case .remove(let offset, _, _): removed.insert(offset)
        case .insert(let offset, _, _): inserted.insert(offset)
        }
    }
    var points: [SideBySide.Point] = []
    var (at, to) = (0, 0)
    while at < left.count || to < right.count {
        let first = at < left.count && (removed.contains(at) || to == right.count) ? left[at] : nil
        let second = to < right.count && (inserted.contains(to) || at == left.count) ? right[to] : nil
        switch (first, second) {
        case (nil, nil): points.append(SideBySide.Point(left: left[at], right: right[to]))
        default: points.append(SideBySide.Point(left: first, right: second))
        }
        if first != nil || second == nil { at += 1 }
        if second != nil || first == nil { to += 1 }
    }
    return points
}

/// In the order of the left run; what only the right one does stands before the next step that it shares.
private func inOrder(_ points: [SideBySide.Point]) -> [SideBySide.Point] {
    func key(_ point: SideBySide.Point) -> (Int, String) { (point.left?.order ?? point.right?.order ?? 0, point.actor.description) }
    let own = points.filter { $0.left != nil }.sorted { key($0) < key($1) }
    var rest = points.filter { $0.left == nil }.sorted { key($0) < key($1) }[...]
    var result: [SideBySide.Point] = []
    for point in own {
        if let right = point.right {
            while let next = rest.first, let order = next.right?.order, order < right.order {
                result.append(next)
                rest.removeFirst()
            }
        }
        result.append(point)
    }
    return result + rest
}

extension Story {
    /// What the story means, whatever its times and counts: equal for two handshakes that take the same steps.
    package var meaning: String {
        let items = SideBySide.items(self).map { ($0.actor.description, $0.meaning) }
        return Dictionary(grouping: items, by: \.0).sorted { $0.key < $1.key }.map { actor, items in
            actor + ": " + items.map(\.1).joined(separator: "; ")
        }.joined(separator: "\n")
    }
}

// MARK: Text

extension SideBySide {
    /// The columns of the text.
    package static let width = 100
    /// Equal points around a difference that are shown.
    private static let context = 3

    /// The account in lines of at most 100 columns: `|` marks what differs, `<` and `>` what only one run does. `isWhole`: equal stretches
    /// are shown as well.
    package func lines(isWhole: Bool = false) -> [String] {
        let column = (Self.width - 5) / 2
        var lines = row("A: " + left.title, " ", "B: " + right.title, column)
        lines += row("ends: " + left.ending, left.ending == right.ending ? " " : "|", "ends: " + right.ending, column)
        lines.append(String(repeating: "-", count: Self.width))
        let differing = points.indices.filter { !points[$0].isSame }
        var shown = Set<Int>()
        for index in differing { shown.formUnion(max(index - Self.context, 0)...min(index + Self.context, points.count - 1)) }
        var hidden = 0
        for (index, point) in points.enumerated() {
            guard isWhole || shown.contains(index) else {
                hidden += 1
                continue
            }
            lines += equal(hidden)
            hidden = 0
            let sign = point.isSame ? " " : point.left == nil ? ">" : point.right == nil ? "<" : "|"
            lines += row(text(point.left), sign, text(point.right), column)
        }
        lines += equal(hidden)
        for actor in cut { lines.append("\(actor.description): only the first \(Self.most) steps are compared") }
        return (lines + [""] + verdict).map(trimmed)
    }

    /// Whether the two differ, and where first, with both lines.
    package var verdict: [String] {
        guard let first = firstDifference else {
            return [
                left.ending == right.ending
                    ? "no difference: both take the same steps" : "the steps are the same; the ends differ: \(left.ending); \(right.ending)"
            ]
        }
        let actor = first.actor.description
        func line(_ label: String, _ item: Item?, _ side: KeyPath<Point, Item?>) -> [String] {
            if let item {
                return wrapped("\(label) \(item.place): \(item.line)", to: Self.width - 6).enumerated().map {
                    ($0 == 0 ? "  " : "      ") + $1
                }
            }
            let before = points.prefix { $0 != first }.last { $0.actor == first.actor && $0[keyPath: side] != nil }?[keyPath: side]
            return ["  \(label) has nothing here" + (before.map { ", after \($0.place) (\($0.meaning))" } ?? "")]
        }
        let meanings = "\(first.left?.meaning ?? "nothing") | \(first.right?.meaning ?? "nothing")"
        return wrapped("first difference: \(actor): \(meanings)", to: Self.width - 4).enumerated().map { ($0 == 0 ? "" : "    ") + $1 }
            + line("A", first.left, \.left) + line("B", first.right, \.right)
            + ["\(points.count { !$0.isSame }) of \(points.count) steps differ"]
    }

    private func equal(_ count: Int) -> [String] { count == 0 ? [] : ["  ... \(count) equal \(count == 1 ? "step" : "steps")"] }

    private func text(_ item: Item?) -> String {
        guard let item else { return "" }
        let actor = item.actor.description.replacing("destination", with: "dst").replacing("source", with: "src")
            .replacing(", return path", with: " rp").replacing(", ", with: " ")
        return "\(actor): \(item.meaning) [\(item.place.line)]"
    }

    private func row(_ left: String, _ sign: String, _ right: String, _ column: Int) -> [String] {
        let (first, second) = (wrapped(left, to: column), wrapped(right, to: column))
        return (0..<max(first.count, second.count)).map { index in
            let cell = index < first.count ? first[index] : ""
            return cell + String(repeating: " ", count: max(column - cell.count, 0)) + "  " + (index == 0 ? sign : " ") + "  "
                + (index < second.count ? second[index] : "")
        }
    }
}
