/// Dirty bitmaps of block devices as a module: section `dirty-bitmap`. They are sent with the guest stopped or, in postcopy, while it runs
/// at the destination; the bits that it sets there meanwhile are kept aside and merged at the end.
import MigrationStream
import SwitchoverProtocol

/// A bitmap of a block device: each bit stands for a number of bytes.
package struct BlockBitmap: Hashable, Sendable {
    package let node: String
    package let name: String
    /// The bytes of a bit, a power of 2 of at least 512.
    package let granularity: UInt32
    /// The bits that are set.
    package internal(set) var bits: PageSet
    /// True if the bitmap notes the guest's writes.
    package var isEnabled = true

    /// `size` is that of the node, in bytes.
    package init(node: String, name: String, granularity: UInt32 = 65536, size: UInt64) {
        self.node = node
        self.name = name
        self.granularity = granularity
        bits = PageSet(pages: Int((size + UInt64(granularity) - 1) / UInt64(granularity)))
    }

    var sectorsPerBit: UInt64 { UInt64(granularity) / 512 }

    func isNamed(_ node: String, _ name: String) -> Bool { self.node == node && self.name == name }

    /// Notes that the guest writes to these bytes of the node.
    package mutating func note(_ bytes: Range<UInt64>) {
        guard isEnabled, !bytes.isEmpty else { return }
        let last = min(Int((bytes.upperBound - 1) / UInt64(granularity)) + 1, bits.pages)
        bits.insert(min(Int(bytes.lowerBound / UInt64(granularity)), last)..<last)
    }
}

