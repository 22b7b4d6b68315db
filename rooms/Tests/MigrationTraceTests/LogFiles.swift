import Foundation
import Testing

/// The logs of real runs in `Logs`, and those of any other folder that ACKMATRIX_LOGS names:
///
///     ACKMATRIX_LOGS=/var/log/libvirt/qemu swift test --filter MigrationTraceTests
enum LogFiles {
    static let folder = URL(filePath: Bundle.module.resourcePath!).appending(path: "Logs").path

    /// Paths of all logs, sorted.
    static let all: [String] = {
        var folders = [folder]
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

/// A small generator whose seed a failing test can print, and a later run repeat.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

/// The seed of this run: ACKMATRIX_SEED, or a new one each time.
let testSeed: UInt64 = {
    let given = ProcessInfo.processInfo.environment["ACKMATRIX_SEED"].flatMap { UInt64($0) }
    let seed = given ?? UInt64.random(in: 0...UInt64.max)
    print("MigrationTraceTests: ACKMATRIX_SEED=\(seed)")
    return seed
}()
