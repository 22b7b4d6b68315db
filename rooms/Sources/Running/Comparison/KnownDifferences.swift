/// Where an engine is known to do something else than the QEMU of its generation, as data: in which cells, of which exact versions, in what,
/// and why that is so.

import Matrix
import MigrationTrace
import Verification

package struct KnownDifference: Hashable, Sendable {
    package let id: String
    /// Any of these values, on every axis named.
    package let cells: [String: [String]]
    /// Patterns of the names of QEMU's cells, any of which must match; `*` stands for any characters. Empty: every name.
    package let names: [String]
    /// Exact versions of QEMU, as it says them; nil: this side plays no part in it.
    package let sourceVersions: [String]?
    package let destinationVersions: [String]?
    /// What differs, as `Difference.subjects` has it: names of events, ids of rules, names of counts, `ending`.
    package let subjects: Set<String>
    /// It shows or not.
    package let sometimes: Bool
    /// What the engine does and what QEMU does, and why the engine is right, or good enough.
    package let reason: String
    package let reference: String

    /// Whether it speaks of the cell; `cell` is QEMU's.
    package func concerns(_ cell: Cell) -> Bool {
        cells.allSatisfy { $0.value.contains(cell.selection[$0.key]) } && (names.isEmpty || names.contains { matches(cell.name, $0) })
            && (sourceVersions?.contains { isVersion($0, of: cell.sourceVersion) } ?? true)
            && (destinationVersions?.contains { isVersion($0, of: cell.destinationVersion) } ?? true)
    }
}

package struct KnownDifferences: Hashable, Sendable {
    package let all: [KnownDifference]

    private static let most = 256

    package init(_ all: [KnownDifference] = []) { self.all = all }

    /// Reads the list at `path`. `axes` are those of the matrix file whose cells it speaks of.
    package init(path: String, axes: [Axis]) throws(MatrixFileError) { try self.init(try yamlText(path: path), file: path, axes: axes) }

    /// Reads a list; `file` is only for the text of errors.
    package init(_ text: String, file: String, axes: [Axis]) throws(MatrixFileError) {
        let root = try YAMLValue(document: text, file: file)
        let fields = try root.fields(of: "a list of differences", ["ackmatrix-differences", "differences"])
        try fields["ackmatrix-differences"]!.expectVersion("1", of: "a list of differences")
        let reader = PatternReader(axes)
        var all: [KnownDifference] = []
        for value in try fields["differences"]!.list(of: "differences", 0...Self.most) {
            let difference = try KnownDifference(value, reader)
            guard !all.contains(where: { $0.id == difference.id }) else {
                throw value.error("expected another id than '\(difference.id)', which an earlier difference has")
            }
            all.append(difference)
        }
        self.all = all
    }
}

extension KnownDifference {
    fileprivate init(_ value: YAMLValue, _ reader: PatternReader) throws(MatrixFileError) {
        let fields = try value.fields(
            of: "a difference", ["id", "versions", "subjects", "reason", "reference"], optional: ["cells", "names", "sometimes"])
        guard fields["cells"] != nil || fields["names"] != nil else {
            throw value.error("expected 'cells' or 'names', which say where the difference shows, found neither")
        }
        let sides = try fields["versions"]!.fields(of: "versions", [], optional: ["source", "destination"])
        guard !sides.isEmpty else {
            throw fields["versions"]!.error("expected the versions of the source, the destination or both, found neither")
        }
        id = try fields["id"]!.word("a difference's id")
        cells = try fields["cells"].map { value throws(MatrixFileError) in try reader.values(value, of: "a difference's cells") } ?? [:]
        names = try fields["names"].map { value throws(MatrixFileError) in try value.each("name patterns", Deviation.namePattern) } ?? []
        sourceVersions = try sides["source"].map { value throws(MatrixFileError) in try value.each("versions", Deviation.version) }
        destinationVersions = try sides["destination"].map { value throws(MatrixFileError) in try value.each("versions", Deviation.version)
        }
        subjects = Set(try fields["subjects"]!.each("subjects") { value throws(MatrixFileError) in try value.differenceSubject() })
        sometimes =
            try fields["sometimes"].map { value throws(MatrixFileError) in try value.choice("a truth value", Deviation.Truth.self) }
            == .true
        reason = try fields["reason"]!.sentence("a reason")
        reference = try fields["reference"]!.sentence("a reference")
    }
}

extension YAMLValue {
    /// What may differ: something that does not exist would never differ, and never be missed.
    fileprivate func differenceSubject() throws(MatrixFileError) -> String {
        let word = try scalar("a subject")
        let counts = Handshake.comparedCounts.union(["ending", "extent"])
        guard counts.contains(word) || Rule[id: word] != nil || Event.vocabulary.contains(where: { $0.name == word }) else {
            throw error(
                "expected the name of an event, the identifier of a rule, or one of \(counts.sorted().joined(separator: ", ")), found '\(word.prefix(60))'"
            )
        }
        return word
    }
}
