/// Requests and markers of the source's devices: when one is due, when one is legal, and how many bytes were sent before each.
///
/// The remaining initial bytes are computed as QEMU caches them: those that the last precopy query reported, minus each block written
/// since, initial bytes first. A read that returns no data makes them 0.
import MigrationTrace

/// A marker that the source wrote or that the destination approved, with the device's precopy bytes up to that line.
struct MarkerPoint: Sendable {
    var place: Place
    var bytes: UInt64
}

struct SourceDevice: Sendable {
    /// Markers of a device whose bytes are kept for the comparison with the other side.
    static let mostMarkers = 4096

    let name: String
    /// True in PRE_COPY and PRE_COPY_P2P, by QEMU's set-state lines.
    var isInPrecopy = false
    var enteredPrecopyAtSetup = false
    /// The remaining initial bytes, as QEMU caches them; nil if they are not known.
    var initial: UInt64?
    var dirty: UInt64 = 0
    /// True once the marker for the current initial bytes is written; nil if that is not known.
    var markerIsWritten: Bool? = false
    var requests = 0
    var markers = 0
    var points: [MarkerPoint] = []
    var bytes: UInt64 = 0
    /// The query that reported a REINIT, until the line of its request.
    var reinit: Spot?
    /// A query has reported a REINIT: a request has a line of its own.
    var hadReinit = false
    /// The line of a request that no query has collected yet.
    var uncollected: Spot?
    /// The last precopy query after the decision.
    var lastCheck: Place?
    /// The guest's stop after the decision moved the device to PRE_COPY_P2P, where the last check is due.
    var steppedToP2P: Place?
    /// The last check, made with the guest stopped, if it failed.
    var failedCheck: (spot: Spot, result: Int64)?
    /// The section in progress has a block of data.
    var hasBlockInSection = false
    /// The marker in the section in progress.
    var markerInSection: Spot?
    /// False after missing lines, until the device's next section ends.
    var knowsSection = true
    var isCompleting = false
    /// What the device was asked since the query before.
    var wasAskedSize = false
    /// What QEMU prints of the answers.
    var answers = PrecopyAnswers()
    var wasAskedPrecopy = false
    /// Bytes of data that the device saved after the guest had stopped.
    var finalBytes: UInt64 = 0
    /// Initial bytes left at the end of the last section; up to 11.0, 0 shows that the marker was written.
    var initialAtSectionEnd: UInt64?

    init(_ name: String) { self.name = name }

    mutating func clearCache() {
        initial = 0
        dirty = 0
    }

    /// Lines are missing.
    mutating func forget() {
        initial = nil
        answers.close()
        markerIsWritten = nil
        reinit = nil
        uncollected = nil
        knowsSection = false
        hasBlockInSection = false
        markerInSection = nil
    }
}

struct SourceDevices: Sendable {
    /// The source's core announces requests, and no device writes a marker: see `Circumstances`.
    let announcesRequests: Bool
    /// Devices that are kept: a broken log that names more of them must not use more memory.
    static let most = 256

    /// The line of a request after a REINIT.
    private static let requestLine: Evidence = "vfio_query_precopy_size_request_switchover_ack"

    private(set) var all: [SourceDevice] = []
    private var last = 0
    private var isFirstQueryOver = false
    /// The last query (11.1); nil before the first, and after missing lines.
    private var lastQuery: Place?
    /// Lines are missing: a device that comes up only later may have done anything before.
    private var hasLost = false
    /// A marker or a request was logged, which only switchover-ack causes.
    private(set) var showsCapability = false

    init(announcesRequests: Bool = false) { self.announcesRequests = announcesRequests }

    private mutating func index(_ name: String) -> Int? {
        if last < all.count, all[last].name == name { return last }
        if let found = all.firstIndex(where: { $0.name == name }) {
            last = found
            return found
        }
        guard all.count < Self.most else { return nil }
        all.append(SourceDevice(name))
        last = all.count - 1
        if hasLost { all[last].forget() }
        return last
    }

