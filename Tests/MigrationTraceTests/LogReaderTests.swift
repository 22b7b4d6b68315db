import TestSupport
import Testing

@testable import MigrationTrace

@Suite struct LogReaderTests {
    static func lines(_ text: String) throws -> (lines: [LogLine], summary: LogSummary) { try lines(Array(text.utf8)) }

    static func lines(_ bytes: [UInt8]) throws -> (lines: [LogLine], summary: LogSummary) {
        var reader = LogReader(bytes)
        var lines: [LogLine] = []
        while let line = try reader.next() { lines.append(line) }
        return (lines, reader.summary)
    }

    // MARK: Prefixes

    static let stamps: [(String, Stamp?)] = [
        ("", nil),
        ("2376@1795232319.496199:", Stamp(realtime: 1_795_232_319_496_199_000, thread: 2376)),
        ("2026-11-21T03:32:59.177754Z ", Stamp(realtime: 1_795_231_979_177_754_000)),
        ("2026-11-21T03:32:59Z ", Stamp(realtime: 1_795_231_979_000_000_000)),
        ("1970-01-01T00:00:00Z ", Stamp(realtime: 0)),
        ("2028-02-29T23:59:60.5Z ", Stamp(realtime: 1_835_481_600_500_000_000)),
        (
            "41#12@1795232319.000000001+77.999999999:",
            Stamp(realtime: 1_795_232_319_000_000_001, thread: 41, sequence: 12, monotonic: 77_999_999_999)
        ),
    ]

    @Test(arguments: stamps)
    func prefixesOfEachRelease(prefix: String, stamp: Stamp?) throws {
        let (lines, summary) = try Self.lines(prefix + "migration_cancel \n")
        #expect(lines.map(\.stamp) == [stamp])
        #expect(lines.first?.event == .migrationCancel)
        #expect(summary.events == 1)
    }

    @Test(arguments: [
        "2376@1795232319.49619:", "2376@1795232319.4961999:", "2376@1795232319:", "2376@:", "99999999999@1.000000:", "4294967296@1.000000:",
        "2026-13-21T03:32:59Z ", "2026-11-32T03:32:59Z ", "2026-11-21T24:32:59Z ", "2026-11-21T03:32:59.Z ",
        "2026-11-21T03:32:59.1234567890Z ",
        "2026-11-21T03:32:59Z", "2026-11-21 03:32:59Z ", "41#12@1795232319.000000001:", "41#12@1795232319.00000001+77.999999999:",
        "41#@1795232319.000000001+77.999999999:", "1@99999999999999999999.000000:",
    ])
    func whatOnlyLooksLikeAPrefix(prefix: String) throws {
        let (lines, summary) = try Self.lines(prefix + "migration_cancel \n")
        #expect(lines.first?.event == nil)
        #expect(lines.first?.stamp == nil)
        #expect(summary.unknown.total == 1)
    }

    // MARK: Kinds of lines

    static let kinds: [(String, LogLine.Content)] = [
        ("migration_cancel", .record(.event(.migrationCancel))),
        ("migration_cancel \r", .record(.event(.migrationCancel))),
        ("qemu_new_event text", .unknown(.unknownEvent)),
        ("vfio_pci_reset  (0000:3b:00.2)", .unknown(.unknownEvent)),
        ("2026-11-21T03:32:59Z vfio_pci_reset_done ", .unknown(.unknownEvent)),
        ("migrate_set_state", .unknown(.malformedEvent)),
        ("", .unknown(.blank)),
        ("\r", .unknown(.blank)),
        ("# ... 679 lines left out ...", .unknown(.comment)),
        ("what a day", .unknown(.otherText)),
        ("char device redirected to /dev/pts/3 (label charserial0)", .unknown(.otherText)),
        ("_: ", .unknown(.otherText)),
        ("4_you text", .unknown(.otherText)),
        (":", .unknown(.otherText)),
        ("migrate_set_state\0new state active", .unknown(.binary)),
        ("migrate_error error=a\u{1}b", .unknown(.malformedEvent)),
        ("\u{7F}ELF", .unknown(.binary)),
        (
            "qemu-system-x86_64: terminating on signal 15",
            .record(.message(Message(program: "qemu-system-x86_64", text: "terminating on signal 15")))
        ),
        (
            "2026-11-21T03:34:14.912345Z qemu-kvm: warning: TSC frequency mismatch: 1",
            .record(.message(Message(program: "qemu-kvm", severity: .warning, text: "TSC frequency mismatch: 1")))
        ),
        ("kvm: info: virtual image", .record(.message(Message(program: "kvm", severity: .info, text: "virtual image")))),
        (
            "/opt/root/usr/bin/qemu-system-x86_64: load of migration failed: Invalid argument",
            .record(.message(Message(program: "/opt/root/usr/bin/qemu-system-x86_64", text: "load of migration failed: Invalid argument")))
        ),
        ("dbus-daemon: hello", .unknown(.otherText)),
        ("qemu-system-x86_64:no space", .unknown(.otherText)),
        ("2026-11-21 03:34:14.612+0000: starting up libvirt version: 11.3.0, qemu version: 11.1.3", .unknown(.libvirt)),
        ("2026-11-21 03:34:14.612+0000: shutting down, reason=migrated", .unknown(.libvirt)),
        ("LC_ALL=C \\", .unknown(.libvirt)),
        ("/usr/bin/qemu-system-x86_64 \\", .unknown(.libvirt)),
    ]

