/// Taking the steps of a schedule while the migration runs.
import Foundation
import Plan
import Synchronization
import VFIO

/// What the steps have seen so far. Its lock guards an array that grows by a step.
final class Diary: Sendable {
    private let entries = Mutex<[ScheduleMark]>([])
    let steps: [ScheduleStep]

    /// `steps` are those that may be taken while the migration runs.
    init(_ steps: [ScheduleStep]) { self.steps = steps }

    var marks: [ScheduleMark] { entries.withLock { $0 } }
    func add(_ mark: ScheduleMark) { entries.withLock { $0.append(mark) } }

    /// What is still to be done, in words; nil when nothing is.
    var armed: String? { steps.armed(after: marks.count) }
}

/// Takes the steps in order and notes each in the diary, up to the first that is not met by the deadline. Cancelled when the migration is over.
func follow(_ steps: [ScheduleStep], _ sides: LegSides, _ relay: Relay?, diary: Diary, deadline: Deadline) async throws {
    func board(_ role: Role) throws -> GateBoard {
        guard let board = sides[role].board else { throw SideError("the schedule names the \(role.rawValue), which has no device") }
        return board
    }
    func sourceIterates() throws -> Bool {
        guard let board = sides.source.board else { return false }
        return try sides.source.configuration.devices.allSatisfy {
            try !$0.script.hasPrecopy || board.progress(of: $0.name)?.isInPrecopy == true
        }
    }
    for step in steps {
        if Task.isCancelled { return }
        var queries: ClosedRange<UInt64>?
        var iterated = true
        switch step {
        case .open(let role, let gate):
            iterated = try sourceIterates()
            try board(role).open(gate)
        case .haltDestination:
            iterated = try sourceIterates()
            sides.destination.halt(true)
        case .resumeDestination:
            iterated = try sourceIterates()
            sides.destination.halt(false)
        case .recover:
            let (uri, _) = try await listen(sides.destination, .tcp, command: "migrate-recover")
            try await sides.source.execute("migrate", ["uri": .string(uri), "resume": true])
        case .concludeJob(let role, let id):
            guard try await sides[role].concludes(job: id, deadline: deadline) else { return }
        case .execute(let role, let command, let arguments):
            iterated = try sourceIterates()
            // A command that was sent is answered, though it may be what ends the migration.
            _ = try await Task { try await sides[role].execute(command, arguments) }.value
        case .request(let role, let command, let arguments):
            iterated = try sourceIterates()
            try await sides[role].request(command, arguments)
        case .refused(let role, let command, let arguments, let words):
            iterated = try sourceIterates()
            try await sides[role].expectRefusal(of: command, arguments, words: words)
        case .kill(let role):
            iterated = try sourceIterates()
            sides[role].kill()
        case .yank(let role):
            // The migration may be over before the command has its answer.
            diary.add(ScheduleMark(step: step, queries: nil, sourceIterated: try sourceIterates()))
            try await sides[role].execute("yank", ["instances": .array([["type": "migration"]])])
            continue
        case .cut(let part):
            iterated = try sourceIterates()
            guard let relay else { throw SideError("the schedule cuts \(part.rawValue), which is not relayed") }
            try relay.cut(part)
        case .limitMemory(let role):
            iterated = try sourceIterates()
            try sides[role].limitMemory()
        case .limitDescriptors(let role, let free):
            iterated = try sourceIterates()
            try await sides[role].limitDescriptors(free: free)
        case .wait(.held(let role, let device)):
            guard try await board(role).wait(for: device, deadline, until: { $0.held > 0 }) != nil else { return }
        case .wait(.furtherQueries(let role, let device, let count)):
            let began = try await board(role).wait(for: device, deadline, until: { _ in true })
            guard let first = began?.queries else { return }
            guard let met = try await board(role).wait(for: device, deadline, until: { $0.queries >= first + count }) else { return }
            queries = first...met.queries
        case .wait(.queries(let role, let device, let count)):
            guard let met = try await board(role).wait(for: device, deadline, until: { $0.queries >= count }) else { return }
            queries = 0...met.queries
        case .wait(.leftPrecopy(let role, let device)):
            guard try await board(role).wait(for: device, deadline, until: { !$0.isInPrecopy }) != nil else { return }
        case .wait(.logged(let role, let event, let times)):
            guard try await sides.wait(role, event, times: times, deadline: deadline) else { return }
        case .wait(.furtherLogged(let role, let event, let times)):
            guard try await sides.wait(role, event, times: times, isFurther: true, deadline: deadline) else { return }
        case .wait(.status(let role, let status, let times)):
            guard try await sides.wait(role, "migrate_set_state", text: "new state " + status, times: times, deadline: deadline) else {
                return
            }
        case .wait(.guestWrote(let role, let address)):
            guard try await sides[role].waitForGuest(address, deadline: deadline) else { return }
        }
        if case .wait = step { iterated = try sourceIterates() }
        diary.add(ScheduleMark(step: step, queries: queries, sourceIterated: iterated))
    }
}

extension GateBoard {
    /// Waits until the device's progress meets `condition`; nil when the task was cancelled, or the deadline passed, first.
    fileprivate func wait(for device: String, _ deadline: Deadline, until condition: @escaping @Sendable (DeviceProgress) -> Bool)
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
    /// Waits until the job is over, and dismisses it; false when the task was cancelled, or the deadline passed, first.
    fileprivate func concludes(job id: String, deadline: Deadline) async throws -> Bool {
        while !Task.isCancelled && deadline.remaining > 0 {
            let job = try await monitor.execute("query-jobs").array?.first { $0["id"]?.string == id }
            guard let job else { throw SideError("\(role.rawValue): expected a job '\(id)', found none") }
            if job["status"]?.string == "concluded" {
                if let error = job["error"]?.string { throw SideError("\(role.rawValue): job '\(id)' failed: \(error)") }
                try await execute("job-dismiss", ["id": .string(id)])
                return true
            }
            // Its events are read by whoever watches the migration.
            try? await Task.sleep(for: .milliseconds(2))
        }
        return false
    }
}

extension LegSides {
    /// The source reports its final status before it has put its devices back: the clean-up, which its main thread makes in one go, may
    /// come any time later. Once it is in the log, the next answer of the monitor comes behind it (10.0.13 and 11.1.3).
    func waitForCleanup() async throws {
        let event = "migration_cleanup"
        guard source.configuration.traceEvents.contains(event) else { return }
        if try await wait(.source, event, times: 1, deadline: .after(seconds: 5)) { return }
        // One whose main thread waits for somebody, or that has ended, makes none; what it left is judged.
        guard (try? await source.monitor.execute("query-status", deadline: .after(seconds: 1))) != nil else { return }
        throw SideError("the source has reported its end and answers, but logged no \(event) within 5 s")
    }

    /// Follows a side's log until it holds `times` lines of the event, with this text if one is given; false when the task was cancelled, or
    /// the deadline passed, first.
    fileprivate func wait(
        _ role: Role, _ event: String, text: String? = nil, times: Int, isFurther: Bool = false, deadline: Deadline
    ) async throws -> Bool {
        var tail = try LogTail(logs(role).qemu, event: event, text: text)
        let wanted = isFurther ? try tail.count() + times : times
        while !Task.isCancelled && deadline.remaining > 0 {
            if try tail.count() >= wanted { return true }
            // The log has no way to wake anybody; a device that is being queried does, and is the clock where there is one.
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
    /// Reads a word of guest memory until it is written; false when the task was cancelled, or the deadline passed, first.
    fileprivate func waitForGuest(_ address: Int, deadline: Deadline) async throws -> Bool {
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
