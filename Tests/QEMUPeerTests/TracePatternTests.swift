import Testing

@testable import QEMUPeer

/// Patterns for the file of `-trace events=` switch exactly the wanted events on.
@Suite struct TracePatternTests {
    private static func matches(_ pattern: String, _ name: String) -> Bool {
        pattern.hasSuffix("*") ? name.hasPrefix(pattern.dropLast()) : name == pattern
    }

    private static let all = [
        "migrate", "migrate_error", "migrate_fd_error", "migrate_set_state", "migration_cleanup", "ram_save_complete", "ram_save_page",
        "vfio_save_block", "vfio_save_block_precopy_empty_hit", "vfio_save_setup", "vm_state_notify",
    ]

    @Test(arguments: [
        (["migrate_error", "migrate_set_state", "migrate"], ["migrate", "migrate_e*", "migrate_s*"]),
        (["vfio_save_block", "vfio_save_block_precopy_empty_hit", "vfio_save_setup"], ["vf*"]),
        (["vfio_save_block", "vfio_save_setup"], ["vfio_save_block", "vfio_save_s*"]), (["ram_save_complete"], ["ram_save_c*"]), ([], []),
    ]) func thePatterns(wanted: [String], patterns: [String]) {
        #expect(tracePatterns(for: wanted, among: Self.all) == patterns)
    }

    @Test func everyChoiceIsSwitchedOnExactly() {
        for choice in 0..<(1 << Self.all.count) {
            let wanted = Self.all.indices.filter { choice >> $0 & 1 == 1 }.map { Self.all[$0] }
            let patterns = tracePatterns(for: wanted, among: Self.all)
            let on = Self.all.filter { name in patterns.contains { Self.matches($0, name) } }
            #expect(on == wanted && patterns.count <= wanted.count, "\(wanted): \(patterns)")
        }
    }
}