    @Test(arguments: kinds)
    func eachLineIsOfOneKind(line: String, content: LogLine.Content) throws {
        let (lines, summary) = try Self.lines("savevm_state_header \n\(line)\nsavevm_state_setup \n")
        try #require(lines.count == 3)
        #expect(lines[1].content == content)
        #expect(lines[1].position == Position(line: 2, offset: 21))
        #expect(lines[2].position == Position(line: 3, offset: 22 + line.utf8.count))
        #expect(summary.lines == 3)
        #expect(summary.events + summary.messages + summary.unknown.total == 3)
        if case .unknown(let kind) = content {
            #expect(summary.unknown[kind] == 1)
            #expect(summary.examples.map(\.position) == [Position(line: 2, offset: 21)])
        }
    }

    @Test func notUTF8IsBinary() throws {
        let (lines, summary) = try Self.lines(Array("migrate_error error=".utf8) + [0xFF, 0xFE, 0x0A] + [0xC3, 0x28, 0x0A])
        #expect(lines.map(\.content) == [.unknown(.malformedEvent), .unknown(.binary)])
        #expect(summary.examples.count == 2)
    }

    /// A per-domain log of libvirt: banner, environment, command line, events, messages, two processes.
    @Test func libvirtLog() throws {
        let log = """
            2026-11-21 03:34:14.612+0000: starting up libvirt version: 11.3.0, package: 1, qemu version: 11.1.3
            LC_ALL=C \\
            PATH=/usr/bin:/bin \\
            /usr/bin/qemu-system-x86_64 \\
            -name guest=vm_a,debug-threads=on \\
            -msg timestamp=on
            char device redirected to /dev/pts/1 (label charserial0)
            2026-11-21T03:34:20.000001Z migrate_set_state new state setup
            2026-11-21T03:34:20.100001Z qemu-system-x86_64: warning: slow
            2026-11-21T03:34:21Z migrate_set_state new state failed
            2026-11-21T03:34:22Z migrate_set_state new state setup
            2026-11-21T03:34:23.5Z migrate_set_state new state completed
            2026-11-21 03:34:24.000+0000: shutting down, reason=migrated
            2026-11-21 04:00:00.000+0000: starting up libvirt version: 11.3.0
            LC_ALL=C \\
            /usr/bin/qemu-system-x86_64 -incoming defer
            2026-11-21T04:00:01Z migration_block_activation inactive
            2026-11-21T04:00:02Z migrate_set_state new state setup

            """
        let (lines, summary) = try Self.lines(log)
        #expect(lines.compactMap { $0.event == nil ? nil : $0.episode } == [1, 1, 2, 2, 0, 3])
        #expect(lines[8].message?.severity == .warning)
        #expect(lines[8].episode == 1)
        #expect(summary.episodes == 3)
        #expect(summary.events == 6)
        #expect(summary.unknown[.libvirt] == 10)
        #expect(summary.unknown[.otherText] == 1)
        #expect(summary.unknown.total == 11)
        #expect(summary.verdict == .usable)
    }

