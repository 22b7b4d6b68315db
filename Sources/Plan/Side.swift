/// A side of a migration as its driver sees it.
import VFIO

/// A side that runs. A QEMU process and a process of the engine in virtual time conform; nothing above the peers knows which one it holds.
///
/// The protocol has what both do at once: gates, device progress, halting and killing. Commands, their answers and waiting are the steps of
/// `StepInterpreter`, since a process answers in its own time and is awaited, while the engine answers only when the driver of its virtual
/// time has stepped it further. Starting and reaping are the scope of `withQEMU` and the lifetime of the engine's object.
package protocol Side: AnyObject {
    /// Why a side of this kind cannot do what a plan needs; nil if it can.
    static func obstacle(to need: SideNeed) -> String?

    var role: Role { get }
    var configuration: SideConfiguration { get }
    /// A step has killed the side.
    var wasKilled: Bool { get }

    /// Opens a gate on the side's board; it stays open. Throws if the side has no board.
    func open(gate: String) throws
    /// Opens every gate, so that nothing is held when the side is taken down.
    func openAllGates()
    /// How far a device has come; nil if its state cannot be read at present. Throws if the side has no such device.
    func progress(of device: String) throws -> DeviceProgress?
    /// Stops the process where it stands, or lets it go on.
    func halt(_ isHalted: Bool)
    /// Ends the process at once, as a crash does.
    func kill()
}

extension Side {
    /// True if every device that can be in PRE_COPY is; false without devices.
    package func isInPrecopy() throws -> Bool {
        guard !configuration.devices.isEmpty else { return false }
        return try configuration.devices.allSatisfy { try $0.script?.hasPrecopy != true || progress(of: $0.name)?.isInPrecopy == true }
    }
}
