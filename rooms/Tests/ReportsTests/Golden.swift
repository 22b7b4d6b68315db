/// Texts that a test expects word for word, kept in files: ACKMATRIX_RECORD=1 writes them anew, and never in CI.
import Foundation
import Testing

enum Golden {
    private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Golden")

    struct RefusedInCI: Error {}

    static func isRecording(_ environment: [String: String]) throws -> Bool {
        guard environment["ACKMATRIX_RECORD"] == "1" else { return false }
        guard environment["CI"] == nil else { throw RefusedInCI() }
        return true
    }

    static func expect(_ text: String, _ name: String, sourceLocation: SourceLocation = #_sourceLocation) throws {
        let file = folder.appendingPathComponent(name)
        if try isRecording(ProcessInfo.processInfo.environment) {
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            try Data(text.utf8).write(to: file)
            return
        }
        let expected = try String(contentsOf: file, encoding: .utf8)
        #expect(text == expected, "\(name) differs; ACKMATRIX_RECORD=1 writes it anew", sourceLocation: sourceLocation)
    }
}

/// A small generator whose seed a failing test can print, and a later run repeat.
struct ReportGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

/// The seed of this run: ACKMATRIX_SEED, or a new one each time.
let reportSeed = ProcessInfo.processInfo.environment["ACKMATRIX_SEED"].flatMap { UInt64($0) } ?? UInt64.random(in: 0...UInt64.max)
