import Foundation
import TestSupport
import Testing

/// The recordings of the corpus, and those of any other folder that ACKMATRIX_LOGS names:
///
///     ACKMATRIX_LOGS=/var/log/libvirt/qemu swift test --filter MigrationTraceTests
enum LogFiles {
    static let folder = TestCorpus.folder

    /// Paths of all logs, sorted.
    static let all: [String] = {
        var folders = [TestCorpus.path("qemu"), TestCorpus.path("kernel-lab")]
        if let more = ProcessInfo.processInfo.environment["ACKMATRIX_LOGS"] { folders.append(more) }
        return folders.flatMap { folder in
            let names = FileManager.default.enumerator(atPath: folder)?.compactMap { $0 as? String } ?? []
            return names.filter { $0.hasSuffix(".log") || $0.hasSuffix(".trace") }.map { "\(folder)/\($0)" }.sorted()
        }
    }()

    /// The runs both of whose sides were logged.
    static let pairs: [(source: String, destination: String)] = all.compactMap { path in
        let destination = path.replacing("src.", with: "dst.")
        return path.contains("src.") && all.contains(destination) ? (path, destination) : nil
    }

    static func bytes(_ path: String) throws -> [UInt8] {
        try [UInt8](Data(contentsOf: URL(filePath: path)))
    }

    /// The bytes of one of our own logs.
    static func log(_ name: String) throws -> [UInt8] { try bytes("\(folder)/\(name)") }
}
