/// Requests and markers of the source's devices: when one is due, when one is legal, and how many bytes came before each.
///
/// The initial bytes are computed here as QEMU caches them: what the last precopy query said, less each block written since, initial bytes
/// first; an empty read makes them 0.
import MigrationTrace

/// A marker that was written, or a marker that was approved, with the device's precopy bytes up to there.
struct MarkerPoint: Sendable {
    var place: Place
    var bytes: UInt64
}

struct SourceDevice: Sendable {
    /// Markers whose bytes are kept for comparison with the other side.
    static let mostMarkers = 4096

    let name: String
    /// In PRE_COPY or PRE_COPY_P2P, as QEMU's set-state lines say.
    var isInPrecopy = false
    var enteredPrecopyAtSetup = false
    /// The cached sizes; nil where they are not known.
    var initial: UInt64?
    var dirty: UInt64 = 0
    /// The marker for the current initial bytes was written; nil where it is not known.
    var isSent: Bool? = false
    var requests = 0
    var markers = 0
    var points: [MarkerPoint] = []
    var bytes: UInt64 = 0
    /// A REINIT that a query reported; its request line is due.
    var reinit: Spot?
    /// A request that is not collected yet.
    var raised: Spot?
    /// The last query behind the decision.
    var lastCheck: Place?
    /// The last check, with the guest stopped, failed.
    var failedCheck: (spot: Spot, result: Int64)?
    var hasBlockInPart = false
    var markerInPart: Spot?
    var knowsPart = true
    var isCompleting = false
    /// Bytes of initial data left at the end of the last section; up to 11.0 this tells that the marker was written.
    var initialAtPartEnd: UInt64?

    init(_ name: String) { self.name = name }

    mutating func clearCache() {
        initial = 0
        dirty = 0
    }
}

struct SourceDevices: Sendable {
    /// No device writes a marker: see `Circumstances`.
    let announcesRequests: Bool
    /// A log that names more devices than any machine has is not worth more memory.
    static let most = 256

