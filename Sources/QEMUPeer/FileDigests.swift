/// The SHA-256 of files, remembered by what changes with a file, so that not every run reads a hundred megabytes of binaries.
import Foundation
import Glibc
import Plan
import Subprocess

/// What changes when a file is replaced or rewritten: device, inode, size, and modification time.
struct FileIdentity: Hashable, Sendable {
    let numbers: [UInt64]

    /// Throws the system's reason where the file cannot be looked at.
    init(_ path: String) throws(UnreadableFile) {
        var status = stat()
        guard stat(path, &status) == 0 else { throw UnreadableFile(reason: String(cString: strerror(errno))) }
        numbers = [
            UInt64(status.st_dev), UInt64(status.st_ino), UInt64(status.st_size), UInt64(status.st_mtim.tv_sec),
            UInt64(status.st_mtim.tv_nsec),
        ]
    }

    /// A name for what is stored about the file.
    func name(_ others: [UInt64] = []) -> String { (numbers + others).map { String($0, radix: 16) }.joined(separator: "-") }
}

struct UnreadableFile: Error {
    let reason: String
}

package struct FileDigests: Sendable {
    private let folder: String
    /// Characters of a SHA-256 in hexadecimal digits.
    private static let length = 64

    package init(cache: String) { folder = cache + "/digests" }

    /// The digests by path, in lower-case hexadecimal digits. A file that cannot be read has none, and none has one on a system without
    /// `sha256sum` of the GNU core utilities.
    package func sha256(_ paths: [String]) async throws -> [String: String] {
        var digests: [String: String] = [:]
        var places: [String: String] = [:]
        for path in paths {
            guard let identity = try? FileIdentity(path) else { continue }
            let place = folder + "/" + identity.name()
            places[path] = place
            if let known = FileManager.default.contents(atPath: place).map({ String(decoding: $0, as: UTF8.self) }), Self.isDigest(known) {
                digests[path] = known
            }
        }
        let unknown = Set(places.keys).subtracting(digests.keys).sorted()
        for (path, digest) in try await Self.compute(unknown) {
            digests[path] = digest
            // A digest that is not remembered is computed again.
            guard let place = places[path] else { continue }
            try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            try? Data(digest.utf8).write(to: URL(fileURLWithPath: place), options: .atomic)
        }
        return digests
    }

    private static func isDigest(_ text: String) -> Bool {
        text.utf8.count == length && text.utf8.allSatisfy { $0 &- 0x30 < 10 || $0 &- 0x61 < 6 }
    }

    private static func compute(_ paths: [String]) async throws -> [(path: String, digest: String)] {
        guard !paths.isEmpty else { return [] }
        let text: String
        do {
            // Each line ends with NUL, so that no name needs an escape.
            let result = try await run(
                .name("sha256sum"), arguments: Arguments(["--binary", "--zero", "--"] + paths), input: .none,
                output: .string(limit: 1 << 20), error: .discarded)
            text = result.standardOutput
        } catch is SubprocessError {
            try Task.checkCancellation()
            return []
        }
        return text.split(separator: "\0").compactMap { line in
            let digest = String(line.prefix(length))
            // The digest, a space, an asterisk, the name.
            let name = String(line.dropFirst(length + 2))
            return isDigest(digest) && paths.contains(name) ? (name, digest) : nil
        }
    }
}
