/// The kernel's devices that take the place of mock devices in engine cells.
import MigrationTrace
import Plan
import SystemPackage
import VFIO

/// Devices by their paths, lent to the processes of one run after the other.
// Sendable without a lock: a device has one opener, so the caller runs one cell at a time.
package final class KernelDevices: DeviceSupply, @unchecked Sendable {
    private let paths: [KernelDevicePath]
    private var lent: [KernelScriptedDevice] = []
    private let offersInfoV2: Bool

    /// Opens each device once, to know what the kernel offers. Throws if one is missing, or cannot follow a script.
    package init(_ given: [String]) throws(KernelDevicePath.Failure) {
        var paths: [KernelDevicePath] = []
        for name in given {
            let path = try KernelDevicePath(name)
            guard KernelScriptedDevice.isOffered(by: path) else {
                throw KernelDevicePath.Failure(
                    description:
                        "\(path.folder): the device follows no script: cells need the driver of harness/lab; check another one with "
                        + "`ackmatrix device check`")
            }
            guard !paths.contains(path) else { throw KernelDevicePath.Failure(description: "\(path.folder): the device is named twice") }
            paths.append(path)
        }
        guard let first = paths.first else { throw KernelDevicePath.Failure(description: "no device is named") }
        self.paths = paths
        let probe = try KernelMigrationDevice(name: "probe", path: first)
        offersInfoV2 = probe.feature(.precopyInfoV2, [.set, .probe]).value != nil
        probe.shut()
    }

    /// Why a plan cannot run on these devices; nil: it can.
    package func obstacle(of plan: MigrationPlan) -> UnmetNeed? {
        let sides = [plan.source] + plan.legs.map(\.destination)
        let needed = sides.reduce(0) { $0 + $1.devices.count }
        if needed > paths.count { return UnmetNeed("the plan needs \(needed) kernel devices, and \(paths.count) are given") }
        for device in sides.flatMap(\.devices) {
            guard let script = device.script else { return UnmetNeed("the device \(device.name) follows no script") }
            if let call = script.calls.intersection(KernelScriptedDevice.callsOfTheCore).min() {
                return UnmetNeed("a rule of \(device.name) is on \(call), which the kernel's VFIO core answers or takes apart")
            }
            guard script.hasPrecopy, script.offersInfoV2 != offersInfoV2 else { continue }
            let (wanted, found) = offersInfoV2 ? ("without", "has") : ("with", "has no")
            return UnmetNeed("\(device.name) is \(wanted) MIG_PRECOPY_INFOv2, and the kernel \(found) MIG_PRECOPY_INFOv2")
        }
        return nil
    }

    /// Ends what an earlier run has left open.
    package func begin() {
        for device in lent { device.shut() }
        lent = []
    }

    /// The next device that is not in use.
    package func supply(_ planned: PlannedDevice, delay: DeviceDelay, log: @escaping (Event) -> Void) throws -> SuppliedDevice {
        guard let script = planned.script, lent.count < paths.count else {
            throw SideError("no kernel device is left for \(planned.name): \(paths.count) are given")
        }
        do {
            let device = try KernelScriptedDevice(name: planned.name, path: paths[lent.count], script: script, delay: delay, log: log)
            lent.append(device)
            return SuppliedDevice(device, scripted: device)
        } catch { throw SideError("\(error)") }
    }
}
