import MigrationStream
import MigrationTrace
import SwitchoverProtocol
import Testing

@testable import MigrationEngine

private let pageSize = GuestMemory.pageSize
private func page(_ byte: UInt8) -> [UInt8] { [UInt8](repeating: byte, count: pageSize) }

/// A guest of 3 blocks, a fifth of its pages filled.
private func randomGuest(_ random: inout ModuleRandom) -> GuestMemory {
    let blocks = (0..<3).map { MemoryBlock(id: "block\($0)", pages: Int.random(in: 1...300, using: &random)) }
    var memory = GuestMemory(blocks)
    for (block, table) in blocks.enumerated() {
        for page in 0..<table.pages where Int.random(in: 0..<5, using: &random) == 0 { fill(&memory, block, page, &random) }
    }
    return memory
}

/// A page in three becomes zero again.
private func fill(_ memory: inout GuestMemory, _ block: Int, _ number: Int, _ random: inout ModuleRandom) {
    let byte = Int.random(in: 0..<3, using: &random) == 0 ? 0 : UInt8.random(in: 1...255, using: &random)
    var bytes = page(0)
    bytes[Int.random(in: 0..<pageSize, using: &random)] = byte
    memory.write(block: block, page: number, bytes)
}

private func dirtySome(_ ram: RAM, _ random: inout ModuleRandom) {
    for _ in 0..<Int.random(in: 0..<40, using: &random) {
        let block = Int.random(in: 0..<3, using: &random)
        fill(&ram.memory, block, Int.random(in: 0..<ram.memory.pages(of: block), using: &random), &random)
    }
}

/// The destination's blocks come in another order, and hold something else before.
private func destination(of memory: GuestMemory, _ random: inout ModuleRandom) -> RAM {
    let ram = RAM(GuestMemory(memory.table.reversed()))
    for block in 0..<3 {
        for number in 0..<ram.memory.pages(of: block) where Bool.random(using: &random) {
            ram.memory.write(block: block, page: number, page(0xEE))
        }
    }
    return ram
}

@Suite struct PageSetTests {
    /// Against a plain set of numbers.
    @Test(arguments: 0..<50 as Range<UInt64>) func behavesAsASet(seed: UInt64) {
        var random = ModuleRandom(seed: seed)
        let pages = Int.random(in: 1...200, using: &random)
        var set = PageSet(pages: pages)
        var plain: Set<Int> = []
        for _ in 0..<60 {
            let first = Int.random(in: 0..<pages, using: &random)
            let range = first..<Int.random(in: first...pages, using: &random)
            switch Int.random(in: 0..<5, using: &random) {
            case 0:
                set.insert(range)
                plain.formUnion(range)
            case 1:
                set.remove(range)
                plain.subtract(range)
            case 2:
                #expect(set.insert(first) == plain.insert(first).inserted, "seed \(seed)")
            case 3:
                set = set.inverted
                plain = Set(0..<pages).subtracting(plain)
            default:
                var other = PageSet(pages: pages)
                other.insert(range)
                #expect(set.formUnion(other) == Set(range).subtracting(plain).count, "seed \(seed)")
                plain.formUnion(range)
            }
            #expect(set.count == plain.count && set.isEmpty == plain.isEmpty, "seed \(seed)")
            #expect(set.count(in: range) == plain.intersection(range).count, "seed \(seed)")
            #expect(set.runs.flatMap { Array($0) } == plain.sorted(), "seed \(seed)")
            #expect((0..<pages).filter { set.contains($0) } == plain.sorted(), "seed \(seed)")
            #expect(PageSet(pages: pages, words: set.words) == set, "seed \(seed)")
        }
    }
}

@Suite struct RAMModuleTests {
    private static let release: [Generation] = [.likeTenZero, .likeElevenZero, .likeElevenOne, .likeV2]

