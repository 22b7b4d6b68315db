/// A memory cgroup for one process, with a limit that leaves it next to nothing more to take: what a host does to a guest that it has
/// promised too little.
import Foundation
import Glibc
import Plan

/// Cgroups below the root of the hierarchy, version 1 or 2, each removed when its process has ended.
///
/// After a kill of this program the empty group stays; the next probe removes it, as the kernel lets nobody remove one with a living process.
package enum MemoryGroup {
    /// Bytes that a process may still take: enough to answer, too few for the thread and the buffers of a migration.
    private static let headroom = 64 << 10
    private static let prefix = "ackmatrix-"

    /// Where groups with a memory limit can be, and the file that has the limit.
    private static var hierarchy: (root: String, limit: String)? {
        let files = FileManager.default
        if files.fileExists(atPath: "/sys/fs/cgroup/memory/memory.limit_in_bytes") {
            return ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
        }
        let controllers = (try? String(contentsOfFile: "/sys/fs/cgroup/cgroup.subtree_control", encoding: .utf8)) ?? ""
        return controllers.split(whereSeparator: \.isWhitespace).contains("memory") ? ("/sys/fs/cgroup", "memory.max") : nil
    }

    /// Why no group can be made here; nil where one can. Removes what was left behind.
    package static var missing: String? {
        guard let hierarchy else { return "no cgroup hierarchy with the memory controller is mounted" }
        for name in (try? FileManager.default.contentsOfDirectory(atPath: hierarchy.root)) ?? [] where name.hasPrefix(prefix) {
            rmdir(hierarchy.root + "/" + name)
        }
        let probe = "\(hierarchy.root)/\(prefix)probe-\(getpid())"
        guard mkdir(probe, 0o700) == 0 else { return "\(hierarchy.root): no group can be made: \(String(cString: strerror(errno)))" }
        rmdir(probe)
        return nil
    }

    /// Puts the process into a group of its own. What it has already taken stays with the group it comes from.
    static func make(for process: Int32) throws {
        guard let hierarchy else { throw Environment(missing ?? "no memory cgroup") }
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

    /// Removes a process' group, if it has one; the process must have ended.
    static func remove(of process: Int32) {
        if let hierarchy { rmdir(path(hierarchy.root, process)) }
    }

    private static func path(_ root: String, _ process: Int32) -> String { "\(root)/\(prefix)\(getpid())-\(process)" }
}
