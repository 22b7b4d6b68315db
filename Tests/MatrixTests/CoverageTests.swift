import Foundation
import TestSupport
import Testing

@testable import Matrix

/// Coverage of small files, where the answer is known by counting, and of the default matrix.
@Suite struct CoverageTests {
    struct Case: CustomTestStringConvertible, Sendable {
        var testDescription: String
        /// What follows the axes of `MatrixFileTests`: 2 colours, 3 sizes, 2 lids, so 6 + 4 + 6 pairs.
        var text: String
        var tier = Tier.full
        var cells: Int
        var covered: Int
        var excluded: Int
        var open: Int
        /// Pairs and combinations of each exclusion.
        var uses: [[Int]] = []
        var idle: [String] = []
    }

    static let all = "  - {name: all, about: All., tier: full, axes: {colour: [red, green], size: [1, 2, 4], lid: [no, yes]}}\n"
    static let plain = "  - {name: plain, about: One., tier: quick}\n"
    static let changes = """
          - name: changes
            about: One change each.
            tier: full
            each: [{colour: [red, green]}, {size: [2, 4]}, {lid: yes}]

        """
    static let alone = "alone: {axes: [colour, size, lid], reason: one at a time}\n"
    static let unused = ["no cell has colour green", "no cell has size 2", "no cell has size 4", "no cell has lid yes"]

    static let cases = [
        Case(testDescription: "everything", text: all, cells: 12, covered: 16, excluded: 0, open: 0),
        Case(testDescription: "one cell", text: plain, cells: 1, covered: 3, excluded: 0, open: 13, idle: unused),
        Case(
            testDescription: "one cell, and changes that are tried alone", text: plain + alone, cells: 1, covered: 3, excluded: 5, open: 8,
            uses: [[5, 0]], idle: unused),
        Case(testDescription: "one change at a time", text: changes, cells: 5, covered: 11, excluded: 0, open: 5),
        Case(
            testDescription: "one change at a time, and alone", text: changes + alone, cells: 5, covered: 11, excluded: 5, open: 0,
            uses: [[5, 0]]),
        Case(
            testDescription: "a pair excluded", text: all + "exclusions: [{where: {colour: green, size: 4}, reason: so}]", cells: 10,
            covered: 15, excluded: 1, open: 0, uses: [[1, 2]]),
        Case(
            testDescription: "a value excluded", text: all + "exclusions: [{where: {size: 4}, reason: so}]", cells: 8, covered: 12,
            excluded: 4,
            open: 0, uses: [[4, 4]], idle: ["no cell has size 4"]),
        Case(
            testDescription: "a pair excluded that no product makes",
            text: changes + "exclusions: [{where: {colour: green, changed: [size, lid]}, reason: so}]", cells: 5, covered: 11, excluded: 3,
            open: 2, uses: [[3, 0]]),
        Case(
            testDescription: "three values together are no pair",
            text: all + "exclusions: [{where: {colour: green, size: 4, lid: yes}, reason: so}]",
            cells: 11, covered: 16, excluded: 0, open: 0, uses: [[0, 1]]),
        Case(
            testDescription: "a pair of which a product's own exclusion leaves nothing",
            text: all.replacing("}}", with: "}, exclude: [{where: {colour: green, size: 4}, reason: so}]}"), cells: 10, covered: 15,
            excluded: 1,
            open: 0, uses: [[1, 2]]),
        Case(
            testDescription: "a product's own exclusion where another product covers the pair",
            text: all.replacing("}}", with: "}, exclude: [{where: {colour: green, size: 4}, reason: so}]}")
                + "  - {name: large, about: Large., tier: full, axes: {colour: green, size: 4}}\n",
            cells: 11, covered: 16, excluded: 0, open: 0, uses: [[0, 2]]),
        // Green leaves nothing of the second product: its pairs are excluded, but that excuses no large box with a lid.
        Case(
            testDescription: "an exclusion does not speak for axes it does not mention",
            text: plain + "  - {name: lids, about: Lids., tier: full, axes: {colour: green, size: 4, lid: yes}, "
                + "exclude: [{where: {colour: green}, reason: so}]}\n" + alone,
            cells: 1, covered: 3, excluded: 4, open: 9, uses: [[2, 1], [2, 0]], idle: unused + ["product lids makes no cell of its own"]),
        Case(
            testDescription: "said twice",
            text: changes + "exclusions: [{where: {size: 4, lid: yes}, reason: so}, {where: {lid: yes, size: 4}, reason: again}]", cells: 5,
            covered: 11, excluded: 1, open: 4, uses: [[1, 0], [0, 0]], idle: ["the exclusion in line 11 excludes nothing: again"]),
        Case(
            testDescription: "what a product of a higher tier names is alone in a lower one", text: plain + all + alone, tier: .quick,
            cells: 1,
            covered: 3, excluded: 5, open: 8, uses: [[5, 0]]),
        Case(
            testDescription: "what a product of a higher tier excludes is open in a lower one",
            text: plain + all.replacing("}}", with: "}, exclude: [{where: {colour: green, size: 4}, reason: so}]}"), tier: .quick, cells: 1,
            covered: 3, excluded: 0, open: 13, uses: [[0, 2]]),
        Case(
            testDescription: "alone excludes nothing that is covered", text: all + alone, cells: 12, covered: 16, excluded: 0, open: 0,
            uses: [[0, 0]], idle: ["'alone' excludes nothing: one at a time"]),
    ]

