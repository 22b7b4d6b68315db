/// Following the logs of a migration that runs, until it is proved that it never ends.
import Foundation
import MigrationTrace
import Plan
import Synchronization

/// Healthy migrations are over by then: the logs of the others are followed from here on.
private let proofBegins = 0.3

/// Follows all four logs until the watcher has its proof; nil when cancelled first, because the migration is over.
func prove(_ watcher: any MigrationWatcher, _ sides: LegSides, diary: Diary) async throws -> MigrationOutcome? {
    do { try await Task.sleep(for: .seconds(proofBegins)) } catch { return nil }
    let isOver = Flag()
    return try await withTaskCancellationHandler {
        try await blocking {
            var watcher = watcher
            let logs = [
                GrowingLog(.source, sides.sourceLogs.qemu), GrowingLog(.sourceDevices, sides.sourceLogs.devices),
                GrowingLog(.destination, sides.destinationLogs.qemu), GrowingLog(.destinationDevices, sides.destinationLogs.devices),
            ]
            var threshold = ThresholdInForce(steps: diary.steps)
            while !isOver.isSet {
                // What is armed is asked, and how far the logs go, before they are read: what it did is in them then.
                let (armed, taken, ends) = (diary.armed, diary.marks.count, logs.map(\.size))
                for (log, end) in zip(logs, ends) {
                    try log.read(upTo: end, unless: { isOver.isSet }) { event, line in
                        watcher.take(event, from: log.stream, line: line)
                        if log.stream == .source, case .migrateTransferred = event { threshold.windowEnded() }
                    }
                }
                if isOver.isSet { return nil }
                if let proof = watcher.endlessProof(armed: armed ?? threshold.pending(after: taken)) { return .endless(proof) }
                // A log has no way to wake anybody.
                usleep(20_000)
            }
            return nil
        }
    } onCancel: {
        isOver.set()
    }
}

/// Set once, by whoever ends a wait.
private final class Flag: Sendable {
    private let value = Atomic(false)
    var isSet: Bool { value.load(ordering: .acquiring) }
    func set() { value.store(true, ordering: .releasing) }
}
