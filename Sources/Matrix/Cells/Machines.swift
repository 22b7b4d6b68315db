/// The machine types that a selection stands for, by those that both sides have and the mode in which each runs them.
import MigrationTrace
import Plan

/// The machine type of each side. The two differ where an alias stands for another type in each binary.
struct Machines: Hashable {
    var title: String
    var source: String
    var destination: String
}

extension Recipe {
    /// Machine types for the board and type selected, newest last.
    func machines() -> [Machines] {
        let from = source.features
        let to = destination.features
        func same(_ machine: String, _ title: String? = nil) -> Machines {
            Machines(title: title ?? String(machine.dropFirst("pc-".count)), source: machine, destination: machine)
        }
        let board = choices.board.word
        let shared = from.machineTypes.filter { $0.hasPrefix("pc-\(board)-") && to.machineTypes.contains($0) }
            .sorted { (machineRelease($0) ?? []).lexicographicallyPrecedes(machineRelease($1) ?? []) }
        func both(_ mode: SwitchoverAckMode) -> [String] {
            shared.filter { machine in [from, to].allSatisfy { $0.mode(machine: machine) == mode } }
        }
        // A build whose compat entry is gone runs per device what the other side runs legacy: that is what the cell shows then.
        func eitherLegacy() -> [String] {
            shared.filter { machine in
                let modes = [from, to].compactMap { $0.mode(machine: machine) }
                return modes.count == 2 && modes.contains(.legacy)
            }
        }
        switch (choices.board, choices.type) {
        case (.microvm, .unversioned): return [same("microvm,pcie=on", "microvm")]
        case (.none, .unversioned): return [same("none", "none")]
        // These boards have no versions, and the others have nothing else.
        case (.microvm, .newestLegacy), (.microvm, .newestPerDevice), (.microvm, .eachLegacy), (.microvm, .alias),
            (.none, .newestLegacy), (.none, .newestPerDevice), (.none, .eachLegacy), (.none, .alias),
            (.q35, .unversioned), (.i440fx, .unversioned):
            return []
        case (.q35, .newestLegacy), (.i440fx, .newestLegacy):
            // A side without the capability has no mode; having the type is enough.
            guard from.hasSwitchoverAck, to.hasSwitchoverAck else { return shared.suffix(1).map { same($0) } }
            return (both(.legacy).last ?? eitherLegacy().last).map { [same($0)] } ?? []
        case (.q35, .newestPerDevice), (.i440fx, .newestPerDevice): return both(.perDevice).suffix(1).map { same($0) }
        case (.q35, .eachLegacy), (.i440fx, .eachLegacy): return eitherLegacy().map { same($0) }
        case (.q35, .alias), (.i440fx, .alias):
            guard from.aliases[board] != nil, to.aliases[board] != nil else { return [] }
            return [Machines(title: "\(board)-alias", source: board, destination: board)]
        }
    }
}
