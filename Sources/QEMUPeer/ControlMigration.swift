/// A migration of an idle guest without devices and with switchover-ack off. Where it fails, the two binaries do not migrate to each other
/// at all, and their cells say nothing about the ACK.
import Foundation
import Plan

/// The source, and what is loaded into.
package struct ControlMigration: Hashable, Sendable {
    package let source: String
    package let destination: String
    /// As `-M` takes it, on both sides.
    package let machine: String

    package init(source: String, destination: String, machine: String) {
        self.source = source
        self.destination = destination
        self.machine = machine
    }

    /// Runs it in `folder`, which must not exist. Returns why it failed, in the words of the side that knows; nil if it completed.
    package func failure(from source: ProbedBinary, to destination: ProbedBinary, shim: String, folder: String) async throws -> String? {
        let plan = MigrationPlan(source: configuration(of: source), destination: configuration(of: destination))
        return try await controlFailure(plan, shim: shim, folder: folder)
    }

    private func configuration(of binary: ProbedBinary) -> SideConfiguration {
        var configuration = SideConfiguration(binary: binary.binary, machine: machine)
        configuration.memoryMiB = 16
        configuration.capabilities = ["events": true, "return-path": true]
        return configuration
    }
}

/// Why the plan's only leg did not complete on both sides, in the words of the side that knows; nil if it did.
func controlFailure(_ plan: MigrationPlan, shim: String, folder: String) async throws -> String? {
    do {
        guard let record = try await migrate(plan, shim: shim, folder: folder).last else { return nil }
        let isLoaded = record.destinationStatuses.last == "completed"
        if record.outcome == .ended("completed"), isLoaded { return nil }
        // The destination knows what it could not load; the source only that its socket was closed.
        let ends = record.ends.sorted { ($0.role == .destination ? 0 : 1) < ($1.role == .destination ? 0 : 1) }
        if let words = ends.first(where: { !$0.lastWords.isEmpty })?.lastWords.last { return words }
        return record.sourceError ?? "the source is \(record.outcome.description), the destination "
            + (record.destinationStatuses.last ?? "has no status")
    } catch let refusal as SideRefusal where !Task.isCancelled {
        return refusal.text
    } catch let error as SideError where !Task.isCancelled {
        return error.ends.compactMap(\.lastWords.last).last ?? error.description
    } catch let error as QMPError where error.isOfQEMU && !Task.isCancelled {
        return error.description
    }
}
