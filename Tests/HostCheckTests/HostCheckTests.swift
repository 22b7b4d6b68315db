/// The lines of hosts that have something, and of hosts that lack it.
import Foundation
import Testing

@testable import HostCheck

@Suite struct HostCheckTests {
    /// A host that lacks nothing.
    private static var good: HostFacts {
        var facts = HostFacts()
        facts.kernel = "7.2.12+deb13-amd64"
        facts.modules = ["vfio", "mlx5_vfio_pci", "kvm"]
        (facts.hasIOMMUFD, facts.hasContainer, facts.hasKVM) = (true, true, true)
        (facts.iommus, facts.groups) = (2, 30)
        var function = HostFacts.Device(name: "0000:03:00.2")
        (function.driver, function.physicalFunction) = ("mlx5_vfio_pci", "0000:03:00.0")
        (function.hasGroup, function.characterDevice) = (true, "vfio0")
        var physical = HostFacts.Device(name: "0000:03:00.0")
        (physical.driver, physical.mostFunctions, physical.functions) = ("mlx5_core", 8, 1)
        facts.devices = [physical, function]
        return facts
    }

    private static let device = OpenedDevice(
        name: "0000:03:00.2",
        abilities: [
            "VFIO_MIGRATION_P2P", "VFIO_MIGRATION_PRE_COPY", "VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2",
            "VFIO_DEVICE_FEATURE_DMA_LOGGING_START",
        ])
    private static let qemu = HostQEMU(name: "11.1", version: "11.1.3", hasSwitchoverAck: true, hasPerDeviceACKs: true)

    @Test func aHostThatLacksNothingPasses() {
        let lines = HostChecks.lines(Self.good, opened: [Self.device], qemus: [Self.qemu])
        #expect(lines.allSatisfy { $0.verdict == .pass && $0.advice == nil }, "\(lines.map(\.text))")
        #expect(lines.count == 15)
    }

    /// One thing that a host lacks, the line that says so, and words in it.
    struct Lack: Sendable {
        let subject: String
        let verdict: HostLine.Verdict
        let words: String
        let change: @Sendable (inout HostFacts) -> Void
    }

    static let lacks: [Lack] = [
        Lack(subject: "kernel", verdict: .fail, words: "5.18") { $0.kernel = "5.10.0-33-amd64" },
        Lack(subject: "kernel", verdict: .warn, words: "PRE_COPY") { $0.kernel = "6.1.0-28-amd64" },
        Lack(subject: "kernel", verdict: .warn, words: "not told") { $0.kernel = "" },
        Lack(subject: "IOMMU", verdict: .warn, words: "iommu=on") { $0.iommus = 0 },
        Lack(subject: "iommufd", verdict: .warn, words: "modprobe iommufd") { $0.hasIOMMUFD = false },
        Lack(subject: "container", verdict: .warn, words: "iommufd does without") { $0.hasContainer = false },
        Lack(subject: "container", verdict: .fail, words: "modprobe") { ($0.hasContainer, $0.hasIOMMUFD) = (false, false) },
        Lack(subject: "module vfio", verdict: .fail, words: "modprobe vfio") { $0.modules = [] },
        Lack(subject: "VFIO drivers", verdict: .warn, words: "vendor") { $0.modules = ["vfio"] },
        Lack(subject: "devices", verdict: .fail, words: "none is bound") { $0.devices = [] },
        Lack(subject: "virtual functions", verdict: .warn, words: "0000:03:00.0/sriov_numvfs") { $0.devices.removeLast() },
        Lack(subject: "lockable memory", verdict: .warn, words: "8 MiB") { $0.lockableBytes = 8 << 20 },
        Lack(subject: "KVM", verdict: .warn, words: "TCG") { $0.hasKVM = false },
    ]

    @Test(arguments: lacks.indices) func aLackIsSaidWithWhatToDo(index: Int) throws {
        let lack = Self.lacks[index]
        var facts = Self.good
        lack.change(&facts)
        let lines = HostChecks.lines(facts, opened: [], qemus: [Self.qemu])
        let line = try #require(lines.first { $0.subject == lack.subject })
        #expect(line.verdict == lack.verdict, "\(line.text)")
        #expect(line.text.contains(lack.words), "\(line.text)")
        #expect(line.advice != nil)
    }

