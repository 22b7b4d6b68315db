import Foundation
import Testing

@testable import Matrix

/// Reading matrix files, and what they make.
@Suite struct MatrixFileTests {
    /// Three axes: 2 x 3 x 2 values.
    static let axes = """
        ackmatrix-matrix: 1
        axes:
          colour: {values: [red, green], about: the colour}
          size: {values: [1, 2, 4], about: the size, token: "{}-big"}
          lid: {values: [no, yes], about: whether there is a lid, token: "lid-{}"}

        """

    /// Each product makes 6 selections less 1; 3 are made by both.
    static let small =
        axes + """
            products:
              - {name: boxes, about: All without a lid., tier: default, axes: {colour: [green, red], size: [4, 2, 1]}}
              - name: lids
                about: Some with a lid.
                tier: quick
                each:
                  - {colour: red, size: [1, 2]}
                  - {colour: green, size: 2}
                axes: {lid: [no, yes]}
                exclude:
                  - {where: {lid: yes, colour: green}, reason: green lids are sold out}
            exclusions:
              - {where: {colour: green, size: 4}, reason: too green}
            """

    static func file(_ text: String) throws -> MatrixFile { try MatrixFile(text, file: "m.yaml") }

    @Test func selectionsComeInFileOrderOnceAndInTheLowestTier() throws {
        let file = try Self.file(Self.small)
        func listed(_ tier: Tier) -> [String] { file.selections(tier).map { "\($0.product) \($0.tier) \($0.selection.name)" } }
        let lids = ["lids quick plain", "lids quick lid-yes", "lids quick 2-big", "lids quick 2-big+lid-yes", "lids quick green+2-big"]
        #expect(listed(.quick) == lids)
        // What the tier quick makes stays its own: of the boxes two are left.
        #expect(listed(.default) == ["boxes default 4-big", "boxes default green"] + lids)
        #expect(listed(.full) == listed(.default))
    }

    @Test func aSelectionHasAValueOnEveryAxis() throws {
        let file = try Self.file(Self.small)
        let selection = try #require(Selection(file.axes, ["size": "4", "lid": "yes"]))
        #expect(selection["colour"] == "red")
        #expect(selection["size"] == "4")
        #expect(selection["lid"] == "yes")
        #expect(selection.tokens == ["4-big", "lid-yes"])
        #expect(selection.changes.map(\.axis) == ["size", "lid"])
        #expect(selection.changes.map(\.value) == ["4", "yes"])
        #expect(selection.name == "4-big+lid-yes")
        #expect(Selection(file.axes, [:])?.name == "plain")
        #expect(Selection(file.axes, ["size": "3"]) == nil)
        #expect(Selection(file.axes, ["weight": "4"]) == nil)
    }

    @Test func namesStayWhenAxesAndValuesAreAdded() throws {
        let before = try Self.file(Self.small)
        let grown = Self.small.replacing("values: [1, 2, 4]", with: "values: [1, 8, 2, 4]").replacing(
            "  lid:", with: "  smell: {values: [none, roses], about: the smell}\n  lid:")
        let after = try Self.file(grown)
        #expect(before.selections(.full).map(\.selection.name) == after.selections(.full).map(\.selection.name))
    }

    /// All ways to write one pattern exclude the same.
    @Test(arguments: [
        ("{size: 4}", ["4-big", "4-big+lid-yes", "green+4-big", "green+4-big+lid-yes"]),
        ("{size: [4]}", ["4-big", "4-big+lid-yes", "green+4-big", "green+4-big+lid-yes"]),
        ("{size: [2, 4], colour: green, lid: no}", ["green+2-big", "green+4-big"]),
        ("{size: 4, changed: [colour, lid]}", ["4-big+lid-yes", "green+4-big", "green+4-big+lid-yes"]),
        ("{changed: lid, size: 1}", ["lid-yes", "green+lid-yes"]),
    ]) func anExclusionTakesAwayWhatItMatches(condition: String, gone: [String]) throws {
        let all = "products:\n  - {name: all, about: All., tier: full, axes: {colour: [red, green], size: [1, 2, 4], lid: [no, yes]}}\n"
        let whole = try Self.file(Self.axes + all).selections(.full).map(\.selection.name)
        #expect(whole.count == 12)
        let rest = try Self.file(Self.axes + all + "exclusions: [{where: \(condition), reason: so}]").selections(.full).map(
            \.selection.name)
        #expect(Set(whole).subtracting(rest) == Set(gone))
        #expect(rest.count == 12 - gone.count)
    }

