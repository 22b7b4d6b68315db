/// The mode that a machine type stands for in every release, and how a probed binary departs from it.
///
/// QEMU 11.1 has both modes. Its compat settings make every versioned machine type up to 11.0 legacy; later ones, and those that have no
/// version, are per-device (confirmed on 11.1.3). A build whose compat entry is gone runs and answers like any other; the rule tells.
import MigrationTrace

extension SwitchoverAckMode {
    /// The mode of a machine type in a release that has both modes. An alias stands for the newest type.
    package static func ruled(machine type: String) -> SwitchoverAckMode {
        guard let release = machineRelease(type) else { return .perDevice }
        return release.lexicographicallyPrecedes([11, 1]) ? .legacy : .perDevice
    }
}

extension ProbedFeatures {
    /// The measured machine types whose mode is not that of the rule, in order of their names.
    package var typesAgainstTheRule: [String] {
        modes.filter { SwitchoverAckMode.ruled(machine: $0.key) != $0.value }.keys.sorted()
    }

    /// What the version promises and the probe does not find, as a sentence; nil if the binary has what its version stands for. A build
    /// between two releases counts as the earlier one.
    package var fallsShort: String? {
        let numbers = version.split(separator: ".").compactMap { Int($0) }
        guard numbers.count >= 2 else { return nil }
        let releases = Self.knownGenerations.compactMap { name in
            let parts = name.split(separator: ".").compactMap { Int($0) }
            return parts.count == 2 ? (name: name, numbers: parts) : nil
        }
        guard let due = releases.last(where: { !numbers.lexicographicallyPrecedes($0.numbers) }),
            let dueIndex = Self.knownGenerations.firstIndex(of: due.name)
        else { return nil }
        let foundIndex = Self.knownGenerations.firstIndex(of: generation) ?? -1
        return foundIndex < dueIndex ? "expected what QEMU \(due.name) can do, as the version \(version) says, found \(generation)" : nil
    }
}

extension ProbedBinary {
    /// The same binary as its release has it: each machine type in the mode of the rule, and no part of the build left out.
    package var asReleased: ProbedBinary {
        var features = features
        features.parts = nil
        for type in features.typesAgainstTheRule { features.modes[type] = .ruled(machine: type) }
        return ProbedBinary(binary: binary, features: features, generation: generation, obstacle: sideObstacle)
    }
}
