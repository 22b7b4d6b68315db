/// The features of probed binaries, stored so that each binary is probed once.
import Foundation
import Plan

package struct FeatureStore: Sendable {
    private let folder: String

    package init(cache: String) { folder = cache + "/features" }

    /// The stored features of exactly this file; nil if there are none, or if they cannot be read.
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

    /// Raised with each question that a probe asks anew.
    private static let questions = 3

    /// The name of an entry is made of what changes with the file (device, inode, size, modification time) and of what was asked (the
    /// questions, the trace events of the vocabulary, and the arguments that belong to the binary).
    private func file(of binary: QEMUBinary) throws -> String {
        let identity: FileIdentity
        do { identity = try FileIdentity(binary.path) } catch {
            throw Environment("\(binary.name): \(binary.path): \(error.reason)")
        }
        let questions = ([String(Self.questions)] + allowedTraceEvents + binary.arguments).joined(separator: " ")
        return folder + "/" + identity.name([stableHash(questions.utf8)]) + ".json"
    }
}

extension FeatureStore {
    /// The binaries with their features. A binary without stored features is probed, after a call of `willProbe`, and its features are
    /// stored.
    package func probed(
        _ binaries: [QEMUBinary], shim: String, folder: RunFolder, willProbe: (QEMUBinary) -> Void = { _ in }
    ) async throws -> [ProbedBinary] {
        var probed: [ProbedBinary] = []
        for binary in binaries {
            if let known = features(of: binary) {
                probed.append(ProbedBinary(binary, features: known))
                continue
            }
            willProbe(binary)
            let features: ProbedFeatures
            do {
                features = try await probe(binary, shim: shim, folder: folder)
            } catch let error where !(error is Environment) && !Task.isCancelled {
                throw Environment(
                    "\(binary.name) (\(binary.path)) cannot be probed: \((error as? SideRefusal)?.text ?? "\(error)"); "
                        + "start it by hand, or leave it out")
            }
            try remember(features, of: binary)
            probed.append(ProbedBinary(binary, features: features))
        }
        return probed
    }
}

extension ProbedBinary {
    /// A QEMU with the features that were probed.
    package init(_ binary: QEMUBinary, features: ProbedFeatures) {
        self.init(binary: .qemu(binary), features: features, obstacle: QEMUSide.obstacle)
    }
}
