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
            #expect((part.result == 1) == (ram.dirtyPages == 0), "seed \(seed)")
            try target.load(part.payload, into: loaded)
        }
        dirtySome(ram, &random)
        ram.memory.write(block: 0, page: 0, page(0x77), log: .lastSync)
        source.host.runState = .finishMigrate
        if generation.has(.finalQuery) { _ = try source.query(ram, exact: true, final: true) }
        try target.load(try source.complete(ram), into: loaded)
        #expect(loaded.memory.hasContents(of: ram.memory), "seed \(seed)")
        #expect(loaded.missingPages == 0 && ram.dirtyPages == 0, "seed \(seed)")
    }
}
