import Foundation
import Plan
import Prediction
import QEMUPeer
import TestSupport
import Testing
import VFIO
import XMLCoder

@testable import Matrix
@testable import MigrationTrace
@testable import Reports
@testable import Running
@testable import Verification

#if canImport(FoundationXML)
    import FoundationXML
#endif

// MARK: What is reported

private let axes = [
    Axis(name: "source", values: ["legacy-only", "per-device"], about: "", token: "from-{}"),
    Axis(name: "destination", values: ["legacy-only", "per-device"], about: "", token: "to-{}"),
    Axis(name: "devices", values: ["1", "0", "2", "4"], about: "", token: "{}-devices"),
    Axis(name: "pace", values: ["gated", "free"], about: "", token: "pace-{}"),
    Axis(name: "race", values: ["natural", "ack-first", "decision-first"], about: "", token: "{}"),
    Axis(name: "order", values: ["same", "reversed"], about: "", token: "{}-order"),
]

private func deviation(
    _ id: String, rules: [String] = ["same-mode", "one-guest"], verdicts: [String] = ["two guests running"], reason: String,
    sometimes: Bool = true
) -> Deviation {
    Deviation(
        id: id, cells: ["devices": ["0"]], names: [], sourceVersions: ["11.1.3"], destinationVersions: ["10.0.13"], rules: rules,
        verdicts: verdicts, sometimes: sometimes, reason: reason, reference: "not reported")
}

private let deviations = [
    deviation(
        "surplus-ack-two-guests",
        reason: """
            The source decides before the surplus ACK arrives and sends the complete state, with which the destination starts the guest. \
            Joining the return path's thread then brings up the underflow, the migration counts as failed, and the source starts its guest \
            again.
            """),
    deviation(
        "mode-differs", rules: ["same-mode"], verdicts: ["waits forever"], reason: "The mode is a local property. Nothing compares it."),
]

private func leg(ending: String = "completed", gating: Bool = true) -> ResultLine.Leg {
    ResultLine.Leg(
        predicted: .init(endings: [ending], expectsACK: ending == "completed", counts: ["acksSent"]), ending: ending, reason: nil,
        gating: gating, gatedSteps: gating ? 400 : 0, counts: .init(requests: ["v0": 2], approvals: ["v0": 2], acksSent: 2, acksCounted: 2),
        judges: [.init(judge: "verifier", says: ending)], oddOneOut: nil, differences: [], broken: [])
}

/// A result line of a cell that went as predicted.
private func line(
    _ name: String, _ selection: [String: String] = [:], ending: String = "completed", gating: Bool = true, product: String = "pairings"
) -> ResultLine {
    ResultLine(
        cell: name, product: product, source: .init(binary: "11.1", version: "11.1.3", machine: "pc-q35-11.1"),
        destination: .init(binary: "10.0", version: "10.0.13", machine: "pc-q35-11.1"), selection: selection,
        legs: [leg(ending: ending, gating: gating)], deviations: .init(), finding: false,
        findings: [], seconds: 0.372, reproduce: Reproduction.inRepository.command(name))
}

private func known(_ name: String, _ id: String, ending: String, race: Bool = true) -> ResultLine {
    var known = line(name, ["source": "per-device", "devices": "0"], ending: ending, gating: false, product: "races")
    known.deviations.explained = [.init(id: id, exactVersion: true, rules: ["same-mode"])]
    if race { known.legs[0].predicted.endings = ["endless after underflow", "two guests running"] }
    return known
}

func finding(_ name: String, _ sentences: [String], product: String = "pairings") -> ResultLine {
    var line = line(name, ["devices": "2"], gating: false, product: product)
    line.finding = true
    line.findings = sentences
    line.legs[0].broken = [
        .init(
            rule: "ends", device: "0000:00:10.0/vfio", found: "the source waits for 1 more ACK", places: ["source:120", "destination:70"],
            lastGood: "source:119: savevm_state_iterate", legal: "the ACK")
    ]
    return line
}

private var run: [ResultLine] {
    var fixed = line(
        "11.1-11.1+microvm+4-devices", ["source": "per-device", "destination": "per-device", "devices": "4", "order": "reversed"])
    fixed.deviations.fixedSince = [.init(id: "mode-differs", rules: ["same-mode"])]
    return [
        line("10.0-10.0+q35-10.0"), line("10.0-11.1+q35-10.0", ["destination": "per-device"]),
        known("11.1-10.0+none+0-devices", "surplus-ack-two-guests", ending: "two guests running"),
        known("11.1-10.0+microvm+0-devices", "surplus-ack-two-guests", ending: "two guests running"),
        known("11.1-10.0+microvm+2-devices", "mode-differs", ending: "waits forever", race: false),
        line("10.0-10.0+q35-10.0+pace-free", ["pace": "free"], gating: false), fixed,
        finding(
            "11.1-10.0+q35-10.0+2-devices",
            ["ACKs counted: expected 2, found 1. The line is missing", "ending: expected completed, found waits forever"]),
    ]
}

private func reproduction(qemu options: [String]) -> Reproduction {
    var reproduction = Reproduction.inRepository
    reproduction.qemuOptions = options
    return reproduction
}

private func summary(_ lines: [ResultLine]) -> Summary {
    lines.reduce(into: Summary(axes: axes, deviations: deviations)) { $0.add($1) }
}

// MARK: Repeated runs

@Suite struct RepetitionTests {
    /// What the prediction leaves open may differ from run to run, the rest may not.
    @Test func aCellShowsTheSameEachTime() {
        var repetition = Repetition()
        var shown = line("c")
        #expect(repetition.add(shown) == nil)
        shown.legs[0].counts.requests = ["v0": 7]
        #expect(repetition.add(shown) == nil)
        shown.legs[0].counts.acksSent += 1
        #expect(repetition.add(shown)?.contains("expected the same counts each time") == true)
        shown.legs[0].ending = "failed, source running"
        #expect(repetition.add(shown)?.contains("expected the same ending each time") == true)
        shown.legs[0].predicted.endings = ["completed", "failed, source running"]
        #expect(repetition.add(shown) == nil)
        shown.cell = "d"
        #expect(repetition.add(shown) == nil)
    }
}

