import MigrationStream
import SwitchoverProtocol
import TestSupport
import Testing

@testable import MigrationEngine

@Suite struct StorageAttributesModuleTests {
    /// A count of pages, in precopy, whatever the query.
    @Test(arguments: [Generation.likeTenZero, .likeElevenOne]) func pendingIsACount(generation: Generation) throws {
        let module = StorageAttributes(pages: 10_000)
        let bench = Bench(generation, modules: [module])
        _ = try bench.setUp(module)
        try #expect(bench.query(module).precopy == 10_000)
        try #expect(bench.query(module, exact: true).precopy == 10_000)
        try #expect(bench.query(module, exact: true, final: true).precopy == 10_000)
        #expect(module.isActive(bench.host))
        module.isEnabled = false
        #expect(!module.isActive(bench.host))
    }

    @Test(arguments: 0..<20 as Range<UInt64>) func attributesArriveWhole(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let pages = Int.random(in: 1...20_000, using: &random)
        let (module, loaded, bench) = (StorageAttributes(pages: pages), StorageAttributes(pages: pages), Bench())
        func set() { module.set(Int.random(in: 0..<pages, using: &random), UInt8.random(in: 0...255, using: &random)) }
        for _ in 0..<100 { set() }
        try bench.startLoad(loaded)
        try bench.load(try bench.setUp(module), into: loaded)
        for _ in 0..<5 {
            for _ in 0..<20 { set() }
            let budget = Int.random(in: 25...10_000, using: &random)
            let part = try bench.iterate(module, budget: budget)
            #expect(part.payload.wireSize <= budget, "seed \(seed)")
            let left = try bench.query(module).precopy
            #expect((part.result == 1) == (left == 0), "seed \(seed)")
            try bench.load(part.payload, into: loaded)
            #expect(loaded.values.allSatisfy { $0 == 0 } && !loaded.isSynchronised, "nothing is taken over before DONE")
        }
        set()
        let end = try bench.complete(module)
        #expect(end.suffix(2) == [.attributesDone, .end])
        try bench.load(end, into: loaded)
        #expect(loaded.values == module.values && loaded.isSynchronised, "seed \(seed)")
        try #expect(bench.query(module).precopy == 0)
    }

    @Test(arguments: [
        SectionRecord.attributes(first: 9, values: [1, 2]), .attributes(first: .max, values: [1]), .attributes(first: 11, values: []),
        .note(0),
    ])
    func malformedRecordsAreRefused(record: SectionRecord) throws {
        let (module, bench) = (StorageAttributes(pages: 10), Bench())
        try bench.startLoad(module)
        #expect(throws: ModuleError.self) { try bench.load([record], into: module) }
    }
}
