/// A cell: one migration with everything that decides its outcome, and what it is predicted to show.
import Peers
import VFIO

public struct Cell: Sendable {
    /// A device of the guest, mocked on both sides.
    public struct Device: Sendable {
        public var name: String
        public var source: DeviceScript
        public var destination: DeviceScript
    }

    /// What the handshake must show; counts are exact.
    public struct Expectation: Hashable, Sendable {
        public var mode: SwitchoverAckMode
        /// Requests by device: of the source in per-device mode, of the destination in legacy mode.
        public var requests: [String: Int]
        /// INIT_DATA_SENT markers the destination accepted, by device.
        public var approvals: [String: Int]
        /// SWITCHOVER_ACKs counted by the source.
        public var acks: Int
    }

    public enum Prediction: Hashable, Sendable {
        /// The migration completes with this handshake, and the ACK held the decision back.
        case completes(Expectation)
        /// A side refuses the capability, in words that contain this.
        case refused(Role, String)
    }

    /// What the cell shows, without its sides.
    public var title: String
    /// Names of the binaries.
    public var source: String
    public var destination: String
    public var machine: String
    public var devices: [Device] = []
    public var schedule: [ScheduleStep] = []
    public var prediction: Prediction

    /// `SOURCE-DESTINATION+title`, stable.
    public var name: String { "\(source)-\(destination)+\(title)" }
}
