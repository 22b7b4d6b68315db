/// What a message of the return path means to a source, in each status.

/// Kinds of messages, by QEMU's number.
package enum ReturnPathKind: UInt16, CaseIterable, Hashable, Sendable {
    case shut = 1
    case pong, requestPagesID, requestPages, recvBitmap, resumeAck, switchoverAck

    /// As error texts call it.
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

    /// Bytes of its payload; nil where they vary.
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
    /// `bits`: bytes of the bitmap that follows. `mark`: its end mark.
    case recvBitmap(block: String, bits: UInt64, mark: UInt64)
    case resumeAck(UInt32)
    case switchoverAck
}

/// What the source's return-path thread does with a message.
package enum ReturnPathReaction: Hashable, Sendable {
    /// The thread ends without an error.
    case ends
    /// A PONG is counted; waits for a connection go by the count.
    case countsPong
    /// And the flag of a loaded package is set, which the migration loop consumes.
    case packageLoaded
    /// And the thread itself changes the status, if it is the one expected.
    case changesStatus(from: Status, to: Status)
    /// These bytes of the block are sent before others.
    case queuesPages(block: String, bytes: Range<UInt64>)
    /// The inverted bitmap is what is dirty in this block; the thread that waits for it is woken.
    case takesBitmap(block: String)
    /// The migration thread is woken, and the status goes from postcopy-recover to postcopy-active.
    case resumes
    /// An ACK is counted.
    case counts
}

/// What the channel of a migration is, as its return path goes.
package enum Transport: Hashable, Sendable {
    case socket
    /// `file:`
    case file
    /// `exec:`
    case pipe
}

/// What comes of opening the return path.
package enum ReturnPathOpening: Hashable, Sendable {
    /// None: OPEN_RETURN_PATH is not sent, and SHUT is not waited for.
    case none
    case opens
    /// It is waited on, and nothing ever comes.
    case silent
    /// Its thread ends at once with this error.
    case broken(ProtocolError)
    /// The migration is refused.
    case refused(ProtocolError)
}

package struct ReturnPathRules: Hashable, Sendable {
    package let generation: Generation
    package init(_ generation: Generation) { self.generation = generation }

    /// PONG of this value: the package is loaded (10.2).
    package static let packageLoaded: UInt32 = 0x42
    /// The value of a RESUME_ACK.
    package static let resumed: UInt32 = 1
    /// Behind a bitmap.
    package static let bitmapMark: UInt64 = 0x0123_4567_89ab_cdef
    /// The longest payload that is taken, in bytes.
    package static let longest: UInt16 = 512
    /// The channel ended, or gave an error, where a message was to begin.
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

    /// The payload ended short, after `read` bytes.
    package func shortPayload(_ kind: ReturnPathKind, read: UInt16, expected: UInt16) -> ProtocolError {
        ProtocolError("Failed reading data for message \(hex4(kind.rawValue)) read \(read) expected \(expected)")
    }

    /// Checks a REQ_PAGES_ID's length against that of the name in it; `name` is nil when there is no byte for it.
    package func checkRequestLength(_ length: UInt16, name: UInt8?) throws(ProtocolError) {
        let expected = name.map { 13 + Int($0) } ?? 13
        guard Int(length) == expected else { throw ProtocolError("Req_Page_id with length \(length) expecting \(expected)") }
    }

    // MARK: What it means

    /// What the thread does with a message in `status`: any, as the thread looks whether it `isRunning` before it reads, and not behind a
    /// read in which it waited. `ledger` counts an ACK; `memory` is the guest's, and remembers the block that was asked for last.
    /// - Throws: the error that the thread ends with, and that the migration keeps if it is the first.
    package func react(
        to message: ReturnPathMessage, in status: Status, _ ledger: inout SourceLedger, _ memory: inout RequestedMemory
    ) throws(ProtocolError) -> ReturnPathReaction {
        switch message {
        case .shut(0): return .ends
        // The number is printed signed.
        case .shut(let error): throw ProtocolError("Sibling indicated error \(Int32(bitPattern: error))")
        case .pong(let value): return pong(value)
        case .requestPages(let request):
            let (block, bytes) = try memory.take(request)
            return .queuesPages(block: block, bytes: bytes)
        case .recvBitmap(let block, let bits, let mark):
            try memory.checkBitmap(block: block, bytes: bits, mark: mark, in: status)
            return .takesBitmap(block: block)
        case .resumeAck(Self.resumed): return .resumes
        case .resumeAck(let value): throw ProtocolError("illegal resume_ack value \(value)")
        case .switchoverAck:
            try ledger.acknowledge()
            return .counts
        }
    }

    private func pong(_ value: UInt32) -> ReturnPathReaction {
        guard value == Self.packageLoaded, generation.has(.postcopyDevice) else { return .countsPong }
        return generation.has(.threadLeavesPostcopyDevice)
            ? .changesStatus(from: .postcopyDevice, to: .postcopyActive) : .packageLoaded
    }

    /// Whether the end of the thread wakes a migration thread that would wait for it without an end.
    package func endWakes(_ status: Status) -> Bool {
        status == .postcopyRecover || status == .postcopyDevice && generation.has(.postcopyDevice)
    }

    // MARK: Whether there is one

    /// What comes of opening it on a channel, as the migration is set up in `status`.
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

/// As `%#06x` would print it: 0x and four digits at least.
private func hex4(_ value: UInt16) -> String {
    let digits = String(value, radix: 16)
    return "0x" + String(repeating: "0", count: 4 - digits.count) + digits
}
