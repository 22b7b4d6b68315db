import Foundation
import Glibc
import MigrationTrace
import Plan
import TestSupport
import Testing
import VFIO

@testable import QEMUPeer

private let shim = ProcessInfo.processInfo.environment["ACKMATRIX_SHIM"] ?? ""
private let fetched = (try? QEMUBinaries().all) ?? []
private let atHand = FileManager.default.fileExists(atPath: shim) && !fetched.isEmpty

/// A real QEMU as a side: started, asked, and gone.
@Suite(
    .serialized,
    .enabled(if: atHand, "needs fetched QEMU binaries (ackmatrix qemu fetch) and the shim named by ACKMATRIX_SHIM: run harness/test"))
struct RealSideTests {
    /// The newest binary that knows both modes, on no machine or on its newest q35.
    private func configuration(q35: Bool = false) async throws -> SideConfiguration {
        let store = FeatureStore(cache: QEMUBinaries.cache)
        let probed = try await store.probed(fetched, shim: shim, folder: RunFolder())
        let newest = try #require(probed.last { $0.features.hasLegacyProperty })
        var configuration = SideConfiguration(binary: newest.binary, machine: q35 ? try #require(newest.features.aliases["q35"]) : "none")
        configuration.memoryMiB = q35 ? 16 : 2
        return configuration
    }

    @Test func capabilitiesAreReadBack() async throws {
        var configuration = try await configuration()
        configuration.capabilities = ["return-path": true, "switchover-ack": true]
        let folder = try RunFolder()
        let inForce = try await withQEMU(.source, configuration, shim: shim, folder: try folder.folder("s")) { try await $0.configure() }
        #expect(inForce["switchover-ack"] == true)
        #expect(inForce["return-path"] == true)
        #expect(inForce["multifd"] == false)
    }

    @Test func aRefusedCapabilityIsARefusalInQEMUsWords() async throws {
        var configuration = try await configuration()
        configuration.capabilities = ["switchover-ack": true]
        let folder = try RunFolder()
        let refusal = await #expect(throws: SideRefusal.self) {
            try await withQEMU(.source, configuration, shim: shim, folder: try folder.folder("s")) { try await $0.configure() }
        }
        #expect(refusal?.role == .source)
        #expect(refusal?.text.contains("requires capability 'return-path'") == true)
    }

    /// The message is that of the destination, which knows what it could not load; the source knows only that its socket was closed.
    @Test func aControlMigrationFailsInTheDestinationsWords() async throws {
        var side = try await configuration(q35: true)
        side.capabilities = ["events": true, "return-path": true]
        var plan = MigrationPlan(source: side, destination: side)
        let folder = try RunFolder()
        #expect(try await controlFailure(plan, shim: shim, folder: folder.path + "/well") == nil)
        plan.source.extraArguments = ["-device", "i6300esb,addr=0x1d"]
        let words = try await controlFailure(plan, shim: shim, folder: folder.path + "/foreign")
        #expect(words?.contains("section or instance") == true && words?.contains("i6300esb") == true, "\(words ?? "nil")")
    }

    @Test func whatABuildHasIsProbed() async throws {
        let store = FeatureStore(cache: QEMUBinaries.cache)
        let probed = try await store.probed(fetched, shim: shim, folder: RunFolder())
        for binary in probed {
            let parts = try #require(binary.features.parts)
            #expect(parts.capabilities.contains("events") && parts.deviceTypes.contains("loader") && parts.blockDrivers.contains("null-co"))
            #expect(binary.features.typesAgainstTheRule.isEmpty && binary.features.fallsShort == nil)
        }
    }