// MARK: Result lines

struct ResultLineTests {
    private func cell(outcomes: [Outcome]) throws -> Cell {
        func side(_ binary: String) throws -> SideConfiguration {
            var side = SideConfiguration(binary: .qemu(QEMUBinary(name: binary, start: .executable("/qemu"))), machine: "pc-q35-10.0")
            side.devices = [PlannedDevice(name: "v0", .mock(try DeviceScript("ackmatrix-device 1\nhas precopy\n", file: "v0")))]
            return side
        }
        let sides = Scenario.Side(knowsPerDevice: true, mode: .perDevice)
        return Cell(
            name: "11.1-10.0+q35-10.0+2-devices", selection: try #require(Selection(axes, ["devices": "2", "source": "per-device"])),
            product: "pairings",
            plan: MigrationPlan(source: try side("11.1"), destination: try side("10.0")), devices: ["0000:00:10.0/vfio": "v0"],
            forecasts: [Forecast(scenario: Scenario(source: sides, destination: sides), outcomes: outcomes)], sourceVersion: "11.1.3",
            destinationVersion: "10.0.13")
    }

    func result(
        _ ending: CellResult.Ending, _ judgement: Judgement? = nil, _ policy: DeviationPolicy = .expected, exactVersion: Bool = true,
        known: [Deviation] = deviations, verifierSays: String? = nil
    ) throws -> CellResult {
        var completes = Outcome(.completed)
        completes.acksCounted = 1
        let judges = [
            Judge(name: "closed form", says: ending.text), Judge(name: "verifier", says: verifierSays ?? ending.text),
            Judge(name: "QEMU's monitors", says: ending.text),
        ]
        return CellResult(
            cell: try cell(outcomes: [completes, Outcome(.twoGuests)]),
            legs: [LegResult(number: 0, ending: ending, judgement: judgement, record: nil, differences: [], judges: judges)],
            deviations: DeviationAccount(
                broken: judgement?.findings.map(\.rule.id) ?? [], verdict: ending.text,
                deviations: known.map { MatchedDeviation(deviation: $0, exactVersion: exactVersion) }, policy: policy),
            seconds: 0.1234567)
    }

    private var twoGuests: Judgement {
        var handshake = Handshake()
        handshake.requests = ["0000:00:10.0/vfio": 2, "stranger": 1, "silent": 0]
        handshake.unnamedCountedIn = 3
        handshake.gatedSteps = 7
        handshake.acksSent = 2
        handshake.acksCounted = 1
        let place = Place(stream: .source, line: 12)
        return Judgement(
            verdict: .twoGuests, reason: "both run",
            findings: [
                Finding(
                    rule: .sameMode, device: "0000:00:10.0/vfio", found: "modes differ",
                    places: [place, Place(stream: .destinationDevices, line: 3)],
                    lastGood: .init(event: "savevm_state_iterate", place: place), legal: "one mode"),
                Finding(rule: .oneGuest, found: "two \"run\"\n", places: [place], legal: "one guest"),
            ], handshake: handshake)
    }

    @Test func everythingOfAResultIsInItsLine() throws {
        let made = ResultLine(
            try result(.verdict(.twoGuests), twoGuests), reproduction: reproduction(qemu: ["--qemu", "11.1=/opt/q e/qemu"]))
        try golden.expect(String(decoding: try made.jsonLine(), as: UTF8.self), "result.json")
        #expect(made.isKnownDeviation)
        #expect(made.last.predicted == .init(endings: ["completed", "two guests running"], expectsACK: false, counts: []))
        #expect(made.deviations.explained == [.init(id: "surplus-ack-two-guests", exactVersion: true, rules: ["same-mode", "one-guest"])])
        #expect(made.deviations.absent.isEmpty)
        #expect(try ResultLog.lines(made.jsonLine(), path: "r") == [made])
    }

    /// The line has every leg: what the first one counted, broke and was judged stays beside what the last one did.
    @Test func everyLegIsInTheLine() throws {
        var cell = try self.cell(outcomes: [Outcome(.completed)])
        cell.plan.legs.append(cell.plan.legs[0])
        cell.forecasts.insert(Forecast(scenario: cell.lastForecast.scenario, outcomes: [Outcome(.twoGuests)]), at: 0)
        var handshake = Handshake()
        (handshake.acksSent, handshake.acksCounted, handshake.gatedSteps) = (1, 1, 5)
        let second = Judgement(verdict: .completed, reason: "done", findings: [], handshake: handshake)
        func leg(_ number: Int, _ judgement: Judgement, _ differences: [String] = []) -> LegResult {
            LegResult(
                number: number, ending: .verdict(judgement.verdict), judgement: judgement, record: nil, differences: differences,
                judges: [Judge(name: "verifier", says: judgement.verdict.rawValue)])
        }
        let line = ResultLine(
            CellResult(
                cell: cell, legs: [leg(0, twoGuests, ["requests differ"]), leg(1, second)],
                deviations: DeviationAccount(broken: [], verdict: "completed", deviations: [], policy: .expected), seconds: 1))
        #expect(line.legs.map(\.ending) == ["two guests running", "completed"])
        #expect(line.legs.map(\.counts.acksSent) == [2, 1])
        #expect(line.legs.map { $0.broken.map(\.rule) } == [["same-mode", "one-guest"], []])
        #expect(line.legs.map { $0.judges.map(\.says) } == [["two guests running"], ["completed"]])
        #expect(line.legs.map(\.predicted.endings) == [["two guests running"], ["completed"]])
        #expect(line.legs.map(\.differences) == [["requests differ"], []])
        // The first leg was held back as well, and two guests are no completed migration.
        #expect(line.legs.map(\.gating) == [false, true])
        #expect(line.findings == ["leg 1: requests differ"])
        #expect(try ResultLog.lines(line.jsonLine(), path: "r") == [line])
    }

    @Test func policiesMakeFindings() throws {
        let strict = ResultLine(try result(.verdict(.twoGuests), twoGuests, .strict))
        #expect(strict.finding && !strict.isKnownDeviation)
        #expect(strict.findings.count == 2)
    }

