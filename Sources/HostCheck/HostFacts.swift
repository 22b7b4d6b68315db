/// What a host has that a migration of VFIO devices stands on, as its kernel tells it in /sys, /proc and /dev.
///
/// Reading opens no device and changes nothing.
import Glibc
import VFIO

package struct HostFacts: Hashable, Sendable {
    /// A PCI function or a mediated device.
    package struct Device: Hashable, Sendable {
        /// Domain:bus:slot.function, or a UUID.
        package var name: String
        /// The driver that the device is bound to; nil if to none.
        package var driver: String?
        /// The function that the device is a virtual function of; nil for any other device.
        package var physicalFunction: String?
        package var hasGroup = false
        /// The name of its own character device, `vfioN`, which needs CONFIG_VFIO_DEVICE_CDEV.
        package var characterDevice: String?
        /// Virtual functions that the device can have, and that it has now; 0 for a device that has none.
        package var mostFunctions = 0
        package var functions = 0

        package init(name: String) { self.name = name }

        /// True if a driver of VFIO, generic or a vendor's, has the device.
        package var isBoundToVFIO: Bool { characterDevice != nil || driver.map { $0.contains("vfio") } ?? false }
    }

    /// The kernel's release, such as `6.12.57+deb13-amd64`; empty if it is not told.
    package var kernel = ""
    /// Names of the loaded and built-in modules that have a folder in /sys/module.
    package var modules: Set<String> = []
    package var hasIOMMUFD = false
    package var hasContainer = false
    /// IOMMUs that the kernel uses.
    package var iommus = 0
    package var groups = 0
    package var devices: [Device] = []
    /// Bytes that a process may lock in memory; nil if there is no limit or it is not told.
    package var lockableBytes: UInt64?
    package var hasKVM = false

    package init() {}

    /// The facts of the host whose file system begins at `root`; an empty text is this host.
    package init(root: String) {
        func names(_ path: String) -> [String] { folderEntries(root + path) }
        func exists(_ path: String) -> Bool { access(root + path, F_OK) == 0 }
        kernel = firstLine(of: root + "/proc/sys/kernel/osrelease") ?? ""
        modules = Set(names("/sys/module"))
        hasIOMMUFD = exists("/dev/iommu")
        hasContainer = exists("/dev/vfio/vfio")
        iommus = names("/sys/class/iommu").count
        groups = names("/sys/kernel/iommu_groups").count
        hasKVM = exists("/dev/kvm")
        lockableBytes = systemFile(root + "/proc/self/limits", most: 64 << 10).flatMap(Self.lockableBytes)
        for bus in ["pci", "mdev"] {
            for name in names("/sys/bus/\(bus)/devices").prefix(Self.mostDevices) {
                devices.append(Self.device(name, at: "\(root)/sys/bus/\(bus)/devices/\(name)"))
            }
        }
    }

    /// More devices than these of one bus are not looked at.
    private static let mostDevices = 16384

    private static func device(_ name: String, at folder: String) -> Device {
        var device = Device(name: name)
        device.driver = linkedName(folder + "/driver")
        device.physicalFunction = linkedName(folder + "/physfn")
        device.hasGroup = linkedName(folder + "/iommu_group") != nil
        device.characterDevice = folderEntries(folder + "/vfio-dev").first
        device.mostFunctions = firstLine(of: folder + "/sriov_totalvfs").flatMap { Int($0) } ?? 0
        device.functions = firstLine(of: folder + "/sriov_numvfs").flatMap { Int($0) } ?? 0
        return device
    }

    /// The soft limit in a line such as `Max locked memory         8388608              8388608              bytes`.
    static func lockableBytes(_ limits: String) -> UInt64? {
        let line = limits.split(separator: "\n").first { $0.hasPrefix("Max locked memory") }
        return line?.dropFirst("Max locked memory".count).split(separator: " ").first.flatMap { UInt64($0) }
    }
}
