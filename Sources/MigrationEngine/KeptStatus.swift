/// The status of a migration as a side keeps it: changed by the rules of its generation, and named in the words of a trace.
import MigrationTrace
import SwitchoverProtocol

struct KeptStatus {
    private(set) var machine: StatusMachine
    /// The status in the words of a trace.
    private(set) var word = MigrationStatus.none

    init(_ generation: Generation, _ side: Side) { machine = StatusMachine(generation, side) }

    /// Changes `from` to `next`. Returns false if the status is not `from`, or the generation has no such change.
    mutating func change(_ from: MigrationStatus, to next: MigrationStatus) -> Bool {
        guard word == from, machine.change(from: Status(from), to: Status(next)) else { return false }
        word = next
        return true
    }

    /// The status that follows an error; nil if none does, or the migration is failing already.
    func failure(_ cause: FailureCause) -> MigrationStatus? {
        guard !machine.status.hasFailed else { return nil }
        return machine.failure(cause).first.map { MigrationStatus($0) }
    }
}

// Both enumerations have the same names; they are looked up when a status changes, and never for an event.
private let byWord = Dictionary(uniqueKeysWithValues: MigrationStatus.allCases.map { ($0, Status(rawValue: $0.rawValue)!) })
private let traced = Dictionary(uniqueKeysWithValues: byWord.map { ($1, $0) })

extension Status {
    init(_ word: MigrationStatus) { self = byWord[word]! }
}

extension MigrationStatus {
    init(_ status: Status) { self = traced[status]! }
}
