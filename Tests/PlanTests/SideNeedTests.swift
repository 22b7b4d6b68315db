/// What a plan needs of which side, and the reason that a side gives for what it lacks.
import Plan
import Testing

@Suite struct SideNeedTests {
    /// Three sides: a chain of two legs, and the second leg's source is the first leg's destination.
    private var chain: MigrationPlan {
        func side(_ name: String) -> SideConfiguration {
            SideConfiguration(binary: .qemu(QEMUBinary(name: name, start: .executable("/qemu"))), machine: "pc-q35-11.1")
        }
        var plan = MigrationPlan(source: side("11.1"), destination: side("11.0"))
        plan.legs.append(MigrationLeg(destination: side("10.2"), origin: .lastDestination))
        return plan
    }

    @Test func `a plain chain needs channels and nothing else`() {
        #expect(chain.needs.allSatisfy { $0.ability == .channel(.tcp) })
        #expect(chain.needs.map(\.process) == [0, 1, 1, 2])
    }

    @Test func `a step needs the side that has its role in the leg`() {
        var plan = chain
        plan.legs[0].schedule = [.limitMemory(.source), .kill(.destination)]
        plan.legs[1].schedule = [.limitMemory(.source), .kill(.destination)]
        func processes(_ ability: SideAbility) -> [Int] { plan.needs.filter { $0.ability == ability }.map(\.process) }
        #expect(processes(.memoryLimit) == [0, 1])
        #expect(processes(.killing) == [1, 2])
        #expect(plan.needs(of: 2).map(\.ability) == [.channel(.tcp), .killing])
    }

    @Test func `the configuration's needs name what they are about`() {
        var plan = chain
        plan.source.firmware = .dirtying(pages: 96, hertz: 50)
        plan.source.extraArguments = ["-smp", "2"]
        plan.source.deviceProperties = ["x-migration-multifd-transfer": "on"]
        plan.source.modules.hasDirtyBitmap = true
        plan.source.capabilities = ["switchover-ack": true, "multifd": false]
        plan.source.parameters = ["downtime-limit": 300]
        #expect(
            plan.needs(of: 0).dropLast().map(\.description) == [
                "a guest with firmware of its own", "QEMU's own arguments -smp 2", "properties of QEMU's devices",
                "modules beside memory and VFIO devices", "capability switchover-ack", "parameter downtime-limit",
            ])
    }

    @Test func `the first need that a side lacks makes the plan unavailable, with the side's reason`() {
        var plan = chain
        plan.legs[1].channel = .snapshot(node: "disk")
        plan.legs[1].schedule = [.concludeJob(.source, id: "snapshot")]
        #expect(plan.unmetNeed { _, _ in nil } == nil)
        #expect(
            plan.unmetNeed { side, need in need.ability == .jobs ? "\(side.binary.name) cannot do \(need)" : nil }
                == UnmetNeed("11.0 cannot do 'wait until job snapshot at the source has concluded'"))
        #expect(plan.unmetNeed { _, need in "no \(need)" } == UnmetNeed("no a TCP connection"))
    }
}
