import Testing

@testable import Plan

/// What a build of QEMU lacks is found by what a plan needs.
@Suite struct BuildPartsTests {
    private let parts = BuildParts(capabilities: ["events", "multifd"], deviceTypes: ["loader", "vfio-pci"], blockDrivers: ["null-co"])

    @Test(
        arguments: [
            (SideAbility.capability("multifd"), nil),
            (.capability("switchover-ack"), nil),
            (.capability("x-colo"), "migration capability x-colo"),
            (.filledMemory, nil),
            (.extraArguments(["-device", "loader,file=x"]), nil),
            (.extraArguments(["-device", "i6300esb,addr=0x1d"]), "device i6300esb"),
            (.extraArguments(["-blockdev", "driver=null-co,node-name=disk"]), nil),
            (.extraArguments(["-blockdev", "node-name=disk,driver=replication"]), "block driver replication"),
            (.extraArguments(["-device", "loader", "-blockdev", "driver=raw"]), "block driver raw"),
            (.extraArguments(["-m", "64"]), nil),
            (.halting, nil),
        ] as [(SideAbility, String?)])
    func thePartIsNamed(ability: SideAbility, missing: String?) {
        #expect(parts.missing(for: ability) == missing)
    }

    @Test func memoryThatIsFilledNeedsTheLoader() {
        var side = SideConfiguration(binary: .qemu(QEMUBinary(name: "mine", start: .executable("/mine"))), machine: "q35")
        side.filledMiB = 1
        let plan = MigrationPlan(source: side, destination: side)
        let small = BuildParts(capabilities: [], deviceTypes: [], blockDrivers: [])
        #expect(plan.needs(of: 0).compactMap { small.missing(for: $0.ability) } == ["device loader"])
    }
}
