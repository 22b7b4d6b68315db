/// The devices of one host, by the kernel's rules: adjacent states, sessions, and the calls that a session allows.
import MigrationTrace

struct DeviceStreams: Sendable {
    struct Device: Sendable {
        let name: String
        /// 1 stop-copy, 2 P2P, 4 pre-copy; nil if the log begins after the device was opened.
        var flags: UInt64?
        var state: VFIOState?
        /// The open session, if `knowsSession`; nil if there is none.
        var session: SessionPurpose?
        /// False before the log shows the beginning or the end of a session.
        var knowsSession = false
        /// Bytes read or written in the last session; nil after missing lines.
        var sessionBytes: UInt64?
        /// A REINIT that no query has reported yet.
        var unreportedReinit: Spot?
        /// The device was reset in a saving session.
        var reset: Spot?
        /// The device has had a session.
        var hadSession = false
        /// The device refused the last state that it was asked for.
        var hasRefused = false
        /// The reset after such a refusal in a migration, which QEMU makes and not the guest, or out of ERROR: the device's state is lost.
        var lostByReset: Spot?
        /// For each round of initial bytes, the bytes written when the round was complete.
        var loadedInitial: [(bytes: UInt64, place: Place)] = []
        /// What the device answered in its last saving session.
        var answers = PrecopyAnswers()
        /// Calls that are held at a gate.
        var holds: [(gate: String, place: Place)] = []
    }

    private(set) var all: [Device] = []
    private(set) var reporter = RuleReporter()
    private var last = 0

    /// True if there is a log of the devices.
    var isPresent: Bool { reporter.last != nil }

    private mutating func index(_ name: String) -> Int? {
        if last < all.count, all[last].name == name { return last }
        if let found = all.firstIndex(where: { $0.name == name }) {
            last = found
            return found
        }
        guard all.count < SourceDevices.most else { return nil }
        all.append(Device(name: name))
        last = all.count - 1
        return last
    }

    func device(_ name: String) -> Device? { all.first { $0.name == name } }

    mutating func handle(_ event: Event, at place: Place) {
        reporter.advance(to: event, at: place)
        switch event {
        case .devicePrecopyInfo(let info): queried(info)
        case .deviceRead(let name, _, let result): moved(name, result, .saving)
        case .deviceWrite(let name, _, let result): moved(name, result, .resuming)
        case .deviceOpen(let name, let flags, _):
            guard let index = index(name) else { return }
            all[index].flags = flags
            all[index].state = .running
            all[index].session = nil
            all[index].knowsSession = true
        case .deviceState(let name, let from, let to): entered(name, from, to)
        case .deviceCall(let name, "set-state", let result):
            guard let index = index(name) else { return }
            all[index].hasRefused = result < 0
        case .deviceLoaded(let name, .initial, _, let total):
            guard let index = index(name), all[index].loadedInitial.count < SourceSide.mostPlaces else { return }
            all[index].loadedInitial.append((total, reporter.spot.place))
        case .deviceSessionBegin(let name, let purpose, _): began(name, purpose)
        case .deviceSessionEnd(let name, _): ended(name)
        case .deviceReset(let name, let from):
            guard let index = index(name) else { return }
            check(index, isIn: from)
            if all[index].session == .saving { all[index].reset = reporter.spot }
            if all[index].hasRefused || from == .error, all[index].hadSession { all[index].lostByReset = reporter.spot }
            all[index].hasRefused = false
            all[index].state = .running
            all[index].unreportedReinit = nil
        case .deviceInjected(let name, _, "reinit", _):
            guard let index = index(name) else { return }
            all[index].unreportedReinit = reporter.spot
        case .deviceHoldBegin(let name, let gate):
            guard let index = index(name), all[index].holds.count < 64 else { return }
            all[index].holds.append((gate, reporter.spot.place))
        case .deviceHoldEnd(let name, let gate):
            guard let index = index(name), let hold = all[index].holds.firstIndex(where: { $0.gate == gate }) else { return }
            all[index].holds.remove(at: hold)
        default: break
        }
    }

    // MARK: States

    private mutating func check(_ index: Int, isIn from: VFIOState) {
        guard let state = all[index].state, state != from else { return }
        reporter.report(
            .deviceState, device: all[index].name, found: "the device left \(from.rawValue), but it was in \(state.rawValue)",
            legal: "from \(state.rawValue)")
    }

    private mutating func entered(_ name: String, _ from: VFIOState, _ to: VFIOState) {
        guard let index = index(name) else { return }
        check(index, isIn: from)
        if to != .error, !neighbours(of: from, flags: all[index].flags).contains(to) {
            let legal = neighbours(of: from, flags: all[index].flags).map(\.rawValue).joined(separator: ", ")
            reporter.report(
                .deviceState, device: name, found: "the device went from \(from.rawValue) to \(to.rawValue)",
                legal: legal.isEmpty ? "a reset, which alone leaves \(from.rawValue)" : "from \(from.rawValue): \(legal)")
        }
        all[index].state = to
    }

    // MARK: Sessions

    private mutating func began(_ name: String, _ purpose: SessionPurpose) {
        guard let index = index(name) else { return }
        if let state = all[index].state, purpose != session(of: state) {
            reporter.report(
                .deviceSession, device: name, found: "a \(purpose.rawValue) session began in \(state.rawValue)",
                legal: session(of: state).map { "a \($0.rawValue) session" } ?? "no session")
        } else if all[index].knowsSession, let open = all[index].session {
            reporter.report(
                .deviceSession, device: name, found: "a \(purpose.rawValue) session began while a \(open.rawValue) session was open",
                legal: "device_session_end before the new session")
        }
        all[index].session = purpose
        all[index].hadSession = true
        all[index].knowsSession = true
        all[index].sessionBytes = 0
        all[index].answers = PrecopyAnswers()
        all[index].unreportedReinit = nil
    }

