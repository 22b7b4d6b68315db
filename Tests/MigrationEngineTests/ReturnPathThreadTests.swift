/// Whole migrations in which the source receives messages that the engine's destination would never send.
import MigrationStream
import MigrationTrace
import SwitchoverProtocol
import Testing

@testable import MigrationEngine

@Suite struct ReturnPathThreadTests {
    struct Row: CustomTestStringConvertible {
        var message: ReturnMessage
        /// What it is told as.
        var event: Event?
        var error: String
        var testDescription: String { "\(message)" }
    }

    static let rows = [
        Row(message: .shut(1), event: .sourceReturnPathThreadShut(1), error: "Sibling indicated error 1"),
        Row(message: .shut(.max), event: .sourceReturnPathThreadShut(0xffff_ffff), error: "Sibling indicated error -1"),
        Row(
            message: .requestPages(block: nil, offset: 0, length: 4096),
            event: .migrateHandleRPReqPages(block: "(null)", start: 0, length: 4096), error: "MIG_RP_MSG_REQ_PAGES has no previous block"),
        Row(
            message: .requestPages(block: "vga", offset: 0, length: 4096),
            event: .migrateHandleRPReqPages(block: "vga", start: 0, length: 4096), error: "MIG_RP_MSG_REQ_PAGES has no block 'vga'"),
        Row(
            message: .requestPages(block: "pc.ram", offset: 1, length: 4096),
            event: .migrateHandleRPReqPages(block: "pc.ram", start: 1, length: 4096),
            error: "MIG_RP_MSG_REQ_PAGES: Misaligned page request, start:1 len: 4096"),
        Row(
            message: .requestPages(block: "pc.ram", offset: 0xf_f000, length: 0x2000),
            event: .migrateHandleRPReqPages(block: "pc.ram", start: 0xf_f000, length: 0x2000),
            error: "MIG_RP_MSG_REQ_PAGES request overrun, start=ff000 len=2000 blocklen=100000"),
        Row(
            message: .requestPages(block: "pc.ram", offset: 0xffff_ffff_ffff_f000, length: 0x2000),
            event: .migrateHandleRPReqPages(block: "pc.ram", start: 0xffff_ffff_ffff_f000, length: 0x2000),
            error: "MIG_RP_MSG_REQ_PAGES request overrun, start=fffffffffffff000 len=2000 blocklen=100000"),
        Row(
            message: .recvBitmap(block: "pc.ram", [0, 0, 0, 0]), event: .ramDirtyBitmapReloadBegin(block: "pc.ram"),
            error: "Reload bitmap in incorrect state active"),
        Row(message: .recvBitmap(block: "vga", [0]), error: "MIG_RP_MSG_RECV_BITMAP has invalid block name 'vga'"),
        Row(message: .resumeAck(2), event: .sourceReturnPathThreadResumeAck(2), error: "illegal resume_ack value 2"),
    ]

    /// Each ends the thread with QEMU's text, behind what says that the message came; nobody looks at it until the thread is joined.
    @Test(arguments: rows) func aWrongMessageEndsTheThread(_ row: Row) throws {
        let (pair, source) = try waiting()
        let before = pair.sourceLog.events.count
        #expect(source.channel.writeBack(row.message, at: pair.simulation.clock.now))
        pair.run { source.returnPath?.isOver == true }
        #expect(source.returnPath?.hasFailed == true)
        #expect(source.error == row.error)
        let news = pair.sourceLog.events[before...].filter { row.events.contains($0) }
        #expect(news == row.events)
        #expect(pair.status == .active)
    }

    /// A surplus ACK is counted, below 0, before the thread ends; without that wrong it leaves the counter at 0.
    @Test(arguments: [(Generation.v11_1, UInt32.max), (.v11_1.corrected, 0)]) func aSurplusAck(generation: Generation, pending: UInt32)
        throws
    {
        let (pair, source) = try waiting(generation)
        for _ in 0..<2 { #expect(source.channel.writeBack(.switchoverAck, at: pair.simulation.clock.now)) }
        pair.run { source.returnPath?.isOver != false }
        #expect(source.error == "Switchover ack pending num underflowed")
        let shown = pair.sourceLog.events.compactMap {
            if case .sourceReturnPathThreadSwitchoverAcked(let pending) = $0 { Optional(pending) } else { nil }
        }
        #expect(shown == [0, pending])
    }

    /// Pages may be asked for in precopy, too, also by offset alone in the block of the request before.
    @Test func requestsAreQueued() throws {
        let (pair, source) = try waiting()
        for message in [
            ReturnMessage.requestPages(block: "pc.ram", offset: 0x3000, length: 4096), .requestPages(block: nil, offset: 0, length: 4096),
        ] {
            #expect(source.channel.writeBack(message, at: pair.simulation.clock.now))
        }
        #expect(pair.run { source.requestedMemory.last == "pc.ram" && pair.source.memory?.hasRequests == true })
        pair.run { pair.source.memory?.hasRequests == false }
        #expect(source.returnPath?.isOver == false && source.error == nil)
    }

    /// A source that has asked for an ACK, and waits for it.
    private func waiting(_ generation: Generation = .v11_1) throws -> (EnginePair, Source) {
        let pair = EnginePair(generation) { _ in [Requester(idstr: "requester", RequesterScript([.init(query: 1)], markerDelay: .max))] }
        pair.migrate { pair.main.source?.ledger.pending == 1 }
        #expect(pair.status == .active)
        return (pair, try #require(pair.main.source))
    }
}

extension ReturnPathThreadTests.Row {
    /// All that is told of it, in order.
    fileprivate var events: [Event] {
        (event.map { [$0] } ?? []) + [.migrateError(error), .sourceReturnPathThreadBadEnd, .sourceReturnPathThreadEnd]
    }
}