    @Test(arguments: [
        ("no-such-machine", "ackmatrix-device 1\n", "unsupported machine type"),
        ("none", "ackmatrix-device 1\nhas precopy p2p\n", "No 'PCI' bus found"),
    ])
    func aSideThatEndsAtStartUpRefusesItsCommandLineInItsLastWords(machine: String, script: String, words: String) async throws {
        var configuration = try await configuration()
        configuration.machine = machine
        configuration.devices = [PlannedDevice(name: "v0", .mock(try DeviceScript(script, file: "v0")))]
        let folder = try RunFolder()
        let refusal = await #expect(throws: SideRefusal.self) {
            try await withQEMU(.source, configuration, shim: shim, folder: try folder.folder("s")) { _ in }
        }
        #expect(refusal?.text.contains(words) == true, "\(refusal?.text ?? "")")
    }

    /// A held call blocks QEMU's main loop; the side must still end, and the gate must not open for it: nothing may be logged that
    /// the tear-down caused.
    @Test func aSideThatIsHeldAtAGateIsReapedAllTheSame() async throws {
        var source = try await configuration(q35: true)
        var destination = source
        source.devices = [
            PlannedDevice(name: "v0", .mock(try DeviceScript("ackmatrix-device 1\nhas precopy p2p\ninitial 64K\n", file: "v0")))
        ]
        destination.devices = [
            PlannedDevice(
                name: "v0", .mock(try DeviceScript("ackmatrix-device 1\nhas precopy p2p\non written 64K do hold never\n", file: "v0")))
        ]
        source.capabilities = ["events": true, "return-path": true, "switchover-ack": true]
        destination.capabilities = source.capabilities
        var plan = MigrationPlan(source: source, destination: destination)
        plan.leg.limit = 2
        source.traceEvents = ["source_return_path_thread_switchover_acked"]
        plan.source = source
        let folder = try RunFolder()
        let record = try #require(try await migrate(plan, shim: shim, folder: folder.path + "/c").first)
        guard case .limitReached("active") = record.outcome else {
            Issue.record("expected the limit reached in active, found \(record.outcome)")
            return
        }
        #expect(processes(under: folder.path).isEmpty)
        #expect(try String(contentsOfFile: #require(record.sourceLogs).qemu.path, encoding: .utf8) == "")
        let deviceLog = try String(contentsOfFile: #require(record.destinationLogs).devices.path, encoding: .utf8)
        #expect(deviceLog.contains("device_hold_begin  (v0) gate never"))
        #expect(!deviceLog.contains("device_hold_end"))
    }

    /// A legacy source and a per-device destination without devices: no ACK ever comes (11.1.3), and `stop` releases the wait.
    @Test(arguments: [false, true])
    func aStoppedGuestWaitsForNoACK(stops: Bool) async throws {
        var source = try await configuration()
        source.capabilities = ["events": true, "return-path": true, "switchover-ack": true]
        var destination = source
        source.legacyProperty = true
        destination.legacyProperty = false
        source.traceEvents = ["migrate_transferred"]
        var plan = MigrationPlan(source: source, destination: destination)
        plan.leg.limit = 2
        // The second window has ended: it has waited through one with a threshold in force.
        if stops {
            plan.leg.schedule = [.wait(.logged(.source, event: "migrate_transferred", times: 2)), .execute(.source, command: "stop", nil)]
        }
        let folder = try RunFolder()
        let record = try #require(try await migrate(plan, shim: shim, folder: folder.path + "/c").first)
        #expect(record.outcome == (stops ? .ended("completed") : .limitReached(status: "active")))
    }

    /// Commands of one task and events for another share a monitor: neither takes what the other waits for.
    @Test func twoTasksShareAMonitor() async throws {
        let configuration = try await configuration()
        let folder = try RunFolder()
        try await withQEMU(.source, configuration, shim: shim, folder: try folder.folder("s")) { side in
            async let resumed = side.monitor.event(deadline: .after(seconds: 20), waitingFor: "RESUME")
            for _ in 0..<200 { try await side.execute("query-status") }
            try await side.execute("stop")
            #expect(try await resumed.name == "STOP")
        }
    }

    /// A watcher that is content at once ends a migration that waits; what is armed is told to it.
    @Test func aProvedMigrationIsEnded() async throws {
        var source = try await configuration()
        source.capabilities = ["events": true, "return-path": true, "switchover-ack": true]
        source.traceEvents = ["savevm_state_iterate", "migrate_set_state"]
        var destination = source
        source.legacyProperty = true
        destination.legacyProperty = false
        var plan = MigrationPlan(source: source, destination: destination)
        plan.leg.schedule = [.wait(.logged(.source, event: "savevm_state_header", times: 9))]
        plan.leg.watcher = CountingWatcher()
        let folder = try RunFolder()
        let record = try #require(try await migrate(plan, shim: shim, folder: folder.path + "/c").first)
        #expect(
            record.outcome
                == .endless("1000 iterations, armed: schedule step 1 of 1: wait until the source has logged savevm_state_header 9 times"))
        #expect(record.marks.isEmpty)
        #expect(processes(under: folder.path).isEmpty)
    }

    @Test func aCancelledMigrationLeavesNoProcess() async throws {
        let configuration = try await configuration()
        let folder = try RunFolder()
        let place = try folder.folder("s")
        let task = Task {
            try await withQEMU(.source, configuration, shim: shim, folder: place) { side in
                // Waits for an event that never comes, until it is cancelled.
                _ = try await side.monitor.event(deadline: .after(seconds: 60))
            }
        }
        let deadline = Deadline.after(seconds: 20)
        while processes(under: place).isEmpty && deadline.remaining > 0 { await Task.yield() }
        #expect(!processes(under: place).isEmpty)
        task.cancel()
        await #expect(throws: (any Error).self) { try await task.value }
        #expect(processes(under: place).isEmpty)
    }
}

/// Proves after so many iterations of the source, whatever they are.
private struct CountingWatcher: MigrationWatcher {
    var iterations = 0

    mutating func take(_ event: Event, from stream: StreamName, line: Int) {
        if stream == .source, case .savevmStateIterate = event { iterations += 1 }
    }

    func endlessProof(armed: String?) -> String? {
        iterations >= 1000 ? "1000 iterations, armed: \(armed ?? "nothing")" : nil
    }
}
