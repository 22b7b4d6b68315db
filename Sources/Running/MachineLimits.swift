/// What this machine and its limits (`ulimit`) allow a run, checked before the first cell: a limit that is met later looks like a defect of
/// QEMU.
import Foundation
import Glibc
import Matrix
import Plan

package struct MachineLimits: Hashable, Sendable {
    /// The number of descriptors that a process may have open, at most.
    package var descriptors: Int
    /// Bytes of the longest file and of a process's memory, and seconds of its processor time; nil: no limit.
    package var fileSize: Int?
    package var addressSpace: Int?
    package var processorSeconds: Int?
    /// Bytes of memory that are free or can be freed; nil: not known.
    package var memory: Int?
    /// Processes and threads that can be started; nil: as many as a run can use.
    package var tasks: Int?
    package var processors: Int

    /// What a run of cells of one kind needs, however few run at once.
    private struct Need {
        let descriptors: Int
        let descriptorsOfCell: Int
        let fileSize: Int
        let addressSpace: Int
        let processorSeconds: Int
        let memoryOfCell: Int
        let tasks: Int
        let tasksOfCell: Int

        /// A QEMU gets its devices as descriptors from 99 on, and its logs may have 256 MiB (`MigrationPlan.logLimit`). Measured: a cell
        /// has up to three QEMUs of some 60 MiB, whose code buffers reserve 1 GiB of addresses each, and takes up to 24 descriptors here.
        /// A QEMU has 6 threads, more with multifd, and this process 13.
        static let qemu = Need(
            descriptors: 256, descriptorsOfCell: 32, fileSize: 320 << 20, addressSpace: 3 << 30, processorSeconds: 120,
            memoryOfCell: 192 << 20, tasks: 24, tasksOfCell: 40)
        static let engine = Need(
            descriptors: 40, descriptorsOfCell: 2, fileSize: 16 << 20, addressSpace: 1 << 30, processorSeconds: 10, memoryOfCell: 16 << 20,
            tasks: 8, tasksOfCell: 1)
    }

    /// The most cells that run at once for each processor: with more, cells that wait for a processor reach their time limit.
    private static let mostCellsOfProcessor = 8

    /// The number of cells that run at once: as many as are asked for, one for each processor otherwise, and never more than the machine
    /// allows. Throws `Environment` where it does not allow one.
    package func jobs(asked: Int?, kind: SideKind) throws -> Int {
        let need = kind == .qemu ? Need.qemu : .engine
        func least(_ what: String, _ needed: Int?, _ found: Int?, unit: String, _ remedy: String) throws {
            guard let needed, let found, found < needed else { return }
            throw Environment("\(what): expected at least \(needed)\(unit), found \(found)\(unit); \(remedy)")
        }
        let fewest = max(need.descriptors, need.descriptors / 2 + need.descriptorsOfCell)
        try least("open files of a process", fewest, descriptors, unit: "", "raise the limit with ulimit -n")
        try least("size of a file", need.fileSize >> 20, fileSize.map { $0 >> 20 }, unit: " MiB", "raise the limit with ulimit -f")
        try least(
            "memory of a process", need.addressSpace >> 20, addressSpace.map { $0 >> 20 }, unit: " MiB", "raise the limit with ulimit -v")
        try least("processor time of a process", need.processorSeconds, processorSeconds, unit: " s", "raise the limit with ulimit -t")
        try least(
            "free memory", need.memoryOfCell >> 20, memory.map { $0 >> 20 }, unit: " MiB", "end other programs, or use a larger machine")
        try least(
            "processes and threads that can be started", need.tasks + need.tasksOfCell, tasks, unit: "",
            "raise the limit with ulimit -u, or that of the container")
        let bounds = [
            processors * Self.mostCellsOfProcessor, (descriptors - need.descriptors / 2) / need.descriptorsOfCell,
            memory.map { $0 / need.memoryOfCell } ?? .max, tasks.map { ($0 - need.tasks) / need.tasksOfCell } ?? .max,
        ]
        return min(asked ?? processors, bounds.min() ?? 1)
    }
}

extension MachineLimits {
    /// Those of this process. Raises the soft limit of descriptors to the hard one, as far as a run can use it.
    package static func current() -> MachineLimits {
        func limit(_ resource: __rlimit_resource) -> rlimit {
            var limit = rlimit()
            return getrlimit(__rlimit_resource_t(resource.rawValue), &limit) == 0 ? limit : rlimit(rlim_cur: .max, rlim_max: .max)
        }
        func bounded(_ number: rlim_t) -> Int? { number >= rlim_t(Int.max) ? nil : Int(number) }
        var files = limit(RLIMIT_NOFILE)
        let useful = min(files.rlim_max, 4096)
        if files.rlim_cur < useful {
            files.rlim_cur = useful
            _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &files)
            files = limit(RLIMIT_NOFILE)
        }
        let tasks = taskRoom(upTo: mostTasks)
        return MachineLimits(
            descriptors: bounded(files.rlim_cur) ?? .max, fileSize: bounded(limit(RLIMIT_FSIZE).rlim_cur),
            addressSpace: bounded(limit(RLIMIT_AS).rlim_cur), processorSeconds: bounded(limit(RLIMIT_CPU).rlim_cur),
            memory: availableMemory, tasks: tasks < mostTasks ? tasks : nil, processors: ProcessInfo.processInfo.activeProcessorCount)
    }

    /// With this many, ten cells of QEMUs run at once.
    private static let mostTasks = 512

    /// The kernel's estimate of what a new program may use without swapping.
    private static var availableMemory: Int? {
        guard let text = try? String(contentsOfFile: "/proc/meminfo", encoding: .utf8) else { return nil }
        let line = text.split(separator: "\n").first { $0.hasPrefix("MemAvailable:") }
        return line.flatMap { Int($0.filter(\.isNumber)) }.map { $0 << 10 }
    }
}

/// Checks that a migration can connect to this machine by loopback. Throws `Environment`.
package func checkLoopback() throws {
    func checked(_ call: String, _ result: Int32) throws {
        guard result < 0 else { return }
        throw Environment(
            "127.0.0.1: \(call): \(String(cString: strerror(errno))); migrations of QEMU need the loopback interface: ip link set lo up")
    }
    let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    try checked("socket", listener)
    defer { close(listener) }
    let client = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    try checked("socket", client)
    defer { close(client) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = in_addr_t(0x7f00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    func withAddress(_ body: (UnsafeMutablePointer<sockaddr>) -> Int32) -> Int32 {
        withUnsafeMutablePointer(to: &address) { $0.withMemoryRebound(to: sockaddr.self, capacity: 1, body) }
    }
    try checked("bind", withAddress { bind(listener, $0, length) })
    try checked("listen", listen(listener, 1))
    try checked("getsockname", withAddress { getsockname(listener, $0, &length) })
    try checked("connect", withAddress { connect(client, $0, length) })
}