    /// A file whose axes or values are not exactly those that cells are made of is refused where they stand.
    @Test(arguments: [
        (
            ["colour": ["red", "green"], "size": ["4", "2", "1"], "lid": ["no"]], 5, 22, "expected a value of axis 'lid' (no), found 'yes'"
        ),
        (["colour": ["red", "green", "blue"], "size": ["4", "2", "1"], "lid": ["no", "yes"]], 3, 3, "found none that is 'blue'"),
        (["colour": ["red", "green"], "lid": ["no", "yes"]], 4, 3, "found 'size'"),
        (
            ["colour": ["red", "green"], "size": ["4", "2", "1"], "lid": ["no", "yes"], "shape": ["round", "flat"]], 3, 3,
            "expected an axis 'shape', found none of that name"
        ),
    ])
    func axesThatCellsAreNotMadeOfAreRefused(known: [String: [String]], line: Int, column: Int, words: String) throws {
        let all = ["colour": ["red", "green"], "size": ["4", "2", "1"], "lid": ["no", "yes"]]
        func read(_ known: [String: [String]]) throws {
            _ = try MatrixFile(Self.small, file: "m.yaml", vocabulary: AxisVocabulary(axes: known.map { ($0.key, $0.value) }))
        }
        try read(all)
        #expect { try read(known) } throws: { error in
            let error = error as? MatrixFileError
            #expect(error?.description.hasPrefix("m.yaml:\(line):\(column): ") == true, "\(error?.description ?? "")")
            return error?.reason.contains(words) == true
        }
    }

    // MARK: Refusals

    struct Refused: CustomTestStringConvertible, Sendable {
        var testDescription: String
        var text: String
        var line: Int
        /// 0 is not looked at.
        var column = 0
        var words: String

        /// A change to the small file.
        init(_ description: String, _ old: String, _ new: String, line: Int, column: Int = 0, _ words: String) {
            self.init(description, MatrixFileTests.small.replacing(old, with: new, maxReplacements: 1), line: line, column: column, words)
        }

        init(_ description: String, _ text: String, line: Int, column: Int = 0, _ words: String) {
            (testDescription, self.text, self.line, self.column, self.words) = (description, text, line, column, words)
        }
    }

    static let refusals = [
        // Not the YAML that is read here.
        Refused("empty", "", line: 0, "empty file"), Refused("comments only", "# nothing\n", line: 0, "empty file"),
        Refused("a scalar", "hello", line: 1, column: 1, "expected a mapping for a matrix file, found 'hello'"),
        Refused("a list", "- a\n- b", line: 1, column: 1, "found a list of 2"),
        Refused("unclosed list", "size: {values: [1, 2, 4]", "size: {values: [1, 2, 4", line: 4, "not YAML"),
        Refused("tab for indentation", "  size:", "\tsize:", line: 4, "not YAML"),
        Refused("bad indentation", "  size:", "   size:", line: 4, "not YAML"),
        Refused("two documents", "products:", "---\nproducts:", line: 6, "another document"),
        Refused("control character", "too green", "too \u{1}green", line: 18, "control characters"),
        Refused("escaped control character", "reason: too green", "reason: \"a\\u0007b\"", line: 18, "without control characters"),
        Refused("key twice", "colour: {values", "colour: {about: a, about: b, values", line: 3, column: 12, "'about' twice"),
        Refused("axis twice", "  size:", "  colour:", line: 3, column: 3, "'colour' twice"),
        Refused("anchor", "colour: {values", "colour: &c {values", line: 3, column: 11, "anchor"),
        Refused("alias", "colour: {values", "colour: *c\n  colours: {values", line: 3, "alias"),
        Refused("a mapping as a key", "  size:", "  {a: b}:", line: 4, "expected an axis' name, found a mapping"),
        // The whole.
        Refused("no version", "ackmatrix-matrix: 1\n", "", line: 1, "expected 'ackmatrix-matrix' in a matrix file"),
        Refused("other version", "matrix: 1", "matrix: 2", line: 1, column: 19, "expected version 1 of a matrix file, found '2'"),
        Refused("unknown key", "exclusions:", "excluded:", line: 17, column: 1, "expected a key of a matrix file"),
        Refused("no products", axes, line: 1, "expected 'products'"),
        Refused("empty products", axes + "products: []", line: 6, column: 11, "expected 1 to 256 products, found 0"),
        Refused("no axes", "ackmatrix-matrix: 1\naxes: {}\nproducts: []", line: 2, "expected 1 to 64 axes, found 0"),
        // Axes.
        Refused("axis without values", "values: [red, green], about", "about", line: 3, "expected 'values' in axis 'colour'"),
        Refused("axis without about", ", about: the colour", "", line: 3, "expected 'about'"),
        Refused("empty about", "about: the colour", "about: ''", line: 3, "found nothing"),
        Refused("one value", "[red, green]", "[red]", line: 3, column: 20, "expected 2 to 64 values of axis 'colour', found 1"),
        Refused("value twice", "[red, green]", "[red, green, red]", line: 3, column: 33, "found 'red' twice"),
        Refused("value with a blank", "[red, green]", "[red, light green]", line: 3, column: 26, "found 'light green'"),
        Refused("value with a plus", "[red, green]", "[red, a+b]", line: 3, "found 'a+b'"),
        Refused("value as a list", "[red, green]", "[red, [green]]", line: 3, "found a list of 1"),
        Refused("values as a word", "[red, green]", "red", line: 3, "expected a list of values of axis 'colour', found 'red'"),
        Refused("reserved name", "  colour:", "  changed:", line: 3, column: 3, "which patterns use"),
        Refused("token without a place", "\"{}-big\"", "big", line: 4, "with '{}' once"),
        Refused("token with two places", "\"{}-big\"", "\"{}{}\"", line: 4, "with '{}' once"),
        Refused("token with a plus", "\"{}-big\"", "\"{}+big\"", line: 4, "with '{}' once"),
        Refused(
            "words that collide", "[no, yes], about: whether there is a lid, token: \"lid-{}\"", "[no, 4], about: b, token: \"{}-big\"",
            line: 5, column: 3, "found '4-big', which is size 4"),
        Refused("word that is taken", "values: [red, green]", "values: [red, plain]", line: 3, column: 3, "the selection without changes"),
        // Products.
        Refused("product without a name", "{name: boxes, ", "{", line: 7, column: 5, "expected 'name' in a product"),
        Refused("product twice", "name: lids", "name: boxes", line: 8, column: 5, "which the product in line 7 has"),
        Refused(
            "unknown tier", "tier: quick", "tier: fast", line: 10, column: 11,
            "expected a tier (quick, default, full, engine), found 'fast'"),
        Refused("unknown axis", "axes: {lid:", "axes: {top:", line: 14, column: 12, "expected an axis (colour, size, lid), found 'top'"),
        Refused("unknown value", "axes: {lid: [no, yes]}", "axes: {lid: [no, maybe]}", line: 14, "(no, yes), found 'maybe'"),
        Refused("value listed twice", "axes: {lid: [no, yes]}", "axes: {lid: [no, no]}", line: 14, "found 'no' twice"),
        Refused("no value", "axes: {lid: [no, yes]}", "axes: {lid: []}", line: 14, "expected 1 to 2 values of axis 'lid', found 0"),
        Refused("nothing for a value", "axes: {lid: [no, yes]}", "axes: {lid: }", line: 14, "found ''"),
        Refused("axis in both", "size: [1, 2]}", "lid: [no]}", line: 12, column: 9, "either in 'axes' or in 'each'"),
        Refused(
            "empty each", "each:\n      - {colour: red, size: [1, 2]}\n      - {colour: green, size: 2}", "each: []", line: 11, "found 0"),
        // Exclusions.
        Refused("exclusion without a reason", ", reason: too green", "", line: 18, column: 5, "expected 'reason'"),
        Refused("exclusion of everything", "{colour: green, size: 4}", "{}", line: 18, "everything is excluded"),
        Refused("changed and set", "size: 4}", "size: 4, changed: size}", line: 18, "expected axis 'size' once"),
        Refused("changed twice", "size: 4}", "changed: [size, size]}", line: 18, "expected axis 'size' once"),
        Refused("changed unknown", "size: 4}", "changed: weight}", line: 18, "found 'weight'"),
        Refused("alone unknown", small + "\nalone: {axes: [colour, weight], reason: so}", line: 19, "found 'weight'"),
        Refused("alone twice", small + "\nalone: {axes: [lid, lid], reason: so}", line: 19, column: 21, "found 'lid' twice"),
        Refused("alone without others", small + "\nalone: {axes: [lid], reason: so}", line: 19, "expected 2 to 64 axes"),
        Refused("alone without a reason", small + "\nalone: {axes: [lid, size]}", line: 19, column: 8, "expected 'reason'"),
    ]

    @Test(arguments: refusals) func whatIsNotAMatrixFileIsRefusedWithItsPlace(refused: Refused) {
        #expect { _ = try Self.file(refused.text) } throws: { error in
            let error = error as? MatrixFileError
            #expect(error?.file == "m.yaml")
            #expect(error?.line == refused.line, "\(error?.description ?? "")")
            if refused.column > 0 { #expect(error?.column == refused.column, "\(error?.description ?? "")") }
            #expect(error?.reason.contains(refused.words) == true, "\(error?.description ?? "")")
            return error != nil
        }
    }

    // MARK: Bounds

    /// Text that describes more than a matrix may have, or is shaped to make a reader slow, and the message that refuses it.
    static let huge = [
        Refused("a comment of 1 MiB", String(repeating: "#", count: 1_048_577), line: 0, "expected at most 1048576 bytes"),
        Refused("lists in lists without an end", String(repeating: "[", count: 500_000), line: 0, "not YAML"),
        Refused(
            "900 lists in each other", "\(String(repeating: "[", count: 900))\(String(repeating: "]", count: 900))", line: 0,
            "expected a mapping"), Refused("block lists in each other", String(repeating: "- ", count: 400_000), line: 0, "not YAML"),
        Refused("a list of half a million", "[\(String(repeating: "a,", count: 500_000))]", line: 0, "found a list of 500000"),
        Refused("a doubling of lists", "a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n", line: 0, "anchor"),
        Refused("65 axes", manyAxes(65, values: 2), line: 0, "expected 1 to 64 axes, found 65"),
        Refused("65 values", manyAxes(1, values: 65), line: 0, "expected 2 to 64 values of axis 'a0', found 65"),
        Refused("1200 values", manyAxes(20, values: 60), line: 0, "expected at most 1024 values on all axes"),
        Refused("32768 selections", manyAxes(15, values: 2), line: 0, "expected at most 20000 selections"),
        Refused("more selections than a word counts", manyAxes(64, values: 16), line: 0, "expected at most 20000 selections"),
    ]

    @Test(arguments: huge) func aHugeFileIsRefused(refused: Refused) {
        #expect { _ = try Self.file(refused.text) } throws: { error in
            #expect("\(error)".contains(refused.words), "\(error)")
            return error is MatrixFileError
        }
    }

    /// Axes with values of their own, and the product of all.
    static func manyAxes(_ count: Int, values: Int) -> String {
        let lists = (0..<count).map { axis in "[" + (0..<values).map { "v\(axis)-\($0)" }.joined(separator: ", ") + "]" }
        return "ackmatrix-matrix: 1\naxes:\n" + lists.enumerated().map { "  a\($0): {values: \($1), about: one}\n" }.joined()
            + "products:\n  - name: all\n    about: All.\n    tier: quick\n    axes:\n"
            + lists.enumerated().map { "      a\($0): \($1)\n" }.joined()
    }

    /// Whatever a file was turned into, it is read or refused with a place inside it.
    @Test func aDamagedFileIsReadOrRefused() throws {
        let seed = ProcessInfo.processInfo.environment["ACKMATRIX_SEED"].flatMap(UInt64.init) ?? UInt64.random(in: 0...UInt64.max)
        var random = SplitMix(state: seed)
        let original = Array(Self.small.utf8)
        let alphabet = Array("[]{}:,-&*!|>'\"#%@`? \n\t0ax\\".utf8)
        var refused = 0
        for _ in 0..<2000 {
            var bytes = original
            for _ in 0...Int.random(in: 0..<4, using: &random) {
                let at = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: bytes[at] = alphabet.randomElement(using: &random)!
                case 1: bytes.insert(alphabet.randomElement(using: &random)!, at: at)
                default: bytes.removeSubrange(at..<min(bytes.count - 1, at + Int.random(in: 0..<40, using: &random)))
                }
            }
            let text = String(decoding: bytes, as: UTF8.self)
            let lines = text.split(separator: "\n", omittingEmptySubsequences: false).count
            do { #expect(try Self.file(text).selections(.full).count <= 12, "ACKMATRIX_SEED=\(seed)") } catch let error as MatrixFileError {
                refused += 1
                #expect((0...lines + 1).contains(error.line), "ACKMATRIX_SEED=\(seed): \(error)")
            }
        }
        #expect(refused > 0, "ACKMATRIX_SEED=\(seed)")
    }
}

/// A generator that a seed replays.
private struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }
}
