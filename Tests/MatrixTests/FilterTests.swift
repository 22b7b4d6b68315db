import EnginePeer
import Foundation
import Plan
import TestSupport
import Testing

@testable import Matrix

@Suite struct FilterTests {
    private static let made = Result {
        let file = try MatrixFile(path: repositoryFile("harness/matrix/default.yaml"))
        let engines = ["10.0", "11.1"].compactMap(ProbedBinary.engine)
        let cells = try Recipe.cells(of: file, tier: .default, binaries: engines).cells
        let names = engines.map(\.binary.name)
        let vocabulary = FilterVocabulary(
            axes: file.axes, sides: names + names.map(sharedCellName), products: file.products.map(\.name), rules: ["ends", "one-guest"],
            verdicts: ["completed", "waits forever"])
        return (cells: cells, vocabulary: vocabulary)
    }

    struct Row: Sendable {
        let text: String
        let condition: @Sendable (Cell) -> Bool

        init(_ text: String, _ condition: @escaping @Sendable (Cell) -> Bool) { (self.text, self.condition) = (text, condition) }
    }

    private static let rows: [Row] = [
        Row("source = 11.1", { $0.plan.source.binary.name == "engine@11.1" }),
        Row("source = engine@11.1", { $0.plan.source.binary.name == "engine@11.1" }),
        Row("source = per-device", { $0.selection["source"] == "per-device" }),
        Row("destination(10.0, 11.1) & source != 11.1", { $0.plan.source.binary.name != "engine@11.1" }),
        Row("source < 11", { $0.plan.source.binary.name == "engine@10.0" }),
        Row("reinits > 0", { $0.selection["reinits"] != "0" }),
        Row("reinits >= 2", { ["2", "3", "4", "for-ever"].contains($0.selection["reinits"]) }),
        Row("reinits = for-ever", { $0.selection["reinits"] == "for-ever" }),
        Row("reinits <= 1", { ["0", "1"].contains($0.selection["reinits"]) }),
        Row("driver(postcopy)", { $0.selection["driver"] == "postcopy" }), Row("!driver(plain)", { $0.selection["driver"] != "plain" }),
        Row("driver ~ postcopy", { $0.selection["driver"].contains("postcopy") }),
        Row(
            "driver !~ postcopy && driver !~ 'colo'",
            { !$0.selection["driver"].contains("postcopy") && $0.selection["driver"] != "colo" }
        ),
        Row(
            "source = 11.1 & reinits > 0 & !driver(colo)",
            { $0.plan.source.binary.name == "engine@11.1" && $0.selection["reinits"] != "0" && $0.selection["driver"] != "colo" }
        ),
        Row(
            "devices = 4 | devices = 2 & reinits = 1",
            { $0.selection["devices"] == "4" || $0.selection["devices"] == "2" && $0.selection["reinits"] == "1" }
        ),
        Row(
            "(devices = 4 | devices = 2) & reinits = 1",
            { ["2", "4"].contains($0.selection["devices"]) && $0.selection["reinits"] == "1" }
        ),
        Row("machine = q35-11.1", { $0.plan.source.machine == "pc-q35-11.1" }),
        Row("machine < 11.0", { ["-8.", "-9.", "-10."].contains(where: $0.plan.source.machine.contains) }),
        Row("mode = legacy", { $0.mode == .legacy }), Row("legs > 1", { $0.plan.legs.count > 1 }), Row("racy", { $0.isRace }),
        Row("racy = no", { !$0.isRace }),
        Row("name ~ '+2-devices'", { $0.name.contains("+2-devices") }),
        Row("verdict = \"waits forever\"", { $0.lastForecast.outcomes.contains { $0.ending.rawValue == "waits forever" } }),
        Row("odd = no & odd-ability = -", { $0.selection["odd"] == "no" }),
        Row("failed in a/b", { $0.name.count % 3 == 0 }), Row("passed in a/b", { $0.name.count % 3 == 1 }),
        Row("ran in 'a/b'", { $0.name.count % 3 < 2 }), Row("rule(ends) in a/b", { $0.name.count % 3 == 0 }),
        Row("verdict = completed in a/b & !racy", { $0.name.count % 3 == 1 && !$0.isRace }),
        Row("rule = one-guest", { $0.name.count % 2 == 0 }),
    ]

    /// The cells that a filter chooses are those that the same condition in Swift chooses; and it chooses some, and not all.
    @Test(arguments: rows.indices)
    func theCellsAreThoseOfTheCondition(row: Int) throws {
        let (text, condition) = (Self.rows[row].text, Self.rows[row].condition)
        let (cells, vocabulary) = try Self.made.get()
        let filter = try CellFilter(text, vocabulary)
        #expect(filter.folders == (text.contains(" in ") ? ["a/b"] : []))
        var outcomes: [String: CellOutcome] = [:]
        for cell in cells where cell.name.count % 3 < 2 {
            let isFinding = cell.name.count % 3 == 0
            outcomes[cell.name] = CellOutcome(
                isFinding: isFinding, verdicts: [isFinding ? "waits forever" : "completed"], rules: isFinding ? ["ends"] : [])
        }
        let sources = FilterSources(runs: ["a/b": outcomes]) { $0.name.count % 2 == 0 ? ["one-guest"] : [] }
        let found = cells.filter { filter.accepts($0, sources) }.map(\.name)
        #expect(found == cells.filter(condition).map(\.name))
        #expect(!found.isEmpty && found.count < cells.count)
    }