    func lastCheck(of name: String) -> Place? { all.first { $0.name == name }?.lastCheck }

    // MARK: States

    /// `decided`: the line, if the source has decided to switch over.
    mutating func entered(_ name: String, _ state: VFIOState, at decided: Place?) {
        guard let index = index(name) else { return }
        if state == .preCopyP2P { all[index].steppedToP2P = decided }
        all[index].isInPrecopy = state == .preCopy || state == .preCopyP2P
        if state == .preCopy, !isFirstQueryOver { all[index].enteredPrecopyAtSetup = true }
    }

    /// The guest's start changed the device's state. `iterates`: the source is in the middle of precopy.
    func started(_ name: String, _ state: VFIOState, iterates: Bool, _ reporter: inout RuleReporter) {
        guard iterates, state == .running, let device = all.first(where: { $0.name == name }), device.enteredPrecopyAtSetup else { return }
        reporter.report(
            .sessionLasts, device: name,
            found: "starting the guest moved the device to RUNNING and ended its saving session, while the migration continues",
            legal: "device state PRE_COPY, or a failing migration")
    }

    // MARK: Queries

    mutating func queried(
        _ name: String, initial: UInt64, dirty: UInt64, reinit: Bool, result: Int64, isLastCheck: Bool, mode: SwitchoverAckMode?,
        _ reporter: inout RuleReporter
    ) {
        guard let index = index(name) else { return }
        missedRequest(index, &reporter)
        all[index].wasAskedPrecopy = true
        all[index].answers.add(initial: initial, dirty: dirty, reinit: reinit, result: result, at: reporter.spot.place)
        all[index].initial = result == 0 ? initial : 0
        all[index].dirty = result == 0 ? dirty : 0
        if isLastCheck { all[index].lastCheck = reporter.spot.place }
        if result < 0, isLastCheck { all[index].failedCheck = (reporter.spot, result) }
        if reinit { all[index].hadReinit = true }
        if reinit, result == 0, mode == .perDevice {
            // Before the decision every ACK is counted, so at the last check the marker of any earlier request is written.
            let isMarked = all[index].markerIsWritten ?? isLastCheck
            if isMarked { all[index].reinit = reporter.spot }
        }
    }

    /// The device was asked for the size of its stop-copy data.
    mutating func askedSize(_ name: String) {
        guard let index = index(name) else { return }
        all[index].wasAskedSize = true
    }

    /// The device's line of a request after a REINIT.
    mutating func requested(_ name: String, mode: SwitchoverAckMode?, _ reporter: inout RuleReporter) {
        guard let index = index(name) else { return }
        showsCapability = true
        let device = all[index]
        if mode == .legacy {
            reporter.report(
                .legacyRequests, device: name, found: "the device requested an ACK in legacy mode", legal: "no request")
        } else if device.markerIsWritten == false {
            reporter.report(
                .requestAfterMarker, device: name,
                found:
                    "the device requested an ACK before the marker for its previous request was written "
                    + "(\(count(device.markers, "marker")) so far)",
                legal: "no request, because the outstanding one covers the new initial bytes")
        } else if mode == .perDevice, device.reinit == nil, device.markerIsWritten == true {
            // While the log has not shown the mode, no REINIT is kept that could be the cause.
            reporter.report(
                .requestCause, device: name, found: "the device requested an ACK without a REINIT",
                legal: "a query with reinit 1 before the request", on: ["vfio_query_precopy_size", "qemu_savevm_query_pending"])
        }
        all[index].reinit = nil
        all[index].uncollected = reporter.spot
        all[index].markerIsWritten = false
    }

