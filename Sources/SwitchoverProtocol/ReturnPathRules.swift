/// The source's rules for messages of the return path, in each status.

/// Kinds of messages, by QEMU's number.
package enum ReturnPathKind: UInt16, CaseIterable, Hashable, Sendable {
    case shut = 1
    case pong, requestPagesID, requestPages, recvBitmap, resumeAck, switchoverAck

    /// The name in error texts.
    package var name: String {
        switch self {
        case .shut: "SHUT"
        case .pong: "PONG"
        case .requestPagesID: "REQ_PAGES_ID"
        case .requestPages: "REQ_PAGES"
        case .recvBitmap: "RECV_BITMAP"
        case .resumeAck: "RESUME_ACK"
        case .switchoverAck: "SWITCHOVER_ACK"
        }
    }

    /// The bytes of the payload; nil if their number varies.
    package var length: UInt16? {
        switch self {
        case .shut, .pong, .resumeAck: 4
        case .requestPages: 12
        case .switchoverAck: 0
        case .requestPagesID, .recvBitmap: nil
        }
    }
}

/// A message that was read whole.
package enum ReturnPathMessage: Hashable, Sendable {
    case shut(UInt32)
    case pong(UInt32)
    case requestPages(PageRequest)
    /// `bits` is the number of bytes of the bitmap that follows, and `mark` its end mark.
    case recvBitmap(block: String, bits: UInt64, mark: UInt64)
    case resumeAck(UInt32)
    case switchoverAck
}

/// What the source's return-path thread does with a message.
package enum ReturnPathReaction: Hashable, Sendable {
    /// The thread ends without an error.
    case ends
    /// A PONG is counted. A source that waits until the connection works waits for this count.
    case countsPong
    /// A PONG is counted, and the flag of a loaded package is set, which the migration loop consumes.
    case packageLoaded
    /// A PONG is counted, and the thread itself changes the status, if it is the expected one.
    case changesStatus(from: Status, to: Status)
    /// These bytes of the block are sent before others.
    case queuesPages(block: String, bytes: Range<UInt64>)
    /// The pages that the bitmap lacks are dirty in this block; the thread that waits for the bitmap is woken.
    case loadsBitmap(block: String)
    /// The migration thread is woken, and the status goes from postcopy-recover to postcopy-active.
    case resumes
    /// An ACK is counted.
    case countsAck
}

/// The kind of a migration's channel, on which its return path depends.
package enum Transport: Hashable, Sendable {
    case socket
    /// `file:`. It is read when it is complete, and nothing comes back.
    case file
    /// `exec:`, a command on each side. Nobody reads what the destination sends back.
    case pipe
}

/// What happens when the return path is opened.
package enum ReturnPathOpening: Hashable, Sendable {
    /// There is no return path: the source sends no OPEN_RETURN_PATH and does not wait for SHUT.
    case none
    case opens
    /// The source waits on the return path, and no message ever arrives.
    case silent
    /// The return-path thread ends at once with this error.
    case broken(ProtocolError)
    /// The migration is refused.
    case refused(ProtocolError)
}

