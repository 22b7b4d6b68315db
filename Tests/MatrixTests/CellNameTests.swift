import EnginePeer
import Plan
import TestSupport
import Testing

@testable import Matrix

/// A cell is found by its name alone, as the expansion of the whole matrix makes it.
@Suite struct CellNameTests {
    private let matrix: MatrixFile
    private let engines = ProbedBinary.engines

    init() throws { matrix = try MatrixFile(path: repositoryFile("harness/matrix/default.yaml")) }

    @Test func aNameIsTheCellThatTheWholeMatrixHas() throws {
        let two = ["10.0", "v2", "11.1"].compactMap(ProbedBinary.engine)
        let all = try Recipe.cells(of: matrix, tier: .engine, binaries: two).cells
        #expect(all.count > 4000)
        for cell in all.enumerated().filter({ $0.offset % 17 == 0 }).map(\.element) {
            let found = try #require(try Recipe.cell(named: cell.name, of: matrix, binaries: engines).cell, "\(cell.name)")
            #expect(found.name == cell.name)
            #expect((found.product, found.selection) == (cell.product, cell.selection), "\(cell.name)")
            #expect(found.plan.legs.map(\.schedule) == cell.plan.legs.map(\.schedule), "\(cell.name)")
        }
    }

    @Test(arguments: [
        "", "engine@11.1", "engine@11.1-engine@11.1", "engine@11.1-engine@11.1+", "engine@11.1-engine@11.1+q35-99.9",
        // Half a name, a token twice, an unknown token, a combination that is excluded, another order of the tokens.
        "engine@11.1-engine@11.1+q35-11.1+2-dev", "engine@11.1-engine@11.1+q35-11.1+2-devices+4-devices",
        "engine@11.1-engine@11.1+q35-11.1+7-devices", "engine@11.1-engine@11.1+q35-11.1+2-devices+driver-postcopy",
        "engine@11.1-engine@11.1+q35-11.1+reinits-1+2-devices", "engine@12.0-engine@11.1+q35-11.1",
    ])
    func whatIsNoNameIsNoCell(text: String) throws {
        #expect(try Recipe.cell(named: text, of: matrix, binaries: engines).cell == nil)
    }

    /// What is asked for by a part of the name is made, and nothing else.
    @Test func onlyWantedCellsAreMade() throws {
        let all = try Recipe.cells(of: matrix, tier: .default, binaries: engines).cells.map(\.name)
        let some = try Recipe.cells(of: matrix, tier: .default, binaries: engines) { $0.contains("+2-devices+chain") }.cells.map(\.name)
        #expect(some == all.filter { $0.contains("+2-devices+chain") } && !some.isEmpty)
    }
}

/// A name that does not exist is answered with those that are nearest to it.
@Suite struct NearestNameTests {
    private static let names = ["10.0-10.0+q35-10.0", "11.1-11.1+q35-11.1+2-devices+reinits-1", "11.1-11.1+q35-11.1+2-devices", "microvm"]

    @Test(arguments: [
        ("11.1-11.1+q35-11.1+2-device", "11.1-11.1+q35-11.1+2-devices"), ("11.1-11.1+q35-11.1+2-devices+reinit-1", names[1]),
        ("reinist-1", names[1]), ("q35-10.9", names[0]), ("mikrovm", "microvm"), ("micro vm", "microvm"),
        // Longer than the part that is compared.
        (names[1] + String(repeating: "x", count: 4000), names[1]),
    ])
    func theNearestNameComesFirst(text: String, nearest: String) {
        #expect(nearestNames(to: text, among: Self.names, count: 3).first == nearest)
        #expect(nearestNames(to: text, among: Self.names + Self.names, count: 3).count == 3)
    }

    @Test func nothingIsNearToNothing() {
        #expect(nearestNames(to: "a", among: [], count: 3).isEmpty)
        #expect(nearestNames(to: "", among: Self.names, count: 1) == ["microvm"])
    }

    /// The distance to a part of a name, found by trying every part.
    @Test func theDistanceIsThatOfTheSlowMethod() {
        func distance(_ one: [UInt8], _ other: ArraySlice<UInt8>) -> Int {
            var row = Array(0...other.count)
            for (index, byte) in one.enumerated() {
                var before = row[0]
                row[0] = index + 1
                for (place, candidate) in other.enumerated() {
                    let above = row[place + 1]
                    row[place + 1] = min(above + 1, row[place] + 1, before + (byte == candidate ? 0 : 1))
                    before = above
                }
            }
            return row[other.count]
        }
        var generator = SeededGenerator(seed: testSeed)
        func word(_ most: Int) -> String {
            String((0..<Int.random(in: 1...most, using: &generator)).map { _ in "ab1".randomElement(using: &generator)! })
        }
        for _ in 0..<300 {
            let (text, names) = (word(6), (0..<4).map { _ in word(10) })
            func slow(_ name: String) -> Int {
                let bytes = Array(name.utf8)
                return bytes.indices.flatMap { start in (start...bytes.count).map { distance(Array(text.utf8), bytes[start..<$0]) } }.min()
                    ?? 0
            }
            let first = nearestNames(to: text, among: names, count: 1)[0]
            #expect(slow(first) == names.map(slow).min(), "\(text) among \(names)")
        }
    }
}
