/// What a comparison of two runs of one cell found.
import Matrix
import MigrationTrace
import Prediction
import Verification

package struct CellComparison: Sendable {
    package enum Outcome: Hashable, Sendable {
        case equal
        /// The list excuses every difference. `seed`: the engine's run with this seed has no difference at all.
        case excused(DifferenceAccount, seed: Int?)
        /// A race by its prediction. What was observed, in ending and counts, is one of the ways that the other run may take, after so many
        /// of them; the list excuses what differs beside.
        case reached(runs: Int, DifferenceAccount)
        /// A race between two sides that no seed can be given to.
        case notComparable
        /// None of so many runs went the way that was observed; the ways that they went.
        case notReached(observed: String, ways: [String])
        /// Some differences are unlisted.
        case differs(DifferenceAccount)
    }

    package let cell: SharedCell
    package let outcome: Outcome
    /// Of the run that is taken for right.
    package let ending: String

    package init(cell: SharedCell, outcome: Outcome, ending: String) {
        self.cell = cell
        self.outcome = outcome
        self.ending = ending
    }

    package var isFinding: Bool {
        switch outcome {
        case .equal, .excused, .reached, .notComparable: false
        case .notReached, .differs: true
        }
    }

    /// The differences that entries of the list excuse.
    package var excused: [ExcusedDifference] {
        switch outcome {
        case .equal, .notComparable, .notReached: []
        case .excused(let account, _), .reached(_, let account), .differs(let account): account.excused
        }
    }

    /// One branch of a race, forced.
    package var isForced: Bool { cell.qemu.lastForecast.scenario.race != .natural }
}

extension SharedCell {
    /// A cell that runs on sides of one kind, to be compared with itself.
    package init(both cell: Cell) { self.init(qemu: cell, engine: cell) }
}

extension Forecast {
    /// The counts that the prediction names; it leaves open what depends on which side or thread is faster.
    var comparedCounts: Set<String> {
        func isNamed<Value>(_ count: KeyPath<Outcome, Value?>) -> Bool { outcomes.allSatisfy { $0[keyPath: count] != nil } }
        var names: Set<String> = []
        if isNamed(\.requests) { names.insert("requests") }
        if isNamed(\.countedIn) { names.insert("counted-in") }
        if isNamed(\.approvals) { names.insert("approvals") }
        if isNamed(\.acksSent) { names.insert("acks-sent") }
        if isNamed(\.acksCounted) { names.insert("acks-counted") }
        return names
    }
}

extension ComparedRun {
    /// Which way a race went: the ending and the counts of each leg.
    var way: String {
        let counts = legs.map { leg in leg.judgement.handshake.counts.map { "\($0.name) \($0.value)" }.joined(separator: "; ") }
        return ([ending] + (legs.count > 1 ? legs.map(\.judgement.verdict.rawValue) : []) + counts).joined(separator: "; ")
    }
}
