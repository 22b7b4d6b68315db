/// A guest's memory: blocks of pages, and a log of the pages that were written since the log was last read. Pages of zeroes need no
/// storage.
import MigrationStream

package struct GuestMemory: Sendable {
    /// Bytes.
    package static let pageSize = 4096

    /// The log that notes a write.
    package enum WriteLog: Hashable, Sendable {
        /// Read by each sync.
        case ordinary
        /// Read by the last sync only: the writes of an arm64 interrupt controller, with a dirty ring.
        case lastSync
    }

    struct Block: Sendable {
        let id: String
        let pages: Int
        /// Pages that hold more than zeroes.
        var filled: PageSet
        var contents: [Int: [UInt8]] = [:]
        var log: PageSet
        var lastLog: PageSet
        var hasLog = false
        var hasLastLog = false
    }

    private(set) var blocks: [Block]
    /// Writes are logged from the set-up of a migration to its clean-up.
    package private(set) var isLogging = false

    package init(_ blocks: [MemoryBlock]) {
        self.blocks = blocks.map {
            let none = PageSet(pages: $0.pages)
            return Block(id: $0.id, pages: $0.pages, filled: none, log: none, lastLog: none)
        }
    }

    /// One block `pc.ram`.
    package init(mebibytes: Int) { self.init([MemoryBlock(id: "pc.ram", pages: mebibytes << 8)]) }

    /// The blocks that a `pc-q35` guest without VGA and network has, in the order of its block table (confirmed on 11.1.3); `firmware` is
    /// pages of its BIOS.
    package static func q35(mebibytes: Int, firmware: Int = 64) -> GuestMemory {
        GuestMemory([
            MemoryBlock(id: "/rom@etc/acpi/tables", pages: 32), MemoryBlock(id: "pc.ram", pages: mebibytes << 8),
            MemoryBlock(id: "pc.bios", pages: firmware), MemoryBlock(id: "pc.rom", pages: 32),
            MemoryBlock(id: "/rom@etc/table-loader", pages: 1), MemoryBlock(id: "/rom@etc/acpi/rsdp", pages: 1),
        ])
    }

    package var table: [MemoryBlock] { blocks.map { MemoryBlock(id: $0.id, pages: $0.pages) } }
    package var pages: Int { blocks.reduce(0) { $0 + $1.pages } }
    package func pages(of block: Int) -> Int { blocks[block].pages }
    package func id(of block: Int) -> String { blocks[block].id }
    package func block(_ id: String) -> Int? { blocks.firstIndex { $0.id == id } }

    /// How many pages need storage.
    package var filledPages: Int { blocks.reduce(0) { $0 + $1.contents.count } }

    package func isZero(block: Int, page: Int) -> Bool { !blocks[block].filled.contains(page) }

    /// 4096 bytes.
    package func contents(block: Int, page: Int) -> [UInt8] { blocks[block].contents[page] ?? Self.zeroes }

    /// Writes a whole page, 4096 bytes.
    package mutating func write(block: Int, page: Int, _ bytes: [UInt8], log: WriteLog = .ordinary) {
        precondition(bytes.count == Self.pageSize, "a page has \(Self.pageSize) bytes, not \(bytes.count)")
        store(block: block, page: page, bytes)
        rewrite(block: block, page..<page + 1, log: log)
    }

    /// Writes to pages the bytes that they hold already: they are dirty afterwards, and unchanged.
    package mutating func rewrite(block: Int, _ range: Range<Int>, log: WriteLog = .ordinary) {
        guard isLogging, !range.isEmpty else { return }
        switch log {
        case .ordinary:
            blocks[block].log.insert(range)
            blocks[block].hasLog = true
        case .lastSync:
            blocks[block].lastLog.insert(range)
            blocks[block].hasLastLog = true
        }
    }

    /// True if all blocks of the same name have the same contents.
    package func hasContents(of other: GuestMemory) -> Bool {
        blocks.count == other.blocks.count
            && blocks.allSatisfy { mine in
                other.blocks.contains {
                    $0.id == mine.id && $0.pages == mine.pages && $0.filled == mine.filled && $0.contents == mine.contents
                }
            }
    }

    // MARK: A migration's part

    mutating func startLogging() {
        stopLogging()
        isLogging = true
    }

    mutating func stopLogging() {
        for block in blocks.indices {
            _ = takeLog(of: block)
            _ = takeLastLog(of: block)
        }
        isLogging = false
    }

    /// The pages that were written since the last call; nil if none was.
    mutating func takeLog(of block: Int) -> PageSet? {
        guard blocks[block].hasLog else { return nil }
        defer {
            blocks[block].log.removeAll()
            blocks[block].hasLog = false
        }
        return blocks[block].log
    }

    mutating func takeLastLog(of block: Int) -> PageSet? {
        guard blocks[block].hasLastLog else { return nil }
        defer {
            blocks[block].lastLog.removeAll()
            blocks[block].hasLastLog = false
        }
        return blocks[block].lastLog
    }

    /// The longest run of pages at the start of the range that are all zero, or all non-zero.
    func alike(block: Int, _ range: Range<Int>) -> (isZero: Bool, pages: Range<Int>) {
        let filled = blocks[block].filled
        let isZero = !filled.contains(range.lowerBound)
        return (isZero, range.lowerBound..<min(filled.first(from: range.lowerBound, present: isZero), range.upperBound))
    }

    /// The contents of pages, one after the other.
    func bytes(block: Int, _ range: Range<Int>) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(range.count * Self.pageSize)
        for page in range { bytes += contents(block: block, page: page) }
        return bytes
    }

    /// Stores the contents that a load brings, without logging a write.
    mutating func store(block: Int, page: Int, _ bytes: [UInt8]) {
        if Self.isZero(bytes) {
            clear(block: block, page..<page + 1)
        } else {
            blocks[block].filled.insert(page)
            blocks[block].contents[page] = bytes
        }
    }

    /// Clears pages, without logging a write.
    mutating func clear(block: Int, _ range: Range<Int>) {
        guard !blocks[block].contents.isEmpty else { return }
        var start = range.lowerBound
        while let run = blocks[block].filled.run(from: start), run.lowerBound < range.upperBound {
            for page in run.clamped(to: range) { blocks[block].contents[page] = nil }
            start = run.upperBound
        }
        blocks[block].filled.remove(range)
    }

    private static let zeroes = [UInt8](repeating: 0, count: pageSize)

    private static func isZero(_ bytes: [UInt8]) -> Bool {
        bytes.withUnsafeBytes { bytes in
            for offset in stride(from: 0, to: bytes.count, by: 8) where bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self) != 0 {
                return false
            }
            return true
        }
    }
}
