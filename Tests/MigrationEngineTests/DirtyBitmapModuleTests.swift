import MigrationStream
import MigrationTrace
import SwitchoverProtocol
import TestSupport
import Testing

@testable import MigrationEngine

private let capabilities: Set<Capability> = [.returnPath, .dirtyBitmaps]
private let mebibyte: UInt64 = 1 << 20

@Suite struct DirtyBitmapModuleTests {
    @Test(arguments: [(true, true, true), (true, false, false), (false, true, false), (false, false, false)])
    func takesPartWithCapabilityAndBitmaps(capability: Bool, hasBitmap: Bool, isActive: Bool) {
        let bitmap = BlockBitmap(node: "n0", name: "b0", size: mebibyte)
        let module = DirtyBitmaps(nodes: ["n0": mebibyte], hasBitmap ? [bitmap] : [])
        let bench = Bench(.likeElevenOne, capability ? capabilities : [.returnPath], modules: [module])
        #expect(module.isActive(bench.host) == isActive)
        #expect(module.hasPostcopy(bench.host) && module.isIterable && !module.hasState)
    }

    /// No PART while the guest runs.
    @Test(arguments: [(RunState.running, false), (.finishMigrate, true), (.paused, true)]) func iteratesWithTheGuestStopped(
        state: RunState, iterates: Bool
    ) {
        let bench = Bench(.likeElevenOne, capabilities)
        bench.host.begin(in: state)
        #expect(DirtyBitmaps(nodes: [:]).isActiveIterate(bench.host) == iterates)
    }

    /// 8 TiB in bits of 64 KiB are 134217728 bytes that postcopy has to send, for each kind of query (confirmed on 11.1.3).
    @Test(arguments: [Generation.likeTenZero, .likeElevenOne]) func pendingIsPostcopyAndABitAByte(generation: Generation) throws {
        let size: UInt64 = 8 << 40
        let module = DirtyBitmaps(nodes: ["n0": size], [BlockBitmap(node: "n0", name: "b0", size: size)])
        let bench = Bench(generation, capabilities, modules: [module])
        _ = try bench.setUp(module)
        for (exact, final) in [(false, false), (true, false), (true, true)] {
            let pending = try bench.query(module, exact: exact, final: final)
            #expect(pending.postcopy == 134_217_728 && pending.precopy == 0 && pending.stopCopy == 0)
        }
    }

    /// Random bitmaps, sent in completion (precopy) or in PARTs with a budget (postcopy), the destination's guest writing meanwhile.
    @Test(arguments: [false, true], 0..<20 as Range<UInt64>) func bitmapsArriveWhole(postcopy: Bool, seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let sizes: [String: UInt64] = ["n0": 300 * mebibyte + 512, "n1": 3 * mebibyte]
        let bitmaps = [
            BlockBitmap(node: "n0", name: "a", granularity: 512, size: sizes["n0"]!),
            BlockBitmap(node: "n1", name: "b", size: sizes["n1"]!),
            BlockBitmap(node: "n0", name: "c", granularity: 4096, size: sizes["n0"]!),
        ]
        let (module, loaded) = (DirtyBitmaps(nodes: sizes, bitmaps), DirtyBitmaps(nodes: sizes))
        let source = Bench(.likeElevenOne, capabilities, modules: [module])
        let target = Bench(.likeElevenOne, capabilities, modules: [loaded])
        func write(_ modules: [DirtyBitmaps]) {
            let node = Bool.random(using: &random) ? "n0" : "n1"
            let start = UInt64.random(in: 0..<sizes[node]!, using: &random)
            let end = min(start + UInt64.random(in: 1...mebibyte, using: &random), sizes[node]!)
            for module in modules { module.write(node: node, start..<end) }
        }
        for _ in 0..<5 { write([module]) }
        try target.startLoad(loaded)
        try target.load(try source.setUp(module), into: loaded)
        #expect(!loaded.isLoaded && loaded.bitmaps.count == 3)
        write([module])
        source.host.begin(in: .finishMigrate)
        let expected = DirtyBitmaps(nodes: sizes, module.bitmaps)
        if postcopy {
            var result: Int64 = 0
            while result == 0 {
                let budget = Int.random(in: 40...5000, using: &random)
                let part = try source.iterate(module, budget: budget)
                #expect(part.payload.count == 2 || part.payload.wireSize <= budget, "seed \(seed)")
                result = part.result
                try target.load(part.payload, into: loaded)
                if Int.random(in: 0..<20, using: &random) == 0 { write([loaded, expected]) }
            }
            try #expect(source.query(module).postcopy == 0)
        }
        let end = try source.complete(module)
        #expect(end.count == 4 || !postcopy, "only what says that each is complete")
        try target.load(end, into: loaded)
        #expect(loaded.bitmaps == expected.bitmaps && loaded.isLoaded, "seed \(seed)")
        write([loaded, expected])
        #expect(loaded.bitmaps == expected.bitmaps, "seed \(seed)")
    }

