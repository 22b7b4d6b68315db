/// The thread that reads what the destination says. Its errors stop nothing by themselves: they are looked at when it is joined.
import MigrationStream
import MigrationTrace
import SwitchoverProtocol

final class ReturnPathThread: EngineThread {
    private unowned let source: Source
    private var hasEntered = false
    /// Its end was shut down by the source itself.
    private(set) var isShutDown = false
    private(set) var hasFailed = false

    init(_ source: Source) {
        self.source = source
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
            guard ![.cancelled, .failed, .completed].contains(source.status) else {
                host.emit(.sourceReturnPathThreadEnd)
                return end()
            }
            host.emit(.sourceReturnPathThreadLoopTop)
            return spend(Pace.step)
        }
        spend(Pace.step)
        guard !isShutDown, let message = source.channel.readBack() else { return fail(source.channel.backError) }
        take(message)
    }

    private func take(_ message: ReturnMessage) {
        switch message {
        case .shut(let value):
            host.emit(.sourceReturnPathThreadShut(UInt64(value)))
            guard value == 0 else { return fail("Sibling indicated error \(value)") }
            host.emit(.sourceReturnPathThreadEnd)
            return end()
        case .pong(let value):
            host.emit(.sourceReturnPathThreadPong(UInt64(value)))
            if value == packageLoadedPing, source.generation.has(.postcopyDevice) { packageLoaded() }
        case .switchoverAck:
            do { try source.ledger.acknowledge() } catch {
                host.emit(.sourceReturnPathThreadSwitchoverAcked(pending: source.ledger.pending))
                return fail(error.text)
            }
            host.emit(
                .sourceReturnPathThreadSwitchoverAcked(pending: source.generation.has(.perDeviceAcks) ? source.ledger.pending : nil))
        case .requestPages(let block, let offset, let length):
            guard let ram = host.memory else { return fail("MIG_RP_MSG_REQ_PAGES has no previous block") }
            do { try ram.requestPages(block: block, offset: offset, length: length, host) } catch { return fail(error.text) }
        case .recvBitmap(let block, let bits):
            guard source.status == .postcopyRecover else {
                return fail("Reload bitmap in incorrect state \(source.status.rawValue)")
            }
            do { try host.memory?.reload(block: block, received: bits, host) } catch { return fail(error.text) }
        case .resumeAck(let value):
            host.emit(.sourceReturnPathThreadResumeAck(UInt64(value)))
            guard value == 1 else { return fail("illegal resume_ack value \(value)") }
            source.resumeIsAcknowledged = true
        }
        host.emit(.sourceReturnPathThreadLoopTop)
    }

    private func packageLoaded() {
        host.emit(.sourceReturnPathThreadPostcopyPackageLoaded)
        if source.generation.has(.threadLeavesPostcopyDevice) {
            source.change(.postcopyDevice, to: .postcopyActive)
        } else {
            source.packageIsLoaded = true
        }
    }

    private func fail(_ text: String) {
        hasFailed = true
        source.store(text)
        host.emit(.sourceReturnPathThreadBadEnd)
        host.emit(.sourceReturnPathThreadEnd)
        end()
    }
}

/// The value of the PING whose PONG says that the package is loaded (10.2 and later).
let packageLoadedPing: UInt32 = 0x42
