/// The guest's memory as the return path speaks of it: page requests, and bitmaps of what was received.

/// Pages that the destination asks for.
package struct PageRequest: Hashable, Sendable {
    /// nil: in the block of the request before.
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
    /// Blocks, and their sizes in bytes.
    package let blocks: [String: UInt64]
    /// Bytes of a page of the host: what a request is aligned to.
    package let hostPage: UInt64
    /// Bytes of a page of the guest, one bit of a bitmap.
    package let guestPage: UInt64
    /// The block of the last request.
    package private(set) var last: String?

    package init(blocks: [String: UInt64] = [:], hostPage: UInt64 = 4096, guestPage: UInt64 = 4096) {
        self.blocks = blocks
        self.hostPage = hostPage
        self.guestPage = guestPage
    }

    /// What a request is for.
    package mutating func take(_ request: PageRequest) throws(ProtocolError) -> (block: String, bytes: Range<UInt64>) {
        let (start, length) = (request.offset, UInt64(request.length))
        guard start % hostPage == 0, length % hostPage == 0 else {
            throw ProtocolError("MIG_RP_MSG_REQ_PAGES: Misaligned page request, start:\(hex(start)) len: \(length)")
        }
        guard let name = request.block ?? last else { throw ProtocolError("MIG_RP_MSG_REQ_PAGES has no previous block") }
        guard let size = blocks[name] else { throw ProtocolError("MIG_RP_MSG_REQ_PAGES has no block '\(name)'") }
        last = name
        // Beyond its last byte a release looks at nothing, and takes a request that begins behind the block and wraps.
        guard start <= size, start &+ length &- 1 < size else {
            throw ProtocolError(
                "MIG_RP_MSG_REQ_PAGES request overrun, start=\(hex(start)) len=\(hex(length)) blocklen=\(hex(size))")
        }
        return (name, start..<start + length)
    }

    /// Bytes that the bitmap of a block takes on the wire: whole words of 64 bits.
    package func bitmapBytes(of size: UInt64) -> UInt64 { ((size / guestPage + 63) / 64) * 8 }

    /// Whether a bitmap is one that recovery waits for.
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
