/// The source's return-path thread: it reads the destination's messages and carries out the rules' reactions. Its errors stop nothing by
/// themselves: QEMU looks at them when the thread is joined.
import MigrationStream
import MigrationTrace
import SwitchoverProtocol

final class ReturnPathThread: EngineThread {
    private unowned let source: Source
    private let rules: ReturnPathRules
    /// The error of a read that finds no message.
    private let readError: ProtocolError
    private var hasEntered = false
    /// True if the source itself has shut the socket down.
    private(set) var isShutDown = false
    private(set) var hasFailed = false

    /// `readError` is the error of a read that finds no message.
    init(_ source: Source, readError: ProtocolError = ReturnPathRules.channelEnded) {
        self.source = source
        self.readError = readError
        rules = ReturnPathRules(source.generation)
        super.init(source.host, source.clock)
        spend(Pace.step)
    }

    override var inputArrival: UInt64? {
        guard hasEntered else { return 0 }
        return isShutDown ? 0 : source.channel.backArrival
    }

    /// The source shuts its socket down: the next read fails.
    func shutDown() { isShutDown = true }

    override var stepName: String { hasEntered ? "return-path read" : "return-path enter" }

    override func step() {
        guard hasEntered else {
            hasEntered = true
            host.emit(.sourceReturnPathThreadEntry)
            // A release looks before each read. Here a source that has ended meanwhile shuts its end down, which the read then finds.
            guard source.ruledStatus.isRunning else { return leave() }
            host.emit(.sourceReturnPathThreadLoopTop)
            return spend(Pace.step)
        }
        spend(Pace.step)
        guard !isShutDown, let message = source.channel.readBack() else { return fail(readError) }
        handle(message)
    }

    private func handle(_ message: ReturnMessage) {
        let reaction = Result { () throws(ProtocolError) in
            try rules.react(to: .init(message), in: source.ruledStatus, &source.ledger, &source.requestedMemory)
        }
        log(message)
        do { try carryOut(reaction.get(), message) } catch { fail(error) }
    }

    /// Logs a message that has arrived, also one that the rules refuse.
    private func log(_ message: ReturnMessage) {
        switch message {
        case .shut(let value): host.emit(.sourceReturnPathThreadShut(UInt64(value)))
        case .pong(let value): host.emit(.sourceReturnPathThreadPong(UInt64(value)))
        case .requestPages(let block, let offset, let length):
            host.emit(.migrateHandleRPReqPages(block: block ?? "(null)", start: offset, length: UInt64(length)))
        case .recvBitmap(let block, _):
            if source.requestedMemory.blocks[block] != nil { host.emit(.ramDirtyBitmapReloadBegin(block: block)) }
        case .resumeAck(let value): host.emit(.sourceReturnPathThreadResumeAck(UInt64(value)))
        case .switchoverAck:
            // Up to 11.0 there is no number.
            let pending = source.generation.has(.perDeviceAcks) ? source.ledger.pending : nil
            host.emit(.sourceReturnPathThreadSwitchoverAcked(pending: pending))
        }
    }

    private func carryOut(_ reaction: ReturnPathReaction, _ message: ReturnMessage) {
        switch reaction {
        case .ends: return leave()
        case .countsPong, .countsAck: break
        case .packageLoaded:
            host.emit(.sourceReturnPathThreadPostcopyPackageLoaded)
            source.packageIsLoaded = true
        case .changesStatus(let from, let to):
            host.emit(.sourceReturnPathThreadPostcopyPackageLoaded)
            source.change(MigrationStatus(from), to: MigrationStatus(to))
        case .queuesPages(let block, let bytes): host.memory?.queue(block: block, bytes)
        case .loadsBitmap(let block):
            if case .recvBitmap(_, let words) = message { host.memory?.reload(block: block, received: words) }
            host.emit(.ramDirtyBitmapReloadComplete(block: block))
        case .resumes: source.resumeIsAcknowledged = true
        }
        host.emit(.sourceReturnPathThreadLoopTop)
    }

    private func leave() {
        host.emit(.sourceReturnPathThreadEnd)
        end()
    }

    private func fail(_ error: ProtocolError) {
        hasFailed = true
        source.store(error.text)
        host.emit(.sourceReturnPathThreadBadEnd)
        leave()
    }
}

extension SwitchoverProtocol.ReturnPathMessage {
    /// The message in the form of the rules; the channel carries a bitmap whole, so its end mark is right.
    fileprivate init(_ message: ReturnMessage) {
        self =
            switch message {
            case .shut(let value): .shut(value)
            case .pong(let value): .pong(value)
            case .requestPages(let block, let offset, let length): .requestPages(PageRequest(block: block, offset: offset, length: length))
            case .recvBitmap(let block, let words):
                .recvBitmap(block: block, bits: UInt64(words.count * 8), mark: ReturnPathRules.bitmapMark)
            case .resumeAck(let value): .resumeAck(value)
            case .switchoverAck: .switchoverAck
            }
    }
}