    @Test func linesGluedOrBrokenAreCountedWithTheirPlace() throws {
        let log =
            "migrate_set_state new state actqemu-system-x86_64: oh\nive\nqemu_savevm_query_pending exact=0, fin\nsavevm_state_setup \n"
        let (lines, summary) = try Self.lines(log)
        #expect(lines.map(\.event) == [nil, nil, nil, .savevmStateSetup])
        #expect(summary.unknown[.malformedEvent] == 2)
        #expect(summary.unknown[.otherText] == 1)
        #expect(summary.examples.map(\.position) == [.init(line: 1, offset: 0), .init(line: 2, offset: 54), .init(line: 3, offset: 58)])
    }

    @Test func aLastLineWithoutEndIsReadAndMarked() throws {
        let (lines, summary) = try Self.lines("savevm_state_setup \nmigrate_set_state new state comp")
        #expect(lines.map(\.isUnterminated) == [false, true])
        #expect(lines[1].content == .unknown(.malformedEvent))
        #expect(summary.isUnterminated)
        let whole = try Self.lines("migrate_set_state new state completed")
        #expect(whole.lines.first?.event == .migrateSetState(.completed))
        #expect(whole.lines.first?.isUnterminated == true)
    }

    @Test func overlongLinesAreSkippedWhole() throws {
        for length in [LogReader.longestLine + 1, 200_000, 300_000, 1_000_000] {
            let long = "migrate_error error=" + String(repeating: "x", count: length - 20)
            let (lines, summary) = try Self.lines("savevm_state_setup \n\(long)\nmigration_cancel \n")
            #expect(lines.map(\.event) == [.savevmStateSetup, nil, .migrationCancel])
            #expect(lines[1].content == .unknown(.overlong))
            #expect(lines.map(\.position.offset) == [0, 20, 21 + length])
            #expect(summary.bytes == 20 + length + 1 + 18)
            let (unterminated, _) = try Self.lines(long)
            #expect(unterminated.map(\.content) == [.unknown(.overlong)])
            #expect(unterminated.first?.isUnterminated == true)
        }
        let longest = "migrate_error error=" + String(repeating: "x", count: LogReader.longestLine - 20)
        #expect(try Self.lines(longest + "\n").lines.first?.event != nil)
    }

    @Test func longTextsAreCutAtACharacterAndMarked() throws {
        for shift in 0..<4 {
            let text = String(repeating: "a", count: 4080 + shift) + String(repeating: "é", count: 50)
            guard case .migrateError(let error)? = try Self.lines("migrate_error error=\(text)\n").lines.first?.event else {
                Issue.record("expected an error event")
                continue
            }
            #expect(error.hasSuffix("…[cut]"))
            #expect(error.utf8.count <= 4096 && error.utf8.count >= 4090)
            #expect(text.hasPrefix(error.dropLast("…[cut]".count)))
        }
        let fits = String(repeating: "b", count: 4096)
        #expect(try Self.lines("migrate_error error=\(fits)\n").lines.first?.event == .migrateError(fits))
    }

    @Test func manyNamesStayBounded() throws {
        let log = (0..<5000).map { "vfio_save_cleanup  (device-\($0))\n" }.joined()
        let (lines, _) = try Self.lines(log)
        #expect(lines.enumerated().allSatisfy { $1.event == .vfioSaveCleanup(device: "device-\($0)") })
    }

    @Test func missingLinesOfTheShimShow() throws {
        func line(_ sequence: Int) -> String { "7#\(sequence)@5.000000000+1.000000000:device_drained  (v0) total 1\n" }
        #expect(try Self.lines([1, 2, 3].map(line).joined()).summary.sequenceBreaks == 0)
        #expect(try Self.lines([1, 2, 4, 5, 5, 6].map(line).joined()).summary.sequenceBreaks == 2)
    }

    // MARK: Whole inputs

