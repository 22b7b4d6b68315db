/// Starts each binary once, before any cell, as a cell starts it: what fails then is the environment's, and never a finding.
import Foundation
import Plan
import VFIO

/// The trace events without which no migration of a generation can be judged.
package func missingTraceEvents(_ features: ProbedFeatures) -> [String] {
    var needed = [
        "migrate_set_state", "runstate_set", "vm_state_notify", "savevm_section_start", "savevm_state_iterate",
        "migration_thread_low_pending", "qemu_loadvm_state_section_startfull", "qemu_loadvm_state_section_partend",
        "migrate_send_rp_message", "vfio_save_setup", "vfio_save_iterate", "vfio_load_state", "vfio_migration_set_state",
    ]
    if features.hasSwitchoverAck { needed += ["loadvm_approve_switchover", "source_return_path_thread_switchover_acked"] }
    if features.hasLegacyProperty { needed.append("qemu_savevm_query_pending") }
    return needed.filter { !features.traceEvents.contains($0) }
}

/// Checks that the binary logs what judging needs, and that it starts, with a mock device where its cells have one. Throws `Environment`.
package func checkStart(_ binary: ProbedBinary, withDevice: Bool, shim: String, folder: RunFolder) async throws {
    guard case .qemu(let qemu) = binary.binary else { return }
    func unusable(_ reason: String, _ remedy: String) -> Environment {
        Environment("\(qemu.name) (\(qemu.path)) cannot be used: \(reason); \(remedy)")
    }
    let missing = missingTraceEvents(binary.features)
    guard missing.isEmpty else {
        throw unusable(
            "expected the trace events by which a migration is judged, found none of the name \(missing.joined(separator: ", "))",
            "build QEMU with --enable-trace-backends=log")
    }
    var configuration = SideConfiguration(binary: binary.binary, machine: binary.features.aliases["q35"] == nil ? "none" : "q35")
    configuration.memoryMiB = 16
    configuration.traceAll(of: binary.features)
    if withDevice, configuration.machine == "q35" {
        let script = try DeviceScript("ackmatrix-device 1\nhas precopy p2p\n", file: "v0")
        configuration.devices = [PlannedDevice(name: "v0", .mock(script), slot: 0x10)]
    }
    let place = try folder.folder("start-\(qemu.name)")
    do {
        try await withQEMU(.source, configuration, shim: shim, folder: place) { side in
            _ = try await side.monitor.execute("query-status")
        }
    } catch let error as Environment {
        throw error
    } catch let error where !Task.isCancelled {
        let text = (error as? SideRefusal)?.text ?? "\(error)"
        let remedies: [(word: String, remedy: String)] = [
            (
                "cannot be preloaded",
                "the preload shim \(shim) is no library for it: run bash harness/run, or name another in ACKMATRIX_SHIM"
            ),
            ("not a valid device model", "build QEMU with CONFIG_VFIO_PCI=y and CONFIG_IOMMUFD=y"),
            ("not find object type", "build QEMU with CONFIG_VFIO_PCI=y and CONFIG_IOMMUFD=y"),
            ("invalid object type", "build QEMU with CONFIG_VFIO_PCI=y and CONFIG_IOMMUFD=y"),
            ("annot allocate memory", "raise the limit of memory (ulimit -v), or run fewer cells at once with --jobs"),
            ("Too many open files", "raise the limit of open files (ulimit -n)"),
            ("Bad file descriptor", "the file \(shim) is not the preload shim: run bash harness/run, or name another in ACKMATRIX_SHIM"),
        ]
        throw unusable(
            "expected it to start\(withDevice ? " with a mock VFIO device" : ""): \(text)",
            remedies.first { text.contains($0.word) }?.remedy ?? "start it by hand, or leave it out")
    }
}
