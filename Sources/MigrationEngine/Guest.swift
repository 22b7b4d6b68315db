/// What a guest does by itself while it is migrated: it hints at memory that it does not use, touches pages that have not arrived, and
/// writes to its disks.
import MigrationStream
import SwitchoverProtocol

package final class Guest: EngineThread {
    /// How many missing pages the guest touches, one after the other, since a processor waits for the page that it touched.
    private let faults: Int
    private var random: RandomSource
    private let hints: FreePageHints?
    /// The pages that the guest never uses, by the block's id.
    private let unused: (block: String, pages: Range<Int>)
    private let bitmaps: DirtyBitmaps?
    /// The bytes of a disk that the guest writes when it runs before the bitmaps have arrived.
    private let disk: (node: String, bytes: Range<UInt64>)
    /// The page that the guest waits for.
    private var awaited: (block: Int, page: Int)?
    /// How many pages the guest had to wait for.
    package private(set) var touched = 0
    /// True if the guest has written to its disk.
    package private(set) var hasWritten = false

    /// - Parameter seed: decides which pages the guest touches.
    package init(
        _ host: Host, _ clock: Clock, seed: UInt64, faults: Int, hints: FreePageHints?, unused: (block: String, pages: Range<Int>),
        bitmaps: DirtyBitmaps?, disk: (node: String, bytes: Range<UInt64>)
    ) {
        self.faults = faults
        self.hints = hints
        self.unused = unused
        self.bitmaps = bitmaps
        self.disk = disk
        random = RandomSource(seed: seed)
        super.init(host, clock)
    }

    override package var inputArrival: UInt64? { host.guestRuns && (isAskedForHints || lacksPage || findsBitmapsLoading) ? 0 : nil }

    override package var stepName: String { "guest" }

    private var isAskedForHints: Bool { hints?.hinting.state == .requested }
    private var findsBitmapsLoading: Bool { bitmaps?.isLoaded == false && !hasWritten }

    /// True if pages are missing, and the guest does not wait for one of them.
    private var lacksPage: Bool {
        guard touched < faults, let memory = host.memory, memory.phase == .postcopy else { return false }
        if let awaited { return !memory.isMissing(block: awaited.block, page: awaited.page) && memory.missingPages > 0 }
        return memory.missingPages > 0
    }

    override package func step() {
        spend(Pace.step)
        guard let memory = host.memory else { return }
        if isAskedForHints, let block = memory.memory.block(unused.block) { hints?.hint(block: block, unused.pages, to: memory) }
        if findsBitmapsLoading {
            bitmaps?.write(node: disk.node, disk.bytes)
            hasWritten = true
        }
        if lacksPage { touch(memory) }
    }

    private func touch(_ memory: RAM) {
        guard let missing = memory.missingPage(Int(random.next() % UInt64(memory.missingPages))) else { return }
        awaited = missing
        touched += 1
        // A request that is lost is made again when postcopy goes on over another channel.
        if let request = memory.touch(block: missing.block, page: missing.page) { _ = host.sendReturnPath?(request) }
    }
}
