/// Every message of the return path in every status.
import Testing

@testable import SwitchoverProtocol

@Suite struct ReturnPathTests {
    static let memory = RequestedMemory(blocks: ["pc.ram": 0x10_0000, "rom": 0x2000])

    enum Outcome: Equatable, Sendable {
        case reaction(ReturnPathReaction)
        case error(String)
    }

    static func outcome(_ message: ReturnPathMessage, _ status: Status, _ generation: Generation, pending: UInt32 = 1) -> Outcome {
        var memory = memory
        var ledger = SourceLedger(generation, mode: generation.has(.perDeviceAcks) ? .perDevice : .legacy, capability: true)
        do {
            try ledger.collect(pending)
            return .reaction(try ReturnPathRules(generation).react(to: message, in: status, &ledger, &memory))
        } catch { return .error(error.text) }
    }

    /// A bitmap of pc.ram: 256 pages, 32 bytes.
    static let bitmap = ReturnPathMessage.recvBitmap(block: "pc.ram", bits: 32, mark: 0x0123_4567_89ab_cdef)
    static let request = PageRequest(block: "pc.ram", offset: 0xc0000, length: 0x1000)

    /// Messages that mean the same wherever they are read.
    static let everywhere: [(ReturnPathMessage, Outcome)] = [
        (.shut(0), .reaction(.ends)),
        (.shut(1), .error("Sibling indicated error 1")),
        (.shut(.max), .error("Sibling indicated error -1")),
        (.pong(1), .reaction(.countsPong)),
        (.pong(0), .reaction(.countsPong)),
        (.pong(0x42_0000), .reaction(.countsPong)),
        (.requestPages(request), .reaction(.queuesPages(block: "pc.ram", bytes: 0xc0000..<0xc1000))),
        (.requestPages(PageRequest(block: nil, offset: 0, length: 4096)), .error("MIG_RP_MSG_REQ_PAGES has no previous block")),
        (
            .recvBitmap(block: "vga", bits: 32, mark: 0x0123_4567_89ab_cdef),
            .error("MIG_RP_MSG_RECV_BITMAP has invalid block name 'vga'")
        ),
        (.resumeAck(1), .reaction(.resumes)),
        (.resumeAck(0), .error("illegal resume_ack value 0")),
        (.resumeAck(.max), .error("illegal resume_ack value 4294967295")),
        (.switchoverAck, .reaction(.countsAck)),
    ]

    @Test(arguments: Generation.all) func everyMessage(_ generation: Generation) {
        for status in Status.allCases {
            for (message, expected) in Self.everywhere {
                let outcome = Self.outcome(message, status, generation)
                #expect(outcome == expected, "\(generation.name) \(status.rawValue) \(message)")
            }
            let recovers: Outcome =
                status == .postcopyRecover
                ? .reaction(.loadsBitmap(block: "pc.ram")) : .error("Reload bitmap in incorrect state \(status.rawValue)")
            #expect(Self.outcome(Self.bitmap, status, generation) == recovers, "\(status.rawValue)")
        }
    }

    /// PONG 0x42 sets a flag from 10.2 on, in any status; in its first form it changes the status, and only if it is postcopy-device.
    @Test(arguments: Generation.all) func packageLoaded(_ generation: Generation) {
        let expected: ReturnPathReaction =
            switch generation.name {
            case "8.1", "10.0", "10.1": .countsPong
            case "postcopy-device-v1": .changesStatus(from: .postcopyDevice, to: .postcopyActive)
            default: .packageLoaded
            }
        for status in Status.allCases {
            #expect(Self.outcome(.pong(0x42), status, generation) == .reaction(expected), "\(status.rawValue)")
        }
    }

    /// The race that the flag removes: the PONG comes before the status, and its change is lost.
    @Test func pongBeforePostcopyDevice() throws {
        for (generation, isLost) in [(Generation.postcopyDeviceV1, true), (.v10_2, false)] {
            var status = StatusMachine(generation, .source)
            for (from, to) in [(Status.none, Status.setup), (.setup, .active), (.active, .device)] { status.change(from: from, to: to) }
            var ledger = SourceLedger(generation, mode: .legacy, capability: true)
            var memory = Self.memory
            var isLoaded = false
            switch try ReturnPathRules(generation).react(to: .pong(0x42), in: status.status, &ledger, &memory) {
            case .changesStatus(let from, let to): #expect(status.change(from: from, to: to) == false)
            case .packageLoaded: isLoaded = true
            default: Issue.record("a PONG without a meaning")
            }
            status.change(from: .device, to: .postcopyDevice)
            var left = PendingBytes()
            left.postcopy = 1
            if SwitchoverDecision(generation).awaitsPackage(isLoaded: isLoaded, left) {
                status.change(from: .postcopyDevice, to: .postcopyActive)
            }
            #expect(status.status == (isLost ? .postcopyDevice : .postcopyActive))
            #expect(status.illegal == nil)
        }
    }

