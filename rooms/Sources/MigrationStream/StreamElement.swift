/// QEMU's migration stream as values: what goes from source to destination, and what comes back.
///
/// `wireSize` is what an element takes on the wire, in bytes.

/// One element of the forward stream.
package enum StreamElement: Hashable, Sendable {
    case header
    case configuration(machine: String)
    case section(Section)
    case command(MigrationCommand)
    case endOfFile
    /// Its text is of no consequence to a load.
    case vmDescription(length: Int)
}

package struct Section: Hashable, Sendable {
    package enum Kind: UInt8, Hashable, Sendable {
        case start = 1
        case part, end, full
    }
    package var kind: Kind
    package var id: UInt32
    /// Of a START or FULL; of others it is known by the id.
    package var idstr: String
    package var instance: UInt32
    package var version: UInt32
    package var payload: [SectionRecord]

    package init(kind: Kind, id: UInt32, idstr: String, instance: UInt32, version: UInt32, payload: [SectionRecord]) {
        self.kind = kind
        self.id = id
        self.idstr = idstr
        self.instance = instance
        self.version = version
        self.payload = payload
    }
}

/// What a section's payload is made of; each is loaded by itself, in order.
package enum SectionRecord: Hashable, Sendable {
    // VFIO
    case deviceSetup
    case deviceData([UInt8])
    /// The marker: all initial bytes were sent.
    case initialDataSent
    case deviceConfig([UInt8])
    // RAM
    case blocks([MemoryBlock])
    /// Pages of the block that hold zeroes only.
    case zeroPages(block: Int, Range<Int>)
    /// Pages of the block, 4096 bytes each.
    case pages(block: Int, Range<Int>, [UInt8])
    // Dirty bitmaps of block devices
    case bitmapStart(node: String, name: String, granularity: UInt32)
    case bitmapBits(node: String, name: String, firstSector: UInt64, bits: [UInt64])
    /// A stretch without a bit set.
    case bitmapZeroes(node: String, name: String, firstSector: UInt64, sectors: UInt32)
    case bitmapComplete(node: String, name: String)
    // s390 storage attributes
    case attributes(first: UInt64, values: [UInt8])
    case attributesDone
    /// Fields of a device's description, in its own layout.
    case fields([UInt8])
    /// What any other module says in its own section.
    case note(UInt64)
    /// The end of the payload where it has an end mark.
    case end
}

/// A block of guest memory.
package struct MemoryBlock: Hashable, Sendable {
    package var id: String
    package var pages: Int
    package init(id: String, pages: Int) {
        self.id = id
        self.pages = pages
    }
}

package enum MigrationCommand: Hashable, Sendable {
    case openReturnPath
    case ping(UInt32)
    /// With RAM in postcopy it names page sizes.
    case postcopyAdvise(withRAM: Bool)
    case postcopyListen
    case postcopyRun
    case postcopyResume
    case discard(block: Int, [Range<Int>])
    case packaged([StreamElement])
    case recvBitmap(block: String)
    case switchoverStart
    /// The core message discussed for the series, never shipped: as many ACKs are requested by this section.
    case requestSwitchoverAck(section: UInt32, count: UInt32)

    /// Its number on the wire.
    package var number: UInt16 {
        switch self {
        case .openReturnPath: 1
        case .ping: 2
        case .postcopyAdvise: 3
        case .postcopyListen: 4
        case .postcopyRun: 5
        case .discard: 6
        case .packaged: 7
        case .postcopyResume: 9
        case .recvBitmap: 10
        case .switchoverStart: 11
        case .requestSwitchoverAck: 12
        }
    }

    /// Bytes of its payload.
    package var length: Int {
        switch self {
        case .openReturnPath, .postcopyListen, .postcopyRun, .postcopyResume, .switchoverStart: 0
        case .ping, .packaged: 4
        case .postcopyAdvise(let withRAM): withRAM ? 16 : 0
        case .discard(_, let ranges): 10 + 16 * ranges.count
        case .recvBitmap(let block): 1 + block.utf8.count
        case .requestSwitchoverAck: 8
        }
    }
}

/// A message of the return path.
package enum ReturnMessage: Hashable, Sendable {
    /// 0: the load was fine.
    case shut(UInt32)
    case pong(UInt32)
    case requestPages(block: String?, offset: UInt64, length: UInt32)
    /// Which pages of the block have been received, one bit each.
    case recvBitmap(block: String, [UInt64])
    case resumeAck(UInt32)
    case switchoverAck

    /// Its type on the wire.
    package var type: UInt16 {
        switch self {
        case .shut: 1
        case .pong: 2
        case .requestPages(let block, _, _): block == nil ? 4 : 3
        case .recvBitmap: 5
        case .resumeAck: 6
        case .switchoverAck: 7
        }
    }

    /// Bytes of its payload, as its header says.
    package var length: Int {
        switch self {
        case .shut, .pong, .resumeAck: 4
        case .requestPages(let block, _, _): 12 + (block.map { 1 + $0.utf8.count } ?? 0)
        case .recvBitmap(let block, _): 1 + block.utf8.count
        case .switchoverAck: 0
        }
    }
}

extension StreamElement {
    package var wireSize: Int {
        switch self {
        case .header: 8
        case .configuration(let machine): 5 + machine.utf8.count
        case .section(let section): section.wireSize
        case .command(.packaged(let elements)): 9 + elements.reduce(0) { $0 + $1.wireSize }
        case .command(let command): 5 + command.length
        case .endOfFile: 1
        case .vmDescription(let length): 5 + length
        }
    }
}

extension Section {
    package var wireSize: Int {
        let head = kind == .start || kind == .full ? 14 + idstr.utf8.count : 5
        return head + payload.reduce(5) { $0 + $1.wireSize }
    }
}

extension SectionRecord {
    package var wireSize: Int {
        switch self {
        case .deviceSetup, .initialDataSent, .note: 8
        case .deviceData(let bytes): 16 + bytes.count
        case .deviceConfig(let bytes): 8 + bytes.count
        case .blocks(let blocks): blocks.reduce(8) { $0 + 9 + $1.id.utf8.count }
        case .zeroPages(_, let pages): 9 * pages.count
        case .pages(_, let pages, let bytes): 8 * pages.count + bytes.count
        case .bitmapStart(let node, let name, _): 8 + node.utf8.count + name.utf8.count
        case .bitmapBits(_, _, _, let bits): 21 + 8 * bits.count
        case .bitmapZeroes: 13
        case .bitmapComplete: 1
        case .attributes(_, let values): 16 + values.count
        case .attributesDone, .end: 8
        case .fields(let bytes): bytes.count
        }
    }
}
