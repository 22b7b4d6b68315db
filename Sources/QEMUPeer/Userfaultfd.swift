/// True if this host lets QEMU handle page faults in user space, as postcopy needs.
import Foundation
import Glibc

enum Userfaultfd {
    /// Why QEMU cannot use userfaultfd on this host; nil if it can. CAP_SYS_PTRACE or the setting allows it as of Linux 5.11, the device
    /// file as of 6.1.
    static let missing: String? = {
        let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
        let effective = status.split(separator: "\n").first { $0.hasPrefix("CapEff:") }.map { $0.dropFirst(7).drop { $0 == "\t" } }
        if let effective, let bits = UInt64(effective, radix: 16), bits & (1 << 19) != 0 { return nil }
        let setting = try? String(contentsOfFile: "/proc/sys/vm/unprivileged_userfaultfd", encoding: .utf8)
        if setting?.hasPrefix("1") == true { return nil }
        if access("/dev/userfaultfd", R_OK | W_OK) == 0 { return nil }
        return "postcopy needs userfaultfd: CAP_SYS_PTRACE, vm.unprivileged_userfaultfd=1, or access to /dev/userfaultfd"
    }()
}
