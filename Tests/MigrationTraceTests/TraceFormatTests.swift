import Foundation
import TestSupport
import Testing

@testable import MigrationTrace

@Suite struct TraceFormatTests {
    static func trace(_ source: String, _ destination: String) throws -> Trace {
        var from = LogReader(try LogFiles.bytes(source))
        var to = LogReader(try LogFiles.bytes(destination))
        return try Trace(header: header, source: FoldedStream(&from), destination: FoldedStream(&to))
    }

    /// A header with everything that needs care.
    static let header: TraceHeader = {
        var header = TraceHeader()
        header.cell = "11.1/pc-q35-11.1 -> 10.0: reinit \\ twice"
        header.outcome = "completed"
        header.duration = 812_000_000
        header.source.name = "QEMU 11.1.3"
        header.source.version = "11.1.3 (Debian 1:11.1.3+ds-1~bpo13+1)"
        header.source.machine = "pc-q35-11.1"
        header.source.features = [Setting("per-device-ack", "yes"), Setting("odd name", ""), Setting("tab\t", "a b  c ")]
        header.source.traits = SideTraits(
            decision: .atThreshold, switchesInDevice: true, announcesRequests: false, ackMode: .perDevice, newestStatus: .failing)
        header.destination.traits.decision = .belowThreshold
        header.source.capabilities = [Setting("switchover-ack", "on"), Setting("multifd", "off")]
        header.source.properties = [Setting("migration.switchover-ack-legacy", "false")]
        header.source.commandLine = ["qemu-system-x86_64", "-name", "two\nlines", "", " lead", "trail ", "\u{1}\u{7F}é"]
        header.source.devices = [
            TraceDevice(
                name: "v0", idstr: "0000:00:01.0/vfio",
                script: ["ackmatrix-device 1", "", "  initial 64K # half", "on query 2 do reinit 8K"]),
            TraceDevice(name: "v 1", idstr: ""),
        ]
        header.source.unknown[.unknownEvent] = 12
        header.source.unknown[.libvirt] = 3
        header.destination.name = "engine"
        return header
    }()

    /// A small trace with each kind of line.
    static let small: Trace = {
        func source(_ seconds: Int64, _ event: Event) -> Entry { Entry(event, time: 1_795_231_979_000_000_000 + seconds * 1_000_000_000) }
        var source = [source(0, .migrateSetState(.setup)), source(1, .savevmSendPing(1)), source(-3, .vfioSendInitDataFlag(device: "a"))]
        for round in 0..<6 {
            source.append(TraceFormatTests.entry(10 + round, .savevmStateIterate))
            source.append(TraceFormatTests.entry(10 + round, .migrationBitmapSyncEnd(dirtyPages: 100 - 10 * UInt64(round))))
        }
        source.append(
            Entry(thread: .role(.any), record: .message(Message(program: "qemu-system-x86_64", severity: .warning, text: "slow"))))
        source.append(TraceFormatTests.entry(20, .sourceReturnPathThreadSwitchoverAcked(pending: 0)))
        source.append(TraceFormatTests.entry(21, .sourceReturnPathThreadPong(1)))
        let devices = [
            Entry(thread: .id(77), time: 5, record: .event(.deviceState(device: "v0", from: .running, to: .preCopy))),
            Entry(thread: .id(77), time: 6, record: .event(.deviceInjected(device: "v0", line: 4, action: "reinit", value: 8192))),
            Entry(thread: .id(77), time: nil, record: .event(.deviceHoldBegin(device: "v0", gate: "g"))),
        ]
        let destination = [
            Entry(.loadvmProcessCommandPing(1)), Entry(.vfioLoadState(device: "b", .initDataSent)),
            Entry(.loadvmApproveSwitchover(approver: "b")),
            Entry(.migrateSendRPMessage(.switchoverAck, length: 0)), Entry(.migrateError("odd  text ")),
        ]
        return Trace(
            header: header, source: FoldedStream(source), sourceDevices: FoldedStream(devices), destination: FoldedStream(destination))
    }()

