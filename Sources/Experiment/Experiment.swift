/// Drives the migrations of the experiment, those with and without the re-ACK in turn.
import Foundation
import MigrationTrace
import Plan
import QEMUPeer
import VFIO

package struct DowntimeExperiment: Sendable {
    /// A binary that knows both modes, and a machine type that it runs in per-device mode.
    package var binary: ProbedBinary
    package var machine: String
    package var shim: String
    package var setting = DowntimeSetting()
    package var stream = ReinitStream()
    /// Migrations of the comparison, each way.
    package var runs = 5
    /// How many REINITs are tried, and how many migrations each: one is the comparison's.
    package var numbers = [0, 2, 4, 8]
    package var numberRuns = 3
    package var streamRuns = 3

    package init(binary: ProbedBinary, machine: String, shim: String) {
        (self.binary, self.machine, self.shim) = (binary, machine, shim)
    }

    /// A migration that is coming up, of so many.
    package typealias Report = (_ text: String, _ number: Int, _ of: Int) -> Void

    /// Each migration gets its own folder under `folder`, which is deleted once the migration is measured.
    package func run(folder: RunFolder, report: Report) async throws -> DowntimeResults {
        var results = DowntimeResults(
            qemu: binary.features.package.isEmpty ? binary.features.version : "\(binary.features.version) (\(binary.features.package))",
            machine: machine, setting: setting, stream: stream)
        let total = 2 * (runs + numbers.count * numberRuns) + stream.quietQueries.count * streamRuns
        var number = 0
        func place(_ text: String) throws -> String {
            number += 1
            report(text, number, total)
            return "\(folder.path)/\(number)"
        }

        results.comparison = Answer.allCases.map { .init($0, reinits: 1, setting) }
        for _ in 0..<runs {
            for index in results.comparison.indices {
                try await results.comparison[index].runs.append(downtime(results.comparison[index], place(results.comparison[index].words)))
            }
        }
        results.numbers = numbers.flatMap { count in Answer.allCases.map { .init($0, reinits: count, setting) } }
        for _ in 0..<numberRuns {
            for index in results.numbers.indices {
                try await results.numbers[index].runs.append(downtime(results.numbers[index], place(results.numbers[index].words)))
            }
        }
        results.numbers = (results.numbers + results.comparison).sorted { $0.reinits < $1.reinits }
        for _ in 0..<streamRuns {
            for quiet in stream.quietQueries {
                try await results.convergence.append(streamRun(quiet, place("a stream of REINITs, each after \(quiet) quiet queries")))
            }
        }
        return results
    }

    // MARK: One migration

    private func side(_ role: Role, scripts: [String], legacy: Bool, memoryMiB: Int) throws -> SideConfiguration {
        var side = SideConfiguration(binary: binary.binary, machine: machine)
        side.memoryMiB = memoryMiB
        side.legacyProperty = legacy
        side.capabilities = ["events": true, "return-path": true, "switchover-ack": true]
        side.traceEvents = binary.features.traceEvents.filter(Self.events.contains)
        for (index, script) in scripts.enumerated() {
            let name = "v\(index)"
            side.devices.append(
                PlannedDevice(name: name, .mock(try DeviceScript(script, file: "\(name) \(role.rawValue)")), slot: 0x10 + index))
        }
        return side
    }

    /// What the accounts read; the rest would cost time.
    private static let events: Set = [
        "migrate_set_state", "migrate_error", "vmstate_downtime_checkpoint", "vmstate_downtime_load", "migration_thread_low_pending",
        "source_return_path_thread_switchover_acked", "vfio_query_precopy_size_request_switchover_ack", "vfio_send_init_data_flag",
    ]

    private func downtime(_ group: DowntimeResults.Group, _ folder: String) async throws -> Downtime {
        let legacy = group.answer == .ignored
        var source = try side(
            .source, scripts: setting.sourceScripts(reinits: group.reinits), legacy: legacy, memoryMiB: setting.memoryMiB)
        source.parameters = [
            "max-bandwidth": .integer(Int64(setting.linkRate)), "avail-switchover-bandwidth": .integer(Int64(setting.linkRate)),
            "downtime-limit": .integer(Int64(setting.downtimeLimitMilliseconds)),
        ]
        let destination = try side(.destination, scripts: setting.destinationScripts, legacy: legacy, memoryMiB: setting.memoryMiB)
        var plan = MigrationPlan(source: source, destination: destination)
        plan.leg.limit = 120
        let busy = DowntimeResults.busy
        plan.leg.schedule = [.wait(.held(.destination, device: busy))]
        if group.reinits > 0 {
            // The query that shows the REINIT is the first that follows.
            plan.leg.schedule += [.open(.source, gate: DowntimeSetting.busyGate)]
        }
        plan.leg.schedule += [.wait(.furtherQueries(.source, device: busy, 1)), .open(.destination, gate: DowntimeSetting.loadGate)]
        let devices = Dictionary(uniqueKeysWithValues: source.devices.map { ($0.idstr, $0.name) })

        let record = try await only(plan, folder)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        guard record.outcome == .ended("completed") else {
            throw UnexpectedEnd(migration: group.words, expected: "completed", found: record.end)
        }
        var account = DowntimeAccount(devices: devices)
        try read(record) { account.take($0, at: $1, from: $2) }
        let expected = legacy ? min(group.reinits, 1) : group.reinits
        guard account.reinits == expected, account.acks == (legacy ? 1 : devices.count + expected) else {
            throw UnexpectedEnd(
                migration: group.words, expected: "\(counted(expected, "REINIT"))",
                found: "\(counted(account.reinits, "REINIT")), \(counted(account.acks, "ACK"))")
        }
        return try account.downtime(reported: record.downtime, migration: record.seconds * 1000)
    }

    private func streamRun(_ quiet: Int, _ folder: String) async throws -> StreamRun {
        let words = "stream after \(quiet) quiet queries"
        var source = try side(.source, scripts: [stream.sourceScript(quietQueries: quiet)], legacy: false, memoryMiB: 64)
        source.parameters = [
            "max-bandwidth": .integer(1 << 30), "avail-switchover-bandwidth": .integer(1 << 30), "downtime-limit": 300,
        ]
        let destination = try side(.destination, scripts: [stream.destinationScript], legacy: false, memoryMiB: 64)
        var plan = MigrationPlan(source: source, destination: destination)
        plan.leg.limit = 60
        plan.leg.watcher = StreamWatcher(enough: stream.enough)
        let record = try await only(plan, folder)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let end: StreamRun.End
        switch record.outcome {
        case .ended("completed"): end = .completed
        case .ended("failed") where record.sourceError?.contains("Switchover ACK was requested") == true: end = .failedAtLastCheck
        case .endless: end = .neverFree
        default: throw UnexpectedEnd(migration: words, expected: "any end but this", found: record.end)
        }
        var account = StreamAccount()
        try read(record) { account.take($0, at: $1, from: $2) }
        return StreamRun(
            quietQueries: quiet, end: end, reinits: account.reinits, quiet: account.quiet, acknowledgement: account.acknowledgement,
            migration: record.seconds * 1000)
    }

    private func only(_ plan: MigrationPlan, _ folder: String) async throws -> MigrationRecord {
        guard let record = try await migrate(plan, shim: shim, folder: folder).first else {
            throw SideError("the migration left no record")
        }
        return record
    }

    private func read(_ record: MigrationRecord, _ take: (Event, Int64, StreamName) -> Void) throws {
        guard let source = record.sourceLogs, let destination = record.destinationLogs else {
            throw SideError("the migration left no logs")
        }
        for (stream, slice) in [
            (StreamName.source, source.qemu), (.sourceDevices, source.devices), (.destination, destination.qemu),
            (.destinationDevices, destination.devices),
        ] {
            var reader = try LogReader(slice)
            while let line = try reader.nextEvent() {
                if let event = line.event, let time = line.stamp?.realtime { take(event, time, stream) }
            }
        }
    }
}

/// A migration of the experiment went another way than the experiment is about.
package struct UnexpectedEnd: Error, Hashable, CustomStringConvertible {
    package let migration: String
    package let expected: String
    package let found: String

    package var description: String { "\(migration): expected \(expected), found \(found)" }
}

extension MigrationRecord {
    fileprivate var end: String { outcome.description + (sourceError.map { " (\($0))" } ?? "") }
}

extension DowntimeResults.Group {
    var words: String { "\(counted(reinits, "REINIT")) \(answer.rawValue)" }
}

func counted(_ count: Int, _ noun: String) -> String { "\(count) \(noun)\(count == 1 ? "" : "s")" }
