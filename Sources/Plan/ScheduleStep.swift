/// The steps of a schedule: what is awaited and done around a migration.

/// A condition on the progress of a migration, read from a side's gate board or log. Counts start with the leg.
package enum ProgressCondition: Hashable, Sendable {
    /// A call on the device is held at a gate right now.
    case held(Role, device: String)
    /// The device has answered this many precopy queries since the wait began.
    case furtherQueries(Role, device: String, UInt64)
    /// The device has answered this many precopy queries since it entered PRE_COPY.
    case queries(Role, device: String, UInt64)
    /// The device is in a state other than PRE_COPY.
    case leftPrecopy(Role, device: String)
    /// The side has logged the trace event this many times.
    case logged(Role, event: String, times: Int)
    /// The side has logged the trace event this many times since the wait began.
    case furtherLogged(Role, event: String, times: Int)
    /// The side's migration has entered this status this many times.
    case status(Role, String, times: Int)
    /// The 32-bit word at this address of the guest's memory is not 0.
    case guestWrote(Role, address: Int)
}

/// The part of a channel that is cut.
package enum ChannelPart: String, Hashable, Sendable {
    case whole = "the channel"
    /// The direction from the destination to the source.
    case returnPath = "the return path"
}

/// A step of a cell's schedule; steps are taken in order.
package enum ScheduleStep: Hashable, Sendable {
    case wait(ProgressCondition)
    case open(Role, gate: String)
    /// Stops the destination's process (SIGSTOP); at the latest, the end of the migration resumes it.
    case haltDestination
    /// Resumes the destination's halted process.
    case resumeDestination
    /// Recovers a paused postcopy migration over a new connection: `migrate-recover` at the destination, then `migrate` with `resume` at
    /// the source.
    case recover
    /// Waits until the job has concluded without an error, and dismisses it.
    case concludeJob(Role, id: String)
    /// A QMP command that must succeed.
    case execute(Role, command: String, JSONValue?)
    /// A QMP command to a side whose main loop is blocked by a held call: the answer is not awaited.
    case request(Role, command: String, JSONValue?)
    /// A QMP command that must be refused with an error that contains these words.
    case refused(Role, command: String, JSONValue?, words: String)
    /// Kills the side's process (SIGKILL).
    case kill(Role)
    /// Makes the side shut its channel down, by QMP `yank`.
    case yank(Role)
    /// Cuts a relayed channel, or a part of it.
    case cut(ChannelPart)
    /// Limits the side to this many more descriptors than it has; nil restores the limit it was started with.
    case limitDescriptors(Role, free: Int?)
    /// Limits the side to almost no further memory, by a cgroup: the kernel kills it as soon as it allocates more.
    case limitMemory(Role)
}

extension ScheduleStep: CustomStringConvertible {
    package var description: String {
        switch self {
        case .wait(.held(let role, let device)): "wait until \(device) is held at the \(role.rawValue)"
        case .wait(.furtherQueries(let role, let device, let count)):
            "wait for \(count) further queries of \(device) at the \(role.rawValue)"
        case .wait(.queries(let role, let device, let count)): "wait until \(device) has answered \(count) queries at the \(role.rawValue)"
        case .wait(.leftPrecopy(let role, let device)): "wait until \(device) has left PRE_COPY at the \(role.rawValue)"
        case .wait(.logged(let role, let event, let times)):
            "wait until the \(role.rawValue) has logged \(event)" + (times > 1 ? " \(times) times" : "")
        case .wait(.furtherLogged(let role, let event, let times)):
            "wait until the \(role.rawValue) has logged \(event) \(times) times more"
        case .wait(.status(let role, let status, let times)):
            "wait until the \(role.rawValue) is \(status)" + (times > 1 ? " for the \(times)th time" : "")
        case .wait(.guestWrote(let role, let address)):
            "wait until the \(role.rawValue)'s guest has written 0x\(String(address, radix: 16))"
        case .haltDestination: "halt the destination's process"
        case .resumeDestination: "let the destination's process go on"
        case .recover: "recover the paused migration"
        case .concludeJob(let role, let id): "wait until job \(id) at the \(role.rawValue) has concluded"
        case .open(let role, let gate): "open gate \(gate) at the \(role.rawValue)"
        case .execute(let role, let command, _): "\(command) at the \(role.rawValue)"
        case .request(let role, let command, _): "\(command) at the \(role.rawValue), which cannot answer yet"
        case .refused(let role, let command, _, let words): "\(command) at the \(role.rawValue), to be refused with '\(words)'"
        case .kill(let role): "kill the \(role.rawValue)"
        case .yank(let role): "yank at the \(role.rawValue)"
        case .cut(let part): "cut \(part.rawValue)"
        case .limitDescriptors(let role, let free?): "leave the \(role.rawValue) \(free) free descriptors"
        case .limitMemory(let role): "leave the \(role.rawValue) next to no memory to take"
        case .limitDescriptors(let role, nil): "lift the \(role.rawValue)'s limit of descriptors"
        }
    }
}

extension [ScheduleStep] {
    /// The step that follows the first `done` steps, in words; nil when all are taken.
    package func armed(after done: Int) -> String? {
        done < count ? "schedule step \(done + 1) of \(count): \(self[done])" : nil
    }
}

// MARK: - Interpreting steps