    @Test(arguments: cases) func pairsAreCovered(_ row: Case) throws {
        let file = try MatrixFileTests.file(MatrixFileTests.axes + "products:\n" + row.text)
        let coverage = Coverage(file, tier: row.tier)
        #expect(coverage.cells == row.cells)
        #expect(coverage.covered == row.covered)
        #expect(coverage.excluded == row.excluded)
        #expect(coverage.open.count == row.open)
        #expect(coverage.axisPairs.map { $0.covered + $0.excluded + $0.open } == [6, 4, 6])
        #expect(coverage.exclusions.map { [$0.pairs, $0.combinations] } == row.uses)
        #expect(coverage.exclusions.reduce(0) { $0 + $1.pairs } == row.excluded)
        #expect(coverage.idle == row.idle)
        let text = coverage.text + "\n"
        #expect(text.contains("\(row.covered) covered, \(row.excluded) excluded, \(row.open) open"))
        #expect(text.contains("\nwithout effect\n") == !row.idle.isEmpty)
        #expect(coverage.open.allSatisfy { text.contains("  \($0)\n") })
    }

    @Test func theTextOfASmallFile() throws {
        let text =
            MatrixFileTests.axes + "products:\n" + Self.changes + "exclusions: [{where: {colour: green, changed: [size, lid]}, reason: so}]"
        #expect(
            Coverage(try MatrixFileTests.file(text), tier: .full).text == """
                tier full: 5 cells

                by product
                      5 changes

                by axis
                  colour: red 4, green 1
                  size: 1 3, 2 1, 4 1
                  lid: no 4, yes 1

                pairs of values of two axes: 11 covered, 3 excluded, 2 open

                excluded
                      3 pairs,     0 combinations: the exclusion in line 11: so

                open
                  size 2 with lid yes
                  size 4 with lid yes
                """)
    }

    // MARK: The default matrix

    static let matrix = try? MatrixFile(path: repositoryFile("harness/matrix/default.yaml"))

    @Test func theDefaultMatrixLeavesNoPairOpenAndSaysNothingWithoutEffect() throws {
        let file = try MatrixFile(path: repositoryFile("harness/matrix/default.yaml"))
        for tier in [Tier.default, .full, .engine] {
            let coverage = Coverage(file, tier: tier)
            #expect(coverage.open == [])
            #expect(coverage.idle == [])
        }
        #expect((400...700).contains(file.selections(.default).count))
        #expect((30...50).contains(file.selections(.quick).count))
    }

    @Test func namesOfTheDefaultMatrixAreUniqueWords() throws {
        let names = try #require(Self.matrix).selections(.engine).map(\.selection.name)
        #expect(Set(names).count == names.count)
        #expect(names.allSatisfy { isWord($0.replacing("+", with: "-")) && $0.utf8.count <= 120 })
    }

    /// That a change is tried alone must not mean that it is tried in legacy mode only.
    @Test func perDeviceModeMeetsEveryChangeThatIsNotRuledOut() throws {
        let file = try #require(Self.matrix)
        let cells = file.selections(.default).map(\.selection).filter { $0["type"] == "newest-per-device" }
        let others = ["source", "destination", "type"]
        // In per-device mode no ACK is awaited without devices, and with them there is no postcopy.
        let ruledOut = ["postcopy-all-sent"]
        // What only the engine's own cells have has no part in the tier.
        let tier = Coverage(file, tier: .default).values
        for axis in file.axes where !others.contains(axis.name) {
            for value in tier.filter({ $0.axis == axis.name }).map(\.value)
            where !ruledOut.contains(value) && (!["microvm", "none"].contains(value) || axis.name != "board") {
                #expect(cells.contains { $0[axis.name] == value }, "\(axis.name) \(value)")
            }
        }
    }
}
