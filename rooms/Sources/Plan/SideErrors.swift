/// How a side, or the environment, may fail to do its part.

/// A side refused a command.
package struct SideRefusal: Error, Hashable, CustomStringConvertible {
    package let role: Role
    package let binary: String
    package let command: String
    /// QEMU's own words.
    package let text: String

    package init(role: Role, binary: String, command: String, text: String) {
        self.role = role
        self.binary = binary
        self.command = command
        self.text = text
    }

    package var description: String { "the \(role.rawValue) \(binary) refused \(command): \(text)" }
}

/// A side did not do what driving it needs; `description` has QEMU's own words where there are any.
package struct SideError: Error, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
}

/// The environment does not allow what was asked: no QEMU, no shim, no room. Never a finding.
package struct Environment: Error, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
}
