import MigrationStream
import SwitchoverProtocol
import Testing

@testable import MigrationEngine

private typealias State = FreePageHinting.State

@Suite struct FreePageHintsModuleTests {
    @Test(arguments: [
        (PrecopyReason.setup, true, State.stop, State.stop), (.setup, false, .start, .start),
        (.beforeBitmapSync, true, .start, .stop), (.beforeBitmapSync, false, .done, .stop),
        (.afterBitmapSync, true, .stop, .requested), (.afterBitmapSync, false, .stop, .done),
        (.complete, false, .done, .done), (.complete, false, .stop, .stop),
        (.cleanup, true, .start, .done), (.cleanup, false, .stop, .done),
    ]) fileprivate func followsTheNotifiers(reason: PrecopyReason, guestRuns: Bool, from: State, to: State) {
        var hinting = FreePageHinting()
        switch from {
        case .stop: break
        case .done: hinting.notified(.cleanup, guestRuns: false)
        case .requested, .start:
            hinting.notified(.afterBitmapSync, guestRuns: true)
            if from == .start { hinting.answered(round: hinting.round) }
        }
        #expect(hinting.state == from)
        hinting.notified(reason, guestRuns: guestRuns)
        #expect(hinting.state == to)
    }

    @Test func anAnswerToAnOlderRoundCountsForNothing() {
        var hinting = FreePageHinting()
        hinting.notified(.afterBitmapSync, guestRuns: true)
        let first = hinting.round
        hinting.notified(.beforeBitmapSync, guestRuns: true)
        hinting.answered(round: first)
        #expect(hinting.state == .stop)
        hinting.notified(.afterBitmapSync, guestRuns: true)
        hinting.answered(round: first)
        #expect(first == 0x8000_0000 && hinting.round == first + 1 && hinting.state == .requested)
    }

    /// The sync with the guest stopped says "done" before the FULL section is written: in RAM's completion up to 11.0, in the final query since. A migration
    /// without that sync breaks the order, and it shows.
    @Test(arguments: [Generation.likeTenZero, .likeElevenZero, .likeElevenOne, .likeV2], [true, false])
    func doneComesBeforeTheSection(generation: Generation, syncs: Bool) throws {
        let (ram, balloon) = (RAM(GuestMemory(mebibytes: 1)), FreePageHints())
        let bench = Bench(generation, modules: [ram, balloon])
        _ = try bench.setUp(ram)
        #expect(balloon.hinting.state == .requested && balloon.keptOrder(bench.host))
        _ = try bench.query(ram, exact: true)
        bench.host.begin(in: .finishMigrate)
        if syncs {
            if generation.has(.finalQuery) { _ = try bench.query(ram, exact: true, final: true) }
            _ = try bench.complete(ram)
        }
        let state = try bench.save(balloon)
        #expect(balloon.keptOrder(bench.host) == syncs)
        #expect(balloon.writtenAs == (syncs ? .done : .requested))
        let loaded = FreePageHints()
        try bench.load(state, into: loaded)
        #expect(loaded.hinting == balloon.hinting)
    }

    @Test(arguments: [(true, false, true), (false, false, false), (true, true, false)])
    func takesPartOnlyWhereHintsAreOfUse(isNegotiated: Bool, postcopy: Bool, takesPart: Bool) throws {
        let (ram, balloon) = (RAM(GuestMemory(mebibytes: 1)), FreePageHints())
        balloon.isNegotiated = isNegotiated
        let bench = Bench(.likeElevenOne, postcopy ? [.returnPath, .postcopyRAM] : [.returnPath], modules: [ram, balloon])
        _ = try bench.setUp(ram)
        #expect(balloon.hinting.state == (takesPart ? .requested : .stop))
        balloon.hint(block: 0, 0..<10, to: ram)
        #expect(ram.dirtyPages == (takesPart ? 246 : 256))
        _ = try bench.save(balloon)
        #expect(balloon.keptOrder(bench.host) == !takesPart)
    }

    /// A page that was given as a hint is sent after all when the guest writes it again.
    @Test func aHintedPageThatIsWrittenIsSent() throws {
        let (ram, balloon) = (RAM(GuestMemory(mebibytes: 1)), FreePageHints())
        let bench = Bench(modules: [ram, balloon])
        _ = try bench.setUp(ram)
        balloon.hint(block: 0, 10..<256, to: ram)
        try #expect(bench.iterate(ram).payload == [.zeroPages(block: 0, 0..<10), .end])
        ram.memory.rewrite(block: 0, 20..<21)
        try #expect(bench.query(ram, exact: true).precopy == 4096)
        try #expect(bench.iterate(ram).payload == [.zeroPages(block: 0, 20..<21), .end])
    }

    @Test(arguments: [SectionRecord.fields([3]), .fields([9, 0, 0, 0, 0]), .end]) func malformedFieldsAreRefused(record: SectionRecord)
        throws
    {
        #expect(throws: ModuleError.self) { try Bench().load([record], into: FreePageHints()) }
    }
}
