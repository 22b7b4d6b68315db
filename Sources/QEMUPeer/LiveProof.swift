/// Follows the logs of a running migration until the watcher proves that it never ends.
import Foundation
import MigrationTrace
import Plan
import Synchronization

/// Seconds before the logs are followed. Most migrations have ended by then.
private let proofBegins = 0.3

/// Follows all four logs until the watcher has a proof; nil if the task is cancelled, since the migration has ended.
func prove(_ watcher: any MigrationWatcher, _ sides: LegSides, taken: TakenSteps) async throws -> MigrationOutcome? {
    do { try await Task.sleep(for: .seconds(proofBegins)) } catch { return nil }
    let isOver = Flag()
    return try await withTaskCancellationHandler {
        try await blocking {
            var watcher = watcher
            let logs = [
                GrowingLog(.source, sides.sourceLogs.qemu), GrowingLog(.sourceDevices, sides.sourceLogs.devices),
                GrowingLog(.destination, sides.destinationLogs.qemu), GrowingLog(.destinationDevices, sides.destinationLogs.devices),
            ]
            var threshold = ThresholdInForce(steps: taken.steps)
            while !isOver.isSet {
                // The next step and the ends of the logs are taken before the logs are read, so that they show what earlier steps caused.
                let (armed, count, ends) = (taken.armed, taken.marks.count, logs.map(\.size))
                for (log, end) in zip(logs, ends) {
                    try log.read(upTo: end, unless: { isOver.isSet }) { event, line in
                        watcher.take(event, from: log.stream, line: line)
                        if log.stream == .source, case .migrateTransferred = event { threshold.windowEnded() }
                    }
                }
                if isOver.isSet { return nil }
                if let proof = watcher.endlessProof(armed: armed ?? threshold.pending(after: count)) { return .endless(proof) }
                // A log cannot wake its reader.
                usleep(20_000)
            }
            return nil
        }
    } onCancel: {
        isOver.set()
    }
}

/// A flag that is set once, when a task is cancelled.
private final class Flag: Sendable {
    private let value = Atomic(false)
    var isSet: Bool { value.load(ordering: .acquiring) }
    func set() { value.store(true, ordering: .releasing) }
}
