/// Processes that a test has started, directly or not.
import Foundation

/// Living processes whose working folder is this one or below it: a QEMU runs in the folder of its side.
package func processes(under folder: String) -> [Int32] {
    let files = FileManager.default
    return ((try? files.contentsOfDirectory(atPath: "/proc")) ?? []).compactMap { Int32($0) }.filter { process in
        guard let place = try? files.destinationOfSymbolicLink(atPath: "/proc/\(process)/cwd") else { return false }
        return place == folder || place.hasPrefix(folder + "/")
    }
}
