/// What a leg's record says of its plan: which steps were left, and which process a step killed.

extension MigrationLeg {
    /// The steps that were still to be taken when driving ended, in words; nil where none was left.
    package func armed(_ record: MigrationRecord) -> String? { (before + schedule).armed(after: record.marks.count) }

    /// True if a step of the schedule killed the destination's process.
    package func killsDestination(_ record: MigrationRecord) -> Bool {
        record.marks.contains { $0.step == .kill(.destination) && schedule.contains($0.step) }
    }
}