    /// A field with the name of an axis could never be asked.
    @Test func noFieldHasTheNameOfAnAxis() {
        #expect(Set(FilterField.allCases.map(\.rawValue)).isDisjoint(with: CellAxis.allCases.map(\.rawValue)))
    }

    @Test(arguments: [
        ("", 1, "an axis or a field"), ("source", 7, "'=', '!='"), ("source =", 9, "a value, found the end"),
        ("source = 11.1 &", 16, "found the end"), ("source = 11.1 reinits > 0", 15, "'&', '|' or the end, found 'reinits'"),
        ("(source = 11.1", 15, "')', '&' or '|'"), ("source = 11.1)", 14, "found ')'"), ("sauce = 11.1", 1, "'source'"),
        ("reinit > 0", 1, "'reinits'"), ("driver(cola)", 8, "'colo'"), ("driver = post-copy", 10, "'postcopy'"),
        ("source = 12.0", 10, "axis 'source'"), ("mode = legcy", 8, "'legacy'"), ("verdict = 'waits forevr'", 11, "'waits forever'"),
        ("rule(end)", 6, "'ends'"), ("driver > 0", 8, "no order"), ("reinits > many", 11, "a number or a release"),
        ("failed", 7, "'in' and the folder"), ("failed in", 10, "the folder of a run"), ("racy in x", 6, "'&', '|' or the end"),
        ("source = 11.1 in x", 15, "behind rule"), ("name ~ \"abc", 8, "a closing \""), ("name ~ #", 8, "\"#\""),
        ("driver(colo", 12, "',' or ')'"), ("driver()", 8, "a value, found ')'"), ("racy = maybe", 8, "'yes'"), ("!", 2, "found the end"),
        (String(repeating: "(", count: 70) + "racy", 65, "at most 64 nested"),
        (String(repeating: "!", count: 5000) + "racy", 1, "4096 bytes"),
        (String(repeating: "!", count: 4000) + "racy", 65, "at most 64 nested"),
        ("racy" + String(repeating: "|racy", count: 600), 2561, "at most 512 tests"),
        ("driver(" + String(repeating: "colo,", count: 600) + "colo)", 2563, "at most 512 tests"),
    ])
    func whatIsNoFilterIsRefusedWithItsColumn(text: String, column: Int, words: String) throws {
        let vocabulary = try Self.made.get().vocabulary
        let error = try #require(throws: FilterError.self) { try CellFilter(text, vocabulary) }
        #expect(error.column == column && error.reason.contains(words), "\(error)")
    }

    /// Random conditions obey the laws of logic, and random texts are read or refused.
    @Test func randomFiltersObeyTheLawsOfLogic() throws {
        let (all, vocabulary) = try Self.made.get()
        var random = SeededGenerator(seed: testSeed)
        let cells = (0..<40).compactMap { _ in all.randomElement(using: &random) }
        let atoms = ["reinits > 0", "source = 11.1", "devices(2, 4)", "driver ~ post", "racy", "mode != legacy", "machine >= 11.0"]
        func text(_ depth: Int) -> String {
            guard depth > 0, Int.random(in: 0..<4, using: &random) > 0 else { return atoms.randomElement(using: &random)! }
            switch Int.random(in: 0..<3, using: &random) {
            case 0: return "!(\(text(depth - 1)))"
            case 1: return "(\(text(depth - 1))) & (\(text(depth - 1)))"
            default: return "(\(text(depth - 1))) | (\(text(depth - 1)))"
            }
        }
        for _ in 0..<100 {
            let (a, b) = (text(4), text(4))
            func accepted(_ text: String) throws -> [Bool] {
                let filter = try CellFilter(text, vocabulary)
                return cells.map { filter.accepts($0) }
            }
            #expect(try accepted("!((\(a)) & (\(b)))") == accepted("!(\(a)) | !(\(b))"), "seed \(testSeed): \(a); \(b)")
            #expect(try accepted("(\(a)) & (\(b))") == zip(accepted(a), accepted(b)).map { $0 && $1 }, "seed \(testSeed): \(a); \(b)")
            #expect(try accepted("!!(\(a))") == accepted(a), "seed \(testSeed): \(a)")
        }
        let characters = Array("source=11.1 &|!()<>~,'\"inéfailed\n\u{0}")
        for _ in 0..<2000 {
            let noise = String((0..<Int.random(in: 0..<40, using: &random)).map { _ in characters.randomElement(using: &random)! })
            do { _ = try CellFilter(noise, vocabulary) } catch {
                #expect(1...noise.count + 1 ~= error.column, "seed \(testSeed): \(noise.debugDescription): \(error)")
            }
        }
    }
}
