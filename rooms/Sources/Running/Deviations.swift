import Matrix
import Plan
import Prediction
import Verification

/// What released binaries are known to get wrong, as data: in which cells, on which exact versions, which rules break, and why.

package struct Deviation: Hashable, Sendable {
    package let id: String
    /// Any of these values, on every axis named.
    package let cells: [String: [String]]
    /// Patterns of cell names, any of which must match; `*` stands for any characters. Empty: every name.
    package let names: [String]
    /// Exact versions it was seen on, as QEMU says them ("11.1.3"); nil: this side plays no part in it.
    package let sourceVersions: [String]?
    package let destinationVersions: [String]?
    /// Identifiers of the rules that break, each of them.
    package let rules: [String]
    /// The verdicts it leads to; with any other it does not explain anything.
    package let verdicts: [String]
    /// A race: it may or may not show.
    package let sometimes: Bool
    /// What happens and why, for a reader who knows QEMU.
    package let reason: String
    /// Where it was reported.
    package let reference: String
}

/// A deviation that may show in a cell.
package struct MatchedDeviation: Hashable, Sendable {
    package let deviation: Deviation
    /// Whether it was seen on these very versions. On others it may have been fixed.
    package let exactVersion: Bool
}

package struct DeviationFile: Hashable, Sendable {
    package let deviations: [Deviation]

    private static let mostDeviations = 256

    /// Reads the deviations file at `path`. `axes` are those of the matrix file whose cells the deviations speak of.
    package init(path: String, axes: [Axis]) throws(MatrixFileError) {
        try self.init(try yamlText(path: path), file: path, axes: axes)
    }

    /// Reads a deviations file; `file` is only for the text of errors.
    package init(_ text: String, file: String, axes: [Axis]) throws(MatrixFileError) {
        let root = try YAMLValue(document: text, file: file)
        let fields = try root.fields(of: "a deviations file", ["ackmatrix-deviations", "deviations"])
        try fields["ackmatrix-deviations"]!.expectVersion("1", of: "a deviations file")
        let reader = PatternReader(axes)
        var deviations: [Deviation] = []
        for value in try fields["deviations"]!.list(of: "deviations", 0...Self.mostDeviations) {
            let deviation = try Deviation(value, reader)
            guard !deviations.contains(where: { $0.id == deviation.id }) else {
                throw value.error("expected another id than '\(deviation.id)', which an earlier deviation has")
            }
            deviations.append(deviation)
        }
        self.deviations = deviations
    }

    /// The deviations that may show in a cell, in file order. Versions are as QEMU says them, or the name of an engine, which does what any
    /// version of its release was seen to do.
    package func deviations(for selection: Selection, cellName: String, sourceVersion: String, destinationVersion: String)
        -> [MatchedDeviation]
    {
        // Patterns of names are those of cells of QEMU.
        let cellName = cellName.replacing(QEMUBinary.enginePrefix, with: "")
        return deviations.compactMap { deviation in
            guard deviation.cells.allSatisfy({ $0.value.contains(selection[$0.key]) }),
                deviation.names.isEmpty || deviation.names.contains(where: { matches(cellName, $0) })
            else { return nil }
            let exact =
                deviation.sourceVersions?.contains { isVersion($0, of: sourceVersion) } ?? true
                && deviation.destinationVersions?.contains { isVersion($0, of: destinationVersion) } ?? true
            return MatchedDeviation(deviation: deviation, exactVersion: exact)
        }
    }
}

/// Whether the side is of this exact version; an engine is of all versions of its release.
func isVersion(_ version: String, of side: String) -> Bool {
    guard side.hasPrefix(QEMUBinary.enginePrefix) else { return version == side }
    let release = side.dropFirst(QEMUBinary.enginePrefix.count)
    return version == release || version.hasPrefix(release + ".")
}