    static let inputs: [(String, [UInt8], LogSummary.Verdict.Name)] = [
        ("nothing", [], .empty),
        ("one line end", [0x0A], .foreign),
        ("zeros", [UInt8](repeating: 0, count: 100_000), .foreign),
        ("an ELF header", [0x7F, 0x45, 0x4C, 0x46, 2, 1, 1, 0, 0x0A, 9, 9], .foreign),
        ("a migration stream", Array("QEVM".utf8) + [0, 0, 0, 3, 7, 0, 0, 0, 10], .foreign),
        ("prose", Array("Dear list,\n\nthe ACK never came.\n".utf8), .foreign),
        ("another program's log", Array("2026-11-21T03:00:00Z nginx: started\n".utf8), .foreign),
        ("messages only", Array("qemu-system-x86_64: no such machine\n".utf8), .foreign),
        ("a recorded trace", Array("ackmatrix-trace 2\ncell x\n".utf8), .foreign),
        ("other events only", Array("vfio_pci_reset  (v0)\n".utf8), .foreign),
        ("UTF-16", Array("migration_cancel \n".utf16).flatMap { [UInt8(truncatingIfNeeded: $0), 0] }, .foreign),
        ("one event", Array("migration_cancel \n".utf8), .usable),
    ]

    @Test(arguments: inputs)
    func whatAnInputIsGoodFor(what: String, bytes: [UInt8], verdict: LogSummary.Verdict.Name) throws {
        let (_, summary) = try Self.lines(bytes)
        #expect(summary.verdict.name == verdict)
        #expect(summary.bytes == bytes.count)
        if case .foreign(let example?) = summary.verdict {
            #expect(example.position == Position(line: 1, offset: 0))
            #expect(summary.verdict.description.contains("line 1 (byte 0)"))
        }
    }

    /// The same log in parts of any size reads the same.
    @Test(arguments: [1, 2, 7, 64, 4095, 4096, 100_000])
    func partsOfAnySize(size: Int) throws {
        let bytes = try LogFiles.log("qemu/lm-reinit-q23.src.log")
        let whole = try Self.lines(bytes)
        var place = 0
        var reader = LogReader { part in
            let count = min(part.count, size, bytes.count - place)
            part.copyBytes(from: bytes[place..<place + count])
            place += count
            return count
        }
        var lines: [LogLine] = []
        while let line = try reader.next() { lines.append(line) }
        #expect(lines == whole.lines)
        #expect(reader.summary == whole.summary)
    }

