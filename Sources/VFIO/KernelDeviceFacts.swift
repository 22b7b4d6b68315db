/// What the kernel tells of a device in sysfs, beside its migration: names that a result is filed under.
import MigrationTrace

extension KernelDevicePath {
    /// Facts with a name each, in the order in which a reader wants them; what the kernel does not tell is left out.
    package var facts: [(name: String, value: String)] {
        var facts: [(String, String)] = []
        func add(_ name: String, _ value: String?) { if let value, !value.isEmpty { facts.append((name, value)) } }
        let ids = ["vendor", "device", "subsystem_vendor", "subsystem_device", "revision"].compactMap { firstLine(of: folder + "/" + $0) }
        add("hardware", ids.joined(separator: " "))
        let driver = linkedName(folder + "/driver")
        add("driver", driver)
        // A driver's module may have another name than the driver.
        let module = driver.flatMap { _ in linkedName(folder + "/driver/module") }
        add("module", module)
        if let module {
            add("module version", firstLine(of: "/sys/module/\(module)/version") ?? firstLine(of: "/sys/module/\(module)/srcversion"))
        }
        add("mediated type", linkedName(folder + "/mdev_type"))
        add("IOMMU", firstLine(of: folder + "/iommu_group/type"))
        add("kernel", firstLine(of: "/proc/sys/kernel/osrelease"))
        return facts
    }
}

extension KernelDevicePath {
    /// The facts as properties of a trace's side: `v0.module-version`, for the device that the trace calls `v0`.
    package func properties(of name: String) -> [Setting] {
        facts.map { Setting("\(name).\($0.name.replacing(" ", with: "-"))", $0.value) }
    }
}
