/// The guest's memory in the messages of the return path: page requests, and bitmaps of received pages.

/// Pages that the destination requests.
package struct PageRequest: Hashable, Sendable {
    /// The id of the block; nil for the block of the earlier request.
    package var block: String?
    /// Bytes from the start of the block.
    package var offset: UInt64
    /// Bytes.
    package var length: UInt32

    package init(block: String?, offset: UInt64, length: UInt32) {
        self.block = block
        self.offset = offset
        self.length = length
    }
}

package struct RequestedMemory: Hashable, Sendable {
    /// The sizes of the blocks in bytes, by id.
    package let blocks: [String: UInt64]
    /// The bytes of a host page: requests are aligned to it.
    package let hostPage: UInt64
    /// The bytes of a guest page, which has one bit in a bitmap.
    package let guestPage: UInt64
    /// The block of the last request.
    package private(set) var last: String?

    package init(blocks: [String: UInt64] = [:], hostPage: UInt64 = 4096, guestPage: UInt64 = 4096) {
        self.blocks = blocks
        self.hostPage = hostPage
        self.guestPage = guestPage
    }

    /// Finds the bytes that a request names, and checks them.
    package mutating func resolve(_ request: PageRequest) throws(ProtocolError) -> (block: String, bytes: Range<UInt64>) {
        let (start, length) = (request.offset, UInt64(request.length))
        guard start % hostPage == 0, length % hostPage == 0 else {
            throw ProtocolError("MIG_RP_MSG_REQ_PAGES: Misaligned page request, start:\(hex(start)) len: \(length)")
        }
        guard let name = request.block ?? last else { throw ProtocolError("MIG_RP_MSG_REQ_PAGES has no previous block") }
        guard let size = blocks[name] else { throw ProtocolError("MIG_RP_MSG_REQ_PAGES has no block '\(name)'") }
        last = name
        // A release checks the last byte only, and accepts a request that begins after the block and wraps around.
        guard start <= size, start &+ length &- 1 < size else {
            throw ProtocolError(
                "MIG_RP_MSG_REQ_PAGES request overrun, start=\(hex(start)) len=\(hex(length)) blocklen=\(hex(size))")
        }
        return (name, start..<start + length)
    }

    /// The bytes of a block's bitmap on the wire: whole words of 64 bits.
    package func bitmapBytes(of size: UInt64) -> UInt64 { ((size / guestPage + 63) / 64) * 8 }

    /// Checks that a bitmap is one that recovery waits for.
    package func checkBitmap(block: String, bytes: UInt64, mark: UInt64, in status: Status) throws(ProtocolError) {
        guard let size = blocks[block] else { throw ProtocolError("MIG_RP_MSG_RECV_BITMAP has invalid block name '\(block)'") }
        guard status == .postcopyRecover else { throw ProtocolError("Reload bitmap in incorrect state \(status.rawValue)") }
        let expected = bitmapBytes(of: size)
        guard bytes == expected else {
            throw ProtocolError("ramblock '\(block)' bitmap size mismatch (0x\(hex(bytes)) != 0x\(hex(expected)))")
        }
        guard mark == ReturnPathRules.bitmapMark else { throw ProtocolError("ramblock '\(block)' end mark incorrect: 0x\(hex(mark))") }
    }
}

private func hex(_ value: UInt64) -> String { String(value, radix: 16) }
