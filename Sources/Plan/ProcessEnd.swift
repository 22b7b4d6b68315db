/// How a side's process ended without being asked to, or stopped answering: what a result tells beside the verdict.

package struct ProcessEnd: Hashable, Sendable {
    package enum How: Hashable, Sendable {
        case exited(status: Int32)
        case signaled(Int32)
        /// The process lives and has said nothing on its monitor for so many seconds.
        case silent(seconds: Double, isStopped: Bool)
    }

    package let role: Role
    /// The name of the side's binary.
    package let binary: String
    package let how: How
    /// True if the process had answered on its monitor before.
    package let hasAnswered: Bool
    /// The last lines of its standard error, safe to print; a bounded number of bounded length.
    package let lastWords: [String]

    package init(role: Role, binary: String, how: How, hasAnswered: Bool, lastWords: [String]) {
        self.role = role
        self.binary = binary
        self.how = how
        self.hasAnswered = hasAnswered
        self.lastWords = lastWords
    }

    /// `exited with status 1`, `was ended by signal 11 (SIGSEGV)`, or `no answer for 10.0 s; its process is stopped`.
    package var end: String {
        switch how {
        case .exited(let status): "exited with status \(status)"
        case .signaled(let number): "was ended by signal \(number)" + (signalNames[number].map { " (\($0))" } ?? "")
        case .silent(let seconds, let isStopped):
            "gave no answer for \(Int(seconds.rounded())) s" + (isStopped ? ", since its process is stopped" : "")
        }
    }

    /// A clause that names the side.
    package var description: String {
        let answered =
            switch how {
            case .silent: hasAnswered ? "" : " and had not answered before"
            case .exited, .signaled: hasAnswered ? " after it had answered on its monitor" : " before it answered on its monitor"
            }
        let words =
            lastWords.isEmpty
            ? "it printed nothing on standard error" : "its standard error ends with '\(lastWords.joined(separator: " | "))'"
        return "the \(role.rawValue) \(binary) \(end)\(answered); \(words)"
    }
}

private let signalNames: [Int32: String] = [
    1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 5: "SIGTRAP", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 9: "SIGKILL",
    11: "SIGSEGV", 13: "SIGPIPE", 14: "SIGALRM", 15: "SIGTERM", 24: "SIGXCPU", 25: "SIGXFSZ", 31: "SIGSYS",
]
