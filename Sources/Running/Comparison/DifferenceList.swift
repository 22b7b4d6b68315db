/// The list of what two runs of one cell may do differently, and how it is read from harness/matrix/differences.yaml.
import Matrix
import MigrationTrace
import Verification

package struct DifferenceList: Hashable, Sendable {
    /// In the order of the file; of several entries that match a step the first one excuses the step.
    package let all: [ListedDifference]

    private static let most = 256

    package init(_ all: [ListedDifference] = []) { self.all = all }

    /// Reads the list at `path`. `axes` are those of the matrix file whose cells the list speaks of.
    package init(path: String, axes: [Axis]) throws(MatrixFileError) { try self.init(try yamlText(path: path), file: path, axes: axes) }

    /// Reads a list; `file` is only for the text of errors.
    package init(_ text: String, file: String, axes: [Axis]) throws(MatrixFileError) {
        let root = try YAMLValue(document: text, file: file)
        let fields = try root.fields(of: "a list of differences", ["ackmatrix-differences", "chance", "differences"])
        try fields["ackmatrix-differences"]!.expectVersion("2", of: "a list of differences")
        let reader = PatternReader(axes)
        var all: [ListedDifference] = []
        for (kind, key) in [(ListedDifference.Kind.chance, "chance"), (.difference, "differences")] {
            for value in try fields[key]!.list(of: key, 0...Self.most) {
                let entry = try ListedDifference(value, kind, reader)
                guard !all.contains(where: { $0.id == entry.id }) else {
                    throw value.error("expected another id than '\(entry.id)', which an earlier entry has")
                }
                all.append(entry)
            }
        }
        self.all = all
    }

    /// The entries of one kind.
    package func only(_ kind: ListedDifference.Kind) -> DifferenceList { DifferenceList(all.filter { $0.kind == kind }) }

    /// The list with the deviations of QEMU that show by chance: a cell breaks their rules or does not.
    package func adding(_ deviations: DeviationFile) -> DifferenceList {
        DifferenceList(
            all
                + deviations.deviations.filter(\.sometimes).map { deviation in
                    ListedDifference(
                        kind: .chance, id: "deviation-" + deviation.id,
                        scope: ListedDifference.Scope(cells: deviation.cells, names: deviation.names),
                        pattern: DifferencePattern(rules: Set(deviation.rules)),
                        sometimes: "The deviation is marked as one that shows sometimes.",
                        reason: deviation.reason, reference: deviation.reference)
                })
    }
}

extension ListedDifference {
    fileprivate init(_ value: YAMLValue, _ kind: Kind, _ reader: PatternReader) throws(MatrixFileError) {
        let patterns = ["threads", "events", "texts", "steps", "counts", "rules"]
        let fields = try value.fields(
            of: "an entry", ["id", "versions", "reason"] + (kind == .difference ? ["reference"] : []),
            optional: ["cells", "names", "legs", "open", "race", "seen", "sometimes", "reference"] + patterns)
        guard patterns.contains(where: { fields[$0] != nil }) else {
            throw value.error("expected one of \(patterns.joined(separator: ", ")), which say what may differ, found none")
        }
        let places = ["cells", "names", "open", "race", "seen"]
        guard kind == .chance || fields["cells"] != nil || fields["names"] != nil else {
            throw value.error("expected 'cells' or 'names', which say where the engine differs, found neither")
        }
        guard fields["events"] != nil || fields["counts"] != nil || fields["rules"] != nil || places.contains(where: { fields[$0] != nil })
        else {
            throw value.error("expected one of \(places.joined(separator: ", ")), or the events that may differ, found none")
        }
        self.kind = kind
        id = try fields["id"]!.word("an entry's id")
        scope = try Scope(fields, reader)
        pattern = try DifferencePattern(fields)
        sometimes = try fields["sometimes"].map { value throws(MatrixFileError) in
            try value.sentence("the reason why the entry may excuse nothing")
        }
        reason = try fields["reason"]!.sentence("a reason")
        reference = try fields["reference"].map { value throws(MatrixFileError) in try value.sentence("a reference") }
    }
}

