/// Memory as a module: section `ram`. The source sends each page once, and then the pages that are written meanwhile; in postcopy it sends
/// the pages that the destination lacks, requested ones first.
import MigrationStream
import MigrationTrace
import SwitchoverProtocol

/// The part of a migration that a host's RAM is in.
package enum RAMPhase: Hashable, Sendable {
    /// Up to the switchover, the step with the guest stopped included.
    case precopy
    /// From status postcopy-device (postcopy-active up to 10.1) on; at the destination from POSTCOPY_LISTEN on.
    case postcopy
}

package final class RAM: SaveVMHandlers {
    package let idstr = "ram"
    package let version: UInt32 = 4
    package let priority = 10
    package let isIterable = true

    package var memory: GuestMemory
    /// Set by the engine; a migration begins in precopy.
    package var phase = RAMPhase.precopy

    /// The nanoseconds that a sync takes, and a page.
    package var syncCost: UInt64 = 50_000
    package var pageCost: UInt64 = 150

    // Source
    private var dirty: [PageSet] = []
    /// How many pages are still to be sent, or to be sent again.
    package private(set) var dirtyPages: UInt64 = 0
    /// The pages that syncs of this period have found, as `migration_bitmap_sync_end` shows them.
    private var foundInPeriod: UInt64 = 0
    private var next = (block: 0, page: 0)
    private var requests: [(block: Int, pages: Range<Int>)] = []
    private var awaitedBitmaps: Set<Int> = []

    // Destination
    /// The destination's blocks, by their place in the source's table.
    private var table: [Int] = []
    private var received: [PageSet] = []
    private var requestedPages: [(block: Int, page: Int)] = []
    private var lastRequestedBlock: Int?

    package init(_ memory: GuestMemory) { self.memory = memory }

    package func hasPostcopy(_ host: Host) -> Bool { host.has(.postcopyRAM) }

    // MARK: Source

    package func saveSetup(_ call: inout Call) throws(ModuleError) -> Progress {
        resetSource()
        phase = .precopy
        dirty = memory.table.map {
            var all = PageSet(pages: $0.pages)
            all.insertAll()
            return all
        }
        dirtyPages = UInt64(memory.pages)
        memory.startLogging()
        sync(last: false, &call)
        call.payload += [.blocks(memory.table), .end]
        return .done
    }

    package func saveQueryPending(
        _ pending: inout PendingBytes, exact: Bool, final: Bool, _ call: inout Call
    ) throws(ModuleError) -> Progress {
        if exact, phase == .precopy { sync(last: final, &call) }
        let bytes = dirtyPages * UInt64(GuestMemory.pageSize)
        if call.host.has(.postcopyRAM) { pending.postcopy += bytes } else { pending.precopy += bytes }
        return .done
    }

    /// Sends dirty pages; the result 1 says that none was left. Requested pages are sent whatever the budget, and one page is sent even if
    /// the budget is less than a page.
    package func saveLiveIterate(budget: Int, _ call: inout Call) throws(ModuleError) -> Progress {
        var left = budget - SectionRecord.end.wireSize
        var isFirst = true
        sendRequested(&left, &isFirst, &call)
        var isRoundEmpty = false
        while left > 0 || (isFirst && budget > 0) {
            guard let run = nextRun() else {
                isRoundEmpty = true
                break
            }
            guard send(run.block, run.pages, &left, atLeastOne: isFirst, &call) else { break }
            isFirst = false
        }
        call.payload.append(.end)
        return .done(isRoundEmpty ? 1 : 0)
    }

    /// The PART before postcopy holds its end mark only (confirmed on 11.1.3).
    package func savePostcopyPrepare(_ call: inout Call) throws(ModuleError) -> Progress {
        call.payload.append(.end)
        return .done(1)
    }

    /// Sends all that is left. Up to 11.0 the last sync is made here, unless in postcopy; since 11.1 the final query makes it.
    package func saveComplete(_ call: inout Call) throws(ModuleError) -> Progress {
        let tells = call.host.generation.has(.savesInOneCallback)
        if tells { call.host.emit(.ramSaveComplete(dirtyPages: dirtyPages, done: 0)) }
        if phase == .precopy, !call.host.generation.has(.finalQuery) { sync(last: true, &call) }
        var left = Int.max
        var isFirst = true
        sendRequested(&left, &isFirst, &call)
        while let run = nextRun() { _ = send(run.block, run.pages, &left, atLeastOne: true, &call) }
        call.payload.append(.end)
        if tells { call.host.emit(.ramSaveComplete(dirtyPages: dirtyPages, done: 1)) }
        return .done
    }

    package func saveCleanup(_ call: inout Call) -> Progress {
        resetSource()
        memory.stopLogging()
        return .done
    }

    /// Ends a period of syncs (1 s): `migration_bitmap_sync_end` counts anew.
    package func periodEnded() { foundInPeriod = 0 }

    /// The commands that make the destination drop, before postcopy, the pages that are out of date there; 12 runs a command. Up to 11.0
    /// the last sync is made here, without notifiers.
    package func discardCommands(_ call: inout Call) -> [MigrationCommand] {
        if !call.host.generation.has(.finalQuery) { sync(last: false, notifies: false, &call) }
        next = (0, 0)
        return dirty.enumerated().flatMap { block, pages in
            let runs = pages.runs
            return stride(from: 0, to: runs.count, by: 12).map {
                MigrationCommand.discard(block: block, Array(runs[$0..<min($0 + 12, runs.count)]))
            }
        }
    }

    /// Drops pages that the guest hints not to use: they need not be sent, unless the guest writes them again.
    package func dropHinted(block: Int, _ range: Range<Int>) {
        guard dirty.indices.contains(block) else { return }
        dirtyPages -= UInt64(dirty[block].count(in: range))
        dirty[block].remove(range)
    }

    /// True if requested pages wait to be sent: the migration thread need not wait for its next window.
    package var hasRequests: Bool { !requests.isEmpty }

    /// The blocks that a destination may request pages of.
    package var requested: RequestedMemory {
        let size = UInt64(GuestMemory.pageSize)
        let blocks = Dictionary(memory.table.map { ($0.id, UInt64($0.pages) * size) }) { first, _ in first }
        return RequestedMemory(blocks: blocks, hostPage: size, guestPage: size)
    }

    /// Queues the pages of a block that the destination requests: they are sent first, also in precopy. Return-path thread.
    package func queue(block id: String, _ bytes: Range<UInt64>) {
        // `RequestedMemory`, which knows the same blocks, has refused any other.
        guard let block = memory.block(id) else {
            preconditionFailure("pages of block '\(id)' are requested, which the guest does not have")
        }
        let size = UInt64(GuestMemory.pageSize)
        requests.append((block, Int(bytes.lowerBound / size)..<Int(bytes.upperBound / size)))
    }

    // MARK: Source, recovery

    /// The commands that ask the destination which pages it has received. resumePrepare succeeds when each has been answered.
    package func recoveryCommands() -> [MigrationCommand] {
        awaitedBitmaps = Set(memory.blocks.indices)
        return memory.blocks.map { .recvBitmap(block: $0.id) }
    }

    package var awaitsBitmaps: Bool { !awaitedBitmaps.isEmpty }

    /// Replaces the dirty pages of a block by those that the destination has not received; `words` is its bitmap. Return-path thread.
    package func reload(block id: String, received words: [UInt64]) {
        // `RequestedMemory` has checked the block and the length, too.
        guard let block = memory.block(id), let received = PageSet(pages: memory.pages(of: block), words: words) else {
            preconditionFailure("a bitmap of \(words.count) words does not fit block '\(id)'")
        }
        dirty[block] = received.inverted
        dirtyPages = dirty.reduce(0) { $0 + UInt64($1.count) }
        awaitedBitmaps.remove(block)
    }

    package func resumePrepare(_ call: inout Call) throws(ModuleError) -> Progress {
        guard awaitedBitmaps.isEmpty else {
            throw ModuleError("RAM: the received bitmaps of \(awaitedBitmaps.count) blocks have not arrived")
        }
        next = (0, 0)
        return .done
    }

    // MARK: Source, sending

    private func sync(last: Bool, notifies: Bool = true, _ call: inout Call) {
        let host = call.host
        if notifies { for module in host.modules { module.precopyNotified(.beforeBitmapSync, host) } }
        host.emit(.migrationBitmapSyncStart)
        var found = 0
        for block in dirty.indices {
            if let log = memory.takeLog(of: block) { found += dirty[block].formUnion(log) }
            if last, let log = memory.takeLastLog(of: block) { found += dirty[block].formUnion(log) }
        }
        dirtyPages += UInt64(found)
        foundInPeriod += UInt64(found)
        call.cost += syncCost
        host.emit(.migrationBitmapSyncEnd(dirtyPages: foundInPeriod))
        if notifies { for module in host.modules { module.precopyNotified(.afterBitmapSync, host) } }
    }

    /// The next run of dirty pages, after the pages that were sent last; after the last block the first one follows.
    private func nextRun() -> (block: Int, pages: Range<Int>)? {
        guard dirtyPages > 0 else { return nil }
        for step in 0...dirty.count {
            let block = (next.block + step) % dirty.count
            if let pages = dirty[block].run(from: step == 0 ? next.page : 0) { return (block, pages) }
        }
        return nil
    }

    /// Sends the first pages of a dirty run that are alike, as many as fit. Returns false if not one fits.
    private func send(_ block: Int, _ run: Range<Int>, _ left: inout Int, atLeastOne: Bool, _ call: inout Call) -> Bool {
        let (isZero, alike) = memory.alike(block: block, run)
        let most = left / (isZero ? 9 : 8 + GuestMemory.pageSize)
        guard most > 0 || atLeastOne else { return false }
        let count = min(alike.count, max(most, 1), isZero ? .max : 256)
        let pages = alike.lowerBound..<alike.lowerBound + count
        let record = isZero ? SectionRecord.zeroPages(block: block, pages) : .pages(block: block, pages, memory.bytes(block: block, pages))
        call.payload.append(record)
        call.cost += pageCost * UInt64(count)
        dirty[block].remove(pages)
        dirtyPages -= UInt64(count)
        next = (block, pages.upperBound)
        left -= record.wireSize
        return true
    }

    private func sendRequested(_ left: inout Int, _ isFirst: inout Bool, _ call: inout Call) {
        defer { requests.removeAll() }
        for (block, pages) in requests {
            var start = pages.lowerBound
            while let run = dirty[block].run(from: start)?.clamped(to: pages), !run.isEmpty {
                _ = send(block, run, &left, atLeastOne: true, &call)
                isFirst = false
                start = next.page
            }
        }
    }

    private func resetSource() {
        dirty = []
        (dirtyPages, foundInPeriod, next) = (0, 0, (0, 0))
        requests = []
        awaitedBitmaps = []
    }

    // MARK: Destination

    package func loadSetup(_ call: inout Call) throws(ModuleError) -> Progress {
        phase = .precopy
        table = []
        received = memory.table.map { PageSet(pages: $0.pages) }
        (requestedPages, lastRequestedBlock) = ([], nil)
        return .done
    }

    package func loadState(_ record: SectionRecord, _ call: inout Call) throws(ModuleError) -> Progress {
        switch record {
        case .blocks(let blocks) where phase == .precopy: try receive(blocks)
        case .zeroPages(let block, let pages): try load(block, pages, bytes: nil)
        case .pages(let block, let pages, let bytes): try load(block, pages, bytes: bytes)
        case .end: break
        default:
            throw ModuleError("Unknown combination of migration flags: 0x0\(phase == .postcopy ? " (postcopy mode)" : "")", result: -22)
        }
        return .done
    }

    /// Drops pages that RAM_DISCARD names (in the source's numbering of blocks): they were received, and are out of date.
    package func discard(block: Int, _ ranges: [Range<Int>]) throws(ModuleError) {
        guard table.indices.contains(block) else { throw ModuleError("block '\(block)' not found", result: -22) }
        let local = table[block]
        for range in ranges {
            guard range.lowerBound >= 0, range.upperBound <= memory.pages(of: local) else {
                let size = UInt64(GuestMemory.pageSize)
                let start = UInt64(clamping: range.lowerBound) &* size
                let length = hex((UInt64(clamping: range.upperBound) &* size) &- start)
                let blockLength = hex(UInt64(memory.pages(of: local)) * size)
                throw ModuleError(
                    "ram_block_discard_range: Overrun block '\(memory.id(of: local))' (\(start)/\(length)/\(blockLength))", result: -22)
            }
            memory.clear(block: local, range)
            received[local].remove(range)
        }
    }

    /// True if the page has not arrived yet; outside of a load no page is missing.
    package func isMissing(block: Int, page: Int) -> Bool { received.indices.contains(block) && !received[block].contains(page) }

    /// How many pages have not arrived yet.
    package var missingPages: Int { received.reduce(0) { $0 + $1.pages - $1.count } }

    /// The missing page of this number, from 0, in the order of blocks and pages; nil if fewer are missing.
    package func missingPage(_ number: Int) -> (block: Int, page: Int)? {
        var number = number
        for (block, pages) in received.enumerated() {
            for run in pages.inverted.runs {
                if number < run.count { return (block, run.lowerBound + number) }
                number -= run.count
            }
        }
        return nil
    }

    /// Touches a page in postcopy, as the guest or a device does. Returns the request to send, or nil if the page has arrived or was
    /// requested before.
    package func touch(block: Int, page: Int) -> ReturnMessage? {
        guard isMissing(block: block, page: page), !requestedPages.contains(where: { $0 == (block, page) }) else { return nil }
        requestedPages.append((block, page))
        return request(block, page)
    }

    /// The requests without an answer, to be sent again when postcopy goes on over a new channel.
    package func openRequests() -> [ReturnMessage] {
        lastRequestedBlock = nil
        requestedPages.removeAll { !isMissing(block: $0.block, page: $0.page) }
        return requestedPages.map { request($0.block, $0.page) }
    }

    /// The answer to RECV_BITMAP.
    package func receivedBitmap(block id: String) throws(ModuleError) -> ReturnMessage {
        guard let block = memory.block(id), received.indices.contains(block) else {
            throw ModuleError("block '\(id)' not found", result: -22)
        }
        return .recvBitmap(block: id, received[block].words)
    }

    package func loadCleanup(_ call: inout Call) -> Progress {
        table = []
        received = []
        (requestedPages, lastRequestedBlock) = ([], nil)
        return .done
    }

    private func request(_ block: Int, _ page: Int) -> ReturnMessage {
        defer { lastRequestedBlock = block }
        let size = GuestMemory.pageSize
        return .requestPages(
            block: block == lastRequestedBlock ? nil : memory.id(of: block), offset: UInt64(page * size), length: UInt32(size))
    }

    private func receive(_ blocks: [MemoryBlock]) throws(ModuleError) {
        var places: [Int] = []
        for block in blocks {
            guard let place = memory.block(block.id) else {
                throw ModuleError("Unknown ramblock \"\(block.id)\", cannot accept migration", result: -22)
            }
            let pages = memory.pages(of: place)
            guard pages == block.pages else {
                let size = UInt64(GuestMemory.pageSize)
                throw ModuleError(
                    "Size mismatch: \(block.id): 0x\(hex(UInt64(clamping: block.pages) &* size)) != 0x\(hex(UInt64(pages) * size))",
                    result: -22)
            }
            places.append(place)
        }
        table = places
    }

    private func load(_ block: Int, _ pages: Range<Int>, bytes: [UInt8]?) throws(ModuleError) {
        guard table.indices.contains(block) else { throw ModuleError("Ack, bad migration stream!", result: -22) }
        let local = table[block]
        guard pages.lowerBound >= 0, pages.upperBound <= memory.pages(of: local) else {
            let first = max(pages.lowerBound, memory.pages(of: local))
            throw ModuleError("Illegal RAM offset \(hex(UInt64(clamping: first) &* UInt64(GuestMemory.pageSize)))", result: -22)
        }
        if let bytes, bytes.count != pages.count * GuestMemory.pageSize {
            throw ModuleError("RAM: \(pages.count) pages with \(bytes.count) bytes of data", result: -5)
        }
        if phase == .postcopy, received[local].count(in: pages) > 0 {
            throw ModuleError("RAM: a page of '\(memory.id(of: local))' arrives a second time in postcopy", result: -17)
        }
        if let bytes {
            for (number, page) in pages.enumerated() {
                let start = number * GuestMemory.pageSize
                memory.store(block: local, page: page, Array(bytes[start..<start + GuestMemory.pageSize]))
            }
        } else {
            memory.clear(block: local, pages)
        }
        received[local].insert(pages)
    }
}

/// As `%lx` prints it.
private func hex(_ value: UInt64) -> String { String(value, radix: 16) }