    private(set) var all: [SourceDevice] = []
    private var last = 0
    private var isFirstQueryOver = false
    /// A marker, or a request: nothing else makes them than the capability.
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
        return last
    }

    func lastCheck(of name: String) -> Place? { all.first { $0.name == name }?.lastCheck }

    // MARK: States

    mutating func entered(_ name: String, _ state: VFIOState) {
        guard let index = index(name) else { return }
        all[index].isInPrecopy = state == .preCopy || state == .preCopyP2P
        if state == .preCopy, !isFirstQueryOver { all[index].enteredPrecopyAtSetup = true }
    }

    /// The guest was started; `iterates`: in the midst of precopy.
    func started(_ name: String, _ state: VFIOState, iterates: Bool, at spot: Spot, _ breaches: inout Breaches) {
        guard iterates, state == .running, let device = all.first(where: { $0.name == name }), device.enteredPrecopyAtSetup else { return }
        breaches.report(
            .sessionLasts, device: name, at: spot,
            found: "the guest's start took the device out of its saving session, to RUNNING, while the migration goes on",
            legal: "device state PRE_COPY, or a migration that fails here")
    }

    // MARK: Queries

    mutating func queried(
        _ name: String, initial: UInt64, dirty: UInt64, reinit: Bool, result: Int64, isLastCheck: Bool, mode: Handshake.Mode?,
        at spot: Spot,
        _ breaches: inout Breaches
    ) {
        guard let index = index(name) else { return }
        missedRequest(index, before: spot, &breaches)
        all[index].initial = result == 0 ? initial : 0
        all[index].dirty = result == 0 ? dirty : 0
        if isLastCheck { all[index].lastCheck = spot.place }
        if result < 0, isLastCheck { all[index].failedCheck = (spot, result) }
        if reinit, result == 0, all[index].isSent == true, mode == .perDevice { all[index].reinit = spot }
    }

    /// The line of a request that a REINIT made.
    mutating func requested(_ name: String, mode: Handshake.Mode?, at spot: Spot, _ breaches: inout Breaches) {
        guard let index = index(name) else { return }
        showsCapability = true
        let device = all[index]
        if mode == .legacy {
            breaches.report(
                .legacyRequests, device: name, at: spot, found: "the device requested an ACK in legacy mode", legal: "no request")
        } else if device.isSent == false {
            breaches.report(
                .requestAfterMarker, device: name, at: spot,
                found:
                    "the device requested an ACK though the marker for its last request was not written (\(device.markers) markers so far)",
                legal: "no request: the one outstanding covers the new initial bytes")
        } else if device.reinit == nil, device.isSent == true {
            breaches.report(
                .requestCause, device: name, at: spot, found: "the device requested an ACK without a REINIT",
                legal: "a query with reinit 1 before it")
        }
        all[index].reinit = nil
        all[index].raised = spot
        all[index].isSent = false
    }

    private mutating func missedRequest(_ index: Int, before spot: Spot, _ breaches: inout Breaches) {
        guard let reinit = all[index].reinit else { return }
        breaches.report(
            .reinitRequests, device: all[index].name, at: reinit, with: [spot.place],
            found: "a query reported a REINIT after marker \(all[index].markers), but the device requested no ACK",
            legal: "vfio_query_precopy_size_request_switchover_ack as the next line of the device")
        all[index].reinit = nil
    }

    /// The device's part of a query (11.1).
    mutating func reported(_ pending: DevicePending, mode: Handshake.Mode?, at spot: Spot, _ breaches: inout Breaches) {
        guard let index = index(pending.device) else { return }
        missedRequest(index, before: spot, &breaches)
        if let initial = all[index].initial, initial != pending.initial, all[index].knowsPart {
            breaches.report(
                .initialBytes, device: pending.device, at: spot,
                found: "the device reports \(pending.initial) initial bytes; the lines before it make it \(initial)",
                legal: "precopy initial size \(initial)")
            all[index].initial = pending.initial
        }
        guard pending.requestsAck else {
            guard let raised = all[index].raised else { return }
            breaches.report(
                .requestCollected, device: pending.device, at: spot, with: [raised.place],
                found: "the query did not collect the request that the device raised", legal: "request switchover ack 1")
            all[index].raised = nil
            return
        }
        showsCapability = true
        let device = all[index]
        all[index].requests += 1
        all[index].raised = nil
        if device.raised != nil { return }
        if mode == .legacy {
            breaches.report(
                .legacyRequests, device: pending.device, at: spot, found: "the device requested an ACK in legacy mode",
                legal: "request switchover ack 0")
        } else if !isFirstQueryOver {
            guard !device.enteredPrecopyAtSetup, device.isSent != nil else { return }
            breaches.report(
                .requestCause, device: pending.device, at: spot,
                found: "the device requested an ACK though set-up did not move it to PRE_COPY",
                legal: "request switchover ack 0")
        } else if pending.final, device.failedCheck != nil {
            // The check that failed raised it, without a line of its own.
            all[index].isSent = false
        } else if device.isSent != nil {
            breaches.report(
                .requestCause, device: pending.device, at: spot,
                found: "the device requested an ACK in a later query, without a REINIT or a failed last check",
                legal: "request switchover ack 0")
        }
    }

    /// The query is over.
    mutating func queryEnded(mode: Handshake.Mode?, at spot: Spot, _ breaches: inout Breaches) {
        guard !isFirstQueryOver else { return }
        isFirstQueryOver = true
        guard mode == .perDevice else { return }
        for device in all where device.enteredPrecopyAtSetup && device.requests == 0 && device.isSent != nil {
            breaches.report(
                .setupRequest, device: device.name, at: spot, when: .capabilityOn,
                found: "set-up moved the device to PRE_COPY, but it requested no ACK in the first query", legal: "request switchover ack 1")
        }
    }

    mutating func decided(at spot: Spot, _ breaches: inout Breaches) {
        for index in all.indices {
            missedRequest(index, before: spot, &breaches)
            guard let raised = all[index].raised else { continue }
            breaches.report(
                .requestCollected, device: all[index].name, at: spot, with: [raised.place],
                found: "the source decided though no query had collected the device's request", legal: "a query that collects it")
            all[index].raised = nil
        }
    }

    // MARK: Sections

    mutating func wroteBlock(_ name: String, _ size: Int64, at spot: Spot, _ breaches: inout Breaches) {
        guard let index = index(name), !all[index].isCompleting, size > 0 else { return }
        if let marker = all[index].markerInPart {
            breaches.report(
                .markerDrained, device: name, at: marker, with: [spot.place],
                found: "the marker was written before a block of the same section", legal: "the marker behind the section's last block")
        }
        let size = UInt64(size)
        all[index].bytes &+= size
        all[index].hasBlockInPart = true
        guard let initial = all[index].initial else { return }
        let fromInitial = min(initial, size)
        all[index].initial = initial - fromInitial
        all[index].dirty -= min(all[index].dirty, size - fromInitial)
    }

    mutating func readNothing(_ name: String) {
        guard let index = index(name) else { return }
        all[index].clearCache()
    }

    mutating func wroteMarker(_ name: String, mode: Handshake.Mode?, at spot: Spot, _ breaches: inout Breaches) {
        guard let index = index(name) else { return }
        showsCapability = true
        if !all[index].hasBlockInPart, all[index].knowsPart { all[index].clearCache() }
        let device = all[index]
        if let initial = device.initial, initial > 0, device.knowsPart {
            breaches.report(
                .markerDrained, device: name, at: spot, found: "the marker was written with \(initial) initial bytes left",
                legal: "the marker in the section that leaves 0")
        }
        if device.isSent == true {
            breaches.report(
                .markerPerRequest, device: name, at: spot, with: [device.points.last?.place],
                found: "marker \(device.markers + 1) was written with no request since marker \(device.markers)",
                legal: mode == .legacy ? "one marker" : "a marker after a new request only")
        } else if mode == .perDevice, device.requests == 0, device.raised == nil, device.isSent == false {
            breaches.report(
                .markerPerRequest, device: name, at: spot, found: "a marker was written by a device that requested no ACK",
                legal: "a marker after a request only")
        }
        all[index].markerInPart = spot
        marked(index, spot)
    }

    private mutating func marked(_ index: Int, _ spot: Spot) {
        all[index].isSent = true
        all[index].markers += 1
        guard all[index].points.count < SourceDevice.mostMarkers else { return }
        all[index].points.append(MarkerPoint(place: spot.place, bytes: all[index].bytes))
    }

    /// The end of the device's section.
    mutating func iterated(
        _ name: String, initial: UInt64, dirty: UInt64, printsMarkers: Bool, mode: Handshake.Mode?, at spot: Spot,
        _ breaches: inout Breaches
    ) {
        guard let index = index(name) else { return }
        if !all[index].hasBlockInPart, all[index].knowsPart { all[index].clearCache() }
        let device = all[index]
        if printsMarkers, let known = device.initial, known != initial, device.knowsPart {
            breaches.report(
                .initialBytes, device: name, at: spot,
                found: "the section left \(initial) initial bytes; the lines before it make it \(known)",
                legal: "precopy initial size \(known)")
        }
        if let marker = device.markerInPart, initial > 0 {
            breaches.report(
                .markerDrained, device: name, at: marker, with: [spot.place],
                found: "the marker was written in a section that left \(initial) initial bytes",
                legal: "the marker in the section that leaves 0")
        }
        if announcesRequests, mode == .perDevice {
            if initial == 0, device.isSent == false, device.requests > device.markers { marked(index, spot) }
        } else if printsMarkers, initial == 0, device.isSent == false, device.knowsPart {
            let isRequested = device.requests > 0
            breaches.report(
                .markerDue, device: name, at: spot, when: isRequested ? .always : .capabilityOn,
                found: "the section drained the device, whose marker \(device.markers + 1) was due, and ended without it",
                legal: "vfio_send_init_data_flag before the section's end")
            // Said once for a marker, not for each section that follows.
            all[index].isSent = nil
        }
        all[index].initial = initial
        all[index].dirty = dirty
        all[index].initialAtPartEnd = initial
        all[index].hasBlockInPart = false
        all[index].markerInPart = nil
        all[index].knowsPart = true
    }

    mutating func completes(_ name: String) {
        guard let index = index(name) else { return }
        all[index].isCompleting = true
    }

    /// Lines are missing.
    mutating func lose() {
        for index in all.indices {
            all[index].initial = nil
            all[index].isSent = nil
            all[index].reinit = nil
            all[index].raised = nil
            all[index].knowsPart = false
            all[index].hasBlockInPart = false
            all[index].markerInPart = nil
        }
        isFirstQueryOver = true
    }
}