    static func entry(_ seconds: Int, _ event: Event) -> Entry {
        Entry(event, time: 1_795_231_979_000_000_000 + Int64(seconds) * 1_000_000_000)
    }

    static let text = String(decoding: small.bytes, as: UTF8.self)

    static func read(_ text: String) throws -> Trace { try Trace(TraceReader(Array(text.utf8))) }

    static func error(of bytes: [UInt8]) -> TraceError? {
        do {
            _ = try Trace(TraceReader(bytes))
            return nil
        } catch { return error as? TraceError }
    }

    // MARK: Whole

    @Test func whatIsWrittenReadsBack() throws {
        #expect(try Self.read(Self.text) == Self.small)
        #expect(try Self.read(Self.text).bytes == Self.small.bytes)
        #expect(Self.small.edges.map(\.kind) == [.ping, .marker, .approval, .ack, .counted, .pong])
        #expect(
            !Self.text.split(separator: "\n").contains {
                $0.hasSuffix(" ") && !$0.contains("odd  text ") && !$0.contains("a b  c ") && !$0.contains("trail ")
            })
    }

    @Test func anEmptyTraceReadsBack() throws {
        #expect(try Self.read(String(decoding: Trace().bytes, as: UTF8.self)) == Trace())
    }

    @Test(arguments: LogFiles.pairs.map { [$0.source, $0.destination] })
    func tracesOfRealRunsReadBack(paths: [String]) throws {
        let trace = try Self.trace(paths[0], paths[1])
        let bytes = trace.bytes
        #expect(try Trace(TraceReader(bytes)) == trace)
        #expect(bytes.last == 0x0A)
    }

    /// The document's example is a trace.
    @Test func theExampleOfTheDocumentIsATrace() throws {
        let document = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "Traces/FORMAT.md")
        let text = try String(contentsOf: document, encoding: .utf8)
        let example = try #require(text.split(separator: "```trace\n").dropFirst().first?.split(separator: "```").first)
        let trace = try Self.read(String(example))
        #expect(String(decoding: trace.bytes, as: UTF8.self) == example)
        #expect(trace.edges == contentEdges(source: trace.source, destination: trace.destination))
        #expect(trace.sourceDevices.contains { $0.event?.isInjected == true })
        #expect(trace.source.folds.contains { $0.count > 1 })
    }

    /// A count no memory could hold is read, and unfolds one entry at a time.
    @Test func hugeCountsUnfoldLazily() throws {
        let huge = TraceReader.mostRepetitions
        var trace = Trace()
        trace.source.append(.times(huge, [FoldedEntry(first: Entry(.savevmStateIterate), lastTime: nil)]))
        let read = try Trace(TraceReader(trace.bytes))
        #expect(read.source.count == huge)
        #expect(read.source.prefix(1000).allSatisfy { $0.event == .savevmStateIterate })
        #expect(read.source.underestimatedCount == huge)
    }

    // MARK: Refusals

    /// An edit of the small trace, and how it must be refused: on the line that first holds `at`, or its last line.
    struct Damage: CustomTestStringConvertible {
        var testDescription: String
        var kind: TraceError.Kind
        /// Which line the error must name; nil for one behind the last.
        var line: Int?
        var text: String
    }

    static func damaged(_ old: String, _ new: String, _ kind: TraceError.Kind, shift: Int = 0) -> Damage {
        let range = text.range(of: old)!
        let line = text[..<range.lowerBound].filter { $0 == "\n" }.count + 1 + shift
        return Damage(testDescription: "\(old) -> \(new)", kind: kind, line: line, text: text.replacingCharacters(in: range, with: new))
    }

    static let lastLine = text.filter { $0 == "\n" }.count

    static let damages: [Damage] = [
        Damage(testDescription: "empty", kind: .empty, line: 1, text: ""),
        Damage(testDescription: "foreign", kind: .foreign, line: 1, text: "migration_cancel \n"),
        Damage(testDescription: "binary", kind: .foreign, line: 1, text: "\u{7F}ELF\0\0\0\n"),
        Damage(testDescription: "a line end first", kind: .foreign, line: 1, text: "\n" + text),
        Damage(testDescription: "a byte order mark", kind: .foreign, line: 1, text: "\u{FEFF}" + text),
        Damage(testDescription: "overlong first line", kind: .foreign, line: 1, text: String(repeating: "a", count: 300_000)),
        Damage(testDescription: "more behind the end", kind: .malformed, line: lastLine + 1, text: text + "end\n"),
        Damage(testDescription: "two traces", kind: .malformed, line: lastLine + 1, text: text + text),
        damaged("ackmatrix-trace 2", "ackmatrix-trace 3", .unknownVersion),
        damaged("ackmatrix-trace 2", "ackmatrix-trace 2.1", .unknownVersion),
        damaged("ackmatrix-trace 2", "ackmatrix-trace", .foreign),
        damaged("cell ", "sell ", .malformed),
        damaged("cell ", "cells ", .malformed),
        damaged("\\\\ twice", "\\ twice", .malformed),
        damaged("two\\x0alines", "two\\xZZlines", .malformed),
        damaged("two\\x0alines", "two\\xfflines", .malformed),
        damaged("outcome completed\n", "", .malformed),
        damaged("duration 812000000", "duration fast", .malformed),
        damaged("duration 812000000", "duration -1", .malformed),
        damaged("side source", "side left", .malformed),
        damaged("machine pc-q35-11.1\n", "", .malformed),
        damaged("trait decision at-threshold", "trait decides at-threshold", .malformed),
        damaged("trait decision at-threshold", "trait decision sideways", .malformed),
        damaged("trait decision at-threshold", "trait decision", .malformed),
        damaged("trait newest-status failing", "trait newest-status failed", .malformed),
        damaged("trait ack-mode per-device", "trait ack-mode none", .malformed),
        damaged("trait announces-requests no", "trait announces-requests no\ntrait announces-requests no", .malformed, shift: 1),
        damaged("capability multifd off", "capability multifd maybe", .malformed),
        damaged("property migration", "prop migration", .malformed),
        damaged("device v0 0000:00:01.0/vfio\n", "", .malformed),
        damaged("unknown libvirt 3", "unknown aliens 3", .malformed),
        damaged("unknown libvirt 3", "unknown libvirt 3\nunknown libvirt 3", .malformed, shift: 1),
        damaged("unknown libvirt 3", "unknown libvirt many", .malformed),
        damaged("stream source ", "stream destination ", .malformed),
        damaged("stream source 18", "stream source 17", .wrongCount, shift: 9),
        damaged("stream source 18", "stream source 19", .wrongCount, shift: 10),
        damaged("stream source 18", "stream source 999999999999999999", .oversized),
        damaged("stream source 18", "stream source 99999999999999999999", .malformed),
        damaged("stream source 18", "stream source eighteen", .malformed),
        damaged("1795231979.000000000", "-", .malformed, shift: 1),
        damaged("1795231979.000000000", "1795231979.5", .malformed),
        damaged("1795231979.000000000", "9999999999.000000000", .oversized),
        damaged("e * 0.000000000 migrate", "x * 0.000000000 migrate", .malformed),
        damaged("e * 0.000000000 migrate", "e T 0.000000000 migrate", .malformed),
        damaged("e * 0.000000000 migrate", "e 4294967296 0.000000000 migrate", .malformed),
        damaged("e * 0.000000000 migrate", "e * 0.00000000 migrate", .malformed),
        damaged("e * 0.000000000 migrate", "e * 0.000000000  migrate", .malformed),
        damaged("e * 0.000000000 migrate", "i * 0.000000000 migrate", .malformed),
        damaged("new state setup", "new state sleeping", .malformed),
        damaged("migrate_set_state new", "migrate_new_state new", .malformed),
        damaged("i 77 ", "e 77 ", .malformed),
        damaged("m * - qemu-system-x86_64:", "m * - qemu-system-x86_64", .malformed),
        damaged("repeat 6 2", "repeat 1 2", .malformed),
        damaged("repeat 6 2", "repeat 0 2", .malformed),
        damaged("repeat 6 2", "repeat 2 2", .malformed, shift: 2),
        damaged("repeat 6 2", "repeat 5 2", .wrongCount, shift: 6),
        damaged("repeat 6 2", "repeat 7 2", .wrongCount, shift: 4),
        damaged("repeat 6 2", "repeat 6 0", .oversized),
        damaged("repeat 6 2", "repeat 6 513", .oversized),
        damaged("repeat 6 2", "repeat 1099511627777 2", .oversized),
        damaged("repeat 6 2", "repeat 1099511627776 2", .malformed, shift: 2),
        damaged("repeat 6 2", "repeat 6 2\nrepeat 6 2", .nested, shift: 1),
        damaged("repeat 6 2", "repeat 6 3", .malformed, shift: 3),
        damaged("repeat 6 2", "repeat 6 2 1", .malformed),
        damaged(" -10 migration_bitmap", " -10,3 migration_bitmap", .malformed),
        damaged(" -10 migration_bitmap", " ten migration_bitmap", .malformed),
        damaged(" -10 migration_bitmap", " 0 migration_bitmap", .malformed),
        damaged("edges 6", "edges 5", .wrongCount, shift: 6),
        damaged("edges 6", "edges 7", .malformed, shift: 7),
        damaged("edge ping source 2 destination 1", "edge ping source 0 destination 1", .wrongCount),
        damaged("edge ping source 2 destination 1", "edge ping source 19 destination 1", .wrongCount),
        damaged("edge ping source 2 destination 1", "edge ping destination 1 source 2", .malformed),
        damaged("edge ping source 2 destination 1", "edge ping source 2 moon 1", .malformed),
        damaged("edge ping source 2 destination 1", "edge pang source 2 destination 1", .malformed),
        damaged("\nend \(lastLine) 26 6", "\nend \(lastLine) 26 5", .wrongCount, shift: 1),
        damaged("\nend \(lastLine) 26 6", "\nend \(lastLine) 25 6", .wrongCount, shift: 1),
        damaged("\nend \(lastLine) 26 6", "\nend \(lastLine - 1) 26 6", .wrongCount, shift: 1),
        damaged("\nend \(lastLine) 26 6", "\nend \(lastLine) 26", .malformed, shift: 1),
        damaged("\nend \(lastLine) 26 6\n", "\n", .truncated, shift: 1),
        damaged("\nend \(lastLine) 26 6\n", "\nend \(lastLine) 26 6", .truncated, shift: 1),
        damaged("outcome completed\n", "outcome completed\r\n", .malformed),
        damaged("outcome completed", "outcome \u{1B}[31mcompleted", .malformed),
        damaged("outcome completed", "outcome \u{9B}31mcompleted", .malformed),
        damaged("outcome completed", "outcome \u{7F}", .malformed),
        damaged("a b  c ", "a b\u{7}  c ", .malformed),
        damaged("outcome completed", "outcome " + String(repeating: "x", count: LogReader.longestLine), .oversized),
        Damage(
            testDescription: "an endless header", kind: .oversized, line: TraceReader.mostHeaderLines + 1,
            text: text.replacing("argument -name\n", with: String(repeating: "argument a\n", count: TraceReader.mostHeaderLines))),
    ]

    @Test(arguments: damages)
    func damagedTracesAreRefusedWithTheirPlace(damage: Damage) throws {
        let error = try #require(Self.error(of: Array(damage.text.utf8)))
        #expect(error.kind == damage.kind, "\(error)")
        #expect(error.position.line == damage.line, "\(error)")
        let lines = damage.text.utf8.split(separator: 0x0A, omittingEmptySubsequences: false)
        let offset = lines.prefix(error.position.line - 1).reduce(0) { $0 + $1.count + 1 }
        #expect(error.position.offset == min(offset, damage.text.utf8.count), "\(error)")
        #expect(error.reason.contains("expected"))
        #expect(error.description.utf8.count < 600)
    }

    @Test func aTraceCutAnywhereIsRefused() throws {
        let bytes = Self.small.bytes
        for length in bytes.indices { #expect(Self.error(of: Array(bytes[..<length])) != nil, "cut at byte \(length)") }
    }

    @Test func aTraceWithoutOneLineIsRefused() throws {
        let lines = Self.text.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
        for missing in lines.indices {
            let rest = lines.indices.filter { $0 != missing }.map { lines[$0] + "\n" }.joined()
            #expect(Self.error(of: Array(rest.utf8)) != nil, "without line \(missing + 1): \(lines[missing])")
        }
    }

    @Test func aRealTraceCutAtAnyLineIsRefused() throws {
        let bytes = try Self.trace("\(LogFiles.folder)/qemu/vfio-new-1.src.log", "\(LogFiles.folder)/qemu/vfio-new-1.dst.log").bytes
        let ends = bytes.indices.filter { bytes[$0] == 0x0A }.dropLast()
        for end in ends { #expect(Self.error(of: Array(bytes[...end]))?.kind == .truncated, "cut behind byte \(end)") }
    }

    /// Whatever bytes are wrong, the reader ends with a trace or a refusal; and a trace it takes can be written again.
    @Test func mutatedTracesNeverTrip() throws {
        var generator = SeededGenerator(seed: testSeed)
        let original = Self.small.bytes
        var refused = 0
        for round in 0..<1500 {
            var bytes = original
            for _ in 0..<Int.random(in: 1...3, using: &generator) {
                let place = Int.random(in: 0..<bytes.count, using: &generator)
                switch Int.random(in: 0..<5, using: &generator) {
                case 0: bytes[place] = UInt8.random(in: 0...255, using: &generator)
                case 1: bytes.remove(at: place)
                case 2: bytes.insert(UInt8.random(in: 0x30...0x39, using: &generator), at: place)
                case 3: bytes.insert(contentsOf: bytes[place..<min(bytes.count, place + 40)], at: place)
                default: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
                }
            }
            do {
                let trace = try Trace(TraceReader(bytes))
                let again = try Trace(TraceReader(trace.bytes))
                #expect(again == trace, "seed \(testSeed), round \(round)")
            } catch let error as TraceError {
                #expect(error.position.offset <= bytes.count, "seed \(testSeed), round \(round)")
                refused += 1
            }
        }
        #expect(refused > 0, "seed \(testSeed)")
    }

    // MARK: Files

    static func temporaryFolder() throws -> String {
        let folder = FileManager.default.temporaryDirectory.appending(path: "trace-tests-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        return folder
    }

    @Test func writesAllOrNothing() throws {
        let folder = try Self.temporaryFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let path = "\(folder)/cell.trace"
        try Self.small.write(path: path)
        #expect(try Trace(path: path) == Self.small)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["cell.trace"])

        // Again over the same name.
        try Trace().write(path: path)
        #expect(try Trace(path: path) == Trace())

        // A name that cannot be taken: nothing is left behind.
        let taken = "\(folder)/folder.trace"
        try FileManager.default.createDirectory(atPath: taken, withIntermediateDirectories: true)
        #expect(throws: FileError.self) { try Self.small.write(path: taken) }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder).sorted() == ["cell.trace", "folder.trace"])

        #expect(throws: FileError.self) { try Self.small.write(path: "\(folder)/missing/cell.trace") }
        #expect(throws: FileError.self) { _ = try Trace(path: "\(folder)/missing.trace") }
    }

    @Test func errorsOfTheOutputAreHandedOn() throws {
        struct Full: Error {}
        var parts = 0
        #expect(throws: Full.self) {
            try Self.small.write { _ in
                parts += 1
                throw Full()
            }
        }
        #expect(parts == 1)
    }
}
