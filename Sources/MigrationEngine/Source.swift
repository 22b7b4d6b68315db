/// An outgoing migration: the state that its threads share.
///
/// The migration thread writes the stream and decides; the return-path thread reads the destination's messages; the main thread executes
/// commands and cleans up.
import Glibc
import MigrationStream
import MigrationTrace
import SwitchoverProtocol

package final class Source: MigrationSide {
    var ledger: SourceLedger
    /// The blocks of the guest's memory, against which the destination's requests are checked.
    var requestedMemory: RequestedMemory
    var threshold: SwitchoverThreshold
    /// True if the manager has asked for postcopy.
    package var postcopyIsAsked = false
    /// True if PONG 0x42 has arrived.
    var packageIsLoaded = false
    /// True if the manager has sent `migrate-continue`.
    var isContinued = false
    /// True if the stream has failed: a write, or a module within its section.
    var fileError = false
    /// The errno and the text of the first failure.
    private(set) var fileErrno: Int64 = -5
    private(set) var fileErrorText = "Channel error: Input/output error"
    var returnPath: ReturnPathThread?
    var migration: MigrationThread?
    /// True if RESUME_ACK has arrived.
    var resumeIsAcknowledged = false
    /// Milliseconds from the guest's stop to the end of the switchover; nil before that.
    package var downtime: UInt64?
    var stoppedAt: UInt64 = 0
    /// True if the present switchover begins a postcopy.
    var postcopyIsStarting = false

    /// True if the source goes on connecting; in some generations also after a cancel.
    var connects: Bool { ruledStatus.connects(in: generation) }

    init(_ host: Host, _ channel: Channel, _ clock: Clock, entered: @escaping (MigrationStatus) -> Void) {
        ledger = SourceLedger(host.generation, mode: host.settings.mode, capability: host.has(.switchoverAck))
        if host.generation.isWrong(.ledgerKept), let kept = host.lastLedger { ledger = kept }
        requestedMemory = host.memory?.requested ?? RequestedMemory()
        threshold = SwitchoverThreshold(host.generation)
        super.init(.source, host, channel, clock, entered: entered)
    }

    /// What migrate_cancel does now.
    var cancelDecision: CancelDecision { machine.cancel(handedOver: migration?.hasHandedOver == true) }

    var hasFailed: Bool { ruledStatus.hasFailed }
    var isInPostcopy: Bool { ruledStatus.isInPostcopy }
    /// True if the migration loop goes on.
    var isActive: Bool { ruledStatus.isActive }

    /// Writes to the stream; the next check for errors finds an error.
    ///
    /// QEMU hands bytes to the channel only where it `flushes`: an error of what was written after a flush shows with the next flush.
    func write(_ element: StreamElement, flushes: Bool = true) {
        guard !fileError else { return }
        bytesSent += UInt64(element.wireSize)
        buffer.append(element)
        bufferedBytes += element.wireSize
        guard flushes || bufferedBytes >= Self.bufferSize else { return }
        for element in buffer where !channel.write(element, at: clock.now) {
            writeFailed()
            break
        }
        buffer.removeAll(keepingCapacity: true)
        bufferedBytes = 0
    }

    /// The elements that were written and not handed to the channel yet; they are lost if the migration ends before that.
    private var buffer: [StreamElement] = []
    private var bufferedBytes = 0
    /// The bytes that QEMU gathers before it writes.
    private static let bufferSize = 32 << 10

    /// Notes that a write has failed, since nobody reads the channel any more.
    func writeFailed() {
        guard !fileError else { return }
        fileErrorText = "Unable to write to socket: Connection reset by peer"
        fileErrno = -5
        fileError = true
    }

    /// Shuts the channel down: the stream is in error from then on.
    package func shutDown() {
        channel.closeSource()
        guard !fileError else { return }
        fileErrorText = "Channel error: Input/output error"
        fileErrno = -5
        fileError = true
        isShutDown = true
    }

    /// True if the source itself has shut the channel down, so that no write has failed.
    private(set) var isShutDown = false

    /// Notes the failure of a module as an error of the stream, in the words of its errno.
    func failFile(_ failure: ModuleError) {
        guard !fileError else { return }
        fileErrorText = "Channel error: " + String(cString: strerror(Int32(clamping: -failure.result)))
        fileErrno = failure.result
        fileError = true
    }

    /// Notes a device's refusal to change its state as an error of the stream, while there is a stream.
    func deviceRefused(_ failure: ModuleError) {
        guard !fileError, isActive || [.setup, .preSwitchover, .device].contains(status) else { return }
        fileErrorText = failure.text
        fileErrno = failure.result
        fileError = true
    }

    /// All bytes that were written.
    private(set) var bytesSent: UInt64 = 0
}
