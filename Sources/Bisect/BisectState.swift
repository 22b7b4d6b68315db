/// What is known of a bisection, in a folder: the question, the failure that is looked for, and what each revision showed.
///
/// The file is replaced whole, so that a bisection that was killed goes on where it was: a revision with a record is neither built nor run
/// again. One process at a time writes it.
import Foundation
import MigrationTrace
import Plan

/// What a bisection is about. Two command lines with the same question are the same bisection.
package struct BisectQuestion: Codable, Hashable, Sendable {
    /// What makes a revision bad.
    package enum Aim: String, Codable, CaseIterable, Hashable, Sendable {
        /// It shows the failure of the bad end.
        case failure
        /// It runs the cell in the mode of the bad end.
        case mode
    }

    package struct Repository: Codable, Hashable, Sendable {
        /// The path, as git resolves it.
        package var path: String
        /// The ends, as whole names of commits.
        package var good: String
        package var bad: String
        /// The user's build command, run by a shell in a worktree of the revision.
        package var build: String
        /// The file that the build leaves, as seen from the worktree.
        package var binary: String

        package init(path: String, good: String, bad: String, build: String, binary: String) {
            (self.path, self.good, self.bad, self.build, self.binary) = (path, good, bad, build, binary)
        }
    }

    /// nil: the list is searched.
    package var repository: Repository?
    /// Binaries, oldest first; empty where a repository is searched.
    package var list: [String]
    package var side: TestedSide
    package var cell: String
    package var aim = Aim.failure
    /// Only revisions that run the cell in this mode are told.
    package var mode: SwitchoverAckMode?
    package var lead: Int
    package var isRare = false
    package var seed: UInt64 = 0
    /// Further binaries, the matrix and the deviations, as options of the command line.
    package var options: [String] = []

    package init(repository: Repository?, list: [String], side: TestedSide, cell: String, lead: Int) {
        (self.repository, self.list, self.side, self.cell, self.lead) = (repository, list, side, cell, lead)
    }

    /// A short text that differs where the question does: the hash of its JSON form.
    package var digest: String {
        get throws {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys]
            return hashName(try encoder.encode(self))
        }
    }
}

/// The hash of the bytes in hexadecimal digits.
func hashName(_ bytes: some Sequence<UInt8>) -> String { String(stableHash(bytes), radix: 16) }

/// What a revision showed.
package struct RevisionRecord: Codable, Hashable, Sendable {
    package enum Verdict: String, Codable, Sendable {
        case good, bad, skip
    }

    package var verdict: Verdict
    /// Why it cannot be told, or what was found, in one sentence.
    package var reason: String
    /// The cell with its mode; nil where none was run.
    package var test: String?
    package var mode: SwitchoverAckMode?
    /// What the build is, by probing: the generation and the version.
    package var build: String?
    package var machine: String?
    package var mappedFrom: String?
    package var ending: String?
    package var signature: Signature?
    package var runs = 0
    package var badRuns = 0
    package var seconds = 0.0
    /// The command that runs the cell again; empty where there is none.
    package var reproduce = ""

    package init(_ verdict: Verdict, _ reason: String) {
        self.verdict = verdict
        self.reason = reason
    }

    package var judgment: Judgment {
        switch verdict {
        case .good: .good
        case .bad: .bad
        case .skip: .skip(reason)
        }
    }
}

package struct BisectState: Codable, Hashable, Sendable {
    package static let currentFormat = 1
    /// Bytes of the largest file that is read.
    private static let largest = 16 << 20

    package var format = Self.currentFormat
    package var question: BisectQuestion
    /// The failure that is looked for, as the bad end shows it.
    package var failure: Signature?
    /// The mode of the bad end, where that is looked for.
    package var wantedMode: String?
    /// By the name of a commit, or by the place in the list.
    package var records: [String: RevisionRecord] = [:]
    /// The revisions in the order in which they were tested.
    package var order: [String] = []

    package init(_ question: BisectQuestion) { self.question = question }

    package mutating func add(_ record: RevisionRecord, of revision: String) {
        if records.updateValue(record, forKey: revision) == nil { order.append(revision) }
    }

    /// Reads a state; nil where there is no file. Throws `Environment` where the file is something else.
    package init?(path: String) throws {
        guard FileManager.default.fileExists(atPath: path) else { return nil }
        func refused(_ reason: String) -> Environment {
            Environment("\(path): expected the state of a bisection, found \(reason); name another folder with --state, or remove it")
        }
        guard let file = FileHandle(forReadingAtPath: path) else { throw refused("a file that cannot be read") }
        defer { try? file.close() }
        guard let data = try? file.read(upToCount: Self.largest + 1), data.count <= Self.largest else {
            throw refused("more than \(Self.largest) bytes")
        }
        struct Head: Decodable { let format: Int }
        guard let head = try? JSONDecoder().decode(Head.self, from: data) else { throw refused("no JSON with a format") }
        guard head.format == Self.currentFormat else { throw refused("format \(head.format), not \(Self.currentFormat)") }
        do { self = try JSONDecoder().decode(Self.self, from: data) } catch { throw refused("other keys than those of a state") }
    }

    /// Replaces the file as a whole. Throws `Environment`.
    package func write(path: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        do { try (encoder.encode(self) + Data("\n".utf8)).write(to: URL(fileURLWithPath: path), options: .atomic) } catch {
            throw Environment("\(path): cannot be written: \(systemReason(error))")
        }
    }
}

/// The files of a bisection in its folder.
package struct BisectFolder: Hashable, Sendable {
    package let path: String

    package init(_ path: String) { self.path = path }

    package var state: String { path + "/state.json" }
    package var report: String { path + "/report.txt" }
    /// The worktree that revisions are built in.
    package var tree: String { path + "/tree" }
    package var gitLog: String { path + "/git.log" }
    package func revision(_ name: String) -> String { "\(path)/revisions/\(name)" }
}
