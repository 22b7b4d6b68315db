/// How a side counts switchover ACKs, as a binary is probed, a trace's header says and a log shows.
///
/// `SwitchoverProtocol` and `Prediction` each have a type of their own for it: they import nothing, so that what judges a migration shares
/// nothing with what made it.
package enum SwitchoverAckMode: String, CaseIterable, Hashable, Sendable, Codable {
    /// One ACK for all devices, counted by the destination (QEMU 8.1 and later).
    case legacy
    /// One ACK for each request of a device, counted by the source (QEMU 11.1 and later).
    case perDevice = "per-device"
}
