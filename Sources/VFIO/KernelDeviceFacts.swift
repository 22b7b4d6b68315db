/// What the kernel tells of a device in sysfs, beside its migration: names that a result is filed under.
import Glibc

extension KernelDevicePath {
    /// Facts with a name each, in the order in which a reader wants them; what the kernel does not tell is left out.
    package var facts: [(name: String, value: String)] {
        var facts: [(String, String)] = []
        func add(_ name: String, _ value: String?) { if let value, !value.isEmpty { facts.append((name, value)) } }
        let ids = ["vendor", "device", "subsystem_vendor", "subsystem_device", "revision"].compactMap { firstLine(folder + "/" + $0) }
        add("hardware", ids.joined(separator: " "))
        let driver = linked(folder + "/driver")
        add("driver", driver)
        // A driver's module may have another name than the driver.
        let module = driver.flatMap { _ in linked(folder + "/driver/module") }
        add("module", module)
        if let module {
            add("module version", firstLine("/sys/module/\(module)/version") ?? firstLine("/sys/module/\(module)/srcversion"))
        }
        add("mediated type", linked(folder + "/mdev_type"))
        add("IOMMU", firstLine(folder + "/iommu_group/type"))
        add("kernel", firstLine("/proc/sys/kernel/osrelease"))
        return facts
    }
}

/// The first line of a file of sysfs, at most 4 KiB; nil if it cannot be read.
private func firstLine(_ path: String) -> String? {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return nil }
    defer { close(file) }
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = read(file, &bytes, bytes.count)
    guard count > 0 else { return nil }
    return String(decoding: bytes[..<count].prefix { $0 != 0x0A }, as: UTF8.self)
}

/// The last part of what a symbolic link names.
private func linked(_ path: String) -> String? {
    var bytes = [CChar](repeating: 0, count: Int(PATH_MAX))
    let count = readlink(path, &bytes, bytes.count)
    guard count > 0 else { return nil }
    return String(decoding: bytes[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self).split(separator: "/").last.map(String.init)
}
