/// The `-trace` patterns that bring every event that judging needs: the one list of them.

package enum TracePatterns {
    /// In the order in which they are printed. Together they match every QEMU event of the vocabulary.
    package static let all = [
        "migrate_*", "migration_*", "savevm_*", "qemu_savevm_*", "loadvm_*", "qemu_loadvm_*", "source_return_path_*",
        "open_return_path_*", "process_incoming_*", "postcopy_*", "ram_save_complete", "ram_dirty_bitmap_*", "vmstate_downtime_*",
        "runstate_set", "vm_state_notify", "vfio_*",
    ]

    /// As options of QEMU's command line.
    package static var options: String { all.map { "-trace '\($0)'" }.joined(separator: " ") }

    /// The pattern that brings the event.
    package static func pattern(for name: String) -> String { all.first { matches($0, name) } ?? name }

    package static func matches(_ pattern: String, _ name: String) -> Bool {
        pattern.hasSuffix("*") ? name.hasPrefix(pattern.dropLast()) : name == pattern
    }
}
