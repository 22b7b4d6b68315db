/// How a QEMU is started, and which QEMUs are available.
import Foundation
import Plan

extension QEMUBinary {
    /// The command line up to QEMU's own arguments, and the environment it needs, with the shim preloaded; for a QEMU that runs in its
    /// side's folder, which has the links.
    var launch: (executable: String, arguments: [String], environment: [String: String]) {
        let files = SideFiles(folder: ".")
        switch start {
        case .root(let root):
            let libraries = "\(files.root)/usr/lib/x86_64-linux-gnu"
            return (
                "\(root)/lib64/ld-linux-x86-64.so.2",
                [
                    "--library-path", libraries, "--preload", files.shim, path, "-L", "\(files.root)/usr/share/seabios", "-L",
                    "\(files.root)/usr/share/qemu",
                ],
                ["QEMU_MODULE_DIR": "\(libraries)/qemu"]
            )
        case .executable(let path):
            return (path, [], ["LD_PRELOAD": files.shim])
        }
    }
}

/// The available binaries: what `harness/qemu/fetch` has unpacked, and the user's own.
package struct QEMUBinaries: Sendable {
    package struct Fetched: Hashable, Sendable {
        package let binary: QEMUBinary
        /// The Debian suite that the packages are from.
        package let suite: String
    }

    package let fetched: [Fetched]
    package let own: [QEMUBinary]

    package var all: [QEMUBinary] {
        let names = Set(own.map(\.name))
        return fetched.map(\.binary).filter { !names.contains($0.name) } + own
    }

    package subscript(name: String) -> QEMUBinary? { all.first { $0.name == name } }

    /// The cache folder of this user: `$ACKMATRIX_CACHE`, or `ackmatrix` under `$XDG_CACHE_HOME` or `~/.cache`.
    package static var cache: String {
        let environment = ProcessInfo.processInfo.environment
        if let cache = environment["ACKMATRIX_CACHE"], !cache.isEmpty { return cache }
        if let cache = environment["XDG_CACHE_HOME"], !cache.isEmpty { return cache + "/ackmatrix" }
        // The scripts that fill the cache use $HOME, which may differ from the account's folder.
        return (environment["HOME"] ?? NSHomeDirectory()) + "/.cache/ackmatrix"
    }

    /// Reads the list that `harness/qemu/fetch` writes, with a line per root: `NAME<TAB>VERSION<TAB>SUITE<TAB>ROOT`. Without a list
    /// nothing was fetched.
    package init(cache: String = Self.cache, own: [QEMUBinary] = []) throws {
        let list = cache + "/qemu/binaries"
        self.own = own
        guard FileManager.default.fileExists(atPath: list) else {
            fetched = []
            return
        }
        let text = try String(contentsOfFile: list, encoding: .utf8)
        fetched = try text.split(separator: "\n").enumerated().map { number, line in
            let fields = line.split(separator: "\t", omittingEmptySubsequences: false)
            guard fields.count == 4, fields.allSatisfy({ !$0.isEmpty }) else {
                throw Environment(
                    "\(list):\(number + 1): expected NAME, VERSION, SUITE and ROOT separated by tabs, found '\(line)'; "
                        + "run: ackmatrix qemu fetch"
                )
            }
            return Fetched(binary: QEMUBinary(name: String(fields[0]), start: .root(String(fields[3]))), suite: String(fields[2]))
        }
    }
}