    /// A line that shows that the request for a REINIT is missing.
    private mutating func missedRequest(
        _ index: Int, _ reporter: inout RuleReporter, on evidence: @autoclosure () -> [Evidence] = [requestLine]
    ) {
        guard let reinit = all[index].reinit else { return }
        reporter.report(
            .reinitRequests, device: all[index].name, at: reinit, with: [reporter.spot.place],
            found: "a query reported a REINIT after marker \(all[index].markers), but the device requested no ACK",
            legal: "vfio_query_precopy_size_request_switchover_ack as the device's next line", on: evidence())
        all[index].reinit = nil
    }

    /// The migration has completed: no query follows up a REINIT any more.
    mutating func completed(_ reporter: inout RuleReporter) {
        for index in all.indices { missedRequest(index, &reporter, on: [Self.requestLine, "vfio_state_pending"]) }
    }

    /// Compares the bytes of a line with those that the lines before it give; false if they differ. `what`: what the line says.
    @discardableResult
    private func checkBytes(_ index: Int, initial: UInt64, dirty: UInt64, _ what: String, _ reporter: inout RuleReporter) -> Bool {
        guard let known = all[index].initial, all[index].knowsSection else { return true }
        let isInitial = known != initial
        guard isInitial || all[index].dirty != dirty else { return true }
        let (rule, kind, found, legal): (Rule, String, UInt64, UInt64) =
            isInitial ? (.initialBytes, "initial", initial, known) : (.dirtyBytes, "dirty", dirty, all[index].dirty)
        reporter.report(
            rule, device: all[index].name, found: "\(what) \(found) \(kind) bytes, but the lines before it give \(legal)",
            legal: "precopy \(kind) size \(legal)")
        return false
    }

    /// An exact query asks each device for the size of its stop-copy data, and in PRE_COPY for its precopy bytes.
    private func checkQuestions(_ device: SourceDevice, _ reporter: inout RuleReporter) {
        guard let lastQuery else { return }
        func missing(_ what: String, _ line: Evidence) {
            reporter.report(
                .exactQueryAsks, device: device.name, with: [lastQuery], found: "an exact query did not ask the device for \(what)",
                legal: "\(line.names[0]) before the query's end", on: [line, "vfio_migration_set_device_state"])
        }
        if !device.wasAskedSize { missing("the size of its stop-copy data", "vfio_query_stop_copy_size") }
        if device.isInPrecopy, !device.wasAskedPrecopy { missing("its precopy bytes", "vfio_query_precopy_size") }
    }

    /// The device's part of a query (11.1).
    mutating func reported(_ pending: DevicePending, mode: SwitchoverAckMode?, usesInfoV2: Bool, _ reporter: inout RuleReporter) {
        guard let index = index(pending.device) else { return }
        if pending.final, mode == .perDevice, usesInfoV2, all[index].lastCheck == nil, let stepped = all[index].steppedToP2P {
            reporter.report(
                .lastCheck, device: pending.device, with: [stepped], when: .capabilityOn,
                found: "the guest has stopped, and the device was not checked for a REINIT before the final query",
                legal: "vfio_query_precopy_size while the device is in PRE_COPY_P2P")
        }
        if pending.exact, !pending.final { checkQuestions(all[index], &reporter) }
        // A query without the request shows by itself that there was none.
        missedRequest(index, &reporter, on: pending.requestsAck ? [Self.requestLine] : ["vfio_state_pending"])
        if !checkBytes(index, initial: pending.initial, dirty: pending.dirty, "the device reports", &reporter) {
            // Each is reported once, not with each query that follows.
            if all[index].initial != pending.initial { all[index].initial = pending.initial } else { all[index].dirty = pending.dirty }
        }
        guard pending.requestsAck else {
            if pending.final, mode == .perDevice, let check = all[index].failedCheck, all[index].markerIsWritten == true {
                reporter.report(
                    .failedCheckRequests, device: pending.device, with: [check.spot.place], when: .capabilityOn,
                    found: "the last check failed (ret \(check.result)), but the final query collected no request of the device",
                    legal: "request switchover ack 1")
            }
            guard let uncollected = all[index].uncollected else { return }
            reporter.report(
                .requestCollected, device: pending.device, with: [uncollected.place],
                found: "the query did not collect the device's request", legal: "request switchover ack 1")
            all[index].uncollected = nil
            return
        }
        showsCapability = true
        let device = all[index]
        all[index].requests += 1
        all[index].uncollected = nil
        if device.uncollected != nil { return }
        if mode == .legacy {
            reporter.report(
                .legacyRequests, device: pending.device, found: "the device requested an ACK in legacy mode",
                legal: "request switchover ack 0")
        } else if !isFirstQueryOver {
            guard !device.enteredPrecopyAtSetup, device.markerIsWritten != nil else { return }
            reporter.report(
                .requestCause, device: pending.device,
                found: "the device requested an ACK, but set-up did not move it to PRE_COPY",
                legal: "request switchover ack 0", on: ["vfio_migration_set_device_state", "qemu_savevm_query_pending"])
        } else if pending.final, device.failedCheck != nil {
            // The failed check requested the ACK, without a line of its own.
            all[index].markerIsWritten = false
        } else if device.markerIsWritten != nil {
            reporter.report(
                .requestCause, device: pending.device,
                found: "the device requested an ACK in a later query, without a REINIT or a failed last check",
                legal: "request switchover ack 0",
                on: ["vfio_query_precopy_size", "qemu_savevm_query_pending"] + (device.hadReinit ? [Self.requestLine] : []))
        }
    }

