/// Remembered answers of probed binaries, so that a binary is asked once.
import Foundation
import Glibc
import Plan

package struct FeatureStore: Sendable {
    private let folder: String

    package init(cache: String) { folder = cache + "/features" }

    /// What was remembered of exactly this file, or nil. A damaged entry is as good as none.
    package func features(of binary: QEMUBinary) -> ProbedFeatures? {
        guard let file = try? file(of: binary), let data = FileManager.default.contents(atPath: file) else { return nil }
        return try? JSONDecoder().decode(ProbedFeatures.self, from: data)
    }

    package func remember(_ features: ProbedFeatures, of binary: QEMUBinary) throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted]
        try encoder.encode(features).write(to: URL(fileURLWithPath: file(of: binary)), options: .atomic)
    }

    /// Named by what changes when the file does: device, inode, size and modification time; and by what was asked: the trace events of
    /// the vocabulary.
    private func file(of binary: QEMUBinary) throws -> String {
        var status = stat()
        guard stat(binary.path, &status) == 0 else {
            throw Environment("\(binary.name): \(binary.path): \(String(cString: strerror(errno)))")
        }
        let identity = [
            UInt64(status.st_dev), UInt64(status.st_ino), UInt64(status.st_size), UInt64(status.st_mtim.tv_sec),
            UInt64(status.st_mtim.tv_nsec),
        ]
        // FNV-1a, since a Hasher differs from run to run.
        let asked = allowedTraceEvents.joined(separator: " ").utf8.reduce(0xcbf2_9ce4_8422_2325 as UInt64) {
            ($0 ^ UInt64($1)) &* 0x100_0000_01b3
        }
        return folder + "/" + (identity + [asked]).map { String($0, radix: 16) }.joined(separator: "-") + ".json"
    }
}

extension FeatureStore {
    /// The binaries with their features: remembered ones as they are, others probed and remembered. `willProbe` hears of each before.
    package func probed(
        _ binaries: [QEMUBinary], shim: String, folder: RunFolder, willProbe: (QEMUBinary) -> Void = { _ in }
    ) async throws -> [ProbedBinary] {
        var probed: [ProbedBinary] = []
        for binary in binaries {
            if let known = features(of: binary) {
                probed.append(ProbedBinary(binary: binary, features: known))
                continue
            }
            willProbe(binary)
            let features = try await probe(binary, shim: shim, folder: folder)
            try remember(features, of: binary)
            probed.append(ProbedBinary(binary: binary, features: features))
        }
        return probed
    }
}
