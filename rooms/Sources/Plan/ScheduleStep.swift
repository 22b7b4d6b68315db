/// What is waited for and done around a migration, step by step: the words that a schedule is written in.

/// A condition on the progress of a migration, seen on a side's board or in its log. Counts are of the leg that is driven.
package enum ProgressCondition: Hashable, Sendable {
    /// A call on the device is held at a gate right now.
    case held(Role, device: String)
    /// The device has answered so many more precopy queries than when the wait for this condition began.
    case furtherQueries(Role, device: String, UInt64)
    /// The device has answered so many precopy queries since it entered PRE_COPY.
    case queries(Role, device: String, UInt64)
    /// The device is in another state than PRE_COPY.
    case leftPrecopy(Role, device: String)
    /// QEMU has logged the trace event so often.
    case logged(Role, event: String, times: Int)
    /// QEMU has logged the trace event so often since the wait for this condition began.
    case furtherLogged(Role, event: String, times: Int)
    /// The side's migration has entered this status so often.
    case status(Role, String, times: Int)
    /// The word at this address of the side's guest is not 0.
    case guestWrote(Role, address: Int)
}

/// What of a channel is cut.
package enum ChannelPart: String, Hashable, Sendable {
    case whole = "the channel"
    /// What the destination says to the source.
    case returnPath = "the return path"
}

/// A step of a cell's schedule; steps are taken in order.
package enum ScheduleStep: Hashable, Sendable {
    case wait(ProgressCondition)
    case open(Role, gate: String)
    /// Halts the destination's process where it stands; at the migration's end it goes on.
    case haltDestination
    /// Lets a destination go on whose process is halted.
    case resumeDestination
    /// Takes a paused postcopy up again, over a new connection: `migrate-recover` at the destination, `migrate` with `resume` at the source.
    case recover
    /// Waits until the job has concluded, without an error, and dismisses it.
    case concludeJob(Role, id: String)
    /// A QMP command that must not be refused.
    case execute(Role, command: String, JSONValue?)
    /// A QMP command to a side that cannot answer before a call that is held goes on: nobody waits for the answer.
    case request(Role, command: String, JSONValue?)
    /// A QMP command that must be refused, in these words among others.
    case refused(Role, command: String, JSONValue?, words: String)
    /// Ends the side's process by SIGKILL.
    case kill(Role)
    /// Has the side give its channel up, by QMP `yank`.
    case yank(Role)
    /// Cuts a relayed channel, or a part of it.
    case cut(ChannelPart)
    /// Lets the side open so many descriptors more than it has, and no more; nil: as many as it may.
    case limitDescriptors(Role, free: Int?)
    /// Leaves the side next to no memory to take, by a cgroup: the kernel kills it as soon as it needs more.
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
    /// The step that comes after so many, in words; nil when all are taken.
    package func armed(after done: Int) -> String? {
        done < count ? "schedule step \(done + 1) of \(count): \(self[done])" : nil
    }
}

/// Whether the source decides by the threshold that was last asked for: it reckons one at the end of each window, by the parameters of
/// that moment. Until then nothing is known of what stays above it.
package struct ThresholdInForce {
    package let steps: [ScheduleStep]
    private var windows = 0
    /// The step that set it last, and the windows that had ended when that was first seen to be taken.
    private var latest: (step: Int?, windows: Int) = (nil, 0)

    package init(steps: [ScheduleStep]) { self.steps = steps }

    /// A window of the source has ended.
    package mutating func windowEnded() { windows += 1 }

    /// What is still to come after so many steps, in words; nil: nothing.
    package mutating func pending(after taken: Int) -> String? {
        let step = steps.prefix(taken).lastIndex(where: \.setsThreshold)
        if step != latest.step { latest = (step, windows) }
        guard step != nil, windows == latest.windows else { return nil }
        return "the threshold that was set is in force from the end of the window on"
    }
}

extension ScheduleStep {
    fileprivate var setsThreshold: Bool {
        guard case .execute(.source, "migrate-set-parameters", let arguments) = self else { return false }
        return ["avail-switchover-bandwidth", "downtime-limit", "max-bandwidth"].contains { arguments?[$0] != nil }
    }
}