extension ListedDifference.Scope {
    fileprivate init(_ fields: [String: YAMLValue], _ reader: PatternReader) throws(MatrixFileError) {
        if let value = fields["cells"] { cells = try reader.values(value, of: "an entry's cells") }
        if let value = fields["names"] { names = try value.each("name patterns", Deviation.namePattern) }
        if let value = fields["open"] { open = Set(try value.each("counts") { value throws(MatrixFileError) in try value.count() }) }
        if let value = fields["seen"] { seen = try value.each("steps") { value throws(MatrixFileError) in try value.stepPattern() } }
        if let value = fields["race"] { isRace = try value.choice("a truth value", Deviation.Truth.self) == .true }
        for value in try fields["legs"]?.listOrOne(of: "legs", 1...8) ?? [] {
            let word = try value.scalar("the number of a leg")
            guard let leg = Int(word), 1...8 ~= leg else {
                throw value.error("expected the number of a leg, 1 to 8, found '\(word.prefix(60))'")
            }
            legs.insert(leg)
        }
        let versions = fields["versions"]!
        if versions.isScalar {
            _ = try versions.choice("the versions of the sides", EveryVersion.self)
            return
        }
        let sides = try versions.fields(of: "versions", [], optional: ["source", "destination"])
        guard !sides.isEmpty else {
            throw versions.error("expected 'all', or the versions of the source, the destination or both, found neither")
        }
        sourceVersions = try sides["source"].map { value throws(MatrixFileError) in try value.each("versions", Deviation.version) }
        destinationVersions = try sides["destination"].map { value throws(MatrixFileError) in try value.each("versions", Deviation.version)
        }
    }
}

private enum EveryVersion: String, CaseIterable { case all }

private enum StepsWord: String, CaseIterable {
    case any, more, alike
}

extension DifferencePattern {
    fileprivate init(_ fields: [String: YAMLValue]) throws(MatrixFileError) {
        if let value = fields["threads"] {
            var found: [ThreadPattern] = []
            _ = try value.each("threads") { value throws(MatrixFileError) in
                let text = try value.scalar("a thread")
                guard let thread = ThreadPattern(text) else {
                    throw value.error("expected a thread (\(ThreadPattern.vocabulary)), found '\(text.prefix(60))'")
                }
                found.append(thread)
                return text
            }
            threads = found
        }
        if let value = fields["events"] {
            events = Set(try value.each("events") { value throws(MatrixFileError) in try value.eventName() })
        }
        if let value = fields["texts"] {
            texts = try value.each("texts") { value throws(MatrixFileError) in try value.sentence("a pattern of a step's text") }
            guard !events.isEmpty else { throw value.error("expected 'events' beside 'texts', which are those of the events, found none") }
        }
        if let value = fields["counts"] {
            counts = Set(try value.each("counts") { value throws(MatrixFileError) in try value.countOrEnd() })
        }
        if let value = fields["rules"] {
            rules = Set(try value.each("rules") { value throws(MatrixFileError) in try value.ruleIdentifier() })
        }
        guard !threads.isEmpty || !events.isEmpty || fields["steps"] != nil else { return }
        let word = try fields["steps"].map { value throws(MatrixFileError) in try value.choice("how steps may differ", StepsWord.self) }
        switch word {
        case nil, .any: steps = .any
        case .more: steps = .more
        case .alike:
            guard !texts.isEmpty else {
                throw fields["steps"]!.error("expected the 'texts' that say the same, found none")
            }
            steps = .alike
        }
    }
}

/// What does not exist would never differ, and never be missed: each name is looked up.
extension YAMLValue {
    fileprivate func count() throws(MatrixFileError) -> String {
        let word = try scalar("the name of a count")
        guard Handshake.comparedCounts.contains(word) else {
            throw error(
                "expected the name of a count (\(Handshake.comparedCounts.sorted().joined(separator: ", "))), found '\(word.prefix(60))'")
        }
        return word
    }

    fileprivate func countOrEnd() throws(MatrixFileError) -> String {
        let others = ["ending", "extent"]
        let word = try scalar("the name of a count")
        guard Handshake.comparedCounts.contains(word) || others.contains(word) else {
            let known = Handshake.comparedCounts.sorted() + others
            throw error("expected the name of a count (\(known.joined(separator: ", "))), found '\(word.prefix(60))'")
        }
        return word
    }

    fileprivate func eventName() throws(MatrixFileError) -> String {
        let word = try scalar("the name of a trace event")
        guard Event.vocabulary.contains(where: { $0.name == word }) else {
            throw error("expected the name of a trace event, found '\(word.prefix(60))'")
        }
        return word
    }

    /// A pattern that begins with the name of an event.
    fileprivate func stepPattern() throws(MatrixFileError) -> String {
        let text = try sentence("a pattern of a step")
        let word = text.prefix { $0 != " " && $0 != "*" }
        guard Event.vocabulary.contains(where: { $0.name == word }) else {
            throw error("expected a pattern that begins with the name of a trace event, found '\(text.prefix(60))'")
        }
        return text
    }
}
