import Foundation
/// The processes of a plan that ended by themselves, or that gave no answer, as their results tell it.
import Glibc
import Plan
import Subprocess
import Synchronization

/// Collects them from the tasks that run the sides. The lock guards an array that grows by one for each process.
package final class EndedProcesses: Sendable {
    private let ends = Mutex<[ProcessEnd]>([])

    package init() {}

    /// Those of sources first: what ends a source may end its destination a moment before or after it is reaped.
    package var all: [ProcessEnd] {
        let ends = ends.withLock { $0 }
        return ends.filter { $0.role == .source } + ends.filter { $0.role != .source }
    }
    func append(_ end: ProcessEnd) { ends.withLock { $0.append(end) } }
}

/// True if the process that a pidfd stands for has ended, or ends before the deadline.
func hasEnded(_ process: Int32, by deadline: Deadline = .now) async -> Bool {
    let ended = try? await blocking {
        var wait = pollfd(fd: process, events: Int16(POLLIN), revents: 0)
        while true {
            let count = poll(&wait, 1, deadline.pollTimeout)
            if count >= 0 || errno != EINTR { return count > 0 }
        }
    }
    return ended == true
}

/// True if the process is stopped, as by SIGSTOP.
func isStopped(_ process: Int32) -> Bool {
    guard let text = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8), let end = text.lastIndex(of: ")") else {
        return false
    }
    return text[end...].dropFirst(2).first == "T"
}

extension ProcessEnd.How {
    /// How a reaped process ended.
    init(_ status: TerminationStatus) {
        switch status {
        case .exited(let code): self = .exited(status: code)
        case .signaled(let signal): self = .signaled(signal)
        }
    }
}