    @Test func aDeviceTellsWhatItLacks() {
        let lines = HostChecks.lines(
            Self.good,
            opened: [
                OpenedDevice(name: "old", abilities: ["VFIO_MIGRATION_PRE_COPY"]),
                OpenedDevice(name: "taken", abilities: nil, refusal: "EBUSY"),
            ], qemus: [Self.qemu])
        let old = lines.filter { $0.subject == "device old" }
        #expect(old.map(\.verdict) == [.pass, .warn, .warn, .warn])
        #expect(lines.contains { $0.subject == "device taken" && $0.verdict == .fail && $0.found == "EBUSY" })
    }

    @Test func qemu() {
        func line(_ qemus: [HostQEMU]) -> HostLine? { HostChecks.lines(Self.good, opened: [], qemus: qemus).last }
        #expect(line([])?.verdict == .fail)
        #expect(line([HostQEMU(name: "7.2", version: "7.2.1", hasSwitchoverAck: false, hasPerDeviceACKs: false)])?.verdict == .fail)
        #expect(line([HostQEMU(name: "10.0", version: "10.0.13", hasSwitchoverAck: true, hasPerDeviceACKs: false)])?.verdict == .warn)
        #expect(line([Self.qemu])?.verdict == .pass)
    }

    @Test(arguments: [
        ("6.12.57+deb13-amd64", "6 12"), ("7.2.12", "7 2"), ("6.18-rc3", "6 18"), ("", "none"), ("six", "none"), ("6.", "none"),
        ("99999999999999999999.1", "none"),
    ])
    func versions(release: String, expected: String) {
        #expect(HostChecks.version(release).map { "\($0.0) \($0.1)" } ?? "none" == expected)
    }

    @Test(arguments: [("8388608", 8_388_608 as UInt64?), ("unlimited", nil), ("", nil)])
    func theLimitOfLockedMemory(soft: String, expected: UInt64?) {
        let limits =
            "Limit                     Soft Limit           Hard Limit           Units     \nMax locked memory         \(soft)     67108864  bytes\n"
        #expect(HostFacts.lockableBytes(limits) == (soft.isEmpty ? 67_108_864 : expected))
        #expect(HostFacts.lockableBytes("") == nil)
    }

    /// The kernel's files have no size.
    @Test func thisHostTellsItsKernel() {
        let facts = HostFacts(root: "")
        #expect(HostChecks.version(facts.kernel) != nil, "\(facts.kernel)")
    }

    @Test func factsAreReadBelowARoot() throws {
        let root = FileManager.default.temporaryDirectory.path + "/ackmatrix-host-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: root) }
        func folder(_ path: String) throws {
            try FileManager.default.createDirectory(atPath: root + path, withIntermediateDirectories: true)
        }
        func file(_ path: String, _ text: String) throws {
            try folder(String(path[..<path.lastIndex(of: "/")!]))
            try text.write(toFile: root + path, atomically: false, encoding: .utf8)
        }
        let device = "/sys/bus/pci/devices/0000:03:00.2"
        try file("/proc/sys/kernel/osrelease", "6.12.57\n")
        try file("/proc/self/limits", "Max locked memory         65536  65536  bytes\n")
        try file("/dev/iommu", "")
        try folder("/sys/module/vfio")
        try folder("/sys/class/iommu/dmar0")
        try folder("/sys/kernel/iommu_groups/7")
        try folder(device + "/vfio-dev/vfio3")
        for (link, target) in [("driver", "../../drivers/mlx5_vfio_pci"), ("physfn", "../0000:03:00.0"), ("iommu_group", "../groups/7")] {
            try FileManager.default.createSymbolicLink(atPath: "\(root)\(device)/\(link)", withDestinationPath: target)
        }
        try file("/sys/bus/pci/devices/0000:03:00.0/sriov_totalvfs", "8\n")
        let facts = HostFacts(root: root)
        #expect(facts.kernel == "6.12.57")
        #expect(facts.lockableBytes == 65536)
        #expect(facts.hasIOMMUFD && !facts.hasContainer && !facts.hasKVM)
        #expect((facts.iommus, facts.groups) == (1, 1))
        #expect(facts.modules == ["vfio"])
        var expected = HostFacts.Device(name: "0000:03:00.2")
        (expected.driver, expected.physicalFunction) = ("mlx5_vfio_pci", "0000:03:00.0")
        (expected.hasGroup, expected.characterDevice) = (true, "vfio3")
        #expect(facts.devices.map(\.name) == ["0000:03:00.0", "0000:03:00.2"])
        #expect(facts.devices.first?.mostFunctions == 8)
        #expect(facts.devices.last == expected)
    }
}