package struct ReturnPathRules: Hashable, Sendable {
    package let generation: Generation
    package init(_ generation: Generation) { self.generation = generation }

    /// The value of the PONG that says that the package is loaded (10.2).
    package static let packageLoaded: UInt32 = 0x42
    /// The value of a RESUME_ACK.
    package static let resumed: UInt32 = 1
    /// The end mark of a bitmap.
    package static let bitmapMark: UInt64 = 0x0123_4567_89ab_cdef
    /// The longest payload that is accepted, in bytes.
    package static let longest: UInt16 = 512
    /// The error of a channel that ends, or fails, where a message should begin.
    package static let channelEnded = ProtocolError("Channel error: Input/output error")

    // MARK: The frame

    /// The kind of a message whose header was read.
    package func kind(type: UInt16, length: UInt16) throws(ProtocolError) -> ReturnPathKind {
        guard let kind = ReturnPathKind(rawValue: type) else {
            throw ProtocolError("Received invalid message \(hex4(type)) length \(hex4(length))")
        }
        guard kind.length ?? length == length, length <= Self.longest else {
            // A length that varies is kept as -1, and printed unsigned.
            let expected = kind.length.map(UInt64.init) ?? .max
            throw ProtocolError("Received '\(kind.name)' message (\(hex4(type))) withincorrect length \(length) expecting \(expected)")
        }
        return kind
    }

    /// The error of a payload that ends after `read` bytes.
    package func shortPayload(_ kind: ReturnPathKind, read: UInt16, expected: UInt16) -> ProtocolError {
        ProtocolError("Failed reading data for message \(hex4(kind.rawValue)) read \(read) expected \(expected)")
    }

    /// Checks the length of a REQ_PAGES_ID against that of the name in it; `name` is nil if there is no byte for it.
    package func checkRequestLength(_ length: UInt16, name: UInt8?) throws(ProtocolError) {
        let expected = name.map { 13 + Int($0) } ?? 13
        guard Int(length) == expected else { throw ProtocolError("Req_Page_id with length \(length) expecting \(expected)") }
    }

    // MARK: Reactions

    /// The thread's reaction to a message in `status`, which may be any: the thread checks `isRunning` before a read, and not after a read
    /// in which it waited. `ledger` counts an ACK; `memory` is the guest's, and remembers the block of the last request.
    /// - Throws: the error that the thread ends with; the migration stores it if it is the first.
    package func react(
        to message: ReturnPathMessage, in status: Status, _ ledger: inout SourceLedger, _ memory: inout RequestedMemory
    ) throws(ProtocolError) -> ReturnPathReaction {
        switch message {
        case .shut(let value) where value == 0 || generation.isWrong(.shutErrorIgnored): return .ends
        // The number is printed signed.
        case .shut(let error): throw ProtocolError("Sibling indicated error \(Int32(bitPattern: error))")
        case .pong(let value):
            if generation.isWrong(.pongTakenForAck), ledger.pending > 0 { try ledger.acknowledge() }
            return pong(value)
        case .requestPages(let request):
            let (block, bytes) = try memory.resolve(request)
            return .queuesPages(block: block, bytes: bytes)
        case .recvBitmap(let block, let bits, let mark):
            try memory.checkBitmap(block: block, bytes: bits, mark: mark, in: status)
            return .loadsBitmap(block: block)
        case .resumeAck(Self.resumed): return .resumes
        case .resumeAck(let value): throw ProtocolError("illegal resume_ack value \(value)")
        case .switchoverAck:
            try ledger.acknowledge()
            return .countsAck
        }
    }

    private func pong(_ value: UInt32) -> ReturnPathReaction {
        guard value == Self.packageLoaded, generation.has(.postcopyDevice) else { return .countsPong }
        return generation.has(.threadLeavesPostcopyDevice)
            ? .changesStatus(from: .postcopyDevice, to: .postcopyActive) : .packageLoaded
    }

    /// True if the end of the thread wakes a migration thread that would otherwise wait forever.
    package func endWakes(_ status: Status) -> Bool {
        status == .postcopyRecover || status == .postcopyDevice && generation.has(.postcopyDevice)
    }

    // MARK: Opening

    /// What happens when the return path is opened on a channel, while the migration is set up in `status`.
    package func opening(
        _ transport: Transport, in status: Status, returnPath: Bool, postcopyRAM: Bool
    ) -> ReturnPathOpening {
        guard returnPath || postcopyRAM else { return .none }
        guard status.connects(in: generation) else { return .none }
        switch transport {
        case .socket: return .opens
        case .file:
            return generation.has(.readsReturnPathOfFile)
                ? .broken(ProtocolError("Unable to read from file: Bad file descriptor"))
                : .refused(ProtocolError("A file has no return path"))
        case .pipe:
            return generation.has(.readsReturnPathOfPipe) ? .silent : .refused(ProtocolError("A pipe has no return path"))
        }
    }
}

/// The number as `%#06x` prints it: 0x and at least four digits.
private func hex4(_ value: UInt16) -> String {
    let digits = String(value, radix: 16)
    return "0x" + String(repeating: "0", count: 4 - digits.count) + digits
}