    private mutating func ended(_ name: String) {
        guard let index = index(name) else { return }
        if all[index].knowsSession, let open = all[index].session, let state = all[index].state, session(of: state) == open {
            reporter.report(
                .deviceSession, device: name, found: "the \(open.rawValue) session ended in \(state.rawValue)",
                legal: "the session's end when the device leaves the states of the session")
        } else if all[index].knowsSession, all[index].session == nil {
            reporter.report(.deviceSession, device: name, found: "a session ended, but none was open", legal: "no device_session_end")
        }
        all[index].session = nil
        all[index].knowsSession = true
    }

    private mutating func moved(_ name: String, _ result: Int64, _ purpose: SessionPurpose) {
        guard result >= 0, let index = index(name), let state = all[index].state else { return }
        all[index].sessionBytes = all[index].sessionBytes.map { $0 &+ UInt64(result) }
        let isOpen = !all[index].knowsSession || all[index].session == purpose
        guard session(of: state) != purpose || !isOpen else { return }
        let word = purpose == .saving ? "read" : "written"
        reporter.report(
            .deviceSession, device: name,
            found: "\(result) bytes were \(word) in \(state.rawValue) without a \(purpose.rawValue) session",
            legal: purpose == .saving ? "reads in PRE_COPY, PRE_COPY_P2P and STOP_COPY" : "writes in RESUMING")
    }

    private mutating func queried(_ info: DevicePrecopyInfo) {
        guard let index = index(info.device) else { return }
        all[index].answers.add(
            initial: info.initial, dirty: info.dirty, reinit: info.reinit, result: info.result, at: reporter.spot.place)
        guard info.result == 0 else { return }
        if info.reinit { all[index].unreportedReinit = nil }
        guard let state = all[index].state, state != .preCopy, state != .preCopyP2P else { return }
        reporter.report(
            .deviceSession, device: info.device, found: "a precopy query succeeded in \(state.rawValue)",
            legal: "EINVAL outside PRE_COPY and PRE_COPY_P2P")
    }

    /// Lines are missing here.
    mutating func lose() {
        reporter.lose()
        for index in all.indices {
            all[index].state = nil
            all[index].knowsSession = false
            all[index].sessionBytes = nil
            all[index].unreportedReinit = nil
            all[index].holds = []
            all[index].answers.close()
        }
    }
}

private func session(of state: VFIOState) -> SessionPurpose? {
    switch state {
    case .preCopy, .preCopyP2P, .stopCopy: .saving
    case .resuming: .resuming
    default: nil
    }
}

private func exists(_ state: VFIOState, _ flags: UInt64) -> Bool {
    switch state {
    case .stop, .running, .stopCopy, .resuming: true
    case .runningP2P: flags & 2 != 0
    case .preCopy: flags & 4 != 0
    case .preCopyP2P: flags & 6 == 6
    case .error, .unknown: false
    }
}

/// The first state on the way from one state to another for a device with all abilities; nil if there is no way.
private func firstStep(_ from: VFIOState, _ to: VFIOState) -> VFIOState? {
    switch (from, to) {
    case (_, .error), (_, .unknown), (.error, _), (.unknown, _): nil
    case (from, from): from
    case (.stop, .stopCopy), (.stop, .resuming): to
    case (.stop, _): .runningP2P
    case (.running, .preCopy): .preCopy
    case (.running, _): .runningP2P
    case (.stopCopy, .preCopy), (.stopCopy, .preCopyP2P): nil
    case (.stopCopy, _), (.resuming, _): .stop
    case (.runningP2P, .running), (.runningP2P, .preCopy): .running
    case (.runningP2P, .preCopyP2P): .preCopyP2P
    case (.runningP2P, _): .stop
    case (.preCopy, .stopCopy), (.preCopy, .preCopyP2P): .preCopyP2P
    case (.preCopy, _): .running
    case (.preCopyP2P, .preCopy): .preCopy
    case (.preCopyP2P, .stopCopy): .stopCopy
    case (.preCopyP2P, _): .runningP2P
    }
}

/// The adjacent states of a state: a state that the device lacks is passed over. If the abilities are not known, the adjacent states for
/// any abilities.
private func neighbours(of from: VFIOState, flags: UInt64?) -> [VFIOState] {
    guard let flags else {
        return VFIOState.allCases.filter { to in [1, 3, 5, 7].contains { neighbours(of: from, flags: $0).contains(to) } }
    }
    var found: [VFIOState] = []
    for to in VFIOState.allCases where exists(to, flags) && to != from {
        var step = firstStep(from, to)
        while let next = step, !exists(next, flags) { step = firstStep(next, to) }
        if let step, step != from, !found.contains(step) { found.append(step) }
    }
    return found
}

extension DeviceStreams {
    /// Counts the bytes that were moved since `before` so many times more.
    mutating func repeatWhatHappened(_ times: Int, since before: DeviceStreams) {
        for index in all.indices.prefix(before.all.count) {
            all[index].answers.close()
            guard let now = all[index].sessionBytes, let then = before.all[index].sessionBytes else { continue }
            all[index].sessionBytes = now &+ (now &- then) &* UInt64(times)
        }
    }
}
