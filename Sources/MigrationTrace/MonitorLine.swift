/// QEMU's monitor protocol in a log: the events and replies that tell how a migration goes, as libvirtd's debug log, `virsh
/// qemu-monitor-event` and logs of QMP have them (the names are those of QAPI, 8.1 to 11.1).
///
///     {"timestamp": {"seconds": 1795231981, "microseconds": 128}, "event": "MIGRATION", "data": {"status": "active"}}
///     {"return": {"status": "completed", "downtime": 12}, "id": "libvirt-402"}
///     event STOP at 1795231981.000128 for domain 'guest'
///
/// They stand for the trace events of the same meaning. There are fewer of them, so most rules are not judged by such a log.

/// What a line of the monitor tells.
struct MonitorLine {
    enum Content: Equatable {
        case status(MigrationStatus)
        /// The status in a reply: statuses before it may have been missed.
        case sampled(MigrationStatus, error: String?)
        case stop, resume, shutdown
        case device(String, VFIOState)
    }

    let content: Content
    /// In nanoseconds since 1970.
    let time: Int64?
    /// A number for the monitor, of which the log of a host has one for each guest; 0 if nothing tells it.
    let process: UInt64

    private static let devices: [String: VFIOState] = [
        "stop": .stop, "running": .running, "stop-copy": .stopCopy, "resuming": .resuming, "running-p2p": .runningP2P, "pre-copy": .preCopy,
        "pre-copy-p2p": .preCopyP2P,
    ]

    /// nil for a line that tells nothing about a migration.
    init?(_ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>) {
        let line = UnsafeBufferPointer(start: start, count: end - start)
        let fields = MonitorFields(line)
        // libvirtd logs each message twice: as the line that it read, and by its kind with the monitor that sent it.
        if fields.has(text: " : Line [") { return nil }
        if let event = fields.text("event") {
            time = fields.number("seconds").map { $0 * 1_000_000_000 + (fields.number("microseconds") ?? 0) * 1000 }
            process = fields.word(after: " mon=") ?? 0
            guard let content = Self.content(event, fields) else { return nil }
            self.content = content
        } else if fields.has("return"), !fields.has("running"), let status = fields.text("status").flatMap(MigrationStatus.init(rawValue:))
        {
            content = .sampled(status, error: fields.text("error-desc"))
            time = nil
            process = fields.word(after: " mon=") ?? 0
        } else if let event = fields.word(behind: "event "), let seconds = fields.seconds(after: " at ") {
            guard let content = Self.content(event, fields) else { return nil }
            self.content = content
            time = seconds
            process = fields.word(after: " for domain ") ?? 0
        } else {
            return nil
        }
    }

    private static func content(_ event: String, _ fields: MonitorFields) -> Content? {
        switch event {
        case "STOP": .stop
        case "RESUME": .resume
        case "SHUTDOWN": .shutdown
        case "MIGRATION": fields.text("status").flatMap(MigrationStatus.init(rawValue:)).map { .status($0) }
        case "VFIO_MIGRATION":
            fields.text("device-state").flatMap { devices[$0] }.flatMap { state in
                (fields.text("device-id").flatMap { $0.isEmpty ? nil : $0 } ?? fields.text("qom-path")).map { .device($0, state) }
            }
        default: nil
        }
    }
}

/// Finds members of JSON objects by their names, wherever they stand in a line. The quotes may be those of Python.
private struct MonitorFields {
    /// In bytes: longer names of devices, and messages, are cut.
    private static let longestText = 400

    let line: UnsafeBufferPointer<UInt8>

    init(_ line: UnsafeBufferPointer<UInt8>) { self.line = line }

