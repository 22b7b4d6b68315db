/// A QEMU process as a side, and what it cannot do here.
import Plan
import VFIO

extension QEMUSide: Side {
    package static func obstacle(to need: SideNeed) -> String? {
        switch need.ability {
        case .guestModules:
            "modules beside memory and VFIO devices are the engine's alone, a QEMU here is started with none: --sides engine"
        case .capability("postcopy-ram"): Userfaultfd.missing
        case .memoryLimit: memoryLimitObstacle
        // What its build or its release lacks, a QEMU refuses in its own words.
        case .customFirmware, .filledMemory, .extraArguments, .deviceProperties, .capability, .parameter, .deviceCall, .channel, .command,
            .gateBoard,
            .halting, .killing, .jobs, .descriptorLimit, .guestMemoryReads:
            nil
        }
    }

    /// Found once: a group is made to find out.
    private static let memoryLimitObstacle = MemoryGroup.missing.map { "a source without memory needs a cgroup: \($0)" }

    package func open(gate: String) throws { try existingBoard().open(gate) }

    package func openAllGates() { board?.openAll() }

    package func progress(of device: String) throws -> DeviceProgress? { try existingBoard().progress(of: device) }

    /// The gate board; throws on a side without devices, which has none.
    func existingBoard() throws -> GateBoard {
        guard let board else { throw SideError("the schedule names a gate or a device of the \(role.rawValue), which has no device") }
        return board
    }
}
