/// What a guest does by itself while it is migrated: it says which memory it does not use, touches pages that have not come, and writes to
/// its disks.
import MigrationStream
import SwitchoverProtocol

package final class Guest: EngineThread {
    /// Touches so many pages that are missing, one after the other, since a processor waits for the page it touched.
    private let faults: Int
    private var random: RandomSource
    private let hints: FreePageHints?
    /// Pages it never uses, by the block's id.
    private let unused: (block: String, pages: Range<Int>)
    private let bitmaps: DirtyBitmaps?
    /// What it writes to when it runs while bitmaps are on their way.
    private let disk: (node: String, bytes: Range<UInt64>)
    /// The page that it waits for.
    private var awaited: (block: Int, page: Int)?
    /// Pages that it had to wait for.
    package private(set) var touched = 0
    /// It has written to its disk.
    package private(set) var hasWritten = false

    /// - Parameter seed: decides which pages it touches.
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

    /// Pages are missing, and it does not wait for one of them.
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
        // A request that nobody hears is made again when postcopy goes on over another channel.
        if let request = memory.touch(block: missing.block, page: missing.page) { _ = host.sendReturnPath?(request) }
    }
}