    /// A surplus ACK is an error of the thread from v1 on, whatever the status.
    @Test(arguments: Generation.all) func surplusAck(_ generation: Generation) {
        let counts = ["v1", "v2", "11.1", "request-message"].contains(generation.name)
        for status in Status.allCases {
            let outcome = Self.outcome(.switchoverAck, status, generation, pending: 0)
            #expect(outcome == (counts ? .error("Switchover ack pending num underflowed") : .reaction(.countsAck)))
        }
    }

    // MARK: Memory

    static let requests: [(PageRequest, String?)] = [
        (PageRequest(block: "pc.ram", offset: 0, length: 0x10_0000), nil),
        (PageRequest(block: "pc.ram", offset: 0xff000, length: 0x1000), nil),
        (
            PageRequest(block: "pc.ram", offset: 0xff000, length: 0x2000),
            "MIG_RP_MSG_REQ_PAGES request overrun, start=ff000 len=2000 blocklen=100000"
        ),
        (
            PageRequest(block: "rom", offset: 0, length: 0),
            "MIG_RP_MSG_REQ_PAGES request overrun, start=0 len=0 blocklen=2000"
        ),
        (
            PageRequest(block: "rom", offset: 0xffff_ffff_ffff_f000, length: 0x1000),
            "MIG_RP_MSG_REQ_PAGES request overrun, start=fffffffffffff000 len=1000 blocklen=2000"
        ),
        // Wraps, and would end within the block.
        (
            PageRequest(block: "rom", offset: 0xffff_ffff_ffff_f000, length: 0x2000),
            "MIG_RP_MSG_REQ_PAGES request overrun, start=fffffffffffff000 len=2000 blocklen=2000"
        ),
        (PageRequest(block: "rom", offset: 0x2000, length: 0), nil),
        (
            PageRequest(block: "rom", offset: 0x3000, length: 0),
            "MIG_RP_MSG_REQ_PAGES request overrun, start=3000 len=0 blocklen=2000"
        ),
        (PageRequest(block: "rom", offset: 0x10, length: 0x1000), "MIG_RP_MSG_REQ_PAGES: Misaligned page request, start:10 len: 4096"),
        (PageRequest(block: "rom", offset: 0, length: 100), "MIG_RP_MSG_REQ_PAGES: Misaligned page request, start:0 len: 100"),
        (PageRequest(block: "vga", offset: 0, length: 0x1000), "MIG_RP_MSG_REQ_PAGES has no block 'vga'"),
        // Looked at first, so that no block is missed yet.
        (PageRequest(block: nil, offset: 1, length: 0x1000), "MIG_RP_MSG_REQ_PAGES: Misaligned page request, start:1 len: 4096"),
    ]

    @Test(arguments: requests) func pageRequest(_ request: PageRequest, _ error: String?) {
        let outcome = Self.outcome(.requestPages(request), .postcopyActive, .v11_1)
        let block = request.block ?? "none"
        let queued = { ReturnPathReaction.queuesPages(block: block, bytes: request.offset..<request.offset + UInt64(request.length)) }
        #expect(outcome == (error.map { .error($0) } ?? .reaction(queued())))
    }

    /// A request without a name is for the block of the one before, even of one that ran over it.
    @Test func previousBlock() throws {
        var memory = Self.memory
        _ = try memory.resolve(PageRequest(block: "pc.ram", offset: 0, length: 4096))
        #expect(try memory.resolve(PageRequest(block: nil, offset: 0x3000, length: 4096)).block == "pc.ram")
        #expect(throws: ProtocolError.self) { try memory.resolve(PageRequest(block: "rom", offset: 0x2000, length: 4096)) }
        #expect(try memory.resolve(PageRequest(block: nil, offset: 0, length: 4096)).block == "rom")
    }

    static let bitmaps: [(String, UInt64, UInt64, String?)] = [
        ("pc.ram", 32, 0x0123_4567_89ab_cdef, nil),
        // 2 pages: one word.
        ("rom", 8, 0x0123_4567_89ab_cdef, nil),
        ("rom", 16, 0x0123_4567_89ab_cdef, "ramblock 'rom' bitmap size mismatch (0x10 != 0x8)"),
        ("pc.ram", 32, 0xdead, "ramblock 'pc.ram' end mark incorrect: 0xdead"),
    ]

    @Test(arguments: bitmaps) func bitmap(block: String, bits: UInt64, mark: UInt64, error: String?) {
        let outcome = Self.outcome(.recvBitmap(block: block, bits: bits, mark: mark), .postcopyRecover, .v11_1)
        #expect(outcome == (error.map { .error($0) } ?? .reaction(.loadsBitmap(block: block))))
    }

    // MARK: The frame