    /// Random guests, dirtied between the queries and after the last exact one: what is loaded is what the source has, page by page.
    @Test(arguments: release, 0..<20 as Range<UInt64>) func memoryArrivesWhole(generation: Generation, seed: UInt64) throws {
        var random = ModuleRandom(seed: seed)
        let ram = RAM(randomGuest(&random))
        let loaded = destination(of: ram.memory, &random)
        let (source, target) = (Bench(generation, modules: [ram]), Bench(generation, modules: [loaded]))
        try target.startLoad(loaded)
        try target.load(try source.setUp(ram), into: loaded)
        for _ in 0..<8 {
            dirtySome(ram, &random)
            _ = try source.query(ram, exact: Bool.random(using: &random))
            let budget = Int.random(in: 4200...200_000, using: &random)
            let part = try source.iterate(ram, budget: budget)
            #expect(part.payload.wireSize <= budget, "seed \(seed)")
            let isSpent = part.payload.wireSize >= budget
            #expect(part.result == (ram.dirtyPages == 0 && !isSpent ? 1 : 0), "seed \(seed)")
            try target.load(part.payload, into: loaded)
        }
        dirtySome(ram, &random)
        ram.memory.write(block: 0, page: 0, page(0x77), log: .lastSync)
        source.host.begin(in: .finishMigrate)
        if generation.has(.finalQuery) { _ = try source.query(ram, exact: true, final: true) }
        try target.load(try source.complete(ram), into: loaded)
        #expect(loaded.memory.hasContents(of: ram.memory), "seed \(seed)")
        #expect(loaded.missingPages == 0 && ram.dirtyPages == 0, "seed \(seed)")
    }

    /// Up to 11.0 completion makes the last sync, since then the final query; from 10.1 on completion is told of (confirmed on 10.0.13 and 11.1.3).
    @Test(arguments: release) func syncsWhereItsReleaseDoes(generation: Generation) throws {
        let ram = RAM(GuestMemory(mebibytes: 1))
        let bench = Bench(generation, modules: [ram])
        func told(_ body: () throws -> Void) rethrows -> [Event] {
            bench.log.events = []
            try body()
            return bench.log.events
        }
        func sync(_ pages: UInt64) -> [Event] { [.migrationBitmapSyncStart, .migrationBitmapSyncEnd(dirtyPages: pages)] }

        try #expect(told { _ = try bench.setUp(ram) } == sync(0), "all pages are dirty before the first sync: it finds none")
        try #expect(told { _ = try bench.query(ram) }.isEmpty)
        try #expect(told { _ = try bench.iterate(ram) }.isEmpty)
        ram.memory.rewrite(block: 0, 3..<5)
        try #expect(told { _ = try bench.query(ram, exact: true) } == sync(2))
        bench.host.begin(in: .finishMigrate)
        ram.memory.rewrite(block: 0, 4..<7)
        if generation.has(.finalQuery) {
            let final = try bench.query(ram, exact: true, final: true)
            #expect(bench.log.events.suffix(2) == sync(4)[...])
            #expect(final.precopy == 4 * 4096)
        }
        let completion: [Event] =
            switch generation.name {
            case "10.0": sync(4)
            case "11.0": [.ramSaveComplete(dirtyPages: 2, done: 0)] + sync(4) + [.ramSaveComplete(dirtyPages: 0, done: 1)]
            default: [.ramSaveComplete(dirtyPages: 4, done: 0), .ramSaveComplete(dirtyPages: 0, done: 1)]
            }
        var payload: [SectionRecord] = []
        try #expect(told { payload = try bench.complete(ram) } == completion)
        #expect(payload == [.zeroPages(block: 0, 3..<7), .end])
    }

    /// 17, 17 and 34 in a row, as 11.1.3 showed for a guest that writes 17 pages twice within a second.
    @Test func syncEndCountsUpWithinAPeriod() throws {
        let ram = RAM(GuestMemory(mebibytes: 1))
        let bench = Bench(modules: [ram])
        _ = try bench.setUp(ram)
        for written in [17, 0, 17] {
            _ = try bench.iterate(ram)
            ram.memory.rewrite(block: 0, 0..<written)
            _ = try bench.query(ram, exact: true)
        }
        ram.periodEnded()
        _ = try bench.query(ram, exact: true)
        let counts = bench.log.events.compactMap { if case .migrationBitmapSyncEnd(let pages) = $0 { pages } else { nil } }
        #expect(counts == [0, 17, 17, 34, 0])
    }

