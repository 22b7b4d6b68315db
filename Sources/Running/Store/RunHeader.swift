/// What a run was made with: the first line of `results.jsonl`. Whatever may decide a result is in it, so that runs can be compared,
/// resumed and merged, and refuse each other where they differ.
import Foundation
import Glibc
import Matrix

package struct RunHeader: Hashable, Sendable, Codable {
    package static let currentFormat = 1

    package struct Tool: Hashable, Sendable, Codable {
        /// As `ackmatrix --version` prints it.
        package var version: String
        /// The commit of the checkout, with `-dirty` where files differ from it; nil where it is not known.
        package var commit: String?
        /// The SHA-256 of the executable; nil where it is not known.
        package var digest: String?

        package init(version: String, commit: String?, digest: String?) {
            (self.version, self.commit, self.digest) = (version, commit, digest)
        }
    }

    package struct Machine: Hashable, Sendable, Codable {
        package var host: String
        /// The release, as `uname -r` prints it.
        package var kernel: String
        package var architecture: String
    }

    /// A file that decides results.
    package struct File: Hashable, Sendable, Codable {
        package var path: String
        /// The SHA-256; nil where it is not known.
        package var digest: String?

        package init(path: String, digest: String?) { (self.path, self.digest) = (path, digest) }
    }

    /// A side that cells of the run have.
    package struct Binary: Hashable, Sendable, Codable {
        package var name: String
        /// The exact version, `11.1.3`.
        package var version: String
        /// The executable; nil for the engine.
        package var file: File?

        package init(name: String, version: String, file: File?) { (self.name, self.version, self.file) = (name, version, file) }
    }

    /// An option of `ackmatrix run` with its value; a flag has none.
    package struct Option: Hashable, Sendable, Codable {
        package var name: String
        package var value: String?

        package init(_ name: String, _ value: String? = nil) { (self.name, self.value) = (name, value) }

        package var words: [String] { [name] + (value.map { [$0] } ?? []) }
    }

    package var format = Self.currentFormat
    /// The name of the run's folder.
    package var id = ""
    /// ISO 8601, UTC.
    package var started: String
    package var tool: Tool
    /// The machine that ran the cells; of a merged run those of all shards.
    package var machines: [Machine]
    /// The sides of the cells of all shards.
    package var binaries: [Binary]
    /// The preload shim; nil where only the engine runs.
    package var shim: File?
    package var matrix: File
    package var deviations: File
    /// The options that decide results, in the order of `ackmatrix run --help`.
    package var options: [Option]
    /// Options that a run which goes on needs as well. They name files, whose digests are compared, or decide no result.
    package var otherOptions: [Option]
    /// The number of times that each cell runs.
    package var rounds: Int
    /// The cells of all shards.
    package var cells: CellTally
    /// nil where the run has all cells.
    package var shard: Shard?
    /// The runs that were merged, by `id`.
    package var merged: [String]?
    /// True if the cells of all shards are those of a tier, so that each axis value must gate somewhere.
    package var isWhole: Bool
    /// What the available sides cannot run.
    package var skipped: SkippedCells
    /// Findings that belong to no cell and were found before the first one ran.
    package var findings: [String]
    /// Sentences for the closing block that were known before the first cell ran.
    package var notes: [String]

    package init(
        tool: Tool, binaries: [Binary], shim: File?, matrix: File, deviations: File, options: [Option], otherOptions: [Option],
        rounds: Int, cells: CellTally, shard: Shard?, isWhole: Bool, skipped: SkippedCells
    ) {
        started = Date().formatted(.iso8601)
        self.tool = tool
        machines = [.current]
        self.binaries = binaries
        self.shim = shim
        self.matrix = matrix
        self.deviations = deviations
        self.options = options
        self.otherOptions = otherOptions
        self.rounds = rounds
        self.cells = cells
        self.shard = shard
        self.isWhole = isWhole
        self.skipped = skipped
        findings = []
        notes = []
    }

    /// The words after `ackmatrix run` that make the same run, but for its shard and the place of its results.
    package var words: [String] { (options + otherOptions).flatMap(\.words) }
}