    /// A deviation that did not show: a finding on the versions it was seen on, and on others not even a difference.
    @Test func absenceIsAFindingOnTheVersionsItWasSeenOn() throws {
        let certain = deviation("certain", rules: ["same-mode"], reason: "Always.", sometimes: false)
        let absent = ResultLine(try result(.verdict(.completed), nil, known: [certain]))
        #expect(absent.deviations.absent == [.init(id: "certain", rules: ["same-mode"])])
        #expect(absent.deviations.fixedSince.isEmpty && absent.findings.count == 1)
        let fixed = ResultLine(try result(.verdict(.completed), nil, exactVersion: false, known: [certain]))
        #expect(fixed.deviations.fixedSince == [.init(id: "certain", rules: ["same-mode"])])
        #expect(fixed.deviations.absent.isEmpty && !fixed.finding)
    }

    /// Where the verifier and the monitors do not agree, that is a finding, and it says who stands alone.
    @Test func judgesThatDoNotAgreeAreAFinding() throws {
        let made = ResultLine(try result(.verdict(.completed), nil, known: [], verifierSays: "two guests running"))
        #expect(made.last.oddOneOut == "verifier")
        #expect(
            made.findings == [
                "the judges do not agree: closed form: completed; verifier: two guests running; QEMU's monitors: completed; the odd one out is the verifier"
            ])
    }

    @Test func aRefusalAndABrokenCellSayWhy() throws {
        let refusal = SideRefusal(role: .source, binary: "11.1", command: "migrate", text: "no\tsuch")
        let refused = ResultLine(try result(.refused(refusal)))
        #expect(refused.ending == "refused")
        #expect(refused.last.reason == "the source 11.1 refused migrate: no\tsuch")
        #expect(refused.last.counts == .init())
        #expect(refused.last.oddOneOut == nil)
        #expect(ResultLine(try result(.broken("no monitor"))).last.reason == "no monitor")
    }

    @Test(arguments: [
        ("10.0-11.1+q35-10.0", [], ".build/release/ackmatrix run --cell '10.0-11.1+q35-10.0'"),
        ("a", ["--qemu", "m=/q", "--qemu", "n=/a b"], ".build/release/ackmatrix run --cell 'a' --qemu m=/q --qemu 'n=/a b'"),
        ("it's", ["--qemu", "x=$HOME"], ".build/release/ackmatrix run --cell 'it'\\''s' --qemu 'x=$HOME'"),
    ])
    func theCommandIsALineForAShell(name: String, options: [String], command: String) {
        #expect(reproduction(qemu: options).command(name) == command)
    }

    /// Only what the cell depends on: a QEMU has no seed, and an engine no binary, unless a QEMU has judged it.
    @Test func theCommandCarriesEveryOptionThatMattered() {
        var all = Reproduction(program: "/a b/ackmatrix")
        all.environment = [.init("ACKMATRIX_CACHE", "/c d")]
        all.options = ["--deviations", "strict"]
        all.qemuOptions = ["--qemu", "m=/q"]
        all.engineOptions = ["--engine", "11.1"]
        all.seed = 7
        all.results = "/r/reproduced"
        let start = "ACKMATRIX_CACHE='/c d' '/a b/ackmatrix' run "
        let (results, engine) = ("--results /r/reproduced", "--engine 11.1 --seed 7 ")
        #expect(all.command("m-m+q35") == start + "--cell 'm-m+q35' --deviations strict --qemu m=/q " + results)
        #expect(all.command("engine@1-engine@1+q35") == start + "--cell 'engine@1-engine@1+q35' --deviations strict " + engine + results)
        #expect(
            all.command("engine@1-engine@1+q35", withQEMU: "1-1+q35") == start
                + "--sides all --cell '1-1+q35' --cell 'engine@1-engine@1+q35' --deviations strict --qemu m=/q " + engine + results)
    }
}

struct ResultLogTests {
    private func withLog(_ body: (String) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("ackmatrix-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try body(folder + "/results.jsonl")
    }

    @Test func whatIsAppendedIsReadBack() throws {
        try withLog { path in
            for half in [run.prefix(3), run.dropFirst(3)] {
                let log = try ResultLog(path: path)
                for line in half { try log.append(line) }
            }
            #expect(try ResultLog.read(path: path) == run)
        }
    }

    @Test func linesOfSeveralWritersStayWhole() async throws {
        let folder = try RunFolder()
        let path = folder.path + "/results.jsonl"
        try await withThrowingTaskGroup(of: Void.self) { group in
            for writer in 0..<8 {
                group.addTask {
                    let log = try ResultLog(path: path)
                    for number in 0..<50 { try log.append(line("\(writer)-\(number)")) }
                }
            }
            try await group.waitForAll()
        }
        #expect(Set(try ResultLog.read(path: path).map(\.cell)).count == 400)
    }

    /// Wherever the last line is cut, the others are there, and the log goes on with a whole line.
    @Test func aCutLastLineIsLeftOut() throws {
        let whole = try run.prefix(2).reduce(Data()) { try $0 + $1.jsonLine() }
        let last = try run[2].jsonLine()
        try withLog { path in
            for length in [0, 1, 2, last.count / 2, last.count - 2, last.count - 1] {
                try (whole + last.prefix(length)).write(to: URL(fileURLWithPath: path))
                #expect(try ResultLog.read(path: path) == Array(run.prefix(2)), "cut to \(length) bytes")
                try ResultLog(path: path).append(run[3])
                #expect(try ResultLog.read(path: path) == Array(run.prefix(2)) + [run[3]], "cut to \(length) bytes")
            }
            try Data("{\"format\":1".utf8).write(to: URL(fileURLWithPath: path))
            #expect(try ResultLog.read(path: path) == [])
        }
    }

    @Test(arguments: [
        ("{\"cell\":\"cut", 2, "expected a result as JSON, found '{\"cell\":\"cut': it is not JSON"),
        ("", 2, "expected a result as JSON, found '': it is not JSON"),
        ("{}", 2, "expected a result as JSON, found '{}': 'format' is missing"),
        ("{\"format\":\"1\"}", 2, "expected a result as JSON, found '{\"format\":\"1\"}': 'format' is of another type"),
        ("\u{1}\u{0}[", 2, "expected a result as JSON, found '\\x01\\x00[': it is not JSON"),
    ])
    func anyOtherDamagedLineIsAnErrorWithItsPlace(damaged: String, number: Int, reason: String) throws {
        let data = try run[0].jsonLine() + Data((damaged + "\n").utf8) + run[1].jsonLine()
        #expect(throws: ResultLogError(path: "r.jsonl", line: number, reason: reason)) { try ResultLog.lines(data, path: "r.jsonl") }
    }

    @Test func anotherFormatIsRefused() throws {
        var later = run[0]
        later.format = 3
        let data = try later.jsonLine()
        #expect(
            throws: ResultLogError(path: "r", line: 1, reason: "expected format 2, found 3; read it with the ackmatrix that wrote it")
        ) { try ResultLog.lines(data, path: "r") }
        // An earlier format lacks keys, and is named all the same.
        #expect(
            throws: ResultLogError(path: "r", line: 1, reason: "expected format 2, found 1; read it with the ackmatrix that wrote it")
        ) { try ResultLog.lines(Data("{\"format\":1,\"cell\":\"c\"}\n".utf8), path: "r") }
    }

    @Test func aMissingFolderIsTheEnvironment() throws {
        #expect(throws: Environment.self) { try ResultLog(path: "/nowhere/at/all/results.jsonl") }
        #expect(throws: Environment.self) { try ResultLog.read(path: "/nowhere/at/all/results.jsonl") }
    }
}

