/// Two runs side by side: the cells that both have, compared by what their handshakes mean.
import Matrix
import Running

package struct RunDifference: Sendable {
    /// A cell that differs.
    package struct Cell: Hashable, Sendable {
        package let name: String
        /// What differs first, with the value of either run.
        package let what: String
        package let first: String
        package let second: String
        /// The lines of the two result logs, from 1.
        package let lines: [Int]
    }

    package let differing: [Cell]
    package let same: Int
    package let onlyFirst: [String]
    package let onlySecond: [String]
    private let names: [String]
    /// Cells that a list names, unless it is to be whole.
    private static let mostListed = 10

    /// `names`: the result logs. Of a cell that ran several times the first result counts.
    package init(_ first: [ResultLine], _ second: [ResultLine], names: [String]) {
        self.names = names
        let others = Dictionary(second.enumerated().map { ($1.cell, ($0 + 1, $1)) }) { first, _ in first }
        var seen: Set<String> = []
        var (differing, only, same): ([Cell], [String], Int) = ([], [], 0)
        for (index, line) in first.enumerated() where seen.insert(line.cell).inserted {
            guard let (number, other) = others[line.cell] else {
                only.append(line.cell)
                continue
            }
            let pair = zip(line.account, other.account).first { $0.value != $1.value }
            guard let pair else {
                same += 1
                continue
            }
            differing.append(
                Cell(name: line.cell, what: pair.0.name, first: pair.0.value, second: pair.1.value, lines: [index + 1, number]))
        }
        self.differing = differing
        self.same = same
        onlyFirst = only
        onlySecond = second.map(\.cell).filter { !seen.contains($0) }
    }

    package var isSame: Bool { differing.isEmpty && onlyFirst.isEmpty && onlySecond.isEmpty }

    package var verdict: String {
        guard let first = differing.first else {
            return isSame
                ? "no difference in \(counted(same, "cell"))" : "\(counted(onlyFirst.count + onlySecond.count, "cell")) in one run only"
        }
        return "\(counted(differing.count, "cell")) of \(same + differing.count) differ, first \(first.name): \(first.what)"
    }

    package func lines(isWhole: Bool) -> [String] {
        var lines: [String] = []
        for cell in isWhole ? differing[...] : differing.prefix(Self.mostListed) {
            lines += wrapExactly("\(cell.name): \(cell.what)", width: 100, indent: "    ")
            for (value, (name, line)) in zip([cell.first, cell.second], zip(names, cell.lines)) {
                lines += wrap("\(name):\(line): \(value)", width: 96, indent: "    ").map { "    " + $0 }
            }
        }
        if !isWhole, differing.count > Self.mostListed { lines.append("... \(differing.count - Self.mostListed) more; --whole lists them") }
        for (name, only) in zip(names, [onlyFirst, onlySecond]) where !only.isEmpty {
            let shown = isWhole ? only[...] : only.prefix(Self.mostListed)
            let more = only.count > shown.count ? " and \(only.count - shown.count) more" : ""
            lines += wrap("only in \(name): \(shown.joined(separator: ", "))\(more)", width: 100, indent: "    ")
        }
        return lines + [verdict]
    }
}

extension ResultLine {
    /// What two results of one cell are compared by, in the order in which it matters.
    fileprivate var account: [(name: String, value: String)] {
        func list(_ counts: [String: Int], unnamed: Int = 0) -> String {
            let named = counts.sorted { $0.key < $1.key }.map { "\($0.key) x\($0.value)" } + (unnamed > 0 ? ["\(unnamed) unnamed"] : [])
            return named.isEmpty ? "none" : named.joined(separator: " ")
        }
        func each(_ value: (Leg) -> String) -> String { legs.map(value).joined(separator: "; ") }
        return [
            ("ending", each { $0.ending }),
            ("broken rules", each { Set($0.broken.map(\.rule)).sorted().joined(separator: " ") }),
            ("requests", each { list($0.counts.requests) }),
            ("counted in", each { list($0.counts.countedIn, unnamed: $0.counts.countedInUnnamed) }),
            ("approvals", each { list($0.counts.approvals) }),
            ("ACKs", each { "\($0.counts.acksSent) sent, \($0.counts.acksCounted) counted" }),
            ("gating", each { $0.gating ? "gating" : "not gating" }),
            ("result", finding ? "finding" : isKnownDeviation ? "known deviation" : "as predicted"),
        ]
    }
}
