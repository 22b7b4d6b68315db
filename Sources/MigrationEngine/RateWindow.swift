/// The windows of 100 ms in which a source limits its rate and measures the bandwidth of the link.
import MigrationTrace
import SwitchoverProtocol

struct RateWindow {
    /// Nanoseconds of virtual time.
    private let start: UInt64
    /// The bytes that the source had sent before the window.
    private let before: UInt64
    private static let length: UInt64 = 100_000_000

    /// Begins a window now; `bytes`, here and below, are all bytes that the source has sent so far.
    init(at now: UInt64, _ bytes: UInt64) {
        start = now
        before = bytes
    }

    var end: UInt64 { start + Self.length }

    func milliseconds(at now: UInt64) -> UInt64 { (now - start) / 1_000_000 }

    func sent(_ bytes: UInt64) -> UInt64 { bytes - before }

    /// The bytes that may still be sent in the window; `rate` is in bytes per second, 0 for no limit.
    func budget(_ bytes: UInt64, rate: UInt64) -> UInt64 {
        guard rate > 0 else { return .max }
        let (most, used) = (rate / 10, sent(bytes))
        return most > used ? most - used : 0
    }
}

extension MigrationThread {
    /// The bytes that may still be sent in the present window.
    var budget: UInt64 {
        window.budget(source.bytesSent, rate: source.isInPostcopy ? host.settings.maxPostcopyBandwidth : host.settings.maxBandwidth)
    }

    func restartWindow() { window = RateWindow(at: clock.now, source.bytesSent) }

    /// Ends the window: the bandwidth that it measured gives the next threshold.
    func endWindow() {
        let (sent, milliseconds) = (window.sent(source.bytesSent), window.milliseconds(at: clock.now))
        let settings = host.settings
        source.threshold.windowEnded(
            sent: sent, milliseconds: milliseconds, available: settings.availableBandwidth, downtime: settings.downtimeLimit)
        var event = TransferWindow()
        event.transferred = sent
        event.timeSpent = milliseconds
        let perMillisecond = sent / max(milliseconds, 1)
        event.bandwidth = generation.has(.queryPending) ? perMillisecond * 8 / 1000 : perMillisecond
        event.switchoverBandwidth =
            settings.availableBandwidth > 0 ? settings.availableBandwidth / 1000 : generation.has(.queryPending) ? perMillisecond : 0
        event.maxSize = Int64(clamping: source.threshold.bytes)
        host.emit(.migrateTransferred(event))
        restartWindow()
    }
}
