/// What a side is: the name that cells and reports have for it, and what is started under that name.

/// The kinds of sides, for grouping in reports. A cell never mixes two kinds.
package enum SideKind: String, CaseIterable, Hashable, Sendable {
    /// Processes that are QEMU.
    case qemu
    /// The engine in this process, of one generation or another.
    case engine
}

/// What a side is made of. The factory that chooses a driver, and the peers themselves, look inside; everybody else uses the name.
package enum SideImplementation: Hashable, Sendable {
    /// A QEMU executable, started as a process.
    case qemu(QEMUBinary)
    /// The engine, in virtual time, as the generation of this name. What follows a tilde in it is the label of a variant, which may have
    /// something wrong: `11.1~build`.
    case engine(generation: String)

    /// What the name of a side that is an engine begins with: `engine@11.1`.
    package static let enginePrefix = "engine@"
    /// What stands between a generation and the label of a variant of it.
    package static let variantMark: Character = "~"

    /// `10.0`, `11.1`, the name that the user gave, or `engine@11.1`.
    package var name: String {
        switch self {
        case .qemu(let binary): binary.name
        case .engine(let generation): Self.enginePrefix + generation
        }
    }

    package var kind: SideKind {
        switch self {
        case .qemu: .qemu
        case .engine: .engine
        }
    }
}

/// A QEMU executable: in a versioned root of unpacked packages, or a custom build.
package struct QEMUBinary: Hashable, Sendable {
    /// The name of the side: `10.0`, `11.1`, or what the user called it.
    package let name: String
    package let start: Start
    /// Arguments of the command line that belong to the binary, as a wrapper script adds them: it is probed with them, too.
    package let arguments: [String]

    package enum Start: Hashable, Sendable {
        /// A folder that holds a whole package closure; started through its own dynamic loader, unprivileged.
        case root(String)
        /// The user's executable, started as it is.
        case executable(String)
    }

    package init(name: String, start: Start, arguments: [String] = []) {
        self.name = name
        self.start = start
        self.arguments = arguments
    }

    /// The file that is QEMU.
    package var path: String {
        switch start {
        case .root(let root): root + "/usr/bin/qemu-system-x86_64"
        case .executable(let path): path
        }
    }
}