    @Test func errorsOfTheInputAreHandedOn() throws {
        var reader = LogReader { _ in throw FileError(operation: "read", path: "x", code: 5) }
        #expect(throws: FileError.self) { try reader.next() }
        #expect(throws: FileError.self) { _ = try LogReader(path: "/nowhere/at/all.log") }
        #expect(throws: FileError.self) {
            var folder = try LogReader(path: "/")
            _ = try folder.next()
        }
    }

    // MARK: Logs of real runs

    /// Tests that go through the logs would pass without any.
    @Test func thereAreLogs() {
        #expect(LogFiles.all.count >= 140)
        #expect(LogFiles.pairs.count >= 30)
    }

    /// Every line of a known event is typed, and prints again as it was.
    @Test(arguments: LogFiles.all)
    func logsPrintAsTheyWere(path: String) throws {
        let bytes = try LogFiles.bytes(path)
        let (lines, summary) = try Self.lines(bytes)
        #expect(summary.unknown[.malformedEvent] == 0, "\(summary.examples)")
        #expect(summary.unknown[.binary] == 0)
        for line in lines {
            guard let event = line.event else { continue }
            let rest = bytes[line.position.offset...].prefix { $0 != 0x0A }
            let printed = Array(event.line.utf8)
            guard rest.suffix(printed.count).elementsEqual(printed) else {
                Issue.record("\(path) \(line.position): \(String(decoding: rest, as: UTF8.self)) printed as \(event.line)")
                return
            }
            let prefix = rest.dropLast(printed.count)
            #expect(prefix.isEmpty == (line.stamp == nil))
        }
    }

    /// The events of real runs that are not in the vocabulary, on purpose: set-up of devices and channels, postcopy's inner life.
    static let leftUnknown = """
        loadvm_postcopy_ram_handle_discard_end loadvm_postcopy_ram_handle_discard_header migration_bitmap_clear_dirty
        migration_pagecache_init migration_set_incoming_channel migration_set_outgoing_channel migration_socket_incoming_accepted
        migration_socket_outgoing_connected postcopy_cleanup_range postcopy_discard_send_finish postcopy_discard_send_range
        postcopy_init_range postcopy_nhp_range postcopy_page_req_add postcopy_page_req_del postcopy_pause_continued
        postcopy_pause_fault_thread postcopy_pause_fault_thread_continued postcopy_pause_incoming postcopy_pause_incoming_continued
        postcopy_ram_enable_notify postcopy_ram_incoming_cleanup_blocktime postcopy_ram_incoming_cleanup_closeuf
        postcopy_ram_incoming_cleanup_entry postcopy_ram_incoming_cleanup_exit postcopy_ram_incoming_cleanup_join
        qemu_savevm_send_postcopy_ram_discard ram_dirty_bitmap_request ram_dirty_bitmap_sync_complete ram_dirty_bitmap_sync_start
        ram_dirty_bitmap_sync_wait vfio_attach_device vfio_device_attach vfio_device_dirty_tracking_start
        vfio_device_dirty_tracking_update vfio_device_get vfio_device_reset_handler vfio_get_device vfio_intx_disable vfio_intx_enable
        vfio_listener_region_add_ram vfio_listener_region_del vfio_listener_region_skip vfio_mdev vfio_pci_hot_reset
        vfio_pci_populate_device_config vfio_pci_populate_device_get_irq_info_failure vfio_pci_read_config vfio_pci_reset
        vfio_pci_reset_flr vfio_pci_write_config vfio_populate_device_config vfio_populate_device_get_irq_info_failure
        vfio_region_mmaps_set_enabled vfio_region_setup vfio_reset_handler
        """

    /// An event that falls out of the vocabulary shows here.
    @Test func whatRealLogsLeaveUnknown() throws {
        var unknown: Set<String> = []
        for path in LogFiles.all where path.hasPrefix(LogFiles.folder) {
            let bytes = try LogFiles.bytes(path)
            for line in try Self.lines(bytes).lines where line.content == .unknown(.unknownEvent) {
                let words = bytes[line.position.offset...].prefix { $0 != 0x0A }.split { $0 == 0x20 || $0 == UInt8(ascii: ":") }
                let name = words.map { String(decoding: $0, as: UTF8.self) }.first { $0.contains("_") && !$0.contains("-") }
                unknown.insert(name ?? "?")
            }
        }
        let expected = Set(Self.leftUnknown.split { $0 == " " || $0 == "\n" }.map(String.init))
        #expect(unknown.subtracting(expected) == [])
        #expect(expected.subtracting(unknown) == [])
    }

    @Test func realLogsHaveTheirEpisodes() throws {
        let sources = LogFiles.all.filter { $0.contains(".src.") && !$0.contains("recover") }
        #expect(sources.count >= 40)
        for path in sources {
            #expect(try Self.lines(LogFiles.bytes(path)).summary.episodes == 1, "\(path)")
        }
    }

    /// Any byte may be wrong: each line is still of one kind, at its place.
    @Test func mutatedLogsNeverTrip() throws {
        var generator = SeededGenerator(seed: testSeed)
        let logs = try ["qemu/lm-reinit-q23.dst.log", "qemu/x-vfio-10to10-2.src.log", "qemu/none-postcopy-recover.src.log"].map(
            LogFiles.log)
        var (events, unknown) = (0, 0)
        for round in 0..<60 {
            var bytes = Array(logs[round % logs.count].prefix(20_000))
            for _ in 0..<Int.random(in: 1...200, using: &generator) {
                let place = Int.random(in: 0..<bytes.count, using: &generator)
                switch Int.random(in: 0..<4, using: &generator) {
                case 0: bytes[place] = UInt8.random(in: 0...255, using: &generator)
                case 1: bytes.remove(at: place)
                case 2: bytes.insert(UInt8.random(in: 0x20...0x7E, using: &generator), at: place)
                default: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
                }
            }
            let (lines, summary) = try Self.lines(bytes)
            let ends = bytes.indices.filter { bytes[$0] == 0x0A }
            let starts = [0] + ends.map { $0 + 1 }
            #expect(lines.map(\.position.offset) == Array(starts.prefix(lines.count)), "seed \(testSeed), round \(round)")
            #expect(summary.events + summary.messages + summary.unknown.total == lines.count, "seed \(testSeed), round \(round)")
            events += summary.events
            unknown += summary.unknown.total
        }
        // Lines that were left alone, and lines that a mutation met.
        #expect(events > 0 && unknown > 0, "seed \(testSeed)")
    }
}

extension LogSummary.Verdict {
    enum Name { case usable, empty, foreign }

    var name: Name {
        switch self {
        case .usable: .usable
        case .empty: .empty
        case .foreign: .foreign
        }
    }
}
