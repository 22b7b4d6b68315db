import Foundation
import FoundationXML
import MigrationTrace
import TestSupport
import Testing
import Verification

@testable import Pictures

/// The recordings that every renderer must draw: the golden corpus and the cells of the tests.
private let recordings: [String] = ["Traces", "Tests/Corpus/cells"].flatMap { folder in
    let names = (try? FileManager.default.contentsOfDirectory(atPath: repositoryFile(folder))) ?? []
    return names.filter { $0.hasSuffix(".trace") }.sorted().map { "\(folder)/\($0)" }
}

private let fourDevices = "Traces/11.1-11.1+q35-11.1+4-devices+reinits-3.trace"
private let twoGuests = "Traces/11.1-11.1+q35-11.1+2-devices+legacy-source+decision-first.trace"
private let oneDevice = "Traces/11.1-11.1+q35-11.1+reinits-1.trace"

private func trace(_ path: String) throws -> Trace { try Trace(path: repositoryFile(path)) }

@Suite struct PictureTests {
    private let golden = Golden("Tests/PicturesTests/Golden")

    @Test func theTextTellsTheStory() throws {
        for (name, path) in [("reinits-4-devices", fourDevices), ("two-guests", twoGuests)] {
            let trace = try trace(path)
            let picture = Picture(trace, judge(trace))
            try golden.expect(TerminalPicture(picture).text, "\(name).txt")
            try golden.expect(TerminalPicture(picture, isASCII: true).text, "\(name).ascii.txt")
        }
    }

    @Test func theOtherFormatsAreAsRecorded() throws {
        let trace = try trace(oneDevice)
        let (story, picture) = (Story(trace), Picture(trace, judge(trace)))
        try golden.expect(SVGPicture(picture).svg(), "reinits-1.svg")
        try golden.expect(HTMLPicture(picture).page, "reinits-1.html")
        try golden.expect(try PerfettoPicture(story, picture).json(), "reinits-1.json")
    }

    /// What a picture shows is what the ledgers of the verifier count, for every recording.
    @Test func everyRecordingIsDrawnWhole() throws {
        #expect(recordings.count > 100)
        for path in recordings {
            let trace = try trace(path)
            let (judgement, story) = (judge(trace), Story(trace))
            let marks = story.steps.filter { $0.kind == .query || $0.kind == .finalQuery }.flatMap(\.devices)
            let answers = story.steps.compactMap { step in
                if case .answer(_, let isApproved, let sendsACK) = step.kind { (isApproved, sendsACK) } else { nil }
            }
            #expect(story.steps.count { $0.kind == .ackCounted } == judgement.handshake.acksCounted, "\(path)")
            #expect(answers.count(where: \.1) == judgement.handshake.acksSent, "\(path)")
            #expect(answers.count(where: \.0) == judgement.handshake.approvals.values.reduce(0, +), "\(path)")
            #expect(marks.count(where: \.requests) == judgement.handshake.requests.values.reduce(0, +), "\(path)")
            let decisions: [Step.Kind] = [.decision, .postcopy("postcopy starts")]
            #expect(story.steps.contains { decisions.contains($0.kind) } == (judgement.handshake.decision != nil), "\(path)")
            try check(Picture(trace, judgement), path)
        }
    }

    /// Order, size and form of a picture.
    private func check(_ picture: Picture, _ path: String) throws {
        #expect(picture.rows.count <= Picture.mostRows + 1 && !picture.rows.isEmpty, "\(path)")
        #expect(picture.arrows.allSatisfy { $0.from < $0.to }, "\(path): an effect stands before its cause")
        for stream in StreamName.allCases {
            let places = picture.rows.filter { $0.steps[0].stream == stream }.map { $0.steps[0].lines.lowerBound }
            #expect(places == places.sorted(), "\(path): \(stream.rawValue)")
        }
        for finding in picture.findings {
            let rule = finding.prefix { $0 != ":" && $0 != " " }
            #expect(picture.rows.contains { $0.rules.contains(String(rule)) }, "\(path): \(rule)")
        }
        for isASCII in [false, true] {
            let text = TerminalPicture(picture, isASCII: isASCII).text
            #expect(text.split(separator: "\n").allSatisfy { $0.count <= TerminalPicture.width }, "\(path)")
            #expect(!isASCII || text.utf8.allSatisfy { $0 < 0x80 }, "\(path)")
        }
        for xml in [SVGPicture(picture).svg(), HTMLPicture(picture).drawing(withTitle: true)] {
            let parser = XMLParser(data: Data("<root>\(xml)</root>".utf8))
            #expect(parser.parse(), "\(path): \(parser.parserError.map { "\($0)" } ?? "")")
        }
    }