    /// An idle guest of 16 MiB goes as a record a block, and its first query tells all of it.
    @Test func anIdleGuestIsARecordABlock() throws {
        let ram = RAM(.q35(mebibytes: 16))
        let bench = Bench(modules: [ram])
        let start = try bench.setUp(ram)
        #expect(start == [.blocks(ram.memory.table), .end])
        try #expect(bench.query(ram).precopy == UInt64(ram.memory.pages * 4096))
        let part = try bench.iterate(ram)
        #expect(part.result == 1 && part.payload.count == ram.memory.table.count + 1)
        #expect(ram.memory.filledPages == 0)
        try #expect(bench.iterate(ram).payload == [.end])
        try #expect(bench.query(ram, exact: true).total == 0)
    }

    @Test(arguments: [([Capability.returnPath], false), ([.returnPath, .postcopyRAM], true)]) func pendingIsPrecopyOrPostcopy(
        capabilities: [Capability], isPostcopy: Bool
    ) throws {
        let ram = RAM(GuestMemory(mebibytes: 1))
        let bench = Bench(.likeElevenOne, Set(capabilities), modules: [ram])
        _ = try bench.setUp(ram)
        let pending = try bench.query(ram)
        #expect(pending.postcopy == (isPostcopy ? 1 << 20 : 0))
        #expect(pending.precopy == (isPostcopy ? 0 : 1 << 20))
        #expect(ram.hasPostcopy(bench.host) == isPostcopy)
    }

    /// What only the last sync reads is found by it alone.
    @Test(arguments: [Generation.likeTenZero, .likeElevenOne]) func theLastSyncReadsWhatOthersDoNot(generation: Generation) throws {
        let ram = RAM(GuestMemory(mebibytes: 1))
        let bench = Bench(generation, modules: [ram])
        _ = try bench.setUp(ram)
        _ = try bench.iterate(ram)
        ram.memory.write(block: 0, page: 9, page(1), log: .lastSync)
        try #expect(bench.query(ram, exact: true).precopy == 0)
        try #expect(bench.iterate(ram).payload == [.end])
        if generation.has(.finalQuery) { try #expect(bench.query(ram, exact: true, final: true).precopy == 4096) }
        try #expect(bench.complete(ram) == [.pages(block: 0, 9..<10, page(1)), .end])
    }

    /// No more than the budget, and all of it is used; where it is less than a page takes, one page goes.
    @Test(arguments: [(0, 0), (1, 1), (8, 1), (17, 1), (4112, 1), (8215, 1), (8216, 2), (20528, 5), (41_048, 10), (1 << 30, 10)])
    func theBudgetIsKept(budget: Int, pages: Int) throws {
        let ram = RAM(GuestMemory([MemoryBlock(id: "m", pages: 10)]))
        let bench = Bench(modules: [ram])
        for number in 0..<10 { ram.memory.write(block: 0, page: number, page(UInt8(number + 1))) }
        _ = try bench.setUp(ram)
        let part = try bench.iterate(ram, budget: budget)
        let sent = part.payload.reduce(0) { if case .pages(_, let range, _) = $1 { $0 + range.count } else { $0 } }
        #expect(sent == pages)
        #expect(part.payload.last == .end && ram.dirtyPages == UInt64(10 - sent))
        #expect(part.result == (budget > 41_048 ? 1 : 0), "a budget that is used up leaves open whether there is more")
        #expect(part.payload.wireSize <= max(budget, 8 + 8 + 4096))
    }

    @Test func nothingIsLoggedBeforeSetUpNorAfterCleanUp() throws {
        let ram = RAM(GuestMemory(mebibytes: 1))
        let bench = Bench(modules: [ram])
        ram.memory.write(block: 0, page: 1, page(1))
        _ = try bench.call { call throws(ModuleError) in ram.saveCleanup(&call) }
        _ = try bench.setUp(ram)
        _ = try bench.iterate(ram)
        ram.memory.write(block: 0, page: 2, page(1))
        _ = try bench.call { call throws(ModuleError) in ram.saveCleanup(&call) }
        ram.memory.write(block: 0, page: 3, page(1))
        #expect(ram.dirtyPages == 0 && !ram.memory.isLogging)
        _ = try bench.setUp(ram)
        _ = try bench.iterate(ram)
        try #expect(bench.query(ram, exact: true).precopy == 0)
    }

    @Test(arguments: [
        (SectionRecord.blocks([MemoryBlock(id: "pc.rom", pages: 1)]), "Unknown ramblock \"pc.rom\", cannot accept migration"),
        (.blocks([MemoryBlock(id: "m", pages: 11)]), "Size mismatch: m: 0xb000 != 0xa000"),
        (.blocks([MemoryBlock(id: "m", pages: .max)]), "Size mismatch: m: 0xfffffffffffff000 != 0xa000"),
        (.zeroPages(block: 1, 0..<1), "Ack, bad migration stream!"),
        (.zeroPages(block: -1, 0..<1), "Ack, bad migration stream!"),
        (.zeroPages(block: 0, 9..<11), "Illegal RAM offset a000"),
        (.zeroPages(block: 0, 12..<13), "Illegal RAM offset c000"),
        (.zeroPages(block: 0, -1..<1), "Illegal RAM offset a000"),
        (.pages(block: 0, 0..<Int.max, []), "Illegal RAM offset a000"),
        (.pages(block: 0, 0..<2, page(1)), "RAM: 2 pages with 4096 bytes of data"),
        (.note(1), "Unknown combination of migration flags: 0x0"),
    ]) func malformedRecordsAreRefused(record: SectionRecord, text: String) throws {
        let ram = RAM(GuestMemory([MemoryBlock(id: "m", pages: 10)]))
        let bench = Bench(modules: [ram])
        try bench.startLoad(ram)
        try bench.load([.blocks(ram.memory.table), .end], into: ram)
        let error = #expect(throws: ModuleError.self) { try bench.load([record], into: ram) }
        #expect(error?.text == text && (error?.result ?? 0) < 0)
        #expect(ram.missingPages == 10)
    }

    @Test func pagesNeedABlockTable() throws {
        let ram = RAM(GuestMemory([MemoryBlock(id: "m", pages: 10)]))
        let bench = Bench(modules: [ram])
        try bench.startLoad(ram)
        #expect(throws: ModuleError("Ack, bad migration stream!", result: -22)) {
            try bench.load([.zeroPages(block: 0, 0..<1)], into: ram)
        }
    }
}

