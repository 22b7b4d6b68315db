/// A device of a side, as a plan has it: its place in the machine, and its backend.
import VFIO

package struct PlannedDevice: Hashable, Sendable {
    /// What backs a device. Only those that start a side ask for it.
    package enum Backend: Hashable, Sendable {
        /// The C mock, which follows a script.
        case mock(DeviceScript)
        /// A recording that is replayed.
        case replay(ReplayText)
    }

    /// QEMU's `id=`, and the name in the device log.
    package let name: String
    package var backend: Backend
    /// The slot of the root bus, which makes the section's idstr: the same on both sides, whatever the order of plugging.
    package let slot: Int
    /// True if the device is absent when QEMU starts: the slot holds a PCIe root port, and a step plugs the device behind it. The root bus
    /// itself accepts no hot-plugged device (q35 of 10.0.13 and 11.1.3).
    package var isPluggedLater = false

    package init(name: String, _ backend: Backend, slot: Int = 0x10) {
        self.name = name
        self.backend = backend
        self.slot = slot
    }

    /// The idstr of the device's section, `0000:00:10.0/vfio`; behind a root port `0000:00:10.0:00.0/vfio`.
    package var idstr: String { "0000:00:\(slot < 16 ? "0" : "")\(String(slot, radix: 16)).0\(isPluggedLater ? ":00.0" : "")/vfio" }

    /// The id of the root port in the device's slot.
    package var port: String { "port-\(name)" }

    /// The script that the device follows; nil for a device that follows none.
    package var script: DeviceScript? {
        switch backend {
        case .mock(let script): script
        case .replay: nil
        }
    }
}
