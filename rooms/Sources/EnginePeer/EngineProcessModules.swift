/// The modules of an engine's process beside memory and VFIO devices, as `EngineModules` names them.
import MigrationEngine
import Plan
import SwitchoverProtocol

/// The modules of one process.
final class EngineProcessModules {
    private let plan: EngineModules
    private let host: Host
    private var bitmaps: DirtyBitmaps?
    private var attributes: StorageAttributes?
    private var hints: FreePageHints?
    private var guest: Guest?

    private static let disk = "disk"
    /// 65,536 bits.
    private static let diskSize: UInt64 = 4 << 30
    /// Of pc.ram, in every memory that a cell has.
    private static let unused = (block: "pc.ram", pages: 256..<264)
    /// What the destination's guest writes to its disk in postcopy.
    private static let written: Range<UInt64> = 1 << 30..<1 << 30 + 1 << 20

    init(_ plan: EngineModules, _ host: Host) {
        self.plan = plan
        self.host = host
    }

    /// Adds those that come before VFIO devices in the stream; the guest had them in use before, where it runs here first.
    func register(isFirstHost: Bool) {
        if plan.hasDirtyBitmap {
            let bitmaps = DirtyBitmaps(
                nodes: [Self.disk: Self.diskSize],
                isFirstHost ? [BlockBitmap(node: Self.disk, name: "changes", size: Self.diskSize)] : [])
            // A stretch of some chunks, and a single bit.
            for bytes in [5 << 20..<700 << 20, 3 << 30..<3 << 30 + 1] as [Range<UInt64>] { bitmaps.write(node: Self.disk, bytes) }
            host.register(bitmaps)
            self.bitmaps = bitmaps
        }
        if plan.hasStorageAttributes {
            let pages = host.memory?.memory.pages ?? 0
            let attributes = StorageAttributes(pages: pages)
            if isFirstHost { for page in 0..<pages where page % 3 == 0 { attributes.set(page, UInt8(page & 0x3f | 1)) } }
            host.register(attributes)
            self.attributes = attributes
        }
        if plan.hintsFreePages {
            let hints = FreePageHints()
            if isFirstHost, let memory = host.memory, let block = memory.memory.block(Self.unused.block) {
                let page = [UInt8](repeating: 0x5a, count: GuestMemory.pageSize)
                for number in Self.unused.pages { memory.memory.write(block: block, page: number, page) }
            }
            host.register(hints)
            self.hints = hints
        }
        if let requester = plan.requester {
            var script = RequesterScript(
                [.init(query: 1, count: UInt32(requester.atSetup))], inFinalQuery: UInt32(requester.inFinalQuery),
                markerDelay: requester.markerDelay)
            script.whenOpen = requester.againWhenOpen.map { ($0, 1) }
            host.register(Requester(idstr: EngineModules.Requester.idstr, name: requester.name, script))
        }
    }

    /// The guest begins to do what it does by itself.
    func startGuest(_ simulation: Simulation) {
        guard plan.faults > 0 || hints != nil || bitmaps != nil else { return }
        guest = Guest(
            host, simulation.clock, seed: simulation.seed, faults: plan.faults, hints: hints, unused: Self.unused, bitmaps: bitmaps,
            disk: (Self.disk, Self.written))
    }

    /// What did not come here as it was at the source, whose guest it had before; nil: all did.
    func loss(from source: EngineProcessModules) -> String? {
        if let mine = bitmaps, let its = source.bitmaps {
            var expected = its.bitmaps
            if guest?.hasWritten == true { for index in expected.indices { expected[index].note(Self.written) } }
            if !mine.isLoaded || mine.bitmaps != expected { return "its dirty bitmaps" }
        }
        if let mine = attributes, let its = source.attributes, !mine.isSynchronised || mine.values != its.values {
            return "its storage attributes"
        }
        if let mine = hints, let its = source.hints {
            if !its.keptOrder(source.host) { return "its balloon, which was saved before the guest was told that hints are over" }
            if mine.hinting.state != its.writtenAs { return "its balloon" }
        }
        guard let mine = host.memory?.memory, let its = source.host.memory?.memory else { return nil }
        return Self.withoutUnused(mine).hasContents(of: Self.withoutUnused(its)) ? nil : "its memory"
    }

    private static func withoutUnused(_ memory: GuestMemory) -> GuestMemory {
        guard let block = memory.block(unused.block) else { return memory }
        var memory = memory
        let zeroes = [UInt8](repeating: 0, count: GuestMemory.pageSize)
        for page in unused.pages { memory.write(block: block, page: page, zeroes) }
        return memory
    }

    /// The guest was to touch missing pages, and has touched none.
    var lacksFaults: Bool { plan.faults > 0 && guest?.touched == 0 }
}
