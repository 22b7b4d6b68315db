/// An outgoing migration: what its threads share.
///
/// The migration thread writes the stream and decides; the return-path thread reads what comes back; the main thread takes commands and
/// cleans up.
import Glibc
import MigrationStream
import MigrationTrace
import SwitchoverProtocol

package final class Source: MigrationSide {
    var ledger: SourceLedger
    /// The guest's memory, as the destination asks for it.
    var requestedMemory: RequestedMemory
    var threshold: SwitchoverThreshold
    /// Postcopy was asked for by the manager.
    package var postcopyIsAsked = false
    /// PONG 0x42 has come.
    var packageIsLoaded = false
    /// `migrate-continue` has been given.
    var isContinued = false
    /// The stream has failed: a write, or a module in the midst of its section.
    var fileError = false
    /// What it failed with; the first failure counts.
    private(set) var fileErrno: Int64 = -5
    private(set) var fileErrorText = "Channel error: Input/output error"
    var returnPath: ReturnPathThread?
    var migration: MigrationThread?
    /// RESUME_ACK has come.
    var resumeIsAcknowledged = false
    /// Milliseconds from the guest's stop to the end of the switchover; nil before.
    package var downtime: UInt64?
    var stoppedAt: UInt64 = 0
    /// The switchover at hand begins a postcopy.
    var postcopyIsStarting = false

    /// It goes on connecting, also if it was cancelled meanwhile and the generation overlooks it.
    var connects: Bool { ruledStatus.connects(in: generation) }

    init(_ host: Host, _ channel: Channel, _ clock: Clock, entered: @escaping (MigrationStatus) -> Void) {
        ledger = SourceLedger(host.generation, mode: host.settings.mode, capability: host.has(.switchoverAck))
        requestedMemory = host.memory?.requested ?? RequestedMemory()
        threshold = SwitchoverThreshold(host.generation)
        super.init(.source, host, channel, clock, entered: entered)
    }

    /// What a migrate_cancel comes to now.
    var cancelDecision: CancelDecision { machine.cancel(handedOver: migration?.hasHandedOver == true) }

    var hasFailed: Bool { ruledStatus.hasFailed }
    var isInPostcopy: Bool { ruledStatus.isInPostcopy }
    /// The loop goes on.
    var isActive: Bool { ruledStatus.isActive }

    /// Writes to the stream; an error is found by the next look for one.
    ///
    /// Only where it `flushes` is anything handed to the channel in QEMU: what is behind that shows an error with the next one.
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

    /// What was written and not yet handed to the channel; it is lost where the migration ends before that.
    private var buffer: [StreamElement] = []
    private var bufferedBytes = 0
    /// Bytes that QEMU gathers before it writes.
    private static let bufferSize = 32 << 10

    /// Nobody reads the channel any more.
    func writeFailed() {
        guard !fileError else { return }
        fileErrorText = "Unable to write to socket: Connection reset by peer"
        fileErrno = -5
        fileError = true
    }

    /// The source itself shuts the channel down: its stream is in error from then on.
    package func shutDown() {
        channel.closeSource()
        guard !fileError else { return }
        fileErrorText = "Channel error: Input/output error"
        fileErrno = -5
        fileError = true
        isShutDown = true
    }

    /// By itself, so that no write has failed.
    private(set) var isShutDown = false

    /// A module fails, or a device in a change of the guest's state: that is an error of the stream, in words of the errno.
    func failFile(_ failure: ModuleError) {
        guard !fileError else { return }
        fileErrorText = "Channel error: " + String(cString: strerror(Int32(clamping: -failure.result)))
        fileErrno = failure.result
        fileError = true
    }

    /// A device's refusal in a change of the guest's state counts as an error of the stream, while there is one.
    func deviceRefused(_ failure: ModuleError) {
        guard !fileError, isActive || [.setup, .preSwitchover, .device].contains(status) else { return }
        fileErrorText = failure.text
        fileErrno = failure.result
        fileError = true
    }

    /// Bytes written in all.
    private(set) var bytesSent: UInt64 = 0
}