// MARK: JUnit

/// What another reader makes of the XML.
private final class Reading: NSObject, XMLParserDelegate {
    struct Element: Equatable {
        var name: String
        var attributes: [String: String]
        var text = ""
    }

    var elements: [Element] = []
    private var open: [Int] = []

    init(_ data: Data) throws {
        super.init()
        let parser = XMLParser(data: data)
        parser.delegate = self
        guard parser.parse() else { throw parser.parserError ?? CocoaError(.fileReadCorruptFile) }
    }

    func parser(
        _ parser: XMLParser, didStartElement name: String, namespaceURI: String?, qualifiedName: String?, attributes: [String: String] = [:]
    ) {
        open.append(elements.count)
        elements.append(Element(name: name, attributes: attributes))
    }

    func parser(_ parser: XMLParser, didEndElement name: String, namespaceURI: String?, qualifiedName: String?) { open.removeLast() }
    func parser(_ parser: XMLParser, foundCharacters text: String) { if let last = open.last { elements[last].text += text } }
    func named(_ name: String) -> [Element] { elements.filter { $0.name == name } }
}

struct JUnitTests {
    private static let began = Date(timeIntervalSince1970: 1_795_267_505.25)

    private func junit(_ lines: [ResultLine], wholeRun: [String] = []) -> JUnit {
        JUnit(
            lines,
            leftOut: [LeftOut(name: "alias", product: "machines", reason: "the run was stopped")],
            wholeRun: wholeRun, deviations: deviations, began: Self.began, seconds: 3.25)
    }

    @Test func theReportIsWhatItWas() throws {
        let xml = try junit(run, wholeRun: summary(run).wholeRunFindings).xml()
        try golden.expect(String(decoding: xml, as: UTF8.self) + "\n", "junit.xml")
    }

    @Test func readersAgreeOnIt() throws {
        let report = junit(run, wholeRun: summary(run).wholeRunFindings)
        let xml = try report.xml()
        #expect(try XMLDecoder().decode(JUnit.Suites.self, from: xml) == report.suites)
        let reading = try Reading(xml)
        let top = try #require(reading.elements.first)
        #expect(top.name == "testsuites")
        #expect(top.attributes["tests"] == "10")
        #expect(top.attributes["failures"] == "2")
        #expect(top.attributes["skipped"] == "1")
        #expect(top.attributes["errors"] == "0")
        #expect(top.attributes["time"] == "3.250")
        #expect(reading.named("testsuite").map { $0.attributes["name"] } == ["pairings", "races", "machines", "whole run"])
        for suite in reading.named("testsuite") {
            #expect(suite.attributes["timestamp"] == "2026-11-21T13:25:05")
            let cases = reading.named("testcase").filter { $0.attributes["classname"] == suite.attributes["name"] }
            #expect(suite.attributes["tests"] == "\(cases.count)")
        }
        let failure = try #require(reading.named("failure").first)
        #expect(failure.attributes["message"] == run[7].findings[0])
        for text in run[7].findings + [run[7].reproduce, "ends (0000:00:10.0/vfio) at source:120, destination:70"] {
            #expect(failure.text.contains(text))
        }
        #expect(reading.named("system-out").count == 4)
        #expect(reading.named("system-out")[1].text.contains(deviations[0].reason))
    }

    /// Whatever a log put into a finding, the document can be read, and the text is there.
    @Test func noTextBreaksTheDocument() throws {
        var generator = SeededGenerator(seed: testSeed)
        let pool: [Unicode.Scalar] = [
            "<", ">", "&", "'", "\"", "]", "\u{0}", "\u{1B}", "\n", "\t", "\r", "\u{FFFE}", "\u{FFFF}", "\u{9B}", "\u{202E}", "é",
            "\u{1F600}", " ", "a", ";",
        ]
        for round in 0..<200 {
            var scalars = String.UnicodeScalarView()
            for _ in 0..<Int.random(in: 1...40, using: &generator) { scalars.append(pool.randomElement(using: &generator)!) }
            let text = "x" + String(scalars) + "x"
            var failing = finding(text, [text, "end"], product: text)
            failing.reproduce = text
            let reading = try Reading(try junit([failing]).xml())
            let escapes: [Unicode.Scalar: String] = [
                "\u{0}": "\\x00", "\u{1B}": "\\x1B", "\r": "\\x0D", "\u{9B}": "\\x9B", "\u{202E}": "\\u{202E}", "\u{FFFE}": "\\u{FFFE}",
                "\u{FFFF}": "\\u{FFFF}",
            ]
            let allowed = text.unicodeScalars.map { escapes[$0] ?? String($0) }.joined()
            let attribute = allowed.replacing("\n", with: " ").replacing("\t", with: " ")
            #expect(reading.named("testcase").first?.attributes["name"] == attribute, "seed \(testSeed), round \(round)")
            #expect(reading.named("testsuite").first?.attributes["name"] == attribute, "seed \(testSeed), round \(round)")
            let failure = try #require(reading.named("failure").first)
            #expect(failure.attributes["message"] == attribute, "seed \(testSeed), round \(round)")
            #expect(failure.text.hasPrefix(allowed + "\nend\n"), "seed \(testSeed), round \(round)")
        }
    }

