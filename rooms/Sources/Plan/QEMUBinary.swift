/// A side by its name and how to start it: a versioned root of unpacked packages, the user's own build, or the engine in this process.

package struct QEMUBinary: Hashable, Sendable {
    /// The name of a side: `10.0`, `11.1`, what the user called it, or `engine@11.1`.
    package let name: String
    package let start: Start

    package enum Start: Hashable, Sendable {
        /// A folder that holds a whole package closure; started through its own dynamic loader, unprivileged.
        case root(String)
        /// An executable of the user's, started as it is.
        case executable(String)
        /// No QEMU: the engine of this generation, which runs in this process.
        case engine(generation: String)
    }

    package init(name: String, start: Start) {
        self.name = name
        self.start = start
    }

    /// The file that is QEMU; empty for an engine, which is none.
    package var path: String {
        switch start {
        case .root(let root): root + "/usr/bin/qemu-system-x86_64"
        case .executable(let path): path
        case .engine: ""
        }
    }
}

extension QEMUBinary {
    /// What the name of a side that is an engine begins with: `engine@11.1`.
    package static let enginePrefix = "engine@"

    /// The side that the engine of a generation is; `generation` is one of `Generation`'s names.
    package init(engine generation: String) {
        self.init(name: Self.enginePrefix + generation, start: .engine(generation: generation))
    }

    /// The generation of a side that is an engine; nil for a QEMU.
    package var engineGeneration: String? {
        if case .engine(let generation) = start { generation } else { nil }
    }

    package var isEngine: Bool { engineGeneration != nil }
}
