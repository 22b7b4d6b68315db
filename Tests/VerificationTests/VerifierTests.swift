import MigrationTrace
import TestSupport
import Testing

@testable import Verification

/// The order in which streams are fed, their clocks, and their length change nothing; what cannot be judged is refused.
@Suite struct VerifierTests {
    @Test func rulesAreDeclaredOnce() {
        #expect(Set(Rule.all.map(\.id)).count == Rule.all.count)
        #expect(Set(Rule.all.map(\.statement)).count == Rule.all.count)
        for rule in Rule.all {
            #expect(Rule[id: rule.id] == rule)
            #expect(rule.id.allSatisfy { $0.isLowercase || $0 == "-" } && rule.statement.hasSuffix("."), "\(rule.id)")
            #expect(!rule.section.isEmpty && !rule.generations.isEmpty)
        }
        #expect(Rule[id: "no-such-rule"] == nil)
    }

    // MARK: Two threads that count and print

    /// The counter goes down when an ACK is read, its line comes later; requests collected in between are not in that line's number.
    struct LateLine: Sendable {
        /// Collected and pending of each query.
        let queries: [(Int, Int)]
        /// The late line's.
        let number: Int
        let broken: [String]
    }

    static let lateLines: [LateLine] = [
        LateLine(queries: [(1, 1), (1, 1)], number: 0, broken: []),
        LateLine(queries: [(1, 1), (0, 0), (1, 1)], number: 0, broken: []),
        LateLine(queries: [(1, 1), (1, 2), (0, 1)], number: 1, broken: []),
        LateLine(queries: [(2, 2), (1, 2), (1, 3)], number: 2, broken: []),
        LateLine(queries: [(2, 2), (1, 2), (1, 3)], number: 1, broken: []),
        LateLine(queries: [(1, 1), (1, 2)], number: 0, broken: ["ack-number"]),
        LateLine(queries: [(1, 1), (0, 0), (1, 1)], number: 1, broken: ["ack-number"]),
    ]

    /// Whether a source's switchover passes through `device` is known of its generation; each form has its own arcs, and not the other's.
    @Test(arguments: ["reinit-gate", "postcopy-recovered"]) func theArcsOfASwitchoverAreThoseOfItsRelease(name: String) throws {
        let change = "migrate_set_state new state "
        let recording = try Recording.cell(name)
        let device = try #require(recording.number(.source, change + "device"))
        // Nothing is between `active` and what follows the switchover, or a pause alone.
        var without = recording
        if let loaded = recording.number(.source, change + "postcopy-device") { without = without.removing(.source, loaded) }
        let pausing = without.replacing(.source, device, change + "device", change + "pre-switchover")
        without = without.removing(.source, device)
        let (next, behind) = try (
            #require(without.number(.source, change, after: device - 1)), #require(pausing.number(.source, change, after: device))
        )
        let isPostcopy = pausing.lines[.source]![behind - 1].hasSuffix("postcopy-active")

        for doesWithoutDevice in [false, true] {
            func breaks(_ recording: Recording, at line: Int) throws -> Bool {
                var recording = recording
                recording.circumstances.sourceTraits.switchesInDevice = !doesWithoutDevice
                return try recording.judgement().breaks(.statusArc, at: line, of: .source)
            }
            #expect(try breaks(recording, at: device) == doesWithoutDevice)
            #expect(try breaks(without, at: next) == !doesWithoutDevice)
            // A source that was paused passes through `device` to complete, in either form.
            #expect(try breaks(pausing, at: behind) == !(doesWithoutDevice && isPostcopy))
        }
    }

    @Test(arguments: [true, false]) func theHeaderTellsOfTheStatusDevice(doesWithoutDevice: Bool) {
        var header = TraceHeader()
        header.source.traits.switchesInDevice = !doesWithoutDevice
        #expect(Circumstances(header).doesWithoutDevice == doesWithoutDevice)
        #expect(!Circumstances(TraceHeader()).doesWithoutDevice)
    }

    @Test(arguments: lateLines) func aLateLineLacksWhatWasCollectedMeanwhile(late: LateLine) throws {
        let (queries, number, broken) = (late.queries, late.number, late.broken)
        var lines: [String] = []
        for (collected, pending) in queries {
            for device in 0..<collected {
                lines.append(
                    "vfio_state_pending  (v\(device)) stopcopy size 0, precopy initial size 0, precopy dirty size 0, request switchover ack 1, exact 0, final 0"
                )
            }
            lines.append(
                "qemu_savevm_query_pending exact=0, final=0, precopy=0, stopcopy=0, postcopy=0, total=0, collected switchover ack pending=\(collected), total switchover ack pending=\(pending)"
            )
        }
        lines.append("source_return_path_thread_switchover_acked switchover_ack_pending_num \(number)")
        var circumstances = Circumstances()
        circumstances.sourceMode = .perDevice
        circumstances.sourceCapability = true
        var verifier = Verifier(circumstances, sides: .source)
        var reader = LogReader(Array((lines.joined(separator: "\n") + "\n").utf8))
        while let line = try reader.nextEvent() { verifier.handle(line.event!, at: Place(stream: .source, line: line.position.line)) }
        let ledger: Set = ["ack-number", "pending-number"]
        #expect(verifier.judgement().findings.map(\.rule.id).filter(ledger.contains) == broken)
    }

