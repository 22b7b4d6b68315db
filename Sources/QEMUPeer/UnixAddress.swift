/// The address of a unix socket in a folder of any path.
import Foundation
import Glibc

/// Calls `body` with the address. An address has room for 107 bytes of a path, so it names the folder by a descriptor of this process,
/// whose number is short and which is open during the call.
func withUnixAddress<Result>(
    _ path: String, _ body: (UnsafeRawBufferPointer) throws(QMPError) -> Result
) throws(QMPError) -> Result {
    let url = URL(fileURLWithPath: path)
    let folder = open(url.deletingLastPathComponent().path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard folder >= 0 else { throw .socket(path: path, reason: String(cString: strerror(errno))) }
    defer { close(folder) }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let name = "/proc/self/fd/\(folder)/\(url.lastPathComponent)"
    let room = MemoryLayout.size(ofValue: address.sun_path)
    guard name.utf8.count < room else {
        throw .socket(
            path: path, reason: "expected a name of fewer than \(room - 32) bytes for a unix socket, found \(url.lastPathComponent)")
    }
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: name.utf8) }
    return try withUnsafeBytes(of: &address) { bytes throws(QMPError) in try body(bytes) }
}
