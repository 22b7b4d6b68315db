/// What a host is fit for: one line for each thing that a migration of VFIO devices stands on.

/// A line of the result.
package struct HostLine: Hashable, Sendable {
    package enum Verdict: String, Hashable, Sendable {
        case pass = "PASS"
        /// Some migrations cannot be made.
        case warn = "WARN"
        /// No migration of VFIO devices can be made.
        case fail = "FAIL"
    }

    package let verdict: Verdict
    package let subject: String
    package let found: String
    /// What to do; nil where all is well.
    package let advice: String?

    static func pass(_ subject: String, _ found: String) -> HostLine {
        HostLine(verdict: .pass, subject: subject, found: found, advice: nil)
    }
    static func warn(_ subject: String, _ found: String, _ advice: String) -> HostLine {
        HostLine(verdict: .warn, subject: subject, found: found, advice: advice)
    }
    static func fail(_ subject: String, _ found: String, _ advice: String) -> HostLine {
        HostLine(verdict: .fail, subject: subject, found: found, advice: advice)
    }

    package var text: String {
        let line = "\(verdict.rawValue)  \(subject): \(found)"
        return advice.map { "\(line); \($0)" } ?? line
    }
}

/// What a device told when it was opened.
package struct OpenedDevice: Hashable, Sendable {
    package let name: String
    /// Its migration flags and features by the names of the interface; nil if it has no migration driver or cannot be opened.
    package let abilities: [String]?
    /// The reason, if there is one.
    package let refusal: String?

    package init(name: String, abilities: [String]?, refusal: String? = nil) {
        (self.name, self.abilities, self.refusal) = (name, abilities, refusal)
    }
}

/// A QEMU binary that can be a side.
package struct HostQEMU: Hashable, Sendable {
    package let name: String
    package let version: String
    package let hasSwitchoverAck: Bool
    package let hasPerDeviceACKs: Bool

    package init(name: String, version: String, hasSwitchoverAck: Bool, hasPerDeviceACKs: Bool) {
        (self.name, self.version) = (name, version)
        (self.hasSwitchoverAck, self.hasPerDeviceACKs) = (hasSwitchoverAck, hasPerDeviceACKs)
    }
}