extension RunHeader.Machine {
    /// This machine.
    package static var current: Self {
        var system = utsname()
        guard uname(&system) == 0 else { return Self(host: "not known", kernel: "not known", architecture: "not known") }
        func text<Field>(_ field: Field) -> String {
            withUnsafeBytes(of: field) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        }
        return Self(host: text(system.nodename), kernel: text(system.release), architecture: text(system.machine))
    }
}

// MARK: Comparing runs

extension RunHeader {
    /// What makes results of the two runs differ, one sentence each. Machines may differ, unless a run has devices of the kernel.
    package func differences(from other: RunHeader) -> [String] {
        var differences: [String] = []
        func compare(_ what: String, _ mine: String?, _ others: String?) {
            // Two files of which nothing is known may differ.
            guard mine != others || mine?.hasSuffix(RunHeader.notKnown) == true else { return }
            differences.append("\(what): \(mine ?? "none") and \(others ?? "none")")
        }
        if let tools = tool.difference(from: other.tool) { differences.append(tools) }
        let names = (options + other.options).map(\.name).reduce(into: [String]()) { if !$0.contains($1) { $0.append($1) } }
        for name in names { compare("option \(name)", values(of: name), other.values(of: name)) }
        compare("matrix file", matrix.label, other.matrix.label)
        compare("list of deviations", deviations.label, other.deviations.label)
        compare("preload shim", shim?.label, other.shim?.label)
        let mine = Dictionary(binaries.map { ($0.name, $0.label) }) { first, _ in first }
        let others = Dictionary(other.binaries.map { ($0.name, $0.label) }) { first, _ in first }
        for name in Set(mine.keys).union(others.keys).sorted() { compare("binary \(name)", mine[name], others[name]) }
        compare("cells", "\(cells.count)", "\(other.cells.count)")
        if cells.count == other.cells.count, cells != other.cells { differences.append("cells: \(cells.count) each, with other names") }
        if options.contains(where: { $0.name == "--vfio" && $0.value != "mock" }) {
            compare("kernels", kernels, other.kernels)
        }
        return differences
    }

    fileprivate static let notKnown = "not known"

    /// All values of an option; nil where it is not given.
    private func values(of name: String) -> String? {
        let given = options.filter { $0.name == name }
        return given.isEmpty ? nil : given.map { $0.value ?? "given" }.joined(separator: " ")
    }

    private var kernels: String { Set(machines.map(\.kernel)).sorted().joined(separator: ", ") }
}

extension RunHeader.Tool {
    /// Builds of one commit may differ in their bytes; where no commit tells, the bytes do.
    fileprivate func difference(from other: Self) -> String? {
        if let commit, commit == other.commit, !commit.hasSuffix("-dirty") { return nil }
        if let digest, digest == other.digest { return nil }
        return "ackmatrix: \(label) and \(other.label)"
    }

    private var label: String {
        "commit \(commit ?? RunHeader.notKnown), SHA-256 \(digest.map { String($0.prefix(16)) } ?? RunHeader.notKnown)"
    }
}

extension RunHeader.File {
    /// What runs compare.
    fileprivate var label: String { "SHA-256 " + (digest.map { String($0.prefix(16)) } ?? RunHeader.notKnown) }
}

extension RunHeader.Binary {
    fileprivate var label: String { file.map { "\(version), \($0.label)" } ?? version }
}

extension RunHeader {
    static func unreadable(format: Int) -> String {
        "expected a header of format \(currentFormat), found \(format); read it with the ackmatrix that wrote it"
    }

    /// What is wrong with a header that was read; nil if it can be believed.
    var flaw: String? {
        guard format == Self.currentFormat else {
            return Self.unreadable(format: format)
        }
        guard 1...1_000_000_000 ~= rounds else { return "expected 1 round or more, at most a billion, found \(rounds)" }
        guard cells.count >= 0 else { return "expected a number of cells, found \(cells.count)" }
        return nil
    }

    /// The line with its end.
    package func jsonLine() throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return try encoder.encode(HeaderLine(header: self)) + Data("\n".utf8)
    }
}

/// The first line: an object with one key, which no result has.
struct HeaderLine: Codable {
    let header: RunHeader
}