    @Test func itIsWrittenWholeOrNotAtAll() throws {
        let folder = try RunFolder()
        let path = folder.path + "/junit.xml"
        try Data("old".utf8).write(to: URL(fileURLWithPath: path))
        try junit(run).write(path: path)
        #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == junit(run).xml())
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["junit.xml"])
        #expect(throws: Environment.self) { try junit(run).write(path: folder.path + "/none/junit.xml") }
    }
}

private let golden = Golden("Tests/ReportsTests/Golden")

// MARK: Summary and progress

struct SummaryTests {
    @Test func theTextIsWhatItWas() throws { try golden.expect(summary(run).text(seconds: 4.1) + "\n", "summary.txt") }

    /// What the matrix lists as ungated is no finding, unless it gates.
    @Test func aValueThatIsListedAsUngatedMustNotGate() {
        func findings(_ lines: [ResultLine]) -> [String] {
            var listed = axes
            listed[3].ungated["free"] = "there is nothing to hold"
            listed[2].ungated["2"] = "there is nothing to hold"
            return lines.reduce(into: Summary(axes: listed, deviations: deviations, isWhole: true)) { $0.add($1) }.wholeRunFindings
        }
        #expect(findings(run) == [])
        #expect(
            findings(run + [line("g", ["pace": "free", "devices": "2"])]) == [
                "axis devices: expected no gating cell with the value 2, which the matrix lists as ungated, found 1",
                "axis pace: expected no gating cell with the value free, which the matrix lists as ungated, found 1",
            ])
    }

    @Test func anAxisValueThatExpectsACKsMustGateSomewhere() {
        let expected: [Summary.AxisValue] = [.init(axis: "devices", value: "2"), .init(axis: "pace", value: "free")]
        #expect(summary(run).ungated == expected)
        #expect(summary(run).wholeRunFindings.count == 2)
        #expect(summary(run + [line("g", ["pace": "free", "devices": "2"])]).ungated == [])
        #expect(summary([]).ungated == [])
        // A few cells of a tier need not show everything; what else was found counts all the same.
        var part = run.reduce(into: Summary(axes: axes, deviations: deviations, isWhole: false)) { $0.add($1) }
        #expect(part.wholeRunFindings == [])
        part.add(wholeRunFinding: "the canary was not found")
        #expect(part.wholeRunFindings == ["the canary was not found"])
        #expect(part.closingLine(seconds: 1).contains(", 2 findings; "))
        #expect(summary(run).count(of: "gated", on: "pace") == .init(cells: 7, gating: 3, expectingACK: 4, heldBack: 3))
        #expect(summary(run).count(of: "free", on: "pace") == .init(cells: 1, gating: 0, expectingACK: 1))
    }

    @Test func theClosingLineCounts() {
        #expect(
            summary(run).closingLine(seconds: 4)
                == "8 cells: 7 as predicted (3 of them known deviations of released versions), 3 findings; "
                + "the ACK gated the decision in 3; 4.0 s, 0.50 s a cell"
        )
        #expect(
            summary([]).closingLine(seconds: 0)
                == "0 cells: 0 as predicted (0 of them known deviations of released versions), 0 findings; "
                + "the ACK gated the decision in 0; 0.0 s, 0.00 s a cell"
        )
    }

    @Test func aRaceThatRunsOftenSaysWhichWayEachWent() {
        let endings = ["two guests running", "endless after underflow", "two guests running"]
        let text = summary(endings.map { known("11.1-10.0+none+0-devices", "surplus-ack-two-guests", ending: $0) }).text(seconds: 1)
        #expect(text.contains("\n  11.1-10.0+none+0-devices  endless after underflow, two guests running x2\n"))
    }

    /// Many findings, races and deviations: what is shown stays within the lines and columns, and the closing line is the last.
    @Test func itIsAPageWhateverCame() {
        var generator = SeededGenerator(seed: testSeed)
        for round in 0..<100 {
            var summary = Summary(axes: axes, deviations: deviations)
            for number in 0..<Int.random(in: 0...300, using: &generator) {
                let selection = Dictionary(uniqueKeysWithValues: axes.map { ($0.name, $0.values.randomElement(using: &generator)!) })
                var line = line("cell-\(number)", selection, gating: Bool.random(using: &generator))
                switch Int.random(in: 0..<4, using: &generator) {
                case 0:
                    line.finding = true
                    line.findings = [String(repeating: "word ", count: Int.random(in: 1...90, using: &generator)) + "\u{1B}[2J", "second"]
                case 1:
                    line.deviations.explained = [.init(id: deviations.randomElement(using: &generator)!.id, exactVersion: true, rules: [])]
                case 2: line.legs[0].predicted.endings.append("two guests running")
                default: break
                }
                summary.add(line)
            }
            let lines = summary.text(seconds: 10).split(separator: "\n", omittingEmptySubsequences: false)
            #expect(lines.count <= 60, "seed \(testSeed), round \(round)")
            #expect(lines.allSatisfy { $0.count <= 140 || $0 == lines.last }, "seed \(testSeed), round \(round)")
            #expect(lines.last.map(String.init) == summary.closingLine(seconds: 10), "seed \(testSeed), round \(round)")
            #expect(!lines.joined().contains("\u{1B}"), "seed \(testSeed), round \(round)")
        }
    }
}