@Suite struct RAMPostcopyTests {
    private static let capabilities: Set<Capability> = [.returnPath, .postcopyRAM]

    /// A precopy cut short, then postcopy with requests and, on every second seed, a channel that loses a PART: at the end the destination has what the
    /// source had when its guest stopped, but for what its own guest wrote.
    @Test(arguments: [Generation.likeTenZero, .likeElevenOne], 0..<30 as Range<UInt64>) func whatIsMissingArrives(
        generation: Generation, seed: UInt64
    ) throws {
        var random = ModuleRandom(seed: seed)
        let ram = RAM(randomGuest(&random))
        let loaded = destination(of: ram.memory, &random)
        let source = Bench(generation, Self.capabilities, modules: [ram])
        let target = Bench(generation, Self.capabilities, modules: [loaded])
        try target.startLoad(loaded)
        try target.load(try source.setUp(ram), into: loaded)
        for _ in 0..<Int.random(in: 0..<4, using: &random) {
            try target.load(try source.iterate(ram, budget: Int.random(in: 5000...100_000, using: &random)).payload, into: loaded)
            dirtySome(ram, &random)
            _ = try source.query(ram, exact: true)
        }
        dirtySome(ram, &random)
        source.host.begin(in: .finishMigrate)
        if generation.has(.finalQuery) { _ = try source.query(ram, exact: true, final: true) }
        for command in try source.discards(ram) { try loaded.discard(command) }
        #expect(ram.dirtyPages == UInt64(loaded.missingPages), "seed \(seed)")
        (ram.phase, loaded.phase) = (.postcopy, .postcopy)
        var expected = ram.memory
        var requested = ram.requested

        while ram.dirtyPages > 0 {
            for _ in 0..<Int.random(in: 0..<3, using: &random) {
                let block = Int.random(in: 0..<3, using: &random)
                try ask(ram, loaded, &requested, block, Int.random(in: 0..<loaded.memory.pages(of: block), using: &random))
            }
            let part = try source.iterate(ram, budget: Int.random(in: 5000...100_000, using: &random)).payload
            if seed % 2 == 1, Int.random(in: 0..<4, using: &random) == 0 {
                try recover(ram, loaded, source, &requested)
                continue
            }
            try target.load(part, into: loaded)
            // The guest writes where memory has come.
            let page = Int.random(in: 0..<loaded.memory.pages(of: 0), using: &random)
            if !loaded.isMissing(block: 0, page: page) {
                let bytes = [UInt8](repeating: 0x55, count: pageSize)
                loaded.memory.write(block: 0, page: page, bytes)
                expected.write(block: 2, page: page, bytes)
            }
        }
        let end = try source.complete(ram)
        try target.load(end, into: loaded)
        #expect(end == [.end] && loaded.missingPages == 0 && loaded.openRequests().isEmpty, "seed \(seed)")
        #expect(loaded.memory.hasContents(of: expected), "seed \(seed)")
    }

