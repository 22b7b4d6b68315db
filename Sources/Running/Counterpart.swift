/// The engine that a QEMU is compared with.
import EnginePeer
import Matrix
import Plan

extension ProbedBinary {
    /// The engine of the generation that was probed, if that is also the binary's name; nil for an engine, and for a custom build, whose
    /// name says nothing and which may behave otherwise.
    package var counterpart: ProbedBinary? {
        guard binary.kind == .qemu, features.generation == binary.name else { return nil }
        return .engine(binary.name)
    }
}

extension SharedCell {
    /// The shared cells of one selection, between each binary and its counterpart.
    package static func cells(of planned: PlannedSelection, binaries: [ProbedBinary]) throws -> (
        shared: [SharedCell], missing: [Unavailable]
    ) {
        let qemus = binaries.filter { $0.binary.kind == .qemu }
        let made = try Recipe.cells(of: planned.selection, product: planned.product, binaries: qemus + qemus.compactMap(\.counterpart))
        return (pairs(in: made.cells), made.missing)
    }
}