    private func isQuote(_ byte: UInt8) -> Bool { byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") }

    /// The place of the first value of the member.
    private func value(_ name: StaticString) -> Int? {
        let length = name.utf8CodeUnitCount
        var place = 0
        while place + length + 2 < line.count {
            defer { place += 1 }
            guard isQuote(line[place]), isQuote(line[place + length + 1]),
                equalBytes(line.baseAddress! + place + 1, name.utf8Start, length)
            else { continue }
            var next = place + length + 2
            while next < line.count, line[next] == 0x20 { next += 1 }
            guard next < line.count, line[next] == UInt8(ascii: ":") else { continue }
            next += 1
            while next < line.count, line[next] == 0x20 { next += 1 }
            return next < line.count ? next : nil
        }
        return nil
    }

    func has(_ name: StaticString) -> Bool { value(name) != nil }

    func has(text: StaticString) -> Bool { place(after: text) != nil }

    func text(_ name: StaticString) -> String? {
        guard let place = value(name), isQuote(line[place]) else { return nil }
        let rest = line[(place + 1)...].prefix(Self.longestText)
        return printable(rest.prefix { $0 != line[place] })
    }

    func number(_ name: StaticString) -> Int64? {
        guard let place = value(name) else { return nil }
        return digits(line[place...]).flatMap { Int64($0) }
    }

    private func digits(_ bytes: some Sequence<UInt8>) -> String? {
        let digits = bytes.prefix { $0 &- 0x30 <= 9 }.map { Character(Unicode.Scalar($0)) }
        return 1...10 ~= digits.count ? String(digits) : nil
    }

    private func printable(_ bytes: some Collection<UInt8>) -> String? {
        bytes.allSatisfy { $0 >= 0x20 && $0 != 0x7F } ? String(validating: bytes, as: UTF8.self) : nil
    }

    private func place(after text: StaticString) -> Int? {
        let length = text.utf8CodeUnitCount
        guard line.count > length else { return nil }
        return (0..<line.count - length).first { equalBytes(line.baseAddress! + $0, text.utf8Start, length) }.map { $0 + length }
    }

    /// The word behind a text that begins the line.
    func word(behind text: StaticString) -> String? {
        guard let place = place(after: text), place == text.utf8CodeUnitCount else { return nil }
        return printable(line[place...].prefix(64).prefix { $0 != 0x20 })
    }

    /// A number for the word.
    func word(after text: StaticString) -> UInt64? {
        guard let place = place(after: text) else { return nil }
        let word = line[place...].prefix { $0 > 0x20 && $0 != UInt8(ascii: ":") }
        return word.isEmpty ? nil : contentHash(line.baseAddress! + place, word.count)
    }

    /// Seconds with a fraction of six digits.
    func seconds(after text: StaticString) -> Int64? {
        guard let place = place(after: text) else { return nil }
        let whole = line[place...].prefix { $0 &- 0x30 <= 9 }
        let fraction = line[(place + whole.count)...].dropFirst().prefix { $0 &- 0x30 <= 9 }
        guard let seconds = digits(whole).flatMap({ Int64($0) }), fraction.count == 6, let micro = digits(fraction).flatMap({ Int64($0) })
        else { return nil }
        return seconds * 1_000_000_000 + micro * 1000
    }
}

/// Turns the lines of a monitor into trace events.
struct MonitorReader {
    /// By monitor: the status so far, and a stop whose reason the next line tells.
    private struct Monitor {
        var status: MigrationStatus?
        var devices: [String: VFIOState] = [:]
        var isStopped = false
    }

    private static let most = 64
    private var monitors: [UInt64: Monitor] = [:]

    /// The events that the line stands for. `isSampled`: statuses before the first may be missing.
    mutating func read(_ line: MonitorLine) -> (events: [Event], isSampled: Bool) {
        guard monitors[line.process] != nil || monitors.count < Self.most else { return ([], false) }
        var monitor = monitors[line.process] ?? Monitor()
        defer { monitors[line.process] = monitor }
        var events: [Event] = []
        func flush(_ next: MigrationStatus?) {
            guard monitor.isStopped else { return }
            monitor.isStopped = false
            // A source stops its guest right before one of these.
            let isSwitchover =
                next == .device || next == .preSwitchover || next == .postcopyActive || next == .postcopyDevice || next == .completed
            events.append(.vmStateNotify(running: false, reason: 0, isSwitchover ? .finishMigrate : .paused))
        }
        switch line.content {
        // What was told before is told again, by a log that has a message twice.
        case .status(let status) where status == monitor.status: break
        case .status(let status):
            flush(status)
            monitor.status = status
            events.append(.migrateSetState(status))
        case .sampled(let status, let error):
            guard status != monitor.status, status != .none else { return (events, false) }
            flush(status)
            monitor.status = status
            if let error { events.append(.migrateError(error)) }
            events.append(.migrateSetState(status))
            return (events, true)
        case .stop:
            // Before a migration only a request stops the guest.
            monitor.isStopped = true
            if monitor.status != .active && monitor.status != .setup { flush(nil) }
        case .resume:
            flush(nil)
            events.append(.vmStateNotify(running: true, reason: 0, .running))
        case .shutdown:
            flush(nil)
            events.append(.vmStateNotify(running: false, reason: 0, .shutdown))
        case .device(let device, let state) where monitor.devices[device] == state: break
        case .device(let device, let state):
            if monitor.devices.count < Self.most { monitor.devices[device] = state }
            if monitor.isStopped, state == .stopCopy || state == .preCopyP2P { flush(.device) }
            events.append(.vfioMigrationSetDeviceState(device: device, state))
        }
        return (events, false)
    }
}
