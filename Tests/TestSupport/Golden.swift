/// Texts that a test expects word for word, kept in files. ACKMATRIX_RECORD=1 writes the files anew; CI refuses the switch.
import Foundation
import Testing

package struct Golden: Sendable {
    /// The folder of the files.
    private let folder: String

    /// Golden files in `folder`, which is named as seen from the top folder of the repository.
    package init(_ folder: String) { self.folder = repositoryFile(folder) }

    package struct RefusedInCI: Error, CustomStringConvertible {
        package let description = "ACKMATRIX_RECORD=1 is set in CI, where golden files are never written: unset it"
    }

    package static func isRecording(_ environment: [String: String]) throws -> Bool {
        guard environment["ACKMATRIX_RECORD"] == "1" else { return false }
        guard environment["CI"] == nil else { throw RefusedInCI() }
        return true
    }

    /// Expects `text` to be what the file `name` holds. A test that writes the file instead fails, so that no recording is green.
    package func expect(
        _ text: String, _ name: String, environment: [String: String] = ProcessInfo.processInfo.environment,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let file = URL(fileURLWithPath: "\(folder)/\(name)")
        if try Self.isRecording(environment) {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            try Data(text.utf8).write(to: file)
            Issue.record(
                "\(name) was written anew, and nothing was compared: read the change, and run the test again without ACKMATRIX_RECORD",
                sourceLocation: sourceLocation)
            return
        }
        let expected = try String(contentsOf: file, encoding: .utf8)
        #expect(text == expected, "\(name) differs; ACKMATRIX_RECORD=1 writes it anew", sourceLocation: sourceLocation)
    }
}
