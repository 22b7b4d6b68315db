/// The engine, driven by the plans that QEMU is driven by.
import MigrationTrace
import Plan
import Testing
import VFIO

@testable import EnginePeer

final class Recorder: EngineLog {
    var events: [(StreamName, Event)] = []
    func begin(leg: Int) {}
    func take(_ event: Event, from stream: StreamName) { events.append((stream, event)) }
    func endlessProof(armed: String?) -> String? { nil }
}

@Suite struct EngineRunTests {
    func plan(_ generation: String, machine: String, devices: Int) throws -> MigrationPlan {
        func side(_ role: Role) throws -> SideConfiguration {
            var side = SideConfiguration(binary: QEMUBinary(engine: generation), machine: machine)
            side.memoryMiB = 16
            side.capabilities = ["return-path": true, "switchover-ack": true, "events": true]
            for index in 0..<devices {
                let script = "ackmatrix-device 1\nhas precopy p2p reinit\ninitial 16K\nstop-copy 32K\n"
                side.devices.append(
                    MockDevice(name: "v\(index)", script: try DeviceScript(script, file: "test"), slot: 0x10 + index))
            }
            return side
        }
        var plan = MigrationPlan(source: try side(.source), destination: try side(.destination))
        plan.source.parameters = [
            "max-bandwidth": .integer(1 << 30), "avail-switchover-bandwidth": .integer(1 << 30), "downtime-limit": 300,
        ]
        plan.leg.limit = 15
        return plan
    }

    @Test(arguments: [("11.1", "pc-q35-11.1"), ("10.0", "pc-q35-10.0")])
    func `a plain migration completes`(generation: String, machine: String) throws {
        let log = Recorder()
        let records = try migrateInEngine(plan(generation, machine: machine, devices: 2), seed: 0, log: log)
        #expect(records.map(\.outcome) == [.ended("completed")])
        #expect(records.first?.destinationRunState == "running")
    }

    @Test func `what the engine refuses it names`() throws {
        var plan = try plan("11.1", machine: "pc-q35-11.1", devices: 1)
        plan.source.capabilities["x-colo"] = true
        #expect(
            throws: EngineRefusal("COLO is not supported: this engine does not replicate a running guest")
        ) { try migrateInEngine(plan, seed: 0, log: Recorder()) }
        plan.source.capabilities["x-colo"] = false
        plan.source.capabilities["zero-page-detection"] = true
        #expect(throws: EngineRefusal("the engine does not model capability zero-page-detection")) {
            try migrateInEngine(plan, seed: 0, log: Recorder())
        }
    }
}
