import Foundation
import Plan
import TestSupport
import Testing

@testable import Matrix

/// Every value of an axis has a meaning, and no word without a meaning runs the plain cell.
@Suite struct CellChoicesTests {
    private let text: String
    private let matrix: MatrixFile
    private let engines = [ProbedBinary.engine("10.0"), ProbedBinary.engine("11.1")].compactMap(\.self)

    init() throws {
        text = try String(contentsOfFile: repositoryFile("harness/matrix/default.yaml"), encoding: .utf8)
        matrix = try MatrixFile(path: repositoryFile("harness/matrix/default.yaml"))
    }

    /// Each word of each axis is read, as a choice that no other word of the axis makes.
    @Test(arguments: CellAxis.allCases) func everyWordIsAChoiceOfItsOwn(axis: CellAxis) throws {
        let choices = try axis.words.map { word in
            try CellChoices(#require(Selection(matrix.axes, [axis.rawValue: word]), "\(axis.rawValue) \(word)"))
        }
        #expect(Set(choices).count == axis.words.count)
        #expect(Set(axis.words).count == axis.words.count)
    }

    /// Words that only the file knows, or only the code: the file is refused where they stand, and no cell is made.
    @Test(arguments: [
        ("values: [running, never-started", "values: [running, asleep, never-started", "expected a value of axis 'guest'", "'asleep'"),
        ("cancel-waiting, cancel-pre", "cancel-wating, cancel-pre", "expected a value of axis 'driver'", "'cancel-wating'"),
        ("values: [none, dirty-bitmap", "values: [none, sound, dirty-bitmap", "expected a value of axis 'modules'", "'sound'"),
        ("values: [ample, 1M, 16M", "values: [ample, 2M, 1M, 16M", "expected a value of axis 'bandwidth'", "'2M'"),
        ("values: [EIO, EINVAL", "values: [EIO, EPERM, EINVAL", "expected a value of axis 'errno'", "'EPERM'"),
        ("values: [1, 0, 2, 4, 3, 8]", "values: [1, 0, 2, 4, 3, 5, 8]", "expected a value of axis 'devices'", "'5'"),
        ("[running, never-started, stopped, reset]", "[running, never-started, stopped]", "expected all values of axis 'guest'", "'reset'"),
        ("    values: [all, without, first-without]", "    values: [all, without]", "expected all values of axis 'p2p'", "'first-without'"),
        ("\n  activity:\n", "\n  activities:\n", "expected an axis out of source, destination", "'activities'"),
    ])
    func aWordThatOnePlaceLacksIsRefusedWithItsPlace(old: String, new: String, words: String, found: String) throws {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        let changed = text.replacing(old, with: new, maxReplacements: 1)
        #expect(changed != text)
        #expect { _ = try MatrixFile(changed, file: "m.yaml", vocabulary: .cells) } throws: { error in
            let error = error as? MatrixFileError
            #expect(error?.reason.contains(words) == true && error?.reason.contains(found) == true, "\(error?.description ?? "")")
            #expect((2...lines.count).contains(error?.line ?? 0) && (error?.column ?? 0) > 0, "\(error?.description ?? "")")
            return error != nil
        }
    }

    /// Without the reader's check, too, what has no meaning is an error and no cell.
    @Test func aSelectionOfUnknownWordsMakesNoCell() throws {
        let changed = text.replacing("values: [running, never-started", with: "values: [running, asleep, never-started", maxReplacements: 1)
        let file = try MatrixFile(changed, file: "m.yaml")
        let selection = try #require(Selection(file.axes, ["guest": "asleep"]))
        #expect(throws: UnknownChoice(axis: .guest, word: "asleep")) {
            try Recipe.cells(of: selection, product: "test", binaries: engines)
        }
        let shorter = Selection(axes: file.axes.filter { $0.name != "guest" }, values: file.axes.dropFirst().map { _ in 0 })
        #expect(throws: UnknownChoice(axis: .guest, word: nil)) { try CellChoices(shorter) }
    }

    /// A driver is its entry in the list of drivers: the axis follows from it.
    @Test func driversHaveNamesOfTheirOwn() {
        #expect(Set(Driver.all.map(\.name)).count == Driver.all.count)
        #expect(CellAxis.driver.words == ["plain"] + Driver.all.map(\.name))
    }
}
