/// Why a migration failed, in the words of the side that knows; and what is worth a note without being a finding.
import MigrationTrace

extension JudgedMigration {
    /// The cause of a failure, with its line; nil if the migration did not fail, or no line tells the cause.
    package var cause: String? {
        guard source.map({ $0.final != .completed }) ?? true || destination.map({ $0.final == .failed }) ?? false else { return nil }
        guard source?.final != nil || destination?.final != nil else { return nil }
        let differences = differences.isEmpty ? nil : "the sides differ: " + differences.joined(separator: ", ")
        // The destination reads the stream, so it knows what is wrong with it; the source sees only that the channel ends.
        for (side, migration) in [(StreamName.destination, destination), (.source, source)] {
            guard let migration else { continue }
            let error = side == .source ? migration.source.side.error : migration.destination.error
            let told = migration.messages.map { (text: $0.text, place: Place(stream: side, line: $0.line)) }
            let errors = told + (error.map { [$0] } ?? [])
            guard let first = errors.first(where: { !isEcho($0.text) }) else { continue }
            return "\(first.place): \(first.text)" + (meaning(of: first.text).map { " (\($0))" } ?? "")
                + (differences.map { "; \($0)" } ?? "")
        }
        return differences
    }

    /// What both sides must have alike and do not, as far as their logs show it.
    private var differences: [String] {
        func settings(_ migration: LoggedMigration?) -> MigrationSettings {
            var settings = migration?.start?.settings ?? MigrationSettings()
            if let migration { settings.add(migration.settings) }
            return settings
        }
        var found = settings(source).differences(atDestination: settings(destination))
        if let from = source?.start?.machine, let to = destination?.start?.machine, from != to {
            found.insert("the machine type is \(from) at the source and \(to) at the destination", at: 0)
        }
        return found
    }

    /// What is unusual without breaking a rule.
    package var notes: [String] {
        guard let source, source.final == .completed, let decision = source.source.side.switchover.decision else { return [] }
        var notes: [String] = []
        let side = source.source.side
        let saved = side.devices.all.reduce(0) { $0 + $1.finalBytes }
        if saved > max(decision.pending, 1) * 2, saved > 16384, !side.hasGaps {
            notes.append(
                "\(decision.pending) bytes were pending at the decision (\(decision.spot.place)), but the devices saved \(saved) bytes "
                    + "after it: their stop-copy estimates are too low")
        }
        if let stopped = source.stoppedFor, let limit = downtimeLimit(side), stopped / 1_000_000 > Int64(limit) * 2 {
            notes.append(
                "the guest was stopped for \(stopped / 1_000_000) ms until the source completed, with a downtime-limit of about \(limit) ms"
            )
        }
        return notes
    }

    /// In milliseconds, as the last threshold and the bandwidth that it was computed from give it.
    private func downtimeLimit(_ side: SourceSide) -> UInt64? {
        guard let window = side.window, window.maxSize > 0 else { return nil }
        let bandwidth = side.ledger.counts == true || window.switchoverBandwidth > 0 ? window.switchoverBandwidth : window.bandwidth
        return bandwidth > 0 ? UInt64(window.maxSize) / bandwidth : nil
    }
}

/// True for what a side says when the other one has failed, or for the message that only says that there was an error.
private func isEcho(_ text: String) -> Bool {
    [
        "load of migration failed", "Sibling indicated error", "Unable to write to", "Unable to read from", "Channel error",
        "terminating on signal", "Error waiting for", "Failed to connect", "Detected IO failure",
    ].contains(where: text.hasPrefix)
}

private func meaning(of text: String) -> String? {
    let known: [(String, String)] = [
        ("switchover ack is not used", "switchover-ack is on at the source and off at the destination"),
        ("Unknown savevm section", "the source has a device that the destination lacks"),
        ("Unknown section", "the source has a device that the destination lacks"),
        ("Unknown ramblock", "the sides have different memory or machine types"),
        ("ramblock", "the sides have different memory or machine types"),
        ("Length mismatch", "the sides have different memory sizes"), ("Size mismatch", "the sides have different memory sizes"),
        ("Machine type received", "the machine types differ"), ("received capability is", "the capabilities differ"),
        ("Expected vmdescription", "the stream is damaged, or the sides have different parameters"),
    ]
    return known.first { text.contains($0.0) }?.1
}