    // MARK: Interleavings

    static let interleaved = [
        "cell reinit-gate", "cell two-devices", "cell legacy-destination", "cell reinit-after-check", "cell underflow", "vfio-new-2",
        "vfio-srclegacy-dstnew-2", "vfio-srcnew-dstlegacy-2", "none-srcnew-dstlegacy",
        "x-vfio-10to10-2", "lm-final-2dev",
    ]

    @Test(arguments: interleaved, [1, 2, 3] as [UInt64]) func everyInterleavingIsJudgedAlike(name: String, seed: UInt64) throws {
        let recording = try Recording.named(name)
        let expected = try recording.judgement()
        var random = SeededGenerator(seed: seed)
        var events: [StreamName: [(Place, Event?)]] = [:]
        for (stream, lines) in recording.lines {
            var reader = LogReader(Array((lines.joined(separator: "\n") + "\n").utf8))
            while let line = try reader.next() {
                if line.event != nil || line.content == .unknown(.comment) {
                    events[stream, default: []].append((Place(stream: stream, line: line.position.line), line.event))
                }
            }
        }
        var verifier = Verifier(recording.circumstances, sides: recording.sides)
        var next = events.mapValues { _ in 0 }
        var streams = events.keys.sorted { $0.rawValue < $1.rawValue }
        while !streams.isEmpty {
            let stream = streams[Int(random.next() % UInt64(streams.count))]
            // Small slices and large ones, as a live reader finds them.
            for _ in 0..<(1 << (random.next() % 10)) {
                guard next[stream]! < events[stream]!.count else { break }
                let (place, event) = events[stream]![next[stream]!]
                if let event { verifier.handle(event, at: place) } else { verifier.gap(in: stream) }
                next[stream]! += 1
            }
            if next[stream]! == events[stream]!.count { streams.removeAll { $0 == stream } }
        }
        #expect(verifier.judgement() == expected, "seed \(seed)")
    }

    // MARK: Clocks

    @Test(arguments: ["vfio-new-2", "lm-reinit-q23", "vfio-srclegacy-dstnew-2"]) func clocksSayNothing(name: String) throws {
        let expected = try Recording.capture(name).judgement()
        for stream in [StreamName.source, .destination] {
            for shifted in [
                Clock(hours: 1, partsPerMillion: 0), Clock(hours: -1, partsPerMillion: 50), Clock(hours: 0, partsPerMillion: -50),
            ] {
                var recording = try Recording.capture(name)
                recording.lines[stream] = recording.lines[stream]!.map(shifted.line)
                #expect(recording.lines[stream] != (try Recording.capture(name).lines[stream]))
                #expect(try recording.judgement() == expected, "\(stream) \(shifted)")
            }
        }
    }

    /// Another clock for the lines of 11.1.
    struct Clock {
        var hours: Int
        var partsPerMillion: Int

        func line(_ line: String) -> String {
            guard line.count > 28, line.hasPrefix("2026-"), let space = line.firstIndex(of: " ") else { return line }
            let digits = line[..<space].compactMap { $0.wholeNumberValue }
            let parts = [8, 10, 12].map { digits[$0] * 10 + digits[$0 + 1] }
            let fraction = digits[14...].reduce(0) { $0 * 10 + $1 }
            var micros = ((parts[0] * 60 + parts[1]) * 60 + parts[2]) * 1_000_000 + fraction
            micros += micros / 1_000_000 * partsPerMillion + hours * 3_600_000_000 + 60_000_000
            micros = (micros + 86_400_000_000) % 86_400_000_000
            let seconds = micros / 1_000_000
            func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
            let text = "\(1_000_000 + micros % 1_000_000)".dropFirst()
            return "2026-11-21T\(two(seconds / 3600)):\(two(seconds / 60 % 60)):\(two(seconds % 60)).\(text)Z" + line[space...]
        }
    }

    // MARK: Length