    @Test(arguments: [
        (
            SectionRecord.bitmapStart(node: "n0", name: "b0", granularity: 65536),
            "Bitmap with the same name ('b0') already exists on destination"
        ),
        (.bitmapStart(node: "n9", name: "b0", granularity: 65536), "Cannot find device='n9' nor node-name='n9'"),
        (.bitmapStart(node: "n0", name: "b1", granularity: 1000), "dirty-bitmap: 'b1' has a granularity of 1000"),
        (.bitmapStart(node: "n0", name: "b1", granularity: 0), "dirty-bitmap: 'b1' has a granularity of 0"),
        (.bitmapBits(node: "n0", name: "b1", firstSector: 0, bits: [1]), "Error: unknown dirty bitmap 'b1' for block device 'n0'"),
        (.bitmapComplete(node: "n0", name: "b1"), "Error: unknown dirty bitmap 'b1' for block device 'n0'"),
        (
            .bitmapBits(node: "n0", name: "b0", firstSector: 0, bits: [1, 1]),
            "Migrated bitmap granularity doesn't match the destination bitmap 'b0' granularity"
        ),
        (.bitmapBits(node: "n0", name: "b0", firstSector: 7, bits: [1]), "dirty-bitmap: no bits of 'b0' begin at sector 7"),
        (
            .bitmapZeroes(node: "n0", name: "b0", firstSector: .max, sectors: 1),
            "dirty-bitmap: no bits of 'b0' begin at sector 18446744073709551615"
        ),
        (.bitmapZeroes(node: "n0", name: "b0", firstSector: 0, sectors: .max), "dirty-bitmap: 'b0' ends at bit 16, not 33554431"),
        (.note(1), "Unknown flags in migrated dirty bitmap header: 0"),
    ]) func malformedRecordsAreRefused(record: SectionRecord, text: String) throws {
        let module = DirtyBitmaps(nodes: ["n0": mebibyte])
        let bench = Bench(.likeElevenOne, capabilities, modules: [module])
        try bench.startLoad(module)
        try bench.load([.bitmapStart(node: "n0", name: "b0", granularity: 65536), .end], into: module)
        #expect(throws: ModuleError(text, result: -22)) { try bench.load([record], into: module) }
    }

    @Test func aCompleteBitmapTakesNoMoreBits() throws {
        let module = DirtyBitmaps(nodes: ["n0": mebibyte])
        let bench = Bench(.likeElevenOne, capabilities, modules: [module])
        try bench.startLoad(module)
        try bench.load([.bitmapStart(node: "n0", name: "b0", granularity: 65536), .bitmapComplete(node: "n0", name: "b0")], into: module)
        #expect(throws: ModuleError.self) {
            try bench.load([.bitmapBits(node: "n0", name: "b0", firstSector: 0, bits: [1])], into: module)
        }
    }
}
