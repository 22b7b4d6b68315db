/// The engine that stands beside a QEMU binary: what a comparison runs, and what a QEMU witnesses.
import EnginePeer
import Plan

extension ProbedBinary {
    /// The engine that does what this binary does: of the generation that was probed, if that is also the binary's name. A custom build has
    /// another name, and may do something else.
    package var counterpart: ProbedBinary? {
        guard binary.kind == .qemu, features.generation == binary.name else { return nil }
        return .engine(binary.name)
    }
}
