/// Compares a leg with its prediction: the ending, and the requests, approvals and ACKs by device.
import Matrix
import Plan
import Prediction
import Verification

/// What the comparison says: the predicted way that was taken, and what differs from it.
struct Comparison {
    var differences: [String] = []
    static let endingDiffers = "ending: "
    static let modeDiffers = "mode of the source: "

    /// Of a leg, its steps among them.
    init(_ cell: Cell, leg: Int, ending: CellResult.Ending, judgement: Judgement?, record: MigrationRecord?) {
        let forecast = cell.forecasts[leg]
        let endings = Set(forecast.outcomes.map(\.ending.rawValue)).sorted().joined(separator: " or ")
        guard let outcome = forecast.outcomes.first(where: { $0.ending.rawValue == ending.text }) else {
            let facts = Set(forecast.outcomes.flatMap(\.restsOn)).sorted().joined(separator: ", ")
            differences = [
                "\(Self.endingDiffers)expected \(endings)\(facts.isEmpty ? "" : " (which rests on \(facts))"), found \(ending.text)"
                    + (ends(record, ending) + [ending.reason(judgement)].compactMap(\.self)).enumerated().map {
                        ($0 == 0 ? ": " : "; ") + $1
                    }.joined()
            ]
            return
        }
        switch ending {
        case .refused(let refusal):
            if let words = outcome.words, !refusal.text.contains(words) {
                differences = ["refusal: expected the words '\(words)', found: \(refusal)"]
            }
        case .verdict:
            if let judgement { compare(outcome, judgement, forecast.scenario, cell) }
            let words = [outcome.words, outcome.otherWords].compactMap(\.self)
            // Without a record nobody knows what the monitor said, nor which steps were taken.
            guard let record else { return }
            if !words.isEmpty, !words.contains(where: { record.sourceError?.contains($0) == true }) {
                let expected = words.map { "'\($0)'" }.joined(separator: " or ")
                differences.append("error of the source: expected \(expected), found \(record.sourceError.map { "'\($0)'" } ?? "none")")
            }
            compareMarks(cell.plan.legs[leg], record)
        case .broken: break
        }
    }

    private mutating func compare(_ outcome: Outcome, _ judgement: Judgement, _ scenario: Scenario, _ cell: Cell) {
        let seen = judgement.handshake
        func compare<Value: Equatable>(_ what: String, _ expected: Value?, _ found: Value) {
            if let expected, expected != found { differences.append("\(what): expected \(expected), found \(found)") }
        }
        func byUser(_ counts: [Int]?) -> [String: Int]? {
            counts.map { counts in
                Dictionary(
                    uniqueKeysWithValues: counts.enumerated().map { (userName($0, devices: scenario.devices.count), $1) }
                ).filter { $0.value > 0 }
            }
        }
        if let mode = seen.mode { compare(String(Self.modeDiffers.dropLast(2)), scenario.source.mode.rawValue, mode.rawValue) }
        compare("requests", byUser(outcome.requests), cell.named(seen.requests))
        if seen.unnamedCountedIn > 0 {
            compare("devices counted in", outcome.countedIn?.reduce(0, +), seen.unnamedCountedIn)
        } else {
            compare("devices counted in", byUser(outcome.countedIn), cell.named(seen.countedIn))
        }
        compare("approvals", byUser(outcome.approvals), cell.named(seen.approvals))
        compare("ACKs sent", outcome.acksSent, seen.acksSent)
        compare("ACKs counted", outcome.acksCounted, seen.acksCounted)
        if outcome.starves && seen.starvedWindows == 0 {
            differences.append("not starving: in every window a device with initial bytes had its part of the link")
        }
        if outcome.isGating && !judgement.isGating {
            differences.append("not gating: at no query was only the ACK missing, so the ACK held nothing back")
        }
    }

    private mutating func compareMarks(_ leg: MigrationLeg, _ record: MigrationRecord) {
        // Steps that wait for the destination's end are not owed, since the source may have ended before. Nor are steps that only release
        // what is held once the migration is broken, since it may be over by then.
        var schedule = leg.schedule.prefix { if case .wait(.logged(.destination, _, _)) = $0 { false } else { true } }
        if let last = schedule.lastIndex(where: { if case .open = $0 { false } else { true } }), schedule[last].breaksTheMigration {
            schedule = schedule[...last]
        }
        let owed = leg.before + schedule + leg.afterwards
        var done = record.marks.map(\.step)[...]
        for (number, step) in owed.enumerated() {
            if let place = done.firstIndex(of: step) {
                done = done[(place + 1)...]
            } else {
                differences.append("schedule step \(number + 1) (\(step)) was never done")
                return
            }
        }
    }
}

extension ScheduleStep {
    fileprivate var breaksTheMigration: Bool {
        switch self {
        case .kill, .yank, .cut: true
        default: false
        }
    }
}

/// How processes ended that had not been asked to, in words; a leg that could not be driven says so by itself.
private func ends(_ record: MigrationRecord?, _ ending: CellResult.Ending) -> [String] {
    guard case .verdict = ending else { return [] }
    return record?.ends.map(\.description) ?? []
}

/// Each judge's opinion on the ending.
func judges(_ outcomes: [Outcome], ending: CellResult.Ending, record: MigrationRecord?) -> [Judge] {
    let predicted = outcomes.map(\.ending.rawValue)
    var judges = [Judge(name: Judge.closedForm, says: predicted.contains(ending.text) ? ending.text : predicted.joined(separator: " or "))]
    if case .verdict(let verdict) = ending { judges.append(Judge(name: "verifier", says: verdict.rawValue)) }
    if let word = record?.ending { judges.append(Judge(name: Judge.monitors, says: word)) }
    if case .refused = ending { judges.append(Judge(name: Judge.monitors, says: ending.text)) }
    return judges
}

extension MigrationRecord {
    /// The ending as the two monitors tell it: statuses and run states, nothing of the handshake. nil: they tell of no end.
    var ending: String? {
        guard case .ended(let status) = outcome else { return nil }
        switch status {
        case "completed": return (destinationStatuses.last == "failed" ? Verdict.noGuest : .completed).rawValue
        case "postcopy-paused": return (destinationRunState == nil ? Verdict.noGuest : .paused).rawValue
        case "colo": return Verdict.replicates.rawValue
        default: break
        }
        guard let sourceRunState, sourceRunState == "running" else { return nil }
        guard destinationStatuses.last.map(["completed", "colo"].contains) == true, let destinationRunState else {
            return Verdict.failed.rawValue
        }
        return (destinationRunState == "running" ? Verdict.twoGuests : .wouldRunTwoGuests).rawValue
    }
}
