/// The handshakes before and after the first bad revision, and the first difference between them that matters.
///
/// Both runs are brought into the canonical form in which two runs of one cell are equal. Threads have no common order, so the differences
/// of all threads are ranked: what a thread does otherwise comes before what it does not do any more, since most threads end early where
/// one goes wrong; then the one that is nearer to the beginning of the chain from request over marker, approval and ACK to the decision.
/// `SideBySide` of Pictures shows every step of two runs in the order of the logs; here one difference is wanted, in any order of threads.
import MigrationTrace
import Pictures
import Reports
import Verification

package struct BeforeAndAfter: Sendable {
    package struct Row: Hashable, Sendable {
        package let label: String
        package let before: String
        package let after: String
        package var differs: Bool { before != after }
    }

    /// A place where the two runs part.
    package struct Parting: Hashable, Sendable {
        package let thread: ProtocolThread
        /// The steps that both have right before it; a few.
        package let common: [String]
        /// What each does then; nil: nothing more.
        package let before: String?
        package let after: String?
    }

    package let rows: [Row]
    package let parting: Parting?

    package init(before: Trace, after: Trace) {
        let judgements = (judge(before), judge(after))
        rows = Self.rows(judgements.0, judgements.1)
        parting = Self.parting(ProtocolSequence(before), ProtocolSequence(after))
    }

    private static func rows(_ before: Judgement, _ after: Judgement) -> [Row] {
        func row(_ label: String, _ value: (Judgement) -> String) -> Row { Row(label: label, before: value(before), after: value(after)) }
        let counts = before.handshake.counts.map(\.name).map { name in
            row(name) { $0.handshake.counts.first { $0.name == name }?.value ?? "none" }
        }
        return [row("mode") { $0.handshake.mode?.rawValue ?? "not known" }] + counts + [
            row("decision") { judgement in
                judgement.handshake.decision.map { decision in
                    decision.acksMissing == 0 ? "with every ACK" : "\(decision.acksMissing) ACKs missing"
                } ?? "none"
            },
            row("gating") { $0.isGating ? "yes" : "no" },
            row("ending") { $0.verdict.rawValue },
            row("broken rules") { $0.broken.isEmpty ? "none" : $0.broken.joined(separator: ", ") },
        ]
    }

    private static func parting(_ before: ProtocolSequence, _ after: ProtocolSequence) -> Parting? {
        let threads = Set(before.threads.keys).union(after.threads.keys).sorted { $0.description < $1.description }
        let partings = threads.compactMap { thread in
            Parting(thread, before.threads[thread] ?? [], after.threads[thread] ?? [])
        }
        return partings.min { ($0.rank, $0.thread.description) < ($1.rank, $1.thread.description) }
    }
}

extension BeforeAndAfter.Parting {
    /// nil where the thread does the same in both runs.
    fileprivate init?(_ thread: ProtocolThread, _ before: [ProtocolStep], _ after: [ProtocolStep]) {
        let same = zip(before, after).prefix { $0 == $1 }.count
        guard same < before.count || same < after.count else { return nil }
        self.init(
            thread: thread, common: before[..<same].suffix(3).map(\.text), before: same < before.count ? before[same].text : nil,
            after: same < after.count ? after[same].text : nil)
    }

    fileprivate var rank: Int {
        let place =
            switch (thread.role, thread.isSource) {
            case (.iteration, true): 0
            case (.main, false), (.listen, false), (.messages, false): 1
            case (.returnPath, _): 2
            case (.migration, _): 3
            case (.main, true), (.statuses, _), (.multifd, _), (.iteration, false), (.listen, true), (.messages, true): 4
            case (.device, _): 5
            // What fails says so last.
            case (.errors, _), (.join, _): 6
            }
        return (before == nil || after == nil ? 10 : 0) + place
    }
}

extension BeforeAndAfter {
    /// Columns, at most 100 wide; `≠` stands where the two differ.
    package func lines(before: String, after: String) -> [String] {
        let width = 38
        func cells(_ text: String) -> [String] { wrap(text, width: width) }
        func line(_ mark: String, _ label: String, _ left: String, _ right: String) -> String {
            trimmed("\(mark) \(padded(label, 14))\(padded(left, width + 2))\(right)")
        }
        var lines = [line(" ", "", before, after)]
        for row in rows {
            let (left, right) = (cells(row.before), cells(row.after))
            for index in 0..<max(left.count, right.count, 1) {
                lines.append(
                    line(
                        index == 0 && row.differs ? "≠" : " ", index == 0 ? row.label : "", index < left.count ? left[index] : "",
                        index < right.count ? right[index] : ""))
            }
        }
        return lines
    }

    /// The first difference that matters, in lines for a mail.
    package var partingLines: [String] {
        guard let parting else { return ["The two runs make the same steps."] }
        func step(_ mark: String, _ text: String?) -> [String] {
            wrap(text ?? "(nothing more)", width: 96, indent: "    ").enumerated().map { ($0 == 0 ? mark : " ") + " " + $1 }
        }
        return ["\(parting.thread):"] + parting.common.flatMap { step(" ", $0) } + step("-", parting.before) + step("+", parting.after)
    }
}
