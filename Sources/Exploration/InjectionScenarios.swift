/// The migrations that failures are injected into: each shows something that the others do not pass.
import EnginePeer
import Plan
import SwitchoverProtocol
import VFIO

package struct InjectionScenario: Sendable {
    package let name: String
    /// What it shows, in a phrase.
    package let about: String
    package let plan: InjectedPlan
    /// The destination's guest is to be started.
    package let startsGuest: Bool

    /// Those of the generation of this name; nil where there is none.
    package static func all(generation: String) -> [InjectionScenario]? { Generation(named: generation).map { all($0) } }

    /// Those of a generation, in the order of the table; what it does not have, as per-device ACKs, is left out.
    static func all(_ generation: Generation) -> [InjectionScenario] {
        let ack = generation.has(.perDeviceAcks) ? "per-device ACKs" : "the one ACK"
        var all = [
            make(generation, "one-device", "a device, \(ack)", devices: 1),
            make(generation, "two-devices", "two devices, \(ack)", devices: 2),
        ]
        if generation.has(.perDeviceAcks) {
            all += [
                make(generation, "reinit", "two devices, one re-initialises once", devices: 2, rules: "on query 2 when=1 do reinit 8K\n"),
                make(generation, "legacy", "two devices, legacy mode", devices: 2) {
                    $0.source.legacyProperty = true
                    $0.destination.legacyProperty = true
                },
            ]
        }
        all += [
            make(generation, "pause", "a device, pause-before-switchover", devices: 1) {
                $0.source.capabilities["pause-before-switchover"] = true
            },
            make(generation, "paused-destination", "a device, the destination started with -S", devices: 1, startsGuest: false) {
                $0.destination.startsPaused = true
            },
            make(generation, "no-precopy", "a device without precopy", devices: 1, has: "stop-copy"),
            make(generation, "no-p2p", "a device without P2P", devices: 1, has: "precopy reinit"),
            make(generation, "no-devices", "no device", devices: 0),
            make(generation, "postcopy", "postcopy of memory", devices: 0, change: postcopy),
            make(generation, "postcopy-recovered", "the same, the channel breaks once and is recovered", devices: 0) {
                postcopy(&$0)
                $0.breaksInPostcopy = true
            },
        ]
        return all
    }

    private static func make(
        _ generation: Generation, _ name: String, _ about: String, devices: Int, has abilities: String = "precopy p2p reinit",
        rules: String = "", startsGuest: Bool = true, change: (inout InjectedPlan) -> Void = { _ in }
    ) -> InjectionScenario {
        var side = SideConfiguration(
            binary: .engine(generation: generation.name), machine: generation.has(.perDeviceAcks) ? "pc-q35-11.1" : "pc-q35-10.0")
        side.memoryMiB = 8
        side.capabilities = ["return-path": true, "switchover-ack": true, "events": true]
        var plan = InjectedPlan(source: side, destination: side)
        plan.source.parameters = [
            "max-bandwidth": .integer(1 << 30), "avail-switchover-bandwidth": .integer(1 << 30), "downtime-limit": 300,
        ]
        for index in 0..<devices {
            let sizes = abilities.contains("precopy") ? "initial 16K\n" : ""
            let common = "ackmatrix-device 1\nhas \(abilities)\nstop-copy 32K\n\(sizes)"
            plan.source.devices.append(device(index, common + (index == 0 ? rules : "")))
            // Slow enough that the last thing missing is the ACK.
            plan.destination.devices.append(device(index, common + "cost write 110ms\n"))
        }
        change(&plan)
        return InjectionScenario(name: name, about: about, plan: plan, startsGuest: startsGuest)
    }

    private static func device(_ index: Int, _ script: String) -> PlannedDevice {
        do {
            return PlannedDevice(name: "v\(index)", .mock(try DeviceScript(script, file: "v\(index)")), slot: 0x10 + index)
        } catch {
            preconditionFailure("a script of the scenario is refused: \(error)")
        }
    }

    /// Pages go in several PARTs, a window of 100 ms each.
    private static func postcopy(_ plan: inout InjectedPlan) {
        plan.startsPostcopy = true
        plan.source.capabilities["postcopy-ram"] = true
        plan.destination.capabilities["postcopy-ram"] = true
        plan.source.filledMiB = 1
        plan.source.parameters["max-bandwidth"] = 1000
        plan.source.parameters["avail-switchover-bandwidth"] = 1000
        plan.source.parameters["max-postcopy-bandwidth"] = .integer(3 << 20)
    }
}