    /// The clocks of two hosts may differ by anything: the same steps in the same order of each side, and no effect before its cause.
    @Test(arguments: [-3600, 3600, 86400 * 365]) func anotherClockMakesNoOtherStory(seconds: Int64) throws {
        for path in [fourDevices, twoGuests] {
            var moved = try trace(path)
            let story = Story(moved)
            for stream in [StreamName.destination, .destinationDevices] {
                var folds = FoldedStream()
                for fold in moved[stream].folds { folds.append(fold.moved(by: seconds * 1_000_000_000)) }
                moved[stream] = folds
            }
            let other = Story(moved)
            for side in PictureSide.allCases {
                #expect(other.steps.filter { $0.side == side }.map(\.text) == story.steps.filter { $0.side == side }.map(\.text))
            }
            #expect(other.links.count == story.links.count && other.links.allSatisfy { $0.from < $0.to })
            // What the contents leave open is less than the run took.
            #expect(abs(try #require(other.shift) + seconds * 1_000_000_000) < 1_000_000_000)
        }
    }

    @Test func aREINITThatNobodySawIsShown() throws {
        func rows(_ name: String) throws -> [String] {
            let trace = try trace("Traces/\(name).trace")
            return Picture(trace, judge(trace)).rows.map(\.sentence)
        }
        #expect(try rows("10.0-10.0+q35-10.0+2-devices+reinits-1+reinit-after-check").contains("script of v1 v0: reinit 4096"))
        #expect(try !rows("11.1-11.1+q35-11.1+reinits-1").contains { $0.hasPrefix("script") })
    }

    /// Without times, as in the engine, a hold stands before the approval that it delays.
    @Test func aHoldWithoutATimeStandsBeforeWhatItDelays() throws {
        var trace = try trace("Traces/11.1-11.1+q35-11.1+2-devices.trace")
        for stream in StreamName.allCases {
            var folds = FoldedStream()
            for fold in trace[stream].folds { folds.append(fold.withoutTimes) }
            trace[stream] = folds
        }
        let rows = Picture(trace, judge(trace)).rows.map(\.sentence)
        let order = ["v1: a call is held at the gate load", "v1: the gate load opens", "v1: marker loaded, approved, ACK sent"]
        #expect(order.compactMap { rows.firstIndex(of: $0) }.sorted() == order.compactMap { rows.firstIndex(of: $0) })
        #expect(order.allSatisfy(rows.contains), "\(rows)")
        #expect(try #require(rows.firstIndex(of: order[0])) > (try #require(rows.firstIndex(of: "v0 v1: RESUMING"))))
    }

    /// Perfetto draws an arrow from a slice to one that begins no earlier.
    @Test func everyArrowOfTheTimelineGoesForward() throws {
        for path in [fourDevices, twoGuests, "Tests/Corpus/cells/postcopy-recovered.trace"] {
            let trace = try trace(path)
            let json = try PerfettoPicture(Story(trace), Picture(trace, judge(trace))).json()
            let document = try #require(JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any])
            let events = try #require(document["traceEvents"] as? [[String: Any]])
            var begins: [Int: Double] = [:]
            var arrows = 0
            for event in events where event["cat"] as? String == "content" {
                let (id, time) = (try #require(event["id"] as? Int), try #require((event["ts"] as? NSNumber)?.doubleValue))
                if event["ph"] as? String == "s" {
                    begins[id] = time
                } else {
                    arrows += 1
                    #expect(try #require(begins[id]) <= time, "\(path)")
                }
            }
            #expect(arrows == begins.count && arrows > 0)
        }
    }
}

@Suite struct HostilePictureTests {
    private func source(_ folds: [Fold]) -> Trace {
        var stream = FoldedStream()
        for event in [Event.migrateSetState(.setup), .migrateSetState(.active)] { stream.append(.once(Entry(event))) }
        for fold in folds { stream.append(fold) }
        // The edges of a trace are read, not computed: that would unfold the stream.
        var trace = Trace()
        trace.source = stream
        return trace
    }

    /// A few hundred bytes stand for a trillion lines: those that only wait are counted, others are left out, and both are told.
    @Test func aFoldOfATrillionIsOneRow() throws {
        let query = FoldedEntry(first: Entry(.migratePendingEstimate(size: 1, precopy: 0, postcopy: 0)), lastTime: nil)
        let acked = FoldedEntry(first: Entry(.sourceReturnPathThreadSwitchoverAcked(pending: 1)), lastTime: nil)
        let waits = Picture(Story(source([.times(1 << 40, [query])])), title: "waits")
        #expect(waits.rows.last?.sentence.hasPrefix("… \(1 << 40) queries") == true)
        let acts = Picture(Story(source([.times(1 << 40, [query, acked])])), title: "acts")
        #expect(acts.rows.count < 20)
        #expect(acts.rows.contains { $0.sentence.hasPrefix("… ") && $0.sentence.hasSuffix("lines that repeat are left out") })
    }

