/// What the downtime experiment migrates: a large idle guest with one busy device and three idle ones, at stated rates.
///
/// Every measured time is a size divided by a rate. Sizes and rates are divided by the same number, the scale, so the times stay the same
/// while the processors, which act as devices and link, have less to do.

/// How a REINIT is answered.
package enum Answer: String, Hashable, Sendable, Codable, CaseIterable {
    /// Legacy mode: one ACK for all devices; a REINIT is not waited for, and what is unread is loaded with the guest stopped.
    case ignored = "without re-ACK"
    /// Per-device mode: each REINIT is requested, loaded while the guest runs, and acknowledged.
    case acknowledged = "with re-ACK"
}

package struct DowntimeSetting: Hashable, Sendable, Codable {
    package var scale: Int
    /// Not scaled: it is idle, and zero pages cost nothing.
    package var memoryMiB = 8192
    /// The busy device, 1 GiB in all: what it has at first, what each re-initialisation brings, and what remains for the stop.
    package var initialMiB = 205
    package var reinitMiB = 553
    package var finalMiB = 266
    package var idleDevices = 3
    /// What each idle device has for the stop.
    package var idleMiB = 128
    /// Of each device, reading and writing.
    package var deviceMiBPerSecond = 512
    /// 100 Gbit/s. QEMU knows it as max-bandwidth and avail-switchover-bandwidth; with the downtime limit it is the threshold.
    package var linkBytesPerSecond = 12_500_000_000
    package var downtimeLimitMilliseconds = 300

    package init(scale: Int = 8) { self.scale = scale }

    /// The gate that lets the busy device re-initialise, and the one that lets the destination go on loading it.
    static let busyGate = "busy"
    static let loadGate = "load"

    private func bytes(_ mebibytes: Int) -> Int { (mebibytes << 20) / scale }
    private var rate: Int { bytes(deviceMiBPerSecond) }
    package var threshold: Int { linkBytesPerSecond / scale / 1000 * downtimeLimitMilliseconds }
    package var linkRate: Int { linkBytesPerSecond / scale }

    private static let abilities = "ackmatrix-device 1\nhas precopy p2p reinit\n"

    /// The source's device scripts, the busy device first. A re-initialisation comes as soon as the bytes of the one before are drained.
    package func sourceScripts(reinits: Int) -> [String] {
        var busy = Self.abilities + "initial \(bytes(initialMiB))\nstop-copy \(bytes(finalMiB))\nrate read \(rate)/s\n"
        if reinits > 0 { busy += "on gate \(Self.busyGate) do reinit \(bytes(reinitMiB))\n" }
        if reinits > 1 { busy += "on query 1 when=2..\(reinits) do reinit \(bytes(reinitMiB))\n" }
        let idle = Self.abilities + "initial 64K\nstop-copy \(bytes(idleMiB))\nrate read \(rate)/s\n"
        return [busy] + Array(repeating: idle, count: idleDevices)
    }

    /// The destination's. It is held when it has loaded the first initial bytes, so that the re-initialisation finds the ACK pending.
    package var destinationScripts: [String] {
        let device = Self.abilities + "rate write \(rate)/s\n"
        return [device + "on written \(bytes(initialMiB)) do hold \(Self.loadGate)\n"] + Array(repeating: device, count: idleDevices)
    }

    // MARK: What it comes to by arithmetic alone, in milliseconds

    private func milliseconds(_ mebibytes: Int) -> Double { Double(mebibytes) / Double(deviceMiBPerSecond) * 1000 }

    /// The busy device's own share of the downtime. Ignored, a re-initialisation is loaded in it, all that is unread at the stop.
    package func predictedBusy(_ answer: Answer, reinits: Int) -> Double {
        milliseconds(answer == .ignored && reinits > 0 ? reinitMiB + finalMiB : finalMiB)
    }

    /// Devices are loaded one after the other.
    package func predictedTotal(_ answer: Answer, reinits: Int) -> Double {
        predictedBusy(answer, reinits: reinits) + Double(idleDevices) * milliseconds(idleMiB)
    }
}

/// The numbers published with the series, in milliseconds: an 8 GB guest, four devices, one of them busy with 1 GB of device data.
package struct Published: Hashable, Sendable, Codable {
    package var total = ["without re-ACK": 2352.0, "with re-ACK": 1335.0]
    package var busy = ["without re-ACK": 1600.0, "with re-ACK": 520.0]

    package init() {}
}