    /// The whole query's line, after the devices' lines.
    mutating func queryEnded(mode: SwitchoverAckMode?, _ reporter: inout RuleReporter) {
        lastQuery = reporter.spot.place
        for index in all.indices { (all[index].wasAskedSize, all[index].wasAskedPrecopy) = (false, false) }
        guard !isFirstQueryOver else { return }
        isFirstQueryOver = true
        guard mode == .perDevice else { return }
        for device in all where device.enteredPrecopyAtSetup && device.requests == 0 && device.markerIsWritten != nil {
            reporter.report(
                .setupRequest, device: device.name, when: .capabilityOn,
                found: "set-up moved the device to PRE_COPY, but the device requested no ACK in the first query",
                legal: "request switchover ack 1")
        }
    }

    mutating func decided(_ reporter: inout RuleReporter) {
        for index in all.indices {
            missedRequest(index, &reporter)
            guard let uncollected = all[index].uncollected else { continue }
            reporter.report(
                .requestCollected, device: all[index].name, with: [uncollected.place],
                found: "the source decided before a query had collected the device's request", legal: "a query that collects the request")
            all[index].uncollected = nil
        }
    }

    // MARK: Sections

    mutating func wroteBlock(_ name: String, _ size: Int64, _ reporter: inout RuleReporter) {
        guard let index = index(name), size > 0 else { return }
        guard !all[index].isCompleting else {
            all[index].finalBytes &+= UInt64(size)
            return
        }
        if let marker = all[index].markerInSection {
            reporter.report(
                .markerDrained, device: name, at: marker, with: [reporter.spot.place],
                found: "the marker was written before a block of the same section", legal: "the marker after the section's last block")
        }
        let size = UInt64(size)
        all[index].bytes &+= size
        all[index].hasBlockInSection = true
        guard let initial = all[index].initial else { return }
        let fromInitial = min(initial, size)
        all[index].initial = initial - fromInitial
        all[index].dirty -= min(all[index].dirty, size - fromInitial)
    }

    mutating func readNothing(_ name: String) {
        guard let index = index(name) else { return }
        all[index].clearCache()
    }