    /// More steps than a picture holds: the middle is left out, and the count of what is not kept is told.
    @Test func aPictureIsBounded() throws {
        let states: [VFIOState] = [.preCopy, .running, .stop, .preCopyP2P]
        let folds = (0..<50_000).map { number in
            // Never the same twice in a row, and never a block that repeats.
            Fold.once(Entry(.vfioMigrationSetDeviceState(device: "v\((number * number) % 7)", states[(number / 3 + number % 5) % 4])))
        }
        let picture = Picture(Story(source(folds)), title: "many")
        #expect(picture.rows.count <= Picture.mostRows + 1)
        #expect(picture.further > 0)
        #expect(TerminalPicture(picture).text.contains("further steps are not shown"))
    }

    /// Text from a log reaches no screen, no element and no JSON string as it is.
    @Test func noTextOfALogIsMarkup() throws {
        let name = "<script>alert('1')</script>&\"\u{1B}[31m\u{202E}"
        let trace = source([
            .once(Entry(.vfioMigrationSetDeviceState(device: name, .preCopy))), .once(Entry(.migrateError("]]> \(name)"))),
        ])
        let picture = Picture(trace, judge(trace), title: name)
        for text in [SVGPicture(picture).svg(), HTMLPicture(picture).page, TerminalPicture(picture).text] {
            #expect(!text.contains("\u{1B}") && !text.contains("\u{202E}"))
        }
        #expect(!SVGPicture(picture).svg().contains("<script") && !HTMLPicture(picture).page.contains("<script"))
        #expect(XMLParser(data: Data(SVGPicture(picture).svg().utf8)).parse())
        let json = try PerfettoPicture(Story(trace), picture).json()
        #expect(!json.contains("\u{1B}") && !json.contains("\u{202E}"))
        #expect(throws: Never.self) { try JSONSerialization.jsonObject(with: Data(json.utf8)) }
    }

    /// Logs whose contents contradict each other still make a picture, in the order of each log.
    @Test func contradictionsEndInAPicture() throws {
        var (source, destination) = (FoldedStream(), FoldedStream())
        // The source counts an ACK before the marker that the ACK answers.
        for event: Event in [
            .migrateSetState(.setup), .migrateSetState(.active), .sourceReturnPathThreadSwitchoverAcked(pending: 0),
            .vfioSendInitDataFlag(device: "v0"),
        ] { source.append(.once(Entry(event))) }
        for event: Event in [
            .migrateSetState(.setup), .migrateSetState(.active), .vfioLoadState(device: "v0", .initDataSent),
            .loadvmApproveSwitchover(approver: "v0"), .migrateSendRPMessage(.switchoverAck, length: 0),
        ] { destination.append(.once(Entry(event))) }
        let picture = Picture(Story(Trace(header: TraceHeader(), source: source, destination: destination)), title: "contradiction")
        #expect(picture.rows.count == 7)
        #expect(picture.arrows.allSatisfy { $0.from < $0.to })
    }

    /// More devices than lanes: the others share one.
    @Test func manyDevicesShareALane() throws {
        let folds = (0..<40).map { Fold.once(Entry(.vfioMigrationSetDeviceState(device: "device-with-a-long-name-\($0)", .preCopy))) }
        let picture = Picture(Story(source(folds)), title: "many")
        #expect(picture.lanes.count == 2 * Picture.mostDevices + 2)
        #expect(TerminalPicture(picture).text.split(separator: "\n").allSatisfy { $0.count <= TerminalPicture.width })
    }
}

extension Fold {
    fileprivate var withoutTimes: Fold {
        switch self {
        case .once(let entry): return .once(Entry(thread: entry.thread, record: entry.record))
        case .times(let count, let block):
            return .times(
                count,
                block.map { FoldedEntry(first: Entry(thread: $0.first.thread, record: $0.first.record), lastTime: nil, step: $0.step) })
        }
    }

    /// With all times moved.
    fileprivate func moved(by nanoseconds: Int64) -> Fold {
        switch self {
        case .once(var entry):
            entry.time = entry.time.map { $0 + nanoseconds }
            return .once(entry)
        case .times(let count, let block):
            return .times(
                count,
                block.map { folded in
                    var folded = folded
                    folded.first.time = folded.first.time.map { $0 + nanoseconds }
                    folded.lastTime = folded.lastTime.map { $0 + nanoseconds }
                    return folded
                })
        }
    }
}
