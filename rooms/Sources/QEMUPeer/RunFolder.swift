/// The folder of one run: sockets, logs, scripts and boards live here and go with it.
///
/// Folders of runs that were killed are swept by the next start. Whether a run still lives is told by the lock
/// its process holds on the folder, never by a name or a process number.
import Foundation
import Glibc
import Plan

package final class RunFolder: Sendable {
    package let path: String
    private let lock: Int32

    /// Makes a folder under `TMPDIR` (or /tmp) and sweeps those nobody holds.
    package init() throws {
        let parent = try Self.openParent()
        defer { Glibc.close(parent.descriptor) }
        // One start at a time makes or sweeps folders, so that none is swept between its making and its locking.
        guard flock(parent.descriptor, LOCK_EX) == 0 else { throw Environment("\(parent.path): cannot be locked: \(reason())") }
        Self.sweep(parent.path)
        var template = Array("\(parent.path)/run.XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Environment("\(parent.path): no folder can be made in it: \(reason())") }
        path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
        lock = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard lock >= 0, flock(lock, LOCK_EX | LOCK_NB) == 0 else { throw Environment("\(path): cannot be locked: \(reason())") }
    }

    deinit {
        try? FileManager.default.removeItem(atPath: path)
        Glibc.close(lock)
    }

    /// A fresh folder inside.
    package func folder(_ name: String) throws -> String {
        let folder = "\(path)/\(name)"
        guard mkdir(folder, 0o700) == 0 else { throw Environment("\(folder): cannot be made: \(reason())") }
        return folder
    }

    private static func openParent() throws -> (path: String, descriptor: Int32) {
        let temporary = ProcessInfo.processInfo.environment["TMPDIR"].flatMap { $0.isEmpty ? nil : $0 } ?? "/tmp"
        let path = "\(temporary)/ackmatrix-\(getuid())"
        if mkdir(path, 0o700) != 0 && errno != EEXIST { throw Environment("\(path): cannot be made: \(reason())") }
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        var status = stat()
        guard descriptor >= 0, fstat(descriptor, &status) == 0, status.st_uid == getuid(), status.st_mode & 0o077 == 0 else {
            if descriptor >= 0 { Glibc.close(descriptor) }
            throw Environment("\(path): expected a folder of this user that nobody else may enter; remove it, or set TMPDIR")
        }
        return (path, descriptor)
    }

    private static func sweep(_ parent: String) {
        for name in (try? FileManager.default.contentsOfDirectory(atPath: parent)) ?? [] where name.hasPrefix("run.") {
            let folder = "\(parent)/\(name)"
            let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
            guard descriptor >= 0 else { continue }
            if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { try? FileManager.default.removeItem(atPath: folder) }
            Glibc.close(descriptor)
        }
    }
}

/// What errno says.
private func reason() -> String { String(cString: strerror(errno)) }