struct ProgressTests {
    @Test func aFinishedCellIsALine() {
        let width = run.map(\.cell.count).max() ?? 0
        #expect(
            [0, 2, 7].map { run[$0].progressLine(nameWidth: width) } == [
                "10.0-10.0+q35-10.0            completed                gating  as predicted  0.37 s",
                "11.1-10.0+none+0-devices      two guests running       -       known deviation surplus-ack-two-guests  0.37 s",
                "11.1-10.0+q35-10.0+2-devices  completed                -       FINDING: ACKs counted: expected 2, found 1  0.37 s",
            ])
    }

    @Test func theRunIsALineOfATerminal() {
        var progress = RunProgress(total: 268)
        #expect(progress.line(width: 80) == "[0/268]  0 findings  0 known deviations")
        progress.begin(run[7].cell)
        progress.begin("b")
        #expect(progress.line(width: 100) == "[0/268]  0 findings  0 known deviations  running: 11.1-10.0+q35-10.0+2-devices, b")
        progress.end(run[7])
        progress.end(run[2])
        #expect(progress.line(width: 80) == "[2/268]  1 finding  1 known deviation  running: b")
        // Two cells took 3 s: the other 266 take as long.
        #expect(progress.line(width: 80, seconds: 3) == "[2/268]  1 finding  1 known deviation  7 min left  running: b")
        for (seconds, left) in [(1.9, nil), (2, "5 min left"), (40, "1.5 h left"), (6_000, "more than 100 h left")] as [(Double, String?)] {
            #expect(timeLeft(done: progress.done, of: progress.total, after: seconds) == left)
        }
        #expect(timeLeft(done: 0, of: 5, after: 100) == nil)
        // As that of a comparison.
        #expect(
            liveLine(done: 10, of: 40, "1 differ", running: ["a", "b"], seconds: 20, width: 80)
                == "[10/40]  1 differ  1 min left  running: a, b")
        for width in 0...100 { #expect(progress.line(width: width).count <= width) }
        #expect(progress.line(width: 10) == "[2/268]  …")
    }
}

// MARK: Explanations

/// The real logs of a migration, as a trace.
private func realTrace(_ name: String) throws -> Trace {
    let logs = URL(fileURLWithPath: TestCorpus.path("qemu"))
    func stream(_ side: String) throws -> FoldedStream {
        var reader = try LogReader(path: logs.appendingPathComponent("\(name).\(side).log").path)
        return try FoldedStream(&reader)
    }
    var header = TraceHeader()
    header.cell = "11.1-10.0+none+0-devices+decision-first"
    header.source.name = "11.1"
    header.source.version = "11.1.3 (Debian 1:11.1.3+ds-1~bpo13+1)"
    header.source.machine = "none"
    header.source.traits.ackMode = .perDevice
    header.source.capabilities = [Setting("switchover-ack", "on")]
    header.source.commandLine = [
        "-M", "none", "-accel", "tcg", "-m", "16", "-nodefaults", "-display", "none", "-qmp", "unix:./qmp", "-msg", "timestamp=on", "-D",
        "./qemu.log",
    ]
    header.destination = header.source
    header.destination.name = "10.0"
    header.destination.version = "10.0.13 (Debian 1:10.0.13+ds-0+deb13u1)"
    header.destination.traits.ackMode = .legacy
    header.destination.commandLine += ["-incoming", "defer"]
    return Trace(header: header, source: try stream("src"), destination: try stream("dst"))
}

private let capabilities =
    #"{"execute": "migrate-set-capabilities", "arguments": {"capabilities": [{"capability": "switchover-ack", "state": true}]}}"#

