/// The errors of driving sides: a refused command, a side that misbehaved, and an environment that lacks something.

/// A side has refused a command.
package struct SideRefusal: Error, Hashable, CustomStringConvertible {
    package let role: Role
    package let binary: String
    package let command: String
    /// The error text, as QEMU or the engine has it.
    package let text: String

    package init(role: Role, binary: String, command: String, text: String) {
        self.role = role
        self.binary = binary
        self.command = command
        self.text = text
    }

    package var description: String { "the \(role.rawValue) \(binary) refused \(command): \(text)" }
}

/// A side did not behave as its driver expects. `description` quotes QEMU where it has said anything.
package struct SideError: Error, CustomStringConvertible {
    package let reason: String
    /// How the processes ended that had not been asked to.
    package let ends: [ProcessEnd]

    package init(_ reason: String, ends: [ProcessEnd] = []) {
        self.reason = reason
        self.ends = ends
    }

    package var description: String { ([reason] + ends.map(\.description)).joined(separator: "; ") }
}

/// The environment lacks something that is needed, such as a QEMU, the shim or disk space. Never a finding.
package struct Environment: Error, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
}