extension Deviation {
    fileprivate init(_ value: YAMLValue, _ reader: PatternReader) throws(MatrixFileError) {
        let fields = try value.fields(
            of: "a deviation", ["id", "versions", "rules", "verdicts", "reason", "reference"], optional: ["cells", "names", "sometimes"])
        guard fields["cells"] != nil || fields["names"] != nil else {
            throw value.error("expected 'cells' or 'names', which say where the deviation shows, found neither")
        }
        let sides = try fields["versions"]!.fields(of: "versions", [], optional: ["source", "destination"])
        guard !sides.isEmpty else {
            throw fields["versions"]!.error("expected the versions of the source, the destination or both, found neither")
        }
        id = try fields["id"]!.word("a deviation's id")
        cells = try fields["cells"].map { value throws(MatrixFileError) in try reader.values(value, of: "a deviation's cells") } ?? [:]
        names = try fields["names"].map { value throws(MatrixFileError) in try value.each("name patterns", Self.namePattern) } ?? []
        sourceVersions = try sides["source"].map { value throws(MatrixFileError) in try value.each("versions", Self.version) }
        destinationVersions = try sides["destination"].map { value throws(MatrixFileError) in try value.each("versions", Self.version) }
        rules = try fields["rules"]!.each("rules") { value throws(MatrixFileError) in try value.ruleIdentifier() }
        verdicts = try fields["verdicts"]!.each("verdicts") { value throws(MatrixFileError) in try value.ending() }
        sometimes = try fields["sometimes"].map { value throws(MatrixFileError) in try value.choice("a truth value", Truth.self) } == .true
        reason = try fields["reason"]!.sentence("a reason")
        reference = try fields["reference"]!.sentence("a reference")
    }

    enum Truth: String, CaseIterable {
        case `true`, `false`
    }

    static func version(_ value: YAMLValue) throws(MatrixFileError) -> String { try value.word("a version like 11.1.3") }

    static func namePattern(_ value: YAMLValue) throws(MatrixFileError) -> String {
        let text = try value.scalar("a pattern of cell names")
        guard !text.isEmpty, text.utf8.count <= 200, text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw value.error("expected a pattern of cell names like '*+4-devices+*', 1 to 200 characters without blanks")
        }
        return text
    }
}

extension YAMLValue {
    /// Texts that are all different, or one.
    func each(_ what: String, _ read: (YAMLValue) throws(MatrixFileError) -> String) throws(MatrixFileError) -> [String] {
        var texts: [String] = []
        for element in try listOrOne(of: what, 1...64) {
            let text = try read(element)
            guard !texts.contains(text) else { throw element.error("expected each of the \(what) once, found '\(text)' twice") }
            texts.append(text)
        }
        return texts
    }
}

/// Whether a name is what the pattern says; `*` is any run of characters, and what follows the last one is looked for further and
/// further on.
func matches(_ name: String, _ pattern: String) -> Bool {
    let (name, pattern) = (Array(name.utf8), Array(pattern.utf8))
    var (at, wanted) = (0, 0)
    var star: (pattern: Int, name: Int)?
    while at < name.count {
        if wanted < pattern.count, pattern[wanted] == UInt8(ascii: "*") {
            star = (wanted, at)
            wanted += 1
        } else if wanted < pattern.count, pattern[wanted] == name[at] {
            at += 1
            wanted += 1
        } else if let last = star {
            star = (last.pattern, last.name + 1)
            (at, wanted) = (last.name + 1, last.pattern + 1)
        } else {
            return false
        }
    }
    return pattern[wanted...].allSatisfy { $0 == UInt8(ascii: "*") }
}

extension YAMLValue {
    /// A rule of Verification's: one that does not exist would never break, and never be missed.
    fileprivate func ruleIdentifier() throws(MatrixFileError) -> String {
        let word = try word("a rule's identifier")
        guard Rule[id: word] != nil else { throw error("expected the identifier of a rule, found '\(word)'") }
        return word
    }

    fileprivate func ending() throws(MatrixFileError) -> String {
        let text = try sentence("a verdict")
        let endings = Verdict.allCases.map(\.rawValue) + [Prediction.Ending.refused.rawValue]
        guard endings.contains(text) else { throw error("expected a verdict out of \(endings.joined(separator: "; ")), found '\(text)'") }
        return text
    }
}