struct ExplanationTests {
    private func twoGuests(_ trace: Trace) throws -> Explanation {
        let ack = try #require(
            Array(trace.source).firstIndex { if case .sourceReturnPathThreadSwitchoverAcked? = $0.event { true } else { false } })
        let sent = try #require(
            Array(trace.destination).firstIndex { if case .migrateSendRPMessage(.switchoverAck, _)? = $0.event { true } else { false } })
        let place = Place(stream: .source, line: ack + 1)
        return Explanation(
            trace: trace,
            judgement: Judgement(
                verdict: .twoGuests, reason: "the destination completed and runs the guest, the source failed and runs it again",
                findings: [
                    Finding(
                        rule: .surplusAck,
                        found: "ACK 1 was counted, though the source collected 0 requests: its counter became 4294967295",
                        places: [place, Place(stream: .destination, line: sent + 1)],
                        lastGood: .init(event: "migration_return_path_end_before", place: Place(stream: .source, line: ack)),
                        legal: "no ACK, or one request collected before it"),
                    Finding(rule: .oneGuest, found: "both run", places: [place], legal: "one runs"),
                ], handshake: Handshake(trace)),
            predicted: ["two guests running; 1 ACK sent, 1 counted"], differences: [], deviation: deviations[0],
            sourceCommands: [capabilities, "{\"execute\": \"migrate\", \"arguments\": {\"uri\": \"tcp:127.0.0.1:4444\"}}"],
            destinationCommands: [capabilities, "{\"execute\": \"migrate-incoming\", \"arguments\": {\"uri\": \"tcp:127.0.0.1:0\"}}"])
    }

    @Test func twoGuestsAreExplained() throws {
        try golden.expect(twoGuests(realTrace("x-11to10-none-ack")).text + "\n", "two-guests.txt")
    }

    /// Nothing broke: the text shows the decision, and where the other side was.
    @Test func aGoodMigrationIsShownAroundItsDecision() throws {
        var trace = try realTrace("lm-reinit-q23")
        trace.header.cell = "11.1-11.1+q35-11.1+reinits-1"
        let script = [
            "ackmatrix-device 1", "has precopy p2p reinit", "stop-copy 32K", "initial 16K", "on query 2 when=1..1 do reinit 8192",
        ]
        trace.header.source.devices = [
            TraceDevice(name: "v0", idstr: "0000:00:10.0/vfio", script: script),
            TraceDevice(name: "v1", idstr: "0000:00:11.0/vfio", script: script),
        ]
        trace.header.destination.devices = [TraceDevice(name: "v0", idstr: "0000:00:10.0/vfio", script: Array(script.prefix(4)))]
        var outcome = Outcome(.completed)
        outcome.requests = [2, 0]
        outcome.approvals = [2, 0]
        outcome.acksSent = 2
        outcome.acksCounted = 2
        outcome.isGating = true
        let explanation = Explanation(
            trace: trace,
            judgement: Judgement(verdict: .completed, reason: "both sides completed", findings: [], handshake: Handshake(trace)),
            predicted: [outcome.sentence(devices: 2)], differences: ["ACKs counted: expected 3, found 2"])
        try golden.expect(explanation.text + "\n", "completed.txt")
    }

    /// A side refused: there is no log, and the text says which side refused what.
    @Test func aRefusalIsExplained() throws {
        let refusal = SideRefusal(role: .source, binary: "11.1", command: "device_add", text: "no such bus")
        let text = Explanation(try ResultLineTests().result(.refused(refusal)), trace: nil).text
        for part in [
            "11.1-10.0+q35-10.0+2-devices: refused\nbecause      the source 11.1 refused device_add: no such bus\n",
            "predicted    a race: completed; 1 ACK counted; or: two guests running\n",
            "source       11.1.3, pc-q35-10.0\ndestination  10.0.13, pc-q35-10.0\n",
            "destination command line\n  qemu-system-x86_64 -M pc-q35-10.0 -accel tcg",
        ] { #expect(text.contains(part)) }
    }

    /// Of several findings the one that is not known is the one to look at.
    @Test func whatIsNotKnownComesFirst() throws {
        var explanation = try twoGuests(realTrace("x-11to10-none-ack"))
        #expect(explanation.finding?.rule == .surplusAck)
        explanation.findings.swapAt(0, 1)
        #expect(explanation.finding?.rule == .surplusAck)
        explanation.findings.removeAll { $0.rule == .surplusAck }
        #expect(explanation.finding?.rule == .oneGuest)
    }

    /// Whatever comes in: at most 60 lines, of at most 100 columns where they are no command; and the broken line is shown and marked.
    @Test func itIsAMailWhateverCameIn() throws {
        var generator = SeededGenerator(seed: testSeed)
        let real = try ["x-11to10-none-ack", "vfio-new-2"].map { try realTrace($0) }
        for round in 0..<400 {
            let explanation = random(real, &generator)
            let text = explanation.text
            let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
            #expect(lines.count <= 60, "seed \(testSeed), round \(round)")
            #expect(
                !lines.contains { $0.contains("…") && !$0.contains("ARGUMENT") && !$0.contains("COMMAND") },
                "seed \(testSeed), round \(round)")
            let long = lines.filter { $0.count > 100 && !$0.contains("ARGUMENT") && !$0.contains("COMMAND") }
            #expect(long.isEmpty, "seed \(testSeed), round \(round)")
            #expect(
                text.unicodeScalars.allSatisfy { $0 == "\n" || $0.value >= 0x20 && $0.value != 0x7F }, "seed \(testSeed), round \(round)")
            if let finding = explanation.finding, let place = explanation.trace.place(of: finding, on: .source),
                finding.places.contains(place)
            {
                #expect(lines.contains { $0.hasPrefix("> \(place.line) ") }, "seed \(testSeed), round \(round)")
            }
        }
    }

    /// Whole, it leaves nothing out: not a line of an excerpt, nor a word.
    @Test func theWholeTextHasEverything() throws {
        var generator = SeededGenerator(seed: testSeed)
        let real = try ["x-11to10-none-ack", "vfio-new-2"].map { try realTrace($0) }
        for round in 0..<100 {
            var explanation = random(real, &generator)
            explanation.isWhole = true
            let text = explanation.text
            func squeezed(_ text: String) -> String { text.filter { !$0.isWhitespace } }
            let whole = squeezed(text)
            let finding = explanation.finding
            let sentences =
                [explanation.reason, finding?.found, finding?.legal, finding?.lastGood?.event].compactMap { $0 } + explanation.differences
                + explanation.trace.header.source.devices.flatMap { $0.script.prefix(1) }
            for sentence in sentences where !squeezed(sentence).isEmpty {
                #expect(whole.contains(escaped(squeezed(sentence))), "seed \(testSeed), round \(round): \(sentence)")
            }
            for command in explanation.sourceCommands where !command.isEmpty {
                #expect(whole.contains(squeezed(escaped(command))), "seed \(testSeed), round \(round)")
            }
            #expect(!text.contains("…") && !text.contains("--whole"), "seed \(testSeed), round \(round)")
            if let place = explanation.trace.place(of: finding, on: .source) {
                for (_, entry) in explanation.trace[place.stream].excerpt(around: place.line) {
                    #expect(whole.contains(squeezed(escaped(entry.record.line))), "seed \(testSeed), round \(round)")
                }
            }
        }
    }

    private func random(_ real: [Trace], _ generator: inout SeededGenerator) -> Explanation {
        func text(_ most: Int) -> String {
            let words = [
                "word", "a", "0000:00:10.0/vfio", String(repeating: "long", count: 60), "\u{1B}[2J", "\n", "\t", "é", "4294967295",
            ]
            return (0..<Int.random(in: 0...most, using: &generator)).map { _ in words.randomElement(using: &generator)! }.joined(
                separator: " ")
        }
        func texts(_ most: Int, _ words: Int) -> [String] { (0..<Int.random(in: 0...most, using: &generator)).map { _ in text(words) } }
        var trace = Bool.random(using: &generator) ? real.randomElement(using: &generator)! : Trace()
        trace.header.cell = text(30)
        for side in [\TraceHeader.source, \.destination] {
            trace.header[keyPath: side].version = text(40)
            trace.header[keyPath: side].machine = text(10)
            let arguments = texts(80, 3).map { "ARGUMENT" + $0 }
            trace.header[keyPath: side].commandLine = arguments.map { Bool.random(using: &generator) ? "-" + $0 : $0 }
            trace.header[keyPath: side].devices = texts(6, 2).map { TraceDevice(name: $0, idstr: $0, script: texts(20, 8)) }
        }
        let findings = (0..<Int.random(in: 0...5, using: &generator)).map { _ in
            let places = (0..<Int.random(in: 1...8, using: &generator)).map { _ in
                Place(stream: StreamName.allCases.randomElement(using: &generator)!, line: Int.random(in: 1...900, using: &generator))
            }
            return Finding(
                rule: Rule.all.randomElement(using: &generator)!, device: Bool.random(using: &generator) ? text(9) : nil, found: text(90),
                places: places,
                lastGood: Bool.random(using: &generator) ? .init(event: text(200), place: places[0]) : nil, legal: text(60))
        }
        return Explanation(
            trace: trace,
            judgement: Judgement(
                verdict: Verdict.allCases.randomElement(using: &generator)!, reason: text(80), findings: findings, handshake: Handshake()),
            predicted: texts(8, 30), differences: texts(8, 30),
            deviation: Bool.random(using: &generator) ? deviation(text(4), rules: texts(3, 1), reason: text(200)) : nil,
            sourceCommands: texts(12, 40).map { "COMMAND " + $0 }, destinationCommands: texts(12, 40).map { "COMMAND " + $0 })
    }

    /// An excerpt is what unfolding shows.
    @Test func anExcerptIsTheUnfoldedLines() throws {
        for name in ["vfio-new-2", "x-11to10-none-ack"] {
            let stream = try realTrace(name).source
            let all = Array(stream)
            for line in 1...all.count {
                let excerpt = stream.excerpt(around: line)
                #expect(excerpt.count == min(10, all.count))
                #expect(excerpt.contains { $0.line == line })
                #expect(excerpt.allSatisfy { $0.entry.record == all[$0.line - 1].record })
            }
        }
        #expect(FoldedStream().excerpt(around: 1).isEmpty)
        let few = FoldedStream(Array(try realTrace("vfio-new-2").source.prefix(3)))
        #expect(few.excerpt(around: 3).map(\.line) == [1, 2, 3])
        #expect(few.excerpt(around: 99).map(\.line) == [1, 2, 3])
    }

    /// An endless source says the same a thousand million times; that is neither unfolded nor waited for.
    @Test func anEndlessStreamIsNotUnfolded() throws {
        let block = try realTrace("x-11to10-none-ack").source.prefix(2).map { FoldedEntry(first: $0, lastTime: nil) }
        var stream = FoldedStream()
        stream.append(.times(1 << 40, block))
        #expect(stream.excerpt(around: 1 << 35).map(\.line) == Array((1 << 35) - 5...(1 << 35) + 4))
    }
}

