/// What a device answers to the queries of its precopy bytes, and what QEMU prints of the answers.
import MigrationTrace

/// The first answers of a saving session, in order. A source that waits receives the same answer again and again, which is kept once.
struct PrecopyAnswers: Sendable {
    /// Runs of equal answers that are kept.
    private static let most = 1024

    private struct Answer: Sendable {
        /// The line of the first of the run.
        var place: Place
        var initial: UInt64
        var dirty: UInt64
        var reinit: Bool
        var result: Int64
        var count = 1

        /// A query that fails has no bytes and no flag.
        func equals(_ other: Answer) -> Bool {
            result == other.result && (result < 0 || initial == other.initial && dirty == other.dirty && reinit == other.reinit)
        }

        var text: String { result < 0 ? "ret \(result)" : "\(initial) initial and \(dirty) dirty bytes, reinit \(reinit ? 1 : 0)" }
    }

    private var runs: [Answer] = []
    /// False after missing or repeated lines: later answers cannot be counted.
    private var isComplete = true

    mutating func add(initial: UInt64, dirty: UInt64, reinit: Bool, result: Int64, at place: Place) {
        guard isComplete else { return }
        let answer = Answer(place: place, initial: initial, dirty: dirty, reinit: reinit, result: result)
        if let last = runs.last, last.equals(answer) {
            runs[runs.count - 1].count += 1
        } else if runs.count < Self.most {
            runs.append(answer)
        } else {
            isComplete = false
        }
    }

    /// Later answers cannot be counted.
    mutating func close() { isComplete = false }

    /// The first answer of the device that QEMU printed otherwise; nil if there is none among those that both have.
    static func mismatch(of device: String, printed: PrecopyAnswers, answered: PrecopyAnswers) -> Finding? {
        var ends = (printed: 0, answered: 0)
        var (print, answer) = (printed.runs[...], answered.runs[...])
        while let one = print.first, let other = answer.first {
            guard one.equals(other) else {
                let number = max(ends.printed, ends.answered) + 1
                return Finding(
                    rule: .queryAsAnswered, device: device,
                    found: "precopy query \(number) printed \(one.text), but the device answered \(other.text)",
                    places: [one.place, other.place], legal: other.text)
            }
            let next = (printed: ends.printed + one.count, answered: ends.answered + other.count)
            if next.printed <= next.answered {
                print.removeFirst()
                ends.printed = next.printed
            }
            if next.answered <= next.printed {
                answer.removeFirst()
                ends.answered = next.answered
            }
        }
        return nil
    }
}