/// Gives each step its meaning: an asynchronous action on QEMU processes, an attempt between two steps of the engine's threads, or
/// lines of a shell script.
///
/// There is one requirement for each step and each condition, so that the compiler names every interpreter that lacks a new one. `Meaning`
/// differs since only a process can be awaited: the engine answers when the driver of its virtual time has stepped it further.
package protocol StepInterpreter {
    associatedtype Meaning

    func open(gate: String, at role: Role) throws -> Meaning
    func haltDestination() throws -> Meaning
    func resumeDestination() throws -> Meaning
    func recover() throws -> Meaning
    func concludeJob(_ id: String, at role: Role) throws -> Meaning
    func execute(_ command: String, _ arguments: JSONValue?, at role: Role) throws -> Meaning
    func request(_ command: String, _ arguments: JSONValue?, at role: Role) throws -> Meaning
    func expectRefusal(of command: String, _ arguments: JSONValue?, words: String, at role: Role) throws -> Meaning
    func kill(_ role: Role) throws -> Meaning
    func yank(_ role: Role) throws -> Meaning
    func cut(_ part: ChannelPart) throws -> Meaning
    func limitDescriptors(of role: Role, free: Int?) throws -> Meaning
    func limitMemory(of role: Role) throws -> Meaning

    func waitUntilHeld(_ device: String, at role: Role) throws -> Meaning
    func waitForFurtherQueries(_ count: UInt64, of device: String, at role: Role) throws -> Meaning
    func waitForQueries(_ count: UInt64, of device: String, at role: Role) throws -> Meaning
    func waitUntilPrecopyIsLeft(by device: String, at role: Role) throws -> Meaning
    func waitForLogged(_ event: String, times: Int, at role: Role) throws -> Meaning
    func waitForFurtherLogged(_ event: String, times: Int, at role: Role) throws -> Meaning
    func waitForStatus(_ status: String, times: Int, at role: Role) throws -> Meaning
    func waitForGuestWrite(to address: Int, at role: Role) throws -> Meaning
}

extension ScheduleStep {
    /// The meaning of the step to an interpreter. Drivers and renderers tell steps apart here and nowhere else.
    package func meaning<Interpreter: StepInterpreter>(to interpreter: Interpreter) throws -> Interpreter.Meaning {
        switch self {
        case .wait(let condition): try condition.meaning(to: interpreter)
        case .open(let role, let gate): try interpreter.open(gate: gate, at: role)
        case .haltDestination: try interpreter.haltDestination()
        case .resumeDestination: try interpreter.resumeDestination()
        case .recover: try interpreter.recover()
        case .concludeJob(let role, let id): try interpreter.concludeJob(id, at: role)
        case .execute(let role, let command, let arguments): try interpreter.execute(command, arguments, at: role)
        case .request(let role, let command, let arguments): try interpreter.request(command, arguments, at: role)
        case .refused(let role, let command, let arguments, let words):
            try interpreter.expectRefusal(of: command, arguments, words: words, at: role)
        case .kill(let role): try interpreter.kill(role)
        case .yank(let role): try interpreter.yank(role)
        case .cut(let part): try interpreter.cut(part)
        case .limitDescriptors(let role, let free): try interpreter.limitDescriptors(of: role, free: free)
        case .limitMemory(let role): try interpreter.limitMemory(of: role)
        }
    }

    /// The ability that the step needs, and the side that must have it; nil if every side can take the step.
    package var need: (role: Role, ability: SideAbility)? {
        switch self {
        case .wait(let condition): condition.need
        case .concludeJob(let role, _): (role, .jobs)
        case .execute(let role, let command, _), .request(let role, let command, _): (role, .command(command))
        case .limitDescriptors(let role, _): (role, .descriptorLimit)
        case .limitMemory(let role): (role, .memoryLimit)
        case .open(let role, _): (role, .gateBoard)
        case .haltDestination, .resumeDestination: (.destination, .halting)
        case .kill(let role): (role, .killing)
        case .recover, .refused, .yank, .cut: nil
        }
    }

    /// The condition of a step that only waits.
    package var condition: ProgressCondition? { if case .wait(let condition) = self { condition } else { nil } }
}

extension ProgressCondition {
    fileprivate func meaning<Interpreter: StepInterpreter>(to interpreter: Interpreter) throws -> Interpreter.Meaning {
        switch self {
        case .held(let role, let device): try interpreter.waitUntilHeld(device, at: role)
        case .furtherQueries(let role, let device, let count): try interpreter.waitForFurtherQueries(count, of: device, at: role)
        case .queries(let role, let device, let count): try interpreter.waitForQueries(count, of: device, at: role)
        case .leftPrecopy(let role, let device): try interpreter.waitUntilPrecopyIsLeft(by: device, at: role)
        case .logged(let role, let event, let times): try interpreter.waitForLogged(event, times: times, at: role)
        case .furtherLogged(let role, let event, let times): try interpreter.waitForFurtherLogged(event, times: times, at: role)
        case .status(let role, let status, let times): try interpreter.waitForStatus(status, times: times, at: role)
        case .guestWrote(let role, let address): try interpreter.waitForGuestWrite(to: address, at: role)
        }
    }

    fileprivate var need: (role: Role, ability: SideAbility)? {
        switch self {
        case .guestWrote(let role, _): (role, .guestMemoryReads)
        case .held(let role, _), .furtherQueries(let role, _, _), .queries(let role, _, _), .leftPrecopy(let role, _): (role, .gateBoard)
        case .logged, .furtherLogged, .status: nil
        }
    }

    /// The trace event that the condition counts, and the side that logs it; nil if the condition is no count of an event.
    package var countedEvent: (role: Role, name: String)? {
        switch self {
        case .logged(let role, let event, _), .furtherLogged(let role, let event, _): (role, event)
        case .held, .furtherQueries, .queries, .leftPrecopy, .status, .guestWrote: nil
        }
    }
}