    static let headers: [(UInt16, UInt16, String?)] = [
        (1, 4, nil), (2, 4, nil), (3, 19, nil), (4, 12, nil), (5, 5, nil), (6, 4, nil), (7, 0, nil), (3, 512, nil), (5, 0, nil),
        (0, 0, "Received invalid message 0x0000 length 0x0000"),
        (8, 4, "Received invalid message 0x0008 length 0x0004"),
        (0xffff, 0x1234, "Received invalid message 0xffff length 0x1234"),
        (7, 4, "Received 'SWITCHOVER_ACK' message (0x0007) withincorrect length 4 expecting 0"),
        (1, 0, "Received 'SHUT' message (0x0001) withincorrect length 0 expecting 4"),
        (2, 5, "Received 'PONG' message (0x0002) withincorrect length 5 expecting 4"),
        (4, 13, "Received 'REQ_PAGES' message (0x0004) withincorrect length 13 expecting 12"),
        (6, 8, "Received 'RESUME_ACK' message (0x0006) withincorrect length 8 expecting 4"),
        (3, 513, "Received 'REQ_PAGES_ID' message (0x0003) withincorrect length 513 expecting 18446744073709551615"),
        (5, 513, "Received 'RECV_BITMAP' message (0x0005) withincorrect length 513 expecting 18446744073709551615"),
    ]

    @Test(arguments: headers) func header(type: UInt16, length: UInt16, error: String?) {
        var text: String?
        do { #expect(try ReturnPathRules(.v11_1).kind(type: type, length: length).rawValue == type) } catch { text = error.text }
        #expect(text == error)
    }

    @Test func shortMessages() {
        let rules = ReturnPathRules(.v11_1)
        #expect(rules.shortPayload(.pong, read: 2, expected: 4).text == "Failed reading data for message 0x0002 read 2 expected 4")
        #expect(ReturnPathRules.channelEnded.text == "Channel error: Input/output error")
        for (length, name, error) in [
            (19, 6, nil), (13, 0, nil), (18, 6, "Req_Page_id with length 18 expecting 19"),
            (12, nil, "Req_Page_id with length 12 expecting 13"),
        ] as [(UInt16, UInt8?, String?)] {
            var text: String?
            do { try rules.checkRequestLength(length, name: name) } catch { text = error.text }
            #expect(text == error)
        }
    }

    // MARK: The thread

    @Test func whomItsEndWakes() {
        for generation in Generation.all {
            let hasDevice = !["8.1", "10.0", "10.1"].contains(generation.name)
            for status in Status.allCases {
                let wakes = status == .postcopyRecover || status == .postcopyDevice && hasDevice
                #expect(ReturnPathRules(generation).endWakes(status) == wakes, "\(generation.name) \(status.rawValue)")
            }
        }
    }

    @Test func opening() {
        let (release, corrected) = (ReturnPathRules(.v11_1), ReturnPathRules(.v11_1.corrected))
        let badDescriptor = ProtocolError("Unable to read from file: Bad file descriptor")
        for (returnPath, postcopyRAM) in [(true, false), (false, true), (true, true)] {
            func open(_ rules: ReturnPathRules, _ transport: Transport, in status: Status = .setup) -> ReturnPathOpening {
                rules.opening(transport, in: status, returnPath: returnPath, postcopyRAM: postcopyRAM)
            }
            #expect(open(release, .socket) == .opens)
            #expect(open(corrected, .socket) == .opens)
            #expect(open(corrected, .socket, in: .postcopyRecoverSetup) == .opens)
            #expect(open(release, .file) == .broken(badDescriptor))
            #expect(open(release, .pipe) == .silent)
            #expect(open(corrected, .file) == .refused(ProtocolError("A file has no return path")))
            #expect(open(corrected, .pipe) == .refused(ProtocolError("A pipe has no return path")))
            // Cancelled while it connects: 11.1.3 is still cancelling then, 10.0.13 cancelled.
            #expect(open(release, .socket, in: .cancelling) == .opens)
            #expect(open(release, .socket, in: .cancelled) == .none)
            #expect(open(corrected, .socket, in: .cancelling) == .none)
            #expect(open(ReturnPathRules(.v10_0), .socket, in: .cancelling) == .none)
            #expect(open(ReturnPathRules(.v10_0), .socket, in: .cancelled) == .opens)
            #expect(open(ReturnPathRules(.v10_0.corrected), .socket, in: .cancelled) == .none)
            // Paused is what 8.x is when it connects again.
            #expect(open(ReturnPathRules(.v8_1), .socket, in: .postcopyPaused) == .opens)
            #expect(open(release, .socket, in: .postcopyPaused) == .none)
        }
        for transport in [Transport.socket, .file, .pipe] {
            #expect(release.opening(transport, in: .setup, returnPath: false, postcopyRAM: false) == .none)
        }
    }
}
