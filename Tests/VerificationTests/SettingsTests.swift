/// Why a migration fails whose sides are set differently, as far as their logs show it.
import MigrationTrace
import Testing

@testable import Verification

@Suite struct SettingsTests {
    private let source = [
        "migrate_set_state new state setup", "savevm_state_header ", "migrate_set_state new state active", "savevm_state_iterate ",
        "migrate_error error=Unable to write to socket: Broken pipe", "migrate_set_state new state failed",
    ]
    private let destination = [
        "migrate_set_state new state setup", "migrate_set_state new state active", "loadvm_state_setup ", "qemu_loadvm_state_section 1",
        "migrate_set_state new state failed",
    ]

    private func cause(_ source: [String], _ destination: [String]) throws -> String? {
        let logs = [(StreamName.source, source), (.destination, destination)].map { side, lines in
            LogSource(name: side.rawValue, bytes: Array((lines.joined(separator: "\n") + "\n").utf8))
        }
        let judged = try judgeAll(logs).migrations
        #expect(judged.count == 1)
        return judged.first?.cause
    }

    /// The same settings as each kind of log has them: at the source, at the destination, and the difference in words.
    @Test(arguments: [
        (
            #"{"execute": "migrate-set-capabilities", "arguments": {"capabilities": [{"capability": "multifd", "state": true}]}}"#,
            #"{"execute": "migrate-set-capabilities", "arguments": {"capabilities": [{"state": false, "capability": "multifd"}]}}"#,
            "multifd is on at the source and off at the destination"
        ),
        (
            #"{"execute": "migrate-set-parameters", "arguments": {"multifd-channels": 4, "multifd-compression": "zstd"}}"#,
            #"{"return": {"multifd-compression": "zstd", "multifd-channels": 2}}"#,
            "multifd-channels is 4 at the source and 2 at the destination"
        ),
        (
            "(qemu) migrate_set_parameter multifd-compression zlib", "(qemu) migrate_set_parameter multifd-compression none",
            "multifd-compression is zlib at the source and none at the destination"
        ),
        (
            "2026-11-29 10:54:49.123+0000: 42: info : qemuMonitorIOWrite:437 : QEMU_MONITOR_IO_WRITE: mon=0x7f0 "
                + #"buf={"execute":"migrate-set-capabilities","arguments":{"capabilities":[{"capability":"postcopy-ram","state":true}]}}"#,
            "handle_qmp_command mon 0x55 req: "
                + #"{"execute":"migrate-set-capabilities","arguments":{"capabilities":[{"capability":"postcopy-ram","state":false}]}}"#,
            "postcopy-ram is on at the source and off at the destination"
        ),
    ])
    func differingSettingsAreTheCause(atSource: String, atDestination: String, difference: String) throws {
        #expect(try cause([atSource] + source, [atDestination] + destination) == "the sides differ: \(difference)")
        // What is set alike is no cause.
        #expect(try cause([atSource] + source, [atSource] + destination) == nil)
        // Of one side's settings alone nobody knows whether they differ.
        #expect(try cause([atSource] + source, destination) == nil)
    }

    /// The command line in a libvirt log.
    @Test func differingCommandLinesAreTheCause() throws {
        func log(_ machine: String, _ memory: String, _ size: String, _ lines: [String]) -> [String] {
            [
                "2026-01-01 10:00:00.000+0000: starting up libvirt version: 11.3.0, qemu version: 11.1.3", "LC_ALL=C \\",
                "/usr/bin/qemu-system-x86_64 \\", "-machine \(machine),usb=off \\", "-m size=\(memory) \\", "-smp 4,sockets=4 \\",
                "-device virtio-blk-pci,drive=d0,id=disk0,logical_block_size=\(size) \\", "-global migration.x-multifd=on \\",
                "-msg timestamp=on",
            ] + lines
        }
        let found = try cause(log("pc-q35-11.1", "4096k", "512", source), log("pc-q35-11.0", "8192k", "4096", destination))
        #expect(
            found == "the sides differ: the machine type is pc-q35-11.1 at the source and pc-q35-11.0 at the destination, "
                + "logical_block_size of disk0 is 512 at the source and 4096 at the destination, "
                + "memory is 4096k at the source and 8192k at the destination")
    }

    /// The destination's own words come first.
    @Test func theMessageOfTheSideThatKnowsComesFirst() throws {
        let message = "qemu-system-x86_64: Unknown savevm section or instance '0000:00:05.0/virtio-blk' 0"
        let lines = destination.dropLast() + [message, destination.last!]
        let found = try #require(
            try cause(
                ["(qemu) migrate_set_capability multifd on"] + source, ["(qemu) migrate_set_capability multifd off"] + Array(lines)))
        #expect(found.contains("Unknown savevm section"))
        #expect(found.hasSuffix("; the sides differ: multifd is on at the source and off at the destination"))
    }
}
