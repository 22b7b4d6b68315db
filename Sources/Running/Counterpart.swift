/// The engine that a QEMU is compared with.
import EnginePeer
import Plan

extension ProbedBinary {
    /// The engine of the generation that was probed, if that is also the binary's name; nil for an engine, and for a custom build, whose
    /// name says nothing and which may behave otherwise.
    package var counterpart: ProbedBinary? {
        guard binary.kind == .qemu, features.generation == binary.name else { return nil }
        return .engine(binary.name)
    }
}
