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
