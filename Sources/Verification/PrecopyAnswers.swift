/// What a device answers to the queries of its precopy bytes, and what QEMU prints of the answers.
import MigrationTrace

/// The first answers of a saving session, in order.
struct PrecopyAnswers: Sendable {
    /// Answers that are kept. A source that waits may ask without end.
    static let most = 4096

    private struct Answer: Sendable {
        var place: Place
        var initial: UInt64
        var dirty: UInt64
        var reinit: Bool
        var result: Int64

        /// A query that fails has no bytes and no flag.
        func equals(_ other: Answer) -> Bool {
            result == other.result && (result < 0 || initial == other.initial && dirty == other.dirty && reinit == other.reinit)
        }

        var text: String { result < 0 ? "ret \(result)" : "\(initial) initial and \(dirty) dirty bytes, reinit \(reinit ? 1 : 0)" }
    }

    private var answers: [Answer] = []
    /// False after missing or repeated lines: later answers cannot be counted.
    private var isComplete = true

    mutating func add(initial: UInt64, dirty: UInt64, reinit: Bool, result: Int64, at place: Place) {
        guard isComplete, answers.count < Self.most else { return }
        answers.append(Answer(place: place, initial: initial, dirty: dirty, reinit: reinit, result: result))
    }

    /// Later answers cannot be counted.
    mutating func close() { isComplete = false }

    /// The first answer of the device that QEMU printed otherwise; nil if there is none among those that both have.
    static func mismatch(of device: String, printed: PrecopyAnswers, answered: PrecopyAnswers) -> Finding? {
        for (number, (print, answer)) in zip(printed.answers, answered.answers).enumerated() where !print.equals(answer) {
            return Finding(
                rule: .queryAsAnswered, device: device,
                found: "precopy query \(number + 1) printed \(print.text), but the device answered \(answer.text)",
                places: [print.place, answer.place], legal: answer.text)
        }
        return nil
    }
}
