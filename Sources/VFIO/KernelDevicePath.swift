/// The places of a kernel's VFIO device: found from one name that a user gives.
import Glibc

/// How a device is opened.
package enum KernelAccess: String, CaseIterable, Hashable, Sendable {
    /// The device's own character device and an iommufd (Linux 6.6 and later, CONFIG_VFIO_DEVICE_CDEV).
    case cdev
    /// The device's IOMMU group and a container.
    case group
}

package struct KernelDevicePath: Hashable, Sendable {
    /// The device's folder below /sys/bus.
    package let folder: String
    /// The name that the group knows the device by: a UUID, or domain:bus:slot.function.
    package let name: String
    /// The group's device file, and the device's own; nil where the kernel has none.
    package let group: String?
    package let cdev: String?

    package struct Failure: Error, Hashable, CustomStringConvertible {
        package let description: String
        package init(description: String) { self.description = description }
    }

    /// Finds a device by its folder in sysfs, its name (a UUID or domain:bus:slot.function), or its character device.
    package init(_ given: String) throws(Failure) {
        let candidates =
            if given.hasPrefix("/dev/") {
                ["/sys/class/vfio-dev/\(lastPart(given))/device"]
            } else if given.hasPrefix("/") {
                [given]
            } else if given.isEmpty || given.contains("/") {
                [String]()
            } else {
                ["/sys/bus/mdev/devices/\(given)", "/sys/bus/pci/devices/\(given)"]
            }
        guard let folder = candidates.lazy.compactMap(fullPath).first else {
            throw Failure(
                description:
                    "\(given): no such device: expected a folder below /sys/bus/mdev/devices or /sys/bus/pci/devices, the name of one, or "
                    + "a file /dev/vfio/devices/vfioN")
        }
        self.folder = folder
        name = lastPart(folder)
        group = fullPath(folder + "/iommu_group").map { "/dev/vfio/" + lastPart($0) }
        cdev = folderEntries(folder + "/vfio-dev").first.map { "/dev/vfio/devices/" + $0 }.flatMap { access($0, F_OK) == 0 ? $0 : nil }
        guard group != nil || cdev != nil else {
            throw Failure(
                description:
                    "\(folder): the device has neither an IOMMU group nor a character device: bind it to a VFIO driver first")
        }
    }

    /// The accesses that the kernel offers for this device; the best one first.
    package var accesses: [KernelAccess] {
        (cdev != nil && Glibc.access("/dev/iommu", F_OK) == 0 ? [.cdev] : []) + (group != nil ? [.group] : [])
    }
}

private func lastPart(_ path: String) -> String { path.split(separator: "/").last.map(String.init) ?? path }

/// The path without symbolic links; nil if there is nothing.
private func fullPath(_ path: String) -> String? {
    guard let full = realpath(path, nil) else { return nil }
    defer { free(full) }
    return String(cString: full)
}
