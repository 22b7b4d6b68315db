/// What the engine does not model, and the reasons that reports count.
import Plan
import Testing
import VFIO

@testable import EnginePeer

@Suite struct EngineAbilityTests {
    private static func plan(_ change: (inout MigrationPlan) throws -> Void) rethrows -> MigrationPlan {
        let side = SideConfiguration(binary: .engine(generation: "11.1"), machine: "pc-q35-11.1")
        var plan = MigrationPlan(source: side, destination: side)
        try change(&plan)
        return plan
    }

    @Test func `each thing that is not modelled is named`() throws {
        let script = try DeviceScript("ackmatrix-device 1\nhas precopy\ninitial 16K\non call bind do fail EIO\n", file: "test")
        let rows: [(plan: MigrationPlan, reason: String?)] = [
            (Self.plan { _ in }, nil),
            (
                Self.plan { $0.source.firmware = .dirtying(pages: 96, hertz: 50) },
                "the engine does not model a guest with firmware of its own"
            ),
            (Self.plan { $0.source.extraArguments = ["-S"] }, "the engine does not model QEMU's own arguments -S"),
            (Self.plan { $0.source.deviceProperties = ["a": "b"] }, "the engine does not model properties of QEMU's devices"),
            (
                Self.plan { $0.leg.destination.capabilities["x-colo"] = true },
                "COLO is not supported: this engine does not replicate a running guest"
            ),
            (Self.plan { $0.source.capabilities["xbzrle"] = true }, "the engine does not model capability xbzrle"),
            (Self.plan { $0.source.parameters["tls-creds"] = "t" }, "the engine does not model parameter tls-creds"),
            (Self.plan { $0.source.parameters["downtime-limit"] = 300 }, nil),
            (Self.plan { $0.source.modules.hasDirtyBitmap = true }, nil),
            (
                Self.plan { $0.source.devices = [PlannedDevice(name: "v0", .mock(script))] },
                "the engine does not model the calls of 'on call bind do fail EIO'"
            ),
            (Self.plan { $0.leg.channel = .snapshot(node: "disk") }, "the engine does not model a snapshot"),
            (Self.plan { $0.leg.channel = .pipe }, nil),
            (
                Self.plan { $0.leg.schedule = [.limitDescriptors(.source, free: nil)] },
                "the engine does not model 'lift the source's limit of descriptors'"
            ),
            (Self.plan { $0.leg.schedule = [.execute(.source, command: "quit", nil)] }, "the engine does not model command quit"),
            (Self.plan { $0.leg.schedule = [.kill(.source), .haltDestination, .execute(.source, command: "stop", nil)] }, nil),
            (
                Self.plan { $0.source.binary = .qemu(QEMUBinary(name: "11.1", start: .executable("/qemu"))) }, "11.1 is no engine"
            ),
        ]
        for row in rows { #expect(engineLacks(row.plan)?.description == row.reason) }
    }
}