    /// The destination's guest touches a page.
    private func ask(_ ram: RAM, _ loaded: RAM, _ requested: inout RequestedMemory, _ block: Int, _ page: Int) throws {
        guard let message = loaded.touch(block: block, page: page) else { return }
        try send(message, to: ram, &requested)
        #expect(loaded.touch(block: block, page: page) == nil, "asked for once")
        #expect(ram.hasRequests)
    }

    private func send(_ message: ReturnMessage, to ram: RAM, _ requested: inout RequestedMemory) throws {
        guard case .requestPages(let block, let offset, let length) = message else { return }
        let (named, bytes) = try requested.resolve(PageRequest(block: block, offset: offset, length: length))
        ram.queue(block: named, bytes)
    }

    private func recover(_ ram: RAM, _ loaded: RAM, _ source: Bench, _ requested: inout RequestedMemory) throws {
        for command in ram.recoveryCommands() {
            guard case .recvBitmap(let block) = command, case .recvBitmap(let name, let words) = try loaded.receivedBitmap(block: block)
            else { continue }
            #expect(throws: ModuleError.self, "not all bitmaps have come") { try source.resume(ram) }
            ram.reload(block: name, received: words)
        }
        try source.resume(ram)
        for message in loaded.openRequests() { try send(message, to: ram, &requested) }
    }