package enum HostChecks {
    /// The lines of a host, in the order in which a reader mends things: kernel, IOMMU, access, devices, QEMU.
    package static func lines(_ facts: HostFacts, opened: [OpenedDevice], qemus: [HostQEMU]) -> [HostLine] {
        [kernel(facts), iommu(facts)] + access(facts) + modules(facts) + [devices(facts)] + functions(facts) + opened.flatMap(abilities)
            + [lockable(facts), kvm(facts), qemu(qemus)]
    }

    /// The first two numbers of a release.
    static func version(_ release: String) -> (Int, Int)? {
        let parts = release.split(separator: ".", maxSplits: 2).prefix(2).map { $0.prefix { $0.isASCII && $0.isNumber } }
        guard parts.count == 2, let major = Int(parts[0]), let minor = Int(parts[1]) else { return nil }
        return (major, minor)
    }

    private static func kernel(_ facts: HostFacts) -> HostLine {
        guard let version = version(facts.kernel) else {
            return .warn("kernel", "its release is not told", "see /proc/sys/kernel/osrelease")
        }
        // The migration interface that QEMU speaks came with 5.18, PRE_COPY with 6.2.
        if version < (5, 18) { return .fail("kernel", facts.kernel, "VFIO migration needs Linux 5.18 or later") }
        if version < (6, 2) {
            return .warn("kernel", facts.kernel, "PRE_COPY came with Linux 6.2: without it no device asks for a switchover ACK")
        }
        return .pass("kernel", facts.kernel)
    }

    private static func iommu(_ facts: HostFacts) -> HostLine {
        if facts.iommus > 0, facts.groups > 0 { return .pass("IOMMU", "\(facts.iommus) in use, \(facts.groups) groups") }
        return .warn(
            "IOMMU", facts.groups > 0 ? "none, but \(facts.groups) groups" : "none",
            "mediated devices need none; for PCI devices turn it on in the firmware and boot with intel_iommu=on or amd_iommu=on")
    }

    private static func access(_ facts: HostFacts) -> [HostLine] {
        let iommufd: HostLine =
            facts.hasIOMMUFD
            ? .pass("iommufd", "/dev/iommu") : .warn("iommufd", "no /dev/iommu", "modprobe iommufd; the kernel needs CONFIG_IOMMUFD (6.2)")
        let container: HostLine =
            facts.hasContainer
            ? .pass("container", "/dev/vfio/vfio")
            : facts.hasIOMMUFD
                ? .warn("container", "no /dev/vfio/vfio", "modprobe vfio, for users of groups; iommufd does without")
                : .fail("container", "neither /dev/vfio/vfio nor /dev/iommu", "modprobe vfio vfio_iommu_type1 iommufd")
        return [iommufd, container]
    }

    private static func modules(_ facts: HostFacts) -> [HostLine] {
        guard facts.modules.contains("vfio") else {
            return [.fail("module vfio", "not loaded", "modprobe vfio; the kernel needs CONFIG_VFIO")]
        }
        let drivers = facts.modules.filter { $0.hasSuffix("vfio_pci") || $0.hasSuffix("vfio_pci_core") || $0 == "mtty" }.sorted()
        return [
            .pass("module vfio", "loaded"),
            drivers.isEmpty
                ? .warn(
                    "VFIO drivers", "none is loaded", "load the vendor's, such as mlx5_vfio_pci: vfio-pci itself cannot migrate a device")
                : .pass("VFIO drivers", drivers.joined(separator: ", ")),
        ]
    }

    private static func devices(_ facts: HostFacts) -> HostLine {
        let bound = facts.devices.filter(\.isBoundToVFIO)
        guard !bound.isEmpty else {
            return .fail(
                "devices", "none is bound to a VFIO driver", "driverctl set-override DEVICE DRIVER, or write to driver_override and bind")
        }
        let shown = bound.prefix(8).map { device in
            let places = (device.characterDevice.map { ["/dev/vfio/devices/\($0)"] } ?? []) + (device.hasGroup ? ["a group"] : [])
            return "\(device.name) (\(device.driver ?? "no driver"); \(places.isEmpty ? "no access" : places.joined(separator: " and ")))"
        }
        let more = bound.count > shown.count ? ", and \(bound.count - shown.count) more" : ""
        return .pass("devices", shown.joined(separator: ", ") + more)
    }

    private static func functions(_ facts: HostFacts) -> [HostLine] {
        let able = facts.devices.filter { $0.mostFunctions > 0 }
        guard !able.isEmpty else { return [] }
        let virtual = facts.devices.filter { $0.physicalFunction != nil }
        guard !virtual.isEmpty else {
            return [
                .warn(
                    "virtual functions", "none of \(able.map(\.name).joined(separator: ", "))",
                    "echo 2 > /sys/bus/pci/devices/\(able[0].name)/sriov_numvfs, for a source's and a destination's")
            ]
        }
        let bound = virtual.count(where: \.isBoundToVFIO)
        return [.pass("virtual functions", "\(virtual.count), \(bound) of them bound to a VFIO driver")]
    }

    private static func abilities(_ device: OpenedDevice) -> [HostLine] {
        guard let abilities = device.abilities else {
            return [
                .fail(
                    "device \(device.name)", device.refusal ?? "it cannot be opened",
                    "bind it to its vendor's migration driver, and let no other program have it")
            ]
        }
        let has = { (name: String) in abilities.contains { $0.hasSuffix(name) } }
        let subject = "device \(device.name)"
        return [
            has("PRE_COPY")
                ? .pass(subject, "it saves while it runs (PRE_COPY)")
                : .warn(subject, "it has no PRE_COPY", "it asks for no switchover ACK; migrations stop the guest for all of its data"),
            has("P2P")
                ? .pass(subject, "it stops P2P traffic first (P2P)")
                : .warn(
                    subject, "it has no P2P", "of several devices none may lack it; a REINIT after the last query is not checked for it"),
            has("PRECOPY_INFOv2")
                ? .pass(subject, "its kernel tells of REINIT (MIG_PRECOPY_INFOv2)")
                : .warn(
                    subject, "its kernel has no MIG_PRECOPY_INFOv2",
                    "a REINIT goes unnoticed; Linux 6.12 has none, 7.2 has it"),
            has("DMA_LOGGING_START")
                ? .pass(subject, "it logs what it writes (DMA_LOGGING)")
                : .warn(
                    subject, "it does not log what it writes",
                    "the IOMMU must track them; else QEMU's vfio-pci needs x-device-dirty-page-tracking=off,enable-migration=on, and "
                        + "saves all memory as dirty"
                ),
        ]
    }

    private static func lockable(_ facts: HostFacts) -> HostLine {
        guard let bytes = facts.lockableBytes else { return .pass("lockable memory", "no limit") }
        let size = "\(bytes >> 20) MiB"
        return bytes >= 1 << 30
            ? .pass("lockable memory", size)
            : .warn("lockable memory", size, "QEMU pins the guest's memory: raise it with ulimit -l, or LimitMEMLOCK= in its unit")
    }

    private static func kvm(_ facts: HostFacts) -> HostLine {
        facts.hasKVM ? .pass("KVM", "/dev/kvm") : .warn("KVM", "no /dev/kvm", "guests run under TCG, slowly; the handshake is the same")
    }

    private static func qemu(_ qemus: [HostQEMU]) -> HostLine {
        let able = qemus.filter(\.hasSwitchoverAck)
        guard !able.isEmpty else {
            return .fail(
                "QEMU", qemus.isEmpty ? "no binary is known" : "none has the capability switchover-ack",
                "ackmatrix qemu fetch, or name yours with --qemu NAME=PATH; 8.1 and later have it")
        }
        let names = able.map { "\($0.name) (\($0.version), \($0.hasPerDeviceACKs ? "per-device" : "legacy") ACKs)" }.joined(separator: ", ")
        return able.contains(where: \.hasPerDeviceACKs)
            ? .pass("QEMU", names) : .warn("QEMU", names, "per-device ACKs, which a REINIT needs, came with 11.1")
    }
}
