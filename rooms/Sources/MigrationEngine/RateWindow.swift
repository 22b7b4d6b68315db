/// The windows of 100 ms in which a source keeps to its rate, and by which it measures what the link carries.
import MigrationTrace
import SwitchoverProtocol

struct RateWindow {
    /// Nanoseconds of virtual time.
    private let start: UInt64
    /// What the source had sent before it, in bytes.
    private let before: UInt64
    private static let length: UInt64 = 100_000_000

    /// Begins now; `bytes`: what the source has sent in all, here and below.
    init(at now: UInt64, _ bytes: UInt64) {
        start = now
        before = bytes
    }

    var end: UInt64 { start + Self.length }

    func milliseconds(at now: UInt64) -> UInt64 { (now - start) / 1_000_000 }

    func sent(_ bytes: UInt64) -> UInt64 { bytes - before }

    /// Bytes that may be sent in it still; `rate`: bytes per second, 0 for no limit.
    func budget(_ bytes: UInt64, rate: UInt64) -> UInt64 {
        guard rate > 0 else { return .max }
        let (most, used) = (rate / 10, sent(bytes))
        return most > used ? most - used : 0
    }
}

extension MigrationThread {
    /// Bytes that the window has left; 0 is none.
    var budget: UInt64 {
        window.budget(source.bytesSent, rate: source.isInPostcopy ? host.settings.maxPostcopyBandwidth : host.settings.maxBandwidth)
    }

    func restartWindow() { window = RateWindow(at: clock.now, source.bytesSent) }

    /// Its end: what it has carried makes the next threshold.
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
