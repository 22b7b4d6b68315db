/// Differences between two runs of one cell: in the verdict, the counts, the broken rules, and the order of protocol events.
///
/// One run is *expected* (a real QEMU's), the other one is *found*. Nothing that depends on time is compared: see `ProtocolVocabulary`.

/// A place at which a thread did something other than expected.
package struct OrderDifference: Hashable, Sendable {
    /// Steps before the place that are kept as context.
    package static let context = 3

    package let thread: ProtocolThread
    /// The number of the first expected step that differs, from 1; one more than the number of expected steps if steps were added at the
    /// end.
    package let position: Int
    /// The last steps before the place, which both runs have.
    package let before: [ProtocolStep]
    /// The missing steps, and the steps that were found instead; one of the two may be empty.
    package let expected: [ProtocolStep]
    package let found: [ProtocolStep]
}

package enum Difference: Hashable, Sendable {
    /// The ending; a refusal with its own text.
    case ending(expected: String, found: String)
    /// A count, such as requests or approvals, by device if it is one of devices.
    case count(String, expected: String, found: String)
    /// Ids of rules that only one of the two runs broke.
    case rules(onlyExpected: [String], onlyFound: [String])
    case order(OrderDifference)
    /// Steps beyond those that are kept, or a leg that only one of the two runs has.
    case extent(String)

    /// The difference in one line.
    package var summary: String {
        switch self {
        case .ending(let expected, let found): "ending: expected \(expected), found \(found)"
        case .count(let what, let expected, let found): "\(what): expected \(expected), found \(found)"
        case .rules(let expected, let found):
            "broken rules: "
                + [("only expected", expected), ("only found", found)].filter { !$0.1.isEmpty }
                .map { "\($0.0) \($0.1.joined(separator: ", "))" }.joined(separator: "; ")
        case .order(let order):
            "\(order.thread), step \(order.position): expected \(Self.first(order.expected)), found \(Self.first(order.found))"
        case .extent(let text): text
        }
    }

    /// The difference in several lines, with the steps before it. Of many steps the first ones, unless it is to be whole.
    package func lines(whole: Bool) -> [String] {
        guard case .order(let order) = self else { return [summary] }
        var lines = ["\(order.thread), step \(order.position):"]
        lines += order.before.map { "      \($0.text)" }
        let most = whole ? Int.max : Self.mostListed
        lines += Self.listed(order.expected, most, "expected ")
        lines += Self.listed(order.found, most, "found    ")
        return lines
    }

    /// Steps of a difference that are printed.
    private static let mostListed = 8

    private static func first(_ steps: [ProtocolStep]) -> String {
        guard let first = steps.first else { return "nothing" }
        return "'\(first.text)'" + (steps.count > 1 ? " and \(steps.count - 1) more" : "")
    }

    private static func listed(_ steps: [ProtocolStep], _ most: Int, _ word: String) -> [String] {
        if steps.isEmpty { return ["    \(word) nothing"] }
        let shown = steps.prefix(most)
        return shown.map { "    \(word) \($0.text)   [\($0.place)]" }
            + (shown.count < steps.count ? ["    \(word) ... \(steps.count - shown.count) more; see --verbose"] : [])
    }
}

extension ProtocolSequence {
    /// Where this differs from what is expected, thread by thread. Two threads, and two devices, have no common order: what one of them
    /// does before or after a step of the other is no difference.
    package func differences(from expected: ProtocolSequence) -> [Difference] {
        let threads = Set(threads.keys).union(expected.threads.keys).sorted { $0.sortKey < $1.sortKey }
        return cut.union(expected.cut).sorted { $0.sortKey < $1.sortKey }.map {
            .extent("\($0): more than \(ProtocolSequence.mostSteps) steps; the rest is not compared")
        } + threads.flatMap { hunks($0, expected.threads[$0] ?? [], self.threads[$0] ?? []).map(Difference.order) }
    }
}

/// Comparisons that a whole alignment may need; beyond that, only the first place at which two threads differ is reported.
private let mostComparisons = 1 << 24

private func hunks(_ thread: ProtocolThread, _ expected: [ProtocolStep], _ found: [ProtocolStep]) -> [OrderDifference] {
    var start = 0
    while start < min(expected.count, found.count), expected[start] == found[start] { start += 1 }
    if start == expected.count, start == found.count { return [] }
    func hunk(_ removed: Range<Int>, _ inserted: Range<Int>) -> OrderDifference {
        OrderDifference(
            thread: thread, position: removed.lowerBound + 1,
            before: Array(expected[max(removed.lowerBound - OrderDifference.context, 0)..<removed.lowerBound]),
            expected: Array(expected[removed]), found: Array(found[inserted]))
    }
    guard (expected.count - start) * (found.count - start) <= mostComparisons else {
        return [hunk(start..<expected.count, start..<found.count)]
    }
    var (removed, inserted): (Set<Int>, Set<Int>) = ([], [])
    for change in found[start...].map(\.self).difference(from: expected[start...].map(\.self)) {
        switch change {
        case .remove(let offset, _, _): removed.insert(start + offset)
        case .insert(let offset, _, _): inserted.insert(start + offset)
        }
    }
    var hunks: [OrderDifference] = []
    var (at, to) = (start, start)
    while at < expected.count || to < found.count {
        let (fromAt, fromTo) = (at, to)
        while removed.contains(at) { at += 1 }
        while inserted.contains(to) { to += 1 }
        if at > fromAt || to > fromTo {
            hunks.append(hunk(fromAt..<at, fromTo..<to))
        } else {
            at += 1
            to += 1
        }
    }
    return hunks
}

extension Judgement {
    /// What differs in verdict, counts and broken rules.
    package func differences(from expected: Judgement) -> [Difference] {
        var found: [Difference] = []
        if verdict != expected.verdict {
            found.append(.ending(expected: "\(expected.verdict.rawValue) (\(expected.reason))", found: "\(verdict.rawValue) (\(reason))"))
        }
        for (count, other) in zip(handshake.counts, expected.handshake.counts) where count.value != other.value {
            found.append(.count(count.name, expected: other.value, found: count.value))
        }
        let (ours, theirs) = (Set(broken), Set(expected.broken))
        if ours != theirs {
            found.append(.rules(onlyExpected: theirs.subtracting(ours).sorted(), onlyFound: ours.subtracting(theirs).sorted()))
        }
        return found
    }
}