    /// Pages are asked for by block and offset, by offset alone in the block of the request before; they go first, whatever the budget.
    @Test func anAskedForPageGoesFirst() throws {
        var memory = GuestMemory([MemoryBlock(id: "a", pages: 100), MemoryBlock(id: "b", pages: 100)])
        for number in 0..<100 { memory.write(block: 1, page: number, page(7)) }
        let (ram, loaded) = (RAM(memory), RAM(GuestMemory(memory.table)))
        let source = Bench(.likeElevenOne, Self.capabilities, modules: [ram])
        let target = Bench(.likeElevenOne, Self.capabilities, modules: [loaded])
        try target.startLoad(loaded)
        try target.load(try source.setUp(ram), into: loaded)
        (ram.phase, loaded.phase) = (.postcopy, .postcopy)
        let messages = [(1, 50), (1, 20), (0, 3)].compactMap { loaded.touch(block: $0, page: $1) }
        let asked: [ReturnMessage] = [
            .requestPages(block: "b", offset: 0x32000, length: 4096), .requestPages(block: nil, offset: 0x14000, length: 4096),
            .requestPages(block: "a", offset: 0x3000, length: 4096),
        ]
        #expect(messages == asked)
        var requested = ram.requested
        for message in messages { try send(message, to: ram, &requested) }
        let part = try source.iterate(ram, budget: 100)
        #expect(
            part.payload == [
                .pages(block: 1, 50..<51, page(7)), .pages(block: 1, 20..<21, page(7)), .zeroPages(block: 0, 3..<4), .end,
            ])
        #expect(!ram.hasRequests && part.result == 0)
        try target.load(part.payload, into: loaded)
        #expect(throws: ModuleError.self, "the guest may have written it meanwhile") {
            try target.load([.zeroPages(block: 0, 2..<4)], into: loaded)
        }
        let next = try source.iterate(ram, budget: 4200)
        #expect(next.payload.first == .zeroPages(block: 0, 4..<100), "it goes on behind the page that was asked for")
    }

    @Test func nothingIsSynchronisedInPostcopy() throws {
        let ram = RAM(GuestMemory(mebibytes: 1))
        let bench = Bench(.likeTenZero, Self.capabilities, modules: [ram])
        _ = try bench.setUp(ram)
        ram.phase = .postcopy
        bench.log.events = []
        try #expect(bench.query(ram, exact: true).postcopy == 1 << 20)
        _ = try bench.iterate(ram)
        ram.memory.rewrite(block: 0, 0..<1)
        try #expect(bench.complete(ram) == [.end])
        #expect(bench.log.events.isEmpty)
    }

    /// Requests that are repeated over a new channel name their block anew; pages that have come are left out.
    @Test func openRequestsNameTheirBlockAnew() throws {
        let ram = RAM(GuestMemory([MemoryBlock(id: "a", pages: 10)]))
        let bench = Bench(.likeElevenOne, Self.capabilities, modules: [ram])
        try bench.startLoad(ram)
        try bench.load([.blocks(ram.memory.table)], into: ram)
        ram.phase = .postcopy
        for page in 1...3 { #expect(ram.touch(block: 0, page: page) != nil) }
        try bench.load([.zeroPages(block: 0, 1..<2)], into: ram)
        let open: [ReturnMessage] = [
            .requestPages(block: "a", offset: 0x2000, length: 4096), .requestPages(block: nil, offset: 0x3000, length: 4096),
        ]
        #expect(ram.openRequests() == open)
        #expect(ram.touch(block: 0, page: 1) == nil)
        _ = try bench.call { call throws(ModuleError) in ram.loadCleanup(&call) }
        #expect(!ram.isMissing(block: 0, page: 2) && ram.touch(block: 0, page: 2) == nil)
    }

    /// Up to 11.0 the discards come with a sync of their own, without notifiers; 12 runs a command.
    @Test(arguments: [(Generation.likeTenZero, 1), (.likeElevenOne, 0)]) func discardsNameWhatIsDirty(generation: Generation, syncs: Int)
        throws
    {
        let (ram, balloon) = (RAM(GuestMemory([MemoryBlock(id: "a", pages: 64), MemoryBlock(id: "b", pages: 64)])), FreePageHints())
        let bench = Bench(generation, [.returnPath], modules: [ram, balloon])
        _ = try bench.setUp(ram)
        _ = try bench.iterate(ram)
        let hinting = balloon.hinting
        for number in 0..<13 { ram.memory.rewrite(block: 1, number * 3..<number * 3 + 2) }
        if syncs == 0 { _ = try bench.query(ram, exact: true, final: true) }
        bench.log.events = []
        let commands = try bench.discards(ram)
        let runs = (0..<13).map { $0 * 3..<$0 * 3 + 2 }
        #expect(commands == [.discard(block: 1, Array(runs[..<12])), .discard(block: 1, [runs[12]])])
        #expect(bench.log.events.count == 2 * syncs)
        #expect((balloon.hinting == hinting) == (syncs == 1))
    }

    @Test(arguments: [
        (MigrationCommand.discard(block: 1, [0..<1]), "block '1' not found"),
        (.discard(block: 0, [3..<4, 9..<11]), "ram_block_discard_range: Overrun block 'm' (36864/2000/a000)"),
    ]) func wrongDiscardsAreRefused(command: MigrationCommand, text: String) throws {
        let ram = RAM(GuestMemory([MemoryBlock(id: "m", pages: 10)]))
        let bench = Bench(modules: [ram])
        try bench.startLoad(ram)
        try bench.load([.blocks(ram.memory.table)], into: ram)
        #expect(throws: ModuleError(text, result: -22)) { try ram.discard(command) }
    }

    @Test func bitsBehindTheLastPageCountForNothing() throws {
        let ram = RAM(GuestMemory([MemoryBlock(id: "m", pages: 10)]))
        let bench = Bench(modules: [ram])
        _ = try bench.setUp(ram)
        ram.reload(block: "m", received: [.max << 4])
        #expect(ram.dirtyPages == 4)
    }
}

extension Bench {
    fileprivate func discards(_ ram: RAM) throws(ModuleError) -> [MigrationCommand] {
        var commands: [MigrationCommand] = []
        _ = try call { call throws(ModuleError) in
            commands = ram.discardCommands(&call)
            return .done
        }
        return commands
    }

    fileprivate func resume(_ ram: RAM) throws(ModuleError) {
        _ = try call { call throws(ModuleError) in try ram.resumePrepare(&call) }
    }
}

extension RAM {
    fileprivate func discard(_ command: MigrationCommand) throws(ModuleError) {
        if case .discard(let block, let ranges) = command { try discard(block: block, ranges) }
    }
}