// MARK: Layout

struct TextLayoutTests {
    @Test(arguments: [
        ("", 10, []), ("one two three", 7, ["one two", "  three"]), ("abcdefghijkl", 5, ["abcde", "  fgh", "  ijk", "  l"]),
        (" a \n b ", 80, ["a b"]), ("exactly ten", 11, ["exactly ten"]),
    ])
    func wordsAreWrapped(text: String, width: Int, lines: [String]) { #expect(wrap(text, width: width, indent: "  ") == lines) }

    @Test(arguments: [("abc", 3, "abc"), ("abcd", 3, "ab…"), ("a\u{7}b\nc", 11, "a\\x07b\\x0Ac"), ("abc", 1, "…"), ("", 0, "")])
    func aLineIsCut(text: String, width: Int, line: String) { #expect(cut(text, to: width) == line) }

    /// Nothing of a log line is lost but blanks at the end of a line.
    @Test(arguments: [
        ("abcdefghij", 10, ["abcdefghij"]), ("abc  def ghi jkl", 10, ["abc  def", "  ghi jkl"]),
        ("abcdefghijkl", 5, ["abcde", "  fgh", "  ijk", "  l"]),
        ("a\u{7}b", 80, ["a\\x07b"]), ("", 5, [""]), ("  ab cd", 4, ["  ab", "  cd"]),
    ])
    func aLogLineIsWrapped(text: String, width: Int, lines: [String]) { #expect(wrapExactly(text, width: width, indent: "  ") == lines) }

    @Test func partsShareTheLines() {
        let parts = [
            TextPart("a", ["1", "2", "3", "4"], least: 2), TextPart("none", [], least: 3), TextPart(nil, ["x", "y", "z"], least: 1),
        ]
        let joined = [parts[0], TextPart(nil, ["x"], least: 1, isJoined: true), parts[2]]
        #expect(fit(joined, within: 20, whole: "see x") == ["a", "1", "2", "3", "4", "x", "", "x", "y", "z"])
        #expect(fit(parts, within: 9, whole: "see x") == ["a", "1", "2", "3", "4", "", "x", "y", "z"])
        #expect(fit(parts, within: 8, whole: "see x") == ["a", "1", "2", "3", "4", "x", "y", "z"])
        #expect(fit(parts, within: 7, whole: "see x") == ["a", "1", "2", "3", "4", "x", "  ... 2 lines: see x"])
        #expect(fit(parts, within: 7, order: [2, 0], whole: "see x") == ["a", "1", "2", "  ... 2 lines: see x", "x", "y", "z"])
        #expect(fit(parts, within: 4, whole: "see x") == ["a", "1", "  ... 3 lines: see x", "  ... 3 lines: see x"])
    }

    @Test func columnsAlign() {
        #expect(table([["a", "cells"], ["long", "1"]]) == ["a     cells", "long      1"])
    }
}

struct GoldenTests {
    /// A recording writes the file, and fails the test that recorded it.
    @Test func aRecordingIsNeverGreen() throws {
        let folder = ".build/golden-\(UInt64.random(in: 0...UInt64.max))"
        defer { try? FileManager.default.removeItem(atPath: repositoryFile(folder)) }
        let golden = Golden(folder)
        withKnownIssue { try golden.expect("new", "text", environment: ["ACKMATRIX_RECORD": "1"]) }
        #expect(try String(contentsOfFile: repositoryFile(folder + "/text"), encoding: .utf8) == "new")
        try golden.expect("new", "text", environment: [:])
        withKnownIssue { try golden.expect("other", "text", environment: [:]) }
    }

    @Test func recordingIsAskedForAndNeverInCI() throws {
        #expect(try !Golden.isRecording([:]))
        #expect(try !Golden.isRecording(["ACKMATRIX_RECORD": "0", "CI": "1"]))
        #expect(try Golden.isRecording(["ACKMATRIX_RECORD": "1"]))
        #expect(throws: Golden.RefusedInCI.self) { try Golden.isRecording(["ACKMATRIX_RECORD": "1", "CI": "true"]) }
    }
}
