/// What a run says of itself in its results folder: the command, when it ran, and whether it was complete.
import Foundation
import Matrix
import Plan

/// The file `run.json`, which also says that a run made the folder.
package struct RunRecord: Hashable, Sendable, Codable {
    package static let currentFormat = 1
    /// Bytes of the longest file that is read: the names of cells that did not run may be many.
    private static let longest = 8 << 20

    package enum State: String, Sendable, Codable {
        /// The run goes on, or was killed.
        case running
        /// Every cell ran, and the reports are written.
        case complete
        /// A signal or an error stopped the run; the reports have what there was.
        case interrupted
    }

    package var format = Self.currentFormat
    /// The command line, word by word.
    package var command: [String]
    /// ISO 8601, UTC.
    package var started: String
    package var ended: String?
    package var state = State.running
    /// The number of cells that were to run, each repetition counted.
    package var cells: Int
    /// The number of cells that ran, and of findings; nil until the run ends.
    package var done: Int?
    package var findings: Int?
    /// What the canary showed; nil where it did not run.
    package var canary: Canary?
    /// Wall time in seconds, of the cells of QEMU and of the engine.
    package var seconds: [String: Double]?
    /// Cells that did not run, because their binaries do not migrate to each other here at all; nil where there is none.
    package var notRun: SkippedCells?

    package struct Canary: Hashable, Sendable, Codable {
        package var text: String
        /// True if the verifier accepted the tampered log, which is a finding.
        package var isAccepted: Bool

        package init(text: String, isAccepted: Bool) { (self.text, self.isAccepted) = (text, isAccepted) }
    }

    package init(command: [String], cells: Int) {
        self.command = command
        self.cells = cells
        started = Self.stamp(Date())
    }

    /// The record of a run that goes on.
    package mutating func goOn() { (state, ended, done, findings) = (.running, nil, nil, nil) }

    package mutating func end(_ state: State, done: Int, findings: Int) {
        (self.state, self.done, self.findings) = (state, done, findings)
        ended = Self.stamp(Date())
    }

    private static func stamp(_ date: Date) -> String { date.formatted(.iso8601) }

    /// The record in a file; nil where there is none that this program has written.
    package init?(path: String) {
        guard let file = FileHandle(forReadingAtPath: path) else { return nil }
        defer { try? file.close() }
        guard let data = try? file.read(upToCount: Self.longest), let record = try? JSONDecoder().decode(Self.self, from: data),
            record.format == Self.currentFormat
        else { return nil }
        self = record
    }

    /// Writes the file whole or not at all. Throws `Environment`.
    func write(path: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        do { try (encoder.encode(self) + Data("\n".utf8)).write(to: URL(fileURLWithPath: path), options: .atomic) } catch {
            throw Environment("\(path): cannot be written: \(systemReason(error))")
        }
    }
}
