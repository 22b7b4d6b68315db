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
    private static let prefix = "ackmatrix-"

    /// The root of the hierarchy with the memory controller, and the name of the file with the limit; nil if none is mounted.
    private static var hierarchy: (root: String, limit: String)? {
        let files = FileManager.default
        if files.fileExists(atPath: "/sys/fs/cgroup/memory/memory.limit_in_bytes") {
            return ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
        }
        let controllers = (try? String(contentsOfFile: "/sys/fs/cgroup/cgroup.subtree_control", encoding: .utf8)) ?? ""
        return controllers.split(whereSeparator: \.isWhitespace).contains("memory") ? ("/sys/fs/cgroup", "memory.max") : nil
    }

    /// Why no group can be made on this host; nil if one can. Removes groups that earlier runs have left.
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

    /// Moves the process into its own group. Memory that it has already allocated stays charged to its previous group.
    static func make(for process: Int32) throws {
        guard let hierarchy else { throw Environment(missing ?? "no memory cgroup") }
        let path = path(hierarchy.root, process)
        guard mkdir(path, 0o700) == 0 else { throw Environment("\(path): cannot be made: \(String(cString: strerror(errno)))") }
        do {
            try "\(headroom)".write(toFile: "\(path)/\(hierarchy.limit)", atomically: false, encoding: .utf8)
            try "\(process)".write(toFile: "\(path)/cgroup.procs", atomically: false, encoding: .utf8)
        } catch {
            rmdir(path)
            throw Environment("\(path): cannot take process \(process): \(systemReason(error))")
        }
    }

    /// Removes the group of a process that has ended, if it has one.
    static func remove(of process: Int32) {
        if let hierarchy { rmdir(path(hierarchy.root, process)) }
    }

    private static func path(_ root: String, _ process: Int32) -> String { "\(root)/\(prefix)\(getpid())-\(process)" }
}
