/// A memory cgroup for one process, whose limit leaves almost no further memory: the process meets the kernel's OOM killer as on an
/// overcommitted host.
import Foundation
import Glibc
import Plan

/// Makes cgroups (version 1 or 2) below the root of the hierarchy, and removes each when its process has ended.
///
/// If this program is killed, the empty group stays and the next probe removes it; the kernel refuses to remove a group with a living
/// process.
package enum MemoryGroup {
    /// Bytes that the process may still allocate: enough to answer a command, too few for the threads and buffers of a migration.
    private static let headroom = 64 << 10

    /// Moves the process into its own group. Memory that it has already allocated stays charged to its previous group.
    static func make(for process: Int32) throws {
        guard let hierarchy = MemoryController.mounted else { throw Environment(MemoryController.missing ?? "no memory cgroup") }
        let path = path(hierarchy.root, process)
        guard mkdir(path, 0o700) == 0 else { throw Environment("\(path): cannot be made: \(String(cString: strerror(errno)))") }
        do {
            try "\(headroom)".write(toFile: "\(path)/\(hierarchy.limit)", atomically: false, encoding: .utf8)
            try "\(process)".write(toFile: "\(path)/cgroup.procs", atomically: false, encoding: .utf8)
        } catch {
            rmdir(path)
            throw Environment("\(path): cannot take process \(process): \(error.localizedDescription)")
        }
    }

    /// Removes the group of a process that has ended, if it has one.
    static func remove(of process: Int32) {
        if let hierarchy = MemoryController.mounted { rmdir(path(hierarchy.root, process)) }
    }

    private static func path(_ root: String, _ process: Int32) -> String { "\(root)/\(MemoryController.groupPrefix)\(getpid())-\(process)" }
}
