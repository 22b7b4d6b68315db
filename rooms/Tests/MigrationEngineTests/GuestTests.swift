/// A guest that does something by itself while it is migrated, in whole migrations.
import MigrationStream
import MigrationTrace
import SwitchoverProtocol
import Testing

@testable import MigrationEngine

@Suite struct GuestTests {
    private static let unused = (block: "pc.ram", pages: 128..<160)
    private static let disk = (node: "disk", bytes: 0..<(1 << 20) as Range<UInt64>)

    private func guest(
        _ host: Host, _ pair: EnginePair, faults: Int = 0, hints: FreePageHints? = nil, bitmaps: DirtyBitmaps? = nil
    ) -> Guest {
        Guest(
            host, pair.simulation.clock, seed: pair.simulation.seed, faults: faults, hints: hints, unused: Self.unused, bitmaps: bitmaps,
            disk: Self.disk)
    }

    /// It is asked for hints, and what it names is not sent.
    @Test(arguments: [0, 5, 11] as [UInt64]) func unusedPagesAreNotSent(seed: UInt64) {
        let balloon = [FreePageHints(), FreePageHints()]
        let pair = EnginePair(seed: seed, filled: 200) { [balloon[$0 == .source ? 0 : 1]] }
        _ = guest(pair.source, pair, hints: balloon[0])
        pair.migrate()
        #expect(pair.status == .completed && pair.incoming.status == .completed)
        #expect(balloon[0].keptOrder(pair.source) && balloon[1].hinting.state == .done)
        let (source, destination) = (pair.source.memory!.memory, pair.destination.memory!.memory)
        for page in 0..<200 {
            let isSent = !Self.unused.pages.contains(page)
            #expect(destination.isZero(block: 0, page: page) == !isSent, "seed \(seed), page \(page)")
            if isSent { #expect(destination.contents(block: 0, page: page) == source.contents(block: 0, page: page)) }
        }
    }

    /// Each page it touches is asked for once and comes; a broken channel in between costs no page, since what is open is asked for again.
    @Test(arguments: [Generation.v10_0, .v10_2, .v11_1, .v11_1.corrected], [0, 3, 9] as [UInt64])
    func missingPagesAreAskedFor(generation: Generation, seed: UInt64) throws {
        for breaks in [false, true] {
            let pair = EnginePair(generation, [.returnPath, .postcopyRAM], seed: seed, memory: 2, filled: 400)
            pair.source.settings.maxBandwidth = 1 << 20
            pair.source.settings.maxPostcopyBandwidth = 1 << 20
            // 10.0 would send all at once that fits the threshold.
            pair.source.settings.availableBandwidth = 1000
            let guest = guest(pair.destination, pair, faults: 5)
            pair.migrate { pair.status == .active }
            pair.main.request(.startPostcopy)
            if breaks {
                let place = "\(generation.name), seed \(seed)"
                #expect(pair.run { guest.touched > 0 && pair.status == .postcopyActive }, "\(place)")
                pair.main.source?.shutDown()
                #expect(pair.run { pair.status == .postcopyPaused && pair.incoming.status == .postcopyPaused }, "\(place)")
                pair.main.request(.resume)
            }
            pair.run()
            let place = "\(generation.name), seed \(seed), breaks \(breaks)"
            #expect(pair.status == .completed && pair.incoming.status == .completed, "\(place)")
            #expect(guest.touched == 5, "\(place)")
            let asked = pair.destinationLog.count {
                if case .migrateSendRPMessage(let message, _) = $0 { [.reqPages, .reqPagesID].contains(message) } else { false }
            }
            #expect(breaks ? (5...6).contains(asked) : asked == 5, "\(place)")
            #expect(pair.destination.memory!.memory.hasContents(of: pair.source.memory!.memory), "\(place)")
            #expect(pair.illegalArcs.isEmpty, "\(place)")
        }
    }

    /// What it writes to its disk before the bitmap has come is in it in the end.
    @Test func writesInPostcopyAreKept() {
        let nodes: [String: UInt64] = ["disk": 1 << 30]
        var bitmap = BlockBitmap(node: "disk", name: "changes", size: 1 << 30)
        bitmap.note(512 << 20..<513 << 20)
        let bitmaps = [DirtyBitmaps(nodes: nodes, [bitmap]), DirtyBitmaps(nodes: nodes)]
        let pair = EnginePair(.v11_1, [.returnPath, .postcopyRAM, .dirtyBitmaps], memory: 2, filled: 64) {
            [bitmaps[$0 == .source ? 0 : 1]]
        }
        pair.source.settings.maxBandwidth = 1 << 20
        pair.source.settings.maxPostcopyBandwidth = 1 << 20
        let guest = guest(pair.destination, pair, bitmaps: bitmaps[1])
        pair.migrate { pair.status == .active }
        pair.main.request(.startPostcopy)
        pair.run()
        #expect(pair.status == .completed && guest.hasWritten && bitmaps[1].isLoaded)
        bitmap.note(Self.disk.bytes)
        #expect(bitmaps[1].bitmaps == [bitmap])
    }
}
