/// Sheets of checks: what is kept, and what differs between two of them.
import Foundation
import Testing
import VFIO

@testable import DeviceCheck

@Suite struct ResultSheetTests {
    private static func sheet(_ script: String, _ version: String) throws -> ResultSheet {
        let device = MockMigrationDevice(name: "a", script: try DeviceScript("ackmatrix-device 1\n" + script, file: "script")) { _ in }
        var lines: [ResultSheet.Line] = []
        try CheckRun(isDestructive: true, seed: 1).run(on: device) { lines.append(ResultSheet.Line($0)) }
        return ResultSheet(facts: [ResultSheet.Fact("device", "a"), ResultSheet.Fact("module version", version)], checks: lines)
    }

    @Test func aSheetIsReadAsItWasWritten() throws {
        let sheet = try Self.sheet("on session-query 3 do reinit 4K\n", "1")
        #expect(sheet.flaw == nil)
        #expect(sheet.checks.count == allChecks.count)
        #expect(try JSONDecoder().decode(ResultSheet.self, from: JSONEncoder().encode(sheet)) == sheet)
    }

    @Test func aDefectIsWhatDiffers() throws {
        let good = try Self.sheet("on session-query 3 do reinit 4K\n", "1")
        let bad = try Self.sheet("on session-query 3 do reinit 4K\ndrained 0\n", "2")
        let worse = SheetDifference(good, bad)
        #expect(worse.isWorse)
        #expect(worse.facts.map(\.name) == ["module version"])
        #expect(worse.entries.allSatisfy { $0.kind == .failsNow } && !worse.entries.isEmpty, "\(worse.entries)")
        let mended = SheetDifference(bad, good)
        #expect(!mended.isWorse)
        #expect(mended.entries.map(\.name) == worse.entries.map(\.name))
        #expect(mended.entries.allSatisfy { $0.kind == .mended })
        #expect(SheetDifference(good, good).entries.isEmpty)
    }

    @Test func aCheckThatIsNoLongerMadeIsALoss() throws {
        let full = try Self.sheet("on session-query 3 do reinit 4K\n", "1")
        let part = ResultSheet(facts: full.facts, checks: Array(full.checks.dropLast()), brokenOff: "it hung")
        let lost = SheetDifference(full, part)
        #expect(lost.isWorse)
        #expect(lost.entries.map(\.name) == [full.checks.last!.name])
        #expect(lost.entries.first?.kind == .lost)
    }

    @Test func aFlawIsNamed() {
        func sheet(_ format: Int, _ facts: [ResultSheet.Fact], _ checks: [ResultSheet.Line]) -> ResultSheet {
            var sheet = ResultSheet(facts: facts, checks: checks)
            sheet.format = format
            return sheet
        }
        let line = ResultSheet.Line(CheckResult(check: allChecks[0], outcome: .passed))
        #expect(sheet(2, [], [line]).flaw == "expected format 1, found 2")
        #expect(sheet(1, [], []).flaw == "it has no checks")
        #expect(sheet(1, [], [line, line]).flaw == "the check \(line.name) is there twice")
        let fact = ResultSheet.Fact("driver", "x")
        #expect(sheet(1, [fact, fact], [line]).flaw == "the fact driver is there twice")
        #expect(sheet(1, [fact], [line]).flaw == nil)
    }

    @Test func whatADeviceIsCalledCannotBecomeMarkup() {
        let line = ResultSheet.Line(
            CheckResult(check: allChecks[0], outcome: .deviates(expected: "<b>", found: "\u{1b}[31m\"&'\u{202e}")))
        let page = SheetPage.html(ResultSheet(facts: [ResultSheet.Fact("device", "</title><script>")], checks: [line]))
        #expect(!page.contains("<script>") && !page.contains("<b>") && !page.contains("\u{1b}") && !page.contains("\u{202e}"))
        #expect(page.contains("&lt;/title&gt;&lt;script&gt;"))
        #expect(page.contains("expected: &lt;b&gt;") && page.contains("\\x1B[31m&quot;&amp;&#39;"))
        #expect(page.contains("0 passed, 1 failed, 0 skipped"))
    }
}
