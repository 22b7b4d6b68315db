import Foundation
import Glibc
import Testing
import VFIO

@testable import Peers

private let shim = ProcessInfo.processInfo.environment["ACKMATRIX_SHIM"] ?? ""
private let fetched = (try? QEMUBinaries().all) ?? []
private let newest = fetched.first { $0.name == "11.1" }
private let atHand = FileManager.default.fileExists(atPath: shim) && newest != nil

/// A real QEMU as a side: started, asked, and gone.
@Suite(.serialized, .enabled(if: atHand, "needs QEMU 11.1 (ackmatrix qemu fetch) and the shim named by ACKMATRIX_SHIM: run harness/test"))
struct RealSideTests {
    private func configuration(machine: String = "none") throws -> SideConfiguration {
        var configuration = SideConfiguration(binary: try #require(newest), machine: machine)
        configuration.memoryMiB = 2
        return configuration
    }

    @Test func capabilitiesAreReadBack() async throws {
        var configuration = try configuration()
        configuration.capabilities = ["return-path": true, "switchover-ack": true]
        let folder = try RunFolder()
        let inForce = try await withQEMU(.source, configuration, shim: shim, folder: try folder.folder("s")) { try await $0.configure() }
        #expect(inForce["switchover-ack"] == true)
        #expect(inForce["return-path"] == true)
        #expect(inForce["multifd"] == false)
    }

    @Test func aRefusedCapabilityIsARefusalInQEMUsWords() async throws {
        var configuration = try configuration()
        configuration.capabilities = ["switchover-ack": true]
        let folder = try RunFolder()
        let refusal = await #expect(throws: SideRefusal.self) {
            try await withQEMU(.source, configuration, shim: shim, folder: try folder.folder("s")) { try await $0.configure() }
        }
        #expect(refusal?.role == .source)
        #expect(refusal?.text.contains("requires capability 'return-path'") == true)
    }

    @Test(arguments: [
        ("no-such-machine", "ackmatrix-device 1\n", "unsupported machine type"),
        ("none", "ackmatrix-device 1\nhas precopy p2p\n", "No 'PCI' bus found"),
    ])
    func aSideThatEndsAtStartUpIsAnErrorWithItsLastWords(machine: String, script: String, words: String) async throws {
        var configuration = try configuration(machine: machine)
        configuration.devices = [MockDevice(name: "v0", script: try DeviceScript(script, file: "v0"))]
        let folder = try RunFolder()
        let error = await #expect(throws: SideError.self) {
            try await withQEMU(.source, configuration, shim: shim, folder: try folder.folder("s")) { _ in }
        }
        #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
    }

    /// A held call blocks QEMU's main loop; the side must still end, and quickly.
    @Test func aSideThatIsHeldAtAGateIsReapedAllTheSame() async throws {
        var source = try configuration(machine: "pc-q35-11.1")
        var destination = source
        source.memoryMiB = 16
        destination.memoryMiB = 16
        source.devices = [
            MockDevice(name: "v0", script: try DeviceScript("ackmatrix-device 1\nhas precopy p2p\ninitial 64K\n", file: "v0"))
        ]
        destination.devices = [
            MockDevice(
                name: "v0", script: try DeviceScript("ackmatrix-device 1\nhas precopy p2p\non written 64K do hold never\n", file: "v0"))
        ]
        source.capabilities = ["events": true, "return-path": true, "switchover-ack": true]
        destination.capabilities = source.capabilities
        var plan = MigrationPlan(source: source, destination: destination)
        plan.limit = 1
        let folder = try RunFolder()
        let record = try await migrate(plan, shim: shim, folder: folder.path + "/c")
        guard case .limitReached("active") = record.outcome else {
            Issue.record("expected the limit reached in active, found \(record.outcome)")
            return
        }
        #expect(processes(mentioning: folder.path).isEmpty)
    }

    /// A legacy source and a per-device destination without devices: no ACK ever comes (11.1.3), and `stop` releases the wait.
    @Test(arguments: [false, true])
    func aStoppedGuestWaitsForNoACK(stops: Bool) async throws {
        var source = try configuration()
        source.capabilities = ["events": true, "return-path": true, "switchover-ack": true]
        var destination = source
        source.legacyProperty = true
        destination.legacyProperty = false
        var plan = MigrationPlan(source: source, destination: destination)
        plan.limit = 0.7
        plan.stopsAtLimit = stops
        let folder = try RunFolder()
        let record = try await migrate(plan, shim: shim, folder: folder.path + "/c")
        #expect(record.outcome == (stops ? .ended("completed") : .limitReached(status: "active")))
    }

    @Test func aCancelledMigrationLeavesNoProcess() async throws {
        let configuration = try configuration()
        let folder = try RunFolder()
        let place = try folder.folder("s")
        let task = Task {
            try await withQEMU(.source, configuration, shim: shim, folder: place) { side in
                // Waits for an event that never comes, until it is cancelled.
                _ = try await side.monitor.event(deadline: .after(seconds: 60))
            }
        }
        while processes(mentioning: place).isEmpty && !FileManager.default.fileExists(atPath: place + "/command") { await Task.yield() }
        task.cancel()
        await #expect(throws: (any Error).self) { try await task.value }
        #expect(processes(mentioning: place).isEmpty)
    }
}

/// Living processes whose command line or environment holds the text.
func processes(mentioning text: String) -> [Int32] {
    let needle = Data(text.utf8)
    return ((try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []).compactMap { Int32($0) }.filter { process in
        guard process != getpid() else { return false }
        return ["cmdline", "environ"].contains { FileManager.default.contents(atPath: "/proc/\(process)/\($0)")?.range(of: needle) != nil }
    }
}