    mutating func wroteMarker(_ name: String, mode: SwitchoverAckMode?, _ reporter: inout RuleReporter) {
        guard let index = index(name) else {
            if mode == .perDevice { reportUnrequested(name, &reporter) }
            return
        }
        showsCapability = true
        if !all[index].hasBlockInSection, all[index].knowsSection { all[index].clearCache() }
        let device = all[index]
        if let initial = device.initial, initial > 0, device.knowsSection {
            reporter.report(
                .markerDrained, device: name, found: "the marker was written with \(initial) initial bytes left",
                legal: "the marker in the section that leaves 0 initial bytes")
        }
        if device.markerIsWritten == true {
            reporter.report(
                .markerPerRequest, device: name, with: [device.points.last?.place],
                found: "marker \(device.markers + 1) was written, but there was no request since marker \(device.markers)",
                legal: mode == .legacy ? "one marker" : "a marker only after a new request",
                on: mode == .legacy ? [] : ["vfio_state_pending"] + (device.hadReinit ? [Self.requestLine] : []))
        } else if mode == .perDevice, device.requests == 0, device.uncollected == nil, device.markerIsWritten == false {
            reportUnrequested(name, &reporter)
        }
        all[index].markerInSection = reporter.spot
        marked(index, at: reporter.spot.place)
    }

    private func reportUnrequested(_ name: String, _ reporter: inout RuleReporter) {
        reporter.report(
            .markerPerRequest, device: name, found: "the marker of a device that requested no ACK was written",
            legal: "a marker only after a request")
    }

    private mutating func marked(_ index: Int, at place: Place) {
        all[index].markerIsWritten = true
        all[index].markers += 1
        guard all[index].points.count < SourceDevice.mostMarkers else { return }
        all[index].points.append(MarkerPoint(place: place, bytes: all[index].bytes))
    }

    /// The end of the device's section.
    mutating func iterated(
        _ name: String, initial: UInt64, dirty: UInt64, printsMarkers: Bool, mode: SwitchoverAckMode?, _ reporter: inout RuleReporter
    ) {
        guard let index = index(name) else { return }
        if !all[index].hasBlockInSection, all[index].knowsSection { all[index].clearCache() }
        if printsMarkers { checkBytes(index, initial: initial, dirty: dirty, "the section left", &reporter) }
        if let marker = all[index].markerInSection, initial > 0 {
            reporter.report(
                .markerDrained, device: name, at: marker, with: [reporter.spot.place],
                found: "the marker was written in a section that left \(initial) initial bytes",
                legal: "the marker in the section that leaves 0 initial bytes")
        }
        if announcesRequests, mode == .perDevice {
            if initial == 0, all[index].markerIsWritten == false, all[index].requests > all[index].markers {
                marked(index, at: reporter.spot.place)
            }
        } else if printsMarkers, initial == 0, all[index].markerIsWritten == false, all[index].knowsSection {
            let isRequested = all[index].requests > 0
            reporter.report(
                .markerDue, device: name, when: isRequested ? .always : .capabilityOn,
                found: "the section sent the last of the initial bytes, but ended without marker \(all[index].markers + 1), which was due",
                legal: "vfio_send_init_data_flag before the section's end")
            // Reported once for a marker, not for each section that follows.
            all[index].markerIsWritten = nil
        }
        all[index].initial = initial
        all[index].dirty = dirty
        all[index].initialAtSectionEnd = initial
        all[index].hasBlockInSection = false
        all[index].markerInSection = nil
        all[index].knowsSection = true
    }

    mutating func completes(_ name: String) {
        guard let index = index(name) else { return }
        all[index].isCompleting = true
    }

    /// Lines are missing here.
    mutating func lose(isDeclared: Bool) {
        for index in all.indices { all[index].forget() }
        if !isDeclared { hasLost = true }
        isFirstQueryOver = true
        lastQuery = nil
    }
}

extension SourceDevices {
    /// Counts the bytes that were written since `before` so many times more.
    mutating func repeatWhatHappened(_ times: Int, since before: SourceDevices) {
        for index in all.indices.prefix(before.all.count) {
            all[index].bytes &+= (all[index].bytes &- before.all[index].bytes) &* UInt64(times)
            all[index].answers.close()
        }
    }
}
