/// The memory controller of this host's cgroups: whether a plan can give one process a memory limit of its own.
import Foundation
import Glibc

package enum MemoryController {
    /// What the names of this program's groups begin with.
    package static let groupPrefix = "ackmatrix-"

    /// The root of the mounted hierarchy with the memory controller (cgroup version 1 or 2), and the name of the file with the limit; nil if
    /// none is mounted.
    package static var mounted: (root: String, limit: String)? {
        let files = FileManager.default
        if files.fileExists(atPath: "/sys/fs/cgroup/memory/memory.limit_in_bytes") {
            return ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
        }
        let controllers = (try? String(contentsOfFile: "/sys/fs/cgroup/cgroup.subtree_control", encoding: .utf8)) ?? ""
        return controllers.split(whereSeparator: \.isWhitespace).contains("memory") ? ("/sys/fs/cgroup", "memory.max") : nil
    }

    /// Why no group can be made on this host; nil if one can. Removes groups that earlier runs have left.
    package static var missing: String? {
        guard let hierarchy = mounted else { return "no cgroup hierarchy with the memory controller is mounted" }
        for name in (try? FileManager.default.contentsOfDirectory(atPath: hierarchy.root)) ?? [] where name.hasPrefix(groupPrefix) {
            rmdir(hierarchy.root + "/" + name)
        }
        let probe = "\(hierarchy.root)/\(groupPrefix)probe-\(getpid())"
        guard mkdir(probe, 0o700) == 0 else { return "\(hierarchy.root): no group can be made: \(String(cString: strerror(errno)))" }
        rmdir(probe)
        return nil
    }
}
