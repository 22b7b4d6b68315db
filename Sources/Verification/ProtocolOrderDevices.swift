/// What the mock devices of one host saw of a migration: states they were set to, sessions, REINITs that were shown, data in sums, and what
/// failed.
import MigrationTrace

struct DeviceOrder: Sendable {
    private struct Device: Sendable {
        /// States on the way of the change in progress.
        var path: [VFIOState] = []
        var state = VFIOState.running
        var stopCopyBytes = ByteCount()
        /// Changes of state so far, as QEMU counts them.
        var changes = 0
        /// How many steps there were when each change began.
        var stepsBefore: [Int] = []
        /// The same of the change in progress.
        var begun = 0
        var hasRefused = false
    }

    private let isSource: Bool
    /// Devices that were found with dirty bytes.
    private(set) var working: Set<String> = []
    private var drafts: StepDrafts
    private var devices: [String: Device] = [:]

    init(isSource: Bool) {
        self.isSource = isSource
        drafts = StepDrafts(isSource: isSource)
    }

    /// The machine's own descriptor among those that are mocked, which is no device.
    private static let machine = "iommufd"

    mutating func handle(_ event: Event, at place: Place) {
        switch event {
        case .deviceState(let device, let from, let to):
            let count = drafts.threads[.device(device)]?.count ?? 0
            change(device) { device in
                if device.path.isEmpty { (device.path, device.begun) = ([from], count) }
                device.path.append(to)
                device.state = to
            }
            if from == .stopCopy {
                let bytes = change(device) { $0.stopCopyBytes.taken() } ?? 0
                if isSource { add(event, "from STOP_COPY", bytes: bytes, of: device, at: place) }
            }
        case .deviceCall(let device, "set-state", let result):
            let path = change(device) { device in
                defer { device.path = [] }
                device.hasRefused = result < 0
                return device.path
            }
            let way = (path ?? []).map(\.rawValue).joined(separator: " -> ")
            if result >= 0 { changed(device, isOnItsWay: !way.isEmpty) }
            add(event, "set-state \(way.isEmpty ? "(no change)" : way)\(result == 0 ? "" : ", ret \(result)")", of: device, at: place)
        case .deviceCall(let device, let call, let result):
            // What the machine asks at its start fails in ways of its own; which pages a device has written is the machine's question, too.
            guard result < 0, devices[device] != nil, !call.hasPrefix("dma-logging") else { return }
            add(event, "\(call) ret \(result)", of: device, at: place, once: true)
        case .deviceReset(let device, let from):
            let hasRefused = change(device) { device in
                defer { device.hasRefused = false }
                device.state = .running
                return device.hasRefused
            }
            // At its start QEMU resets every device.
            guard devices[device]?.changes != 0 || hasRefused == true else { return }
            if hasRefused == true { changed(device, isOnItsWay: false) }
            add(event, "from \(from.rawValue)", of: device, at: place)
        case .deviceSessionBegin(let device, let purpose, _): add(event, purpose.rawValue, of: device, at: place)
        case .deviceSessionEnd(let device, _): add(event, of: device, at: place)
        case .devicePrecopyInfo(let info):
            if info.dirty > 0, working.count < SourceDevices.most { working.insert(info.device) }
            if info.reinit { add(event, "reinit 1, ret \(info.result)", of: info.device, at: place) }
        case .deviceRead(let device, _, let result):
            if result < 0, result != -42 { return add(event, "ret \(result)", of: device, at: place, once: true) }
            change(device) { device in if device.state == .stopCopy, result > 0 { device.stopCopyBytes.add(UInt64(result)) } }
        case .deviceWrite(let device, _, let result):
            if result < 0 { add(event, "ret \(result)", of: device, at: place, once: true) }
        case .deviceLoaded(let device, let segment, let size, _):
            if segment != .dirty { add(event, segment.rawValue, bytes: size, of: device, at: place) }
        case .deviceUnknownIoctl(let device, let request):
            guard device != Self.machine else { return }
            add(event, "0x" + String(request, radix: 16), of: device, at: place)
        default: break
        }
    }

    private mutating func add(
        _ event: Event, _ text: String = "", bytes: UInt64? = nil, of device: String, at place: Place, once: Bool = false
    ) {
        drafts.add(.device(device), event, text, bytes: bytes, of: device, at: place, once: once)
    }

    private mutating func changed(_ name: String, isOnItsWay: Bool) {
        let steps = drafts.threads[.device(name)]?.count ?? 0
        change(name) { device in
            device.changes += 1
            if device.stepsBefore.count < ProtocolSequence.mostSteps { device.stepsBefore.append(isOnItsWay ? device.begun : steps) }
        }
    }

    @discardableResult
    private mutating func change<Value>(_ name: String, _ body: (inout Device) -> Value) -> Value? {
        guard devices[name] != nil || devices.count < SourceDevices.most else { return nil }
        return body(&devices[name, default: Device()])
    }

    /// The steps of the migration: without the guest's first start, which is before it, and without what comes of the program's end, which
    /// is behind so many changes of state by QEMU's own name of the device. nil: it was not ended.
    func steps(before changes: [String: Int]?, names: DeviceNames) -> StepDrafts {
        var kept = drafts
        for (name, device) in devices {
            let role = ProtocolThread.Role.device(name)
            let start = (drafts.threads[role] ?? []).prefix(2).map(\.what) == Self.startOfGuest ? 2 : 0
            var end = Int.max
            if let changes {
                let idstr = names.idstr(of: name)
                let done = changes.first { names.idstr(of: $0.key) == idstr }?.value ?? 0
                if done < device.stepsBefore.count { end = device.stepsBefore[done] }
            }
            kept.keep(role) { index, _ in index >= start && index < end }
        }
        return kept
    }

    private static let startOfGuest = [
        "device_call set-state RUNNING -> RUNNING_P2P", "device_call set-state RUNNING_P2P -> RUNNING",
    ]
}
