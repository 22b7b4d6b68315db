/// The status of a migration as a side keeps it: changed by the rules of its generation, and told in the words of a trace.
import MigrationTrace
import SwitchoverProtocol

struct KeptStatus {
    private(set) var machine: StatusMachine
    /// The same in the words of a trace.
    private(set) var word = MigrationStatus.none

    init(_ generation: Generation, _ side: Side) { machine = StatusMachine(generation, side) }

    /// Changes `from` to `next`; false where the status is not `from`, or the generation has no such change.
    mutating func change(_ from: MigrationStatus, to next: MigrationStatus) -> Bool {
        guard word == from, machine.change(from: Status(from), to: Status(next)) else { return false }
        word = next
        return true
    }

    /// Where an error takes it next; nil: nowhere, or it is on its way already.
    func failure(_ cause: FailureCause) -> MigrationStatus? {
        guard !machine.status.hasFailed else { return nil }
        return machine.failure(cause).first.map { MigrationStatus($0) }
    }
}

// The same names on both sides; looked up when a status changes, and never for an event.
private let byWord = Dictionary(uniqueKeysWithValues: MigrationStatus.allCases.map { ($0, Status(rawValue: $0.rawValue)!) })
private let traced = Dictionary(uniqueKeysWithValues: byWord.map { ($1, $0) })

extension Status {
    init(_ word: MigrationStatus) { self = byWord[word]! }
}

extension MigrationStatus {
    init(_ status: Status) { self = traced[status]! }
}
