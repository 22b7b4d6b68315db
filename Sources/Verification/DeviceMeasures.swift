/// Numbers of each device of a migration, from the source's log: what a hardware lab compares between drivers, firmware versions and
/// kernels. They judge nothing.
import MigrationTrace

package struct DeviceMeasures: Hashable, Sendable {
    package struct Device: Hashable, Sendable {
        /// The name that QEMU calls the device by.
        package let name: String
        package fileprivate(set) var queries = 0
        /// Queries that told of a REINIT (11.1 and later; older releases log none).
        package fileprivate(set) var reinits = 0
        /// Queries that collected a request (11.1 and later; older sources do not know who requests).
        package fileprivate(set) var requests = 0
        package fileprivate(set) var markers = 0
        /// From a marker's line to that of the ACK that answers it, in nanoseconds by the source's clock; without those of lines that have
        /// no time. At most 4096 are kept.
        package fileprivate(set) var markerToACK: [Int64] = []
        /// Initial bytes that were not read when the device entered STOP_COPY, by the last line before it that tells them; nil before it
        /// has entered the state.
        package fileprivate(set) var initialLeft: UInt64?
        package fileprivate(set) var precopyBytes: UInt64 = 0
        package fileprivate(set) var stopCopyBytes: UInt64 = 0

        fileprivate var initial: UInt64 = 0
        fileprivate var isInStopCopy = false
    }

    /// In the order in which the log names them; at most as many as a migration can have.
    package private(set) var devices: [Device] = []
    /// From the source's downtime start to its end, in nanoseconds; nil if a line or its time is missing.
    package private(set) var sourceDowntime: Int64?

    private var stopped: Int64?
    /// Markers without an ACK, in their order: the destination answers them in the order of the stream.
    private var unanswered: [(device: Int, time: Int64?)] = []
    private let isLegacy: Bool

    /// `isLegacy`: one ACK answers all markers.
    package init(isLegacy: Bool) { self.isLegacy = isLegacy }

    package static func == (a: Self, b: Self) -> Bool { a.devices == b.devices && a.sourceDowntime == b.sourceDowntime }
    package func hash(into hasher: inout Hasher) { hasher.combine(devices) }

    /// Takes an event of the source with the time of its line. A new migration begins anew.
    package mutating func handle(_ event: Event, at time: Int64?) {
        switch event {
        case .migrateSetState(.setup): self = DeviceMeasures(isLegacy: isLegacy)
        case .vfioQueryPrecopySize(let device, let initial, _, let reinit, let result):
            change(device) {
                $0.queries += 1
                if result == 0 { $0.initial = initial }
                if reinit { $0.reinits += 1 }
            }
        case .vfioStatePending(let pending):
            change(pending.device) {
                $0.initial = pending.initial
                if pending.requestsAck { $0.requests += 1 }
            }
        case .vfioStatePendingEstimate(let device, _, _, let initial, _), .vfioStatePendingExact(let device, _, _, _, let initial, _):
            change(device) {
                $0.queries += 1
                $0.initial = initial
            }
        case .vfioSendInitDataFlag(let device):
            guard let index = index(of: device) else { return }
            devices[index].markers += 1
            if unanswered.count < SourceDevice.mostMarkers { unanswered.append((index, time)) }
        case .sourceReturnPathThreadSwitchoverAcked: answer(at: time)
        case .vfioSaveIterate(let device, let initial, _): change(device) { $0.initial = initial }
        case .vfioMigrationSetState(let device, .stopCopy, _):
            change(device) {
                $0.isInStopCopy = true
                $0.initialLeft = $0.initialLeft ?? $0.initial
            }
        case .vfioSaveBlock(let device, let size) where size > 0:
            change(device) {
                if $0.isInStopCopy { $0.stopCopyBytes &+= UInt64(size) } else { $0.precopyBytes &+= UInt64(size) }
            }
        case .vmstateDowntimeCheckpoint("src-downtime-start"): stopped = stopped ?? time
        case .vmstateDowntimeCheckpoint("src-downtime-end"):
            if let stopped, let time { sourceDowntime = time - stopped }
        default: break
        }
    }

    private mutating func answer(at time: Int64?) {
        let answered = isLegacy ? unanswered[...] : unanswered.prefix(1)
        for marker in answered where devices[marker.device].markerToACK.count < SourceDevice.mostMarkers {
            if let sent = marker.time, let time { devices[marker.device].markerToACK.append(time - sent) }
        }
        unanswered.removeFirst(answered.count)
    }

    private mutating func change(_ name: String, _ body: (inout Device) -> Void) {
        if let index = index(of: name) { body(&devices[index]) }
    }

    private mutating func index(of name: String) -> Int? {
        if let index = devices.firstIndex(where: { $0.name == name }) { return index }
        guard devices.count < SourceDevices.most else { return nil }
        devices.append(Device(name: name))
        return devices.endIndex - 1
    }
}

extension DeviceMeasures {
    /// The measures of the last migration in a log of a source. Throws `FileError`.
    package init(log path: String, isLegacy: Bool) throws {
        self.init(isLegacy: isLegacy)
        var reader = try LogReader(path: path)
        while let line = try reader.nextEvent() { if let event = line.event { handle(event, at: line.stamp?.realtime) } }
    }
}