package final class DirtyBitmaps: SaveVMHandlers {
    package let idstr = "dirty-bitmap"
    package let isIterable = true

    package private(set) var bitmaps: [BlockBitmap]
    /// The sizes of the nodes in bytes, by name.
    private let nodes: [String: UInt64]

    /// The words of bits in a record: 1 KiB, as in QEMU.
    private static let chunk = 128

    // Source: the bitmap that is being sent, and the next word of it
    private var place = (bitmap: 0, word: 0)

    // Destination: bits of bitmaps that are still on their way, which the guest here has set meanwhile
    private var successors: [Int: PageSet] = [:]

    package init(nodes: [String: UInt64], _ bitmaps: [BlockBitmap] = []) {
        self.nodes = nodes
        self.bitmaps = bitmaps
    }

    /// Notes that the guest writes to a node.
    package func write(node: String, _ bytes: Range<UInt64>) {
        for index in bitmaps.indices where bitmaps[index].node == node {
            guard let loaded = successors[index] else {
                bitmaps[index].note(bytes)
                continue
            }
            let bits = bitmaps[index].bits
            bitmaps[index].bits = loaded
            bitmaps[index].note(bytes)
            successors[index] = bitmaps[index].bits
            bitmaps[index].bits = bits
        }
    }

    /// True if every bitmap that was begun has arrived.
    package var isLoaded: Bool { successors.isEmpty }

    package func isActive(_ host: Host) -> Bool { host.has(.dirtyBitmaps) && !bitmaps.isEmpty }
    package func hasPostcopy(_ host: Host) -> Bool { true }
    package func isActiveIterate(_ host: Host) -> Bool { !host.guestRuns }

    // MARK: Source

    package func saveSetup(_ call: inout Call) throws(ModuleError) -> Progress {
        place = (0, 0)
        call.payload += bitmaps.map { .bitmapStart(node: $0.node, name: $0.name, granularity: $0.granularity) } + [.end]
        return .done
    }

    /// Counts the bits that are still to be sent as bytes (confirmed on 11.1.3).
    package func saveQueryPending(
        _ pending: inout PendingBytes, exact: Bool, final: Bool, _ call: inout Call
    ) throws(ModuleError) -> Progress {
        for index in bitmaps.indices where index >= place.bitmap {
            pending.postcopy += UInt64(bitmaps[index].bits.pages - (index == place.bitmap ? place.word * 64 : 0))
        }
        return .done
    }

    package func saveLiveIterate(budget: Int, _ call: inout Call) throws(ModuleError) -> Progress {
        var left = budget - SectionRecord.end.wireSize
        var isFirst = true
        while let record = nextRecord() {
            guard record.wireSize <= left || isFirst else { break }
            append(record, &left, &call)
            isFirst = false
        }
        call.payload.append(.end)
        return .done(place.bitmap == bitmaps.count ? 1 : 0)
    }

    package func saveComplete(_ call: inout Call) throws(ModuleError) -> Progress {
        var left = Int.max
        while let record = nextRecord() { append(record, &left, &call) }
        call.payload += bitmaps.map { .bitmapComplete(node: $0.node, name: $0.name) } + [.end]
        return .done
    }

    package func saveCleanup(_ call: inout Call) -> Progress {
        place = (0, 0)
        return .done
    }

    private func nextRecord() -> SectionRecord? {
        while place.bitmap < bitmaps.count, bitmaps[place.bitmap].bits.words.isEmpty { place = (place.bitmap + 1, 0) }
        guard place.bitmap < bitmaps.count else { return nil }
        let bitmap = bitmaps[place.bitmap]
        let words = bitmap.bits.words[place.word..<min(place.word + Self.chunk, bitmap.bits.words.count)]
        let first = UInt64(place.word * 64) * bitmap.sectorsPerBit
        guard words.allSatisfy({ $0 == 0 }) else {
            return .bitmapBits(node: bitmap.node, name: bitmap.name, firstSector: first, bits: Array(words))
        }
        let bits = min(words.count * 64, bitmap.bits.pages - place.word * 64)
        let sectors = UInt32(clamping: UInt64(bits) * bitmap.sectorsPerBit)
        return .bitmapZeroes(node: bitmap.node, name: bitmap.name, firstSector: first, sectors: sectors)
    }

    private func append(_ record: SectionRecord, _ left: inout Int, _ call: inout Call) {
        call.payload.append(record)
        left -= record.wireSize
        place.word += Self.chunk
        if place.word >= bitmaps[place.bitmap].bits.words.count { place = (place.bitmap + 1, 0) }
    }

    // MARK: Destination

    package func loadSetup(_ call: inout Call) throws(ModuleError) -> Progress {
        successors = [:]
        return .done
    }

    package func loadState(_ record: SectionRecord, _ call: inout Call) throws(ModuleError) -> Progress {
        switch record {
        case .bitmapStart(let node, let name, let granularity): try start(node, name, granularity)
        case .bitmapBits(let node, let name, let first, let bits):
            let index = try loading(node, name)
            let word = try word(of: first, bitmaps[index])
            guard word + bits.count <= bitmaps[index].bits.words.count else {
                throw ModuleError("Migrated bitmap granularity doesn't match the destination bitmap '\(name)' granularity", result: -22)
            }
            bitmaps[index].bits.replace(from: word, with: bits)
        case .bitmapZeroes(let node, let name, let first, let sectors):
            let index = try loading(node, name)
            let word = try word(of: first, bitmaps[index])
            let bits = bitmaps[index].bits.pages
            let end = word * 64 + Int(UInt64(sectors) / bitmaps[index].sectorsPerBit)
            guard end <= bits else { throw ModuleError("dirty-bitmap: '\(name)' ends at bit \(bits), not \(end)", result: -22) }
            bitmaps[index].bits.remove(word * 64..<end)
        case .bitmapComplete(let node, let name):
            let index = try loading(node, name)
            if let written = successors.removeValue(forKey: index) { _ = bitmaps[index].bits.formUnion(written) }
        case .end: break
        default: throw ModuleError("Unknown flags in migrated dirty bitmap header: 0", result: -22)
        }
        return .done
    }

    private func start(_ node: String, _ name: String, _ granularity: UInt32) throws(ModuleError) {
        guard let size = nodes[node] else { throw ModuleError("Cannot find device='\(node)' nor node-name='\(node)'", result: -22) }
        guard !bitmaps.contains(where: { $0.isNamed(node, name) }) else {
            throw ModuleError("Bitmap with the same name ('\(name)') already exists on destination", result: -22)
        }
        guard granularity >= 512, granularity.nonzeroBitCount == 1 else {
            throw ModuleError("dirty-bitmap: '\(name)' has a granularity of \(granularity)", result: -22)
        }
        let bitmap = BlockBitmap(node: node, name: name, granularity: granularity, size: size)
        successors[bitmaps.count] = bitmap.bits
        bitmaps.append(bitmap)
    }

    private func loading(_ node: String, _ name: String) throws(ModuleError) -> Int {
        guard let index = bitmaps.firstIndex(where: { $0.isNamed(node, name) }), successors[index] != nil else {
            throw ModuleError("Error: unknown dirty bitmap '\(name)' for block device '\(node)'", result: -22)
        }
        return index
    }

    private func word(of sector: UInt64, _ bitmap: BlockBitmap) throws(ModuleError) -> Int {
        let (word, rest) = sector.quotientAndRemainder(dividingBy: bitmap.sectorsPerBit * 64)
        guard rest == 0, word < UInt64(bitmap.bits.words.count) else {
            throw ModuleError("dirty-bitmap: no bits of '\(bitmap.name)' begin at sector \(sector)", result: -22)
        }
        return Int(word)
    }
}
