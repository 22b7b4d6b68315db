/// What a run says of itself in its results folder: the command, when it ran, and whether it was complete.
import Foundation
import Plan

/// The file `run.json`, which also says that a run made the folder.
package struct RunRecord: Hashable, Sendable, Codable {
    package static let currentFormat = 1
    /// Bytes of the longest file that is read.
    private static let longest = 1 << 20

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

    package init(command: [String], cells: Int) {
        self.command = command
        self.cells = cells
        started = Self.stamp(Date())
    }

    package mutating func end(_ state: State, done: Int, findings: Int) {
        (self.state, self.done, self.findings) = (state, done, findings)
        ended = Self.stamp(Date())
    }

    private static func stamp(_ date: Date) -> String { date.formatted(.iso8601) }

    /// The record in a file; nil where there is none that this program has written.
    init?(path: String) {
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
