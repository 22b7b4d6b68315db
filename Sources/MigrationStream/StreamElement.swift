/// QEMU's migration stream as values: what the source sends to the destination, and what the destination answers.
///
/// `wireSize` is the number of bytes that an element occupies on the wire.

/// One element of the forward stream.
package enum StreamElement: Hashable, Sendable {
    case header
    case configuration(machine: String)
    case section(Section)
    case command(MigrationCommand)
    case endOfFile
    /// The description of the VM state as JSON text, which loading ignores; `length` is in bytes.
    case vmDescription(length: Int)
}

package struct Section: Hashable, Sendable {
    package enum Kind: UInt8, Hashable, Sendable {
        case start = 1
        case part, end, full
    }
    package var kind: Kind
    package var id: UInt32
    /// The wire has the idstr only in a START or FULL section; the id stands for it in the others.
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

/// A part of the payload of a section. Parts are loaded one by one, in order.
package enum SectionRecord: Hashable, Sendable {
    // VFIO
    case deviceSetup
    case deviceData([UInt8])
    /// INIT_DATA_SENT, the marker: all initial bytes were sent.
    case initialDataSent
    case deviceConfig([UInt8])
    // RAM
    case blocks([MemoryBlock])
    /// Pages of the block that hold only zeroes.
    case zeroPages(block: Int, Range<Int>)
    /// Pages of the block, 4096 bytes each.
    case pages(block: Int, Range<Int>, [UInt8])
    // Dirty bitmaps of block devices
    case bitmapStart(node: String, name: String, granularity: UInt32)
    case bitmapBits(node: String, name: String, firstSector: UInt64, bits: [UInt64])
    /// A range of sectors without a set bit.
    case bitmapZeroes(node: String, name: String, firstSector: UInt64, sectors: UInt32)
    case bitmapComplete(node: String, name: String)
    // s390 storage attributes
    case attributes(first: UInt64, values: [UInt8])
    case attributesDone
    /// The fields of a device description, in its layout.
    case fields([UInt8])
    /// The content of a section of any other module.
    case note(UInt64)
    /// The end mark, which some payloads have.
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
    /// `withRAM` if RAM takes part in postcopy: the command then carries page sizes.
    case postcopyAdvise(withRAM: Bool)
    case postcopyListen
    case postcopyRun
    case postcopyResume
    case discard(block: Int, [Range<Int>])
    case packaged([StreamElement])
    case recvBitmap(block: String)
    case switchoverStart
    /// The core message that was discussed for the series and never shipped: the section requests `count` ACKs.
    case requestSwitchoverAck(section: UInt32, count: UInt32)

    /// The number of the command on the wire.
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

    /// The length of the payload in bytes.
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
    /// 0 means that everything was loaded.
    case shut(UInt32)
    case pong(UInt32)
    case requestPages(block: String?, offset: UInt64, length: UInt32)
    /// The pages of the block that were received, one bit for each page.
    case recvBitmap(block: String, [UInt64])
    case resumeAck(UInt32)
    case switchoverAck

    /// The type of the message on the wire.
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

    /// The length of the payload in bytes, as the header of the message has it.
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
