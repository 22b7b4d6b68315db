/// Takes the steps of a schedule while the migration runs.
import Foundation
import Plan
import Synchronization
import VFIO

/// The steps that were taken so far. The lock guards an array that grows by one step at a time.
final class TakenSteps: Sendable {
    private let entries = Mutex<[ScheduleMark]>([])
    let steps: [ScheduleStep]

    /// `steps` are all steps that may be taken before the migration ends.
    init(_ steps: [ScheduleStep]) { self.steps = steps }

    var marks: [ScheduleMark] { entries.withLock { $0 } }
    func add(_ mark: ScheduleMark) { entries.withLock { $0.append(mark) } }

    /// The next step, in words; nil when all are taken.
    var armed: String? { steps.armed(after: marks.count) }
}

/// Takes the steps in order and records each, up to the first that is not met by the deadline. The caller cancels the task when the
/// migration has ended.
func follow(_ steps: [ScheduleStep], _ sides: LegSides, _ relay: Relay?, taken: TakenSteps, deadline: Deadline) async throws {
    let interpreter = QEMUSteps(sides: sides, relay: relay, deadline: deadline)
    for step in steps {
        if Task.isCancelled { return }
        let action = try step.meaning(to: interpreter)
        let isWait = step.condition != nil
        // A wait changes nothing: what counts is the moment when it is met.
        let iteratedBefore = try isWait ? false : sides.source.isInPrecopy()
        func note(_ queries: ClosedRange<UInt64>?) throws {
            taken.add(ScheduleMark(step: step, queries: queries, sourceIterated: try isWait ? sides.source.isInPrecopy() : iteratedBefore))
        }
        if action.mayEndMigration { try note(nil) }
        guard case .done(let queries) = try await action.take() else { return }
        if !action.mayEndMigration { try note(queries) }
    }
}

extension GateBoard {
    /// Waits until the device's progress meets `condition`, and returns that progress; nil if the task is cancelled or the deadline passes.
    func wait(for device: String, _ deadline: Deadline, until condition: @escaping @Sendable (DeviceProgress) -> Bool)
        async throws
        -> DeviceProgress?
    {
        while !Task.isCancelled && deadline.remaining > 0 {
            let seen = changes
            if let progress = try progress(of: device), condition(progress) { return progress }
            try await blocking { self.waitForChange(since: seen, nanoseconds: 50_000_000) }
        }
        return nil
    }
}

extension QEMUSide {
    /// Waits until the job has concluded, and dismisses it; false if the task is cancelled or the deadline passes.
    func concludes(job id: String, deadline: Deadline) async throws -> Bool {
        while !Task.isCancelled && deadline.remaining > 0 {
            let job = try await monitor.execute("query-jobs").array?.first { $0["id"]?.string == id }
            guard let job else { throw SideError("\(role.rawValue): expected a job '\(id)', found none") }
            if job["status"]?.string == "concluded" {
                if let error = job["error"]?.string { throw SideError("\(role.rawValue): job '\(id)' failed: \(error)") }
                try await execute("job-dismiss", ["id": .string(id)])
                return true
            }
            // The task that watches the migration reads the events of the job.
            try? await Task.sleep(for: .milliseconds(2))
        }
        return false
    }
}

extension LegSides {
    /// Waits for the source's clean-up. The source reports its final status before its main thread has cleaned up, at any later time. After
    /// the clean-up is in the log, the monitor's next answer follows it (10.0.13 and 11.1.3).
    func waitForCleanup() async throws {
        let event = "migration_cleanup"
        guard source.configuration.traceEvents.contains(event) else { return }
        if try await wait(.source, event, times: 1, deadline: .after(seconds: 5)) { return }
        // A source that has ended, or whose main thread is blocked, never cleans up; the verifier judges what it has logged.
        guard (try? await source.monitor.execute("query-status", deadline: .after(seconds: 1))) != nil else { return }
        throw SideError("the source has reported its end and answers, but logged no \(event) within 5 s")
    }

    /// Follows a side's log until it has `times` lines of the event, with this text if one is given; false if the task is cancelled or the
    /// deadline passes.
    func wait(
        _ role: Role, _ event: String, text: String? = nil, times: Int, isFurther: Bool = false, deadline: Deadline
    ) async throws -> Bool {
        var tail = try LogTail(logs(role).qemu, event: event, text: text)
        let wanted = isFurther ? try tail.count() + times : times
        while !Task.isCancelled && deadline.remaining > 0 {
            if try tail.count() >= wanted { return true }
            // A log cannot wake its reader. A gate board can, and changes with every query of a device.
            if let board = self[role].board {
                try await blocking { board.waitForChange(since: board.changes, nanoseconds: 5_000_000) }
            } else {
                try? await Task.sleep(for: .milliseconds(2))
            }
        }
        return false
    }
}

extension QEMUSide {
    /// Reads a word of guest memory until it is not 0; false if the task is cancelled or the deadline passes.
    func waitForGuest(_ address: Int, deadline: Deadline) async throws -> Bool {
        let command: JSONValue = ["command-line": .string("xp /1wx 0x\(String(address, radix: 16))")]
        while !Task.isCancelled && deadline.remaining > 0 {
            // `0000000000105800: 0x00000003`
            let answer = try await monitor.execute("human-monitor-command", command).string ?? ""
            guard let word = answer.firstRange(of: ": 0x") else {
                throw SideError("\(role.rawValue) \(configuration.binary.name): expected a word of memory from xp, found '\(answer)'")
            }
            if answer[word.upperBound...].contains(where: { $0.isHexDigit && $0 != "0" }) { return true }
            try? await Task.sleep(for: .milliseconds(2))
        }
        return false
    }
}