    @Test func stateStaysBoundedHoweverLongTheLog() throws {
        var verifier = Verifier(sides: .both)
        let recording = try Recording.capture("vfio-new-2")
        let decision = try #require(recording.number(.source, "migration_thread_low_pending"))
        var reader = LogReader(Array((recording.lines[.source]!.prefix(decision - 1).joined(separator: "\n") + "\n").utf8))
        var step: [Event] = []
        while let line = try reader.nextEvent() {
            let event = try #require(line.event)
            verifier.handle(event, at: Place(stream: .source, line: line.position.line))
            step.append(event)
        }
        // The steps of an endless wait: queries, iterations, and sections with nothing in them; many of the numbers are wrong.
        let from = try #require(step.lastIndex { $0 == .savevmStateIterate })
        step = step[from...].filter { $0.thread != .returnPath }
        func feed(queries: Int, from line: Int) {
            for index in 0..<queries {
                var query = PendingQuery()
                query.exact = index % 2 == 1
                query.total = UInt64(index % 3000)
                query.pendingAcks = UInt32(index % 5)
                verifier.handle(.qemuSavevmQueryPending(query), at: Place(stream: .source, line: line + index))
                guard index % 8 == 0 else { continue }
                verifier.handle(step[index / 8 % step.count], at: Place(stream: .source, line: line + index))
                verifier.handle(.qemuLoadvmStateSectionPartEnd(section: 37), at: Place(stream: .destination, line: line + index))
                verifier.handle(.deviceRead(device: "a", size: 1, result: 0), at: Place(stream: .sourceDevices, line: line + index))
            }
        }
        feed(queries: 20_000, from: 1000)
        let before = elements(of: verifier)
        feed(queries: 2_000_000, from: 21_000)
        #expect(elements(of: verifier) == before)
        #expect(before < 2000)
    }

    // MARK: Refusals

    @Test func whatCannotBeJudgedIsRefused() throws {
        func log(_ text: String, _ name: String) -> LogSource { LogSource(name: name, bytes: Array(text.utf8)) }
        func refusal(_ logs: [LogSource]) -> LogRefusal? {
            do {
                _ = try judge(logs: logs)
                return nil
            } catch { return error as? LogRefusal }
        }
        let source = LogSource(path: logPath("vfio-new-1.src.log"))
        let destination = LogSource(path: logPath("vfio-new-1.dst.log"))
        #expect(refusal([]) == .count(0))
        #expect(refusal([source, destination, source]) == .count(3))
        #expect(refusal([log("", "empty.log")]) == .empty("empty.log"))
        #expect(refusal([log("\0\u{1}ELF\nno trace\n", "a.bin")]).map { if case .foreign("a.bin", _) = $0 { true } else { false } } == true)
        #expect(refusal([log("migration_block_activation active\n", "idle.log")]) == .noMigration("idle.log"))
        #expect(refusal([source, source]) == .sameSide(.source, source.name, source.name))
        #expect(refusal([destination, destination]) == .sameSide(.destination, destination.name, destination.name))
        for refused in [refusal([]), refusal([log("", "x")]), refusal([source, source])] {
            #expect(refused?.description.contains("expected") == true)
        }
        // In either order, and one alone.
        let judgement = try judge(logs: [source, destination])
        #expect(try judge(logs: [destination, source]) == judgement)
        #expect(judgement.verdict == .completed)
        #expect(try judge(logs: [logPath("vfio-new-1.src.log")]).verdict == .completed)
        // A destination that failed before it did anything is known by the other log.
        #expect(refusal([LogSource(path: logPath("fs-badmagic.dst.log"))]) == .noMigration(logPath("fs-badmagic.dst.log")))
        let failed = LogSource(path: logPath("fd-halfclose.src.log"))
        #expect(try judge(logs: [LogSource(path: logPath("fs-badmagic.dst.log")), failed]).verdict == .failed)
        // A source that completed has another destination than one that failed.
        let unrelated = refusal([LogSource(path: logPath("fs-badmagic.dst.log")), source])
        #expect(unrelated.map { if case .unrelated = $0 { $0.description.contains("SHUT 0") } else { false } } == true)
    }

    /// Of a log with several migrations the last one is judged.
    @Test func theLastMigrationOfALog() throws {
        let wrong = try Recording.capture("none-srcnew-dstlegacy")
        var both = try Recording.capture("vfio-new-1")
        let expected = try both.judgement()
        for stream in [StreamName.source, .destination] { both.lines[stream] = wrong.lines[stream]! + both.lines[stream]! }
        let judgement = try both.judgement()
        #expect(judgement.findings == [])
        #expect(judgement.verdict == expected.verdict)
        #expect(judgement.handshake == expected.handshake)
    }

    /// Nothing an input says makes the verifier fail.
    @Test(arguments: 1...20 as ClosedRange<UInt64>) func shuffledLinesDoNotCrash(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        var recording = try Recording.cell("reinit-gate")
        for stream in StreamName.allCases {
            recording.lines[stream] = Array(
                recording.lines[stream]!.filter { _ in random.next() % 7 != 0 }.shuffled(using: &random).prefix(3000))
        }
        let judgement = try recording.judgement()
        #expect(!judgement.findings.isEmpty, "seed \(seed)")
        #expect(judgement.findings.count < 400)
    }
}

/// The number of values in all the collections of a value.
private func elements(of value: Any) -> Int {
    let mirror = Mirror(reflecting: value)
    let own = [.collection, .set, .dictionary].contains(mirror.displayStyle) ? mirror.children.count : 0
    return mirror.children.reduce(own) { $0 + elements(of: $1.value) }
}
